import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from advgen.cli import HELP, VERBS, main
from advgen.cli.docs import cli_markdown, command_contexts, root_context

DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
CONTEXTS = list(command_contexts(root_context()))
HEAVY = ("torch", "open_clip", "sklearn", "matplotlib", "scipy", "pyarrow", "numpy", "PIL")


def test_help_answers_without_importing_what_takes_seconds() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "advgen", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in VERBS)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "advgen.cli" in imported
    assert not imported & set(HEAVY)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.command_path)
def test_every_command_explains_itself_and_its_options(context: click.Context) -> None:
    names = context.command_path.split()[1:]
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(main, [*names, flag])
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(f"Usage: {main.name} {' '.join(names)}".rstrip())
    assert context.command.help
    assert context.command.help.split("\n")[0].rstrip().endswith(".")


def test_the_list_of_verbs_is_complete() -> None:
    assert list(HELP) == list(VERBS)
    for name, text in HELP.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", cli_markdown(), re.MULTILINE)


def test_the_written_documentation_is_up_to_date() -> None:
    written = DOCS.read_text(encoding="utf-8")
    assert written == cli_markdown(), "run: python -m advgen.cli.docs > docs/cli.md"


def test_the_version_is_the_package_s() -> None:
    from advgen import __version__

    assert CliRunner().invoke(main, ["--version"]).stdout == f"advgen, version {__version__}\n"
