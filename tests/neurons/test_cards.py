import dataclasses
from types import SimpleNamespace

import pytest
import torch

from advgen.errors import DataError
from advgen.lens import SecondOrderLens
from advgen.neurons import image_name, leading_images, make_cards, neuron_responses, plain_facts
from advgen.records import Neuron

CHOSEN = [Neuron(4, 10), Neuron(3, 1), Neuron(4, 11)]


@pytest.fixture(scope="module")
def effects(catalogue, pixels) -> torch.Tensor:
    """The effects themselves, minus their mean over the images: [neuron, image, embed]."""
    lens = SecondOrderLens(catalogue.clip, [3, 4])
    rows = [lens.effects(pixels, neuron.layer)[:, neuron.index] for neuron in CHOSEN]
    return torch.stack([row - row.mean(dim=0) for row in rows])


def test_responses_are_those_of_the_effects(catalogue, effects, listener) -> None:
    numbers = [19, 3, 3, 0, 7, 8, 11, 2, 18]
    seen = neuron_responses(catalogue, CHOSEN, numbers, listener)
    assert listener.steps == len(numbers)
    expected = effects[:, numbers]
    torch.testing.assert_close(seen.norms, expected.norm(dim=2), rtol=1e-4, atol=1e-6)
    for row, neuron in enumerate(CHOSEN):
        direction = catalogue.directions[neuron.layer].direction[neuron.index]
        torch.testing.assert_close(
            seen.projections[row], expected[row] @ direction, rtol=1e-3, atol=1e-5
        )


def test_nothing_to_look_at_is_refused(catalogue, listener) -> None:
    with pytest.raises(ValueError, match="got 3 and 0"):
        neuron_responses(catalogue, CHOSEN, [], listener)
    with pytest.raises(ValueError, match="got 0 and 1"):
        neuron_responses(catalogue, [], [1], listener)


def test_leading_images_are_the_stored_ones_with_their_sign(catalogue, effects, listener) -> None:
    facts = [plain_facts(catalogue, neuron) for neuron in CHOSEN]
    for row, (entry, images) in enumerate(
        zip(facts, leading_images(catalogue, facts, 4, listener), strict=True)
    ):
        layer, index = catalogue.directions[entry.neuron.layer], entry.neuron.index
        assert [image.index for image in images] == layer.top_images[index, :4].tolist()
        assert [image.norm for image in images] == layer.top_norms[index, :4].tolist()
        for image in images:
            expected = effects[row, image.index] @ layer.direction[index]
            assert image.projection == pytest.approx(expected.item(), rel=1e-3, abs=1e-5)


def test_no_image_is_read_where_none_is_asked_for(catalogue, listener) -> None:
    facts = [plain_facts(catalogue, CHOSEN[0])]
    assert leading_images(catalogue, facts, 0, listener) == [()]
    assert make_cards(catalogue, [], 4, listener) == []
    assert listener.steps == 0


def test_cards_hold_both_ends_of_the_whole_set(catalogue, effects, listener) -> None:
    facts = [plain_facts(catalogue, neuron) for neuron in CHOSEN]
    cards = make_cards(catalogue, facts, 5, listener)
    assert listener.steps == len(catalogue.images)
    for row, card in enumerate(cards):
        layer, index = catalogue.directions[card.facts.neuron.layer], card.facts.neuron.index
        projections = effects[row] @ layer.direction[index]
        rising = projections.argsort().tolist()
        positive, negative = int((projections > 0).sum()), int((projections < 0).sum())
        assert [image.index for image in card.positive] == rising[::-1][: min(5, positive)]
        assert [image.index for image in card.negative] == rising[: min(5, negative)]
        assert [image.index for image in card.top] == layer.top_images[index, :5].tolist()
        assert all(image.projection > 0 for image in card.positive)
        assert all(image.projection < 0 for image in card.negative)
        assert int((card.norms >= card.bound).sum()) == layer.top_images.shape[1]
        assert card.bound == pytest.approx(card.facts.norm_threshold, rel=1e-3)
        torch.testing.assert_close(
            torch.from_numpy(card.norms), effects[row].norm(dim=1), rtol=1e-4, atol=1e-6
        )


def test_fewer_images_than_asked_for_are_all_of_that_side(catalogue, listener) -> None:
    facts = [plain_facts(catalogue, CHOSEN[1])]
    (card,) = make_cards(catalogue, facts, 50, listener)
    assert len(card.positive) + len(card.negative) == len(catalogue.images) == len(card.top)


class Damaged:
    """Pictures of which one cannot be read; the others are as before."""

    def __init__(self, whole, number: int) -> None:
        self.whole, self.number, self.name = whole, number, whole.name
        self.fingerprint, self.templates = whole.fingerprint, ()
        self.labels, self.classes = [1] * len(whole), ("dog", "pond")

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int):
        if index == self.number:
            raise DataError("torn")
        return self.whole[index]

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def describe(self, index: int) -> str:
        return f"{self.name}/a folder/{index}.png"

    def digest(self, index: int) -> str:
        return self.whole.digest(index)


def test_an_unreadable_image_is_noted_and_left_out(catalogue, effects) -> None:
    notes: list[str] = []
    listener = SimpleNamespace(
        stage=lambda *_: None, advance=lambda steps=1: None, note=notes.append
    )
    torn = dataclasses.replace(catalogue, images=Damaged(catalogue.images, 3))
    facts = [plain_facts(catalogue, CHOSEN[0])]
    (card,) = make_cards(torn, facts, 50, listener)
    assert notes == ["left out pictures/a folder/3.png (torn)"]
    assert len(card.norms) == 19
    assert {image.index for image in card.top} == set(range(20)) - {3}
    assert {image.index for image in (*card.positive, *card.negative)} == set(range(20)) - {3}


def test_names_are_short_and_say_the_class(catalogue) -> None:
    assert image_name(catalogue.images, 4) == "picture 4"
    assert image_name(Damaged(catalogue.images, 3), 4) == "a folder/4.png, pond"
