"""Batches of images: fixed composition, faults, and what is written when."""

import pytest

from advgen.attack.drawing import Artist, Unit
from advgen.generation.layout import Cell, RunLayout
from advgen.records import ClassPair, Description

UNIT = Unit(
    Cell(ClassPair("dog", "deer"), "random", 0), 2, Description("s003", "a dog", ("trees",)), 7
)


@pytest.fixture
def artist(tmp_path, make_config, make_painter):
    def make(batch_size: int, faults: dict | None = None, folder: str = "run") -> Artist:
        config = make_config(draw={"size": 16, "batch_size": batch_size, "max_redraws": 2})
        return Artist(config, RunLayout(tmp_path / folder), make_painter(faults))

    return make


def path(made: Artist, index: int):
    return made.layout.image(UNIT.cell, UNIT.number, index)


@pytest.mark.parametrize(
    ("batch_size", "batches"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (64, [7])]
)
def test_images_are_drawn_in_batches(artist, batch_size, batches) -> None:
    made = artist(batch_size)
    drawing = made.draw(UNIT)
    assert made.synthesizer.batches == batches
    assert [picture.index for picture in drawing.pictures] == list(range(7))
    assert [picture.provenance["seed"] for picture in drawing.pictures] == [
        made.seeds(UNIT, index)[0] for index in range(7)
    ]
    assert {picture.provenance["batch_size"] for picture in drawing.pictures} == {batch_size}


def test_the_pictures_do_not_depend_on_the_batch_size_here(artist) -> None:
    singles, batched = artist(1, folder="a").draw(UNIT), artist(4, folder="b").draw(UNIT)
    assert [p.image.tobytes() for p in singles.pictures] == [
        p.image.tobytes() for p in batched.pictures
    ]


def test_a_batch_that_lacks_an_image_is_drawn_as_a_whole_and_only_that_image_written(
    artist,
) -> None:
    first = artist(3)
    before = first.draw(UNIT)
    path(first, 4).unlink()
    written = {index: path(first, index).stat().st_mtime_ns for index in (0, 1, 2, 3, 5, 6)}
    again = artist(3)
    after = again.draw(UNIT)
    assert again.synthesizer.batches == [3]
    assert [request.seed for request in again.synthesizer.requests] == [
        again.seeds(UNIT, index)[0] for index in (3, 4, 5)
    ]
    assert {i: path(first, i).stat().st_mtime_ns for i in written} == written
    assert [p.provenance for p in after.pictures] == [p.provenance for p in before.pictures]


def test_faulty_images_of_a_batch_are_drawn_again_together(artist) -> None:
    made = artist(4, faults={1: "flagged", 3: "black", 4: "flagged"})
    drawing = made.draw(UNIT)
    assert made.synthesizer.batches == [4, 2, 1, 3]
    assert [(entry["index"], entry["attempt"], entry["reason"]) for entry in drawing.rejected] == [
        (1, 0, "flagged"),
        (1, 1, "flagged"),
        (3, 0, "black"),
    ]
    assert drawing.given_up == []
    assert [picture.index for picture in drawing.pictures] == list(range(7))
    again = artist(4).draw(UNIT)
    assert again.rejected == drawing.rejected
