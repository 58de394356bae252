"""Twenty SIGKILLs at random moments of a run change nothing of what it ends with."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

KILLS = 20
SETTINGS = """
table = read_preset("sandbox")
table["lens"]["images"] = "sandbox:120"
table["describe"] |= {"rounds": 2, "candidates": 12, "descriptions": 8}
config = attack_config({**table, "pairs": ["dog:deer", "ship:truck"], "images": 48})
"""
# Imports once; for each "FOLDER SECONDS" it forks a run, kills it after that time, if it goes on,
# and prints how it ended.
SERVER = f"""
import os, signal, sys, time
from pathlib import Path
from advgen import registry
from advgen.attack import Silent, run_attack
from advgen.config import attack_config, read_preset
from advgen.store import ArtifactStore

for kind, name in [("describer", "template"), ("synthesizer", "sandbox"), ("judge", "sandbox")]:
    registry.resolve(kind, name)
{SETTINGS}
for line in sys.stdin:
    folder, seconds = line.rsplit(" ", 1)
    child = os.fork()
    if child == 0:
        run_attack(config, Path(folder), ArtifactStore(Path(folder).parent / "cache"), Silent())
        os._exit(0)
    end = time.monotonic() + float(seconds)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Path, float], int]]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )

    def once(folder: Path, seconds: float = 240) -> int:
        assert server.stdin and server.stdout
        server.stdin.write(f"{folder} {seconds}\n")
        server.stdin.flush()
        return int(server.stdout.readline())

    yield once
    server.kill()
    server.communicate()


def files_of(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_run_killed_at_twenty_random_moments_ends_like_an_undisturbed_one(
    tmp_path: Path, run: Callable[..., int]
) -> None:
    whole = tmp_path / "whole" / "run"
    started = time.monotonic()
    assert run(whole) == 0
    length = time.monotonic() - started
    expected = files_of(whole)
    assert len([name for name in expected if name.endswith(".png")]) == 96
    chance = random.Random(4)
    places: set[int] = set()
    kills, lives = 0, 1
    while kills < KILLS:
        cut = tmp_path / f"cut{lives}" / "run"
        if run(cut, chance.uniform(0.02, 0.4) * length) == -signal.SIGKILL:
            kills += 1
            places.add(len(files_of(cut)) if cut.exists() else 0)
        else:
            assert files_of(cut) == expected
            lives += 1
    assert len(places) >= 3, "the kills should have hit the run in different places"
    assert run(cut) == 0
    assert files_of(cut) == expected
