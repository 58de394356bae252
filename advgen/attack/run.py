"""The attack, end to end and resumable: words, sentences, images, scores, records.

The same call on the same directory continues exactly where it stopped. What a run is made of is
decided by its config; a directory that holds another config is refused. Several processes may run
the same call on the same directory (`accelerate launch`): the first one mines and writes, all of
them draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advgen import registry
from advgen.attack.classes import check_classes
from advgen.attack.drawing import Artist, Unit
from advgen.attack.evidence import check_evidence
from advgen.attack.manifest import keep_manifest, make_manifest
from advgen.attack.opening import Cast, check_run, open_cast, open_model, open_run
from advgen.attack.progress import Progress
from advgen.attack.records_file import write_records
from advgen.attack.results import CellResult, results_of
from advgen.attack.sentences import plan_units
from advgen.attack.units import Finished, Studio
from advgen.attack.walk import Walk
from advgen.attack.words import mine_cells, pair_classes
from advgen.config import AttackConfig
from advgen.errors import GenerationError
from advgen.generation.layout import Cell, RunLayout
from advgen.processes import current_processes
from advgen.records import Sample, WordList
from advgen.store import ArtifactStore


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    layout: RunLayout
    manifest: dict[str, Any]
    words: list[WordList]
    samples: list[Sample]
    results: list[CellResult]


def run_attack(
    config: AttackConfig, root: Path, store: ArtifactStore, progress: Progress
) -> Outcome:
    """Run an attack in a directory, or continue it there.

    Args:
        config: What to do.
        root: The run directory; made when it is not there.
        store: Where neuron directions are kept.
        progress: Listener.

    Raises:
        RunError: If the directory holds a run with another config or cannot be written.
        ConfigError: If the synthesizer cannot draw a class.
        AdvgenError: For any other fault a user can fix.
    """
    check_classes(config)
    check_run(config, root)
    progress.stage(f"loading {config.model.name}")
    cast = open_cast(config)
    check_evidence(config, cast.clip)
    manifest = make_manifest(config, cast.clip, cast.describer, cast.synthesizer, cast.judge)
    processes, layout = current_processes(), RunLayout(root)
    processes.wait()
    if processes.rank == 0:
        keep_manifest(open_run(config, root), manifest)
    processes.wait()
    walk = Walk(config, layout, cast, open_studio(config, layout, cast), store, processes, progress)
    words = walk.words()
    done: dict[Unit, Finished] = {}
    for round in range(config.describe.rounds):
        sentences = walk.sentences(round, words, done)
        done.update(walk.images(round, plan_units(config, sentences)))
    cast.synthesizer.close()
    tell_given_up(done, progress)
    samples = in_report_order(done)
    if processes.rank == 0:
        progress.stage("writing the records")
        write_records(samples, layout.records)
    processes.wait()
    return Outcome(layout, manifest, words, samples, results_of(samples))


def mine(config: AttackConfig, store: ArtifactStore, progress: Progress) -> list[WordList]:
    """Only the words of an attack; nothing is written but the neuron directions.

    Any class may be named to a CLIP that reads any text; a sandbox CLIP knows its own world's.
    """
    if config.model.name in registry.names("clip"):
        check_classes(config)
    progress.stage(f"loading {config.model.name}")
    return mine_cells(config, open_model(config), store, progress)


def open_studio(config: AttackConfig, layout: RunLayout, cast: Cast) -> Studio:
    """Who draws and scores the units of a run."""
    return Studio(
        artist=Artist(config, layout, cast.synthesizer),
        clip=cast.clip,
        classes=pair_classes(config, cast.clip),
        describer=f"{cast.describer.name}@{cast.describer.revision}",
        judge=cast.judge,
    )


def in_report_order(done: Mapping[Unit, Finished]) -> list[Sample]:
    """The rows of all units, cell by cell in order of first appearance, then by sentence.

    Raises:
        GenerationError: If a cell has no image that could be used.
    """
    cells: dict[Cell, list[tuple[int, list[Sample]]]] = {}
    reasons: dict[Cell, set[str]] = {}
    for unit, finished in done.items():
        cells.setdefault(unit.cell, []).append((unit.number, finished.rows))
        reasons.setdefault(unit.cell, set()).update(finished.reasons)
    for cell, parts in cells.items():
        if not any(rows for _, rows in parts):
            raise GenerationError(
                f"{cell.pair} ({cell.method}): not one usable image "
                f"({', '.join(sorted(reasons[cell]))}); choose another synthesizer or other words"
            )
    return [
        row
        for parts in cells.values()
        for _, rows in sorted(parts, key=lambda part: part[0])
        for row in rows
    ]


def tell_given_up(done: Mapping[Unit, Finished], progress: Progress) -> None:
    """Say which cells have fewer images than asked for, and why."""
    lost: dict[Cell, int] = {}
    reasons: dict[Cell, set[str]] = {}
    for unit, finished in done.items():
        if finished.given_up:
            lost[unit.cell] = lost.get(unit.cell, 0) + finished.given_up
            reasons.setdefault(unit.cell, set()).update(finished.reasons)
    for cell, count in lost.items():
        why = ", ".join(sorted(reasons[cell]))
        progress.note(f"{cell.pair} ({cell.method}): {count} images given up ({why})")
