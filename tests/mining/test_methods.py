import dataclasses

import pytest
import torch

from advgen import registry
from advgen.mining import Evidence, Method
from advgen.mining.methods import random_neurons, random_words, second_order, similar_words
from advgen.records import MinedWord, Neuron
from advgen.text import EncodedPool, SklearnOmp, TextPool

TEXTS = ("hay", "rope", "bell", "barn")
CONTRAST = torch.tensor([3.0, -1.0, 0.5, 0.0])
# One neuron per word, pointing at it or away from it.
EVIDENCE = Evidence(
    neurons=[Neuron(0, index) for index in range(4)],
    directions=torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0])),
    encoded=EncodedPool(TextPool("p", TEXTS), torch.eye(4)),
    solver=SklearnOmp(),
    nonzeros=2,
    atoms="unit",
    count=2,
)


def run(method: Method, evidence: Evidence = EVIDENCE, seed: int = 0) -> list[MinedWord]:
    return method(evidence, CONTRAST, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", registry.names("method"))
def test_every_method_ranks_words_of_the_pool_once_and_repeats_itself(name: str) -> None:
    method = registry.resolve("method", name)
    ranked = run(method, seed=3)
    words = [word.word for word in ranked]
    assert words
    assert set(words) <= set(TEXTS)
    assert len(set(words)) == len(words)
    assert [word.score for word in ranked] == sorted((w.score for w in ranked), reverse=True)
    assert run(method, seed=3) == ranked


def test_second_order_takes_the_neurons_that_speak_most_either_way() -> None:
    # |<v, r>| is 3, 1, 0.5, 0: the first two neurons. The second points away from `rope`, against
    # which v speaks as well: gamma = -1 and <v, r> = 1 give `rope` a negative score.
    (hay,) = run(second_order)
    assert (hay.word, hay.score) == ("hay", pytest.approx(3.0))
    assert [share.neuron for share in hay.neurons] == [Neuron(0, 0)]


def test_second_order_sees_no_more_than_the_chosen_neurons() -> None:
    everyone = dataclasses.replace(EVIDENCE, count=4)
    assert [word.word for word in run(second_order, everyone)] == ["hay", "bell"]


def test_random_neurons_differ_between_draws_but_score_alike() -> None:
    draws = {tuple(word.word for word in run(random_neurons, seed=seed)) for seed in range(20)}
    assert draws == {(), ("hay",), ("bell",), ("hay", "bell")}
    everyone = dataclasses.replace(EVIDENCE, count=4)
    assert run(random_neurons, everyone, seed=1) == run(second_order, everyone)


def test_similar_words_rank_the_whole_pool_by_cosine_to_the_contrast() -> None:
    ranked = run(similar_words)
    assert [word.word for word in ranked] == ["hay", "bell", "barn", "rope"]
    assert ranked[0].score == pytest.approx(3.0 / (9 + 1 + 0.25) ** 0.5)
    assert not any(word.neurons for word in ranked)


def test_random_words_owe_nothing_to_the_contrast() -> None:
    draws = {run(random_words, seed=seed)[0].word for seed in range(40)}
    assert draws == set(TEXTS)
    turned = random_words(EVIDENCE, -CONTRAST, torch.Generator().manual_seed(0))
    assert turned == run(random_words, seed=0)
