import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from doubles.judges import judges_known as judges_known
from doubles.judges import said as said
from doubles.judges import tiny_llava as tiny_llava
from doubles.judges import tiny_owlv2 as tiny_owlv2
from doubles.judges import write_run as write_run

import advgen.cli
from advgen.cli import main
from advgen.cli.judge import shown
from advgen.decisions import Decision, read_judgements, write_rows
from advgen.judging.audit import Share

pytestmark = pytest.mark.usefixtures("judges_known")


@pytest.fixture(autouse=True)
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(advgen.cli.VERBS, "judge", "advgen.cli.judge:judge")
    monkeypatch.setitem(advgen.cli.HELP, "judge", "Judges.")


def judge(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["judge", *map(str, arguments)], catch_exceptions=False)


def test_two_tiny_judges_and_the_exact_one_are_compared(
    write_run, tiny_llava: Path, tiny_owlv2: Path
) -> None:
    pytest.importorskip("transformers")
    one, samples = write_run("one", images=8)
    two, _ = write_run("two", images=4)
    specs = [f"--judge=vlm:{tiny_llava}", f"--judge=owlv2:{tiny_owlv2}", "--judge=sandbox"]
    options = [*specs, "--threshold=vlm=0,0", "--threshold=owlv2=0,0", "--device=cpu"]
    result = judge(one.root, two.root, *options, "--batch-size=3", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    names = [f"vlm:{tiny_llava.name}", f"owlv2:{tiny_owlv2.name}", "sandbox"]
    runs = [(entry["judge"], entry["looked"], entry["before"]) for entry in document["runs"]]
    assert runs == [(name, images, 0) for name in names for images in (8, 4)]
    assert document["images"] == 12
    assert {entry["judge"]: entry["both"] for entry in document["judges"]} == dict(
        zip(names, (12, 12, 3), strict=True)
    )
    assert document["statuses"] == {"accepted": 3, "rejected": 9, "needs_review": 0}
    fooled = sum(sample.fooled for sample in samples) + 2
    audited = document["audit"]["false_accepts"]
    assert document["audit"]["accepted"] == audited["of"] == 12 - fooled
    assert audited["interval"][0] < audited["rate"] < audited["interval"][1]
    rates = document["audit"]["questions"][names[0]]["target_absent"]
    assert (rates["true_positive"]["rate"], rates["true_negative"]["rate"]) == (1.0, 0.0)
    assert document["policy"]["thresholds"]["vlm"] == {"true_present": 0.0, "target_absent": 0.0}
    for name in names:
        path = one.judgements / f"{name.replace(':', '_')}.jsonl"
        assert len(read_judgements(path)) == 8
    again = json.loads(judge(one.root, *options, "--json").stdout)
    assert [(entry["looked"], entry["before"]) for entry in again["runs"]] == [(0, 8)] * 3


def test_the_table_says_who_saw_what_and_what_follows(write_run, said) -> None:
    layout, samples = write_run(images=4)
    (layout.root / samples[3].path).unlink()
    rows = [said(sample, "vlm:a", 0.9, 0.95) for sample in samples]
    write_rows(rows, layout.judgements / "vlm_a.jsonl")
    decision = Decision(samples[3].id, samples[3].sha256, "rejected", False, True)
    write_rows([decision], layout.decisions)
    result = judge(layout.root, "--judge", "sandbox")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[:4] == [
        "judge images true class seen target class absent both",
        "sandbox 3 2 2 1",
        "vlm:a 4 4 4 4",
        "policy: 1 accepted, 3 rejected, 0 need review",
    ]
    assert lines[4] == (
        "audit against people and sandbox: 0/0 of the 0 that the judges accept are false"
    )
    assert (
        "vlm:a true class visible? 2/2 = 100.0% (34.2 - 100.0%) 0/2 = 0.0% (0.0 - 65.8%)" in lines
    )
    assert lines[-1] == "not judged: 1 (named above)"
    note = f"note: {samples[3].id} was not judged: cannot read images/i003.png"
    assert note in result.stderr


def test_only_what_is_asked_for_is_judged(write_run) -> None:
    layout, samples = write_run(images=8)
    result = judge(layout.root, "--judge=sandbox", "--only-fooled", "--limit=2")
    assert "sandbox       2" in result.stdout
    assert "6: no judge looked at it" in result.stdout
    rows = read_judgements(layout.judgements / "sandbox.jsonl")
    assert [row.id for row in rows] == [samples[0].id, samples[3].id]


def test_a_server_is_a_judge_too(write_run, server) -> None:
    pytest.importorskip("openai")
    layout, samples = write_run(images=2)
    server.script = [server.answers.completion("Yes")]
    result = judge(layout.root, f"--judge=server:eye@{server.url}", "--json")
    assert json.loads(result.stdout)["judges"] == [
        {"judge": "server:eye", "images": 2, "true_present": 2, "target_absent": 0, "both": 0}
    ]
    assert "127.0.0.1" not in (layout.judgements / "server_eye.jsonl").read_text()
    assert json.loads(result.stdout)["reasons"] == {
        "judges of 2 families must agree, 1 was heard": 2
    }


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 2, "Missing option '--judge'"),
        (["--judge=owl"], 1, "advgen: unknown judge 'owl': did you mean owlv2"),
        (["--judge=none"], 1, "advgen: 'none' is not a judge that looks"),
        (["--judge=vlm:/no/such"], 1, "advgen: there is no model folder /no/such"),
        (["--judge=sandbox", "--batch-size=0"], 2, "batch-size"),
        (["--judge=sandbox", "--threshold=vlm"], 2, "write JUDGE=PRESENT,ABSENT"),
        (["--judge=sandbox", "--threshold=vlm=0.5"], 2, "write JUDGE=PRESENT,ABSENT"),
        (["--judge=sandbox", "--threshold=vlm=0.5,1"], 2, "write JUDGE=PRESENT,ABSENT"),
        (["--judge=sandbox", "--threshold=vml=0.5,0.5"], 2, "there is no judge 'vml'"),
        (["--judge=sandbox", "--threshold==0.5,0.5"], 2, "write JUDGE=PRESENT,ABSENT"),
    ],
)
def test_wrong_options_are_answered_in_one_line(options, code, says, write_run) -> None:
    layout, _ = write_run(images=1)
    result = judge(layout.root, *options)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_no_run_is_said_so(tmp_path: Path) -> None:
    result = judge(tmp_path, "--judge=sandbox")
    assert result.exit_code == 1
    assert "records.parquet" in result.stderr
    assert judge(tmp_path / "none", "--judge=sandbox").exit_code == 2


def test_a_share_is_shown_with_its_interval() -> None:
    assert shown(Share(3, 20)) == "3/20 = 15.0% (5.2 - 36.0%)"
    assert shown(Share(0, 0)) == "0/0"
