import dataclasses
import math

import pytest

from advgen.decisions import Decision
from advgen.errors import ConfigError
from advgen.judging.policy import (
    Policy,
    Threshold,
    Verification,
    family_of,
    own_judgement,
    verify,
)

VLM, OWL, SERVER, EXACT = "vlm:a/b", "owlv2:c/d", "server:m", "sandbox"
YES, NO, EDGE = (0.99, 0.99), (0.01, 0.01), (0.5, 0.9)
LOOSE = Policy(fooled_to_people=False)


@pytest.fixture
def sample(make_sample):
    return make_sample(id="a", sha256="5" * 64, true_class="dog", target_class="deer")


@pytest.mark.parametrize(
    ("judges", "policy", "status", "present", "absent", "by", "reason"),
    [
        ({}, Policy(), "needs_review", None, None, (), "no judge looked"),
        ({VLM: YES, OWL: YES}, Policy(), "accepted", True, True, (OWL, VLM), "all judges agree"),
        ({SERVER: YES, OWL: YES}, Policy(), "accepted", True, True, (OWL, SERVER), "agree"),
        ({VLM: YES}, Policy(), "needs_review", True, True, (VLM,), "2 families must agree, 1"),
        ({VLM: YES}, Policy(families=1), "accepted", True, True, (VLM,), "agree"),
        ({OWL: YES}, Policy(families=1), "needs_review", True, True, (OWL,), "like CLIP itself"),
        (
            {OWL: YES, "owlv2:e": YES},
            Policy(families=1),
            "needs_review",
            True,
            True,
            (OWL, "owlv2:e"),
            "a second family must agree",
        ),
        ({VLM: YES, SERVER: YES}, Policy(), "needs_review", True, True, (SERVER, VLM), "1 was"),
        (
            {VLM: EDGE, OWL: YES},
            Policy(),
            "needs_review",
            None,
            None,
            (OWL, VLM),
            "disagree whether the true class is visible and whether the target class is absent",
        ),
        (
            {VLM: (0.51, 0.9), OWL: YES},
            Policy(),
            "needs_review",
            True,
            None,
            (OWL, VLM),
            "disagree whether the target class is absent",
        ),
        ({VLM: (0.501, 0.901), OWL: (0.201, 0.901)}, Policy(), "accepted", True, True, None, ""),
        (
            {VLM: NO, OWL: NO},
            Policy(),
            "needs_review",
            False,
            False,
            None,
            "agree, but they do not see the true class and they may see the target class",
        ),
        ({VLM: (math.nan, 1), OWL: YES}, Policy(), "needs_review", True, True, (OWL,), "CLIP"),
        (
            {VLM: YES, OWL: YES},
            Policy(judges=(VLM, OWL, SERVER)),
            "needs_review",
            True,
            True,
            (VLM, OWL),
            f"not looked at by {SERVER}",
        ),
        ({VLM: YES, OWL: YES, SERVER: NO}, Policy(judges=(VLM, OWL)), "accepted", 1, 1, None, ""),
        (
            {VLM: (0.6, 0.99), OWL: YES},
            Policy(thresholds={VLM: Threshold(0.7, 0.5), "owlv2": Threshold(0, 0)}),
            "needs_review",
            None,
            True,
            None,
            "true class",
        ),
        ({VLM: NO, OWL: NO, EXACT: (1, 1)}, Policy(), "accepted", True, True, (EXACT,), "exact"),
        (
            {VLM: YES, OWL: YES, EXACT: (1, 0)},
            Policy(),
            "rejected",
            True,
            False,
            (EXACT,),
            "the target class is there",
        ),
        (
            {EXACT: (0, 1)},
            Policy(),
            "rejected",
            False,
            True,
            (EXACT,),
            "the true class is not visible",
        ),
    ],
)
def test_what_follows_from_judges(
    judges, policy, status, present, absent, by, reason, sample, said
) -> None:
    rows = [said(sample, judge, *answer) for judge, answer in judges.items()]
    for order in (rows, rows[::-1]):
        found = verify(sample, order, None, policy)
        assert (found.status, found.true_present, found.target_absent) == (status, present, absent)
        assert by is None or found.by == by
        assert reason in found.reason


