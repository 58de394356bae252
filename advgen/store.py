"""Content-addressed artifacts: tensors that are expensive to compute, found by what made them.

An artifact is two files, ``<root>/<kind>/<key>.safetensors`` and ``<key>.json``. The key is a hash
of the `fields` (weights, image set, settings) that determine the tensors. The JSON manifest holds
those fields in full and the tensor file's size and SHA-256; it is written last, so a pair that
passes the checks of `ArtifactStore.lookup` is complete. Anything else is reported and rebuilt.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advgen.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

FORMAT_VERSION = 1
CACHE_VARIABLE = "ADVGEN_CACHE"
_KIND = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class ArtifactWarning(UserWarning):
    """A stored artifact was found but could not be trusted."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One artifact read from the store; `tensors` are on the CPU, `path` is its tensor file."""

    kind: str
    fields: dict[str, Any]
    tensors: "dict[str, Tensor]"
    extra: dict[str, Any]
    path: Path


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of looking for an artifact.

    Args:
        artifact: The artifact, or None.
        reason: Why a stored file was rejected; None where there was nothing to reject.
    """

    artifact: Artifact | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """A folder of content-addressed artifacts.

    Args:
        root: Folder that is read and written; created at the first `save`.
        fallback: Second folder that is only read, e.g. artifacts shipped in the package.
        on_rebuild: Called by `load` with the reason when a stored file is rejected; a warning
            (`ArtifactWarning`) by default.
    """

    root: Path
    fallback: Path | None = field(default=None, kw_only=True)
    on_rebuild: Callable[[str], None] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Accept strings for the folders."""
        object.__setattr__(self, "root", Path(self.root))
        if self.fallback is not None:
            object.__setattr__(self, "fallback", Path(self.fallback))

    def key(self, kind: str, fields: Mapping[str, Any]) -> str:
        """``<kind>-<32 hex digits>``, the same for equal fields in any order.

        Raises:
            ValueError: If `kind` is not lower-case-with-dashes or a field is not plain JSON.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"kind must be lower-case words joined by dashes; got '{kind}'")
        text = canonical_json({"kind": kind, "format": FORMAT_VERSION, "fields": fields})
        return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def save(
        self,
        kind: str,
        fields: Mapping[str, Any],
        tensors: "Mapping[str, Tensor | np.ndarray]",
        extra: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write an artifact, replacing one with the same fields.

        Args:
            kind: Kind of artifact, e.g. ``"directions"``.
            fields: Everything that determines the tensors; plain JSON values.
            tensors: Named arrays of any device and dtype.
            extra: Facts to keep beside them that do not enter the key; plain JSON values.

        Returns:
            The path of the tensor file.

        Raises:
            ValueError: If `fields` or `extra` are not plain JSON.
            StoreError: If the folder cannot be written.
        """
        from safetensors.torch import save

        path = self._path(self.root, kind, fields)
        ready = {name: _contiguous(value) for name, value in tensors.items()}
        payload = save(ready)
        manifest = {
            "format": FORMAT_VERSION,
            "kind": kind,
            "fields": dict(fields),
            "sha256": hashlib.sha256(payload).hexdigest(),
            "size": len(payload),
            "tensors": {
                name: {"shape": list(value.shape), "dtype": str(value.dtype).split(".")[-1]}
                for name, value in ready.items()
            },
            "extra": dict(extra or {}),
        }
        text = canonical_json(manifest, indent=2) + "\n"
        write_atomic(path, payload)
        write_atomic(path.with_suffix(".json"), text)
        return path

    def lookup(self, kind: str, fields: Mapping[str, Any]) -> Lookup:
        """Find an artifact in `root`, then in `fallback`; a file that fails a check is reported."""
        reasons = []
        for root in filter(None, (self.root, self.fallback)):
            path = self._path(root, kind, fields)
            if not path.with_suffix(".json").exists() and not path.exists():
                continue
            try:
                return Lookup(_read(path, kind, fields), "; ".join(reasons) or None)
            except _Rejected as rejected:
                reasons.append(f"{path}: {rejected}")
        return Lookup(None, "; ".join(reasons) or None)

    def load(self, kind: str, fields: Mapping[str, Any]) -> Artifact | None:
        """Like `lookup`, but returns the artifact alone and tells `on_rebuild` the reason."""
        found = self.lookup(kind, fields)
        if found.reason is not None:
            if self.on_rebuild is None:
                warnings.warn(f"ignored {found.reason}", ArtifactWarning, stacklevel=2)
            else:
                self.on_rebuild(found.reason)
        return found.artifact

    def _path(self, root: Path, kind: str, fields: Mapping[str, Any]) -> Path:
        return root / kind / f"{self.key(kind, fields)}.safetensors"


