import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.errors import ConfigError
from advgen.records import (
    ClassPair,
    Description,
    MinedWord,
    Neuron,
    NeuronShare,
    Verdict,
    WordList,
    to_json,
)


@pytest.mark.parametrize(
    ("text", "true_class", "target_class"),
    [
        ("dog:deer", "dog", "deer"),
        ("stop sign:yield sign", "stop sign", "yield sign"),
        ("  Dog :\tDEER ", "dog", "deer"),
        ("stop   sign:crossroad", "stop sign", "crossroad"),
        ("T-shirt:dress", "t-shirt", "dress"),
    ],
)
def test_a_pair_is_read_without_regard_to_case_and_space(
    text: str, true_class: str, target_class: str
) -> None:
    assert ClassPair.parse(text) == ClassPair(true_class, target_class)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dog", "not a pair"),
        ("", "not a pair"),
        ("dog:", "not a pair"),
        (" : deer", "not a pair"),
        ("dog:deer:cat", "not a pair"),
        ("dog:Dog", "same class twice"),
        ("stop sign:stop  sign", "same class twice"),
    ],
)
def test_what_is_no_pair_is_refused_with_the_fault(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ClassPair.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_a_pair_or_a_config_error(text: str) -> None:
    try:
        pair = ClassPair.parse(text)
    except ConfigError:
        return
    assert ClassPair.parse(str(pair)) == pair


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_a_slug_is_one_harmless_part_of_a_path(first: str, second: str) -> None:
    slug = ClassPair(first, second).slug
    assert slug not in ("", ".", "..")
    assert not set(slug) & set("/\\ .:\0\n")


def test_a_slug_reads_like_the_pair() -> None:
    assert ClassPair("stop sign", "yield sign").slug == "stop_sign-yield_sign"


def test_neurons_sort_by_layer_then_index() -> None:
    shuffled = [Neuron(2, 0), Neuron(0, 30), Neuron(0, 4)]
    assert [str(neuron) for neuron in sorted(shuffled)] == ["0:4", "0:30", "2:0"]


@pytest.mark.parametrize(
    ("true_present", "target_absent", "verified"),
    [(1.0, 1.0, True), (0.51, 0.51, True), (0.5, 1.0, False), (1.0, 0.5, False), (0.0, 1.0, False)],
)
def test_verified_needs_better_than_even_odds_on_both(
    true_present: float, target_absent: float, verified: bool
) -> None:
    assert Verdict("judge", true_present, target_absent).verified is verified


def test_a_description_with_a_reason_is_not_accepted() -> None:
    assert Description("s1", "a dog", ()).accepted
    assert not Description("s1", "a deer", (), reason="missing_true_class").accepted


def test_to_json_gives_plain_values_all_the_way_down() -> None:
    share = NeuronShare(Neuron(3, 7), 0.25)
    words = WordList(ClassPair("dog", "deer"), "random", 1, (MinedWord("hay", 0.5, (share,)),), ())
    plain = to_json({"list": words})
    assert json.loads(json.dumps(plain)) == plain
    assert plain["list"]["pair"] == {"true_class": "dog", "target_class": "deer"}
    assert plain["list"]["kept"] == [
        {
            "word": "hay",
            "score": 0.5,
            "neurons": [{"neuron": {"layer": 3, "index": 7}, "contribution": 0.25}],
        }
    ]
