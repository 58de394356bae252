"""How pairs and settings are named on the command line."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from advgen.cli.pairs import pair_options
from advgen.cli.settings import config_options, settings_table


@click.command()
@pair_options
def shown(pairs) -> None:
    click.echo(" ".join(str(pair).replace(" ", "_") for pair in pairs))


@click.command()
@config_options
def table(**settings) -> None:
    click.echo(json.dumps(settings_table(**settings)))


def run(command, *arguments: str):
    return CliRunner().invoke(command, list(arguments))


def test_pairs_come_from_everywhere_in_order_and_once(tmp_path: Path) -> None:
    listed = tmp_path / "pairs.txt"
    listed.write_text("# traffic\nStop  Sign:Yield   # signs\n\ncat:vacuum cleaner\n")
    result = run(
        shown, "--pair", "cat:dog", "--pairs-file", str(listed), "--classes", "dog, cat,ice  bear"
    )
    assert result.output.split() == [
        "cat:dog",
        "stop_sign:yield",
        "cat:vacuum_cleaner",
        "dog:cat",
        "dog:ice_bear",
        "cat:ice_bear",
        "ice_bear:dog",
        "ice_bear:cat",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what to attack"),
        (["--pair", "dog"], "not a pair"),
        (["--pair", "dog:dog"], "the same class twice"),
        (["--classes", "dog"], "two or more classes"),
        (["--classes", "dog,,cat"], "two or more classes"),
        (["--classes", "dog:cat,deer"], "no colon"),
        (["--pairs-file", "nowhere.txt"], "does not exist"),
    ],
)
def test_what_is_no_pair_is_a_usage_error(arguments: list[str], message: str) -> None:
    result = run(shown, *arguments)
    assert result.exit_code == 2 and message in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [("dog:deer\ndog\n", "line 2: 'dog' is not a pair"), ("# none\n", "no pair in it")],
)
def test_a_bad_pairs_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    listed = tmp_path / "pairs.txt"
    listed.write_text(text)
    result = run(shown, "--pairs-file", str(listed))
    assert result.exit_code == 2 and message in " ".join(result.output.split())


def test_any_setting_can_be_replaced() -> None:
    changes = ["mining.words=25", "draw.options.main_size=[20, 30]", "describe.options.model=a/b=c"]
    arguments = [part for change in changes for part in ("--set", change)]
    found = json.loads(run(table, *arguments, "--set", "judge=none").output)
    assert found["mining"]["words"] == 25
    assert found["draw"]["options"] == {"main_size": [20, 30]}
    assert found["describe"]["options"] == {"model": "a/b=c"}
    assert (found["judge"], found["seed"]) == ("none", 0)


@pytest.mark.parametrize("change", ["mining.words", "=3", "a..b=1", "images=5", "judge.x=1"])
def test_a_setting_that_cannot_be_is_a_usage_error(change: str) -> None:
    assert run(table, "--set", change).exit_code == 2
