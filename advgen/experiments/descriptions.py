"""Directions written as texts of several pools and at several lengths, with random words beside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from advgen.errors import ConfigError
from advgen.experiments.subject import Subject
from advgen.lens import NeuronDirections
from advgen.text import (
    Atoms,
    EncodedPool,
    SparseCodes,
    TextPool,
    encode_pool,
    load_pool,
    make_solver,
    treat_atoms,
)

RANDOM = "random words"
_PART = re.compile(r"(?P<pool>.+)@(?P<count>[1-9]\d*)")

Key = tuple[str, int]
"""Pool, or `RANDOM`, and texts per neuron."""


@dataclass(frozen=True, slots=True, eq=False)
class Descriptions:
    """One layer's directions as texts.

    Attributes:
        atoms: Pool -> its treated embeddings.
        codes: Pool and length -> sparse codes.
        vectors: The same keys and (`RANDOM`, length) -> r_hat_n, what takes the place of r_n.
    """

    atoms: dict[str, Atoms]
    codes: dict[Key, SparseCodes]
    vectors: dict[Key, Float[Tensor, "neuron embed"]]


def open_pool(spec: str, seed: int) -> TextPool:
    """A pool by name, or a part of one.

    Args:
        spec: As for `advgen.text.load_pool`; `POOL@N` takes N of its texts by chance.
        seed: Of that choice.

    Raises:
        ConfigError: If there is no such pool or it has fewer texts.
        DataError: If a file cannot be read.
    """
    part = _PART.fullmatch(spec)
    if part is None:
        return load_pool(spec)
    whole, count = load_pool(part["pool"]), int(part["count"])
    if count > len(whole.texts):
        raise ConfigError(f"the pool '{part['pool']}' has {len(whole.texts)} texts, not {count}")
    order = torch.randperm(len(whole.texts), generator=torch.Generator().manual_seed(seed))
    kept = sorted(order[:count].tolist())
    return TextPool(spec, tuple(whole.texts[number] for number in kept), whole.notes)


def encode_pools(subject: Subject, specs: Sequence[str]) -> dict[str, EncodedPool]:
    """Pools by name (`open_pool`) with their embeddings; what was left out is noted."""
    encoded = {}
    for spec in dict.fromkeys(specs):
        pool = open_pool(spec, subject.config.seed)
        subject.progress.stage(f"encoding the text pool {spec}")
        encoded[spec] = encode_pool(subject.clip, pool)
        for note in encoded[spec].pool.notes:
            subject.progress.note(f"text pool {spec}: {note}")
    return encoded


def usable_lengths(lengths: Sequence[int], encoded: Mapping[str, EncodedPool]) -> tuple[int, ...]:
    """The lengths that every pool and the space allow, ascending; that limit if none does."""
    limit = min(min(pool.embeddings.shape) for pool in encoded.values())
    return tuple(sorted({length for length in lengths if length <= limit} or {limit}))


def describe_layer(
    subject: Subject,
    directions: NeuronDirections,
    encoded: Mapping[str, EncodedPool],
    lengths: Sequence[int],
    seed: int,
) -> Descriptions:
    """Write a layer's directions as texts of every length.

    Random words, `RANDOM`, are texts of the first pool drawn by chance for each neuron, the shorter
    descriptions being the beginning of the longer ones, with coefficients fitted by least squares.

    Args:
        subject: Gives treatment of atoms, solver and device.
        directions: Of one layer.
        encoded: The pools.
        lengths: Texts per neuron.
        seed: Of the random words.

    Source: arXiv 2406.04341, Sec. 4.2. Differs from the paper: the random words are ours.
    """
    config, device = subject.config, subject.clip.device
    solver = make_solver(config.solver)
    targets = directions.direction.to(device)
    atoms = {
        name: treat_atoms(pool.embeddings.to(device), config.atoms)
        for name, pool in encoded.items()
    }
    codes = {
        (name, length): code
        for name, dictionary in atoms.items()
        for length, code in solver.solve_lengths(targets, dictionary.rows, lengths).items()
    }
    vectors = {key: atoms[key[0]].approximate(code).cpu() for key, code in codes.items()}
    first = next(iter(atoms.values()))
    drawn = drawn_words(len(directions), len(first.rows), max(lengths), seed).to(device)
    for length in lengths:
        fitted = least_squares(targets, first.rows, drawn[:, :length])
        vectors[RANDOM, length] = fitted.cpu()
    return Descriptions(atoms, codes, vectors)


def drawn_words(neurons: int, texts: int, length: int, seed: int) -> Tensor:
    """Distinct text numbers by chance for every neuron, ``[neuron, length]``."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randperm(texts, generator=generator)[:length] for _ in range(neurons)]
    return torch.stack(rows)


def least_squares(
    targets: Float[Tensor, "neuron embed"], rows: Float[Tensor, "atom embed"], chosen: Tensor
) -> Float[Tensor, "neuron embed"]:
    """The sums of each target's chosen rows that come closest to it.

    Args:
        targets: What is to be approached.
        rows: Atoms.
        chosen: Row numbers per target, ``[neuron, length]``.
    """
    parts = []
    for target, numbers in zip(targets.split(256), chosen.split(256), strict=True):
        basis = torch.linalg.qr(rows[numbers].transpose(1, 2).to(target)).Q
        parts.append((basis @ (basis.transpose(1, 2) @ target[:, :, None]))[:, :, 0])
    return torch.cat(parts)


def mean_cosine(directions: NeuronDirections, vectors: Float[Tensor, "neuron embed"]) -> float:
    """Mean cosine of r_n and r_hat_n over the neurons that have a direction; NaN if none has."""
    speaking = directions.direction.norm(dim=1) > 0
    found = torch.cosine_similarity(directions.direction[speaking], vectors[speaking], dim=1)
    return found.double().mean().item()
