"""The drawings: SVG files of things and places, read once and cut into recolourable pieces."""

from __future__ import annotations

import colorsys
import functools
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from importlib import resources

from advgen.errors import SandboxError

PLACE_VARIANTS = 2
SHADE = 0.74
_SVG = "http://www.w3.org/2000/svg"
_RULE = re.compile(r"\.([\w-]+)\s*\{\s*(?:fill|stroke)\s*:\s*(#[0-9a-fA-F]{3,6})\s*;?[^}]*\}")
_PAINT = {
    "main": ("fill", "@MAIN@"),
    "shade": ("fill", "@SHADE@"),
    "main-line": ("stroke", "@MAIN@"),
    "shade-line": ("stroke", "@SHADE@"),
}


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawing in a 64-unit box whose body colour can be changed.

    `body` is SVG markup in which `@MAIN@` and `@SHADE@` stand for the body colour and its darker
    tone.
    """

    body: str
    main: str | None
    shade: str | None

    def paint(self, color: str | None = None, hue: float = 0.0) -> str:
        """Markup in its own colours, or in `color` (`#rrggbb`), turned by `hue` degrees."""
        main = turn_hue(color or self.main or "#888888", hue)
        if color is None and self.shade is not None:
            shade = turn_hue(self.shade, hue)
        else:
            shade = darken(main, SHADE)
        return self.body.replace("@MAIN@", main).replace("@SHADE@", shade)


@functools.cache
def variants(slug: str) -> tuple[int, ...]:
    """Numbers of the variants that exist for a thing, ascending.

    Raises:
        SandboxError: If nothing was drawn for it.
    """
    if slug not in _index():
        raise SandboxError(f"no drawing of '{slug}'; add sprites/{slug}-1.svg")
    return _index()[slug]


@functools.cache
def load_sprite(slug: str, variant: int) -> Sprite:
    """Read one variant of one thing."""
    return parse_sprite(_drawing("sprites", f"{slug}-{variant}.svg"))


@functools.cache
def load_background(slug: str, variant: int) -> str:
    """Markup of one variant of one place."""
    return parse_sprite(_drawing("places", f"{slug}-{variant}.svg")).body


def parse_sprite(text: str) -> Sprite:
    """Cut an SVG document into recolourable markup.

    Raises:
        ValueError: If the document is not SVG or uses a class other than the four colour slots.
    """
    root = ElementTree.fromstring(text)
    if root.tag != f"{{{_SVG}}}svg":
        raise ValueError(f"expected an <svg> document, got <{root.tag}>")
    colors: dict[str, str] = {}
    parts: list[str] = []
    for child in root:
        if child.tag == f"{{{_SVG}}}style":
            colors.update(_RULE.findall(child.text or ""))
            continue
        for element in child.iter():
            _mark(element)
        parts.append(ElementTree.tostring(child, encoding="unicode").strip())
    body = "".join(parts).replace(f' xmlns="{_SVG}"', "")
    main = colors.get("main") or colors.get("main-line")
    shade = colors.get("shade") or colors.get("shade-line")
    return Sprite(body=body, main=_long(main), shade=_long(shade))


def darken(color: str, factor: float) -> str:
    """The colour `#rrggbb` with each channel times `factor`."""
    return "#" + "".join(f"{round(channel * factor):02x}" for channel in _channels(color))


def turn_hue(color: str, degrees: float) -> str:
    """The colour `#rrggbb` with its hue turned by `degrees`."""
    if not degrees:
        return color
    red, green, blue = (channel / 255 for channel in _channels(color))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    turned = colorsys.hls_to_rgb((hue + degrees / 360) % 1.0, light, saturation)
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in turned)


def _mark(element: ElementTree.Element) -> None:
    element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    name = element.attrib.pop("class", None)
    for slot in (name or "").split():
        if slot not in _PAINT:
            raise ValueError(f"class '{slot}' is not one of {', '.join(_PAINT)}")
        attribute, placeholder = _PAINT[slot]
        element.set(attribute, placeholder)


def _long(color: str | None) -> str | None:
    if color is not None and len(color) == 4:
        return "#" + "".join(2 * digit for digit in color[1:])
    return color


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _drawing(folder: str, name: str) -> str:
    file = resources.files("advgen.sandbox").joinpath(folder).joinpath(name)
    if not file.is_file():
        raise SandboxError(f"the drawing {folder}/{name} is missing; add it or reinstall advgen")
    return file.read_text(encoding="utf-8")


@functools.cache
def _index() -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for entry in resources.files("advgen.sandbox").joinpath("sprites").iterdir():
        slug, _, number = entry.name.removesuffix(".svg").rpartition("-")
        if entry.name.endswith(".svg"):
            found.setdefault(slug, []).append(int(number))
    return {slug: tuple(sorted(numbers)) for slug, numbers in found.items()}
