"""`docs/sandbox.md` from the figures that `benchmarks.sandbox` kept: nothing typed by hand."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from advgen.sandbox.clip import packaged_checkpoints
from advgen.sandbox.training.recipes import RECIPES

HERE = Path(__file__).parent
ATTACK = HERE / "results" / "closed_loop_scored.json"
METHODS = ("second-order", "random", "indirect", "similar-words")
DOCS = HERE.parent / "docs" / "sandbox.md"


def write_docs(kept: dict[str, Any]) -> Path:
    """Write the page from the kept figures and the checkpoints' training logs."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["percent"] = percent
    weights = resources.files("advgen.sandbox") / "weights"
    trainings = {
        name: json.loads((weights / name / "training.json").read_text(encoding="utf-8"))
        for name in packaged_checkpoints()
    }
    parts = {name: kept.get(name) for name in ("world", "models", "cost")}
    attacks = attack_by_model()
    page = environment.get_template("sandbox.md.j2").render(
        **parts,
        trainings=trainings,
        attack=json.loads(ATTACK.read_text(encoding="utf-8"))["table"],
        between={
            name: {method: result["table"][method]["pooled"]["verified"] for method in METHODS}
            for name, result in attacks.items()
        },
        leads={
            name: {method: row["lead"] for method, row in result["by_description"].items()}
            for name, result in attacks.items()
        },
        methods=METHODS,
        missing=[name for name in RECIPES if name not in trainings],
        percent=percent,
    )
    DOCS.write_text(page, encoding="utf-8")
    return DOCS


def attack_by_model() -> dict[str, dict[str, Any]]:
    """Model -> kept result of Table 3, for the models that it was measured on."""
    found = {}
    for name in packaged_checkpoints():
        stem = "table3" if name == "sandbox-a" else f"table3_{name}"
        path = HERE / "results" / f"{stem}.json"
        if path.is_file():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def percent(share: float | None) -> str:
    """A share in percent with one decimal; `-` when there is none."""
    return "-" if share is None else f"{100 * share:.1f}"
