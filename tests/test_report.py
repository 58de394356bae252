"""The report's page: whole, closed to the outside, and safe whatever a run holds."""

import base64
import hashlib
import re

import pytest
from doubles.report import Page, data, png, results, sample

from advgen.plots import TARGET_COLOR, TRUE_COLOR
from advgen.records import ClassPair, DroppedWord, MinedWord, WordList
from advgen.report import ReportData, render_report


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


def test_an_empty_run_has_a_page() -> None:
    page = Page(render_report(ReportData("nothing", {}, {}, [], [], []), image_bytes=png))
    assert page.open == []
    assert page.text.count("No images have been drawn yet.") == 3
    assert "No words were mined." in page.text


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
