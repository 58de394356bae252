from pathlib import Path

import pytest
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
from timm.data.imagenet_info import ImageNetInfo

from advgen.errors import DataError
from advgen.imagesets import load_image_set
from advgen.imagesets.imagenet import IMAGENET_CLASSES, IMAGENET_TEMPLATES, wordnet_ids
from advgen.models.text import fill_template

FISH = ("n01443537/a.JPEG", "n01440764/b.JPEG")


@pytest.mark.parametrize("noun", ["black swan", "elephant", "T-shirt"])
def test_templates_say_what_open_clip_s_functions_say(noun: str) -> None:
    assert len(IMAGENET_TEMPLATES) == 80
    assert [fill_template(template, noun) for template in IMAGENET_TEMPLATES] == [
        fill(noun) for fill in OPENAI_IMAGENET_TEMPLATES
    ]


def test_ids_and_names_are_in_the_same_order() -> None:
    assert list(wordnet_ids()) == ImageNetInfo("imagenet-1k").label_names()
    named = dict(zip(wordnet_ids(), IMAGENET_CLASSES, strict=True))
    assert named["n01440764"] == "tench"
    assert named["n02012849"] == "crane bird"
    assert named["n03126707"] == "construction crane"
    assert named["n15075141"] == "toilet paper"


@pytest.mark.parametrize("variant", ["imagenet-r", "imagenet-a"])
def test_a_variant_takes_200_of_the_classes(variant: str) -> None:
    ids = wordnet_ids(variant)
    assert len(set(ids)) == 200
    assert set(ids) < set(wordnet_ids())
    assert list(ids) == sorted(ids)


def test_there_is_no_other_variant() -> None:
    with pytest.raises(ValueError, match="expected imagenet, .*; got 'imagenet-z'"):
        wordnet_ids("imagenet-z")


@pytest.mark.parametrize(
    ("source", "classes", "labels"),
    [("imagenet", 1000, (0, 1)), ("imagenet?classes=present", 2, (0, 1))],
)
def test_folders_keep_the_whole_classifier_unless_told(
    tmp_path: Path, fill, source: str, classes: int, labels: tuple[int, ...]
) -> None:
    source, mark, option = source.partition("?")
    images = load_image_set(f"{source}:{fill(tmp_path, FISH)}{mark}{option}")
    assert len(images.classes) == classes
    assert images.labels == labels
    assert [images.classes[label] for label in labels] == ["tench", "goldfish"]
    assert images.templates == IMAGENET_TEMPLATES


def test_numbers_of_a_variant_are_its_own(tmp_path: Path, fill) -> None:
    images = load_image_set(f"imagenet-r:{fill(tmp_path, ['n02051845/x.jpg'])}")
    assert len(images.classes) == 200
    assert images.labels is not None
    assert images.classes[images.labels[0]] == "pelican"
    assert images.labels[0] == wordnet_ids("imagenet-r").index("n02051845")


@pytest.mark.parametrize(
    ("source", "names", "says"),
    [
        ("imagenet", ["val/n01440764/a.png", "train/n01440764/a.png"], "name one of them: .*train"),
        ("imagenet", ["ILSVRC2012_val_00000001.JPEG"], "sort the images into subfolders n01440764"),
        ("imagenet", ["n01440764/a.png", "misc/b.png"], r"misc/b\.png has no WordNet id"),
        ("imagenet", ["n00007846/a.png"], "n00007846 is no class of imagenet;"),
        ("imagenet-r", FISH, "n01440764 is no class of imagenet-r;"),
    ],
)
def test_images_of_unknown_class_are_named(tmp_path, fill, source, names, says) -> None:
    with pytest.raises(DataError, match=says):
        load_image_set(f"{source}:{fill(tmp_path, names)}")


def test_photos_with_ids_in_their_file_names(shared: Path) -> None:
    images = load_image_set(f"imagenet:{shared / 'photos'}?every=10")
    assert len(images) == 25
    assert len(images.classes) == 1000
    assert images.labels is not None
    ids = wordnet_ids()
    for index, label in enumerate(images.labels):
        assert Path(images.describe(index)).name.startswith(ids[label])
    assert images[0].size == (256, 256)
    assert images.classes[images.labels[0]] == "tench"
