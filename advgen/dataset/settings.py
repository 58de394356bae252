"""What a build is told and what it reports."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from advgen.dataset.licences import Licence
from advgen.dataset.shards import SHARD_BYTES
from advgen.errors import ConfigError
from advgen.judging.policy import Policy

NEAR = 4
"""Bits of 64 in which the hashes of two pictures may differ that count as one."""
DATE_VARIABLE = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What goes into a dataset and how it is called.

    Attributes:
        name: Pretty name; that of the folder if None.
        include_unverified: Whether images that nobody verified go in too; the card says so. Those
            that an exact judge or people rejected stay out in any case.
        only_fooled: Whether images that did not fool the attacked model stay out.
        decisions: Files of people's decisions beside those in the runs.
        policy: When judges are believed.
        near: Largest distance of perceptual hashes at which two pictures count as one; None: only
            equal files do.
        per_pair: One config per pair instead of a single one.
        licence: Of the images, where the runs do not say or say wrong.
        licence_link: Where it can be read.
        created_at: Date to write into every row; `SOURCE_DATE_EPOCH` if None, else none at all.
        seed: Of the sample that a check draws.
        shard_bytes: Bytes of images per file.
        overwrite: Whether a dataset that is there is replaced.
    """

    name: str | None = None
    include_unverified: bool = False
    only_fooled: bool = False
    decisions: tuple[Path, ...] = ()
    policy: Policy = field(default_factory=Policy)
    near: int | None = NEAR
    per_pair: bool = False
    licence: str | None = None
    licence_link: str | None = None
    created_at: str | None = None
    seed: int = 0
    shard_bytes: int = SHARD_BYTES
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What came of a build.

    Attributes:
        root: The dataset.
        build: What `build.json` says.
        licence: Of the dataset.
    """

    root: Path
    build: dict[str, Any]
    licence: Licence

    @property
    def rows(self) -> int:
        """Images in the dataset."""
        return self.build["counts"]["rows"]

    @property
    def dropped(self) -> dict[str, int]:
        """Images left out, by reason."""
        return self.build["counts"]["dropped"]


def date_of(settings: BuildSettings) -> str | None:
    """The date of a build, as UTC; None when nobody gave one.

    Raises:
        ConfigError: If `SOURCE_DATE_EPOCH` is no number of seconds.
    """
    if settings.created_at is not None:
        return settings.created_at
    seconds = os.environ.get(DATE_VARIABLE)
    if not seconds:
        return None
    try:
        moment = datetime.fromtimestamp(int(seconds), tz=timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(f"{DATE_VARIABLE} must be seconds since 1970; got '{seconds}'") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
