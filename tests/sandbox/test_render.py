import dataclasses
import random

import numpy as np
import pytest
from PIL import Image

from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.render import Mask, rasterize, render_masks, render_scene, scene_svg
from advgen.sandbox.scene import Item, Scene, sample_scene

LEXICON = load_lexicon()
CROWD = [sample_scene(random.Random(f"r{n}"), LEXICON, extras=4) for n in range(12)]
ONE = Scene("meadow", 1, (Item("automobile", 1, 32.0, 40.0, 24.0),))


def pixels(scene: Scene, size: int = 48) -> np.ndarray:
    return np.asarray(render_scene(scene, size)).astype(int)


def alone(item: Item, size: int) -> np.ndarray:
    """Alpha of one item on nothing, from the difference of two scenes' markup."""
    bare = scene_svg(Scene("meadow", 1, ()))
    full = scene_svg(Scene("meadow", 1, (item,)))
    ground = bare[bare.index("<g") : bare.rindex("</svg>")]
    return np.asarray(rasterize(full.replace(ground, ""), size))[..., 3]


def test_the_same_scene_gives_the_same_bytes() -> None:
    for scene in CROWD:
        copy = Scene.from_dict(scene.to_dict())
        assert render_scene(copy, 64).tobytes() == render_scene(scene, 64).tobytes()


@pytest.mark.parametrize("size", [16, 64, 129])
def test_an_image_has_the_size_asked_for_and_no_holes(size: int) -> None:
    image = render_scene(CROWD[0], size)
    assert (image.size, image.mode) == ((size, size), "RGB")
    assert np.asarray(rasterize(scene_svg(CROWD[0]), size))[..., 3].min() == 255


@pytest.mark.parametrize("scene", CROWD, ids=range(len(CROWD)))
def test_masks_are_disjoint_and_cover_just_what_the_items_cover(scene: Scene) -> None:
    masks = render_masks(scene, 48)
    assert [mask.item for mask in masks] == list(scene.items)
    stack = np.stack([mask.visible for mask in masks])
    assert stack.sum(axis=0).max() <= 1
    solid = np.stack([alone(item, 48) > 127 for item in scene.items])
    assert (stack.any(axis=0) == solid.any(axis=0)).all()
    front = len(scene.items) - 1 - solid[::-1].argmax(axis=0)
    owner = np.where(stack.any(axis=0), stack.argmax(axis=0), front)
    assert (owner == front).all(), "a pixel belongs to the front-most item on it"


def test_masks_are_where_the_picture_changes() -> None:
    scene = dataclasses.replace(CROWD[1], time="day", weather="clear")
    empty = dataclasses.replace(scene, items=())
    changed = (pixels(scene) != pixels(empty)).any(axis=-1)
    covered = np.stack([mask.visible for mask in render_masks(scene, 48)]).any(axis=0)
    assert (covered & ~changed).sum() <= 0.02 * covered.sum(), "but for paint of the same colour"
    grown = np.pad(covered, 1)
    near = grown[2:, 1:-1] | grown[:-2, 1:-1] | grown[1:-1, 2:] | grown[1:-1, :-2] | covered
    assert (changed & ~near).sum() <= 0.02 * covered.sum(), "but for soft edges and shadows"


def test_an_item_behind_another_is_hidden() -> None:
    item = ONE.items[0]
    both = dataclasses.replace(ONE, items=(dataclasses.replace(item, size=6.0), item))
    small, large = render_masks(both, 64)
    assert small.box is None
    assert large.box is not None


def test_a_box_is_tight_and_exclusive_on_the_right_and_below() -> None:
    visible = np.zeros((10, 12), dtype=bool)
    visible[3:5, 2:9] = True
    assert Mask(ONE.items[0], visible).box == (2, 3, 9, 5)
    visible[:] = False
    visible[9, 11] = True
    assert Mask(ONE.items[0], visible).box == (11, 9, 12, 10)


def test_boxes_follow_position_and_size() -> None:
    (mask,) = render_masks(ONE, 128)
    assert mask.box is not None
    left, top, right, bottom = mask.box
    assert 2 * (32 - 12) <= left < right <= 2 * (32 + 12)
    assert 2 * (40 - 12) <= top < bottom <= 2 * (40 + 12)
    moved = dataclasses.replace(ONE.items[0], x=42.0)
    (other,) = render_masks(dataclasses.replace(ONE, items=(moved,)), 128)
    assert other.box == (left + 20, top, right + 20, bottom)


def test_a_flipped_item_is_the_mirror_image() -> None:
    (mask,) = render_masks(ONE, 64)
    flipped = dataclasses.replace(ONE.items[0], flip=True)
    (mirror,) = render_masks(dataclasses.replace(ONE, items=(flipped,)), 64)
    assert (mirror.visible[:, ::-1] == mask.visible).mean() > 0.995
    assert (mirror.visible != mask.visible).any()


@pytest.mark.parametrize(
    ("change", "channel", "sign"),
    [
        ({"color": "blue"}, 2, 1),
        ({"color": "red"}, 0, 1),
        ({"color": "black"}, 1, -1),
    ],
)
def test_a_colour_word_shows_on_the_thing(change: dict, channel: int, sign: int) -> None:
    green = dataclasses.replace(ONE.items[0], color="green")
    painted = dataclasses.replace(ONE.items[0], **change)
    inside = render_masks(ONE, 48)[0].visible
    before = pixels(dataclasses.replace(ONE, items=(green,)))[inside]
    after = pixels(dataclasses.replace(ONE, items=(painted,)))[inside]
    assert sign * (after - before).mean(axis=0)[channel] > 10


def test_night_is_darker_and_fog_paler_but_both_readable() -> None:
    day = pixels(ONE)
    night = pixels(dataclasses.replace(ONE, time="night"))
    fog = pixels(dataclasses.replace(ONE, weather="fog"))
    assert night.mean() < 0.75 * day.mean()
    assert fog.std() < day.std()
    inside = render_masks(ONE, 48)[0].visible
    for image in (night, fog):
        assert abs(image[inside].mean(axis=0) - image[~inside].mean(axis=0)).max() > 15


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_what_falls_is_drawn_over_everything(weather: str) -> None:
    falling = pixels(dataclasses.replace(ONE, weather=weather))
    changed = (falling != pixels(ONE)).any(axis=-1)
    assert 0.02 < changed.mean() < 0.5
    assert (changed & render_masks(ONE, 48)[0].visible).any()


def test_sunset_is_warmer() -> None:
    sunset = pixels(dataclasses.replace(ONE, time="sunset")) - pixels(ONE)
    assert sunset[..., 0].mean() > sunset[..., 2].mean() + 10


def test_a_raster_keeps_what_is_transparent() -> None:
    body = '<rect x="0" y="0" width="32" height="64" fill="#ff0000"/>'
    image = rasterize(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{body}</svg>', 8
    )
    assert isinstance(image, Image.Image)
    assert image.getpixel((1, 4)) == (255, 0, 0, 255)
    assert image.getpixel((6, 4)) == (0, 0, 0, 0)
