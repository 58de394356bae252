"""Storage of the per-image coefficients alpha while images stream by."""

import tempfile
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.errors import ModelError, StoreError


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """One batch of the pass over images.

    Args:
        alpha: Layer -> coefficients on the rows of `EffectBasis.rows`; the last axis runs over
            (later layer, head, pool head), layer by layer.
        representation: Image embedding M_image(I), not normalised, in the scale of the effects.
    """

    alpha: dict[int, Float[Tensor, "image neuron later"]]
    representation: Float[Tensor, "image embed"]


class CoefficientTable(ABC):
    """All coefficients of one layer.

    Args:
        neurons: Size of the neuron axis.
        later: Size of the (later layer, head, pool head) axis.
    """

    def __init__(self, neurons: int, later: int) -> None:
        self.neurons = neurons
        self.later = later

    @property
    @abstractmethod
    def images(self) -> int:
        """Images that are in the table."""

    @property
    def numbers(self) -> Int[Tensor, " image"]:
        """The number of each image in its image set (unreadable ones are not in the table)."""
        return torch.arange(self.images)

    @abstractmethod
    def rows(self, neurons: slice) -> Float[Tensor, "image neuron later"]:
        """The coefficients of some neurons over all images, in the kept number format."""


class StreamedTable(CoefficientTable):
    """A table that grows: in memory up to a budget, then in a temporary file.

    Args:
        neurons: See `CoefficientTable`.
        later: See `CoefficientTable`.
        dtype: Number format kept; half precision keeps 1000 images of a ViT-B-32 layer in 200 MB.
        budget: Bytes that may be held in memory.
    """

    def __init__(self, neurons: int, later: int, *, dtype: torch.dtype, budget: int) -> None:
        super().__init__(neurons, later)
        self._dtype = dtype
        self._budget = budget
        self._images = 0
        self._parts: list[Tensor] = []
        self._numbers: list[Tensor] = []
        self._file: IO[bytes] | None = None

    @property
    def images(self) -> int:
        """See `CoefficientTable.images`."""
        return self._images

    @property
    def numbers(self) -> Int[Tensor, " image"]:
        """See `CoefficientTable.numbers`."""
        return torch.cat(self._numbers)

    @property
    def nbytes(self) -> int:
        """Size of the stored coefficients in bytes."""
        return self.images * self.neurons * self.later * self._dtype.itemsize

    @property
    def on_disk(self) -> bool:
        """Whether the budget was passed and the coefficients lie in a temporary file."""
        return self._file is not None

    def append(
        self,
        alpha: Float[Tensor, "image neuron later"],
        numbers: Int[Tensor, " image"] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            alpha: Coefficients.
            numbers: The images' numbers in their set; the next ones if None.

        Raises:
            ValueError: If its neuron or later axis has another size.
            ModelError: If values do not fit the number format.
            StoreError: If the temporary file cannot be written.
        """
        if alpha.shape[1:] != (self.neurons, self.later):
            expected = (self.neurons, self.later)
            raise ValueError(f"expected alpha [image, {expected}]; got {tuple(alpha.shape)}")
        kept = kept_format(alpha, self._dtype)
        following = torch.arange(self._images, self._images + len(kept))
        self._numbers.append(following if numbers is None else numbers)
        self._images += len(kept)
        if self._file is None and self.nbytes <= self._budget:
            self._parts.append(kept)
        else:
            self._spill(kept)

    def rows(self, neurons: slice) -> Float[Tensor, "image neuron later"]:
        """See `CoefficientTable.rows`."""
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


def kept_format(
    alpha: Float[Tensor, "image neuron later"], dtype: torch.dtype
) -> Float[Tensor, "image neuron later"]:
    """Coefficients on the CPU in the number format that is kept.

    Raises:
        ModelError: If values do not fit it.
    """
    low, high = alpha.aminmax()
    limit = torch.finfo(dtype).max
    if not (-limit <= low and high <= limit):  # also where a value is NaN
        raise ModelError(
            f"the lens's coefficients are not finite in {dtype}: check the weights and "
            "images for NaN, then try alpha_dtype=torch.float32"
        )
    return alpha.to("cpu", dtype).contiguous()
