"""Opening what concept discovery needs: model, directions, pool and the neurons' codes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial

import torch

from advgen.attack.progress import Progress
from advgen.config import AttackConfig
from advgen.evaluate.concepts.discover import ConceptFinder, ConceptRule
from advgen.imagesets.batches import PixelBatch, PixelBatches
from advgen.lens import NeuronDirections, SecondOrderLens
from advgen.neurons import open_catalogue
from advgen.store import ArtifactStore
from advgen.text import (
    EncodedPool,
    Solver,
    SparseCodes,
    decompose,
    encode_pool,
    load_pool,
    make_atoms,
    make_solver,
)

KIND = "codes"
RECIPE = 1
"""Raised whenever the same inputs would give other codes."""
_CHUNK = 256


def open_finder(
    config: AttackConfig, rule: ConceptRule, store: ArtifactStore, progress: Progress
) -> ConceptFinder:
    """Load the model; take directions and codes from the store, or compute and store them.

    Args:
        config: Model, lens and text settings; the attack's own settings are not read.
        rule: How activated neurons become words.
        store: Where directions and codes are kept.
        progress: Listener.

    Raises:
        ConfigError: If a layer or the pool does not exist.
        AdvgenError: For any other fault a user can fix.
    """
    pool = load_pool(config.text.pool)
    catalogue = open_catalogue(config, store, progress)
    progress.stage(f"encoding the text pool {config.text.pool}")
    encoded = encode_pool(catalogue.clip, pool)
    for note in encoded.pool.notes:
        progress.note(f"text pool {config.text.pool}: {note}")
    layers = sorted(catalogue.directions)
    lens = SecondOrderLens(catalogue.clip, layers, treatment=config.lens.treatment)
    finder = partial(ConceptFinder, lens, catalogue.directions, encoded.pool.texts, rule)
    if rule.score == "projection":
        return finder(atoms=make_atoms(encoded.embeddings, config.text.atoms))
    codes = codes_cached(
        store,
        catalogue.directions,
        encoded,
        make_solver(),
        nonzeros=config.text.nonzeros,
        atoms=config.text.atoms,
        progress=progress,
    )
    return finder(codes=codes)


def codes_cached(
    store: ArtifactStore,
    directions: Mapping[int, NeuronDirections],
    encoded: EncodedPool,
    solver: Solver,
    *,
    nonzeros: int,
    atoms: str,
    progress: Progress,
) -> SparseCodes:
    """Sparse codes of all neurons of some layers, layer by layer; computed once per store.

    Args:
        store: Where codes are kept, by what they were made of.
        directions: Layer -> directions.
        encoded: The pool.
        solver: What finds the codes.
        nonzeros: Words per neuron (m).
        atoms: Treatment of the embeddings.
        progress: Advanced by the number of neurons.

    Returns:
        Values in float32, as they are stored.

    Raises:
        StoreError: If the codes cannot be written.
    """
    targets = torch.cat([directions[layer].direction.float() for layer in sorted(directions)])
    fields = {
        "recipe": RECIPE,
        "directions": _digest(targets),
        "embeddings": _digest(encoded.embeddings),
        "pool": encoded.pool.sha256,
        "nonzeros": nonzeros,
        "atoms": atoms,
    }
    found = store.lookup(KIND, fields)
    if found.reason is not None:
        progress.note(f"ignored {found.reason}")
    if found.artifact is not None:
        return SparseCodes(found.artifact.tensors["indices"], found.artifact.tensors["values"])
    progress.stage(f"sparse codes over {encoded.pool.name}", len(targets))
    parts = []
    for part in targets.split(_CHUNK):
        parts.append(decompose(part, encoded, solver, nonzeros=nonzeros, atoms=atoms))
        progress.advance(len(part))
    codes = SparseCodes(
        torch.cat([part.indices for part in parts]),
        torch.cat([part.values for part in parts]).float(),
    )
    store.save(KIND, fields, {"indices": codes.indices, "values": codes.values})
    return codes


def readable_batches(source: PixelBatches, progress: Progress) -> Iterator[PixelBatch]:
    """The batches that have a readable image; the other images are noted.

    Raises:
        DataError: At the end, if no image could be read.
    """
    for batch in source:
        for item in batch.skipped:
            progress.note(f"skipped an unreadable image: {item.name} ({item.reason})")
        if batch.indices:
            yield batch
        progress.advance(len(batch.indices) + len(batch.skipped))


def _digest(rows: torch.Tensor) -> str:
    return hashlib.sha256(rows.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
