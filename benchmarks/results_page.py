"""docs/results.md: every table and figure of the paper, from the kept results alone.

    python -m benchmarks.results_page            # writes docs/results.md
    python -m benchmarks.results_page --check    # exit code 1 if the page is out of date

benchmarks/results/dates.json remembers when each result first stood on the page: a result that has
not changed keeps its date.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks import results_tables as tables
from benchmarks.results_tables import Result, Shown

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DATES = RESULTS / "dates.json"
PAGE = HERE.parent / "docs" / "results.md"


@dataclass(frozen=True, slots=True)
class Entry:
    """A table or figure.

    Attributes:
        paper: Where it stands in the paper.
        title: What it shows.
        sandbox: The command on the sandbox.
        real: The command on the real models; empty where `real_note` says why there is none.
        stem: Its JSON in benchmarks/results; empty where there is nothing to measure.
        show: The JSON as a table.
        pictures: Its PNGs there.
        note: Said instead of a table.
        real_note: Said instead of a command.
    """

    paper: str
    title: str
    sandbox: str
    real: str = ""
    stem: str = ""
    show: Callable[[Result], Shown] | None = None
    pictures: tuple[str, ...] = ()
    note: str = ""
    real_note: str = ""


ENTRIES = (
    Entry(
        "Figs. 3 and 9",
        "mean ablation by layer, large and small norms, first component",
        "python -m benchmarks.fig3",
        "python -m benchmarks.fig3 --preset paper",
        "fig3",
        tables.fig3,
        ("fig3.png",),
    ),
    Entry(
        "Table 1",
        "second-order against indirect effects",
        "python -m benchmarks.table1",
        "python -m benchmarks.table1 --preset paper --layers 9",
        "table1",
        tables.table1,
        ("table1.png",),
    ),
    Entry(
        "Sec. 3",
        "an effect is significant for few images",
        "python -m benchmarks.selectivity",
        "python -m benchmarks.selectivity --preset paper",
        "selectivity",
        tables.selectivity,
        ("selectivity.png",),
    ),
    Entry(
        "Fig. 4",
        "accuracy when directions are rebuilt from texts",
        "python -m benchmarks.fig4",
        "python -m benchmarks.fig4 --preset paper --layers 9 --pool words-10k --pool words-30k",
        "fig4",
        tables.fig4,
        ("fig4.png", "faithfulness.png"),
    ),
    Entry(
        "Tables 2 and 5",
        "neurons as sparse sums of words",
        "python -m benchmarks.table2",
        "python -m benchmarks.table2 --preset paper --layers 8,9,10",
        "table2",
        tables.table2,
    ),
    Entry(
        "Figs. 5 and 12",
        "images with the largest effects of a neuron",
        "advgen neurons show 3:70 4:544 --html cards.html",
        "advgen neurons show 9:12 10:7 --preset paper --html cards.html",
        note="A page of neuron cards with the images themselves; it has no figures to list.",
    ),
    Entry(
        "Table 3",
        "success of the attack",
        "python -m benchmarks.table3",
        "python -m benchmarks.table3 --preset paper --runs RUNS",
        "table3",
        tables.table3,
        ("table3.png",),
    ),
    *(
        Entry(
            f"Table 3 on {model}",
            "another training seed" if model == "sandbox-b" else "another seed, patch and width",
            f"python -m benchmarks.table3 --set model.name={model} --name table3_{model}",
            stem=f"table3_{model}",
            show=tables.table3,
            pictures=(f"table3_{model}.png",),
            real_note="any open_clip name: `--set model.name=ViT-L-14-quickgelu/openai`",
        )
        for model in ("sandbox-b", "sandbox-c")
    ),
    Entry(
        "Table 3, closed loop",
        "the same attack, asking again around the words that worked (ours)",
        "python -m benchmarks.closed_loop --pairs scored",
        "python -m benchmarks.table3 --preset paper --set describe.rounds=5 "
        "--set describe.descriptions=25 --name table3_rounds --runs RUNS",
        "closed_loop_scored",
        tables.closed_loop,
    ),
    Entry(
        "Fig. 6",
        "heat maps of images that fooled the model",
        "python -m benchmarks.fig6",
        "python -m benchmarks.fig6 --preset paper --runs RUNS",
        "fig6",
        tables.fig6,
        ("fig6.png",),
    ),
    Entry(
        "Sec. 5.2",
        "concept discovery",
        "python -m benchmarks.concepts",
        stem="concepts",
        show=tables.concepts,
        pictures=("concepts.png",),
        real_note="`advgen concepts IMAGE --preset paper`; precision needs images of which it is "
        "known what they show, so it is measured on the sandbox alone",
    ),
    Entry(
        "Table 4",
        "zero-shot segmentation",
        "python -m benchmarks.table4",
        "python -m benchmarks.table4 --preset paper --images imagenet-seg:gtsegs_ijcv.mat",
        "table4",
        tables.table4,
        ("table4.png",),
    ),
    Entry(
        "Figs. 10 and 11",
        "ablation of the attention's direct effects",
        "python -m benchmarks.fig10",
        "python -m benchmarks.fig10 --preset paper",
        "fig10",
        tables.fig10,
        ("fig10.png",),
    ),
    Entry(
        "Tables 6 and 7",
        "prompts",
        "advgen attack --pair dog:deer",
        "advgen attack --preset paper --pair dog:deer",
        note="Our own wording of the same rules: `prompts/describe.toml` and "
        "`prompts/class_descriptions.toml`. On the sandbox a template writes the sentences and no "
        "prompt is needed.",
    ),
    Entry(
        "Beyond the paper",
        "transfer of released images to other CLIPs",
        "python -m benchmarks.transfer",
        "advgen evaluate DATASET --model ViT-B-32-quickgelu/openai "
        "--model ViT-L-14-quickgelu/openai",
        "transfer",
        tables.transfer,
        ("transfer.png",),
    ),
)


def dated(name: str, text: str, dates: dict[str, dict[str, str]]) -> str:
    """The day on which this result first stood on the page; today for a new one."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    if dates.get(name, {}).get("sha256") != digest:
        dates[name] = {"sha256": digest, "date": datetime.date.today().isoformat()}
    return dates[name]["date"]


