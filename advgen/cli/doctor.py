"""`advgen doctor`: can this machine run a preset, and what is missing?"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from advgen.cli.settings import config_options, settings_table
from advgen.config import attack_config

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_ANY_PAIR = "dog:deer"


@click.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@click.pass_context
def doctor(context: click.Context, as_json: bool, **settings: Any) -> None:
    """Check packages, GPU, disk, token, models, images and folders for an attack.

    Every model is looked for at once, here and on the Hugging Face Hub, and the pages are named
    where licences wait to be accepted. Nothing is downloaded. The exit code is 0 when nothing
    failed, else 1.

    Takes the settings that `advgen attack` takes. Example: advgen doctor --preset paper
    """
    config = attack_config({**settings_table(**settings), "pairs": [_ANY_PAIR]})
    from advgen.doctor import examine, passed

    checks = examine(config)
    if as_json:
        rows = [dataclasses.asdict(check) for check in checks]
        click.echo(json.dumps({"preset": settings["preset"], "ok": passed(checks), "checks": rows}))
    else:
        for check in checks:
            state = click.style(f"{check.state:<4}", fg=_COLOURS[check.state])
            todo = f" -> {check.todo}" if check.todo else ""
            click.echo(f"{state}  {check.name}: {check.message}{todo}")
    failed = sum(check.state == "fail" for check in checks)
    if failed:
        click.echo(f"advgen: {failed} of {len(checks)} checks failed", err=True)
        context.exit(1)
