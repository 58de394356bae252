"""The report in a real browser: it fits, it filters, it changes its theme, it fetches nothing."""

import dataclasses
import io
from collections.abc import Iterator

import pytest
from doubles.browser import POOR_CONTRAST
from PIL import Image

from advgen.gallery import MappedImage, choose_mapped, image_uri, marked_description
from advgen.records import ClassPair, MinedWord, Neuron, NeuronShare, Sample, WordList
from advgen.report import ReportData, render_report
from advgen.scoring import success_rate

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.integration
BLANK = {"str": "", "int": 0, "float": 0.0, "float | None": 0.0, "bool": False}
BLANK["tuple[str, ...]"] = ()
EMPTY = {field.name: BLANK[str(field.type)] for field in dataclasses.fields(Sample)}


def run_samples() -> list[Sample]:
    rows = []
    for number in range(24):
        margin = 0.01 * (number - 14)
        rows.append(
            Sample(
                **{
                    **EMPTY,
                    "id": f"s{number:02d}",
                    "true_class": ("bird", "stop sign")[number % 2],
                    "target_class": ("frog", "crossroad sign")[number % 2],
                    "method": ("second-order", "random")[number // 2 % 2],
                    "repeat": number // 4 % 2,
                    "description": "A bird or a stop sign beside a mossy pond with two mushrooms",
                    "words": ("mossy", "mushroom"),
                    "undrawn": ("mossy",),
                    "attacked_model": "sandbox-a",
                    "margin": margin,
                    "fooled": margin > 0,
                    "verified": number % 5 != 0,
                }
            )
        )
    return rows


def run_data() -> ReportData:
    rows = run_samples()
    table = []
    for pair in ("bird:frog", "stop sign:crossroad sign"):
        for method in ("second-order", "random"):
            for repeat in (0, 1):
                cell = (pair, method, repeat)
                rate = success_rate(
                    row
                    for row in rows
                    if (f"{row.true_class}:{row.target_class}", row.method, row.repeat) == cell
                )
                counts = {f.name: getattr(rate, f.name) for f in dataclasses.fields(rate)}
                table.append({"pair": pair, "method": method, "repeat": repeat, **counts})
    shares = tuple(NeuronShare(Neuron(9, 1000 + index), 0.02) for index in range(9))
    kept = tuple(MinedWord(word, 0.4, shares) for word in ("mossy", "mushroom", "hot air balloon"))
    words = [WordList(ClassPair("bird", "frog"), "second-order", 0, kept, ())]
    manifest = {"seed": 0, "versions": {"advgen": "0.1.0"}, "text_pool": {"sha256": "ab" * 32}}
    return ReportData(
        "Bird to frog, stop sign to crossroad", {}, manifest, words, rows, table, mapped(rows)
    )


def mapped(rows: list[Sample]) -> list[MappedImage]:
    uri = image_uri(Image.new("RGB", (128, 128), (90, 140, 120)))
    return [
        MappedImage(row, uri, uri, uri, 0.1, -0.1, 0.0123, 0.25, marked_description(row))
        for row in choose_mapped(rows)
    ]


@pytest.fixture(scope="module")
def page_url(tmp_path_factory) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), (90, 140, 120)).save(buffer, "PNG")
    path = tmp_path_factory.mktemp("report") / "report.html"
    html = render_report(run_data(), image_bytes=lambda _: buffer.getvalue())
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser, page_url) -> Iterator:
    contexts, faults = [], []

    def opened(width: int = 1280, scheme: str = "light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                faults.append(request.url)
                if request.url != page_url and not request.url.startswith("data:")
                else None
            ),
        )
        page.goto(page_url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def background(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(visit, width: int) -> None:
    page = visit(width)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.check("#repeats")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(visit, scheme: str) -> None:
    page = visit(scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.check("#repeats")
    assert page.evaluate(POOR_CONTRAST) == []


def test_the_theme_follows_the_system_until_the_button_is_pressed(visit) -> None:
    light, dark = visit(scheme="light"), visit(scheme="dark")
    assert background(light) != background(dark)
    assert dark.get_attribute("#theme", "aria-pressed") == "true"
    dark.click("#theme")
    assert background(dark) == background(light)
    assert dark.get_attribute("#theme", "aria-pressed") == "false"


def test_filters_hide_cards_and_count_them(visit) -> None:
    page = visit()
    rows = run_samples()
    wanted = [row for row in rows if row.true_class == "bird" and row.fooled]
    page.select_option("select[name=pair]", "bird:frog")
    page.select_option("select[name=fooled]", "yes")
    assert page.locator(".card:visible").count() == len(wanted)
    assert page.inner_text("#filters output") == f"{len(wanted)} of {len(rows)} images"
    page.click("#filters button")
    page.wait_for_function("document.querySelector('output').textContent == '24 images'")
    assert page.locator(".card:visible").count() == len(rows)


def test_filters_that_match_nothing_say_so(visit) -> None:
    page = visit()
    page.evaluate("document.querySelectorAll('.card').forEach((c) => (c.dataset.fooled = 'no'))")
    page.select_option("select[name=fooled]", "yes")
    assert page.is_visible("#none")


def test_the_keyboard_reaches_the_filters_and_skips_the_menu(visit) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.id"))
    assert {"theme", "repeats", "pair", "method", "fooled", "verified"} <= reached


def test_without_scripts_everything_is_there_but_the_controls(visit) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator(".card").count() == 24
    assert page.locator(".card >> nth=0").is_visible()
    assert not page.is_visible("#filters")
    assert not page.is_visible("#theme")
    page.check("#repeats")
    assert page.locator("tr.single >> nth=0").is_visible()


@pytest.mark.parametrize("width", [390, 1400])
def test_every_heat_map_has_a_scale_as_wide_as_itself(visit, width: int) -> None:
    page = visit(width)
    figures = page.locator(".trio figure:has(.heat-scale)")
    assert figures.count() == 2 * page.locator(".maps > li").count() > 0
    for number, end in ((0, "0.012"), (1, "0.25")):
        figure = figures.nth(number)
        assert figure.locator(".heat-ends").inner_text().split() == [
            *("colours", "from", f"\N{MINUS SIGN}{end}"),
            *("to", f"+{end}"),
        ]
        scale, picture = (figure.locator(name).bounding_box() for name in (".heat-scale", "img"))
        assert scale["width"] == pytest.approx(picture["width"], abs=1)
