import dataclasses

import pytest

from advgen.attack.records_file import write_records
from advgen.decisions import Decision, write_rows
from advgen.errors import ConfigError
from advgen.judging.audit import Share
from advgen.judging.policy import Policy
from advgen.judging.tally import JudgeCounts, read_cases, tally

VLM, OWL = "vlm:a", "owlv2:b"


@pytest.fixture
def judged_run(write_run, said):
    """Eight images: both judges on six, one on the seventh, nobody on the last."""
    layout, samples = write_run(images=8)
    sure, sees_target = (0.9, 0.99), (0.9, 0.1)
    vlm = [
        said(sample, VLM, *(sees_target if n == 1 else sure)) for n, sample in enumerate(samples)
    ]
    owl = [said(sample, OWL, *sure) for sample in samples]
    stale = dataclasses.replace(vlm[7], sha256="0" * 64)
    write_rows([*vlm[:7], stale], layout.judgements / "vlm_a.jsonl")
    write_rows(owl[:6], layout.judgements / "owlv2_b.jsonl")
    return layout, samples


def test_cases_hold_all_that_was_said_of_the_same_bytes(judged_run) -> None:
    layout, samples = judged_run
    torn = layout.judgements / "vlm_a.jsonl"
    torn.write_bytes(torn.read_bytes() + b'{"id": "torn')
    first = dataclasses.replace(
        samples[0], judge="sandbox", p_true_present=1.0, p_target_absent=0.0
    )
    write_records([first, *samples[1:]], layout.records)
    good = Decision(samples[1].id, samples[1].sha256, "accepted", True, False)
    other = Decision(samples[2].id, "1" * 64, "accepted", True, False)
    write_rows([good, other], layout.decisions)
    cases = read_cases(layout)
    assert [case.sample for case in cases] == [first, *samples[1:]]
    heard = [tuple(row.judge for row in case.judgements) for case in cases]
    assert heard == [("sandbox", OWL, VLM), *[(OWL, VLM)] * 5, (VLM,), ()]
    assert [case.decision for case in cases] == [None, good, *[None] * 6]


def test_counts_add_up(judged_run) -> None:
    layout, _ = judged_run
    found = tally(read_cases(layout), Policy(fooled_to_people=False))
    assert found.images == 8
    assert found.judges == (JudgeCounts(OWL, 6, 6, 6, 6), JudgeCounts(VLM, 7, 7, 6, 6))
    assert found.statuses == {"accepted": 5, "rejected": 0, "needs_review": 3}
    assert sum(found.reasons.values()) == 3
    assert found.audit is None
    strict = tally(read_cases(layout))
    assert strict.statuses == {"accepted": 3, "rejected": 0, "needs_review": 5}
    assert next(iter(strict.reasons.items())) == ("it fooled the model, so people decide", 2)


def test_decisions_bring_an_audit(judged_run) -> None:
    layout, samples = judged_run
    decisions = [
        Decision(sample.id, sample.sha256, "rejected" if n == 4 else "accepted", True, n == 4)
        for n, sample in enumerate(samples[:6])
    ]
    write_rows(decisions, layout.decisions)
    found = tally(read_cases(layout), Policy(fooled_to_people=False))
    assert found.statuses == {"accepted": 5, "rejected": 1, "needs_review": 2}
    assert found.audit is not None
    assert found.audit.false_accepts == Share(1, 5)
    assert found.audit.questions[VLM]["target_absent"].true_positive == Share(4, 5)
    document = found.to_json()
    assert document["audit"]["false_accepts"]["count"] == 1
    assert document["judges"][0]["images"] == 6


def test_an_unknown_judge_needs_thresholds(write_run, said) -> None:
    layout, samples = write_run(images=1)
    write_rows([said(samples[0], "oracle", 1, 1)], layout.judgements / "oracle.jsonl")
    with pytest.raises(ConfigError, match="no thresholds for the judge 'oracle'"):
        tally(read_cases(layout))
