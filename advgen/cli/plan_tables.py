"""A plan as tables on stdout."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.table import Table

from advgen.plan import Plan, PlannedModel

_WIDTH = 110
_GATED = {True: "yes", False: "no", None: "unknown"}


def print_plan(plan: Plan) -> None:
    """Models with licences, memory, counts, files, and what cannot be done offline."""
    console = Console(width=max(_WIDTH, Console().width), markup=False, emoji=False)
    console.print(_models(plan))
    _print_notes(console, plan)
    console.print(_stages(plan))
    console.print(_sizes(plan), highlight=False, soft_wrap=True)
    _print_counts(console, plan)
    console.print(_files(plan))
    for line in plan.online or ("everything works without a network",):
        console.print(f"network: {line}" if plan.online else line, highlight=False, soft_wrap=True)


def _models(plan: Plan) -> Table:
    table = _table("model", "for", "licence", "gated")
    for name in ("download", "GPU memory"):
        table.add_column(name, justify="right")
    for model in plan.models:
        table.add_row(
            model.name,
            model.role,
            model.licence or "unknown",
            _GATED[model.gated],
            _about(model.download_gb),
            _about(model.gpu_gb),
        )
    return table


def _print_notes(console: Console, plan: Plan) -> None:
    for model in plan.models:
        for line in _notes(model):
            console.print(line, highlight=False, soft_wrap=True)


def _notes(model: PlannedModel) -> list[str]:
    notes = [f"{model.name}: {model.note}"] if model.note else []
    if model.gated:
        notes.append(f"{model.name}: accept the licence at {model.page}")
    elif model.page:
        notes.append(f"{model.name}: licence at {model.page}")
    return notes


def _stages(plan: Plan) -> Table:
    table = _table("step", "models in memory")
    table.add_column("GPU memory", justify="right")
    for stage in plan.stages:
        some = " and more" if stage.unknown else ""
        table.add_row(stage.name, ", ".join(stage.models), _about(stage.gpu_gb) + some)
    return table


def _sizes(plan: Plan) -> str:
    memory = f"about {_gb(plan.peak_gpu_gb)}, with offloading {_gb(plan.least_gpu_gb)}"
    sizes = _unknown({role for stage in plan.stages for role in stage.unknown})
    fetched = _unknown(plan.unknown_downloads)
    return (
        f"GPU memory of the largest step: {memory if plan.peak_gpu_gb else 'none'}{sizes}; "
        f"downloads: {_about(plan.download_gb)}{fetched}"
        f"{', less what is here already' if plan.download_gb or fetched else ''}"
    )


def _unknown(roles: Collection[str]) -> str:
    return f" and the {' and the '.join(sorted(roles))}, of unknown size" if roles else ""


def _print_counts(console: Console, plan: Plan) -> None:
    counts = plan.counts
    least, most = counts.askings
    lines = [
        f"pairs x methods x repeats: {counts.pairs} x {counts.methods} x {counts.repeats}",
        f"sentences: {counts.candidates} in {least} to {most} askings; {counts.descriptions} drawn",
        f"images: {counts.images}, from at most {counts.draws} draws",
        f"text pool: {plan.pool}",
    ]
    lines += [f"image set: {found.spec}, for the {found.role}" for found in plan.images]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _files(plan: Plan) -> Table:
    table = _table("file", "what it is")
    for path, what in plan.files:
        table.add_row(path, what)
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(names):
        table.add_column(name, no_wrap=number == 0)
    return table


def _about(size: float | None) -> str:
    if size is None:
        return "unknown"
    return f"about {_gb(size)}" if size else "none"


def _gb(size: float) -> str:
    return f"{size:.1f} GB" if size < 10 else f"{size:.0f} GB"
