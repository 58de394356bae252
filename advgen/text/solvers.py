"""Orthogonal matching pursuit by name of its solver."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.text.batched_omp import BatchedOmp
from advgen.text.sklearn_omp import SklearnOmp
from advgen.text.sparse import Solver, SparseCodes

SOLVERS: dict[str, type[BatchedOmp] | type[SklearnOmp]] = {
    BatchedOmp.name: BatchedOmp,
    SklearnOmp.name: SklearnOmp,
}


def make_solver(name: str = "batched") -> Solver:
    """A solver by name.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in SOLVERS:
        raise ConfigError(f"unknown solver '{name}'; choose one of {', '.join(SOLVERS)}")
    return SOLVERS[name]()


def omp(
    targets: Float[Tensor, "target embed"],
    atoms: Float[Tensor, "atom embed"],
    nonzeros: int,
    *,
    solver: str = "batched",
) -> SparseCodes:
    """Orthogonal matching pursuit: r_n is close to sum_j gamma_j^n t_j (paper Sec. 4.2).

    Args:
        targets: Directions r_n.
        atoms: Texts t_j, treated (`make_atoms`).
        nonzeros: Atoms per target (m).
        solver: `batched` or `sklearn`; in float64 both choose the same atoms.

    Returns:
        Codes of every target, largest |gamma| first.

    Raises:
        ConfigError: If there is no solver of that name.
        ValueError: See `Solver.solve`.
    """
    return make_solver(solver).solve(targets, atoms, nonzeros)
