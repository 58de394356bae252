"""What an evaluation says as tables and sentences; Markdown, console and pages print the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advgen.evaluate.robustness.notes import notes
from advgen.evaluate.robustness.results import Comparison, Evaluation, ModelResult, PairResult
from advgen.evaluate.robustness.statistics import Difference
from advgen.scoring import Rate

NOTHING = "-"
_SHOWN = 2
_LEAST_P = 1e-300


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header.

    Attributes:
        title: What it shows.
        header: Names of the columns; the first is on the left, numbers are on the right.
        rows: Cells.
        note: How to read it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(evaluation: Evaluation) -> list[Table]:
    """All tables: models, pairs, transfer (twice), comparisons; none where it would be empty."""
    found = [_overall(evaluation), _pairs(evaluation), *_transfers(evaluation)]
    if evaluation.comparisons:
        found.append(_comparisons(evaluation.comparisons))
    return found


def markdown(evaluation: Evaluation) -> str:
    """The evaluation as a page of Markdown."""
    data = evaluation.data
    facts = [
        f"- Data set: `{data.name}`, {data.rows} images, pairs "
        + ", ".join(f"{pair.true_class} → {pair.target_class}" for pair in data.pairs),
        f"- Fingerprint: `{data.fingerprint[:16]}`; licence: {data.licence or 'not named'}",
        f"- Made against: {', '.join(data.attacked)}",
        f"- Prompts: {prompts_cell(evaluation.prompts)}",
        f"- Clean images: {f'`{data.clean}`' if data.clean else 'none'}",
    ]
    parts = ["# Robustness on " + data.name, "\n".join(facts)]
    if said := notes(evaluation):
        parts.append("\n>\n".join(f"> {text}" for text in said))
    for table in tables(evaluation):
        parts += [f"## {table.title}", markdown_table(table)]
        parts += [table.note] if table.note else []
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """One table in Markdown, without its title."""
    marks = ["---" if not column else "---:" for column in range(len(table.header))]
    lines = [table.header, marks, *table.rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def rate_cell(rate: Rate | None) -> str:
    """`63.1 [55.0, 70.4]`: a share in percent and its Wilson interval."""
    if rate is None or rate.attack_success_rate is None or rate.interval is None:
        return NOTHING
    low, high = rate.interval
    return f"{100 * rate.attack_success_rate:.1f} {interval_cell((low, high))}"


def interval_cell(interval: tuple[float, float]) -> str:
    """`[55.0, 70.4]` in percent."""
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def difference_cell(found: Difference | None) -> str:
    """`+12.3 [+5.0, +19.9]` in points."""
    if found is None:
        return NOTHING
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def p_cell(p: float) -> str:
    """`0.012` or `3.0e-07`; a p value is never 0, however small."""
    if p < _LEAST_P:
        return f"< {_LEAST_P:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def prompts_cell(prompts: Sequence[str]) -> str:
    """The first prompts, and how many more there are."""
    shown = ", ".join(f"`{text}`" for text in prompts[:_SHOWN])
    return shown + (f" and {len(prompts) - _SHOWN} more" if len(prompts) > _SHOWN else "")


def _overall(evaluation: Evaluation) -> Table:
    return Table(
        "Models",
        ("model", "images", *_COLUMNS),
        tuple(
            (model.name, str(model.success.images), *_cells(model)) for model in evaluation.models
        ),
        "Percent with 95 % intervals. Success: images taken for the target class (Wilson); by"
        " description: the interval when whole descriptions are drawn again. Accuracy is 100 less"
        " success. Clean: accuracy between the same two classes on clean images of the true class,"
        " then of either class. Excess: success less the clean error rate (Newcombe), in points;"
        " over several pairs the mean of theirs, weighted by their images here.",
    )


_COLUMNS = ("success", "by description", "accuracy", "clean", "clean, both", "excess")


def _cells(found: ModelResult | PairResult) -> tuple[str, ...]:
    rate = found.success
    accuracy = Rate(
        rate.images,
        rate.images - rate.fooled,
        rate.verified,
        rate.verified - rate.fooled_verified,
    )
    return (
        rate_cell(rate),
        interval_cell(found.sentence_interval),
        rate_cell(accuracy),
        rate_cell(found.clean),
        rate_cell(found.clean_both),
        difference_cell(found.excess),
    )


def _pairs(evaluation: Evaluation) -> Table:
    return Table(
        "Pairs",
        ("pair", "model", "images", *_COLUMNS),
        tuple(
            (str(pair), model.name, str(model.pairs[number].success.images))
            + _cells(model.pairs[number])
            for number, pair in enumerate(evaluation.data.pairs)
            for model in evaluation.models
        ),
    )


def _transfers(evaluation: Evaluation) -> list[Table]:
    names = tuple(model.name for model in evaluation.models)
    cells = {(cell.attacked, cell.evaluated): cell for cell in evaluation.transfer}
    counts = {cell.attacked: cell for cell in evaluation.transfer}
    every = tuple(
        (attacked, str(counts[attacked].success.images))
        + tuple(rate_cell(cells[attacked, name].success) for name in names)
        for attacked in evaluation.data.attacked
    )
    given = tuple(
        (attacked, str(counts[attacked].given_fooled.images))
        + tuple(rate_cell(cells[attacked, name].given_fooled) for name in names)
        for attacked in evaluation.data.attacked
    )
    header = ("made against", "images", *names)
    return [
        Table("Transfer", header, every, "Success of all images made against a model."),
        Table(
            "Transfer of the images that worked",
            header,
            given,
            "Success of those images that fooled the attacked model by its own recorded score.",
        ),
    ]


def _comparisons(found: tuple[Comparison, ...]) -> Table:
    return Table(
        "Comparisons",
        (
            *("attacked", "evaluated", "images", "only attacked", "only evaluated"),
            *("p (images)", "p (images, Holm)"),
            *("descriptions that differ", "p (descriptions)", "p (descriptions, Holm)"),
        ),
        tuple(
            (
                row.attacked,
                row.evaluated,
                str(row.rows),
                str(row.only_attacked),
                str(row.only_evaluated),
                p_cell(row.p),
                p_cell(row.p_holm),
                f"{row.deciding} of {row.descriptions}",
                p_cell(row.p_descriptions),
                p_cell(row.p_descriptions_holm),
            )
            for row in found
        ),
        "Images that fool one of the two alone. p (images): McNemar's exact test on them, as if all"
        " images were independent. p (descriptions): exact sign-flip test over whole descriptions,"
        " which may be as alike inside as they like; it is the one to believe. Both two-sided, each"
        " with Holm's correction over all lines.",
    )


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
