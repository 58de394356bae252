"""Atoms: pool embeddings made ready for a sparse decomposition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError

_TINY = 1e-12


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def unit(embeddings: Float[Tensor, "atom embed"]) -> Float[Tensor, "atom embed"]:
    """L2-normalised text embeddings, as the paper's text says (Sec. 4.2)."""
    return _unit(embeddings)


def centered_unit(embeddings: Float[Tensor, "atom embed"]) -> Float[Tensor, "atom embed"]:
    """Pool mean taken off the unit embeddings, then L2-normalised: removes the modality cone."""
    rows = _unit(embeddings)
    return _unit(rows - rows.mean(dim=0))


def authors(embeddings: Float[Tensor, "atom embed"]) -> Float[Tensor, "atom embed"]:
    """The released code's recipe: unit, x100, centred, divided by the norm of each dimension, x100.

    Differs from the paper: this whitens each dimension over the pool, so other words are selected.
    """
    rows = 100 * _unit(embeddings)
    rows = rows - rows.mean(dim=0)
    return 100 * rows / rows.norm(dim=0, keepdim=True).clamp_min(_TINY)


ATOM_TREATMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "unit": unit,
    "centered-unit": centered_unit,
    "authors": authors,
}


def make_atoms(
    embeddings: Float[Tensor, "atom embed"], treatment: str
) -> Float[Tensor, "atom embed"]:
    """Apply a named treatment.

    Raises:
        ConfigError: If there is no treatment of that name.
    """
    if treatment not in ATOM_TREATMENTS:
        raise ConfigError(
            f"unknown treatment of atoms '{treatment}'; choose one of {', '.join(ATOM_TREATMENTS)}"
        )
    with torch.no_grad():
        return ATOM_TREATMENTS[treatment](embeddings)