class _Rejected(Exception):
    """A stored pair of files fails a check; the message is the reason."""


def _read(path: Path, kind: str, fields: Mapping[str, Any]) -> Artifact:
    from safetensors import SafetensorError
    from safetensors.torch import load

    manifest = _read_manifest(path.with_suffix(".json"), kind, fields)
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise _Rejected(f"the tensor file cannot be read ({error.strerror})") from error
    if len(payload) != manifest["size"]:
        raise _Rejected(f"truncated: {len(payload)} bytes where {manifest['size']} were written")
    if hashlib.sha256(payload).hexdigest() != manifest["sha256"]:
        raise _Rejected("the tensor file differs from its manifest (SHA-256)")
    try:
        tensors = load(payload)
    except SafetensorError as error:
        raise _Rejected(f"not a safetensors file ({error})") from error
    if set(tensors) != set(manifest["tensors"]):
        raise _Rejected("the tensor names differ from the manifest")
    return Artifact(kind, manifest["fields"], tensors, manifest["extra"], path)


def _read_manifest(path: Path, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _Rejected(f"the manifest cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _Rejected(f"the manifest is not JSON ({error})") from error
    wanted = {"format", "kind", "fields", "sha256", "size", "tensors", "extra"}
    if not isinstance(manifest, dict) or not wanted <= manifest.keys():
        raise _Rejected("the manifest is incomplete")
    if manifest["format"] != FORMAT_VERSION:
        raise _Rejected(f"format {manifest['format']} where {FORMAT_VERSION} is read")
    if manifest["kind"] != kind or canonical_json(manifest["fields"]) != canonical_json(fields):
        raise _Rejected("made from other fields than its name says")
    return manifest


def _contiguous(value: "Tensor | np.ndarray") -> "Tensor":
    import torch

    return torch.as_tensor(value).detach().cpu().contiguous().clone()


def canonical_json(value: Any, *, indent: int | None = None) -> str:
    """JSON with sorted keys and no spaces (unless indented): equal values give equal text.

    Raises:
        ValueError: If the value is not plain JSON (strings, finite numbers, lists, mappings).
    """
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        return json.dumps(
            value,
            sort_keys=True,
            separators=separators,
            indent=indent,
            ensure_ascii=False,
            allow_nan=False,
        )
    except TypeError as error:
        raise ValueError(f"expected plain JSON values: {error}") from error


def default_store_root() -> Path:
    """Where artifacts go: ``$ADVGEN_CACHE``, else the checkout's neuron_cache/, else user cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout / "neuron_cache"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "advgen"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "advgen"


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Write a file so that a reader sees the old content or all of the new (temp, fsync, rename).

    Args:
        path: Target; missing parent folders are created.
        data: Bytes, or text that is written as UTF-8.

    Raises:
        StoreError: If the folder or file cannot be written.
    """
    path = Path(path)
    payload = data.encode("utf-8") if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        todo = "free some space" if error.errno == errno.ENOSPC else "choose another folder"
        raise StoreError(
            f"cannot write {path} ({error.strerror}); {todo} (artifacts: set {CACHE_VARIABLE})"
        ) from error


def write_fault(folder: Path) -> str:
    """Why files cannot be written into a folder, or where it will be made; empty if they can.

    Nothing stays behind. Ask before hours of work rather than after.

    Args:
        folder: It need not be there yet.
    """
    place = folder.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def require_writable(folder: Path) -> None:
    """See `write_fault`.

    Raises:
        StoreError: If the folder cannot be written.
    """
    if fault := write_fault(folder):
        raise StoreError(f"cannot write into {folder} ({fault}); choose another folder")


def is_leftover(path: Path) -> bool:
    """True for the temporary file of a `write_atomic` that was killed before it finished."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def text_sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
