import random

import pytest

from advgen.decisions import Decision
from advgen.judging.audit import Case, Share, audit, audit_sample
from advgen.judging.policy import Policy

VLM, OWL = "vlm:a", "owlv2:b"
POLICY = Policy(fooled_to_people=False)


@pytest.fixture
def cases(make_sample, said) -> list[Case]:
    """300 images, some of them seen by the exact judge, some by people, some by nobody."""
    draw = random.Random(4)
    made = []
    for number in range(300):
        sample = make_sample(id=f"i{number}", sha256=f"{number:064d}")
        rows = [said(sample, VLM, draw.random(), draw.random() ** 0.1)]
        rows.append(said(sample, OWL, draw.random(), draw.random() ** 0.05))
        right = draw.random() < 0.7, draw.random() < 0.6
        decision = None
        if number % 3 == 0:
            rows.append(said(sample, "sandbox", *map(float, right)))
        elif number % 3 == 1:
            status = "accepted" if all(right) else "rejected"
            decision = Decision(sample.id, sample.sha256, status, right[0], not right[1])
        made.append(Case(sample, tuple(rows), decision))
    return made


def truth(case: Case) -> tuple[bool, bool] | None:
    if case.decision is not None:
        return bool(case.decision.true_visible), not case.decision.target_visible
    exact = [row for row in case.judgements if row.judge == "sandbox"]
    return (exact[0].p_true_present > 0, exact[0].p_target_absent > 0) if exact else None


def test_false_accepts_are_counted_against_the_reference_with_an_interval(cases) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    passed = [
        case
        for case in cases
        if case.judgements[0].p_true_present > 0.5
        and case.judgements[1].p_true_present > 0.2
        and min(row.p_target_absent for row in case.judgements[:2]) > 0.9
    ]
    settled = [truth(case) for case in passed if truth(case) is not None]
    wrong = sum(right != (True, True) for right in settled)
    found = audit(cases, POLICY)
    assert 0 < wrong < len(settled) < len(passed) < 300
    assert (found.accepted, found.false_accepts) == (len(passed), Share(wrong, len(settled)))
    assert found.false_accepts.interval == pytest.approx(
        proportion.proportion_confint(wrong, len(settled), method="wilson")
    )
    assert found.reference == ("people", "sandbox")
    assert found.to_json()["false_accepts"]["rate"] == pytest.approx(wrong / len(settled))


@pytest.mark.parametrize(
    ("question", "judge", "threshold"),
    [
        ("true_present", VLM, 0.5),
        ("true_present", OWL, 0.2),
        ("target_absent", VLM, 0.9),
        ("target_absent", OWL, 0.9),
    ],
)
def test_each_question_has_the_rates_of_a_confusion_matrix(
    question: str, judge: str, threshold: float, cases
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    side = ("true_present", "target_absent").index(question)
    right, given = [], []
    for case in cases:
        known = truth(case)
        if known is not None:
            row = next(row for row in case.judgements if row.judge == judge)
            right.append(known[side])
            given.append((row.p_true_present, row.p_target_absent)[side] > threshold)
    found = audit(cases, POLICY).questions[judge][question]
    true_positive = metrics.recall_score(right, given)
    true_negative = metrics.recall_score(right, given, pos_label=False)
    assert found.true_positive.rate == pytest.approx(true_positive)
    assert found.true_negative.rate == pytest.approx(true_negative)
    assert found.true_positive.of + found.true_negative.of == len(right) == 200


def test_people_are_believed_before_the_exact_judge(make_sample, said) -> None:
    sample = make_sample(id="a", sha256="1" * 64)
    rows = tuple(said(sample, judge, 1.0, 1.0) for judge in (VLM, OWL, "sandbox"))
    rejected = Decision("a", "1" * 64, "rejected", True, True)
    found = audit([Case(sample, rows, rejected)], POLICY)
    assert (found.reference, found.false_accepts) == (("people",), Share(1, 1))
    found = audit([Case(sample, rows)], POLICY)
    assert (found.reference, found.false_accepts) == (("sandbox",), Share(0, 1))


def test_what_people_could_not_say_is_no_part_of_a_rate(make_sample, said) -> None:
    sample = make_sample(id="a", sha256="1" * 64)
    rows = tuple(said(sample, judge, 1.0, 1.0) for judge in (VLM, OWL))
    unsure = Decision("a", "1" * 64, "unsure", True, None)
    found = audit([Case(sample, rows, unsure)], POLICY)
    assert (found.accepted, found.false_accepts) == (1, Share(0, 0))
    rates = found.questions[VLM]
    assert rates["true_present"].true_positive == Share(1, 1)
    assert rates["target_absent"].true_positive == Share(0, 0)
    assert (Share(0, 0).rate, Share(0, 0).interval) == (None, None)
    assert found.to_json()["false_accepts"] == {"count": 0, "of": 0, "rate": None, "interval": None}


def test_an_audit_sample_depends_on_the_seed_alone_and_only_grows() -> None:
    ids = [f"i{number}" for number in range(200)]
    first = audit_sample(ids, 30, 7)
    assert audit_sample(ids[::-1], 30, 7) == first == audit_sample(ids, 80, 7)[:30]
    assert len(set(first)) == 30
    assert set(first) <= set(ids)
    assert set(audit_sample(ids, 30, 8)) != set(first)
    assert sorted(audit_sample(ids, 999, 7)) == sorted(ids)
    with pytest.raises(ValueError, match="size of 0 or more"):
        audit_sample(ids, -1, 7)


def test_an_audit_sample_prefers_nobody() -> None:
    counts = dict.fromkeys(map(str, range(20)), 0)
    for seed in range(600):
        for name in audit_sample(counts, 5, seed):
            counts[name] += 1
    expected = 600 * 5 / 20
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 43.8  # 0.1 % quantile from above, 19 degrees of freedom
