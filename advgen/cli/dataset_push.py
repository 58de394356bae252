"""`advgen dataset push`: a built dataset to the Hugging Face Hub, in one commit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from advgen.hub_release import Pushed, PushPlan


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--repo", metavar="OWNER/NAME", required=True, help="Dataset repository of the Hub.")
@click.option("--private", is_flag=True, help="Only you see the repository, if it is made now.")
@click.option("--create-pr", is_flag=True, help="Open a pull request instead of committing.")
@click.option("--revision", default=None, help="Branch; made where it is missing.  [default: main]")
@click.option("--message", default=None, help="First line of the commit.")
@click.option("--dry-run", is_flag=True, help="List what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def push(
    folder: Path,
    repo: str,
    private: bool,
    create_pr: bool,
    revision: str | None,
    message: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a built dataset into a repository of the Hugging Face Hub, in one commit.

    Files that are there already are not sent again, and an interrupted push continues with the
    same command. Until the commit nobody sees anything of it. What people wrote in the card stays.
    The token is the one of `hf auth login` or HF_TOKEN; it is neither printed nor kept.
    """
    from advgen.cli.console import StderrProgress
    from advgen.hub_release import push_dataset

    with StderrProgress() as progress:
        pushed = push_dataset(
            folder,
            repo,
            private=True if private else None,
            create_pr=create_pr,
            revision=revision,
            message=message,
            dry_run=dry_run,
            told=(lambda _: None) if as_json else (lambda plan: _print_plan(plan, create_pr)),
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(_as_table(pushed), indent=2))
        return
    click.echo(_ending(pushed, create_pr))


def _print_plan(plan: PushPlan, create_pr: bool) -> None:
    for change in plan.changes:
        click.echo(f"{change.state:<10} {_size(change.size):>9}  {change.path}")
    for path in plan.left_out:
        click.echo(f"{'left out':<10} {'':>9}  {path}")
    if plan.creates_repo:
        seen = "private " if plan.private else ""
        click.echo(f"makes the {seen}repository {plan.repo}")
    if plan.creates_branch:
        click.echo(f"makes the branch {plan.revision}")
    where = f"a pull request for {plan.revision}" if create_pr else plan.revision
    if not plan.empty:
        click.echo(
            f"{len(plan.sent)} of {len(plan.changes)} files, {_size(plan.upload_bytes)}, "
            f"to {where} of {plan.repo}"
        )


def _ending(pushed: Pushed, create_pr: bool) -> str:
    if pushed.plan.empty:
        return f"nothing to do: {pushed.plan.repo} holds all of it"
    if pushed.dry_run:
        return "dry run: nothing was written"
    kind = "pull request" if create_pr else "commit"
    return f"{kind} {pushed.commit}\n{pushed.page}"


def _as_table(pushed: Pushed) -> dict[str, object]:
    plan = dataclasses.asdict(pushed.plan)
    return {
        "repo": pushed.plan.repo,
        "revision": pushed.plan.revision,
        "commit": pushed.commit,
        "page": pushed.page,
        "dry_run": pushed.dry_run,
        "upload_bytes": pushed.plan.upload_bytes,
        **{key: plan[key] for key in ("parent", "creates_repo", "creates_branch", "private")},
        "files": plan["changes"],
        "left_out": plan["left_out"],
    }


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"
