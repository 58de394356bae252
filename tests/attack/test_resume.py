"""A run killed at any moment and started again ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

IMAGES = 30
KILL_WHEN_IMAGES = (0, 1, 17, 29)


def command(out: Path) -> list[str]:
    arguments = ["--pair", "dog:deer", "--images", str(IMAGES), "--lens-images", "sandbox:120"]
    return [sys.executable, "-m", "advgen", "attack", *arguments, "--out", str(out), "--json"]


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


def start_and_kill(out: Path, environment: dict[str, str], images: int) -> None:
    """Start the attack and SIGKILL it as soon as that many images are on disk."""
    process = subprocess.Popen(
        command(out), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            begun = (out / "run.toml").exists()
            if begun and len(list(out.glob("images/**/*.png"))) >= images:
                break
            if process.poll() is not None:
                break
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (out / "records.parquet").exists(), "the run ended before it could be killed"


def test_killed_and_resumed_run_equals_an_undisturbed_one(
    tmp_path: Path, undisturbed: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "run"
    kept: dict[Path, int] = {}
    for images in KILL_WHEN_IMAGES:
        start_and_kill(out, environment, images)
        finished = {path: path.stat().st_mtime_ns for path in out.glob("images/**/[!.]*.png")}
        assert kept.items() <= finished.items(), "a finished image was drawn again"
        kept = finished
    done = subprocess.run(
        command(out), env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in out.glob("images/**/*.png")}.items()
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
    import shutil

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
