import base64
import dataclasses
import hashlib
import io
import random
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from advgen.errors import DataError
from advgen.gallery import MappedImage, choose, choose_mapped, mark_words, thumbnail
from advgen.plots import TARGET_COLOR, TRUE_COLOR
from advgen.records import ClassPair, DroppedWord, MinedWord, Neuron, NeuronShare, Sample, WordList
from advgen.report import ReportData, render_report, word_groups
from advgen.report_tables import description_interval, margin_panels, nice_end, result_groups
from advgen.scoring import success_rate, wilson_interval

BLANK = {"str": "", "int": 0, "float": 0.0, "float | None": 0.0, "bool": False}
BLANK["tuple[str, ...]"] = ()
EMPTY = {field.name: BLANK[str(field.type)] for field in dataclasses.fields(Sample)}
METHODS = ("second-order", "random")
VOID = {"meta", "img", "input", "br", "link", "hr"}


def sample(number: int, margin: float = 0.1, verified: bool = True, **changes) -> Sample:
    values = {
        "id": f"s{number:03d}",
        "true_class": "bird",
        "target_class": "frog",
        "method": "second-order",
        "description": "A bird near a mossy pond with mushrooms",
        "words": ("mossy", "mushroom"),
        "undrawn": ("mossy",),
        "attacked_model": "sandbox-a",
        "weights_sha256": "9f2c4e81ab" * 6,
        "margin": margin,
        "fooled": margin > 0,
        "verified": verified,
        "path": f"images/{number}.png",
    }
    return Sample(**{**EMPTY, **values, **changes})


def samples(count: int = 32) -> list[Sample]:
    rng = random.Random(5)
    return [
        sample(
            number,
            rng.gauss(-0.01, 0.04),
            rng.random() < 0.8,
            method=METHODS[number % 2],
            repeat=number // 2 % 2,
        )
        for number in range(count)
    ]


def results(rows: list[Sample]) -> list[dict]:
    table = []
    for key in sorted(
        {(row.method, row.repeat) for row in rows}, key=lambda k: (k[0] == "random", k)
    ):
        rate = success_rate(row for row in rows if (row.method, row.repeat) == key)
        table.append(
            {
                "pair": "bird:frog",
                "method": key[0],
                "repeat": key[1],
                **{f.name: getattr(rate, f.name) for f in dataclasses.fields(rate)},
                "attack_success_rate": rate.attack_success_rate,
                "interval": rate.interval,
            }
        )
    return table


def words(method: str = "second-order", repeat: int = 0, score: float = 0.5) -> WordList:
    shares = tuple(NeuronShare(Neuron(3, index), 0.01 * index) for index in range(8))
    kept = (MinedWord("pond", score, shares), MinedWord("mossy", 0.2, shares[:1]))
    dropped = (DroppedWord("toad", 0.6, "synonym_of_target"),)
    return WordList(ClassPair("bird", "frog"), method, repeat, kept, dropped)


def data(rows: list[Sample] | None = None, **changes) -> ReportData:
    rows = samples() if rows is None else rows
    manifest = {
        "seed": 7,
        "versions": {"advgen": "0.1.0", "torch": "2.15.0"},
        "attacked_model": {"name": "sandbox-a", "weights_sha256": "9f2c4e81ab" * 6},
    }
    values = {
        "title": "bird to frog",
        "config": {"methods": list(METHODS)},
        "manifest": manifest,
        "words": [words()],
        "samples": rows,
        "results": results(rows),
    }
    return ReportData(**{**values, **changes})


def png(row: Sample, side: int = 128) -> bytes:
    noise = np.random.default_rng(int(row.id[1:])).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed by its own tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def all(self, tag: str, class_name: str = "") -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and (not class_name or class_name in (attrs.get("class") or "").split())
        ]


def test_the_page_is_whole_and_refers_to_nothing_outside() -> None:
    html = render_report(data(), image_bytes=png)
    page = Page(html)
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/webp;base64,", "#")), (tag, value)
            assert not (value or "").startswith("#") or (value or "")[1:] in ids
    assert "url(" not in html
    assert "@import" not in html
    assert [attrs.get("src") for attrs in page.all("script")] == [None]


def test_only_the_script_of_the_page_may_run() -> None:
    html = render_report(data(), image_bytes=png)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = next(a for a in Page(html).all("meta") if a.get("http-equiv"))["content"] or ""
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_nothing_from_outside_becomes_markup() -> None:
    evil = "<script>alert('x')</script>"
    rows = [
        sample(
            0,
            true_class=f"bird{evil}",
            target_class='frog" onload="x',
            description=f"A bird {evil} & a <b>pond</b>",
            words=("script", "pond"),
            undrawn=(evil,),
            method=evil,
            attacked_model=evil,
        )
    ]
    kept = (MinedWord(evil, 0.3, ()),)
    lists = [WordList(ClassPair(evil, "b"), evil, 0, kept, (DroppedWord(evil, 0.1, evil),))]
    html = render_report(
        data(rows, title=evil, words=lists, manifest={"a": {evil: evil}}, results=results(rows)),
        image_bytes=png,
    )
    page = Page(html)
    assert len(page.all("script")) == 1
    assert not any("onload" in attrs for _, attrs in page.elements)
    assert html.count("<script>") == 1
    assert "alert('x')" not in html
    assert page.text.count(evil) >= 8
    assert "&lt;<mark>script</mark>&gt;" in html


def test_hundred_images_stay_small() -> None:
    rows = [sample(number, 0.01 * number) for number in range(100)]
    html = render_report(data(rows), image_bytes=png)
    assert html.count('<img src="data:image/webp') == 100
    assert len(html.encode()) < 1_500_000


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


