import dataclasses

import pytest
import torch

from advgen import registry
from advgen.config import WordScore
from advgen.mining import Evidence, Method
from advgen.mining.methods import (
    indirect,
    random_neurons,
    random_words,
    second_order,
    similar_words,
)
from advgen.records import ClassPair, MinedWord, Neuron
from advgen.text import EncodedPool, SklearnOmp, TextPool

TEXTS = ("hay", "rope", "bell", "barn")
PAIR = ClassPair("cat", "horse")
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


# The same pool seen through directions of indirect effects: only one neuron has any.
INDIRECT = dataclasses.replace(
    EVIDENCE, neurons=[Neuron(1, 9)], directions=torch.tensor([[0.0, 0.0, 1.0, 0.0]])
)


def run(method: Method, evidence: Evidence = EVIDENCE, seed: int = 0) -> list[MinedWord]:
    return method(evidence, PAIR, CONTRAST, torch.Generator().manual_seed(seed))


def scored(ranked: list[MinedWord]) -> dict[str, float]:
    return {word.word: round(word.score, 4) for word in ranked}


@pytest.mark.parametrize("name", registry.names("method"))
def test_every_method_ranks_words_of_the_pool_once_and_repeats_itself(name: str) -> None:
    method = registry.resolve("method", name)
    evidence = dataclasses.replace(EVIDENCE, indirect=INDIRECT)
    ranked = run(method, evidence, seed=3)
    words = [word.word for word in ranked]
    assert words
    assert set(words) <= set(TEXTS)
    assert len(set(words)) == len(words)
    assert [word.score for word in ranked] == sorted((w.score for w in ranked), reverse=True)
    assert run(method, evidence, seed=3) == ranked


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
    turned = random_words(EVIDENCE, PAIR, -CONTRAST, torch.Generator().manual_seed(0))
    assert turned == run(random_words, seed=0)


def test_indirect_sees_other_directions_in_the_same_way() -> None:
    (bell,) = run(indirect, dataclasses.replace(EVIDENCE, indirect=INDIRECT))
    assert (bell.word, bell.score) == ("bell", pytest.approx(0.5))
    assert [share.neuron for share in bell.neurons] == [Neuron(1, 9)]
    with pytest.raises(ValueError, match="indirect effects; got none"):
        run(indirect)


def test_the_choice_goes_by_size_by_sign_or_by_the_share_that_the_direction_explains() -> None:
    # <v, r> = 3, 1, 0.5, 0.
    def chosen(signs: list[float], count: int = 3, **settings) -> list[int]:
        evidence = dataclasses.replace(
            EVIDENCE, directions=torch.diag(torch.tensor(signs).float()), count=count, **settings
        )
        return evidence.choose(CONTRAST)

    assert chosen([-1, 1, 1, 1]) == [0, 1, 2]
    assert chosen([-1, -1, 1, 1], choice="signed") == [1, 2]
    assert chosen([-1, 1, -1, 1], choice="signed") == []
    shares = torch.tensor([0.1, 0.2, 0.9, 0.9])
    assert chosen([-1, 1, 1, 1], choice="variance", explained=shares) == [2, 0, 1]
    with pytest.raises(ValueError, match="'variance'; got none"):
        chosen([1, 1, 1, 1], choice="variance")


def test_a_word_s_score_weighs_neurons_by_how_much_they_move_on_the_true_class() -> None:
    sizes = {"cat": torch.tensor([0.5, 4.0, 6.0, 1.0]), "dog": torch.ones(4)}
    evidence = dataclasses.replace(EVIDENCE, count=4, score="activation", sizes=sizes)
    assert scored(run(second_order, evidence)) == {"bell": 3.0, "hay": 1.5}
    (bell, _) = run(second_order, evidence)
    assert bell.neurons[0].contribution == pytest.approx(3.0)
    with pytest.raises(ValueError, match=r"'cat'; got \['dog'\]"):
        run(second_order, dataclasses.replace(evidence, sizes={"dog": torch.ones(4)}))


@pytest.mark.parametrize("atoms", ["unit", "centered-unit"])
def test_projection_scores_every_word_through_the_chosen_directions(atoms: str) -> None:
    generator = torch.Generator().manual_seed(5)
    rows = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=1)
    directions = torch.nn.functional.normalize(torch.randn(5, 4, generator=generator), dim=1)
    texts = tuple("abcdef")
    evidence = dataclasses.replace(
        EVIDENCE,
        neurons=[Neuron(2, index) for index in range(5)],
        directions=directions,
        encoded=EncodedPool(TextPool("p", texts), rows),
        count=3,
        atoms=atoms,
        score="projection",
    )
    chosen = directions[(directions @ CONTRAST).abs().argsort(descending=True)[:3]]
    centred = rows - rows.mean(dim=0) if atoms == "centered-unit" else rows
    unit = centred / centred.norm(dim=1, keepdim=True)
    expected = (unit @ chosen.T @ (chosen @ CONTRAST)).tolist()
    positive = {text: score for text, score in zip(texts, expected, strict=True) if score > 0}
    ranked = run(second_order, evidence)
    assert {word.word: word.score for word in ranked} == pytest.approx(positive, rel=1e-4)
    for word in ranked:
        assert sum(share.contribution for share in word.neurons) == pytest.approx(
            word.score, rel=1e-4
        )


@pytest.mark.parametrize("score", ["codes", "projection", "activation"])
def test_no_neuron_gives_no_word(score: WordScore) -> None:
    nobody = dataclasses.replace(
        EVIDENCE,
        directions=-torch.eye(4) * CONTRAST.sign(),
        choice="signed",
        score=score,
        sizes={"cat": torch.ones(4)},
    )
    assert run(second_order, nobody) == []


def test_evidence_of_some_layers_keeps_what_belongs_to_their_neurons() -> None:
    evidence = dataclasses.replace(
        EVIDENCE,
        neurons=[Neuron(0, 0), Neuron(1, 0), Neuron(0, 1), Neuron(2, 0)],
        explained=torch.tensor([0.1, 0.2, 0.3, 0.4]),
        sizes={"cat": torch.arange(4.0)},
        indirect=INDIRECT,
    )
    part = evidence.of_layers((0, 2))
    assert part.neurons == [Neuron(0, 0), Neuron(0, 1), Neuron(2, 0)]
    assert part.directions.equal(EVIDENCE.directions[[0, 2, 3]])
    assert part.explained is not None
    assert part.explained.tolist() == pytest.approx([0.1, 0.3, 0.4])
    assert part.sizes["cat"].tolist() == [0, 2, 3]
    assert part.indirect is not None
    assert part.indirect.neurons == []
