"""The stages of one run: each keeps what it made, reads what is there, and shares what it can."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from advgen.attack.drawing import Unit
from advgen.attack.evidence import target_filter
from advgen.attack.opening import Cast
from advgen.attack.progress import Progress
from advgen.attack.rounds import Focus, first_focus, next_focus
from advgen.attack.sentences import (
    Desk,
    Written,
    sentences_from_text,
    sentences_to_text,
)
from advgen.attack.units import Finished, Studio
from advgen.attack.words import mine_cells, word_lists_from_json
from advgen.config import AttackConfig
from advgen.errors import RunError
from advgen.generation.layout import Cell, RunLayout
from advgen.processes import Processes
from advgen.records import Sample, WordList, to_json
from advgen.store import ArtifactStore, write_atomic


@dataclass(frozen=True, slots=True)
class Walk:
    """The stages of one run, each of which keeps what it made and reads what is there.

    Whether a file is there is asked by all processes at the same time, before one writes it.
    """

    config: AttackConfig
    layout: RunLayout
    cast: Cast
    studio: Studio
    store: ArtifactStore
    processes: Processes
    progress: Progress

    def words(self) -> list[WordList]:
        """The mined words of all cells; directions are found by all processes together."""
        there = self.layout.words.is_file()
        self.processes.wait()
        if not there:
            lists = mine_cells(self.config, self.cast.clip, self.store, self.progress)
            if self.processes.rank == 0:
                write_atomic(self.layout.words, json.dumps(to_json(lists), indent=1) + "\n")
        self.processes.wait()
        return word_lists_from_json(self.layout.words.read_text(encoding="utf-8"))

    def sentences(
        self, round: int, words: Sequence[WordList], done: Mapping[Unit, Finished]
    ) -> list[Written]:
        """The sentences of a round, written by the first process; the describer is closed after."""
        there = self._kept_sentences()
        self.processes.wait()
        if self.processes.rank == 0 and all(entry.round < round for entry in there):
            try:
                desk = Desk(
                    self.config,
                    self.cast.describer,
                    target_filter(self.config),
                    self.cast.synthesizer.prompt_fault,
                )
                written = desk.write(round, wanted(round, words, done), self.progress, there)
            finally:
                self.cast.describer.close()
            write_atomic(self.layout.descriptions, sentences_to_text([*there, *written]))
        self.processes.wait()
        return self._kept_sentences()

    def images(self, round: int, units: Sequence[Unit]) -> dict[Unit, Finished]:
        """Draw and score the units of a round; each process takes its share of what is missing."""
        asked = [unit for unit in units if unit.round == round]
        before = {unit: self.studio.finished(unit) for unit in asked}
        self.processes.wait()
        missing = [unit for unit in asked if before[unit] is None]
        share = missing[self.processes.rank :: self.processes.count]
        done = sum(unit.images for unit in asked) - sum(unit.images for unit in missing)
        total = done + sum(unit.images for unit in share)
        self.progress.stage(f"drawing and scoring images{self._shared()}", total, done)
        made = complete_units(self.studio, share, self.progress)
        self.processes.wait()
        return {unit: before[unit] or made.get(unit) or self._read(unit) for unit in asked}

    def _shared(self) -> str:
        count = self.processes.count
        return f" (this process's share, one of {count})" if count > 1 else ""

    def _kept_sentences(self) -> list[Written]:
        path = self.layout.descriptions
        return sentences_from_text(path.read_text(encoding="utf-8")) if path.is_file() else []

    def _read(self, unit: Unit) -> Finished:
        """A unit that another process completed."""
        finished = self.studio.finished(unit)
        if finished is None:
            raise RunError(
                f"{self.layout.unit(unit.cell, unit.number)} is missing: another process did not "
                "finish it, or the processes do not see the same folder; run the same command again"
            )
        return finished


def wanted(
    round: int, words: Sequence[WordList], done: Mapping[Unit, Finished]
) -> dict[Cell, Focus]:
    """What each cell asks a describer for in a round."""
    asked = {Cell(found.pair, found.method, found.repeat): found for found in words}
    if round == 0:
        return {cell: first_focus(found) for cell, found in asked.items()}
    rows: dict[Cell, list[Sample]] = {cell: [] for cell in asked}
    for unit, finished in done.items():
        rows[unit.cell].extend(finished.rows)
    return {cell: next_focus(found, rows[cell]) for cell, found in asked.items()}


def complete_units(
    studio: Studio, units: Sequence[Unit], progress: Progress
) -> dict[Unit, Finished]:
    """Draw and score units; one is scored in a second thread while the next one is drawn."""
    done: dict[Unit, Finished] = {}
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer") as scorer:
        previous = None
        for unit in units:
            drawing = studio.artist.draw(unit)
            if previous is not None:
                done[previous[0]] = previous[1].result()
                progress.advance(previous[0].images)
            previous = (unit, scorer.submit(studio.score, unit, drawing))
        if previous is not None:
            done[previous[0]] = previous[1].result()
            progress.advance(previous[0].images)
    return done
