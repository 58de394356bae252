"""ImageNet-Segmentation: photographs of ImageNet with masks, in one MATLAB file.

Guillaumin, Küttel and Ferrari, "ImageNet Auto-Annotation with Segmentation Propagation", IJCV 2014:
gtsegs_ijcv.mat, a MATLAB 7.3 file, which is HDF5. Its struct `value` has cell arrays `img`
(photographs), `gt` (cells with one mask), `target` and `id` (texts with WordNet ids).
"""

from __future__ import annotations

import re
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool
from PIL import Image

from advgen.errors import DataError
from advgen.evaluate.segmentation.masksets import MaskedImage, MaskSet
from advgen.imagesets.files import UnreadableImageError
from advgen.imagesets.imagenet import IMAGENET_CLASSES, IMAGENET_TEMPLATES, wordnet_ids
from advgen.imagesets.protocol import check_index
from advgen.store import sha256_file

FILE = "gtsegs_ijcv.mat"
_WNID = re.compile(r"n\d{8}")
_FAULTS = (KeyError, ValueError, TypeError, IndexError, OSError)


class GtSegs:
    """The set, read item by item.

    Args:
        path: The MATLAB file.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"imagenet-seg:{path}"
        self._path = path
        try:
            self._file: Any = h5py.File(path, "r")
        except OSError as error:
            raise DataError(
                f"{path} is not the HDF5 file that ImageNet-Segmentation comes as ({FILE}); "
                "fetch it again"
            ) from error
        missing = [key for key in ("img", "gt") if f"value/{key}" not in self._file]
        if missing:
            raise DataError(f"{path} has no /value/{missing[0]}: it is another file than {FILE}")
        self._count = len(self._cells("img"))

    @property
    def fingerprint(self) -> str:
        """See `MaskSet`; the file's SHA-256."""
        return self._fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """See `MaskSet`; the 1000 classes of ImageNet."""
        return IMAGENET_CLASSES

    @property
    def templates(self) -> tuple[str, ...]:
        """See `MaskSet`; OpenAI's 80."""
        return IMAGENET_TEMPLATES

    def __len__(self) -> int:
        """See `MaskSet`."""
        return self._count

    def __getitem__(self, index: int) -> MaskedImage:
        """See `MaskSet`.

        Raises:
            UnreadableImageError: If the file does not hold this item as it holds the others.
        """
        number = check_index(index, self._count)
        try:
            image = _image(self._follow(self._cells("img")[number]))
            mask = _mask(self._follow(self._cells("gt")[number]))
        except _FAULTS as error:
            raise UnreadableImageError(self.describe(index), str(error)) from error
        if mask.shape != (image.height, image.width):
            raise UnreadableImageError(
                self.describe(index), f"its mask is {mask.shape[1]} x {mask.shape[0]}"
            )
        return MaskedImage(image, mask, self.class_name(number))

    def describe(self, index: int) -> str:
        """See `MaskSet`."""
        return f"{self._path.name} item {check_index(index, self._count)}"

    def class_name(self, index: int) -> str | None:
        """Name of an item's class: as ImageNet's 1000 classes are called, else WordNet's own."""
        wnid = self._wnid(check_index(index, self._count))
        return None if wnid is None else wordnet_name(wnid)

    @cached_property
    def _fingerprint(self) -> str:
        return sha256_file(self._path)

    def _cells(self, key: str) -> Any:
        """The references of a cell array, which MATLAB writes as a row or a column."""
        return self._file[f"value/{key}"][()].reshape(-1)

    def _follow(self, reference: Any) -> np.ndarray:
        """The array behind a reference, through cells with one entry."""
        found = self._file[reference][()]
        while found.dtype == object:
            found = self._file[found.reshape(-1)[0]][()]
        return found

    def _wnid(self, number: int) -> str | None:
        for key in ("target", "id"):
            if f"value/{key}" not in self._file:
                continue
            try:
                letters = self._follow(self._cells(key)[number])
                text = "".join(chr(int(letter)) for letter in letters.reshape(-1))
            except _FAULTS:
                continue
            if found := _WNID.search(text):
                return found.group()
        return None


@cache
def _names() -> dict[str, str]:
    text = (resources.files("timm.data") / "_info" / "imagenet_synset_to_lemma.txt").read_text(
        encoding="utf-8"
    )
    pairs = (line.split("\t") for line in text.splitlines())
    every = {wnid: lemmas.split(",")[0].strip() for wnid, lemmas in pairs}
    return every | dict(zip(wordnet_ids(), IMAGENET_CLASSES, strict=True))


def wordnet_name(wnid: str) -> str | None:
    """How a WordNet id of ImageNet's 21841 reads; None for another one.

    Args:
        wnid: Such as ``"n01440764"``; those of the 1000 classes read as CLIP is prompted with them.
    """
    return _names().get(wnid)


def open_gtsegs(place: str) -> MaskSet:
    """The source `imagenet-seg:PATH`.

    Args:
        place: gtsegs_ijcv.mat, or the folder that holds it.

    Raises:
        DataError: If it is not there or another file.
    """
    path = Path(place).expanduser()
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"there is no file {path}; get {FILE} of ImageNet-Segmentation (calvin-vision.net, "
            "proj-imagenet) and write imagenet-seg:PATH"
        )
    return GtSegs(path)


def _image(stored: np.ndarray) -> Image.Image:
    """MATLAB stores [height, width, 3] with the first axis fastest: HDF5 sees it reversed."""
    if stored.ndim == 2:
        return Image.fromarray(np.ascontiguousarray(stored.T).astype(np.uint8)).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(stored.transpose(2, 1, 0)).astype(np.uint8))


def _mask(stored: np.ndarray) -> Bool[np.ndarray, "height width"]:
    if stored.ndim != 2:
        raise ValueError(f"its mask has {stored.ndim} axes")
    return np.ascontiguousarray(stored.T > 0)
