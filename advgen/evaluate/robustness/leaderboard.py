"""A file of results that grows: one row per model, data set, prompts and clean images.

FILE.json   {"schema": "advgen-leaderboard/1", "rows": [...]}
FILE.md     the same as a table, written after it
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advgen.errors import DataError, StoreError
from advgen.evaluate.robustness.files import comparison_json, difference_json, rate_json
from advgen.evaluate.robustness.results import Evaluation
from advgen.evaluate.robustness.statistics import holm
from advgen.evaluate.robustness.tables import (
    NOTHING,
    Table,
    interval_cell,
    markdown_table,
    p_cell,
    prompts_cell,
)
from advgen.store import canonical_json, require_writable, write_atomic

SCHEMA = "advgen-leaderboard/1"
PATIENCE = 60.0
"""Seconds to wait for another process that writes the same file."""
_KEY = ("weights_sha256", "fingerprint", "prompts", "clean_images")
_NEEDED = (*_KEY, "model", "data", "images", "success", "clean", "excess")
_TESTED = ("attacked", "rows", "only_attacked", "only_evaluated", "p", "p_descriptions")


def leaderboard_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows that an evaluation adds, one per model."""
    data = evaluation.data
    return [
        {
            "model": model.name,
            "weights_sha256": model.weights_sha256,
            "data": data.name,
            "fingerprint": data.fingerprint,
            "attacked": list(data.attacked),
            "prompts": list(evaluation.prompts),
            "images": data.rows,
            "success": rate_json(model.success),
            "sentence_interval": [round(end, 6) for end in model.sentence_interval],
            "clean_images": data.clean,
            "clean": rate_json(model.clean),
            "clean_both": rate_json(model.clean_both),
            "excess": difference_json(model.excess),
            "tests": _tests(evaluation, model.name),
        }
        for model in evaluation.models
    ]


def _tests(evaluation: Evaluation, model: str) -> list[dict[str, Any]]:
    """The model against each attacked one; uncorrected, since the rows to come are not known."""
    return [
        {name: value for name, value in comparison_json(found).items() if name in _TESTED}
        for found in evaluation.comparisons
        if found.evaluated == model
    ]


def update_leaderboard(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Add rows to a leaderboard, or replace those of the same model, data, prompts and control.

    One process writes at a time, and a reader sees the old file or the new one.

    Args:
        path: The JSON file; made if missing.
        rows: After `leaderboard_rows`.

    Returns:
        The Markdown file beside it.

    Raises:
        DataError: If the file is something else, or of another schema.
        StoreError: If it cannot be written, or another process does not let go of it.
    """
    require_writable(path.parent)  # else the lock is waited for in vain
    from filelock import FileLock, Timeout

    lock = path.with_name(f".{path.name}.lock")
    page = path.with_suffix(".md")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=PATIENCE):
            known = {_key(row): dict(row) for row in read_leaderboard(path)}
            known |= {_key(row): dict(row) for row in rows}
            ranked = ranking(list(known.values()))
            document = {"schema": SCHEMA, "rows": ranked}
            write_atomic(path, canonical_json(document, indent=1) + "\n")
            write_atomic(page, leaderboard_markdown(ranked))
    except Timeout as error:
        raise StoreError(f"another process keeps {path} busy; try again when it is done") from error
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror}); choose another file") from error
    return page


def read_leaderboard(path: Path) -> list[dict[str, Any]]:
    """The rows of a leaderboard; none where there is no file.

    Raises:
        DataError: If the file is something else, or of another schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no leaderboard ({error}); name another file") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"{path} is no leaderboard of schema {SCHEMA} (it says {schema!r}); name another file"
        )
    rows = document.get("rows")
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise DataError(
            f"{path} has rows that lack a column or hold another kind of value in one; mend it, or"
            " name another file"
        )
    return rows


def ranking(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by data set, the most robust model first: by excess, else (no control) by success.

    Rows with a control come before those without, since the two are not comparable.
    """
    names = {row["fingerprint"]: row["data"] for row in sorted(rows, key=lambda r: r["data"])}

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        excess = row["excess"]
        by = row["success"]["share"] if excess is None else excess["value"]
        own = (row["model"], row["weights_sha256"], row["prompts"], row["clean_images"] or "")
        return names[row["fingerprint"]], row["fingerprint"], excess is None, by, *own

    return sorted(rows, key=place)


def leaderboard_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of a leaderboard, one section per data set."""
    parts = ["# Leaderboard"]
    sections: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        sections.setdefault(row["fingerprint"], []).append(row)
    for fingerprint, group in sections.items():
        name = group[0]["data"]
        corrected = _corrected(group)
        table = Table(name, _HEADER, tuple(_cells(row, corrected) for row in group))
        parts += [f"## {name} (`{fingerprint[:12]}`)", markdown_table(table)]
    parts.append(
        "Success: share of images taken for the target class, in percent with its 95 % Wilson"
        " interval; by description: the interval when whole descriptions are drawn again. Excess:"
        " success less the error rate on clean images of the true classes, in points with"
        " Newcombe's interval; the smallest stands first. p: two-sided sign-flip test over whole"
        " descriptions, is the model fooled by more or fewer of the images made against the"
        " attacked model that is named? After Holm's correction over all tests of the table."
    )
    return "\n\n".join(parts) + "\n"


_HEADER = (
    *("model", "images", "success", "by description", "clean", "excess"),
    *("p against the attacked", "clean images", "prompts"),
)


def _cells(row: Mapping[str, Any], corrected: Mapping[str, float]) -> tuple[str, ...]:
    tests = (
        f"{p_cell(corrected[_test_key(row, test)])} ({test['attacked']})" for test in _tests_of(row)
    )
    interval = row.get("sentence_interval")
    return (
        f"{row['model']} (`{row['weights_sha256'][:8]}`)",
        str(row["images"]),
        _share(row["success"]),
        interval_cell(tuple(interval)) if interval else NOTHING,
        _share(row["clean"]),
        _points(row["excess"]),
        ", ".join(tests) or NOTHING,
        row["clean_images"] or NOTHING,
        prompts_cell(row["prompts"]),
    )


def _corrected(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Holm's correction over the tests of a table; one that stands in two rows counts once."""
    found = {
        _test_key(row, test): float(test["p_descriptions"])
        for row in rows
        for test in _tests_of(row)
    }
    return dict(zip(found, holm(list(found.values())), strict=True))


def _test_key(row: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    return canonical_json([row["weights_sha256"], row["prompts"], test["attacked"]])


def _tests_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """None in rows of older versions."""
    return row.get("tests", [])


def _share(rate: Mapping[str, Any] | None) -> str:
    if rate is None or rate["share"] is None:
        return NOTHING
    low, high = rate["interval"]
    return f"{100 * rate['share']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _points(found: Mapping[str, float] | None) -> str:
    if found is None:
        return NOTHING
    return f"{100 * found['value']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def _key(row: Mapping[str, Any]) -> str:
    return canonical_json([row[name] for name in _KEY])


def _is_row(row: object) -> bool:
    """Whether it can be ranked and shown; people edit these files."""
    if not isinstance(row, dict) or not all(name in row for name in _NEEDED):
        return False
    try:
        text = all(isinstance(row[name], str) for name in ("model", "data", "fingerprint"))
        ranking([row])
        _cells(row, _corrected([row]))
        return text and isinstance(row["success"]["share"], float | int)
    except (TypeError, KeyError, ValueError, AttributeError):
        return False
