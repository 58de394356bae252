"""Sentences for every cell of an attack, and keeping them in `descriptions.jsonl`."""

from __future__ import annotations

import json
from typing import Any

from advgen.attack.progress import Progress
from advgen.attack.units import Unit
from advgen.config import AttackConfig
from advgen.generation.describe import choose_descriptions
from advgen.generation.layout import Cell
from advgen.generation.protocols import Describer
from advgen.mining import TargetFilter
from advgen.records import ClassPair, Description, WordList, to_json
from advgen.seeds import derive_seed


def write_sentences(
    config: AttackConfig,
    lists: list[WordList],
    describer: Describer,
    names: TargetFilter,
    progress: Progress,
) -> str:
    """The text of `descriptions.jsonl`: every sentence written, with its cell, reason and rank.

    `rank` is the place of a sentence among those that are drawn, or null.
    """
    progress.stage(f"writing descriptions with {describer.name}", len(lists))
    lines: list[str] = []
    for word_list in lists:
        cell = Cell(word_list.pair, word_list.method, word_list.repeat)
        chosen, written = choose_descriptions(
            describer,
            cell.pair,
            tuple(word.word for word in word_list.kept),
            config.describe,
            target_synonyms=names.synonyms.get(cell.pair.target_class, ()),
            seed=derive_seed(config.seed, "sentences", cell.slug),
        )
        rank = {description.id: number for number, description in enumerate(chosen)}
        for description in written:
            row = {"cell": to_json(cell), **to_json(description), "rank": rank.get(description.id)}
            lines.append(json.dumps(row))
        progress.advance()
    return "\n".join(lines) + "\n"


def plan_units(config: AttackConfig, text: str) -> list[Unit]:
    """The units of work that `descriptions.jsonl` asks for, in report order.

    The images of a cell are spread evenly over its drawn sentences.
    """
    groups: dict[Cell, dict[int, Description]] = {}
    for line in text.splitlines():
        row = json.loads(line)
        if row["rank"] is not None:
            groups.setdefault(_cell(row["cell"]), {})[row["rank"]] = _description(row)
    units = []
    for cell, ranked in groups.items():
        count = min(len(ranked), config.images)
        for number in range(count):
            images = config.images // count + (number < config.images % count)
            units.append(Unit(cell, number, ranked[number], images))
    return units


def _cell(row: dict[str, Any]) -> Cell:
    return Cell(ClassPair(**row["pair"]), row["method"], row["repeat"])


def _description(row: dict[str, Any]) -> Description:
    return Description(row["id"], row["text"], tuple(row["words"]), row["reason"])
