"""`advgen judge`: judges look at the images of finished runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advgen.cli.console import StderrProgress
from advgen.generation.layout import RunLayout

if TYPE_CHECKING:
    from advgen.judging.audit import Audit, Share
    from advgen.judging.policy import Threshold
    from advgen.judging.tally import Tally
    from advgen.judging.walk import Judged


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RUN...",
)
@click.option(
    "--judge",
    "specs",
    multiple=True,
    required=True,
    metavar="JUDGE",
    help="sandbox, vlm[:MODEL], owlv2[:MODEL] or server:MODEL@URL; repeatable.",
)
@click.option(
    "--batch-size",
    default=8,
    show_default=True,
    type=click.IntRange(1),
    help="Images that a judge looks at together.",
)
@click.option("--limit", type=click.IntRange(1), help="Judge only the first so many of each run.")
@click.option("--only-fooled", is_flag=True, help="Judge only images that fooled the model.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="JUDGE=PRESENT,ABSENT",
    help="What answers must exceed, for example vlm=0.5,0.9; repeatable.",
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Number format of models in this process.",
)
@click.option("--device", default="auto", show_default=True, help="Where such models are put.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def judge(
    runs: tuple[Path, ...],
    specs: tuple[str, ...],
    batch_size: int,
    limit: int | None,
    only_fooled: bool,
    thresholds: tuple[str, ...],
    dtype: str,
    device: str,
    as_json: bool,
) -> None:
    """Ask judges whether images show the true class, and not the target class.

    Answers are added to RUN/judgements; repeat the command to continue. An image is accepted when
    judges of two families agree; everything else, and what fooled the model, is left to people.

    Example: advgen judge runs/dog-deer --judge vlm --judge owlv2
    """
    limits = dict(read_threshold(text) for text in thresholds)
    from advgen.judging.policy import THRESHOLDS, Policy
    from advgen.judging.specs import open_judge
    from advgen.judging.tally import read_cases, tally
    from advgen.judging.walk import Choice, judge_run

    policy = Policy(thresholds={**THRESHOLDS, **limits})
    layouts = [RunLayout(run) for run in dict.fromkeys(runs)]
    judges = [open_judge(spec, dtype=dtype, device=device) for spec in dict.fromkeys(specs)]
    choice = Choice(batch_size, limit, only_fooled)
    done: list[tuple[RunLayout, Judged]] = []
    with StderrProgress() as progress:
        for one in judges:
            policy.threshold(one.name)
            try:
                done += [(run, judge_run(run, one, choice, progress)) for run in layouts]
            finally:
                one.close()
    cases = [case for run in layouts for case in read_cases(run)]
    counted = tally(cases, policy)
    if as_json:
        click.echo(json.dumps(_document(done, counted, policy.to_json())))
        return
    print_tally(counted)
    skipped = sum(len(result.skipped) for _, result in done)
    if skipped:
        click.echo(f"not judged: {skipped} (named above)")


def read_threshold(text: str) -> tuple[str, Threshold]:
    """Read `JUDGE=PRESENT,ABSENT`; anything else is a usage error (exit 2)."""
    from advgen.judging.policy import THRESHOLDS, Threshold, kind_of

    name, _, values = text.rpartition("=")
    try:
        present, absent = (float(value) for value in values.split(","))
        limits = Threshold(present, absent)
    except ValueError:
        limits = None
    if limits is None or not name.strip():
        raise click.BadParameter(
            f"'{text}' gives no thresholds; write JUDGE=PRESENT,ABSENT with numbers from 0 to "
            "below 1",
            param_hint="--threshold",
        )
    if kind_of(name.strip()) not in THRESHOLDS:
        raise click.BadParameter(
            f"there is no judge '{name.strip()}'; name one of {', '.join(THRESHOLDS)}",
            param_hint="--threshold",
        )
    return name.strip(), limits


def _document(
    done: list[tuple[RunLayout, Judged]], counted: Tally, policy: dict[str, Any]
) -> dict[str, Any]:
    runs = [
        {
            "run_dir": str(run.root),
            "judge": result.judge,
            "revision": result.revision,
            "images": result.images,
            "before": result.before,
            "looked": result.looked,
            "skipped": [{"id": fault.id, "reason": fault.reason} for fault in result.skipped],
        }
        for run, result in done
    ]
    return {"runs": runs, "policy": policy, **counted.to_json()}


def print_tally(counted: Tally) -> None:
    """What judges said and what follows from it, as tables on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(110, Console().width), markup=False, emoji=False, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("judge", "images", "true class seen", "target class absent", "both"):
        table.add_column(name, justify="left" if name == "judge" else "right")
    for row in counted.judges:
        cells = (row.images, row.true_present, row.target_absent, row.both)
        table.add_row(row.judge, *map(str, cells))
    console.print(table)
    statuses = counted.statuses
    console.print(
        f"policy: {statuses['accepted']} accepted, {statuses['rejected']} rejected, "
        f"{statuses['needs_review']} need review"
    )
    for reason, images in counted.reasons.items():
        console.print(f"  {images}: {reason}")
    if counted.audit is not None:
        _print_audit(console, counted.audit)


def _print_audit(console: Any, found: Audit) -> None:
    from rich.table import Table

    console.print(
        f"audit against {' and '.join(found.reference)}: {shown(found.false_accepts)} of the "
        f"{found.accepted} that the judges accept are false"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("judge", "question", "right of yes", "right of no"):
        table.add_column(name)
    words = {"true_present": "true class visible?", "target_absent": "target class absent?"}
    for judge_name, questions in found.questions.items():
        for question, rates in questions.items():
            cells = (shown(rates.true_positive), shown(rates.true_negative))
            table.add_row(judge_name, words[question], *cells)
    console.print(table)


def shown(share: Share) -> str:
    """A share as text: `3/20 = 15.0% (5.2 - 36.0%)`."""
    rate, interval = share.rate, share.interval
    if rate is None or interval is None:
        return "0/0"
    low, high = interval
    return f"{share.count}/{share.of} = {rate:.1%} ({100 * low:.1f} - {100 * high:.1f}%)"
