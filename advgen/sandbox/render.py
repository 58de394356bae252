"""From a scene to pixels: one SVG document, a PNG at any size, and an exact mask per thing."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
import resvg_py
from PIL import Image

from advgen.sandbox.lexicon import COLORS, load_lexicon
from advgen.sandbox.scene import CANVAS, Item, Scene
from advgen.sandbox.sprites import load_background, load_sprite

_TINTS = {
    "sunset": '<rect x="-9" y="-9" width="82" height="82" fill="#f2792b" opacity="0.26"/>',
    "night": '<rect x="-9" y="-9" width="82" height="82" fill="#0b1440" opacity="0.55"/>',
}
_OVER = {
    "night": '<rect x="-9" y="-9" width="82" height="82" fill="#0b1440" opacity="0.12"/>',
    "fog": '<rect x="-9" y="-9" width="82" height="82" fill="#e6e9ec" opacity="0.34"/>',
}
_DROP = 'stroke="#a9c4e6" stroke-width="0.6" opacity="0.8"'
_FLAKE = 'fill="#ffffff" opacity="0.85"'


@dataclass(frozen=True, slots=True)
class Mask:
    """Where one item of a scene is visible: a boolean array [height, width] and its tight box."""

    item: Item
    visible: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """`(left, top, right, bottom)` in pixels, right and bottom exclusive; None when hidden."""
        rows, columns = np.nonzero(self.visible)
        if not len(rows):
            return None
        return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def scene_svg(scene: Scene) -> str:
    """The scene as one SVG document (64-unit viewBox)."""
    mirror = f" translate({CANVAS:g} 0) scale(-1 1)" if scene.place_flip else ""
    place = load_lexicon().places[scene.place]
    shift = f"translate({scene.place_shift:.2f} 0)"
    parts = [
        f'<g transform="{shift}{mirror}">{load_background(place.slug, scene.place_variant)}</g>',
        _TINTS.get(scene.time, ""),
        *(_item_markup(item) for item in scene.items),
        _OVER.get(scene.time, ""),
        _OVER.get(scene.weather, ""),
        _flakes(scene),
    ]
    return _document("".join(parts))


def render_scene(scene: Scene, size: int) -> Image.Image:
    """Draw the scene as an RGB image of `size` x `size` pixels."""
    return rasterize(scene_svg(scene), size).convert("RGB")


def render_masks(scene: Scene, size: int) -> list[Mask]:
    """Exact visible region of every item, in the order of `scene.items`.

    A pixel belongs to an item when the item covers more than half of it and nothing in front does.
    """
    covered = np.zeros((size, size), dtype=bool)
    masks: list[Mask] = []
    for item in reversed(scene.items):
        alpha = np.asarray(rasterize(_document(_item_markup(item)), size).getchannel("A"))
        solid = alpha > 127
        masks.append(Mask(item, solid & ~covered))
        covered |= solid
    return masks[::-1]


def rasterize(svg: str, size: int) -> Image.Image:
    """Draw an SVG document as an RGBA image of `size` x `size` pixels."""
    data = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size)
    return Image.open(io.BytesIO(bytes(data))).convert("RGBA")


def _item_markup(item: Item) -> str:
    concept = load_lexicon().concepts[item.concept]
    scale = item.size / CANVAS
    across = -scale if item.flip else scale
    color = COLORS[item.color] if item.color is not None else None
    body = load_sprite(concept.slug, item.variant).paint(color, item.hue)
    return (
        f'<g transform="translate({item.x:.2f} {item.y:.2f}) rotate({item.angle:.1f}) '
        f'scale({across:.4f} {scale:.4f}) translate(-32 -32)">{body}</g>'
    )


def _flakes(scene: Scene) -> str:
    if scene.weather not in ("rain", "snow"):
        return ""
    rng = random.Random(f"{scene.place}{scene.place_shift:.2f}")
    marks = []
    for _ in range(34):
        x, y = rng.uniform(0, CANVAS), rng.uniform(0, CANVAS)
        if scene.weather == "snow":
            shape, look = f'circle cx="{x:.1f}" cy="{y:.1f}" r="0.8"', _FLAKE
        else:
            shape, look = f'path d="M{x:.1f} {y:.1f}l-1.4 4.2"', _DROP
        marks.append(f"<{shape} {look}/>")
    return "".join(marks)


def _document(body: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{body}</svg>'
