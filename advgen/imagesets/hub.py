"""Data sets of the Hugging Face hub, or saved in its formats on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import datasets
from datasets.exceptions import DatasetsError
from PIL import Image

from advgen.errors import ConfigError, DataError
from advgen.imagesets.columns import (
    AUTO,
    ClassNames,
    column_labels,
    image_column,
    label_column,
)
from advgen.imagesets.files import UnreadableImageError, file_digest, open_image
from advgen.imagesets.labels import Labelling
from advgen.imagesets.protocol import ImageSet, check_index
from advgen.registry import unknown_name


class HubImages:
    """The rows of a data set with a column of images.

    Args:
        data: The data set.
        image: Its column of images.
        labelling: Labels of the rows, or None.
        name: What the set is called.
    """

    def __init__(
        self, data: datasets.Dataset, *, image: str, labelling: Labelling | None, name: str
    ) -> None:
        self.name = name
        self._rows = data.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        self._image = image
        self._labelling = labelling

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the encoded images in order; they are read once per object."""
        return self._fingerprint

    @property
    def labels(self) -> Sequence[int] | None:
        """See `ImageSet`."""
        return self._labelling.labels if self._labelling else None

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ImageSet`."""
        return self._labelling.classes if self._labelling else ()

    @property
    def templates(self) -> tuple[str, ...]:
        """See `ImageSet`."""
        return self._labelling.templates if self._labelling else ()

    def __len__(self) -> int:
        """See `ImageSet`."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Image.Image:
        """See `ImageSet`."""
        stored = self._stored(index)
        source = stored if isinstance(stored, Path) else io.BytesIO(stored)
        return open_image(source, self.describe(index))

    def __iter__(self) -> Iterator[Image.Image]:
        """See `ImageSet`."""
        return (self[index] for index in range(len(self)))

    def describe(self, index: int) -> str:
        """See `ImageSet`."""
        return f"{self.name} row {check_index(index, len(self))}"

    def digest(self, index: int) -> str:
        """See `ImageSet`."""
        stored = self._stored(index)
        return (
            file_digest(stored) if isinstance(stored, Path) else hashlib.sha256(stored).hexdigest()
        )

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for index in range(len(self)):
            digest.update(f"{self.digest(index)}\n".encode())
        return digest.hexdigest()

    def _stored(self, index: int) -> bytes | Path:
        cell = self._rows[check_index(index, len(self))][self._image]
        if cell and cell["bytes"] is not None:
            return cell["bytes"]
        if not cell or not cell["path"]:
            raise UnreadableImageError(self.describe(index), "the cell is empty")
        return Path(cell["path"])


def open_hub(
    place: str,
    *,
    split: str = "",
    config: str = "",
    revision: str = "",
    image: str = AUTO,
    label: str = AUTO,
    classes: ClassNames = "own",
) -> ImageSet:
    """The source `hf:OWNER/NAME` or `hf:PATH`, the latter a folder that `datasets` can load.

    Args:
        place: Name on the hub, or a folder (saved by `save_to_disk`, or of parquet files).
        split: Split; not needed if there is only one.
        config: Configuration, if the data set has several.
        revision: Commit, tag or branch on the hub.
        image: Column of images; the only one by default.
        label: Column of classes, names or numbers; `label` by default if there is one. Empty for
            no labels.
        classes: Whose names numbers have: the data set's own, or `imagenet` for the order, names
            and templates of ImageNet's 1000 classes.

    Raises:
        ConfigError: If the split or a column does not exist or is of another kind.
        DataError: If the data set cannot be loaded or its labels have no names.
    """
    data, split = _load(place, split, config, revision)
    image = image_column(data, image)
    column = label_column(data, label)
    labelling = column_labels(data, column, classes=classes, name=place) if column else None
    chosen = {"config": config, "split": split, "revision": revision}
    options = "&".join(f"{key}={value}" for key, value in chosen.items() if value)
    name = f"hf:{place}" + (f"?{options}" if options else "")
    return HubImages(data, image=image, labelling=labelling, name=name)


def _load(place: str, split: str, config: str, revision: str) -> tuple[datasets.Dataset, str]:
    folder = Path(place).expanduser()
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        if config or revision:
            raise ConfigError(f"{folder} is saved data without config or revision; leave them out")
        return _load_saved(folder, split)
    source = str(folder) if folder.is_dir() else place
    try:
        if not split:
            names = datasets.get_dataset_split_names(
                source, config_name=config or None, revision=revision or None
            )
            split = _only_split(place, names)
        data = datasets.load_dataset(
            source, name=config or None, split=split, revision=revision or None
        )
    # One and the same fault, that nothing of that name can be loaded, comes as any of these.
    except (OSError, ValueError, DatasetsError) as error:
        raise DataError(
            f"cannot load the data set '{place}' ({error}); check its name, split and config, "
            "and the connection"
        ) from error
    if not isinstance(data, datasets.Dataset):
        raise ConfigError(f"'{place}': split={split} names several splits; choose one")
    return data, split


def _load_saved(folder: Path, split: str) -> tuple[datasets.Dataset, str]:
    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read ({error}); save it again") from error
    if isinstance(data, datasets.Dataset):
        if split:
            raise ConfigError(f"{folder} is one saved split; leave split={split} out")
        return data, ""
    splits = {str(name): part for name, part in data.items()}
    split = split or _only_split(str(folder), list(splits))
    if split not in splits:
        raise ConfigError(unknown_name("split", split, splits))
    return splits[split], split


def _only_split(place: str, known: Sequence[str]) -> str:
    if len(known) != 1:
        raise ConfigError(f"'{place}' has the splits {', '.join(known)}; add split= to the name")
    return known[0]
