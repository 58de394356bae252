"""A push: look, list, upload what is large, then one commit on exactly what was seen.

Until the commit nobody sees anything: large files lie in the Hub's store under their hashes, which
is also why an interrupted push does not send them again. The commit names its parent, so whatever
somebody else does in between makes it fail instead of being overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetCard,
    HfApi,
    constants,
    get_token,
    utils,
)
from huggingface_hub.errors import HfHubHTTPError

from advgen.attack.progress import Progress, Silent
from advgen.dataset.card import merge_card
from advgen.errors import ConfigError, DataError
from advgen.hub import quiet_client
from advgen.hub.faults import chain, first_line, statuses
from advgen.hub_release.contents import Release, check_licence, read_release
from advgen.hub_release.faults import dataset_page, told_as_faults, without_secrets
from advgen.hub_release.plan import PushPlan, make_plan
from advgen.hub_release.remote import KIND, Remote, read_remote, read_tree

AT_ONCE = 8
"""Large files that are handed over together; an interruption repeats at most these."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """How a push ended.

    Attributes:
        plan: What there was to do.
        commit: The new commit; the old one where nothing had to be done; None in a dry run of a
            repository that is not there.
        page: Address of the dataset, or of the pull request.
        dry_run: Whether nothing was done on purpose.
    """

    plan: PushPlan
    commit: str | None
    page: str
    dry_run: bool = False


def push_dataset(
    folder: Path,
    repo: str,
    *,
    private: bool | None = None,
    create_pr: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    told: Callable[[PushPlan], None] = lambda _: None,
    progress: Progress | None = None,
) -> Pushed:
    """Put a built dataset into a repository of the Hub, in one commit.

    Args:
        folder: A built dataset.
        repo: Repository id, `owner/name`; made where it is missing.
        private: Make a new repository private; None leaves that to the account.
        create_pr: Open a pull request instead of writing to the branch.
        revision: Branch; the main one if None. Made from the main one where it is missing.
        message: First line of the commit.
        dry_run: Only look; nothing is written.
        told: Gets the plan before anything is written.
        progress: Listener.

    Raises:
        ConfigError: If the card has no licence, there is no token or it may not write, or the
            repository is public where a private one is wanted.
        DataError: If the folder is not as it was built, somebody else committed meanwhile, or the
            Hub does not let the push through; what was uploaded stays, the same call continues.
        ModelError: If the Hub refuses the token.
    """
    progress = progress or Silent()
    _check_name(repo)
    release = read_release(Path(folder))
    if not dry_run and get_token() is None:
        raise ConfigError("there is no token for the Hub; run: hf auth login")
    with quiet_client(bars=False), told_as_faults(repo, revision):
        remote = read_remote(repo, revision)
        _check_remote(remote, private, create_pr)
        if remote.card not in ("", release.card):
            release = release.with_card(merge_card(remote.card, release.card))
            check_licence(release.card)
        plan = make_plan(release, remote, private=private)
        told(plan)
        if dry_run or plan.empty:
            return Pushed(plan, plan.parent, dataset_page(repo), dry_run)
        DatasetCard(release.card).validate(repo_type=KIND)
        remote = _made(remote, plan)
        message = message or ("Add the dataset" if plan.creates_repo else "Update the dataset")
        return _sent(release, remote, plan, message, create_pr, progress)


def _check_name(repo: str) -> None:
    try:
        utils.validate_repo_id(repo)
        named = repo.count("/") == 1
    except utils.HFValidationError:
        named = False
    if not named:
        raise ConfigError(f"'{repo}' is no name of a repository; give it as owner/name")


def _check_remote(remote: Remote, private: bool | None, create_pr: bool) -> None:
    if remote.commit is None and create_pr:
        raise ConfigError(
            f"there is no dataset '{remote.repo}' to open a pull request for; push without "
            "--create-pr to make it"
        )
    if remote.commit is not None and create_pr and not remote.has_branch:
        raise ConfigError(
            f"'{remote.repo}' has no branch '{remote.revision}' to open a pull request for"
        )
    if remote.commit is not None and private and not remote.private:
        raise ConfigError(
            f"'{remote.repo}' is public already; make it private at "
            f"{dataset_page(remote.repo)}/settings, or push without --private"
        )


def _made(remote: Remote, plan: PushPlan) -> Remote:
    """The repository with its branch, made where they are missing; both are empty or as before."""
    api = HfApi()
    if plan.creates_repo:
        api.create_repo(plan.repo, repo_type=KIND, private=plan.private)
    if remote.revision != constants.DEFAULT_REVISION and not remote.has_branch:
        api.create_branch(plan.repo, branch=remote.revision, repo_type=KIND)
    made = read_remote(plan.repo, remote.revision) if remote.commit is None else remote
    if made.commit is None:
        raise DataError(f"the Hub does not show '{plan.repo}' yet; push again in a minute")
    return made


def _sent(
    release: Release,
    remote: Remote,
    plan: PushPlan,
    message: str,
    create_pr: bool,
    progress: Progress,
) -> Pushed:
    wanted = {change.path for change in plan.sent}
    additions = [
        CommitOperationAdd(file.path, file.content) for file in release.files if file.path in wanted
    ]
    _upload(additions, remote, create_pr, progress)
    removals = [CommitOperationDelete(path, is_folder=False) for path in plan.removed]
    progress.stage("commit")
    try:
        info = HfApi().create_commit(
            plan.repo,
            [*additions, *removals],
            commit_message=message,
            repo_type=KIND,
            revision=remote.revision,
            create_pr=create_pr,
            parent_commit=remote.commit,
        )
    except Exception as error:
        commit, page = _committed(release, remote, create_pr, error), dataset_page(plan.repo)
    else:
        commit, page = info.oid, info.pr_url or dataset_page(plan.repo)
    try:
        _check_arrived(release, plan.repo, commit)
    except (HfHubHTTPError, OSError) as error:
        told = without_secrets(first_line(error))
        progress.note(f"committed, but the Hub does not say what it holds now ({told})")
    return Pushed(plan, commit, page)


def _upload(
    additions: Sequence[CommitOperationAdd], remote: Remote, create_pr: bool, progress: Progress
) -> None:
    """Hand over the large files, a few at a time; the Hub keeps them until the commit.

    An ignore file in the repository would silently keep rows out of the commit: it is overruled.
    """
    progress.stage("upload", total=len(additions))
    for start in range(0, len(additions), AT_ONCE):
        some = additions[start : start + AT_ONCE]
        HfApi().preupload_lfs_files(
            remote.repo,
            some,
            repo_type=KIND,
            revision=remote.revision,
            create_pr=create_pr,
            free_memory=False,
            gitignore_content="",
        )
        progress.advance(len(some))


def _committed(release: Release, remote: Remote, create_pr: bool, error: Exception) -> str:
    """The head, if the commit was made and only the Hub's answer was lost; else the error."""
    if any(400 <= code < 500 for code in statuses(list(chain(error)))):
        raise error
    if create_pr:
        raise DataError(
            f"the Hub did not answer ({without_secrets(first_line(error))}); look at "
            f"{dataset_page(remote.repo)}/discussions before you push again: the pull request may "
            "be there"
        ) from error
    try:
        head = read_remote(remote.repo, remote.revision)
    except Exception:  # the first fault is the one to tell
        raise error from None
    if head.commit is None or not make_plan(release, head).empty:
        raise error
    return head.commit


def _check_arrived(release: Release, repo: str, commit: str) -> None:
    """See that the commit holds what was built."""
    there = Remote(repo, commit, commit, files=read_tree(repo, commit), has_branch=True)
    lacking = make_plan(release, there).sent
    if lacking:
        raise DataError(
            f"commit {commit} of '{repo}' does not hold '{lacking[0].path}' as it was built; was "
            "the folder changed during the push? Build it anew and push again"
        )
