"""scikit-learn's orthogonal matching pursuit: the paper's solver, and the oracle of ours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from sklearn.linear_model import orthogonal_mp
from torch import Tensor

from advgen.text.sparse import SparseCodes, checked, sorted_codes


class SklearnOmp:
    """scikit-learn's `orthogonal_mp`, one target after the other, in float64 on the CPU."""

    name = "sklearn"

    def solve(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        nonzeros: int,
    ) -> SparseCodes:
        """See `Solver.solve`."""
        targets, atoms = checked(targets, atoms, nonzeros)
        with warnings.catch_warnings():
            # Raised when the residual reaches zero early: the code is exact then, and shorter.
            warnings.filterwarnings("ignore", message="Orthogonal matching pursuit ended")
            dense = orthogonal_mp(
                atoms.double().cpu().numpy().T,
                targets.double().cpu().numpy().T,
                n_nonzero_coefs=nonzeros,
            )
        rows = torch.from_numpy(np.asarray(dense).reshape(len(atoms), -1).T).to(targets)
        order = torch.argsort(rows.abs(), dim=1, descending=True, stable=True)[:, :nonzeros]
        return sorted_codes(order, rows.gather(1, order))

    def solve_lengths(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        lengths: Sequence[int],
    ) -> dict[int, SparseCodes]:
        """See `Solver.solve_lengths`; every length is solved for itself."""
        return {length: self.solve(targets, atoms, length) for length in lengths}
