"""Coefficients in scratch files: written batch by batch, by several processes, taken up again.

A batch of images always has the same place, whoever writes it and whenever; a byte per batch says
that it is whole. A job that was killed goes on with the batches that lack their byte, and N
processes leave the same bytes as one.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.errors import StoreError
from advgen.imagesets.batches import PixelBatch, Skipped
from advgen.lens.coefficients import Coefficients, CoefficientTable, kept_format
from advgen.store import canonical_json, text_sha256, write_atomic

SCRATCH = "scratch"
_REPRESENTATION, _VALID, _DONE = "representation", "valid", "done"


def scratch_folder(root: Path, fields: Mapping[str, Any]) -> Path:
    """Where below an artifact store's root the job with these fields keeps its files."""
    return root / SCRATCH / text_sha256(canonical_json(fields))[:16]


class Scratch:
    """A folder with the coefficients of an image set.

    Args:
        folder: Where; its parent must be writable. Left alone until `begin`.
        fields: Everything that determines the numbers; files made from other fields are discarded.
        sizes: Layer -> (neurons, later).
        images: Images of the set.
        batch_size: Images per batch.
        embed: Size of the joint space.
        dtype: Number format of the coefficients.
    """

    def __init__(
        self,
        folder: Path,
        fields: Mapping[str, Any],
        sizes: Mapping[int, tuple[int, int]],
        *,
        images: int,
        batch_size: int,
        embed: int,
        dtype: torch.dtype,
    ) -> None:
        self._folder = folder
        self._sizes, self._images, self._batch_size = dict(sizes), images, batch_size
        self._dtype = dtype
        self._batches = -(-images // batch_size)
        self._fields = canonical_json({**fields, "batch_size": batch_size, "dtype": str(dtype)})
        self._widths = {
            _DONE: 1,
            _VALID: 1,
            _REPRESENTATION: embed * 4,
            **{self._name(layer): n * k * dtype.itemsize for layer, (n, k) in self._sizes.items()},
        }

    @property
    def nbytes(self) -> int:
        """Size of all files when full."""
        return self._images * sum(self._widths.values())

    def begin(self) -> None:
        """Make the files, or take up those that are there.

        Raises:
            StoreError: If the folder cannot be written.
        """
        manifest = self._folder / "manifest.json"
        try:
            found = manifest.read_text(encoding="utf-8") if manifest.is_file() else None
            if found is not None and found != self._fields:
                shutil.rmtree(self._folder)
            for name, width in self._widths.items():
                path = self._folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "ab") as file:
                    file.truncate((self._batches if name == _DONE else self._images) * width)
        except OSError as error:
            raise self._no_room(error) from error
        write_atomic(manifest, self._fields)

    def missing(self) -> list[int]:
        """Numbers of the batches that nobody has written yet."""
        done = np.fromfile(self._folder / _DONE, dtype=np.uint8)
        return np.flatnonzero(done == 0).tolist()

    def put(self, number: int, batch: PixelBatch, coefficients: Coefficients | None) -> None:
        """Write one batch.

        Args:
            number: Its number.
            batch: Which images it holds and which could not be read.
            coefficients: Of the images it holds, in order; None if it holds none.

        Raises:
            ModelError: If values do not fit the number format.
            StoreError: If there is no room.
        """
        if batch.skipped:
            rows = [{"index": s.index, "name": s.name, "reason": s.reason} for s in batch.skipped]
            write_atomic(self._folder / "skipped" / f"{number:08d}.json", json.dumps(rows))
        valid = np.zeros(min(self._batch_size, self._images - number * self._batch_size), np.uint8)
        valid[[index - number * self._batch_size for index in batch.indices]] = 1
        try:
            if coefficients is not None:
                wide = coefficients.representation.to("cpu", torch.float32)
                self._put_rows(_REPRESENTATION, batch.indices, wide)
                for layer, alpha in coefficients.alpha.items():
                    kept = kept_format(alpha, self._dtype)
                    self._put_rows(self._name(layer), batch.indices, kept)
            self._write(_VALID, number * self._batch_size, valid.tobytes())
            self._write(_DONE, number, b"\1")
        except OSError as error:
            raise self._no_room(error) from error

    def tables(self) -> dict[int, CoefficientTable]:
        """The table of every layer, read from the files as needed."""
        numbers = self.numbers()
        return {
            layer: _MappedTable(self._folder / self._name(layer), n, k, self._dtype, numbers)
            for layer, (n, k) in self._sizes.items()
        }

    def numbers(self) -> Int[Tensor, " image"]:
        """Numbers of the readable images in their set."""
        return torch.from_numpy(np.fromfile(self._folder / _VALID, dtype=np.uint8)).nonzero()[:, 0]

    def representation(self) -> Float[Tensor, "image embed"]:
        """Embeddings of the readable images, in float32."""
        rows = np.fromfile(self._folder / _REPRESENTATION, dtype=np.float32)
        return torch.from_numpy(rows).view(self._images, -1)[self.numbers()]

    def skipped(self) -> list[Skipped]:
        """The images that could not be read."""
        files = sorted((self._folder / "skipped").glob("*.json"))
        return [Skipped(**row) for file in files for row in json.loads(file.read_text("utf-8"))]

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _put_rows(self, name: str, indices: list[int], rows: Tensor) -> None:
        content = rows.view(torch.uint8).numpy()
        if indices == list(range(indices[0], indices[0] + len(indices))):
            self._write(name, indices[0], content.tobytes())
            return
        for index, row in zip(indices, content, strict=True):
            self._write(name, index, row.tobytes())

    def _write(self, name: str, position: int, content: bytes) -> None:
        descriptor = os.open(self._folder / name, os.O_WRONLY)
        try:
            start, view = position * self._widths[name], memoryview(content)
            while view:  # pwrite may write less than it was given
                written = os.pwrite(descriptor, view, start)
                start, view = start + written, view[written:]
        finally:
            os.close(descriptor)

    def _no_room(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot write the lens's coefficients ({self.nbytes >> 20} MiB) to {self._folder} "
            f"({error.strerror}); what is there is kept: free the space and repeat the command, "
            "or set ADVGEN_CACHE to a larger disk"
        )

    @staticmethod
    def _name(layer: int) -> str:
        return f"layer-{layer}.alpha"


class _MappedTable(CoefficientTable):
    def __init__(
        self, path: Path, neurons: int, later: int, dtype: torch.dtype, numbers: Tensor
    ) -> None:
        super().__init__(neurons, later)
        self._numbers = numbers
        content = torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="r+"))
        self._all = content.view(dtype).view(-1, neurons, later)

    @property
    def images(self) -> int:
        return len(self._numbers)

    @property
    def numbers(self) -> Tensor:
        return self._numbers

    def rows(self, neurons: slice) -> Tensor:
        chosen = self._all[:, neurons]
        return chosen.clone() if len(chosen) == self.images else chosen[self._numbers]
