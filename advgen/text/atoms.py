"""Atoms: pool embeddings made ready for a sparse decomposition, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.text.sparse import SparseCodes

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Atoms:
    """The rows that a decomposition chooses from, with the map back to the CLIP's joint space.

    The target of a decomposition is not treated, only the atoms t_j are. So `sum_j gamma_j t_j` is
    what lies close to r_n, and a treatment that scales dimensions (`authors`) bends what that sum
    says about texts.

    Attributes:
        rows: Float [atom, embed], what the solver sees.
        treatment: Name of the treatment.
        stretch: Float [embed], what the treatment multiplied each dimension by; ones unless
            `authors`.
    """

    rows: Float[Tensor, "atom embed"]
    treatment: str
    stretch: Float[Tensor, " embed"]

    def approximate(self, codes: SparseCodes) -> Float[Tensor, "target embed"]:
        """What the solver brought close to the targets, `sum_j gamma_j t_j`."""
        return codes.reconstruct(self.rows)

    def reconstruct(self, codes: SparseCodes) -> Float[Tensor, "target embed"]:
        """The description `r_hat` in the CLIP's joint space, as text embeddings lie in it.

        `unit`: `sum_j gamma_j u_j` with u_j the unit embeddings, the same as `approximate` (paper
        Sec. 4.2). `centered-unit`: the same as `approximate`; an atom is a difference of
        embeddings there, shortened or lengthened, which leaves the space as it is. `authors`: the
        stretch of each dimension is divided out, which leaves `sum_j gamma_j (u_j - mean)`; OMP
        fitted the stretched sum, so this one can be compared with r_n by direction only. The mean
        stays off: texts were told apart by what differs from it.

        Differs from the paper: the paper writes down `unit` only.

        Args:
            codes: Codes over `rows`.
        """
        return self.approximate(codes) / self.stretch.to(codes.values.dtype)


def unit(embeddings: Float[Tensor, "atom embed"]) -> Atoms:
    """L2-normalised text embeddings, as the paper's text says (Sec. 4.2)."""
    return _unstretched(_unit(embeddings), "unit")


def centered_unit(embeddings: Float[Tensor, "atom embed"]) -> Atoms:
    """Pool mean taken off the unit embeddings, then L2-normalised: removes the modality cone."""
    rows = _unit(embeddings)
    return _unstretched(_unit(rows - rows.mean(dim=0)), "centered-unit")


def authors(embeddings: Float[Tensor, "atom embed"]) -> Atoms:
    """The released code's recipe: unit, x100, centred, divided by the norm of each dimension, x100.

    Differs from the paper: this whitens each dimension over the pool, so other words are selected.
    """
    rows = 100 * _unit(embeddings)
    rows = rows - rows.mean(dim=0)
    norms = rows.norm(dim=0).clamp_min(_TINY)
    return Atoms(100 * rows / norms, "authors", 100 * 100 / norms)


ATOM_TREATMENTS: dict[str, Callable[[Tensor], Atoms]] = {
    "unit": unit,
    "centered-unit": centered_unit,
    "authors": authors,
}


def treat_atoms(embeddings: Float[Tensor, "atom embed"], treatment: str) -> Atoms:
    """Apply a named treatment.

    Args:
        embeddings: Text embeddings of a pool, any length.
        treatment: A name of `ATOM_TREATMENTS`.

    Raises:
        ConfigError: If there is no treatment of that name.
    """
    if treatment not in ATOM_TREATMENTS:
        raise ConfigError(
            f"unknown treatment of atoms '{treatment}'; choose one of {', '.join(ATOM_TREATMENTS)}"
        )
    with torch.no_grad():
        return ATOM_TREATMENTS[treatment](embeddings)


def make_atoms(
    embeddings: Float[Tensor, "atom embed"], treatment: str
) -> Float[Tensor, "atom embed"]:
    """The rows of `treat_atoms`.

    Raises:
        ConfigError: If there is no treatment of that name.
    """
    return treat_atoms(embeddings, treatment).rows


def _unit(rows: Float[Tensor, "atom embed"]) -> Float[Tensor, "atom embed"]:
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def _unstretched(rows: Float[Tensor, "atom embed"], treatment: str) -> Atoms:
    return Atoms(rows, treatment, rows.new_ones(rows.shape[1]))
