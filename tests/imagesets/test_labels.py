import json
from pathlib import Path

import pytest

from advgen.errors import DataError
from advgen.imagesets import FolderImages, class_labels, load_image_set
from advgen.imagesets.labels import class_name

DOGS = ("hot_dog/2.png", "cat/1.png", "hot_dog/deep/1.png")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("hot_dog", "hot dog"),
        ("n02085620-Chihuahua", "Chihuahua"),
        ("athletic_field/outdoor", "athletic field, outdoor"),
        ("3.5_inch_disk", "3.5 inch disk"),
        ("007.", "007."),
        ("__odd__name_", "odd name"),
    ],
)
def test_names_are_read_from_folders(folder: str, name: str) -> None:
    assert class_name(folder) == name


@pytest.mark.parametrize(
    ("names", "option", "classes", "labels"),
    [
        (DOGS, "", ("cat", "hot dog"), (0, 1, 1)),
        (DOGS, "?labels=path", ("cat", "hot dog", "hot dog, deep"), (0, 1, 2)),
        (DOGS, "?labels=none", (), None),
        ((*DOGS, "bare.png"), "", (), None),
        (("a/b.png", "a/c.png"), "", (), None),
        (("a/b.png", "a/c.png"), "?labels=first", ("a",), (0, 0)),
        (("train/x/1.png", "val/x/1.png"), "", (), None),
        (("n01440764/1.png", "n01443537/1.png"), "", (), None),
        (
            ("a/abbey/1.jpg", "a/athletic_field/outdoor/1.jpg", "b/barn/1.jpg"),
            "",
            ("abbey", "athletic field, outdoor", "barn"),
            (0, 1, 2),
        ),
        (("a/1.png", "b/1.png"), "", ("a", "b"), (0, 1)),
        (
            ("002.Laysan_Albatross/1.jpg", "001.Black_footed_Albatross/1.jpg"),
            "",
            ("Black footed Albatross", "Laysan Albatross"),
            (0, 1),
        ),
    ],
)
def test_folders_are_classes(tmp_path: Path, fill, names, option, classes, labels) -> None:
    images = load_image_set(f"folder:{fill(tmp_path / 'set', names)}{option}")
    assert (images.classes, images.labels) == (classes, labels)
    assert images.templates == ()


def test_a_list_of_classes_gives_their_order_and_those_without_images(tmp_path, fill) -> None:
    root = fill(tmp_path, DOGS)
    (root / "classes.txt").write_text("hot dog\n\nzebra\ncat\n")
    images = FolderImages(root)
    assert images.classes == ("hot dog", "zebra", "cat")
    assert images.labels == (2, 0, 0)


def test_metadata_labels_images_wherever_they_lie(tmp_path: Path, fill) -> None:
    root = fill(tmp_path, ["x.png", "b/y.png"])
    rows = [
        {"file_name": "x.png", "label": "hot_dog"},
        {"file_name": "b/y.png", "label": "cat"},
        {"file_name": "gone.png", "label": "dog"},
    ]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    images = FolderImages(root)
    assert [path.name for path in images.paths] == ["y.png", "x.png"]
    assert (images.classes, images.labels) == (("cat", "hot dog"), (0, 1))


def test_metadata_without_labels_leaves_them_to_the_folders(tmp_path: Path, fill) -> None:
    root = fill(tmp_path, DOGS)
    (root / "metadata.jsonl").write_text('{"file_name": "cat/1.png"}\n')
    assert FolderImages(root).labels == (0, 1, 1)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("metadata.jsonl", "{", "is not one JSON object per line"),
        ("metadata.jsonl", "[1]", "a line without file_name"),
        ("metadata.jsonl", '{"label": "x"}', "a line without file_name"),
        ("metadata.jsonl", '{"file_name": "cat/1.png", "label": 3}', "write class names"),
        (
            "metadata.jsonl",
            '{"file_name": "cat/1.png", "label": "cat"}',
            "no line for 2 images, e.g. hot_dog/2.png",
        ),
        ("classes.txt", "cat\nhotdog", r"no line for the class 'hot_dog' \(did you mean hotdog"),
        ("classes.txt", "cat\nhot_dog\ncat", "names 'cat' twice"),
    ],
)
def test_files_that_do_not_fit_the_images_are_refused(tmp_path, fill, file, content, says) -> None:
    root = fill(tmp_path, DOGS)
    (root / file).write_text(content)
    with pytest.raises(DataError, match=says):
        FolderImages(root)


def test_an_image_outside_the_asked_level_is_named(tmp_path: Path, fill) -> None:
    root = fill(tmp_path, [*DOGS, "bare.png"])
    with pytest.raises(DataError, match=r"bare\.png lies in no class folder"):
        load_image_set(f"folder:{root}?labels=first")


def test_a_set_without_labels_says_how_to_give_them(tmp_path: Path, fill) -> None:
    images = FolderImages(fill(tmp_path, ["a.png"]))
    with pytest.raises(DataError, match=r"have no labels; put .*metadata\.jsonl.*imagenet:PATH"):
        class_labels(images)
    assert class_labels(FolderImages(fill(tmp_path / "more", DOGS))) == (0, 1, 1)
