"""Twenty SIGKILLs at random moments of a run change nothing of what it ends with."""

import os
import random
import signal
import subprocess
import sys
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
# Imports once; for each "FOLDER CALL" it forks a run, which kills itself when it comes to that many
# calls of functions (0: never), and else prints how many there were. Calls are counted, since the
# seconds that a run takes differ from one moment to the next.
SERVER = f"""
import itertools, os, signal, sys, threading
from pathlib import Path
from advgen import registry
from advgen.attack import Silent, run_attack
from advgen.config import attack_config, read_preset
from advgen.store import ArtifactStore

for kind, name in [("describer", "template"), ("synthesizer", "sandbox"), ("judge", "sandbox")]:
    registry.resolve(kind, name)
{SETTINGS}
for line in sys.stdin:
    folder, last = line.rsplit(" ", 1)
    child = os.fork()
    if child == 0:
        calls = itertools.count(1)
        def count(frame, event, argument, calls=calls, last=int(last)):
            if event in ("call", "c_call") and next(calls) == last:
                os.kill(os.getpid(), signal.SIGKILL)
        threading.setprofile(count)
        sys.setprofile(count)
        run_attack(config, Path(folder), ArtifactStore(Path(folder).parent / "cache"), Silent())
        sys.setprofile(None)
        print(next(calls) - 1, flush=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Path, int], int]]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )

    def once(folder: Path, last: int = 0) -> int:
        """How many calls the run took to its end; or minus the signal that ended it."""
        assert server.stdin and server.stdout
        server.stdin.write(f"{folder} {last}\n")
        server.stdin.flush()
        first = int(server.stdout.readline())
        if first < 0:
            return first
        assert int(server.stdout.readline()) == 0
        return first

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
    length = run(whole)
    expected = files_of(whole)
    assert len([name for name in expected if name.endswith(".png")]) == 96
    chance = random.Random(4)
    places: set[int] = set()
    kills, lives = 0, 1
    while kills < KILLS:
        cut = tmp_path / f"cut{lives}" / "run"
        ended = run(cut, chance.randrange(length * 11 // 20))
        if ended == -signal.SIGKILL:
            kills += 1
            places.add(len(files_of(cut)) if cut.exists() else 0)
        else:
            assert ended > 0 and files_of(cut) == expected
            lives += 1
    assert len(places) >= 6, "the kills should have hit the run in different places"
    assert run(cut) > 0
    assert files_of(cut) == expected
