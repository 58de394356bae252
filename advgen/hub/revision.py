"""What identifies a model's files for good."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from huggingface_hub import HfApi, errors

from advgen.errors import ModelError
from advgen.hub.cache import cached_revision
from advgen.hub.faults import MAIN, hub_fault, is_folder
from advgen.store import sha256_file

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATIENCE = 10.0


def pinned_revision(source: str, revision: str | None = None) -> str:
    """What identifies a model's files for good, so that the same ones can be had again.

    Args:
        source: Repository id, after which `@REVISION` may stand, or local folder.
        revision: Branch, tag or commit; the main branch if None. Not used for a folder.

    Returns:
        A folder's `folder_digest`; a repository's commit from the Hub, or from the local cache when
        the Hub cannot be reached.

    Raises:
        ModelError: If there is no such model or revision, it is not open to us, or the Hub cannot
            be reached and the cache does not hold it.
    """
    if is_folder(source):
        return folder_digest(Path(source).expanduser())
    source, _, named = source.partition("@")
    revision = revision or named or None
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    named = f"{source}@{revision}" if revision else source
    try:
        found = HfApi().model_info(source, revision=revision, timeout=_PATIENCE).sha
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.HFValidationError,
    ) as error:
        raise hub_fault(named, error) from error
    except Exception as error:  # faults of the network come in many classes
        found = cached_revision(source, revision or MAIN)
        if found is None:
            raise hub_fault(named, _unreached(error)) from error
    if not found:
        raise ModelError(f"the Hub names no commit of '{source}'; give a local folder")
    return found


def folder_digest(folder: Path) -> str:
    """First 12 digits of the sha256 over relative names and contents of all files below a folder.

    Names that begin with a dot are left out: downloads keep dates there.
    """
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    digest = hashlib.sha256()
    for name, path in sorted(names.items()):
        hidden = any(part.startswith(".") for part in name.split("/"))
        if path.is_file() and not hidden:
            digest.update(f"{name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()[:12]


def _unreached(error: BaseException) -> BaseException:
    """A fault of the network as the one that `hub_fault` knows; an answer of the Hub as it is."""
    if isinstance(error, errors.HfHubHTTPError):
        return error
    return errors.OfflineModeIsEnabled(str(error))
