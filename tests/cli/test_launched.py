"""Several real processes, and a killed one that is started again, leave the bytes of one."""

import json
import os
import signal
import subprocess
import sys

import pytest

LAUNCHERS = {
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    + ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    + ["--num_processes", "2"],
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
}

# Runs the command behind it and dies before it writes its fourth batch.
KILLER = """
import os, signal, sys
from advgen.cli import main
from advgen.lens.scratch import Scratch

put, left = Scratch.put, 3


def put_or_die(*arguments):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    put(*arguments)


Scratch.put = put_or_die
main(sys.argv[1:])
"""


def run(cache, *command, processes=1):
    launcher = ["-m", *LAUNCHERS["accelerate"]] if processes > 1 else []
    start = [sys.executable, *launcher, "-m", "advgen", *command]
    environment = {**os.environ, "ADVGEN_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(start, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.integration
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_launched_processes_know_of_each_other(tmp_path, launcher):
    script = tmp_path / "who.py"
    script.write_text(
        "from pathlib import Path\n"
        "from advgen.processes import current_processes\n"
        "me = current_processes()\n"
        "Path(__file__).with_name(f'{me.rank}-of-{me.count}').touch()\n"
        "me.wait()\n"
        "assert len(list(Path(__file__).parent.glob('*-of-*'))) == 2\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *LAUNCHERS[launcher], str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("*-of-*")) == ["0-of-2", "1-of-2"]


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


@pytest.mark.integration
def test_two_processes_attack_like_one(tmp_path):
    command = ("attack", "--pair", "dog:deer", "--images", "24", "--lens-images", "sandbox:130")
    more = ("--set", "describe.rounds=2", "--set", "describe.descriptions=6", "--json")
    outs = [tmp_path / name / "run" for name in ("one", "two")]
    one = run(tmp_path / "one", *command, *more, "--out", str(outs[0]))
    two = run(tmp_path / "two", *command, *more, "--out", str(outs[1]), processes=2)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    assert json.loads(one.stdout)["results"] == json.loads(two.stdout)["results"]
    files = [
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in outs
    ]
    assert len([name for name in files[0] if name.suffix == ".png"]) == 24 + 1
    assert files[0] == files[1]
    assert "this process's share, one of 2" in two.stderr


def test_verbs_that_cannot_share_say_so(monkeypatch):
    from click.testing import CliRunner

    from advgen.cli import main

    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(main, ["words", "--pair", "dog:deer"])
    assert result.exit_code == 2 and "does not share its work" in result.output


@pytest.mark.integration
def test_killed_pass_goes_on_to_the_same_bytes(tmp_path):
    command = ("neurons", "compute", "--layers", "3,4", "--lens-images", "sandbox:600", "--json")
    whole = run(tmp_path / "whole", *command)
    assert whole.returncode == 0, whole.stderr
    environment = {**os.environ, "ADVGEN_CACHE": str(tmp_path / "cut"), "OMP_NUM_THREADS": "1"}
    on_disk = (*command, "--memory-mib", "0")
    start = [sys.executable, "-c", KILLER, *on_disk]
    killed = subprocess.run(start, env=environment, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (done,) = (tmp_path / "cut").glob("scratch/*/done")
    assert sum(done.read_bytes()) == 3
    again = run(tmp_path / "cut", *on_disk)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["layers"] == json.loads(whole.stdout)["layers"]
    for path in (tmp_path / "whole" / "directions").glob("*.safetensors"):
        assert (tmp_path / "cut" / "directions" / path.name).read_bytes() == path.read_bytes()
    assert not list((tmp_path / "cut").glob("scratch/*"))
