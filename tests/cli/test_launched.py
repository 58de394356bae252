"""`accelerate launch`: several real processes leave the bytes of one."""

import json
import os
import subprocess
import sys

import pytest


def run(cache, *command, processes=1):
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    launcher += ["--num_processes", str(processes), "-m"]
    start = [sys.executable, *(launcher if processes > 1 else ["-m"]), "advgen", *command]
    environment = {**os.environ, "ADVGEN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(start, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.integration
def test_two_processes_store_the_directions_of_one(tmp_path):
    command = ("neurons", "compute", "--layers", "3,4", "--lens-images", "sandbox:130", "--json")
    one = run(tmp_path / "one", *command)
    two = run(tmp_path / "two", *command, processes=2)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    shown = [json.loads(found.stdout)["layers"] for found in (one, two)]
    assert shown[0] == shown[1] and len(shown[0]) == 2
    names = sorted(path.name for path in (tmp_path / "one").rglob("*.safetensors"))
    assert len(names) == 2
    for name in names:
        first, second = (tmp_path / f / "directions" / name for f in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    assert not list((tmp_path / "two").glob("scratch/*"))


def test_verbs_that_cannot_share_say_so(monkeypatch):
    from click.testing import CliRunner

    from advgen.cli import main

    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(main, ["words", "--pair", "dog:deer"])
    assert result.exit_code == 2 and "does not share its work" in result.output
