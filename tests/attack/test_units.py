import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from advgen.attack.drawing import Artist, Unit
from advgen.attack.units import Finished, Studio
from advgen.generation.layout import Cell, RunLayout, decode_png
from advgen.records import ClassPair, Description
from advgen.store import sha256_file

PAIR = ClassPair("dog", "deer")
UNIT = Unit(
    Cell(PAIR, "second-order", 1), 4, Description("s012", "a dog and antlers", ("antlers",)), 5
)


@pytest.fixture
def studio(tmp_path: Path, make_config, make_clip, make_painter, oracle) -> Callable[..., Studio]:
    def make(folder: str = "run", faults: dict | None = None, **settings) -> Studio:
        return Studio(
            artist=Artist(
                make_config(**{"draw": {"size": 16}, **settings}),
                RunLayout(tmp_path / folder),
                make_painter(faults),
            ),
            clip=make_clip(),
            classes={PAIR: torch.eye(2)},
            describer="writer@3",
            judge=oracle,
        )

    return make


def image_path(studio: Studio, index: int) -> Path:
    return studio.artist.layout.image(UNIT.cell, UNIT.number, index)


def document(studio: Studio) -> dict:
    return json.loads(studio.artist.layout.unit(UNIT.cell, UNIT.number).read_text(encoding="utf-8"))


def test_a_row_says_what_was_drawn_asked_seen_and_judged(studio) -> None:
    made = studio(seed=3)
    rows = made.complete(UNIT).rows
    requests = made.artist.synthesizer.requests
    assert [row.seed for row in rows] == [request.seed for request in requests]
    assert len({row.seed for row in rows}) == len({row.id for row in rows}) == 5
    for index, row in enumerate(rows):
        request, path = requests[index], image_path(made, index)
        assert (request.prompt, request.subject, request.size) == ("a dog and antlers", "dog", 16)
        red, green = 50 + row.seed % 200, 50 + row.seed // 200 % 200
        length = (red**2 + green**2) ** 0.5
        assert (row.cos_true, row.cos_target) == pytest.approx((red / length, green / length))
        assert row.margin == pytest.approx((green - red) / length, abs=1e-6)
        assert row.fooled == (green > red)
        assert row.verified == bool(row.seed % 2)
        assert (row.words, row.undrawn) == (("antlers",), ("antlers",))
        assert (made.artist.layout.root / row.path, row.sha256) == (path, sha256_file(path))
        image, provenance = decode_png(path.read_bytes())
        assert image.getpixel((0, 0)) == (red, green, 9)
        assert (provenance["prompt"], provenance["seed"]) == (request.prompt, row.seed)
        assert (provenance["synthesizer"], provenance["licence"]) == ("painter@7", "CC0")
    assert made.finished(UNIT) == Finished(rows)


@pytest.mark.parametrize("fault", ["black", "flagged"])
def test_an_unusable_image_is_recorded_drawn_again_and_never_scored(studio, fault: str) -> None:
    made = studio(faults={0: fault, 3: fault, 4: fault})
    rows = made.complete(UNIT).rows
    seeds = [request.seed for request in made.artist.synthesizer.requests]
    assert len(set(seeds)) == 8
    assert [row.seed for row in rows] == [seeds[call] for call in (1, 2, 5, 6, 7)]
    assert document(made)["rejected"] == [
        {"index": 0, "attempt": 0, "seed": seeds[0], "reason": fault},
        {"index": 2, "attempt": 0, "seed": seeds[3], "reason": fault},
        {"index": 2, "attempt": 1, "seed": seeds[4], "reason": fault},
    ]
    (pixels,) = made.clip.batches
    reds = [50 + row.seed % 200 for row in rows]
    assert (pixels[:, 0, 0, 0] * 255).tolist() == pytest.approx(reds)


