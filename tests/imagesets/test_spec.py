import random
from pathlib import Path

import numpy as np
import pytest

from advgen import registry
from advgen.errors import ConfigError, DataError
from advgen.imagesets import ImageSet, load_image_set
from advgen.imagesets import spec as grammar
from advgen.imagesets.chosen import choose_images

TWELVE = [f"{'ab'[number % 2]}{number % 2}/{number:02d}.png" for number in range(12)]


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("sandbox:", ConfigError, "write sandbox:N"),
        ("sandbox:0", ConfigError, "write sandbox:N"),
        ("sandbox:-3", ConfigError, "write sandbox:N"),
        ("sandbox:1.5", ConfigError, "write sandbox:N"),
        ("sandbox", DataError, "neither a folder of images nor of a known kind: sandbox:, folder:"),
        ("imagnet:5", DataError, r"'imagnet:5' is neither .*\(did you mean imagenet:\?\)"),
        ("imagenet:no/such/folder", DataError, "there is no image folder no/such/folder"),
        ("", DataError, "neither"),
        ("?every=2", DataError, "neither"),
        ("sandbox:9?evry=2", ConfigError, "unknown option 'evry': did you mean every"),
        ("sandbox:9?labels=none", ConfigError, "Known: single, seed, size, every, offset"),
        ("sandbox:9?every=0", ConfigError, "every is a whole number from 1 on; got '0'"),
        ("sandbox:9?limit=0", ConfigError, "limit is a whole number from 1"),
        ("sandbox:9?offset=-1", ConfigError, "offset is a whole number from 0"),
        ("sandbox:9?shuffle=x", ConfigError, "shuffle is a whole number from 0"),
        ("sandbox:9?single=2", ConfigError, "single is a switch; write single=1"),
        ("sandbox:9?size=0", ConfigError, "at least 1"),
        ("sandbox:9?every", ConfigError, "write options as name=value"),
        ("sandbox:9?every=2&every=3", ConfigError, "gives an option twice"),
        ("sandbox:9?offset=9", DataError, "offset=9 leaves none of the 9 images"),
        ("folder:no/such?labels=al", ConfigError, "unknown labels 'al': .*Known: auto, first"),
    ],
)
def test_a_spec_that_names_nothing_says_what_would(spec: str, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        load_image_set(spec)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("every=5", [0, 5, 10]),
        ("every=5&offset=4", [4, 9]),
        ("offset=4&every=5", [4, 9]),
        ("limit=2&every=3", [0, 3]),
        ("limit=99", list(range(12))),
        ("offset=10", [10, 11]),
    ],
)
def test_images_are_chosen_by_step_offset_and_number(tmp_path, fill, options, numbers) -> None:
    root = fill(tmp_path / "set", TWELVE)
    whole, part = load_image_set(str(root)), load_image_set(f"{root}?{options}")
    assert whole.labels is not None
    assert [np.asarray(image).tolist() for image in part] == [
        np.asarray(whole[number]).tolist() for number in numbers
    ]
    assert part.labels == tuple(whole.labels[number] for number in numbers)
    assert part.classes == whole.classes == ("a0", "b1")
    assert [part.describe(index) for index in range(len(part))] == [
        whole.describe(number) for number in numbers
    ]


def test_the_paper_s_sets_are_every_250th_and_every_10th() -> None:
    train = load_image_set("sandbox:1281167?every=250&offset=249")
    assert len(train) == 5124
    assert len(load_image_set("sandbox:50000?every=10")) == 5000


def test_a_shuffle_is_of_all_and_cut_afterwards() -> None:
    whole = load_image_set("sandbox:12?shuffle=3")
    expected = random.Random("images-3").sample(range(12), 12)
    assert [whole.describe(index) for index in range(12)] == [
        f"sandbox:12 scene {number}" for number in expected
    ]
    assert sorted(expected) == list(range(12)) != expected
    cut = load_image_set("sandbox:12?limit=4&shuffle=3")
    assert [cut.digest(index) for index in range(4)] == [whole.digest(index) for index in range(4)]
    other = load_image_set("sandbox:12?shuffle=4")
    assert other.fingerprint != whole.fingerprint


def test_only_what_is_chosen_is_read_and_counts_for_the_fingerprint(tmp_path, fill) -> None:
    root = fill(tmp_path / "set", TWELVE)
    spec = f"{root}?every=4"
    before = load_image_set(spec).fingerprint
    (root / TWELVE[1]).write_bytes(b"changed")
    assert load_image_set(spec).fingerprint == before
    chosen = sorted(TWELVE)[4]
    (root / chosen).write_bytes(b"changed")
    assert load_image_set(spec).fingerprint != before


def test_the_name_says_how_to_open_the_set_again(tmp_path: Path, fill) -> None:
    root = fill(tmp_path / "set", TWELVE)
    specs = [
        "sandbox:3",
        "sandbox:30?single=1&seed=5&size=24",
        "sandbox:30?single=1&every=2&offset=1&shuffle=0&limit=9",
        str(root),
        f"{root}?every=3",
    ]
    for spec in specs:
        images = load_image_set(spec)
        assert images.name == spec
        assert load_image_set(images.name).fingerprint == images.fingerprint


def test_a_folder_may_have_the_marks_of_the_grammar_in_its_name(tmp_path: Path, fill) -> None:
    odd = fill(tmp_path / "what?every=2", TWELVE)
    assert len(load_image_set(str(odd))) == 12
    colon = fill(tmp_path / "a:b", TWELVE)
    assert len(load_image_set(f"{colon}?limit=3")) == 3
    assert len(load_image_set(f"folder:{colon}?limit=3")) == 3


def test_a_home_folder_is_found(tmp_path: Path, fill, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "set", TWELVE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(load_image_set("~/set?limit=3")) == len(load_image_set("folder:~/set?limit=3")) == 3


def test_choosing_everything_changes_nothing() -> None:
    images = load_image_set("sandbox:3")
    assert choose_images(images) is images


def test_the_grammar_names_every_source_and_option() -> None:
    text = grammar.__doc__ or ""
    for source in registry.names("image set"):
        assert f"`{source}`" in text
        for option in grammar.option_types(registry.resolve("image set", source)):
            assert option in text, f"{source}: {option}"
    for option in grammar.option_types(choose_images):
        assert f"`{option}=" in text


@pytest.mark.parametrize(
    "spec",
    ["sandbox:5", "sandbox:9?every=2", "folder:{0}", "{0}?limit=5", "imagenet:{1}", "hf:{0}"],
)
@pytest.mark.usefixtures("no_hub")
def test_every_set_keeps_the_protocol(tmp_path: Path, fill, spec: str) -> None:
    plain = fill(tmp_path / "plain", TWELVE[:5])
    wnids = fill(tmp_path / "wnids", [f"n01440764_{number}.png" for number in range(5)])
    images = load_image_set(spec.format(plain, wnids))
    count = 5
    assert isinstance(images, ImageSet)
    assert len(images) == count == len({images.digest(index) for index in range(count)})
    assert [image.tobytes() for image in images] == [images[i].tobytes() for i in range(count)]
    assert {image.mode for image in images} == {"RGB"}
    assert images.labels is not None
    assert len(images.labels) == count
    assert set(images.labels) <= set(range(len(images.classes)))
    assert images.fingerprint == images.fingerprint != images.digest(0)
    assert len({images.describe(index) for index in range(count)}) == count
    for wrong in (-1, count):
        for method in (images.__getitem__, images.describe, images.digest):
            with pytest.raises(IndexError, match=f"from 0 to {count - 1}; got {wrong}"):
                method(wrong)
