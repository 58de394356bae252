"""Orthogonal matching pursuit: a direction as a sparse, signed sum of atoms (paper Sec. 4.2)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import orthogonal_mp
from torch import Tensor

from advgen.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SparseCodes:
    """Sparse codes of several targets.

    Attributes:
        indices: Int [target, nonzero], atom numbers in order of decreasing |coefficient|; -1 pads.
        coefficients: Float [target, nonzero], signed; 0 where padded.
    """

    indices: Int[Tensor, "target nonzero"]
    coefficients: Float[Tensor, "target nonzero"]

    def dense(self, atoms: int) -> Float[Tensor, "target atom"]:
        """The codes as rows over all atoms."""
        rows = self.coefficients.new_zeros(len(self.indices), atoms + 1)
        rows.scatter_(1, self.indices.where(self.indices >= 0, atoms), self.coefficients)
        return rows[:, :-1]


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
        """At most `nonzeros` atoms per target that together come closest to it.

        Raises:
            ValueError: If shapes disagree or `nonzeros` exceeds what the space or the pool allows.
        """
        ...


class SklearnOmp:
    """scikit-learn's `orthogonal_mp`, one target after the other, in float64."""

    name = "sklearn"

    def solve(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        nonzeros: int,
    ) -> SparseCodes:
        """See `Solver.solve`."""
        if targets.shape[-1] != atoms.shape[-1]:
            raise ValueError(
                f"targets have {targets.shape[-1]} dimensions, atoms {atoms.shape[-1]}"
            )
        limit = min(atoms.shape)
        if not 1 <= nonzeros <= limit:
            raise ValueError(f"nonzeros must be between 1 and {limit} here, got {nonzeros}")
        dictionary = atoms.double().cpu().numpy().T
        wanted = targets.double().cpu().numpy().T
        with warnings.catch_warnings():
            # Raised when the residual reaches zero early: the code is exact then, and shorter.
            warnings.filterwarnings("ignore", message="Orthogonal matching pursuit ended")
            dense = orthogonal_mp(dictionary, wanted, n_nonzero_coefs=nonzeros)
        return _sorted_codes(np.asarray(dense).reshape(len(atoms), -1).T, nonzeros)


SOLVERS: dict[str, type[SklearnOmp]] = {"sklearn": SklearnOmp}


def make_solver(name: str) -> Solver:
    """A solver by name.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in SOLVERS:
        raise ConfigError(f"unknown solver '{name}'; choose one of {', '.join(SOLVERS)}")
    return SOLVERS[name]()


def _sorted_codes(dense: np.ndarray, nonzeros: int) -> SparseCodes:
    order = np.argsort(-np.abs(dense), axis=1, kind="stable")[:, :nonzeros]
    values = np.take_along_axis(dense, order, axis=1)
    indices = np.where(values != 0.0, order, -1)
    return SparseCodes(torch.from_numpy(indices), torch.from_numpy(values).float())
