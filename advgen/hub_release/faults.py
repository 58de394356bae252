"""What a user can do when a dataset cannot be pushed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors, get_token

from advgen.errors import AdvgenError, ConfigError, DataError
from advgen.hub import hub_fault
from advgen.hub.faults import chain, first_line, has, statuses

TOKENS = "https://huggingface.co/settings/tokens"
_QUERY = re.compile(r"\?[^\s'\"]+")


def dataset_page(repo: str) -> str:
    """Address of a dataset's page."""
    return f"{constants.ENDPOINT}/datasets/{repo}"


def push_fault(repo: str, revision: str | None, error: BaseException) -> AdvgenError:
    """What a user can do about a fault of `huggingface_hub` on the way to a dataset.

    Args:
        repo: Repository id.
        revision: Branch that was asked for, None for the main one.
        error: What was raised; its causes are looked at too.
    """
    causes = list(chain(error))
    codes, page = statuses(causes), dataset_page(repo)
    if has(causes, errors.GatedRepoError):
        return DataError(
            f"'{repo}' is open only to those who accept its terms; accept them at {page}"
        )
    if has(causes, errors.RevisionNotFoundError):
        return DataError(f"'{repo}' has no revision '{revision}'; look at {page}/refs")
    if has(causes, errors.RepositoryNotFoundError) and 401 in codes:
        return ConfigError(f"the Hub wants to know who asks for '{repo}'; run: hf auth login")
    if has(causes, errors.RepositoryNotFoundError):
        return DataError(f"there is no dataset '{repo}' that this token can see; look at {page}")
    if 401 in codes:
        return hub_fault(repo, error)
    if 403 in codes:
        return ConfigError(
            f"this token may not write to '{repo}'; take one that may ({TOKENS}), or ask for a "
            "pull request: --create-pr"
        )
    if 412 in codes:
        return DataError(
            f"somebody else committed to '{repo}' at the same time, so nothing was changed; look "
            f"at {page}/commits/{revision or constants.DEFAULT_REVISION}, then push again"
        )
    if has(causes, errors.OfflineModeIsEnabled):
        return ConfigError("HF_HUB_OFFLINE forbids to ask the Hub; unset it")
    return DataError(
        f"a request to the Hub about '{repo}' did not get through: {_reason(error)}; the same "
        "command continues, what was uploaded stays"
    )


def _reason(error: BaseException) -> str:
    """What failed, and in brackets why, where the library says that in a cause."""
    outer = without_secrets(first_line(error)).rstrip(".")
    inner = without_secrets(first_line(error.__cause__ or error)).rstrip(".")
    return outer if inner in outer else f"{outer} ({inner})"


def without_secrets(text: str) -> str:
    """A text without the token and without the signed part of addresses."""
    token = get_token()
    text = text.replace(token, "***") if token else text
    return _QUERY.sub("", text)


@contextmanager
def told_as_faults(repo: str, revision: str | None) -> Iterator[None]:
    """Raise what `huggingface_hub` raises as `push_fault`."""
    try:
        yield
    except AdvgenError:
        raise
    except Exception as error:  # faults of the network come in many classes
        raise push_fault(repo, revision, error) from error
