import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from advgen.generation.layout import Cell, RunLayout, decode_png, encode_png
from advgen.records import ClassPair

CELL = Cell(ClassPair("stop sign", "yield sign"), "second-order", 2)
PROVENANCE = {
    "prompt": "a café, \u201cdog\u201d \U0001f415",
    "seed": 2**62,
    "truth": {"x": [1.5, None]},
}


def noise(size: int = 24) -> Image.Image:
    return Image.effect_noise((size, size), 80).convert("RGB")


def test_an_image_carries_its_provenance_and_no_pixel_changes() -> None:
    image = noise()
    decoded, provenance = decode_png(encode_png(image, PROVENANCE))
    assert provenance == PROVENANCE
    assert (decoded.mode, decoded.size) == ("RGB", (24, 24))
    assert decoded.tobytes() == image.tobytes()


def test_the_same_image_gives_the_same_bytes_whatever_the_order_of_keys() -> None:
    image = noise()
    backwards = dict(reversed(PROVENANCE.items()))
    assert encode_png(image, PROVENANCE) == encode_png(image, backwards)


def test_a_png_cut_anywhere_is_refused() -> None:
    whole = encode_png(noise(8), PROVENANCE)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="not a whole PNG"):
            decode_png(whole[:length])


def test_a_png_with_a_changed_byte_in_its_text_or_pixels_is_refused() -> None:
    whole = bytearray(encode_png(noise(), PROVENANCE))
    for mark in (b"iTXt", b"IDAT"):
        place = whole.index(mark) + 20
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(ValueError, match="not a whole PNG"):
            decode_png(bytes(changed))


@pytest.mark.parametrize("text", [None, "no json", "[1]"])
def test_images_of_other_makers_are_refused(text: str | None) -> None:
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_itxt("advgen", text)
    buffer = io.BytesIO()
    noise().save(buffer, format="PNG", pnginfo=info)
    with pytest.raises(ValueError, match="provenance"):
        decode_png(buffer.getvalue())


def test_where_things_lie() -> None:
    layout = RunLayout(Path("run"))
    assert {path.as_posix() for path in (layout.image(CELL, 3, 7), layout.unit(CELL, 3))} == {
        "run/images/stop_sign-yield_sign/second-order/r2/d03-i007.png",
        "run/units/stop_sign-yield_sign/second-order/r2/d03.json",
    }
    files = (layout.config, layout.manifest, layout.words, layout.descriptions, layout.records)
    assert [path.name for path in (*files, layout.report, layout.contact)] == [
        "run.toml",
        "manifest.json",
        "words.json",
        "descriptions.jsonl",
        "records.parquet",
        "report.html",
        "contact.png",
    ]


places = st.tuples(st.integers(0, 1500), st.integers(0, 1500))


@given(places, places)
def test_no_two_images_share_a_file(first: tuple[int, int], second: tuple[int, int]) -> None:
    layout = RunLayout(Path("run"))
    same = layout.image(CELL, *first) == layout.image(CELL, *second)
    assert same == (first == second)


@given(st.text(min_size=1).filter(str.strip))
def test_no_class_name_leaves_the_run_directory(name: str) -> None:
    path = RunLayout(Path("/run")).image(Cell(ClassPair(name, "x"), "random", 0), 0, 0)
    assert path.parts[:3] == ("/", "run", "images")
    assert len(path.parts) == 7
    assert ".." not in path.parts
