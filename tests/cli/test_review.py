"""`advgen review`: which file holds the votes, what is printed and exported, where it listens."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from advgen.attack.records_file import write_records
from advgen.cli.review import address, is_loopback, listen, review
from advgen.decisions import read_decisions
from advgen.errors import ConfigError
from advgen.generation.layout import RunLayout, encode_png
from advgen.records import Sample
from advgen.review.store import ReviewStore
from advgen.review.votes import VoteRefused


@pytest.fixture
def make_run(tmp_path: Path, make_sample: Callable[..., Sample]) -> Callable[..., Path]:
    def make(name: str, true: str = "dog") -> Path:
        rows = []
        for number in range(3):
            data = encode_png(Image.new("RGB", (8, 8), (number, 0, 0)), {"number": number})
            path = tmp_path / name / "images" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            row = make_sample(
                id=f"{true}/{number}",
                true_class=true,
                target_class="deer",
                path=f"images/{number}.png",
                sha256=hashlib.sha256(data).hexdigest(),
            )
            rows.append(row)
        write_records(rows, RunLayout(tmp_path / name).records)
        return tmp_path / name

    return make


def run(*arguments: object) -> Result:
    return CliRunner().invoke(review, [str(argument) for argument in arguments])


def vote(path: Path, runs: list[Path], **reviewers: bool) -> None:
    with ReviewStore.open(path, runs, double=1.0) as store:
        for reviewer, target in reviewers.items():
            for item in store.page(reviewer):
                store.vote(reviewer, item.id, True, target, token=item.id)


def test_decisions_go_beside_their_run(make_run) -> None:
    root = make_run("run")
    vote(root / "review.sqlite", [root], ann=False)
    result = run(root, "--export")
    assert result.exit_code == 0, result.output
    assert result.output == f"3 decisions {root / 'decisions.jsonl'}\n"
    decisions = read_decisions(root / "decisions.jsonl")
    assert [(row.id, row.status) for row in decisions] == [
        (f"dog/{n}", "accepted") for n in (0, 1, 2)
    ]


def test_several_runs_share_a_named_file(make_run, tmp_path: Path) -> None:
    runs = [make_run("one"), make_run("two", "cat")]
    vote(tmp_path / "all.sqlite", runs, ann=False)
    result = run(*runs, "--db", tmp_path / "all.sqlite", "--export", "--json")
    assert json.loads(result.output) == {
        "files": {str(root / "decisions.jsonl"): 3 for root in runs}
    }
    assert {row.id for row in read_decisions(runs[1] / "decisions.jsonl")} == {
        f"cat/{n}" for n in (0, 1, 2)
    }
    out = tmp_path / "all.csv"
    assert run(*runs, "--db", tmp_path / "all.sqlite", "--export", "--out", out).exit_code == 0
    with open(out, encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_agreement_is_printed(make_run) -> None:
    root = make_run("run")
    assert "no image has votes of two" in run(root, "--agreement").output
    vote(root / "review.sqlite", [root], ann=False, bob=True)
    shown = run(root, "--agreement").output
    assert "reviewers: ann, bob" in shown
    assert re.search(r"target class visible +3 +6 +0\.0%", shown)
    assert re.search(r"true class visible +3 +6 +100\.0% +- +- +- +-", shown)
    found = json.loads(run(root, "--agreement", "--json").output)["agreement"]
    assert [row["percent"] for row in found["questions"]] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["nowhere"], "does not exist"),
        ([".", "--out", "x.csv"], "belong to --export"),
        ([".", "--export", "--format", "csv"], "with --out"),
        ([".", ".", "--export"], "--db"),
        ([".", "--double", "2"], "--double"),
        ([".", "--port", "99999"], "--port"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2 and message in " ".join(result.output.split())


def test_a_name_that_cannot_be_kept_is_refused(make_run) -> None:
    assert isinstance(run(make_run("run"), "--reviewer", " ").exception, VoteRefused)


@pytest.mark.parametrize(
    ("host", "loopback", "shown"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:80/"),
        ("127.9.9.9", True, "http://127.9.9.9:80/"),
        ("::1", True, "http://[::1]:80/"),
        ("localhost", True, "http://localhost:80/"),
        ("10.0.0.7", False, "http://10.0.0.7:80/?token=abc"),
        ("example.org", False, "http://example.org:80/?token=abc"),
        ("fe80::2", False, "http://[fe80::2]:80/?token=abc"),
    ],
)
def test_other_addresses_than_loopback_need_a_token(host: str, loopback: bool, shown: str) -> None:
    assert is_loopback(host) == loopback
    assert address(host, 80, None if loopback else "abc") == shown


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert host not in address(host, 80, "abc")


def test_an_address_that_is_taken_is_named() -> None:
    taken = listen("127.0.0.1", 0)
    with taken, pytest.raises(ConfigError, match="cannot listen on 127.0.0.1"):
        listen("127.0.0.1", taken.getsockname()[1])


def started(root: Path, *options: str) -> subprocess.Popen:
    code = "from advgen.cli.review import review; review()"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_page_is_served_until_it_is_interrupted(make_run, host: str) -> None:
    root = make_run("run")
    ReviewStore.open(root / "review.sqlite", [root]).close()
    process = started(root, "--host", host, "--reviewer", "ann")
    limit = threading.Timer(120, process.kill)
    limit.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"review at http://[^:]+:(\d+)/(\?token=[\w-]{32})?\n", line)
    assert found, process.communicate()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
    )
    plain = f"http://127.0.0.1:{found[1]}/"
    if host == "0.0.0.0":
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(plain, timeout=60)
        refused.value.close()
        assert refused.value.code == 401
    with opener.open(plain + (found[2] or ""), timeout=60) as answer:
        assert "deer" in answer.read().decode()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    limit.cancel()
    assert process.returncode is not None
    with ReviewStore.open(root / "review.sqlite", []) as store:
        assert store.counts("ann").total == 3
