"""The page of `advgen explain`: what it says, and how it looks in a real browser."""

import re

import pytest
import torch
from doubles.browser import POOR_CONTRAST
from PIL import Image

from advgen.evaluate.explanation import Explanation, NeuronPush
from advgen.explanation_page import (
    WORDS_SHOWN,
    ExplainedImage,
    ExplanationPage,
    render_explanations,
)
from advgen.neurons import SignedWord
from advgen.records import ClassPair, Neuron
from advgen.scoring import PairScores

FIRST = torch.tensor([[0.02, -0.045], [0.0, 0.01]])
SECOND = torch.tensor([[0.3, 0.1], [-0.05, 0.0]])


def push(index: int, contribution: float, words: int = 8) -> NeuronPush:
    named = tuple(SignedWord(f"word {n} of {index}", (-1.0) ** n / (n + 1)) for n in range(words))
    return NeuronPush(Neuron(4, index), contribution, 0.5, named)


def entry(name: str, margin: float = 0.25, **pushes: tuple[NeuronPush, ...]) -> ExplainedImage:
    scores = PairScores(0.25, 0.25 + margin, margin, 0.9)
    found = Explanation(ClassPair("dog", "stop sign"), scores, FIRST, SECOND, **pushes)
    return ExplainedImage(name, Image.new("RGB", (60, 60), "olive"), found)


def page(*entries: ExplainedImage, sandbox: bool = False) -> str:
    return render_explanations(ExplanationPage({"model": "<a model>"}, entries, sandbox))


def test_a_page_stands_alone_and_escapes_what_it_names() -> None:
    html = page(entry("<b>bold</b>"), entry("b"))
    assert html.count("<article") == 2 and html.count("data:image/webp") == 6
    assert "<b>bold</b>" not in html and "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "&lt;a model&gt;" in html
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", html)


def test_each_map_has_a_scale_that_ends_at_its_strongest_patch_and_a_sum() -> None:
    html = page(entry("a"))
    ends = re.findall(r"colours from </span>(\S+?)</span>.*?to </span>(\S+?)</span>", html)
    assert ends == [("\N{MINUS SIGN}0.045", "+0.045"), ("\N{MINUS SIGN}0.30", "+0.30")]
    assert "sum \N{MINUS SIGN}0.015" in html and "sum +0.350" in html


@pytest.mark.parametrize(("margin", "taken"), [(0.25, "stop sign"), (-0.25, "dog")])
def test_it_says_what_the_image_was_taken_for(margin: float, taken: str) -> None:
    html = page(entry("a", margin))
    assert re.search(rf"taken for</dt><dd class=\"\w+\">{taken}</dd>", html)


def test_neurons_stand_on_the_side_that_they_pushed_to_with_their_first_words() -> None:
    html = page(entry("a", towards=(push(7, 0.5),), against=(push(9, -0.25),)))
    target, true = html.split("Pushed towards dog")
    assert "4:7" in target and "4:7" not in true and "4:9" in true
    shown = 2 * WORDS_SHOWN
    assert target.count(" of 7 ") == min(shown, 8)
    assert "Pushed towards" not in page(entry("a"))


def test_an_empty_page_and_the_sandbox_s_notice() -> None:
    assert "No image was explained." in page()
    assert "not evidence about OpenAI" in page(sandbox=True)
    assert "not evidence about OpenAI" not in page()


@pytest.mark.integration
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_cut_and_all_can_be_read(browser, tmp_path, width: int, scheme: str) -> None:
    pushes = {"towards": (push(7, 0.5),), "against": (push(9, -0.25),)}
    path = tmp_path / "page.html"
    path.write_text(page(entry("a_long_name_" * 8, **pushes), sandbox=True), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown = context.new_page()
    shown.goto(path.as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert shown.evaluate(POOR_CONTRAST) == []
    assert shown.locator(".heat-scale").count() == 2
    context.close()
