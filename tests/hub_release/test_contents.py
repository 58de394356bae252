"""What of a built dataset may be released, found out without any network."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.hub import CARD

from advgen.errors import AdvgenError
from advgen.hub_release import LocalFile, Remote, RemoteFile, make_plan, read_release
from advgen.hub_release.faults import without_secrets

Built = Callable[..., Path]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("# No front matter\n", "names no licence"),
        ("---\npretty_name: x\n---\n", "names no licence.*--licence"),
        (CARD.replace("cc-by-4.0", ""), "names no licence"),
        (CARD.replace("cc-by-4.0", "other"), "no `license_name:`"),
        (CARD.replace("cc-by-4.0", "other\nlicense_name: deepfloyd-if"), "no `license_link:`"),
        ("---\nlicense: [\n---\n", "cannot be read"),
    ],
)
def test_no_release_without_a_licence(card: str, message: str, make_built: Built) -> None:
    with pytest.raises(AdvgenError, match=message) as caught:
        read_release(make_built(card=card))
    assert "\n" not in str(caught.value)


def test_a_licence_of_its_own_needs_name_and_link(make_built: Built) -> None:
    own = "other\nlicense_name: deepfloyd-if\nlicense_link: https://example.org/licence"
    assert "deepfloyd-if" in read_release(make_built(card=CARD.replace("cc-by-4.0", own))).card


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "build.json").unlink(), "is no built dataset"),
        (lambda root: (root / "README.md").unlink(), "has no card"),
        (
            lambda root: (root / "data/test-00000-of-00002.parquet").write_bytes(b"flipped"),
            "not the file that was built.*build .* anew",
        ),
        (lambda root: (root / "data/test-00000-of-00002.parquet").unlink(), "is missing"),
        (lambda root: (root / "data/more.parquet").write_bytes(b"x"), "none of the files"),
        (
            lambda root: (root / "build.json").write_text(
                (root / "build.json")
                .read_text()
                .replace("data/test-00000", "../ds/data/test-00000")
            ),
            "says nothing useful of '../ds/data/",
        ),
    ],
)
def test_only_what_was_built_is_released(
    spoil: Callable[[Path], object], message: str, make_built: Built
) -> None:
    root = make_built()
    spoil(root)
    with pytest.raises(AdvgenError, match=message):
        read_release(root)


def test_hashes_are_those_of_git_and_sha256(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"rows\0" * 999)
    asked = ["git", "hash-object", "--no-filters", str(path)]
    file = LocalFile.of("x.bin", path)
    assert file.git_id == subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert LocalFile.of("x.bin", path.read_bytes()).git_id == file.git_id


def test_a_plan_compares_large_files_by_sha256_and_small_ones_by_git(make_built: Built) -> None:
    release = read_release(make_built())
    there = {file.path: RemoteFile(file.size, None, file.git_id) for file in release.files}
    large = release.files[3]
    assert large.path.endswith(".parquet")
    there[large.path] = RemoteFile(132, large.sha256, "id of the pointer")
    remote = Remote("me/x", "main", "c" * 40, has_branch=True, files=there)
    assert make_plan(release, remote).empty
    there[large.path] = RemoteFile(132, "0" * 64, large.git_id)
    assert [change.path for change in make_plan(release, remote).sent] == [large.path]


def test_a_repository_cannot_have_the_card_or_files_of_people_removed(make_built: Built) -> None:
    names = ["README.md", "notes.md", "data/x.parquet", "data/a/b-00001-of-00009.parquet"]
    files = {name: RemoteFile(1, None, "0" * 40) for name in names}
    built = frozenset({"README.md", "data/x.parquet", "elsewhere"})
    remote = Remote("me/x", "main", "c" * 40, has_branch=True, files=files, built=built)
    plan = make_plan(read_release(make_built()), remote)
    assert plan.removed == ("data/a/b-00001-of-00009.parquet", "data/x.parquet")


def test_messages_lose_token_and_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    told = without_secrets("PUT https://s3/x?X-Amz-Signature=123&y=2 with hf_abc failed")
    assert told == "PUT https://s3/x with *** failed"