def test_the_table_has_both_rates_and_pools_the_repeats() -> None:
    rows = samples()
    page = Page(render_report(data(rows), image_bytes=png))
    chosen = [row for row in rows if row.method == "second-order"]
    rate = success_rate(chosen)
    low, high = wilson_interval(rate.fooled_verified, rate.verified)
    line = (
        f"{rate.fooled_verified} of {rate.verified}, 95 %: {100 * low:.1f} % to {100 * high:.1f} %"
    )
    assert line in page.text
    assert f"{rate.fooled} of {rate.images}, 95 %:" in page.text
    assert f"{rate.fooled_verified} of {rate.verified}, 95 % interval" in page.text
    assert len(page.all("tr", "pooled")) == 2
    assert len(page.all("tr", "single")) == 4
    assert len(page.all("svg", "verified")) >= 6
    assert len(page.all("svg", "unverified")) == 6


def test_the_headline_counts_descriptions_too() -> None:
    rows = [
        sample(number, 0.1 if number < 30 else -0.1, description=f"scene {number // 10}")
        for number in range(80)
    ]
    found = description_interval(rows, "second-order")
    assert found is not None
    wilson = wilson_interval(30, 80)
    assert found[1] - found[0] > 1.5 * (wilson[1] - wilson[0]), "eight scenes, not eighty images"
    page = Page(render_report(data(rows), image_bytes=png))
    ends = f"{100 * found[0]:.1f} % to {100 * found[1]:.1f} %"
    assert f"with whole descriptions drawn again {ends}" in page.text
    assert description_interval([sample(0, verified=False)], "second-order") is None


def test_pooled_lines_come_first_and_only_with_several_repeats() -> None:
    groups = result_groups(results(samples()))
    assert [[row.repeat for row in group.rows] for group in groups] == [[None, 0, 1]] * 2
    assert groups[0].total.images == sum(row.rate.images for row in groups[0].rows[1:])
    single = result_groups(results([sample(0)]))
    assert [row.repeat for row in single[0].rows] == [0]


def test_no_rate_is_shown_where_nothing_was_verified() -> None:
    rows = [sample(0, verified=False), sample(1, verified=False)]
    page = Page(render_report(data(rows), image_bytes=png))
    assert "No image was verified, so there is no attack success rate." in page.text
    assert "no rate: none verified" in page.text
    assert "2 of 2, 95 %:" in page.text


def mapped(row: Sample, first_sum: float = 0.125) -> MappedImage:
    return MappedImage(row, *[thumbnail(png(row))] * 3, first_sum, -0.25, mark_words("a pond", ()))


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


def test_an_empty_run_has_a_page() -> None:
    page = Page(render_report(ReportData("nothing", {}, {}, [], [], []), image_bytes=png))
    assert page.open == []
    assert page.text.count("No images have been drawn yet.") == 3
    assert "No words were mined." in page.text


def test_words_show_their_strongest_neurons_and_the_dropped_their_reasons() -> None:
    page = Page(render_report(data(), image_bytes=png))
    for text in ("3:7", "+0.070", "3:3", "3 more", "1 word dropped", "synonym of target"):
        assert text in page.text
    assert "3:2 " not in page.text


def test_equal_word_lists_of_several_repeats_are_shown_once() -> None:
    lists = [words(), words(repeat=1), words(repeat=2, score=0.4), words("random")]
    grouped = word_groups(lists)["bird:frog"]
    assert [(entry.method, repeats) for entry, repeats in grouped] == [
        ("second-order", "repeats 0, 1"),
        ("second-order", "repeat 2"),
        ("random", "repeat 0"),
    ]


def test_the_head_says_what_was_attacked() -> None:
    text = Page(render_report(data(), image_bytes=png)).text
    assert "9f2c4e81ab9f" in text
    assert "9f2c4e81ab9f2" not in text.split("Provenance")[1].split("Results")[0]
    assert "2.15.0" in text


@pytest.mark.parametrize(
    ("model", "sandbox"),
    [
        ("sandbox-a", True),
        ("runs/sandbox-mine", True),
        ("ViT-B-32-quickgelu/openai", False),
    ],
)
def test_a_sandbox_model_is_named_as_such(model: str, sandbox: bool) -> None:
    text = Page(render_report(data([sample(0, attacked_model=model)]), image_bytes=png)).text
    assert ("not evidence about OpenAI's CLIP" in text) is sandbox


def test_the_classes_have_the_colours_of_the_plots() -> None:
    html = render_report(data(), image_bytes=png)
    assert f"--target-light: {TARGET_COLOR}; --true-light: {TRUE_COLOR};" in html


def test_margin_panels_count_every_image_once() -> None:
    rows = samples()
    panels = margin_panels(rows)
    assert sum(sum(cell["totals"]) for cell in panels["cells"]) == len(rows)
    assert sum(sum(cell["verified"]) for cell in panels["cells"]) == sum(
        row.verified for row in rows
    )
    for cell in panels["cells"]:
        right = sum(
            total
            for total, edge in zip(cell["totals"], panels["edges"][:-1], strict=True)
            if edge > -1e-9
        )
        assert right == cell["above"]


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


@pytest.mark.parametrize(
    ("values", "end"), [([], 1.0), ([0.03], 0.05), ([0.2, 0.21], 0.25), ([0.99], 1.0)]
)
def test_scales_end_at_round_numbers(values: list[float], end: float) -> None:
    assert nice_end(values) == end
