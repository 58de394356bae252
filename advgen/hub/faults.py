"""What a user can do when a model cannot be had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub import errors

from advgen.errors import ModelError

MAIN = "main"
_SITE = "https://huggingface.co"


def is_folder(source: str) -> bool:
    """Whether a source is a folder of this machine, not a repository."""
    try:
        return bool(source) and Path(source).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):
        return False


def page_of(repo: str) -> str:
    """The page of a repository, where its licence is read and accepted."""
    return f"{_SITE}/{repo.partition('@')[0]}"


def hub_fault(source: str, error: BaseException) -> ModelError:
    """What a user can do about a fault of `huggingface_hub`, or of a library that called it.

    Args:
        source: Repository id, with `@revision` where one was asked for, or a local folder.
        error: What was raised; its causes are looked at too.
    """
    causes = list(chain(error))
    repo, _, revision = source.partition("@")
    page = page_of(repo)
    if has(causes, errors.GatedRepoError):
        return ModelError(
            f"'{repo}' is given only to those who accept its licence; accept it at {page}, then "
            "run: hf auth login"
        )
    if has(causes, errors.RepositoryNotFoundError):
        return ModelError(
            f"there is no public model '{repo}'; look at {page} (a private one needs: hf auth "
            "login)"
        )
    if has(causes, errors.RevisionNotFoundError):
        return ModelError(f"'{repo}' has no revision '{revision or MAIN}'; look at {page}/commits")
    if 401 in statuses(causes):
        return ModelError(f"the Hub refuses the token for '{repo}'; get another: hf auth login")
    if has(causes, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        return ModelError(
            f"'{repo}' is not on this machine and the network does not reach {page}; download it "
            "once, or give a local folder"
        )
    return ModelError(f"cannot load '{source}': {first_line(error)}")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def has(causes: Sequence[BaseException], *kinds: type[BaseException]) -> bool:
    """Whether one of the causes is of one of the kinds."""
    return any(isinstance(cause, kinds) for cause in causes)


def statuses(causes: Sequence[BaseException]) -> set[int]:
    """HTTP states of the answers among the causes."""
    answers = (getattr(cause, "response", None) for cause in causes)
    return {code for answer in answers if (code := getattr(answer, "status_code", None))}


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or of its cause's; else the name of its class."""
    messages = (str(cause).strip() for cause in chain(error))
    return next((text.splitlines()[0].strip() for text in messages if text), type(error).__name__)