def test_drawing_again_is_bounded_and_the_rest_of_the_unit_goes_on(studio) -> None:
    faults = dict.fromkeys(range(3), "flagged") | {5: "black"}
    made = studio(faults=faults, draw={"size": 16, "max_redraws": 2})
    done = made.complete(UNIT)
    assert len(made.artist.synthesizer.requests) == 3 + 5
    assert [row.id[-3:] for row in done.rows] == ["001", "002", "003", "004"]
    assert (done.given_up, done.reasons) == (1, ("flagged",))
    assert document(made)["given_up"] == [0]
    assert [entry["attempt"] for entry in document(made)["rejected"]] == [0, 1, 2, 0]
    assert not image_path(made, 0).exists()
    assert made.finished(UNIT) == done
    (pixels,) = made.clip.batches
    assert len(pixels) == 4


def test_a_unit_without_a_usable_image_scores_nothing(studio) -> None:
    made = studio(faults=dict.fromkeys(range(99), "black"), draw={"size": 16, "max_redraws": 2})
    assert made.complete(UNIT) == Finished([], 5, ("black",))
    assert made.clip.batches == []
    assert made.finished(UNIT) == Finished([], 5, ("black",))


@pytest.mark.parametrize(("batch_size", "batches"), [(64, [5]), (2, [2, 2, 1])])
def test_a_unit_is_scored_in_the_same_batches_wherever_it_was_interrupted(
    studio, batch_size: int, batches: list[int]
) -> None:
    whole, cut = (studio(name, model={"batch_size": batch_size}) for name in ("whole", "cut"))
    rows = whole.complete(UNIT).rows
    for index in (0, 1, 2):
        image_path(cut, index).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image_path(whole, index), image_path(cut, index))
    assert cut.complete(UNIT).rows == rows
    assert [request.seed for request in cut.artist.synthesizer.requests] == [
        r.seed for r in rows[3:]
    ]
    for made in (whole, cut):
        assert [len(batch) for batch in made.clip.batches] == batches


def test_what_was_rejected_before_an_interruption_is_not_forgotten(studio) -> None:
    made = studio(faults={1: "flagged"})
    made.complete(UNIT)
    before = document(made)
    made.artist.layout.unit(UNIT.cell, UNIT.number).unlink()
    assert made.finished(UNIT) is None
    studio().complete(UNIT)
    assert document(made) == before
    assert [entry["index"] for entry in before["rejected"]] == [1]


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def save_again(path: Path) -> None:
    Image.open(path).convert("RGB").save(path)


def put_another_there(path: Path) -> None:
    shutil.copy(path.with_name(path.name.replace("i002", "i001")), path)


@pytest.mark.parametrize("damage", [cut_off, save_again, put_another_there, Path.unlink])
def test_a_damaged_image_alone_is_drawn_again_to_the_same_bytes(studio, damage) -> None:
    rows = studio().complete(UNIT).rows
    victim = image_path(studio(), 2)
    whole = victim.read_bytes()
    damage(victim)
    again = studio()
    assert again.finished(UNIT) is None
    assert again.complete(UNIT).rows == rows
    assert victim.read_bytes() == whole
    assert [request.seed for request in again.artist.synthesizer.requests] == [rows[2].seed]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"rows": [{"id": "x"}]}', '{"rows": []}'])
def test_a_damaged_unit_file_means_scoring_again_but_not_drawing_again(studio, text: str) -> None:
    rows = studio().complete(UNIT).rows
    again = studio()
    again.artist.layout.unit(UNIT.cell, UNIT.number).write_text(text)
    assert again.finished(UNIT) is None
    assert again.complete(UNIT).rows == rows
    assert again.artist.synthesizer.requests == []


def test_an_image_depends_on_the_run_s_seed_and_its_own_place_alone(studio) -> None:
    few = Unit(UNIT.cell, UNIT.number, UNIT.description, 2)
    other_cell = Unit(Cell(PAIR, "second-order", 0), UNIT.number, UNIT.description, 2)
    seeds = {
        name: [row.seed for row in studio(name, seed=seed).complete(unit).rows]
        for name, seed, unit in [
            ("all", 0, UNIT),
            ("few", 0, few),
            ("other seed", 1, few),
            ("other repeat", 0, other_cell),
        ]
    }
    assert seeds["few"] == seeds["all"][:2]
    assert not set(seeds["all"]) & {*seeds["other seed"], *seeds["other repeat"]}
