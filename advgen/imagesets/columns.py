"""Columns of a data set in the Hugging Face format: which holds images, which classes."""

from __future__ import annotations

from typing import Any, Literal

import datasets

from advgen.errors import ConfigError, DataError
from advgen.imagesets.labels import Labelling, class_name
from advgen.registry import unknown_name

ClassNames = Literal["own", "imagenet"]
AUTO = "auto"


def image_column(data: datasets.Dataset, wanted: str) -> str:
    """The column of images; the only one where `wanted` is `AUTO`.

    Raises:
        ConfigError: If `wanted` is no column of images, or there is none or several to choose from.
    """
    columns = [name for name, kind in data.features.items() if isinstance(kind, datasets.Image)]
    if wanted != AUTO and wanted not in columns:
        raise ConfigError(unknown_name("column of images", wanted, columns))
    if wanted != AUTO:
        return wanted
    if not columns:
        listed = ", ".join(data.column_names)
        raise ConfigError(f"there is no column of images, only {listed}; choose another data set")
    if len(columns) > 1:
        raise ConfigError(f"the columns {', '.join(columns)} hold images; add image=COLUMN")
    return columns[0]


def label_column(data: datasets.Dataset, wanted: str) -> str:
    """The column of classes; for `AUTO` the one called label if there is one, "" for none.

    Raises:
        ConfigError: If there is no such column.
    """
    if wanted == AUTO:
        return "label" if "label" in data.column_names else ""
    if wanted and wanted not in data.column_names:
        raise ConfigError(unknown_name("column", wanted, data.column_names))
    return wanted


def column_labels(
    data: datasets.Dataset, column: str, *, classes: ClassNames, name: str
) -> Labelling | None:
    """Labels from a column of class names or numbers; None where every row lacks one.

    Args:
        data: The data set.
        column: The column. A missing label is None or -1.
        classes: `own` names of the data set, or `imagenet` for numbers in ImageNet's order.
        name: What messages call the data set.

    Raises:
        ConfigError: If `classes` is `imagenet` and the column holds names, or numbers with names
            that are not 1000.
        DataError: If only some rows have a label, or numbers have no names.
    """
    values: list[Any] = data[column][:]
    missing = sum(value is None or value == -1 for value in values)
    if missing == len(values):
        return None
    if missing:
        raise DataError(
            f"'{name}': {missing} of {len(values)} rows have no {column}; "
            "add label=COLUMN for another column, or label= for no labels"
        )
    if all(isinstance(value, str) for value in values):
        if classes == "imagenet":
            raise ConfigError(f"'{name}': {column} holds names; leave classes=imagenet out")
        numbers = {own: number for number, own in enumerate(sorted(set(values)))}
        return Labelling(
            tuple(numbers[value] for value in values), tuple(class_name(own) for own in numbers)
        )
    kind = data.features[column]
    names = list(kind.names or ()) if isinstance(kind, datasets.ClassLabel) else []
    templates: tuple[str, ...] = ()
    readable = tuple(class_name(own) for own in names)
    if classes == "imagenet":
        readable, templates = _imagenet(len(names), name)
    _require_names(values, len(readable), column, name)
    return Labelling(tuple(values), readable, templates)


def _imagenet(count: int, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    # Imports open_clip, which takes seconds; nothing else here needs it.
    from advgen.imagesets.imagenet import IMAGENET_CLASSES, IMAGENET_TEMPLATES

    if count not in (0, len(IMAGENET_CLASSES)):
        raise ConfigError(
            f"'{name}' has {count} classes, not the 1000 of ImageNet; leave classes=imagenet out"
        )
    return IMAGENET_CLASSES, IMAGENET_TEMPLATES


def _require_names(values: list[Any], count: int, column: str, name: str) -> None:
    if not count:
        raise DataError(
            f"'{name}': the numbers in {column} have no names; add label=COLUMN for a column of "
            "names, classes=imagenet if they are ImageNet's, or label= for no labels"
        )
    if not all(isinstance(value, int) and 0 <= value < count for value in values):
        raise DataError(
            f"'{name}': {column} has values that are no number from 0 to {count - 1}; "
            "add label=COLUMN for another column"
        )
