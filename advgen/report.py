"""`report.html`: one file that shows a run to people, with nothing to fetch or install."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from jinja2 import Template

from advgen.gallery import MappedImage, choose, make_card
from advgen.page_templates import page_script, page_style, page_template
from advgen.plots import TARGET_COLOR, TRUE_COLOR
from advgen.records import Sample, WordList
from advgen.report_tables import (
    ResultGroup,
    ResultRow,
    description_interval,
    margin_panels,
    nice_end,
    result_groups,
)
from advgen.scoring import Rate, pool

NEURONS_SHOWN = 5
"""Neurons named behind a word; `words.json` has all of them."""


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report is made from.

    Attributes:
        title: Heading of the page.
        config: The effective config as a table (`attack_table`).
        manifest: Content of `manifest.json`.
        words: Mined words of every pair, method and repeat.
        samples: Rows of `records.parquet`.
        results: One mapping per pair, method and repeat with `images`, `fooled`, `verified`,
            `fooled_verified`, `attack_success_rate` and `interval` (`CellResult.to_json`).
        mapped: Images with heat maps, in the order shown.
        unmapped: Why there are no heat maps, where there could be some.
    """

    title: str
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    words: Sequence[WordList]
    samples: Sequence[Sample]
    results: Sequence[Mapping[str, Any]]
    mapped: Sequence[MappedImage] = ()
    unmapped: str = ""


def render_report(data: ReportData, *, image_bytes: Callable[[Sample], bytes]) -> str:
    """The report as one self-contained HTML page.

    Args:
        data: The run.
        image_bytes: Gives the encoded image of a row; an OSError, ValueError or AdvgenError
            leaves a placeholder with the reason in its place.

    Returns:
        HTML text without any reference to the network or to other files.
    """
    cards = [make_card(sample, image_bytes) for sample in choose(data.samples)]
    groups = result_groups(data.results)
    lead = headline(data, groups)
    rows = [row for group in groups for row in group.rows]
    estimates = [rate for row in rows for rate in (row.verified, row.unverified) if rate]
    script, script_hash = page_script()
    return _template().render(
        data=data,
        facts=attack_facts(data),
        sandbox=attacks_sandbox(data),
        headline=lead,
        described=description_interval(data.samples, lead["method"]) if groups else None,
        groups=groups,
        axis_end=nice_end(rate[2] for rate in estimates),
        word_groups=word_groups(data.words),
        panels=margin_panels(data.samples),
        cards=cards,
        reach=max((abs(card.sample.margin) for card in cards), default=0.0) or 1.0,
        left_out=len(data.samples) - len(cards),
        provenance=list(flatten(data.manifest)),
        style=page_style("report.css"),
        script=script,
        script_hash=script_hash,
        target_color=TARGET_COLOR,
        true_color=TRUE_COLOR,
        neurons_shown=NEURONS_SHOWN,
    )


def attack_facts(data: ReportData) -> dict[str, str]:
    """What was attacked and with what, for the head of the page; unknown facts are left out."""
    sample = data.samples[0] if data.samples else None
    attacked = _table(data.manifest, "attacked_model")
    versions = _table(data.manifest, "versions")
    weights = str(attacked.get("weights_sha256") or (sample.weights_sha256 if sample else ""))
    facts = {
        "attacked model": attacked_name(data),
        "weights sha256": weights[:12],
        "describer": sample.describer if sample else "",
        "synthesizer": sample.synthesizer if sample else "",
        "judge": str(data.manifest.get("judge") or (sample.judge if sample else "")),
        "seed": str(data.manifest.get("seed", data.config.get("seed", ""))),
        "advgen": str(versions.get("advgen", "")),
        "torch": str(versions.get("torch", "")),
    }
    return {name: value for name, value in facts.items() if value}


def attacked_name(data: ReportData) -> str:
    """Name of the attacked model: from the rows, else the manifest, else the config."""
    if data.samples:
        return data.samples[0].attacked_model
    attacked = _table(data.manifest, "attacked_model") or _table(data.config, "model")
    return str(attacked.get("name", ""))


def attacks_sandbox(data: ReportData) -> bool:
    """True when the attacked model belongs to the drawn world of the sandbox."""
    return PurePath(attacked_name(data)).name.startswith("sandbox")


def headline(data: ReportData, groups: Sequence[ResultGroup]) -> dict[str, Any]:
    """Pooled numbers: the config's first method in the lead, beside it all methods or pairs."""
    methods = list(dict.fromkeys([*data.config.get("methods", ()), *(g.method for g in groups)]))
    rates = {
        method: ResultRow(None, pool(g.total for g in groups if g.method == method))
        for method in methods
        if any(g.method == method for g in groups)
    }
    lead = next(iter(rates), "")
    by_pair = {group.pair: ResultRow(None, group.total) for group in groups if group.method == lead}
    rows = rates if len(rates) > 1 else by_pair
    return {
        "method": lead,
        "row": rates.get(lead, ResultRow(None, Rate(0, 0, 0, 0))),
        "of_methods": rows is rates,
        "compared": "Success rate by " + ("method" if rows is rates else "pair"),
        "rows": rows,
        "pairs": len(by_pair),
        "repeats": len({row["repeat"] for row in data.results}),
        "axis_end": nice_end(row.verified[2] for row in rows.values() if row.verified),
    }


def word_groups(words: Sequence[WordList]) -> dict[str, list[tuple[WordList, str]]]:
    """Word lists by pair, each with the repeats it holds for: equal lists are shown once."""
    merged: dict[str, list[tuple[WordList, list[int]]]] = {}
    for entry in words:
        lists = merged.setdefault(str(entry.pair), [])
        for known, repeats in lists:
            if dataclasses.replace(known, repeat=entry.repeat) == entry:
                repeats.append(entry.repeat)
                break
        else:
            lists.append((entry, [entry.repeat]))
    several = len({entry.repeat for entry in words}) > 1
    return {
        pair: [(entry, _repeat_text(repeats) if several else "") for entry, repeats in lists]
        for pair, lists in merged.items()
    }


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted names and values of a nested table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _table(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _repeat_text(repeats: list[int]) -> str:
    return (
        f"repeat {repeats[0]}" if len(repeats) == 1 else f"repeats {', '.join(map(str, repeats))}"
    )


@functools.cache
def _template() -> Template:
    return page_template("report.html.j2")
