"""Sentences for every cell of an attack, and keeping them in `descriptions.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advgen.attack.drawing import Unit
from advgen.attack.progress import Progress
from advgen.attack.rounds import Focus, images_per_sentence, round_of, sentences_in
from advgen.config import AttackConfig
from advgen.errors import GenerationError
from advgen.generation.describe import choose_descriptions
from advgen.generation.layout import Cell
from advgen.generation.protocols import Describer
from advgen.mining import TargetFilter
from advgen.records import ClassPair, Description, to_json
from advgen.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Written:
    """One sentence that was written for a cell.

    Attributes:
        cell: Pair, method and repeat.
        round: Round of asking.
        description: The sentence and, if it was turned down, the reason.
        rank: Its place among the cell's sentences that are drawn, or None.
    """

    cell: Cell
    round: int
    description: Description
    rank: int | None


@dataclass(frozen=True, slots=True)
class Desk:
    """Who writes the sentences of a run, and what they must be like.

    Attributes:
        config: How many to ask for and to choose.
        describer: Who writes.
        names: What names a target class.
        fault: Why a sentence cannot be drawn, by the synthesizer.
    """

    config: AttackConfig
    describer: Describer
    names: TargetFilter
    fault: Callable[[str], str | None] | None = None

    def write(
        self,
        round: int,
        wanted: Mapping[Cell, Focus],
        progress: Progress,
        before: Sequence[Written] = (),
    ) -> list[Written]:
        """Every sentence that a round writes, with reason and rank.

        Args:
            round: Which round this is.
            wanted: What each cell asks for.
            progress: Listener.
            before: Sentences of earlier rounds.

        Raises:
            GenerationError: If a cell gets too few sentences in the allowed attempts.
        """
        progress.stage(f"writing descriptions with {self.describer.name}", len(wanted))
        written: list[Written] = []
        for cell, focus in wanted.items():
            written.extend(self._cell(round, cell, focus, before))
            progress.advance()
        return written

    def _cell(
        self, round: int, cell: Cell, focus: Focus, before: Sequence[Written]
    ) -> list[Written]:
        known = [entry for entry in before if entry.cell == cell]
        drawn = sum(entry.rank is not None for entry in known)
        texts = [entry.description for entry in known]
        try:
            chosen, written = self._choose(round, cell, focus.words, focus.examples, texts)
        except GenerationError:
            if not focus.spare:
                raise
            chosen, written = self._choose(round, cell, focus.spare, focus.examples, texts)
        rank = {description.id: drawn + number for number, description in enumerate(chosen)}
        return [Written(cell, round, text, rank.get(text.id)) for text in written]

    def _choose(
        self,
        round: int,
        cell: Cell,
        words: tuple[str, ...],
        examples: tuple[str, ...],
        known: Sequence[Description],
    ) -> tuple[list[Description], list[Description]]:
        place = ("sentences", cell.slug) if round == 0 else ("sentences", cell.slug, round)
        return choose_descriptions(
            self.describer,
            cell.pair,
            words,
            self.config.describe,
            target_synonyms=self.names.avoided(cell.pair.target_class),
            seed=derive_seed(self.config.seed, *place),
            count=sentences_in(self.config, round),
            known=known,
            examples=examples,
            fault=self.fault,
        )


def plan_units(config: AttackConfig, sentences: Sequence[Written]) -> list[Unit]:
    """The units of work that the sentences ask for, in report order.

    The images of a cell are spread evenly over its drawn sentences.
    """
    groups: dict[Cell, dict[int, Written]] = {}
    for entry in sentences:
        if entry.rank is not None:
            groups.setdefault(entry.cell, {})[entry.rank] = entry
    shares = images_per_sentence(config)
    return [
        Unit(cell, number, ranked[number].description, shares[number], round_of(config, number))
        for cell, ranked in groups.items()
        for number in sorted(ranked)
        if shares[number]
    ]


def sentences_to_text(sentences: Sequence[Written]) -> str:
    """The text of `descriptions.jsonl`."""
    return "".join(
        json.dumps(
            {
                "cell": to_json(entry.cell),
                "round": entry.round,
                **to_json(entry.description),
                "rank": entry.rank,
            }
        )
        + "\n"
        for entry in sentences
    )


def sentences_from_text(text: str) -> list[Written]:
    """Inverse of `sentences_to_text`."""
    return [_written(json.loads(line)) for line in text.splitlines()]


def _written(row: dict[str, Any]) -> Written:
    cell = row["cell"]
    return Written(
        Cell(ClassPair(**cell["pair"]), cell["method"], cell["repeat"]),
        row["round"],
        Description(row["id"], row["text"], tuple(row["words"]), row["reason"]),
        row["rank"],
    )