def decided(sample, status, true_visible=True, target_visible=False, **more) -> Decision:
    return Decision(sample.id, sample.sha256, status, true_visible, target_visible, **more)


@pytest.mark.parametrize(
    ("status", "visible", "reasons", "expected"),
    [
        ("accepted", (True, False), (), ("accepted", True, True, "people accepted it")),
        (
            "rejected",
            (True, True),
            ("broken", "unclear"),
            ("rejected", True, False, "people rejected it: broken, unclear"),
        ),
        ("unsure", (None, None), (), ("needs_review", None, None, "people could not say")),
    ],
)
def test_people_overrule_all_judges(status, visible, reasons, expected, sample, said) -> None:
    fooled = dataclasses.replace(sample, fooled=True)
    decision = decided(sample, status, *visible, reasons=reasons)
    for answer in (YES, NO):
        rows = [said(sample, judge, *answer) for judge in (VLM, OWL, EXACT)]
        found = verify(fooled, rows, decision, Policy())
        held, present, absent, reason = expected
        assert found == Verification(held, present, absent, ("people",), reason)


def test_what_fooled_the_model_goes_to_people_unless_the_judge_is_exact(sample, said) -> None:
    fooled = dataclasses.replace(sample, fooled=True)
    rows = [said(sample, VLM, *YES), said(sample, OWL, *YES)]
    assert verify(fooled, rows).status == "needs_review"
    assert "people decide" in verify(fooled, rows).reason
    assert verify(fooled, rows, policy=LOOSE).status == "accepted"
    assert verify(fooled, [*rows, said(sample, EXACT, 1, 1)]).status == "accepted"


def test_what_was_said_of_other_bytes_does_not_count(sample, said) -> None:
    changed = dataclasses.replace(sample, sha256="6" * 64)
    rows = [said(sample, VLM, *YES), said(sample, OWL, *YES)]
    assert verify(changed, rows).by == ()
    assert verify(changed, rows, decided(sample, "accepted")).status == "needs_review"
    assert verify(dataclasses.replace(sample, id="b"), rows).by == ()


def test_the_last_word_of_a_judge_counts(sample, said) -> None:
    rows = [said(sample, VLM, *NO), said(sample, OWL, *YES), said(sample, VLM, *YES)]
    assert verify(sample, rows).status == "accepted"


def test_a_judge_without_thresholds_is_refused(sample, said) -> None:
    with pytest.raises(ConfigError, match="no thresholds for the judge 'oracle'"):
        verify(sample, [said(sample, "oracle", 1, 1), said(sample, VLM, 1, 1)])
    assert family_of("oracle") == "oracle"
    for wrong in ((1.0, 0.5), (0.5, -0.1), (math.nan, 0.5)):
        with pytest.raises(ValueError, match="expected thresholds"):
            Threshold(*wrong)


def test_the_attack_s_own_judge_is_heard(sample) -> None:
    assert own_judgement(dataclasses.replace(sample, p_true_present=None)) is None
    seen = dataclasses.replace(sample, judge="sandbox", p_true_present=1.0, p_target_absent=0.0)
    row = own_judgement(seen)
    assert row is not None
    assert verify(seen, [row]).status == "rejected"


def test_a_policy_is_plain_json() -> None:
    document = Policy(judges=(VLM,), thresholds={VLM: Threshold(0.1, 0.2)}).to_json()
    assert document == {
        "judges": [VLM],
        "thresholds": {VLM: {"true_present": 0.1, "target_absent": 0.2}},
        "families": 2,
        "fooled_to_people": True,
    }
