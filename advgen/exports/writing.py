"""Writes an export: all of it or nothing, and over nothing that is not an export itself."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from advgen import registry
from advgen.errors import ConfigError, StoreError
from advgen.exports.files import write_json
from advgen.exports.protocol import Exporter, ExportOptions
from advgen.exports.source import Source

MARK = ".advgen-export.json"
"""Says that a folder was written here and may be replaced."""
FORMATS = registry.names("exporter")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        format: Name of the format.
        out: The folder.
        rows: Images in it.
        files: All files, relative to the folder.
    """

    format: str
    out: Path
    rows: int
    files: tuple[str, ...]


def load_exporter(name: str) -> Exporter:
    """The exporter of a format.

    Raises:
        ConfigError: If there is no such format.
    """
    return registry.resolve("exporter", name)()


def export_dataset(
    source: Source,
    form: str,
    out: Path,
    *,
    options: ExportOptions | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write rows in a format; the same rows give the same bytes.

    Args:
        source: The rows.
        form: Name of the format.
        out: Folder that will hold the export.
        options: What was chosen.
        overwrite: Replace an earlier export in `out` (and nothing else).

    Returns:
        What was written.

    Raises:
        ConfigError: If the format is unknown or wants a built dataset, or `out` may not be used.
        StoreError: If it cannot be written; nothing is left then.
    """
    exporter = load_exporter(form)
    if source.kind == "run" and not exporter.reads_runs:
        raise ConfigError(
            f"the format '{form}' is made from a built dataset, and {source.root} is a run; "
            f"first: advgen dataset build {source.root} --out DIR"
        )
    _check_place(out, source.root, overwrite)
    rows = len(source)
    if not rows:
        raise ConfigError(f"{source.root} holds no rows to export")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir(parents=True)
        written = exporter.export(source, temporary, options or ExportOptions())
        files = tuple(path.relative_to(temporary).as_posix() for path in written)
        write_json(temporary / MARK, {"format": form, "rows": rows})
        _put_in_place(temporary, out)
    except OSError as error:
        raise StoreError(
            f"cannot write {out} ({error.strerror}); free the space, or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ExportReport(form, out, rows, files)


def _check_place(out: Path, root: Path, overwrite: bool) -> None:
    here, there = out.resolve(), root.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(f"{out} and {root} lie inside one another; choose another --out")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ConfigError(f"{out} is not a folder; choose another --out")
    if not out.exists() or not any(out.iterdir()):
        return
    if not overwrite:
        raise ConfigError(f"{out} is not empty; choose another --out, or add --overwrite")
    if not _is_export(out):
        raise ConfigError(f"{out} holds other files than an export; choose another --out")


def _is_export(out: Path) -> bool:
    try:
        return "format" in json.loads((out / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _put_in_place(temporary: Path, out: Path) -> None:
    if not out.exists():
        os.replace(temporary, out)
        return
    earlier = out.with_name(f".{out.name}.{secrets.token_hex(6)}.tmp")
    os.replace(out, earlier)
    try:
        os.replace(temporary, out)
    except OSError:
        os.replace(earlier, out)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
