"""A released data set from the Hugging Face Hub, pinned to one commit."""

from __future__ import annotations

from pathlib import Path

from advgen.errors import AdvgenError, DataError
from advgen.hub.faults import chain, first_line, has, hub_fault, statuses

HUB = "hf:"
_WANTED = ["README.md", "build.json", "data/*"]
_PATIENCE = 30.0


def fetch_data(place: str) -> tuple[str, Path]:
    """The commit of a data set and a folder that holds its rows.

    Where the Hub cannot be reached, the copy on this machine stands in.

    Args:
        place: `OWNER/NAME`, with `@REVISION` for another revision than the main one.

    Returns:
        `hf:OWNER/NAME@COMMIT`, and the folder.

    Raises:
        DataError: If there is no such data set or revision, it is not open to us, or can be had
            neither from the Hub nor from this machine.
        ModelError: If the Hub refuses the token.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    repo, _, revision = place.partition("@")
    commit: str | None = None
    told = (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.HFValidationError,
        errors.GatedRepoError,
    )
    try:
        commit = HfApi().dataset_info(repo, revision=revision or None, timeout=_PATIENCE).sha
    except told as error:
        raise _fault(repo, revision, error) from error
    except Exception as error:  # faults of the network come in many classes
        if 401 in statuses(list(chain(error))):
            raise _fault(repo, revision, error) from error
    try:
        folder = snapshot_download(
            repo,
            repo_type="dataset",
            revision=commit or revision or None,
            allow_patterns=_WANTED,
            local_files_only=commit is None,
        )
    except Exception as error:
        raise _fault(repo, revision, error) from error
    return f"{HUB}{repo}@{commit or Path(folder).name}", Path(folder)


def _fault(repo: str, revision: str, error: BaseException) -> AdvgenError:
    from huggingface_hub import constants, errors

    causes = list(chain(error))
    page = f"{constants.ENDPOINT}/datasets/{repo}"
    if has(causes, errors.HFValidationError):
        return DataError(f"'{HUB}{repo}' is no data set of the Hub; write {HUB}OWNER/NAME")
    if has(causes, errors.GatedRepoError):
        return DataError(
            f"'{repo}' is given only to those who accept its terms; accept them at {page}, then "
            "run: hf auth login"
        )
    if has(causes, errors.RevisionNotFoundError):
        return DataError(f"'{repo}' has no revision '{revision}'; look at {page}/commits")
    if has(causes, errors.RepositoryNotFoundError):
        return DataError(
            f"there is no public data set '{repo}'; look at {page} (a private one needs: hf auth "
            "login)"
        )
    if 401 in statuses(causes):
        return hub_fault(repo, error)
    if has(causes, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        return DataError(
            f"'{repo}' is not on this machine and the network does not reach {page}; download it "
            "once, or give a local folder"
        )
    return DataError(f"cannot fetch '{HUB}{repo}': {first_line(error)}")
