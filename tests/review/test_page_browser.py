"""The review page in a real browser: by keyboard, by touch, by two people, in both themes."""

import pytest
from doubles.served import picture, until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_core_python.base", reason="axe-core-python is not installed")
pytestmark = pytest.mark.integration
SERIOUS = """
async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter((fault) => ["serious", "critical"].includes(fault.impact))
    .map((fault) => [fault.id, fault.nodes.map((node) => node.html)]);
}
"""


def count(page) -> str:
    return page.inner_text("#count")


def test_fifty_images_by_keyboard_with_undo_skip_and_a_reload(serve, browse) -> None:
    served = serve(50)
    page = browse(served.home, "Ann")
    expected = {}
    for number in range(50):
        item = page.get_attribute("#desk", "data-item")
        assert item not in expected
        if number == 10:
            page.keyboard.press("u")
            until(page, 9, 50)
            assert page.get_attribute("#desk", "data-item") in expected
            page.keyboard.press("a")
            until(page, 10, 50)
            assert page.get_attribute("#desk", "data-item") == item
        if number == 25:
            page.reload()
            assert count(page) == "25 of 50"
            item = page.get_attribute("#desk", "data-item")
        if number == 30:
            page.keyboard.press("n")
            sync_api.expect(page.locator("#desk")).not_to_have_attribute("data-item", item)
            item = page.get_attribute("#desk", "data-item")
        keys, answers = [
            ("12", (True, False, ())),
            ("a", (True, False, ())),
            ("2b3", (False, None, ("broken",))),
            ("oe\n", (None, None, ("offensive", "other"))),
            ("1b\b11", (True, True, ())),
        ][number % 5]
        for key in keys:
            page.keyboard.press({"\n": "Enter", "\b": "Backspace"}.get(key, key))
        until(page, number + 1, 50)
        expected[item] = answers if number != 9 else (True, False, ())
    assert page.is_visible("#nothing") and not page.is_visible("#desk")
    found = served.store.votes_of("Ann", list(expected))
    assert len(found) == 50
    for item, vote in found.items():
        assert (vote.true_visible, vote.target_visible, vote.reasons) == expected[item]
    assert sum(vote.withdrawn for vote in served.store.history("Ann", 100)) == 1
    page.keyboard.press("u")
    until(page, 49, 50)


def test_two_reviewers_at_once_see_only_their_own_votes(serve, browse) -> None:
    served = serve(8, double=1.0)
    ann, bo = browse(served.home, "Ann"), browse(served.home, "Bo")
    for number in range(8):
        ann.keyboard.press("a")
        bo.keyboard.press("2")
        bo.keyboard.press("2")
        until(ann, number + 1, 8)
        until(bo, number + 1, 8)
    decisions = served.store.decisions()
    assert {decision.reviewers for decision in decisions} == {("Ann", "Bo")}
    assert {decision.status for decision in decisions} == {"unsure"}
    assert served.store.agreement(resamples=0).reviewers == ("Ann", "Bo")


def test_a_vote_waits_for_a_server_that_is_away(serve, browse) -> None:
    served = serve(4)
    page = browse(served.home, "Ann")
    served.stop()
    page.keyboard.press("a")
    sync_api.expect(page.locator("#said")).to_contain_text("Not saved yet")
    served.start()
    until(page, 1, 4)
    assert len(served.store.history("Ann")) == 1
    page.faults[:] = [fault for fault in page.faults if not is_expected_of_a_stop(fault)]


def is_expected_of_a_stop(fault: str) -> bool:
    return "ERR_CONNECTION" in fault or "ERR_EMPTY_RESPONSE" in fault or "403" in fault


def test_by_touch_the_second_answer_saves(serve, browse) -> None:
    served = serve(3)
    page = browse(served.home, "Ann", width=390, has_touch=True, is_mobile=True)
    for selector in ("#q-true .face", "#save", "#accept", "#skip", "#undo button", ".chip .face"):
        box = page.locator(selector).first.bounding_box()
        assert box["height"] >= 44 and box["width"] >= 44
    page.tap("#q-true label:nth-child(1)")
    page.tap("#q-target label:nth-child(2)")
    until(page, 1, 3)
    page.tap("#accept")
    until(page, 2, 3)
    assert [vote.status for vote in served.store.history("Ann")] == ["accepted", "accepted"]


def test_arrow_keys_in_the_answers_choose_but_do_not_save(serve, browse) -> None:
    served = serve(3)
    page = browse(served.home, "Ann")
    page.focus("#q-true input")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("vote.elements.target.value") == "no"
    assert count(page) == "0 of 3"
    page.keyboard.press("Enter")
    until(page, 1, 3)
    assert served.store.history("Ann")[0].status == "accepted"


def test_typing_a_note_presses_no_keys(serve, browse) -> None:
    served = serve(3)
    page = browse(served.home, "Ann")
    page.click(".note summary")
    page.focus("#note")
    page.keyboard.type("a bad n1ght? u 2")
    assert count(page) == "0 of 3"
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.keyboard.press("3")
    until(page, 1, 3)
    assert served.store.history("Ann")[0].note == "a bad n1ght? u 2"
    assert page.input_value("#note") == ""


def test_help_opens_and_closes_by_key(serve, browse) -> None:
    page = browse(serve(3).home, "Ann")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("a")
    assert count(page) == "0 of 3"
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_the_theme_stays_when_it_was_chosen(serve, browse) -> None:
    page = browse(serve(3).home, "Ann", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("#theme")
    after = page.evaluate(ground)
    page.reload()
    assert before != after == page.evaluate(ground)


def test_without_scripts_forms_do_the_same(serve, browse) -> None:
    served = serve(3)
    page = browse(served.home, width=390, java_script_enabled=False)
    page.fill("#name", "Ann")
    page.click("button.primary")
    page.check("#q-true input[value=yes]", force=True)
    page.check("#q-target input[value=yes]", force=True)
    page.click("#save")
    assert count(page) == "1 of 3"
    page.click("#accept")
    assert count(page) == "2 of 3"
    page.click("#undo button")
    assert count(page) == "1 of 3"
    page.click("#skip")
    assert served.store.history("Ann")[-1].target_visible is True


def test_the_token_lets_a_browser_in(serve, browse) -> None:
    served = serve(3, token="correct-horse", reviewer="Ann")
    page = browse(served.home, at="/?token=correct-horse")
    assert page.url == served.home + "/"
    page.keyboard.press("a")
    until(page, 1, 3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_serious_accessibility_fault(serve, browse, width: int, scheme: str) -> None:
    served = serve(7, heatmap=lambda item, kind: picture("red"))
    page = browse(served.home, width=width, scheme=scheme)
    faults = {"who": serious(page)}
    page.fill("#name", "Ann")
    page.keyboard.press("Enter")
    page.wait_for_selector("#desk")
    faults["review"] = serious(page)
    page.keyboard.press("1")
    page.keyboard.press("b")
    page.click(".note summary")
    page.click(".filters summary")
    faults["answered"] = serious(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.keyboard.press("h")
    page.keyboard.press("h")
    sync_api.expect(page.locator("#legend")).to_be_visible()
    faults["heat"] = serious(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.keyboard.press("?")
    faults["help"] = serious(page)
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    until(page, 1, 7)
    page.click("#details")
    page.wait_for_selector("dl.details")
    faults["details"] = serious(page)
    page.click("#grid")
    page.wait_for_selector(".gallery")
    faults["images"] = serious(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert {name: found for name, found in faults.items() if found} == {}


def serious(page) -> list:
    page.evaluate(axe.AXE_SCRIPT)
    return page.evaluate(SERIOUS)
