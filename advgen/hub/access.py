"""Which models can be had right now, asked of this machine and of the Hub all at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Literal, TypeVar

from huggingface_hub import HfApi, constants, errors
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from advgen.catalogue import Need
from advgen.hub.cache import cached_folder
from advgen.hub.faults import chain, first_line, has, hub_fault, is_folder, page_of, statuses

PATIENCE = 4.0
"""Seconds that all questions of one check may take together."""
_TOKENS = "https://huggingface.co/settings/tokens"

AccessState = Literal[
    "folder", "cached", "open", "granted", "gated", "no_token", "missing", "unreachable"
]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a model can be had.

    Attributes:
        source: Repository id or local folder.
        state: `folder` (a local one), `cached` (all there, works offline), `open`, `granted` (gated
            and our token is accepted), `gated` (licence not accepted), `no_token` (no token that
            the Hub takes), `missing` or `unreachable`.
        message: One line: what is so, and what to do where something is to be done.
        page: Where the licence is read and accepted; empty where there is none.
    """

    source: str
    state: AccessState
    message: str
    page: str

    @property
    def usable(self) -> bool:
        """Whether nothing has to be done before the model is used."""
        return self.state in ("folder", "cached", "open", "granted")


@dataclass(frozen=True, slots=True)
class TokenState:
    """Whether there is a token for the Hub; never the token.

    Attributes:
        state: `none`, `there` (the Hub was not asked or did not answer), `valid` or `refused`.
        where: Variable or file that it comes from; empty when there is none.
        user: Account that it belongs to, when the Hub said so.
    """

    state: Literal["none", "there", "valid", "refused"]
    where: str = ""
    user: str = ""


def check_access(needs: Iterable[Need | str], *, seconds: float = PATIENCE) -> list[Access]:
    """Look for all models at once, on this machine and on the Hub; nothing is downloaded.

    Args:
        needs: Models, or just their sources; the answers come in the same order.
        seconds: What is not known after that time is `unreachable`.
    """
    wanted = [Need("", need) if isinstance(need, str) else need for need in needs]
    slow = f"the Hub does not answer within {seconds:g} s; check the network"
    late = [Access(need.source, "unreachable", slow, page_of(need.source)) for need in wanted]
    return together([lambda need=need: _access(need, seconds) for need in wanted], late, seconds)


def token_state(*, ask: bool = True, seconds: float = PATIENCE) -> TokenState:
    """Whether there is a token, where it comes from, and whether the Hub takes it.

    Args:
        ask: Ask the Hub; otherwise the token is only looked for.
        seconds: Time for the Hub's answer.
    """
    where = _token_place()
    if not where:
        return TokenState("none")
    there = TokenState("there", where)
    if not ask or constants.HF_HUB_OFFLINE:
        return there
    return together([lambda: _asked_token(there, seconds)], [there], seconds)[0]


def _access(need: Need, seconds: float) -> Access:
    source, page = need.source, page_of(need.source)
    if is_folder(source):
        return Access(source, "folder", "a local folder", "")
    if source.startswith((".", "~", "/")) or source.count("/") > 1 or not source:
        return Access(source, "missing", f"there is no folder '{source}'; correct the path", "")
    if cached_folder(source, need.files) is not None:
        return Access(source, "cached", "on this machine, works offline", page)
    if constants.HF_HUB_OFFLINE:
        told = "HF_HUB_OFFLINE forbids to ask the Hub; unset it"
        return Access(source, "unreachable", told, page)
    try:
        return _granted(source, page, seconds)
    except Exception as error:  # whatever it is becomes a state
        return _refused(source, page, error)


def _granted(source: str, page: str, seconds: float) -> Access:
    """Ask about a repository; anyone may see whether it is gated, the second question tells more.

    Not `HfApi.auth_check`: that one knows no timeout.
    """
    repo, _, revision = source.partition("@")
    info = HfApi().model_info(repo, revision=revision or None, timeout=seconds)
    if not info.gated:
        return Access(source, "open", "can be downloaded", page)
    url = f"{constants.ENDPOINT}/api/models/{repo}/auth-check"
    hf_raise_for_status(get_session().get(url, headers=build_hf_headers(), timeout=seconds))
    return Access(source, "granted", "licence accepted, can be downloaded", page)


def _refused(source: str, page: str, error: BaseException) -> Access:
    causes = list(chain(error))
    accept = f"accept the licence at {page}"
    token, codes = _token_place(), statuses(causes)
    if token and 401 in codes:
        told = f"the Hub refuses the token from {token}; get another: hf auth login"
        return Access(source, "no_token", told, page)
    if has(causes, errors.GatedRepoError):
        if token:
            return Access(source, "gated", accept, page)
        return Access(source, "no_token", f"{accept}, then run: hf auth login", page)
    if token and 403 in codes:
        told = f"{accept}, and let the token read gated repositories ({_TOKENS})"
        return Access(source, "gated", told, page)
    if has(causes, errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        return Access(source, "missing", str(hub_fault(source, error)), page)
    if has(causes, errors.HFValidationError):
        return Access(source, "missing", f"'{source}' is no name of a repository", "")
    told = f"the Hub cannot be asked ({first_line(error)}); check the network"
    return Access(source, "unreachable", told, page)


def _asked_token(there: TokenState, seconds: float) -> TokenState:
    url = f"{constants.ENDPOINT}/api/whoami-v2"
    try:
        response = get_session().get(url, headers=build_hf_headers(token=True), timeout=seconds)
        hf_raise_for_status(response)
        return TokenState("valid", there.where, str(response.json()["name"]))
    except Exception as error:  # no network or no such answer: the token is there all the same
        refused = statuses(list(chain(error))) & {401, 403}
        return TokenState("refused", there.where) if refused else there


def _token_place() -> str:
    """Variable or file that `huggingface_hub` takes the token from; empty when there is none."""
    for name in ("HF_OIDC_RESOURCE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name, "").strip():
            return name
    try:
        filled = bool(Path(constants.HF_TOKEN_PATH).read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        filled = False
    return str(constants.HF_TOKEN_PATH) if filled else ""


def together(
    jobs: Sequence[Callable[[], _Answer]], late: Sequence[_Answer], seconds: float
) -> list[_Answer]:
    """Run jobs at once; one that is not done in time gets its `late` answer and is left behind.

    Args:
        jobs: What to run, each in a thread; they must not raise.
        late: Answers of those that are not done, one per job.
        seconds: How long to wait for all of them together.

    Threads of our own and no pool: a look-up of a name may hang for longer than any timeout of
    ours, and a pool would be waited for at the end.
    """
    answers: dict[int, _Answer] = {}

    def run(index: int) -> None:
        answers[index] = jobs[index]()

    threads = [Thread(target=run, args=(index,), daemon=True) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [answers.get(index, late[index]) for index in range(len(jobs))]
