"""Storage of the per-image coefficients alpha while images stream by."""

import tempfile
import weakref
from dataclasses import dataclass
from typing import IO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ModelError, StoreError


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """One batch of the pass over images.

    Args:
        alpha: Layer -> coefficients on the rows of `EffectBasis.rows`; the last axis runs over
            (later layer, head), layer by layer.
        representation: Image embedding M_image(I), not normalised, in the scale of the effects.
    """

    alpha: dict[int, Float[Tensor, "image neuron later"]]
    representation: Float[Tensor, "image embed"]


class CoefficientTable:
    """All coefficients of one layer: in memory up to a budget, then in a temporary file.

    Args:
        neurons: Size of the neuron axis.
        later: Size of the (later layer, head) axis.
        dtype: Number format kept; half precision keeps 1000 images of a ViT-B-32 layer in 200 MB.
        budget: Bytes that may be held in memory.
    """

    def __init__(self, neurons: int, later: int, *, dtype: torch.dtype, budget: int) -> None:
        self.neurons = neurons
        self.later = later
        self.images = 0
        self._dtype = dtype
        self._budget = budget
        self._parts: list[Tensor] = []
        self._file: IO[bytes] | None = None

    @property
    def nbytes(self) -> int:
        """Size of the stored coefficients in bytes."""
        return self.images * self.neurons * self.later * self._dtype.itemsize

    @property
    def on_disk(self) -> bool:
        """Whether the budget was passed and the coefficients lie in a temporary file."""
        return self._file is not None

    def append(self, alpha: Float[Tensor, "image neuron later"]) -> None:
        """Add a batch.

        Raises:
            ValueError: If its neuron or later axis has another size.
            ModelError: If values do not fit the number format.
            StoreError: If the temporary file cannot be written.
        """
        if alpha.shape[1:] != (self.neurons, self.later):
            expected = (self.neurons, self.later)
            raise ValueError(f"expected alpha [image, {expected}]; got {tuple(alpha.shape)}")
        kept = alpha.to("cpu", self._dtype).contiguous()
        low, high = alpha.aminmax()
        limit = torch.finfo(self._dtype).max
        if not (-limit <= low and high <= limit):  # also where a value is NaN
            raise ModelError(
                f"the lens's coefficients are not finite in {self._dtype}: check the weights and "
                "images for NaN, then try alpha_dtype=torch.float32"
            )
        self.images += kept.shape[0]
        if self._file is None and self.nbytes <= self._budget:
            self._parts.append(kept)
        else:
            self._spill(kept)

    def rows(self, neurons: slice) -> Float[Tensor, "image neuron later"]:
        """The coefficients of some neurons over all images, in the kept number format."""
        parts = self._parts if self._file is None else [self._mapped(self._file)]
        return torch.cat([part[:, neurons] for part in parts])

    def _spill(self, kept: Tensor) -> None:
        try:
            if self._file is None:
                # Outlives this call; closed with the table.
                self._file = tempfile.TemporaryFile(prefix="advgen-alpha-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            for part in [*self._parts, kept]:
                self._file.write(part.view(torch.uint8).numpy().data)
            self._file.flush()
        except OSError as error:
            raise StoreError(
                f"no room for {self.nbytes >> 20} MiB of lens coefficients in "
                f"{tempfile.gettempdir()} ({error.strerror}); set TMPDIR to a larger disk or use "
                "fewer images"
            ) from error
        self._parts = []

    def _mapped(self, file: IO[bytes]) -> Tensor:
        content = np.memmap(file, dtype=np.uint8, mode="r+", shape=(self.nbytes,))
        stored = torch.from_numpy(content).view(self._dtype)
        return stored.view(self.images, self.neurons, self.later)
