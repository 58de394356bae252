"""Pushing to a Hub on the loopback, through the real client."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles.hub import CARD, READER, WRITER, Refusal, StubHub

from advgen.errors import AdvgenError, ConfigError, DataError, ModelError
from advgen.hub_release import push as push_module
from advgen.hub_release import push_dataset

REPO = "me/drawn"
SHARD = "data/test-{}-of-{}.parquet"
FIRST, SECOND = SHARD.format("00000", "00002"), SHARD.format("00001", "00002")
Built = Callable[..., Path]
# The client itself uploads in a way that its HTTP library wants to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def contents(hub: StubHub, ref: str = "main") -> dict[str, bytes]:
    tree = hub.repos[REPO].head(ref)
    return {path: blob.data for path, blob in tree.items() if path != ".gitattributes"}


def on_disk(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def states(plan) -> dict[str, str]:
    return {change.path: change.state for change in plan.changes}


def test_a_new_repository_gets_all_in_one_commit(hub: StubHub, make_built: Built) -> None:
    folder = make_built()
    seen: list[tuple[object, int]] = []
    told = lambda plan: seen.append((plan, len(hub.writes)))  # noqa: E731
    pushed = push_dataset(folder, REPO, private=True, told=told)
    assert contents(hub) == on_disk(folder)
    repo = hub.repos[REPO]
    assert repo.private and repo.titles == ["initial commit", "Add the dataset"]
    assert seen == [(pushed.plan, 0)], "the list comes before anything is written"
    assert set(states(pushed.plan).values()) == {"new"}
    assert pushed.commit == repo.refs["main"]
    assert pushed.page == f"{hub.url}/datasets/{REPO}"
    assert repo.head()[FIRST].lfs and not repo.head()["README.md"].lfs


def test_a_second_push_sends_only_what_changed(hub: StubHub, make_built: Built) -> None:
    push_dataset(make_built(("one", "two")), REPO)
    hub.uploads.clear()
    before = hub.repos[REPO].refs["main"]
    pushed = push_dataset(make_built(("one", "TWO")), REPO)
    assert states(pushed.plan) == {
        "README.md": "unchanged",
        "build.json": "changed",
        "croissant.json": "unchanged",
        FIRST: "unchanged",
        SECOND: "changed",
        "dropped.jsonl": "unchanged",
    }
    assert hub.uploads == [hub.repos[REPO].head()[SECOND].sha256]
    assert contents(hub) == on_disk(make_built(("one", "TWO")))
    assert pushed.plan.parent == before
    writes = len(hub.writes)
    again = push_dataset(make_built(("one", "TWO")), REPO)
    assert again.plan.empty and again.commit == pushed.commit and len(hub.writes) == writes


def test_shards_of_an_earlier_build_go_and_files_of_people_stay(
    hub: StubHub, make_built: Built
) -> None:
    theirs = {"notes/plan.md": b"mine", "data/extra.csv": b"a,b"}
    hub.create(REPO, {**theirs, "data/dog/test-00000-of-00001.parquet": b"old"})
    push_dataset(make_built(("one", "two")), REPO)
    pushed = push_dataset(make_built(("both",)), REPO)
    assert pushed.plan.removed == (FIRST, SECOND)
    assert contents(hub) == {**on_disk(make_built(("both",))), **theirs}


@pytest.mark.parametrize("trouble", ["500", "cut"])
@pytest.mark.parametrize("new", [False, True], ids=["an update", "a new repository"])
def test_wherever_a_push_is_cut_nothing_half_is_seen_and_it_continues(
    trouble, new: bool, hub: StubHub, make_built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_module, "AT_ONCE", 1)
    cuts = 0
    for at in range(1, 40):
        hub.repos.pop(REPO, None)
        hub.objects.clear()
        if not new:
            hub.create(REPO, {"README.md": CARD.encode(), FIRST: b"old"})
        old = contents(hub) if not new else {}
        folder = make_built(("one", f"two {at}", "three"))
        hub.uploads.clear()
        hub.fail(trouble, at=at, times=1000)
        try:
            push_dataset(folder, REPO)
        except AdvgenError as error:
            assert "did not get through" in str(error) and "\n" not in str(error)
            assert "Signature" not in str(error)
            cuts += 1
        else:
            break
        finally:
            hub.heal()
        assert REPO not in hub.repos or contents(hub) == old
        push_dataset(folder, REPO)
        assert contents(hub) == on_disk(folder)
        assert len(hub.uploads) == len(set(hub.uploads)) == 3, f"cut at write {at}"
    assert cuts > 10 and contents(hub) == on_disk(folder)


def test_an_answer_that_is_lost_after_the_commit_is_no_fault(
    hub: StubHub, make_built: Built
) -> None:
    hub.create(REPO)
    folder = make_built()

    push_dataset(folder, REPO)
    count = len(hub.writes)
    hub.repos.pop(REPO)
    hub.create(REPO)
    hub.objects.clear()
    hub.fail("cut after", at=count)
    pushed = push_dataset(folder, REPO)
    assert hub.writes[-1][1].endswith("/commit/main")
    assert pushed.commit == hub.repos[REPO].refs["main"]
    assert contents(hub) == on_disk(folder) and len(hub.repos[REPO].titles) == 2


def test_a_pull_request_whose_answer_is_lost_is_looked_for_first(
    hub: StubHub, make_built: Built
) -> None:
    hub.create(REPO)
    push_dataset(make_built(), REPO, create_pr=True)
    hub.objects.clear()
    hub.fail("cut after", at=len(hub.writes))
    with pytest.raises(DataError, match="did not answer.*/discussions before you push again"):
        push_dataset(make_built(), REPO, create_pr=True)
    assert set(hub.repos[REPO].refs) == {"main", "refs/pr/1", "refs/pr/2"}


def test_a_commit_that_cannot_be_looked_at_is_a_commit(hub: StubHub, make_built: Built) -> None:
    hub.create(REPO)
    notes: list[str] = []
    progress = SimpleNamespace(
        stage=lambda *_, **__: None, advance=lambda _: None, note=notes.append
    )

    def down(method: str, path: str) -> None:
        if "/tree/" in path and len(hub.repos[REPO].titles) == 2:
            raise Refusal(500)

    hub.before = down
    pushed = push_dataset(make_built(), REPO, progress=progress)
    assert pushed.commit == hub.repos[REPO].refs["main"]
    assert len(notes) == 1 and "committed, but the Hub does not say" in notes[0]


def test_a_hiccup_is_tried_again_by_the_client(hub: StubHub, make_built: Built) -> None:
    hub.create(REPO)
    hub.fail("500", at=2, times=2)
    push_dataset(make_built(), REPO)
    assert contents(hub) == on_disk(make_built())


def test_large_files_go_in_parts(hub: StubHub, make_built: Built) -> None:
    hub.part_size = 64
    push_dataset(make_built(), REPO)
    assert contents(hub) == on_disk(make_built()) and len(hub.parts) > 4


def test_a_commit_by_somebody_else_is_not_overwritten(hub: StubHub, make_built: Built) -> None:
    repo = hub.create(REPO)

    def theirs(method: str, path: str) -> None:
        if path.startswith("/lfs/") and "note.md" not in repo.head():
            blob = repo.head()[".gitattributes"]
            repo.commit("main", {**repo.head(), "note.md": blob}, "theirs")

    hub.before = theirs
    with pytest.raises(DataError, match="somebody else committed.*nothing was changed"):
        push_dataset(make_built(), REPO)
    assert set(contents(hub)) == {"note.md"}
    push_dataset(make_built(), REPO)
    assert set(contents(hub)) == {"note.md", *on_disk(make_built())}


def test_what_a_person_wrote_in_the_card_stays(hub: StubHub, make_built: Built) -> None:
    push_dataset(make_built(), REPO)
    card = contents(hub)["README.md"].decode() + "\n## Contact\n\nAsk Jo.\n"
    hub.create(REPO, {**contents(hub), "README.md": card.encode()})
    pushed = push_dataset(make_built(("one", "2")), REPO)
    assert "## Contact\n\nAsk Jo." in contents(hub)["README.md"].decode()
    assert "pretty_name: Drawn animals" in contents(hub)["README.md"].decode()
    again = push_dataset(make_built(("one", "2")), REPO)
    assert again.plan.empty and again.commit == pushed.commit, "merging again changes nothing"


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_only_asks(there: bool, hub: StubHub, make_built: Built) -> None:
    if there:
        hub.create(REPO, {FIRST: b"old"})
    pushed = push_dataset(make_built(), REPO, revision="v2" if there else None, dry_run=True)
    assert hub.writes == [] and hub.calls
    assert pushed.dry_run and pushed.plan.creates_repo is not there
    assert pushed.plan.creates_branch is there
    assert states(pushed.plan)[FIRST] == ("changed" if there else "new")


def test_a_pull_request_leaves_the_branch_as_it_is(
    hub: StubHub, make_built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", READER)
    hub.create(REPO, {"README.md": CARD.encode()})
    before = hub.repos[REPO].refs["main"]
    pushed = push_dataset(make_built(), REPO, create_pr=True)
    assert hub.repos[REPO].refs["main"] == before
    assert contents(hub, "refs/pr/1") == on_disk(make_built())
    assert pushed.page == f"{hub.url}/datasets/{REPO}/discussions/1"
    monkeypatch.setenv("HF_TOKEN", WRITER)
    pushed = push_dataset(make_built(("one", "2")), REPO, revision="refs/pr/1")
    assert contents(hub, "refs/pr/1") == on_disk(make_built(("one", "2")))
    assert hub.repos[REPO].refs["main"] == before


def test_a_branch_is_made_where_it_is_missing(hub: StubHub, make_built: Built) -> None:
    hub.create(REPO)
    before = hub.repos[REPO].refs["main"]
    pushed = push_dataset(make_built(), REPO, revision="v1.0", message="Release 1.0")
    assert pushed.plan.creates_branch and hub.repos[REPO].refs["main"] == before
    assert contents(hub, "v1.0") == on_disk(make_built())
    assert hub.repos[REPO].titles[-1] == "Release 1.0"
    push_dataset(make_built(), "me/other", revision="v1.0")
    assert "v1.0" in hub.repos["me/other"].refs


def test_an_ignore_file_keeps_no_rows_out(hub: StubHub, make_built: Built) -> None:
    hub.create(REPO, {".gitignore": b"*.parquet\n*.json"})
    push_dataset(make_built(), REPO)
    assert {**contents(hub), ".gitignore": b""} == {**on_disk(make_built()), ".gitignore": b""}


def test_a_folder_that_changes_meanwhile_is_told(hub: StubHub, make_built: Built) -> None:
    hub.create(REPO)
    folder = make_built()
    path = folder / "croissant.json"
    with pytest.raises(DataError, match="'croissant.json' as it was built"):
        push_dataset(folder, REPO, told=lambda plan: path.write_text("[]") and None)


def test_what_no_build_makes_is_left_at_home(hub: StubHub, make_built: Built) -> None:
    folder = make_built()
    (folder / ".env").write_text("KEY=1")
    (folder / "notes.txt").write_text("private")
    (folder / "fiftyone.yml").write_text("name: x")
    pushed = push_dataset(folder, REPO)
    assert pushed.plan.left_out == (".env", "notes.txt")
    assert "fiftyone.yml" in contents(hub) and not {".env", "notes.txt"} & set(contents(hub))


@pytest.mark.parametrize(
    ("token", "repo", "options", "kind", "message"),
    [
        ("", REPO, {}, ConfigError, "no token for the Hub; run: hf auth login"),
        ("", "me/none", {"dry_run": True}, ConfigError, "who asks for 'me/none'; run: hf auth"),
        ("hf_staleToken", REPO, {}, ModelError, f"refuses the token for '{REPO}'"),
        (READER, REPO, {}, ConfigError, "may not write to 'me/drawn'.*--create-pr"),
        (WRITER, "you/new", {}, ConfigError, "may not write to 'you/new'"),
        (READER, "me/gated", {}, DataError, "who accept its terms; accept them at .*me/gated"),
        (WRITER, "drawn", {}, ConfigError, "'drawn' is no name of a repository; .* owner/name"),
        (WRITER, "a/b/c", {}, ConfigError, "no name of a repository"),
        (WRITER, "me/../you", {}, ConfigError, "no name of a repository"),
        (WRITER, REPO, {"private": True}, ConfigError, "is public already.*settings"),
        (WRITER, "me/none", {"create_pr": True}, ConfigError, "no dataset 'me/none' to open"),
        (WRITER, REPO, {"create_pr": True, "revision": "v9"}, ConfigError, "no branch 'v9'"),
        (WRITER, REPO, {"revision": "refs/pr/7"}, ConfigError, "has no 'refs/pr/7'"),
    ],
)
def test_what_cannot_be_pushed_says_what_to_do(
    token: str,
    repo: str,
    options: dict,
    kind: type[Exception],
    message: str,
    hub: StubHub,
    make_built: Built,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.create(REPO)
    hub.create("me/gated", gated=True)
    monkeypatch.setenv("HF_TOKEN", token)
    before = hub.repos[REPO].refs
    with pytest.raises(kind, match=message) as caught:
        push_dataset(make_built(), repo, **options)
    assert "\n" not in str(caught.value) and (not token or token not in str(caught.value))
    assert hub.repos[REPO].refs == before and set(hub.repos) == {REPO, "me/gated"}


def test_a_hub_that_is_down(hub: StubHub, make_built: Built) -> None:
    hub.fail("500", at=1, times=1000, asking=True)
    with pytest.raises(DataError, match="did not get through.*the same command continues"):
        push_dataset(make_built(), REPO)
    assert hub.writes == []
