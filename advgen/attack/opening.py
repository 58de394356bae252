"""Opening what an attack needs: its directory, the attacked model, writer, painter and judge."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advgen import registry
from advgen.config import AttackConfig, attack_toml, differing_keys, read_attack_toml
from advgen.errors import ConfigError, RunError, StoreError
from advgen.generation import Describer, Synthesizer
from advgen.generation.layout import RunLayout
from advgen.models import ClipModel, load_clip
from advgen.processes import local_device
from advgen.scoring.judges import Judge
from advgen.store import is_leftover, write_atomic


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part in a run."""

    clip: ClipModel
    describer: Describer
    synthesizer: Synthesizer
    judge: Judge


def open_cast(config: AttackConfig) -> Cast:
    """Load the attacked model and make the other parts, which load when they are used.

    Raises:
        ConfigError: If a part is unknown, does not take an option, or does not fit another.
        ModelError: If a model cannot be found or used.
    """
    if config.judge == "sandbox" and config.draw.synthesizer != "sandbox":
        raise ConfigError(
            "the judge 'sandbox' knows only what the sandbox drew; "
            "use --set judge=none and verify the images afterwards"
        )
    describer: Describer = _part("describer", config.describe.describer, config.describe.options)
    synthesizer: Synthesizer = _part("synthesizer", config.draw.synthesizer, config.draw.options)
    judge: Judge = registry.resolve("judge", config.judge)()
    return Cast(open_model(config), describer, synthesizer, judge)


def open_model(config: AttackConfig) -> ClipModel:
    """The attacked model on its device (`auto`: this process's GPU where there is one)."""
    device = config.model.device
    return load_clip(config.model.name, device=local_device() if device == "auto" else device)


def check_run(config: AttackConfig, root: Path) -> bool:
    """Whether there is a run in a directory, which must then be of the same config.

    Raises:
        RunError: If the directory holds another run or something else, or cannot be read.
    """
    layout = RunLayout(root)
    if layout.config.is_file():
        different = differing_keys(read_attack_toml(layout.config), config)
        if different:
            raise RunError(
                f"{root} holds a run with other settings ({', '.join(different)}); "
                "use another --out, or repeat the original command to continue it"
            )
        return True
    try:
        if root.exists() and (not root.is_dir() or any(not is_leftover(p) for p in root.iterdir())):
            raise RunError(f"{root} exists and is not a run directory; use another --out")
    except OSError as error:
        raise RunError(f"cannot read the run directory {root} ({error.strerror})") from error
    return False


def open_run(config: AttackConfig, root: Path) -> RunLayout:
    """Make the run directory, or take up the one that is there.

    Call it when everything else was found in order: what it writes ties the directory to the
    config.

    Raises:
        RunError: See `check_run`; or if the directory cannot be written.
    """
    layout = RunLayout(root)
    if check_run(config, root):
        for path in filter(is_leftover, root.rglob(".*")):
            path.unlink()
        return layout
    try:
        write_atomic(layout.config, attack_toml(config))
    except StoreError as error:
        raise RunError(f"no run directory there: {error}") from error
    return layout


def _part(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    make = registry.resolve(kind, name)
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        raise ConfigError(f"the {kind} '{name}' does not take these options: {error}") from error
    return make(**options)
