"""Sparse codes: a direction as a short, signed sum of atoms (paper Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SparseCodes:
    """Sparse codes of several targets.

    Attributes:
        indices: Int [target, nonzero], atom numbers in order of decreasing |value|; -1 pads.
        values: Float [target, nonzero], signed coefficients gamma_j^n; 0 where padded.
    """

    indices: Int[Tensor, "target nonzero"]
    values: Float[Tensor, "target nonzero"]

    def dense(self, atoms: int) -> Float[Tensor, "target atom"]:
        """The codes as rows over all atoms."""
        rows = self.values.new_zeros(len(self.indices), atoms + 1)
        rows.scatter_(1, self.indices.where(self.indices >= 0, atoms), self.values)
        return rows[:, :-1]

    def reconstruct(self, rows: Float[Tensor, "atom embed"]) -> Float[Tensor, "target embed"]:
        """The sums that the codes stand for, `sum_j gamma_j t_j`, in the space of `rows`."""
        chosen = rows[self.indices.clamp_min(0)].to(self.values.dtype)
        return torch.einsum("tk,tke->te", self.values, chosen)


@runtime_checkable
class Solver(Protocol):
    """Finds sparse codes."""

    name: str

    def solve(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        nonzeros: int,
    ) -> SparseCodes:
        """At most `nonzeros` atoms per target that together come close to it.

        Args:
            targets: What is to be written as sums, any length.
            atoms: Rows of a pool, any length; selection goes by the plain inner product.
            nonzeros: Atoms per target (m).

        Returns:
            Codes on the targets' device, float64 if an input is float64, else float32.

        Raises:
            ValueError: If shapes disagree, a number is not finite, or `nonzeros` exceeds what the
                space or the pool allows.
        """
        ...

    def solve_lengths(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        lengths: Sequence[int],
    ) -> dict[int, SparseCodes]:
        """The codes of `solve` for several numbers of atoms, at about the cost of the greatest.

        Raises:
            ValueError: As `solve`.
        """
        ...


def checked(
    targets: Float[Tensor, "target embed"],
    atoms: Float[Tensor, "atom embed"],
    nonzeros: int,
) -> tuple[Float[Tensor, "target embed"], Float[Tensor, "atom embed"]]:
    """Both inputs in one dtype (float64 if either is, else float32) on the targets' device.

    Raises:
        ValueError: See `Solver.solve`.
    """
    if targets.shape[-1] != atoms.shape[-1]:
        raise ValueError(
            f"expected targets and atoms in one space; got targets have {targets.shape[-1]} "
            f"dimensions, atoms {atoms.shape[-1]}"
        )
    limit = min(atoms.shape)
    if not 1 <= nonzeros <= limit:
        raise ValueError(f"expected nonzeros between 1 and {limit} here, got {nonzeros}")
    double = torch.float64 in (targets.dtype, atoms.dtype)
    dtype = torch.float64 if double else torch.float32
    pair = targets.detach().to(dtype), atoms.detach().to(targets.device, dtype)
    for name, tensor in zip(("targets", "atoms"), pair, strict=True):
        if not torch.isfinite(tensor).all():
            raise ValueError(f"expected finite {name}; got NaN or infinity")
    return pair


def sorted_codes(
    indices: Int[Tensor, "target nonzero"], values: Float[Tensor, "target nonzero"]
) -> SparseCodes:
    """Codes with the largest magnitude first; entries of value 0 become padding."""
    order = torch.argsort(values.abs(), dim=1, descending=True, stable=True)
    values = values.gather(1, order)
    indices = indices.gather(1, order)
    return SparseCodes(indices.where(values != 0, -1), values)
