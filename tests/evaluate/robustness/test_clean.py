from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doubles.runs import sandbox_clip
from PIL import Image

from advgen.errors import ConfigError, DataError
from advgen.evaluate.robustness.clean import SANDBOX, clean_spec, open_clean
from advgen.evaluate.robustness.dataset import open_data
from advgen.evaluate.robustness.scores import Scores, score_model
from advgen.imagesets import load_image_set
from advgen.imagesets.chosen import ChosenImages
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


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of two images per class."""

    def make(*names: str) -> Path:
        for shade, name in enumerate(names):
            (tmp_path / "set" / name).mkdir(parents=True)
            for number in range(2):
                image = Image.new("RGB", (8, 8), (shade, number, 0))
                image.save(tmp_path / "set" / name / f"{number}.png")
        return tmp_path / "set"

    return make


def test_classes_of_a_folder_are_found_as_people_write_them(
    release: Path, folders: Callable[..., Path]
) -> None:
    root = folders("001.Dog", "n02410509_deer", "CAT", "fox", "ship")
    control = open_clean(f"folder:{root}", open_data(str(release)))
    assert len(control.questions.images) == 8, "of a class that no pair names nothing is read"
    assert [control.pair.count(pair) for pair in (DOG, CAT)] == [4, 4]
    shown = {name.rpartition("set/")[2].split("/")[0] for name in control.questions.ids}
    assert shown == {"001.Dog", "n02410509_deer", "CAT", "fox"}


def test_classes_that_are_not_there_are_all_named(
    release: Path, folders: Callable[..., Path]
) -> None:
    root = folders("dogs", "Deer", "cat", *(f"c{number:02d}" for number in range(20)))
    with pytest.raises(DataError) as fault:
        open_clean(str(root), open_data(str(release)))
    said = str(fault.value)
    assert "have no class 'dog' (did you mean dogs?) and none 'fox'; they have " in said
    assert "and 11 more" in said and "--clean none" in said and "'deer'" not in said


def test_a_class_without_images_and_a_limit_that_cuts_one(
    release: Path, folders: Callable[..., Path]
) -> None:
    root, data = folders("cat", "deer", "dog", "fox"), open_data(str(release))
    with pytest.raises(DataError, match=r"shows 'dog'.*shuffle=0&limit=N"):
        open_clean(f"folder:{root}?limit=4", data)
    for path in (root / "dog").iterdir():
        path.unlink()
    (root / "classes.txt").write_text("cat\ndeer\ndog\nfox\n")
    with pytest.raises(DataError, match="shows 'dog'; add some"):
        open_clean(str(root), data)


def test_images_that_cannot_be_decoded_are_left_out(
    release: Path, folders: Callable[..., Path]
) -> None:
    root, data = folders("cat", "deer", "dog", "fox"), open_data(str(release))
    (root / "dog" / "0.png").write_bytes(b"junk")
    control = open_clean(str(root), data)
    scores = score_model(sandbox_clip(), control.questions)
    assert [Path(image.name).name for image in scores.skipped] == ["0.png"]
    assert [rate.images for rate in control.rates(scores, DOG)] == [1, 3]


def test_a_file_that_cannot_be_read_stops_nothing_and_mended_is_another_set(
    release: Path, folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, data = folders("cat", "deer", "dog", "fox"), open_data(str(release))
    whole = open_clean(str(root), data).questions.fingerprint
    real = ChosenImages.digest

    def digest(self: ChosenImages, index: int) -> str:
        if index == 4:
            raise DataError("dog/0.png is not a readable image (No such file or directory)")
        return real(self, index)

    monkeypatch.setattr(ChosenImages, "digest", digest)
    assert open_clean(str(root), data).questions.fingerprint != whole
    monkeypatch.undo()
    assert open_clean(str(root), data).questions.fingerprint == whole


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
    for name in ("sun", "moon"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "set" / name / "0.png")
    with pytest.raises(fault, match=says):
        open_clean(spec.replace("{folder}", str(tmp_path / "set")), open_data(str(release)))
