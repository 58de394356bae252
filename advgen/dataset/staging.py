"""A folder that appears whole or not at all: made beside its place, then renamed into it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from advgen.dataset.reading import DatasetLayout
from advgen.errors import DataError, StoreError

OWN = ("README.md", "croissant.json", "data", "build.json", "dropped.jsonl", "fiftyone.yml")
"""What a build writes; everything else in an old dataset is a person's and moves along."""


@contextlib.contextmanager
def staged(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A new folder beside `out` that takes its place when the block ends without an error.

    Args:
        out: Where the dataset shall be.
        overwrite: Whether a dataset that is there may be replaced.

    Raises:
        DataError: If something is there that may not be replaced.
        StoreError: If the folders cannot be written.
    """
    new, old = (out.parent / f".{out.name}.{kind}" for kind in ("building", "replaced"))
    try:
        if old.exists() and not out.exists():
            old.rename(out)  # a build was killed between its two renames
        _check_place(out, overwrite)
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"cannot write beside {out} ({error.strerror})") from error
    try:
        yield new
        _put(new, out, old)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreError(
                f"cannot write {out} ({error.strerror or error}); free some space, or choose "
                "another --out"
            ) from error
        raise


def _check_place(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not DatasetLayout(out).build.is_file():
        raise DataError(f"{out} is there and is no built dataset; choose another --out")
    if not overwrite:
        raise DataError(f"{out} is there; choose another --out, or replace it with --overwrite")


def _put(new: Path, out: Path, old: Path) -> None:
    try:
        if out.exists():
            for entry in sorted(out.iterdir()):
                if entry.name not in OWN:
                    copy = shutil.copytree if entry.is_dir() else shutil.copy2
                    copy(entry, new / entry.name)
            out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"cannot put {out} in place ({error.strerror})") from error
