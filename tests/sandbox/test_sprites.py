import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from advgen.errors import SandboxError
from advgen.sandbox import sprites
from advgen.sandbox.render import rasterize, scene_svg
from advgen.sandbox.scene import Scene
from advgen.sandbox.sprites import (
    darken,
    load_background,
    load_sprite,
    parse_sprite,
    turn_hue,
    variants,
)

ROOT = Path(sprites.__file__).parent
THINGS = sorted((ROOT / "sprites").glob("*.svg"))
PLACES = sorted((ROOT / "places").glob("*.svg"))
NAME = re.compile(r"[a-z]+(_[a-z]+)*-[1-9]\.svg")
STYLE = re.compile(r"(\.(main|shade)(\{fill|-line\{stroke):#[0-9a-f]{6}\})*")
SHAPES = {"path", "circle", "ellipse", "rect", "g", "line", "polygon", "polyline"}
ATTRIBUTES = {
    "class", "d", "cx", "cy", "r", "rx", "ry", "x", "y", "x1", "y1", "x2", "y2", "width", "height",
    "points", "fill", "fill-opacity", "fill-rule", "opacity", "stroke", "stroke-dasharray",
    "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "transform",
}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def name_of(path: Path) -> str:
    return path.stem


def draw(body: str, size: int = 32) -> np.ndarray:
    document = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{body}</svg>'
    return np.asarray(rasterize(document, size))


@pytest.mark.parametrize("path", [*THINGS, *PLACES], ids=name_of)
def test_a_drawing_keeps_to_the_contract(path: Path) -> None:
    assert NAME.fullmatch(path.name)
    data = path.read_bytes()
    assert len(data) <= 3000
    root = ElementTree.fromstring(data)
    assert root.tag == f"{SVG}svg"
    assert root.attrib == {"viewBox": "0 0 64 64"}
    defined: set[str] = set()
    used: set[str] = set()
    for element in root.iter():
        if element is root:
            continue
        kind = element.tag.removeprefix(SVG)
        if kind == "style":
            assert element in list(root), "a style stands directly below <svg>"
            assert STYLE.fullmatch((element.text or "").lower())
            defined |= set(re.findall(r"\.([\w-]+)\{", element.text or ""))
        else:
            assert kind in SHAPES
            assert set(element.attrib) <= ATTRIBUTES
            used |= set(element.get("class", "").split())
    assert used <= defined, "every colour slot in use has a colour"
    if path in PLACES:
        assert not used, "a place has no colour slots"


@pytest.mark.parametrize("path", THINGS, ids=name_of)
def test_a_thing_can_be_seen_and_takes_its_colours(path: Path) -> None:
    slug, _, number = path.stem.rpartition("-")
    sprite = load_sprite(slug, int(number))
    own = draw(sprite.paint())
    assert (own[..., 3] > 127).mean() > 0.05, "a thing covers some of its box"
    assert own[own[..., 3] > 127][:, :3].std(axis=0).max() > 8, "a thing has more than one tone"
    red, blue = draw(sprite.paint("#d0342c")), draw(sprite.paint("#2f6fd0"))
    assert (red[..., 3] == own[..., 3]).all(), "colour changes no outline"
    responds = (red != blue).any(axis=-1).sum() / (own[..., 3] > 127).sum()
    assert ("@MAIN@" in sprite.body or "@SHADE@" in sprite.body) == bool(responds)
    if "@MAIN@" in sprite.body:
        assert sprite.main is not None
        assert responds > 0.03, "a colour word changes what one sees"


@pytest.mark.parametrize("path", PLACES, ids=name_of)
def test_a_place_fills_the_canvas_wherever_it_is_moved(path: Path) -> None:
    slug, _, number = path.stem.rpartition("-")
    assert np.unique(draw(load_background(slug, int(number)))[..., :3]).size > 8
    for shift in (-5.0, 0.0, 5.0):
        for flip in (False, True):
            scene = Scene(
                slug.replace("_", " "), int(number), (), place_shift=shift, place_flip=flip
            )
            assert np.asarray(rasterize(scene_svg(scene), 32))[..., 3].min() == 255


def test_unknown_things_and_variants_are_named() -> None:
    with pytest.raises(SandboxError, match="no drawing of 'unicorn'"):
        variants("unicorn")
    with pytest.raises(SandboxError, match=r"sprites/dog-99\.svg"):
        load_sprite("dog", 99)
    with pytest.raises(SandboxError, match=r"places/forest-99\.svg"):
        load_background("forest", 99)


def svg(content: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{content}</svg>'


def test_slots_are_painted_and_everything_else_is_left_alone() -> None:
    sprite = parse_sprite(
        svg(
            "<style>.main{fill:#f80}.shade-line{stroke:#804000}</style>"
            '<g><rect class="main" width="9"/><path class="main shade-line" fill="#111111"/></g>'
        )
    )
    assert (sprite.main, sprite.shade) == ("#ff8800", "#804000")
    assert sprite.paint() == (
        '<g><rect width="9" fill="#ff8800" /><path fill="#ff8800" stroke="#804000" /></g>'
    )
    assert 'stroke="#00004a"' in sprite.paint("#000064"), "the shade follows a given colour"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (svg('<rect class="body"/>'), "class 'body' is not one of main"),
        ("<html/>", "expected an <svg> document"),
    ],
)
def test_what_is_no_sprite_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_sprite(text)


def test_colour_arithmetic() -> None:
    assert darken("#ff8000", 0.5) == "#804000"
    assert turn_hue("#ff0000", 120) == "#00ff00"
    assert turn_hue("#ff0000", -120) == "#0000ff"
    assert turn_hue("#777777", 90) == "#777777"
    assert turn_hue("#123456", 0) == "#123456"
