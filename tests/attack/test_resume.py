"""A run killed at any moment and started again ends as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

IMAGES = 30
# Dies by SIGKILL instead of giving the N-th file of a kind its final name, its bytes being written.
KILLER = """
import os, re, signal, sys
from advgen.cli import main

pattern, left = sys.argv[1], int(sys.argv[2])
replace = os.replace


def replace_or_die(source, target):
    global left
    left -= bool(re.search(pattern, str(target)))
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)


os.replace = replace_or_die
main(sys.argv[3:])
"""
# A unit is scored while the next one is drawn, so how many images there are then is a range.
KILLS = [
    ("words.json", 1, range(1)),
    ("i000.png", 1, range(1)),
    ("images/.*.png", 17, range(16, 17)),
    ("units/.*/d08.json", 1, range(27, 31)),
    ("records.parquet", 1, range(30, 31)),
]


def arguments(out: Path) -> list[str]:
    sizes = ["--images", str(IMAGES), "--lens-images", "sandbox:120"]
    return ["attack", "--pair", "dog:deer", *sizes, "--out", str(out), "--json"]


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "advgen", *arguments(out)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = tmp_path_factory.mktemp("cache")
    return {**os.environ, "ADVGEN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    done = subprocess.run(
        command(out), env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return out


def images_of(out: Path) -> dict[Path, int]:
    """Finished images and when they were written."""
    return {path: path.stat().st_mtime_ns for path in out.glob("images/**/[!.]*.png")}


def test_killed_and_resumed_run_equals_an_undisturbed_one(
    tmp_path: Path, undisturbed: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "run"
    kept: dict[Path, int] = {}
    for pattern, number, images in KILLS:
        killed = subprocess.run(
            [sys.executable, "-c", KILLER, pattern, str(number), *arguments(out)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        finished = images_of(out)
        assert kept.items() <= finished.items(), "a finished image was drawn again"
        assert len(finished) in images
        assert len(list(out.rglob(".*.tmp"))) in (1, 2), "it should have died with a file half made"
        assert not (out / "records.parquet").exists()
        kept = finished
    done = subprocess.run(
        command(out), env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert kept == images_of(out)
    assert pq.read_table(out / "records.parquet").equals(
        pq.read_table(undisturbed / "records.parquet")
    )
    for name in ("words.json", "descriptions.jsonl", "run.toml"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes(), name
    ours = {path.relative_to(out): path.read_bytes() for path in out.glob("images/**/*.png")}
    theirs = {
        p.relative_to(undisturbed): p.read_bytes() for p in undisturbed.glob("images/**/*.png")
    }
    assert ours == theirs
    assert len(ours) == IMAGES
    assert not list(out.rglob("*.tmp"))
    first = json.loads(done.stdout)["results"]
    again = subprocess.run(
        command(undisturbed), env=environment, capture_output=True, text=True, timeout=300
    )
    assert json.loads(again.stdout)["results"] == first


def test_a_damaged_image_is_drawn_again(
    tmp_path: Path, undisturbed: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    victim = sorted(out.glob("images/**/*.png"))[7]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    done = subprocess.run(
        command(out), env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert victim.read_bytes() == whole
    assert pq.read_table(out / "records.parquet").equals(
        pq.read_table(undisturbed / "records.parquet")
    )
