"""Several processes on one job: who this one is, and waiting for the others.

`accelerate launch --multi_gpu --num_processes N -m advgen ...` starts N copies of the same command;
each asks here for its share of the work. Where there is no GPU the same command starts N processes
on the CPU (accelerate's own `--cpu` starts one, whatever N is). torchrun does as well.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

from advgen.errors import ConfigError

_PATIENCE = timedelta(days=7)
"""How long one process waits for another: a language model writes, or a GPU draws, for hours."""


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
        import torch
        from accelerate import PartialState

        # Without a GPU accelerate has to be told, or every process takes itself for the only one.
        self._state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
        atexit.register(self._state.destroy_process_group)
        self.rank: int = self._state.process_index
        self.count: int = self._state.num_processes
        started = int(os.environ["WORLD_SIZE"])
        if self.count != started:
            raise ConfigError(
                f"{started} processes were started but see {self.count} of each other; "
                "check the launcher's options"
            )

    def wait(self) -> None:
        """See `Processes.wait`."""
        self._state.wait_for_everyone()


def current_processes() -> Processes:
    """The processes that a launcher started this one with, or this one alone."""
    return LaunchedProcesses() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else OneProcess()


def local_device() -> str:
    """The device of this process: one GPU each where there are GPUs, else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
