"""Several processes on one job: who this one is, and waiting for the others.

`accelerate launch --num_processes N advgen ...` starts N copies of the same command; each asks here
for its share of the work.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Processes(Protocol):
    """This process among those of one job."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def wait(self) -> None:
        """Return when every process has come this far."""
        ...


@dataclass(frozen=True, slots=True)
class OneProcess:
    """A job that nobody shares."""

    rank: int = 0
    count: int = 1

    def wait(self) -> None:
        """There is nobody to wait for."""


class LaunchedProcesses:
    """The processes of an `accelerate launch` (or torchrun)."""

    def __init__(self) -> None:
        from accelerate import PartialState

        self._state = PartialState()
        atexit.register(self._state.destroy_process_group)
        self.rank: int = self._state.process_index
        self.count: int = self._state.num_processes

    def wait(self) -> None:
        """See `Processes.wait`."""
        self._state.wait_for_everyone()


def current_processes() -> Processes:
    """The processes that a launcher started this one with, or this one alone."""
    return LaunchedProcesses() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else OneProcess()
