"""Contact sheets of the world: every drawing, and a sample of scenes with their captions."""

from __future__ import annotations

import random
import textwrap

from PIL import Image, ImageDraw, ImageFont

from advgen.sandbox.captions import caption
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.render import rasterize, render_scene
from advgen.sandbox.scene import sample_scene
from advgen.sandbox.sprites import load_sprite, variants

_PAPER, _INK = "#dfe5da", "#26302a"


def sprite_sheet(*, cell: int = 64, columns: int = 20) -> Image.Image:
    """Every variant of every thing, each concept's variants side by side, with its name."""
    lexicon = load_lexicon()
    tiles = [
        (concept.name, concept.slug, number)
        for concept in lexicon.concepts.values()
        for number in variants(concept.slug)
    ]
    height = cell + 14
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=9)
    for place, (name, slug, number) in enumerate(tiles):
        x, y = place % columns * cell, place // columns * height
        body = load_sprite(slug, number).paint()
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{body}</svg>'
        tile = rasterize(svg, cell - 6)
        sheet.paste(tile, (x + 3, y + 2), tile)
        pen.text((x + cell / 2, y + cell + 4), name, fill=_INK, font=font, anchor="mm")
    return sheet.quantize(128)


def scene_sheet(*, cell: int = 192, columns: int = 6, rows: int = 4, seed: int = 1) -> Image.Image:
    """Random scenes, each with one of its captions."""
    lexicon = load_lexicon()
    height = cell + 34
    sheet = Image.new("RGB", (columns * (cell + 8) + 8, rows * (height + 4) + 8), "#ffffff")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for place in range(columns * rows):
        rng = random.Random(f"sheet-{seed}-{place}")
        scene = sample_scene(rng, lexicon)
        x, y = 8 + place % columns * (cell + 8), 8 + place // columns * (height + 4)
        sheet.paste(render_scene(scene, cell), (x, y))
        lines = textwrap.wrap(caption(rng, scene, lexicon), width=cell // 6)[:2]
        pen.multiline_text((x, y + cell + 3), "\n".join(lines), fill=_INK, font=font)
    return sheet.quantize(200)
