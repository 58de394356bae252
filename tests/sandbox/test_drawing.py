import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from advgen.sandbox.drawing import Drawing, draw_description
from advgen.sandbox.render import render_scene
from advgen.sandbox.scene import Item, Scene


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_the_picture_the_masks_and_the_boxes_are_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.png"
    drawing = draw_description("a dog, a stop sign and serendipity in a forest", size=90, seed=2)
    written = drawing.write(path, masks=True)
    assert written[0] == path
    assert written[-1] == path.with_suffix(".json")
    assert {file.name for file in path.parent.iterdir()} == {file.name for file in written}
    document = json.loads(written[-1].read_text(encoding="utf-8"))
    assert document["undrawn"] == ["serendipity"]
    assert {entry["concept"] for entry in document["objects"]} == {"dog", "stop sign"}
    assert Scene.from_dict(document["scene"]) == drawing.scene
    assert (pixels(path) == np.asarray(render_scene(drawing.scene, 90))).all()
    taken = np.zeros((90, 90), dtype=int)
    for number, entry in enumerate(document["objects"]):
        assert entry["mask"] == f"x.mask-{number}-{entry['concept'].replace(' ', '_')}.png"
        mask = pixels(path.parent / entry["mask"]) > 0
        left, top, right, bottom = entry["box"]
        assert mask[top:bottom, left:right].sum() == mask.sum() > 0
        assert mask[top, left:right].any() and mask[bottom - 1, left:right].any()
        assert mask[top:bottom, left].any() and mask[top:bottom, right - 1].any()
        taken += mask
    assert taken.max() == 1, "a pixel belongs to two things"


def test_a_hidden_thing_has_an_empty_mask_and_no_box(tmp_path: Path) -> None:
    items = (Item("bee", 1, 32.0, 40.0, 4.0), Item("house", 1, 32.0, 40.0, 60.0))
    written = Drawing(Scene("meadow", 1, items), 64, ()).write(tmp_path / "x.png", masks=True)
    boxes = [entry["box"] for entry in json.loads(written[-1].read_text())["objects"]]
    assert boxes[0] is None
    assert boxes[1] is not None
    assert not pixels(written[1]).any()


def test_without_masks_one_file_is_written(tmp_path: Path) -> None:
    drawing = draw_description("a cat", size=32, seed=0)
    assert drawing.write(tmp_path / "x.png", masks=False) == [tmp_path / "x.png"]
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize(("seeds", "same"), [((4, 4), True), ((4, 5), False)])
def test_a_sentence_and_a_seed_make_the_picture(seeds: tuple[int, int], same: bool) -> None:
    one, two = (draw_description("a dog by a river", size=32, seed=seed) for seed in seeds)
    assert (one == two) is same
