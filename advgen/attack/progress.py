"""How a long job tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Listener of a job."""

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        """A stage of `total` steps begins (None: unknown), `done` of them done before."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Steps of the current stage are done."""
        ...

    def note(self, message: str) -> None:
        """Something the user should know."""
        ...


class Silent:
    """Listens to nothing."""

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        """See `Progress`."""

    def advance(self, steps: int = 1) -> None:
        """See `Progress`."""

    def note(self, message: str) -> None:
        """See `Progress`."""
