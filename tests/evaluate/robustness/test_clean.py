from pathlib import Path

import numpy as np
import pytest
from doubles.runs import sandbox_clip

from advgen.errors import ConfigError, DataError
from advgen.evaluate.robustness.clean import SANDBOX, clean_spec, open_clean
from advgen.evaluate.robustness.dataset import open_data
from advgen.evaluate.robustness.scores import Scores, score_model
from advgen.imagesets import load_image_set
from advgen.records import ClassPair
from advgen.scoring import class_embeddings

DOG, CAT = ClassPair("dog", "deer"), ClassPair("cat", "fox")


def test_rates_are_those_of_a_plain_classifier(release: Path) -> None:
    data, clip = open_data(str(release)), sandbox_clip()
    control = open_clean("sandbox:408?single=1&seed=7&size=64", data)
    scores = score_model(clip, control.questions)
    images = load_image_set("sandbox:408?single=1&seed=7&size=64")
    labels = images.labels or ()
    for pair in (DOG, CAT):
        classes = (pair.true_class, pair.target_class)
        texts = class_embeddings(clip, classes, ("a photo of {article} {noun}.",))
        right = []
        for side, name in enumerate(classes):
            mine = [i for i, label in enumerate(labels) if images.classes[label] == name]
            for number in mine:
                image = clip.encode_image(clip.preprocess(images[number])[None])[0]
                right.append((side, int((texts @ image).argmax()) == side))
        true, both = control.rates(scores, pair)
        assert true.images == sum(side == 0 for side, _ in right) == 3
        assert true.fooled_verified == sum(ok for side, ok in right if side == 0)
        assert (both.fooled_verified, both.images) == (sum(ok for _, ok in right), len(right))


def test_rates_by_hand(release: Path) -> None:
    control = open_clean("sandbox:272?single=1&size=64", open_data(str(release)))
    asked = list(zip(control.pair, control.of_true, strict=True))
    margins = np.zeros(len(asked), dtype=np.float32)
    dogs = [i for i, entry in enumerate(asked) if entry == (DOG, True)]
    deer = [i for i, entry in enumerate(asked) if entry == (DOG, False)]
    assert len(dogs) == len(deer) == 2
    margins[dogs], margins[deer] = (0.5, -0.5), (0.5, np.nan)
    true, both = control.rates(Scores(0 * margins, margins, ()), DOG)
    assert (true.fooled_verified, true.images) == (1, 2)
    assert (both.fooled_verified, both.images) == (2, 3), "an unusable image is not counted"


def test_the_choice(release: Path) -> None:
    data = open_data(str(release))
    assert clean_spec("auto", data) == SANDBOX
    assert clean_spec("none", data) is None
    assert clean_spec("folder:x", data) == "folder:x"
    from dataclasses import replace

    photos = replace(data, rows=tuple(replace(row, synthesizer="deepfloyd") for row in data.rows))
    assert clean_spec("auto", photos) is None


@pytest.mark.parametrize(
    ("spec", "fault", "says"),
    [
        ("sandbox:1?single=1&size=64", DataError, "none of the clean images"),
        ("sandbox:none", ConfigError, "sandbox:N"),
        ("{folder}", DataError, "no class 'dog'"),
    ],
)
def test_images_that_are_no_control(
    release: Path, tmp_path: Path, spec: str, fault: type[Exception], says: str
) -> None:
    from PIL import Image

    for name in ("sun", "moon"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "set" / name / "0.png")
    with pytest.raises(fault, match=says):
        open_clean(spec.replace("{folder}", str(tmp_path / "set")), open_data(str(release)))
