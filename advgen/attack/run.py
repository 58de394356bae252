"""The attack, end to end and resumable: words, sentences, images, scores, records, report.

The same call on the same directory continues exactly where it stopped. What a run is made of is
decided by its config; a directory that holds another config is refused.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advgen import registry
from advgen.attack.evidence import target_filter
from advgen.attack.manifest import keep_manifest, make_manifest
from advgen.attack.progress import Progress
from advgen.attack.records_file import write_records
from advgen.attack.results import CellResult, results_of
from advgen.attack.sentences import plan_units, write_sentences
from advgen.attack.units import Studio, Unit
from advgen.attack.words import mine_cells, pair_classes, word_lists_from_json
from advgen.config import AttackConfig, attack_toml, differing_keys, read_attack_toml
from advgen.errors import ConfigError, RunError, StoreError
from advgen.generation import Describer, Synthesizer
from advgen.generation.layout import RunLayout
from advgen.models import ClipModel, load_clip
from advgen.records import Sample, WordList, to_json
from advgen.scoring.judges import Judge
from advgen.store import ArtifactStore, is_leftover, write_atomic


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
    layout = open_run(config, root)
    progress.stage(f"loading {config.model.name}")
    clip = open_model(config)
    describer: Describer = registry.resolve("describer", config.describe.describer)()
    synthesizer: Synthesizer = registry.resolve("synthesizer", config.draw.synthesizer)(
        **config.draw.options
    )
    judge: Judge = registry.resolve("judge", config.judge)()
    manifest = make_manifest(config, clip, describer, synthesizer, judge)
    keep_manifest(layout, manifest)
    words = _words(config, layout, clip, store, progress)
    units = _units(config, layout, words, describer, progress)
    studio = Studio(
        config=config,
        layout=layout,
        clip=clip,
        classes=pair_classes(config, clip),
        synthesizer=synthesizer,
        describer=f"{describer.name}@{describer.revision}",
        judge=judge,
    )
    samples = _samples(studio, units, progress)
    progress.stage("writing the records")
    write_records(samples, layout.records)
    return Outcome(layout, manifest, words, samples, results_of(samples))


def mine(config: AttackConfig, store: ArtifactStore, progress: Progress) -> list[WordList]:
    """Only the words of an attack; nothing is written but the neuron directions.

    Any class may be named to a CLIP that reads any text; a sandbox CLIP knows its own world's.
    """
    if config.model.name in registry.names("clip"):
        check_classes(config)
    progress.stage(f"loading {config.model.name}")
    return mine_cells(config, open_model(config), store, progress)


def open_model(config: AttackConfig) -> ClipModel:
    """The attacked model on its device (`auto`: cuda where there is one)."""
    device = config.model.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_clip(config.model.name, device=device)


def open_run(config: AttackConfig, root: Path) -> RunLayout:
    """Make the run directory, or check that the one there belongs to the same config.

    Raises:
        RunError: If it holds another run, something else, or cannot be written.
    """
    layout = RunLayout(root)
    if layout.config.is_file():
        different = differing_keys(read_attack_toml(layout.config), config)
        if different:
            raise RunError(
                f"{root} holds a run with other settings ({', '.join(different)}); "
                "use another --out, or repeat the original command to continue it"
            )
        for path in filter(is_leftover, root.rglob(".*")):
            path.unlink()
        return layout
    try:
        if root.exists() and (not root.is_dir() or any(not is_leftover(p) for p in root.iterdir())):
            raise RunError(f"{root} exists and is not a run directory; use another --out")
        write_atomic(layout.config, attack_toml(config))
    except (OSError, StoreError) as error:
        raise RunError(f"cannot write the run directory {root} ({error})") from error
    return layout


def check_classes(config: AttackConfig) -> None:
    """Refuse classes that the synthesizer's world does not have.

    Raises:
        ConfigError: If one is unknown; the message names the nearest known ones.
    """
    world = config.draw.synthesizer
    if world not in registry.names("synonyms"):
        return
    known = registry.resolve("synonyms", world)()
    for name in dict.fromkeys(
        name for pair in config.pairs for name in (pair.true_class, pair.target_class)
    ):
        if name not in known:
            raise ConfigError(
                f"the {world} world has no class '{name}'; {_nearest(name, known)}"
                f"`advgen {world} classes` lists all of them"
            )


def _nearest(name: str, known: Mapping[str, tuple[str, ...]]) -> str:
    named = [concept for concept, synonyms in known.items() if name in synonyms]
    close = named or difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}? " if close else ""


def _words(
    config: AttackConfig,
    layout: RunLayout,
    clip: ClipModel,
    store: ArtifactStore,
    progress: Progress,
) -> list[WordList]:
    if not layout.words.is_file():
        lists = mine_cells(config, clip, store, progress)
        write_atomic(layout.words, json.dumps(to_json(lists), indent=1) + "\n")
    return word_lists_from_json(layout.words.read_text(encoding="utf-8"))


def _units(
    config: AttackConfig,
    layout: RunLayout,
    words: list[WordList],
    describer: Describer,
    progress: Progress,
) -> list[Unit]:
    if not layout.descriptions.is_file():
        text = write_sentences(config, words, describer, target_filter(config), progress)
        write_atomic(layout.descriptions, text)
    return plan_units(config, layout.descriptions.read_text(encoding="utf-8"))


def _samples(studio: Studio, units: list[Unit], progress: Progress) -> list[Sample]:
    before = [studio.finished(unit) for unit in units]
    done = sum(len(rows) for rows in before if rows is not None)
    progress.stage("drawing and scoring images", sum(unit.images for unit in units), done)
    samples: list[Sample] = []
    for unit, rows in zip(units, before, strict=True):
        if rows is None:
            rows = studio.complete(unit)
            progress.advance(unit.images)
        samples.extend(rows)
    return samples
