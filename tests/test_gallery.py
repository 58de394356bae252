"""The images of a report: which are shown, their cards, heat maps, thumbnails and marked words."""

import base64
import io
import re

import pytest
from doubles.report import Page, data, png, sample, samples
from PIL import Image

from advgen.errors import DataError
from advgen.gallery import MappedImage, choose, choose_mapped, mark_words, thumbnail
from advgen.records import Sample
from advgen.report import render_report


def test_the_gallery_is_sorted_by_margin_and_says_what_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr("advgen.gallery.CELL_LIMIT", 5)
    rows = samples()
    html = render_report(data(rows), image_bytes=png)
    shown = choose(rows)
    margins = [float(m.replace("−", "-")) for m in re.findall(r"margin </span>([+−][\d.]+)<", html)]
    assert margins == sorted(margins, reverse=True)
    assert len(margins) == len(shown) < len(rows)
    assert f"Shown: {len(shown)} of {len(rows)} images" in html
    assert f"The other {len(rows) - len(shown)}, with lower margins, are in" in html
    assert "records.parquet" in html


def test_choose_keeps_every_success_and_fills_up_by_margin() -> None:
    hits = [sample(number, 0.1 + number) for number in range(4)]
    unverified = [sample(10, 9.0, False), sample(11, 0.05, False)]
    rows = [*hits, *unverified, sample(20, -0.2), sample(21, 0.3, method="random")]
    assert [row.id for row in choose(rows, limit=5)] == [
        "s010",
        "s003",
        "s002",
        "s001",
        "s021",
        "s000",
    ]
    assert {row.id for row in choose(rows, limit=1)} == {*(row.id for row in hits), "s021"}


def test_cards_tell_the_outcome_in_words() -> None:
    rows = [sample(0), sample(1, -0.1), sample(2, 0.2, False)]
    page = Page(render_report(data(rows), image_bytes=png))
    cards = page.all("li", "card")
    flags = [(card["data-fooled"], card["data-verified"]) for card in cards]
    assert flags == [("yes", "no"), ("yes", "yes"), ("no", "yes")]
    assert ["hit" in (card["class"] or "") for card in cards] == [False, True, False]
    assert len(re.findall(r"\bnot fooled\b", page.text)) >= 1
    assert page.text.count("not verified") >= 1
    assert [img["alt"] for img in page.all("img")] == [f"Drawn from: {rows[0].description}"] * 3
    assert page.text.count("not drawn: mossy") == 3


@pytest.mark.parametrize("error", [OSError("no such file"), DataError("no such file")])
def test_an_image_that_cannot_be_read_leaves_a_card_with_the_reason(error: Exception) -> None:
    def broken(row: Sample) -> bytes:
        if row.id == "s001":
            raise error
        return b"not an image" if row.id == "s002" else png(row)

    page = Page(render_report(data([sample(n) for n in range(3)]), image_bytes=broken))
    assert len(page.all("img")) == 1
    assert len(page.all("div", "missing")) == 2
    assert "no such file" in page.text


def test_hundred_images_stay_small() -> None:
    rows = [sample(number, 0.01 * number) for number in range(100)]
    html = render_report(data(rows), image_bytes=png)
    assert html.count('<img src="data:image/webp') == 100
    assert len(html.encode()) < 1_500_000


def mapped(row: Sample, first_sum: float = 0.125) -> MappedImage:
    return MappedImage(
        row, *[thumbnail(png(row))] * 3, first_sum, -0.25, 0.1, 0.2, mark_words("a pond", ())
    )


def test_heat_maps_stand_beside_their_image_with_their_sums() -> None:
    rows = [sample(0), sample(1, verified=False)]
    html = render_report(data(rows, mapped=[mapped(row) for row in rows]), image_bytes=png)
    page = Page(html)
    assert page.open == []
    alts = [img["alt"] for img in page.all("img")]
    assert alts.count("First-order heat map") == alts.count("Second-order heat map") == 2
    assert page.text.count("+0.125") == 2 and page.text.count("\N{MINUS SIGN}0.250") == 2
    assert "#places" in [link["href"] for link in page.all("a")]
    assert len(page.all("li", "card")) == 2


def test_a_report_without_heat_maps_says_why_or_leaves_them_out() -> None:
    page = Page(
        render_report(data([sample(0)], unmapped="its <patches> form no square."), image_bytes=png)
    )
    assert "There are no heat maps: its <patches> form no square." in page.text
    page = Page(render_report(data([sample(0)]), image_bytes=png))
    assert "heat map" not in page.text.lower()


def test_heat_maps_are_of_what_fooled_the_model_most() -> None:
    rows = [sample(number, 0.01 * number) for number in range(12)]
    rows += [sample(50, 9.0, verified=False), sample(51, -1.0, method="random")]
    chosen = [row.id for row in choose_mapped(rows)]
    assert chosen == ["s011", "s010", "s009", "s008", "s007", "s006"]
    assert [row.id for row in choose_mapped([sample(3, 0.1, False), sample(4, -0.1)])] == ["s003"]
    assert choose_mapped([sample(1, -0.1)]) == choose_mapped([]) == []
    many = [
        sample(10 * cell + number, 0.1 * (cell + 1), target_class=f"frog {cell}")
        for cell in range(40)
        for number in range(3)
    ]
    best = choose_mapped(many)
    assert len(best) == len({row.target_class for row in best}) == 18
    assert best[0].target_class == "frog 39"


@pytest.mark.parametrize(
    ("text", "words", "undrawn", "expected"),
    [
        ("a bird", ("antler",), (), 'a <b class="true">bird</b>'),
        ("Antlers!", ("antler",), (), "<mark>Antlers</mark>!"),
        ("scantlers", ("antler",), (), "scantlers"),
        ("a soccer ball", ("ball", "soccer ball"), (), "a <mark>soccer ball</mark>"),
        ("<mossy>", ("mossy",), (), "&lt;<mark>mossy</mark>&gt;"),
        (
            "mossy",
            ("mossy",),
            ("mossy",),
            '<mark class="undrawn" title="could not be drawn">mossy</mark>',
        ),
        ("a+b & c", ("a+b",), (), "<mark>a+b</mark> &amp; c"),
        ("no words", (), (), "no words"),
    ],
)
def test_marks(text: str, words: tuple, undrawn: tuple, expected: str) -> None:
    assert mark_words(text, words, undrawn=undrawn, true_class="bird") == expected


def test_thumbnails_are_reduced_but_never_enlarged() -> None:
    def size(side: int) -> tuple[int, int]:
        data = base64.b64decode(thumbnail(png(sample(1), side)).split(",")[1])
        return Image.open(io.BytesIO(data)).size

    assert size(900) == (224, 224)
    assert size(64) == (64, 64)
