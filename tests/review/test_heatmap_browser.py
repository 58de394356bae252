"""Heat maps on the review page in a real browser: by key, by tab, late, refused, scriptless."""

import threading

import pytest
from doubles.served import picture, until

from advgen.review.maps import HeatPicture, NoHeatmap

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.integration


def shown(page) -> str:
    """Kind of the map that the page says it shows, where all of it says the same."""
    kind = page.get_attribute("#views [aria-current=true]", "data-kind")
    source = page.get_attribute("#image", "src")
    assert f"kind={kind}" in source if kind else source.startswith("/image/")
    assert page.get_attribute("#image", "alt").startswith(kind.capitalize() or "Drawn from")
    assert page.is_visible("#legend") == bool(kind)
    sync_api.expect(page.locator("#frame")).not_to_have_attribute("aria-busy", "true")
    return kind


def test_the_heat_map_s_key_goes_round(serve, browse) -> None:
    asked = []

    def heatmap(item, kind: str) -> HeatPicture:
        asked.append(kind)
        return picture("red" if kind == "first-order" else "blue")

    served = serve(3, heatmap=heatmap)
    page = browse(served.home, "Ann")
    said = page.locator("#said")
    plain, alt = (page.get_attribute("#image", name) for name in ("src", "alt"))
    assert shown(page) == "" and asked == []
    for press in (lambda kind: page.keyboard.press("h"), lambda kind: page.click(view(kind))):
        for kind, end in (("first-order", "0.012"), ("second-order", "0.034")):
            press(kind)
            sync_api.expect(said).to_have_text(f"Heat map: {kind}.")
            assert shown(page) == kind and page.inner_text("#high") == "+" + end
            assert page.evaluate("document.getElementById('image').decode().then(() => 1)") == 1
            assert page.evaluate("document.getElementById('image').naturalWidth") == 64
        press("")
        sync_api.expect(said).to_have_text("Heat map: none.")
        assert shown(page) == ""
        assert [page.get_attribute("#image", name) for name in ("src", "alt")] == [plain, alt]
    page.keyboard.press("h")
    page.keyboard.press("a")
    until(page, 1, 3)
    assert shown(page) == "" and page.get_attribute("#image", "src") != plain
    page.keyboard.press("h")
    sync_api.expect(said).to_have_text("Heat map: first-order.")
    assert page.inner_text("#for-target") in page.inner_text("#q-target .text")


def view(kind: str) -> str:
    return f"#views [data-kind='{kind}']"


def test_a_map_that_is_being_drawn_is_announced_and_may_be_left(serve, browse) -> None:
    release = threading.Event()

    def heatmap(item, kind: str) -> HeatPicture:
        release.wait()
        return picture("red")

    page = browse(serve(3, heatmap=heatmap).home, "Ann")
    page.keyboard.press("h")
    assert page.inner_text("#said") == "The first-order heat map is being drawn."
    assert page.get_attribute("#frame", "aria-busy") == "true"
    assert page.get_attribute("#image", "src").startswith("/image/")
    page.keyboard.press("a")
    until(page, 1, 3)
    with page.expect_response("**/api/heatmap/**"):
        release.set()
    assert shown(page) == "" and page.inner_text("#said") == "Saved: accepted."


def test_an_image_without_a_heat_map_stays_and_the_page_says_why(serve, browse) -> None:
    def heatmap(item, kind: str) -> HeatPicture:
        raise NoHeatmap("The attacked model is not here.")

    served = serve(3, heatmap=heatmap)
    page = browse(served.home, "Ann")
    plain = page.get_attribute("#image", "src")
    page.keyboard.press("h")
    reason = "No heat map: The attacked model is not here."
    sync_api.expect(page.locator("#said")).to_have_text(reason)
    assert shown(page) == "" and page.get_attribute("#image", "src") == plain
    page.faults[:] = [fault for fault in page.faults if "404" not in fault]


def test_without_scripts_both_heat_maps_can_be_had(serve, browse) -> None:
    served = serve(3, heatmap=lambda item, kind: picture("red"), reviewer="Ann")
    page = browse(served.home, width=390, java_script_enabled=False)
    for kind in ("first-order", "second-order", ""):
        page.click(view(kind))
        assert shown(page) == kind
