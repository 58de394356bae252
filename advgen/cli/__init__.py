"""The command line: one file per verb, each imported only when it is called."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator

import click

from advgen import __version__
from advgen.errors import AdvgenError

SHARE_WORK = ("attack", "neurons")
"""Verbs that `accelerate launch --num_processes N` speeds up."""
VERBS = {
    "attack": "advgen.cli.attack:attack",
    "words": "advgen.cli.words:words",
    "neurons": "advgen.cli.neurons:neurons",
    "judge": "advgen.cli.judge:judge",
    "review": "advgen.cli.review:review",
    "dataset": "advgen.cli.dataset:dataset",
    "evaluate": "advgen.cli.evaluate:evaluate",
    "explain": "advgen.cli.explain:explain",
    "segment": "advgen.cli.segment:segment",
    "concepts": "advgen.cli.concepts:concepts",
    "ablate": "advgen.cli.ablate:ablate",
    "pool": "advgen.cli.pool:pool",
    "sandbox": "advgen.cli.sandbox:sandbox",
    "doctor": "advgen.cli.doctor:doctor",
}
HELP = {
    "attack": "Mine words, draw scenes, score them: a whole attack with a report.",
    "words": "Print the spurious words of a pair and the neurons behind them.",
    "neurons": "Directions of neurons: compute, list, show, export; pages of neuron cards.",
    "judge": "Have models look at a run's images: true class there, target class absent?",
    "review": "A local page on which people look at a run's images; decisions, agreement.",
    "dataset": "Build, verify, export and publish a data set from runs.",
    "evaluate": "Robustness of CLIPs on a data set: success, transfer, tests, a leaderboard.",
    "explain": "Where in an image a CLIP reads one class rather than another, and which neurons.",
    "segment": "Where in an image a class is: heat map and mask.",
    "concepts": "Words for what is in an image, read from the neurons that it activates.",
    "ablate": "Accuracy when second-order effects are ablated, by layer and all together.",
    "pool": "Text pools: have a chat model describe classes, look at a pool.",
    "sandbox": "The drawn world: draw, list, make image sets, train its CLIPs.",
    "doctor": "Check that this machine has what a preset needs, and say what is missing.",
}


def _launched() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def shared_output() -> Iterator[None]:
    """Let the first of several launched processes print, and no other."""
    with contextlib.ExitStack() as stack:
        if int(os.environ.get("RANK", "0")) > 0:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are used, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP[name]) for name in VERBS])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb of a command line, suggesting near misses."""
        import difflib

        if args and args[0] not in VERBS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        if args and args[0] in VERBS and args[0] not in SHARE_WORK and _launched():
            ctx.fail(f"'{args[0]}' does not share its work: start it without a launcher")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; a fault the user can fix becomes one line on stderr and exit code 1."""
        try:
            with shared_output():
                return super().invoke(ctx)
        except AdvgenError as error:
            click.echo(f"advgen: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("advgen: interrupted; what was finished is kept", err=True)
            ctx.exit(130)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="advgen")
def main() -> None:
    """Find out why a CLIP model can be fooled, and turn that into benchmark data.

    Everything runs offline on a CPU on the packaged sandbox; try `advgen attack --pair dog:deer`.
    """
