"""Classes of a folder of images: from metadata.jsonl, or from the names of its folders."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from advgen.errors import DataError
from advgen.registry import closest

LabelSource = Literal["auto", "first", "path", "none"]
METADATA, CLASSES = "metadata.jsonl", "classes.txt"
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "eval"})
WNID = re.compile(r"n\d{8}")
_NUMBERED = re.compile(r"(\d{3}\.|n\d{8}[-_])(?=.)")


@dataclass(frozen=True, slots=True)
class Labelling:
    """Labels of a set of images.

    Args:
        labels: Number in `classes` of every image.
        classes: Names of the classes.
        templates: Prompts that the benchmark is usually measured with.
    """

    labels: tuple[int, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...] = ()


def class_name(folder: str) -> str:
    """How the class of a folder reads: `001.Black_footed_Albatross` is "Black footed Albatross".

    Levels of a path are joined by commas: `athletic_field/outdoor` is "athletic field, outdoor".
    """
    levels = (_NUMBERED.sub("", level, count=1) for level in folder.split("/"))
    return ", ".join(" ".join(level.replace("_", " ").split()) for level in levels)


def folders_of(root: Path, paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """Names of the folders between `root` and each image."""
    depth = len(root.parts)
    return [path.parts[depth:-1] for path in paths]


def folder_labels(
    root: Path, paths: Sequence[Path], *, source: LabelSource = "auto"
) -> Labelling | None:
    """Labels of the images below a folder.

    `auto` takes metadata.jsonl if each of its lines has a label. Otherwise the class of an image is
    its first-level folder, or the whole path of its folder where the first level only sorts by
    letter (Places365: `a/athletic_field/outdoor`). There are no labels where an image lies in no
    folder, where the first level is one folder alone, splits (train, val) or bare WordNet ids.
    A classes.txt beside them, one name per line, gives the classes in its order, also those
    without an image; otherwise they are those found, in order of folder.

    Args:
        root: The folder.
        paths: Its images.
        source: `first` or `path` say which level is the class; `none` asks for no labels.

    Raises:
        DataError: If metadata.jsonl or classes.txt do not fit the images, or a level was asked for
            that an image does not have.
    """
    if source == "none":
        return None
    found: Sequence[str] | None = None
    if source == "auto":
        found = _from_metadata(root, paths)
    if found is None:
        found = _from_folders(root, paths, source)
    return None if found is None else _number(found, _read_classes(root), root)


def _from_folders(root: Path, paths: Sequence[Path], source: LabelSource) -> list[str] | None:
    folders = folders_of(root, paths)
    if not all(folders):
        if source == "auto":
            return None
        bare = next(path for path, levels in zip(paths, folders, strict=True) if not levels)
        raise DataError(f"{bare} lies in no class folder of {root}; move it into one")
    first = {levels[0] for levels in folders}
    if source == "auto" and not _are_classes(root, first):
        return None
    by_letter = all(len(name) == 1 and name.isalpha() for name in first)
    if by_letter and all(len(levels) > 1 for levels in folders):
        folders = [levels[1:] for levels in folders]
        source = "path" if source == "auto" else source
    return ["/".join(levels) if source == "path" else levels[0] for levels in folders]


def _are_classes(root: Path, first: set[str]) -> bool:
    if (root / CLASSES).is_file():
        return True
    wnids = all(WNID.fullmatch(name) for name in first)
    return len(first) > 1 and not wnids and not {name.lower() for name in first} <= SPLITS


def _from_metadata(root: Path, paths: Sequence[Path]) -> list[str] | None:
    file = root / METADATA
    if not file.is_file():
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is not one JSON object per line ({error}); mend it") from error
    labels: dict[str, str] = {}
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            raise DataError(f"{file} has a line without file_name; mend it")
        if "label" not in row:
            return None
        if not isinstance(row["label"], str):
            raise DataError(f"{file} labels {row['file_name']} {row['label']!r}; write class names")
        labels[row["file_name"]] = row["label"]
    names = [path.relative_to(root).as_posix() for path in paths]
    missing = [name for name in names if name not in labels]
    if missing:
        raise DataError(
            f"{file} has no line for {len(missing)} images, e.g. {missing[0]}; add them"
        )
    return [labels[name] for name in names]


def _read_classes(root: Path) -> list[str] | None:
    file = root / CLASSES
    if not file.is_file():
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as text ({error}); mend it") from error
    names = [line.strip() for line in lines if line.strip()]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"{file} names '{twice[0]}' twice; leave one out")
    return names


def _number(found: Sequence[str], classes: list[str] | None, root: Path) -> Labelling:
    if classes is None:
        classes = sorted(set(found))
    numbers = {name: number for number, name in enumerate(classes)}
    readable = {class_name(name): number for name, number in numbers.items()}
    of_label = {}
    for label in sorted(set(found)):
        number = numbers.get(label, readable.get(class_name(label)))
        if number is None:
            close = closest(label, classes)
            hint = f" (did you mean {' or '.join(close)}?)" if close else ""
            raise DataError(f"{root / CLASSES} has no line for the class '{label}'{hint}; add it")
        of_label[label] = number
    return Labelling(
        tuple(of_label[label] for label in found), tuple(class_name(name) for name in classes)
    )
