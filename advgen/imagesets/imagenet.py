"""ImageNet and the sets that share its classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

from advgen.errors import DataError
from advgen.imagesets.folder import FolderImages
from advgen.imagesets.labels import SPLITS, WNID, Labelling, folders_of
from advgen.imagesets.protocol import ImageSet

ClassChoice = Literal["all", "present"]

IMAGENET_CLASSES: tuple[str, ...] = tuple(IMAGENET_CLASSNAMES)
"""Names of the 1000 classes as OpenAI's CLIP is prompted with them, in ImageNet's order."""

IMAGENET_TEMPLATES: tuple[str, ...] = tuple(fill("{}") for fill in OPENAI_IMAGENET_TEMPLATES)
"""The 80 prompts of OpenAI's zero-shot classifier; ``{}`` is the class name, without article."""


@cache
def wordnet_ids(variant: str = "imagenet") -> tuple[str, ...]:
    """WordNet ids of a variant's classes: of all 1000 in their order, or of the 200 it takes.

    Args:
        variant: `imagenet`, `imagenet-r` or `imagenet-a`.

    Raises:
        ValueError: If there is no such variant.
    """
    if variant not in ("imagenet", "imagenet-r", "imagenet-a"):
        raise ValueError(f"expected imagenet, imagenet-r or imagenet-a; got '{variant}'")
    name = f"{variant.replace('-', '_')}_synsets.txt"
    text = (resources.files("timm.data") / "_info" / name).read_text(encoding="utf-8")
    return tuple(text.split())


def imagenet_labels(
    root: Path, paths: Sequence[Path], *, variant: str = "imagenet", classes: ClassChoice = "all"
) -> Labelling:
    """Labels by WordNet id: of the folder an image lies in, else that its file name begins with.

    Args:
        root: The folder.
        paths: Its images.
        variant: Whose classes, see `wordnet_ids`.
        classes: All classes of the variant, or only those that have an image.

    Raises:
        DataError: If an image has no WordNet id, or one of another set's.
    """
    folders = folders_of(root, paths)
    found = [_wordnet_id(path, levels) for path, levels in zip(paths, folders, strict=True)]
    if "" in found:
        unnamed = found.index("")
        raise DataError(_without_id(root, paths[unnamed], folders[unnamed]))
    ids = wordnet_ids(variant)
    present = set(found)
    foreign = sorted(present.difference(ids))
    if foreign:
        example = paths[found.index(foreign[0])]
        raise DataError(
            f"{example}: {foreign[0]} is no class of {variant}; "
            "take that folder out or name the set as folder:PATH"
        )
    if classes == "present":
        ids = tuple(wnid for wnid in ids if wnid in present)
    numbers = {wnid: number for number, wnid in enumerate(ids)}
    everything = dict(zip(wordnet_ids(), IMAGENET_CLASSES, strict=True))
    return Labelling(
        tuple(numbers[wnid] for wnid in found),
        tuple(everything[wnid] for wnid in ids),
        IMAGENET_TEMPLATES,
    )


def open_imagenet(place: str, *, classes: ClassChoice = "all") -> ImageSet:
    """The source `imagenet:PATH`: a split of ImageNet, or of a set that has its classes.

    Args:
        place: Folder with a subfolder per class (`n01440764/`), or of files named
            `n01440764_*.jpg`.
        classes: The classifier: all 1000 classes, or only those that have an image here.

    Raises:
        DataError: See `FolderImages` and `imagenet_labels`.
    """
    return _open("imagenet", place, classes)


def open_imagenet_r(place: str, *, classes: ClassChoice = "all") -> ImageSet:
    """The source `imagenet-r:PATH`, with the 200 classes of ImageNet-R (arXiv 2006.16241).

    Args:
        place: See `open_imagenet`.
        classes: See `open_imagenet`; all 200 here.

    Raises:
        DataError: See `open_imagenet`.
    """
    return _open("imagenet-r", place, classes)


def open_imagenet_a(place: str, *, classes: ClassChoice = "all") -> ImageSet:
    """The source `imagenet-a:PATH`, with the 200 classes of ImageNet-A (arXiv 1907.07174).

    Args:
        place: See `open_imagenet`.
        classes: See `open_imagenet`; all 200 here.

    Raises:
        DataError: See `open_imagenet`.
    """
    return _open("imagenet-a", place, classes)


def _open(variant: str, place: str, classes: ClassChoice) -> FolderImages:
    def label(root: Path, paths: Sequence[Path]) -> Labelling:
        return imagenet_labels(root, paths, variant=variant, classes=classes)

    return FolderImages(Path(place).expanduser(), name=f"{variant}:{place}", label=label)


def _wordnet_id(path: Path, levels: tuple[str, ...]) -> str:
    match = WNID.match(levels[0] if levels else path.name)
    return match.group() if match else ""


def _without_id(root: Path, path: Path, levels: tuple[str, ...]) -> str:
    if levels and levels[0].lower() in SPLITS:
        return f"{root} holds splits; name one of them: imagenet:{root / levels[0]}"
    if path.name.startswith("ILSVRC2012_val_"):
        return (
            f"{path}: the class of a validation image is not in its name; "
            "sort the images into subfolders n01440764/ ... first"
        )
    return f"{path} has no WordNet id; put it into a folder of its class, such as n01440764/"