def model_of(result: Result) -> str:
    """The model that a result is about, where it says so."""
    model = result.get("model") or result.get("manifest", {}).get("attacked_model")
    if isinstance(model, dict):
        return str(model["name"])
    return str(model or "")


def context(entry: Entry, dates: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What the template needs of an entry."""
    found: dict[str, Any] = {"shown": None, "date": "", "model": ""}
    path = RESULTS / f"{entry.stem}.json"
    if entry.stem and entry.show:
        text = path.read_text(encoding="utf-8")
        result = json.loads(text)
        found = {
            "shown": entry.show(result),
            "date": dated(entry.stem, text, dates),
            "model": model_of(result),
        }
    names = ("paper", "title", "sandbox", "real", "stem", "pictures", "note", "real_note")
    return {**{name: getattr(entry, name) for name in names}, **found}


def make_page(dates: dict[str, dict[str, str]]) -> str:
    """The text of the page; `dates` gets what is new."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    entries = [context(entry, dates) for entry in ENTRIES]
    return environment.get_template("results.md.j2").render(entries=entries)


def main() -> None:
    """Write the page, or look whether it is up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; compare")
    options = parser.parse_args()
    dates = json.loads(DATES.read_text(encoding="utf-8")) if DATES.is_file() else {}
    try:
        page = make_page(dates)
    except FileNotFoundError as error:
        sys.exit(f"benchmarks.results_page: {error.filename} is missing; run its command first")
    if options.check:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        sys.exit(None if same else f"{PAGE} is out of date: python -m benchmarks.results_page")
    DATES.write_text(json.dumps(dates, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
