"""docs/cli.md from the commands' own help: `python -m advgen.cli.docs > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from advgen.cli import main

WIDTH = 100
_HEAD = """# The command line

Written by `python -m advgen.cli.docs > docs/cli.md`; a test holds it to the code.

Exit codes: 0 done, 1 a fault that you can fix (one line on stderr says how), 2 wrong usage.
Data goes to stdout, progress to stderr.
"""


def cli_markdown() -> str:
    """The help of `advgen` and of every verb below it, as Markdown."""
    sections = [
        f"## {one.command_path}\n\n```\n{one.get_help()}\n```\n"
        for one in command_contexts(root_context())
    ]
    return "\n".join([_HEAD, *sections])


def root_context() -> click.Context:
    """What `advgen` itself is called in; the width does not depend on the terminal."""
    return click.Context(main, info_name="advgen", terminal_width=WIDTH, **main.context_settings)


def command_contexts(context: click.Context) -> Iterator[click.Context]:
    """The context itself and those of all commands below it, in the order of the help."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                yield from command_contexts(click.Context(command, info_name=name, parent=context))


if __name__ == "__main__":
    click.echo(cli_markdown(), nl=False)
