"""What an export format is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from advgen.exports.source import Source

REASONS = ("broken", "offensive", "unclear")
"""Reasons against an image that the forms of the review formats offer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """What can be chosen; a format ignores what does not concern it.

    Attributes:
        name: Of the data set, for formats that carry one.
        templates: Class prompts as `advgen.models.text.fill_template` reads them (clip-benchmark);
            empty: those that the attack scored with.
        by_pair: One data set per pair, each with its two classes (clip-benchmark).
        shard_images: Images per shard at most (clip-benchmark).
        shard_bytes: Bytes of images per shard at most, one image excepted (clip-benchmark).
        suggestions: Show what judges said as suggestions to people (label-studio, argilla).
    """

    name: str = "advgen"
    templates: tuple[str, ...] = ()
    by_pair: bool = False
    shard_images: int = 10_000
    shard_bytes: int = 1_000_000_000
    suggestions: bool = True


class Exporter(Protocol):
    """One format.

    Attributes:
        name: As `--format` has it.
        extra: Extra of this package that it needs; None: nothing beyond the package itself.
        reads_runs: Whether a run directory will do, before its data set is built.
    """

    name: str
    extra: str | None
    reads_runs: bool

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """Write the rows in their order.

        Args:
            built: The rows.
            out: A folder that exists and is empty; it becomes visible when all is written.
            options: What was chosen.

        Returns:
            The files that were written, in order.
        """
        ...
