"""The page of an evaluation: what it says, and how it looks in a real browser."""

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from doubles.browser import POOR_CONTRAST
from test_evaluation_plots import HITS, NAMES, ROWS, make_evaluation

from advgen.evaluate.robustness.results import (
    Evaluation,
    LeftOut,
    TransferCell,
    excess_of,
    rate_of,
)
from advgen.evaluation_page import LEFT_OUT_SHOWN, evaluation_html, margin_panels
from advgen.records import ClassPair
from advgen.scoring import wilson_interval

HOSTILE = "<script>alert(1)</script>\"'&" + "x" * 120


class Collector(HTMLParser):
    """Collects tags, and attributes that name something to fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in ("src", "href", "srcset")]


def words(html: str) -> str:
    """What a reader reads, in one line."""
    shown = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(shown.replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ").split())


def hostile_evaluation() -> Evaluation:
    found = make_evaluation()
    pair = ClassPair(HOSTILE, "frog")
    models = tuple(
        dataclasses.replace(
            model,
            name=HOSTILE + str(number),
            pairs=(dataclasses.replace(model.pairs[0], pair=pair),),
        )
        for number, model in enumerate(found.models)
    )
    data = dataclasses.replace(
        found.data,
        name=HOSTILE,
        licence=HOSTILE,
        clean=HOSTILE,
        fingerprint=HOSTILE,
        pairs=(pair,),
        attacked=(HOSTILE,),
        left_out=(LeftOut(HOSTILE, HOSTILE),),
    )
    cells = (TransferCell(HOSTILE, HOSTILE + "0", rate_of(19, 20), rate_of(1, 2)),)
    tests = (dataclasses.replace(found.comparisons[0], attacked=HOSTILE, evaluated=HOSTILE),)
    return Evaluation(data, models, cells, tests, (HOSTILE,))


def empty_evaluation() -> Evaluation:
    found = make_evaluation()
    data = dataclasses.replace(found.data, pairs=(), attacked=(), rows=0, unverified=0)
    return Evaluation(data, (), (), (), ())


def test_the_page_runs_and_fetches_nothing() -> None:
    collector = Collector()
    collector.feed(evaluation_html(make_evaluation()))
    assert all(target.startswith("#") for target in collector.targets)
    assert not {"script", "link", "img", "iframe", "object"} & set(collector.tags)
    assert "url(" not in evaluation_html(make_evaluation())


def test_every_model_has_its_rate_intervals_control_and_excess() -> None:
    evaluation = make_evaluation()
    said = words(evaluation_html(evaluation))
    for model, hits in zip(evaluation.models, HITS, strict=True):
        low, high = wilson_interval(hits, ROWS)
        assert f"{hits} of {ROWS} fooled 95 %: {100 * low:.1f} % to {100 * high:.1f} %" in said
        ends = model.sentence_interval
        assert f"over descriptions: {100 * ends[0]:.1f} % to {100 * ends[1]:.1f} %" in said
        parts = [excess_of(pair.success, pair.clean) for pair in model.pairs]
        excess = sum(part.value for part in parts if part is not None) / 2  # pairs of equal size
        assert f"{100 * excess:+.1f} points, 95 %:" in said
        assert model.weights_sha256 in said
    assert f"Fooled least: {NAMES[2]} , 12.5 % of the images. Fooled most: {NAMES[0]} , 75.0 %" in (
        said
    )
    assert "97 of 100 right" in said and "either class: 97.0 % of 100" in said


def test_transfer_tests_and_provenance_are_said() -> None:
    evaluation = make_evaluation()
    said = words(evaluation_html(evaluation))
    low, high = wilson_interval(5, 20)
    assert f"25.0 % {100 * low:.1f} % to {100 * high:.1f} %, n = 20 of those that fooled:" in said
    assert "none fooled it" in said
    assert "0.0215 0.0430 0.0625 5 of 6 differ 0.1250" in said and "0.0001 0.0005" in said
    assert "McNemar p over images" in said and "Sign-flip p over descriptions" in said
    for text in ("fe" * 32, "a drawing of a {}.", "cc-by-4.0", "3.0e-07", "cannot be decoded"):
        assert text in said
    assert said.count("bird → frog") == 1


def test_small_p_values_are_not_said_to_be_zero() -> None:
    found = make_evaluation()
    small = {"p": 1e-12, "p_holm": 0.9, "p_descriptions": 1e-9, "p_descriptions_holm": 1e-8}
    tests = (dataclasses.replace(found.comparisons[0], **small),)
    said = words(evaluation_html(dataclasses.replace(found, comparisons=tests)))
    assert "&lt; 0.0001 0.9000 &lt; 0.0001 5 of 6 differ &lt; 0.0001" in said


@pytest.mark.parametrize(
    ("evaluation", "there", "gone"),
    [
        (make_evaluation(), ("Sandbox.", "3 were confirmed by neither"), ("No clean control",)),
        (make_evaluation(clean=False), ("No clean control.", "no control"), ("right 95",)),
        (make_evaluation(drawn=False, unverified=0), (), ("Sandbox.", "Not verified.")),
        (make_evaluation(only_fooled=True), ("Chosen by the attacked model.",), ()),
        (make_evaluation(models=1), (), ("Fooled least",)),
        (empty_evaluation(), ("No model could be scored.", "nothing to compare"), ("Fooled",)),
    ],
)
def test_notes_stand_where_they_hold(evaluation, there, gone) -> None:
    said = words(evaluation_html(evaluation))
    assert all(text in said for text in there)
    assert not any(text in said for text in gone)


def test_rates_without_images_are_said_to_be_none() -> None:
    found = make_evaluation()
    cells = (dataclasses.replace(found.transfer[0], success=rate_of(0, 0)),)
    models = tuple(
        dataclasses.replace(model, success=rate_of(0, 0), margins=model.margins[:0], pairs=())
        for model in found.models
    )
    said = words(evaluation_html(dataclasses.replace(found, models=models, transfer=cells)))
    assert "no images" in said and "0 of 0 above 0" in said and not re.search(r"\bnan\b", said)


def test_names_from_outside_are_escaped() -> None:
    html = evaluation_html(hostile_evaluation())
    assert "<script" not in html and "&lt;script&gt;" in html
    assert html.count("<title>") == 1


def test_only_the_first_images_left_out_are_named() -> None:
    out = tuple(LeftOut(f"row-{number}", "torn") for number in range(LEFT_OUT_SHOWN + 7))
    said = words(evaluation_html(make_evaluation(left_out=out)))
    assert f"row-{LEFT_OUT_SHOWN - 1} : torn" in said and f"row-{LEFT_OUT_SHOWN} " not in said
    assert "and 7 more" in said


def test_panels_count_every_image_on_its_side() -> None:
    panels = margin_panels(make_evaluation().models)
    assert 0.0 in [round(edge, 12) for edge in panels.edges]
    for cell, hits in zip(panels.cells, HITS, strict=True):
        right = sum(
            count for count, edge in zip(cell.counts, panels.edges, strict=False) if edge >= -1e-12
        )
        assert (right, cell.above, sum(cell.counts)) == (hits, hits, ROWS)
    assert panels.tallest == max(max(cell.counts) for cell in panels.cells)


@pytest.fixture(scope="module")
def page_urls(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("evaluation")
    pages = {"usual": make_evaluation(), "hostile": hostile_evaluation()}
    pages["empty"] = empty_evaluation()
    for name, evaluation in pages.items():
        (folder / f"{name}.html").write_text(evaluation_html(evaluation), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


@pytest.fixture
def visit(browser, page_urls) -> Iterator:
    contexts, faults = [], []

    def opened(name: str = "usual", width: int = 1280, scheme: str = "light"):
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: faults.append(request.url) if request.url != page_urls[name] else None,
        )
        page.goto(page_urls[name])
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.mark.integration
@pytest.mark.parametrize("name", ["usual", "hostile", "empty"])
@pytest.mark.parametrize("width", [320, 390, 768, 1000, 1280])
def test_nothing_is_wider_than_the_screen(visit, name: str, width: int) -> None:
    page = visit(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.integration
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_text_has_enough_contrast(visit, scheme: str, width: int) -> None:
    for name in ("usual", "hostile"):
        assert visit(name, width, scheme).evaluate(POOR_CONTRAST) == []


@pytest.mark.integration
def test_the_theme_follows_the_system(visit) -> None:
    grounds = {
        visit(scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(grounds) == 2


@pytest.mark.integration
def test_no_cell_cuts_its_text(visit) -> None:
    cut = """() => [...document.querySelectorAll('td, th, dd, h1, .panel')]
        .filter((e) => !e.closest('.scroll') && !e.closest('thead')
            && e.scrollWidth > e.clientWidth + 1)
        .map((e) => [e.className, e.textContent.trim().slice(0, 80)])"""
    for name in ("usual", "hostile"):
        for width in (390, 1000, 1280):
            assert visit(name, width).evaluate(cut) == []


@pytest.mark.integration
def test_the_keyboard_reaches_the_matrix_and_skips_the_menu(visit) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert "Transfer matrix" in reached
