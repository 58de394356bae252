"""Mining words for every cell of an attack, and keeping them in `words.json`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch

from advgen import registry
from advgen.attack.evidence import gather_evidence, target_filter
from advgen.attack.progress import Progress
from advgen.config import AttackConfig
from advgen.errors import ConfigError
from advgen.generation.layout import Cell
from advgen.mining import USES_CHANCE, Evidence, TargetFilter, keep_words
from advgen.models import ClipModel
from advgen.records import (
    ClassPair,
    DroppedWord,
    MinedWord,
    Neuron,
    NeuronShare,
    WordList,
)
from advgen.scoring import class_embeddings
from advgen.seeds import derive_seed
from advgen.store import ArtifactStore


def mine_cells(
    config: AttackConfig, clip: ClipModel, store: ArtifactStore, progress: Progress
) -> list[WordList]:
    """Words of every pair, method and repeat of an attack."""
    evidence = gather_evidence(config, clip, store, progress)
    words = target_filter(config)
    classes = pair_classes(config, clip)
    cells = cells_of(config)
    progress.stage("mining words", len(cells))
    found: dict[tuple[ClassPair, str], WordList] = {}
    lists = []
    for cell in cells:
        key = (cell.pair, cell.method)
        if key not in found or cell.method in USES_CHANCE:
            true, target = classes[cell.pair]
            found[key] = mine_words(evidence, cell, target - true, words, config)
        lists.append(dataclasses.replace(found[key], repeat=cell.repeat))
        progress.advance()
    return lists


def mine_words(
    evidence: Evidence,
    cell: Cell,
    contrast: torch.Tensor,
    words: TargetFilter,
    config: AttackConfig,
) -> WordList:
    """Mined words of one cell, filtered.

    Args:
        evidence: What is known of the attacked model.
        cell: Pair, method and repeat.
        contrast: v = M_text(target class) - M_text(true class), float [embed].
        words: Which words name the target class.
        config: How many to keep; its seed.
    """
    generator = torch.Generator().manual_seed(derive_seed(config.seed, "mine", cell.slug))
    ranked = registry.resolve("method", cell.method)(evidence, cell.pair, contrast, generator)
    kept, dropped = keep_words(ranked, cell.pair.target_class, words, config.mining.words)
    if not kept:
        raise ConfigError(f"{cell.pair}: the method {cell.method} found no word; use a larger pool")
    return WordList(cell.pair, cell.method, cell.repeat, kept, dropped)


def cells_of(config: AttackConfig) -> list[Cell]:
    """Every pair with every method in every repeat, in report order."""
    return [
        Cell(pair, method, repeat)
        for pair in config.pairs
        for method in config.methods
        for repeat in range(config.repeats)
    ]


def pair_classes(config: AttackConfig, clip: ClipModel) -> dict[ClassPair, torch.Tensor]:
    """Unit embeddings [2, embed] of (true, target) for every pair."""
    return {
        pair: class_embeddings(clip, (pair.true_class, pair.target_class), config.model.templates)
        for pair in config.pairs
    }


def word_lists_from_json(text: str) -> list[WordList]:
    """Word lists from the text of `words.json`."""
    return [_word_list(row) for row in json.loads(text)]


def _word_list(row: dict[str, Any]) -> WordList:
    kept = tuple(
        MinedWord(
            word["word"],
            word["score"],
            tuple(NeuronShare(Neuron(**n["neuron"]), n["contribution"]) for n in word["neurons"]),
        )
        for word in row["kept"]
    )
    dropped = tuple(DroppedWord(**word) for word in row["dropped"])
    return WordList(ClassPair(**row["pair"]), row["method"], row["repeat"], kept, dropped)
