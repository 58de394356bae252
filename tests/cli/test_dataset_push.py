"""`advgen dataset push` against a Hub on the loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from doubles.hub import CARD, READER, WRITER, Cut, StubHub, client_of, seal

from advgen.cli import VERBS, main

REPO = "me/drawn"
MAIN = "from advgen.cli import main, VERBS; VERBS['push'] = 'advgen.cli.dataset_push:push'; main()"


pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(autouse=True)
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb as one of the first level, whatever group it belongs to."""
    monkeypatch.setitem(VERBS, "push", "advgen.cli.dataset_push:push")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubHub]:
    with client_of(monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "work" / "ds"
    (root / "data").mkdir(parents=True)
    for index in range(3):
        (root / f"data/test-{index:05d}-of-00003.parquet").write_bytes(b"rows %d" % index * 99)
    seal(root)
    return root


def clean(folder: Path, token: str, *said: str) -> None:
    """Nothing that was printed or written names the token."""
    written = [path for path in folder.parent.parent.rglob("*") if path.is_file()]
    texts = [*said, *(path.read_text(errors="replace") for path in written)]
    assert not any(token in text or "SignatureOfTheTests" in text for text in texts)


def run(folder: Path, *options: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["push", str(folder), "--repo", REPO, *options])
    clean(folder, os.environ["HF_TOKEN"], result.stdout, result.stderr)
    return result.exit_code, result.stdout, result.stderr


def start(hub: StubHub, folder: Path) -> subprocess.Popen[str]:
    """The verb as a process of its own, with a library that is as talkative as it can be."""
    home = folder.parent.parent / "home"
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "push", "ds", "--repo", REPO],
        cwd=folder.parent,
        env={
            **kept,
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": WRITER,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_VERBOSITY": "debug",
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_list_then_the_commit(hub: StubHub, folder: Path) -> None:
    code, out, err = run(folder, "--private", "--message", "First release")
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split()[-1] for line in lines[:7]] == [
        "README.md",
        "build.json",
        "croissant.json",
        *(f"data/test-{index:05d}-of-00003.parquet" for index in range(3)),
        "dropped.jsonl",
    ]
    assert all(line.startswith("new ") for line in lines[:7])
    assert f"makes the private repository {REPO}" in out and "7 of 7 files" in out
    repo = hub.repos[REPO]
    assert lines[-2:] == [f"commit {repo.refs['main']}", f"{hub.url}/datasets/{REPO}"]
    assert repo.titles[-1] == "First release"
    code, out, _ = run(folder)
    assert code == 0 and "nothing to do" in out


def test_json_and_dry_run(hub: StubHub, folder: Path) -> None:
    code, out, _ = run(folder, "--dry-run", "--json")
    told = json.loads(out)
    assert code == 0 and hub.writes == [] and REPO not in hub.repos
    assert told["dry_run"] and told["creates_repo"] and told["commit"] is None
    assert {file["state"] for file in told["files"]} == {"new"}
    assert told["upload_bytes"] == sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file()
    )
    code, out, _ = run(folder, "--dry-run")
    assert code == 0 and "dry run: nothing was written" in out and hub.writes == []


def test_a_push_that_is_killed_continues(hub: StubHub, folder: Path) -> None:
    hub.create(REPO, {"README.md": CARD.encode()})
    before = hub.repos[REPO].refs["main"]
    running: list[subprocess.Popen[str]] = []

    def kill(method: str, path: str) -> None:
        if path.endswith("/commit/main") and running:
            running.pop().send_signal(signal.SIGKILL)
            raise Cut

    hub.before = kill
    process = start(hub, folder)
    running.append(process)
    out, err = process.communicate(timeout=240)
    clean(folder, WRITER, out, err)
    assert process.returncode == -signal.SIGKILL, err
    assert "new " in out, "the list comes first"
    assert hub.repos[REPO].refs["main"] == before and len(hub.uploads) == 3
    code, out, err = run(folder)
    assert code == 0, err
    assert "unchanged" in out and len(hub.uploads) == 3, "nothing was sent twice"
    assert len(hub.repos[REPO].head()) == 8


@pytest.mark.parametrize(
    ("token", "options", "message"),
    [
        ("hf_stale", [], "refuses the token"),
        (READER, [], "may not write to 'me/drawn'"),
        (WRITER, ["--private"], "is public already"),
    ],
)
def test_faults_are_one_line(
    token: str,
    options: list[str],
    message: str,
    hub: StubHub,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.create(REPO)
    code, _, err = run(folder, *options)
    last = err.strip().splitlines()[-1]
    assert code == 1 and last.startswith("advgen: ") and message in last
    assert "Traceback" not in err and len(hub.repos[REPO].titles) == 1


def test_a_pull_request(hub: StubHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", READER)
    hub.create(REPO)
    code, out, err = run(folder, "--create-pr")
    assert code == 0, err
    assert out.splitlines()[-1] == f"{hub.url}/datasets/{REPO}/discussions/1"
    assert "to a pull request for main" in out and len(hub.repos[REPO].titles) == 2
