"""The routes of the review page, against the real store."""

import asyncio
import io
import re
import threading

import httpx
import pytest
from PIL import Image

from advgen.heatmap_overlay import STRENGTH
from advgen.plots import TARGET_COLOR, TRUE_COLOR
from advgen.review import pages
from advgen.review.app import create_app
from advgen.review.items import Item, read_image
from advgen.review.maps import AT_ONCE, KINDS, HeatPicture, NoHeatmap
from advgen.review.pages import REASON_LABELS, marked_parts
from advgen.review.votes import REASONS

YES_NO = {"true_visible": True, "target_visible": False, "reasons": [], "note": ""}


def csrf_of(client) -> str:
    return client.get("/api/session").json()["csrf"]


def post_vote(client, item: str, token: str = "token-0001", query: str = "", **fields):
    body = {**YES_NO, "csrf": csrf_of(client), "item": item, "token": token, **fields}
    return client.post("/api/votes" + query, json=body)


def test_every_reason_of_the_store_has_a_key_of_its_own() -> None:
    assert tuple(REASON_LABELS) == REASONS
    keys = [key for key, _ in REASON_LABELS.values()]
    assert len(set(keys) | set("aunigh")) == len(keys) + len("aunigh")


@pytest.mark.parametrize(
    ("text", "words", "marked"),
    [
        ("A bird with two mushrooms", ("mushroom",), ["mushrooms"]),
        ("A Mossy pond", ("mossy",), ["Mossy"]),
        ("A caterpillar", ("cat",), []),
        ("hot air balloons over air", ("air", "hot air balloon"), ["hot air balloons", "air"]),
        ("plain", (), []),
        ("a (b", ("(b",), ["(b"]),
    ],
)
def test_words_are_marked_whole_and_in_any_number(text, words, marked) -> None:
    parts = marked_parts(text, words)
    assert "".join(part for part, _ in parts) == text
    assert [part for part, spurious in parts if spurious] == marked


def test_who_has_no_name_is_asked_for_one_and_keeps_the_filters(open_review, visit) -> None:
    client = visit(open_review(), name=None)
    reply = client.get("/?pair=bird%3Afrog&fooled=1")
    assert (reply.status_code, reply.headers["location"]) == (303, "/who?pair=bird%3Afrog&fooled=1")
    page = client.get(reply.headers["location"])
    assert 'name="query" value="pair=bird%3Afrog&amp;fooled=1"' in page.text
    fields = {"csrf": csrf_of(client), "query": "pair=bird%3Afrog&fooled=1", "name": " Zoë  B. "}
    reply = client.post("/who", data=fields)
    assert reply.headers["location"] == "/?pair=bird%3Afrog&fooled=1"
    assert client.get("/api/session").json()["reviewer"] == "Zoë B."


def test_a_name_from_the_command_line_is_not_asked_again(open_review, visit) -> None:
    client = visit(open_review(), name=None, reviewer="Bo")
    assert client.get("/").status_code == 200
    assert client.get("/api/session").json()["reviewer"] == "Bo"


def test_the_page_asks_both_questions_and_marks_the_words(open_review, visit) -> None:
    client = visit(open_review())
    html = client.get("/?pair=owl%3Astop+sign").text
    assert "Is an owl visible?" in html and "Is a stop sign visible?" in html
    assert "beside a <mark>mossy</mark> pond with two <mark>mushrooms</mark>" in html
    assert "0 of 3" in html


def test_method_and_margin_are_hidden_until_asked_for(open_review, visit) -> None:
    client = visit(open_review())
    item = client.get("/api/next").json()["item"]["id"]
    desk = re.compile(r'<div class="desk".*?<details class="filters"', re.DOTALL)
    plain = desk.search(client.get(f"/?item={item}").text)
    shown = desk.search(client.get(f"/?item={item}&details=1").text)
    assert plain and "margin" not in plain[0] and "second-order" not in plain[0]
    assert shown and "margin" in shown[0] and "judge sandbox" in shown[0]
    assert client.get("/api/next").json()["item"]["details"] is None


def test_what_is_labelled_blindly_never_shows_its_details(open_review, visit) -> None:
    client = visit(open_review(double=1.0))
    turn = client.get("/api/next?details=1").json()
    assert turn["item"]["shared"] and turn["item"]["details"] is None
    html = client.get(f"/?item={turn['item']['id']}&details=1").text
    assert "its details stay hidden" in html and "<dt>margin</dt>" not in html


def test_votes_lead_through_all_images_once(open_review, visit) -> None:
    store = open_review(6)
    client = visit(store)
    turn, seen = client.get("/api/next").json(), []
    while turn["item"]:
        seen.append(turn["item"]["id"])
        reply = post_vote(client, seen[-1], token=f"token-{len(seen):04d}")
        assert reply.status_code == 201
        turn = reply.json()
        assert turn["vote"]["status"] == "accepted"
        assert turn["progress"] == {"done": len(seen), "total": 6}
        if turn["item"]:
            coming = store.next_item("Ann", None, turn["item"]["id"])
            assert coming and turn["preload"].startswith(f"/image/{coming.id}?v=")
    assert len(set(seen)) == 6
    assert {decision.status for decision in store.decisions()} == {"accepted"}
    assert "All done" in client.get("/").text


def test_a_vote_sent_twice_counts_once(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    item = client.get("/api/next").json()["item"]["id"]
    first = post_vote(client, item, reasons=["broken"], note="torn").json()
    again = post_vote(client, item, reasons=["broken"], note="torn").json()
    assert first["vote"] == again["vote"]
    assert first["vote"]["status"] == "rejected"
    assert [vote.note for vote in store.history("Ann")] == ["torn"]


def test_an_undo_brings_the_image_back(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    item = client.get("/api/next").json()["item"]["id"]
    post_vote(client, item)
    undone = client.post("/api/undo", json={"csrf": csrf_of(client)}).json()
    assert undone["item"]["id"] == item and undone["progress"]["done"] == 0
    assert client.post("/api/undo", json={"csrf": csrf_of(client)}).json()["item"] is None


def test_an_undo_sent_twice_withdraws_one_vote(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    for number in range(2):
        item = client.get("/api/next").json()["item"]["id"]
        post_vote(client, item, token=f"token-{number:04d}")
    undo = {"csrf": csrf_of(client), "token": "undo-0001"}
    first, again = (client.post("/api/undo", json=undo).json() for _ in range(2))
    assert first["item"]["id"] == again["item"]["id"] == item
    assert sum(vote.withdrawn for vote in store.history("Ann")) == 1
    assert client.post("/api/undo", json={**undo, "token": "x"}).status_code == 422


def test_filters_reach_the_next_image_the_progress_and_the_grid(open_review, visit) -> None:
    client = visit(open_review(12))
    query = "?pair=bird%3Afrog&method=random"
    turn = client.get("/api/next" + query).json()
    assert turn["item"]["true_class"] == "a bird" and turn["progress"]["total"] == 3
    reply = post_vote(client, turn["item"]["id"], query=query).json()
    assert reply["progress"] == {"done": 1, "total": 3}
    grid = client.get("/images" + query).text
    assert grid.count("/thumb/") == 3 and grid.count('class="badge accepted"') == 1
    assert '<option value="bird:frog" selected>' in grid


def test_the_grid_goes_page_by_page(open_review, visit) -> None:
    client = visit(open_review(130))
    address, seen = "/images", []
    while address:
        html = client.get(address).text
        seen += re.findall(r'src="/thumb/(\w+)', html)
        found = re.search(r'href="(/images\?cursor=\w+)" rel="next"', html)
        address = found[1] if found else ""
    assert len(seen) == len(set(seen)) == 130


def test_images_are_served_as_they_are_and_kept_by_the_browser(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    view = client.get("/api/next").json()["item"]
    item = store.item(view["id"])
    reply = client.get(view["image"])
    assert reply.content == item.image.read_bytes()
    assert reply.headers["content-type"] == "image/png"
    assert "immutable" in reply.headers["cache-control"]
    again = client.get(view["image"], headers={"if-none-match": reply.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    small = client.get(f"/thumb/{item.id}")
    assert small.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(small.content)) as picture:
        assert picture.size == (64, 64)


def test_an_image_that_was_changed_is_not_shown(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    item = store.item(client.get("/api/next").json()["item"]["id"])
    item.image.write_bytes(b"something else")
    changed = visit(store, heatmap=lambda item, kind: HeatPicture(read_image(item), 1.0))
    for path in ("image/{}", "thumb/{}", "heatmap/{}", "api/heatmap/{}?kind=first-order"):
        reply = changed.get("/" + path.format(item.id))
        assert reply.status_code == 409
        assert str(item.run) not in reply.text
    page = changed.get(f"/?item={item.id}&heat=first-order").text
    assert "No heat map: The image is gone or was changed" in page


def test_heat_maps_are_offered_and_shown_where_there_are_any(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    item = client.get("/api/next").json()["item"]["id"]
    assert 'id="views"' not in client.get("/").text
    plain = client.get(f"/?item={item}&heat=first-order")
    assert "No heat map: This review has no heat maps." in plain.text
    assert client.get(f"/heatmap/{item}").status_code == 404
    png = store.image_bytes(item)
    asked_for = []

    def heatmap(asked: Item, kind: str) -> HeatPicture:
        asked_for.append(kind)
        if asked.id != item:
            raise NoHeatmap("The model is <gone>.")
        return HeatPicture(png, 0.01234)

    client = visit(store, heatmap=heatmap)
    html = client.get(f"/?item={item}").text
    for kind in KINDS:
        assert f'href="/?item={item}&amp;heat={kind}" data-kind="{kind}">' in html
    assert f'href="/?item={item}" data-kind="" aria-current="true"' in html
    tags = set()
    for query in ("", "?kind=first-order", "?kind=second-order"):
        reply = client.get(f"/heatmap/{item}{query}")
        assert reply.content == png
        tags.add(reply.headers["etag"])
    assert asked_for == ["first-order", "first-order", "second-order"] and len(tags) == 2
    again = client.get(f"/heatmap/{item}", headers={"if-none-match": min(tags)})
    assert again.status_code == 304 and len(asked_for) == 3
    assert reply.headers["cache-control"] == "private, no-cache"
    assert client.get(f"/heatmap/{item}?kind=third-order").status_code == 404
    other = client.get(f"/api/next?after={item}").json()["item"]
    assert other["heatmap"].startswith(f"/heatmap/{other['id']}?v=")
    assert client.get(other["heatmap"]).status_code == 404
    shown = client.get(f"/?item={item}&heat=second-order&details=1").text
    assert re.search(rf'src="/heatmap/{item}\?v=\w+&amp;kind=second-order" alt="Second-', shown)
    assert 'data-kind="second-order" aria-current="true"' in shown and "+0.012" in shown
    assert f"/?item={item}&amp;heat=first-order&amp;details=1" in shown
    missing = client.get(f"/?item={other['id']}&heat=second-order").text
    assert "No heat map: The model is &lt;gone&gt;." in missing
    assert f'src="/image/{other["id"]}' in missing and 'id="legend" hidden' in missing
    assert client.get("/?heat=third-order").status_code == 404
    data = client.get(f"/api/heatmap/{item}?kind=first-order").json()
    assert {**data, "picture": ""} == {
        "kind": "first-order",
        "picture": "",
        "alt": f"First-order heat map of the image drawn from: {store.item(item).description}",
        "low": "\N{MINUS SIGN}0.012",
        "high": "+0.012",
    }
    assert client.get(data["picture"]).content == png
    refused = client.get(f"/api/heatmap/{other['id']}?kind=first-order")
    assert (refused.status_code, refused.json()) == (404, {"error": "The model is <gone>."})
    for query in ("", "?kind=", "?kind=third-order"):
        assert client.get(f"/api/heatmap/{item}{query}").status_code == 404


def test_a_map_is_asked_for_again_when_the_review_is_opened_anew(open_review, visit) -> None:
    store = open_review()
    item = store.page("Ann")[0].id
    png = store.image_bytes(item)
    tags = set()
    for _ in range(2):
        client = visit(store, heatmap=lambda item, kind: HeatPicture(png, 1.0))
        tags.add(client.get(f"/heatmap/{item}").headers["etag"])
    assert len(tags) == 2


def test_votes_do_not_wait_for_heat_maps(open_review) -> None:
    store = open_review()
    item = store.page("Ann")[0].id
    png = store.image_bytes(item)
    drawing, release = [], threading.Event()

    def heatmap(item: Item, kind: str) -> HeatPicture:
        drawing.append(kind)
        release.wait()
        return HeatPicture(png, 1.0)

    async def ask() -> None:
        app = create_app(store, reviewer="Ann", heatmap=heatmap)
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as web:
            maps = [asyncio.create_task(web.get(f"/heatmap/{item}")) for _ in range(100)]
            try:
                while len(drawing) < AT_ONCE:
                    await asyncio.sleep(0)
                for path in ("/", "/api/next", "/images", f"/image/{item}"):
                    assert (await web.get(path)).status_code == 200
                assert len(drawing) == AT_ONCE
            finally:
                release.set()
            assert {reply.status_code for reply in await asyncio.gather(*maps)} == {200}

    asyncio.run(ask())


def test_without_scripts_forms_vote_skip_and_undo(open_review, visit) -> None:
    store = open_review()
    client = visit(store)
    html = client.get("/?pair=bird%3Afrog").text
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
    form["query"] = form["query"].replace("&amp;", "&")
    fields = {**form, "true": "yes", "target": "yes", "reason": "broken", "note": "a\r\nb"}
    reply = client.post("/vote", data=fields)
    assert reply.status_code == 303
    assert reply.headers["location"] == f"/?pair=bird%3Afrog&after={form['item']}"
    (vote,) = store.history("Ann")
    assert (vote.true_visible, vote.target_visible) == (True, True)
    assert (vote.reasons, vote.note) == (("broken",), "a\nb")
    undo = client.post("/undo", data={"csrf": form["csrf"], "query": form["query"]})
    assert undo.headers["location"] == f"/?pair=bird%3Afrog&item={form['item']}"
    accept = client.post("/vote", data={**form, "token": "token-0002", "accept": "1"})
    assert accept.status_code == 303
    assert store.history("Ann")[0].status == "accepted"


def test_a_reviewer_never_sees_what_another_said(open_review, visit) -> None:
    store = open_review(4, double=1.0)
    ann, bo = visit(store), visit(store, name="Bo")
    item = ann.get("/api/next").json()["item"]["id"]
    post_vote(ann, item, true_visible=False, note="secret of Ann")
    assert 'class="badge rejected"' in ann.get("/images").text
    for address in ("/images", f"/?item={item}", f"/?item={item}&details=1"):
        html = bo.get(address).text
        assert "secret of Ann" not in html and "rejected" not in html and " checked" not in html
    assert bo.get("/api/next").json()["progress"] == {"done": 0, "total": 4}


def test_pages_without_images_say_so(open_review, visit) -> None:
    client = visit(open_review())
    assert "Nothing to review" in client.get("/?pair=cat%3Adog").text
    assert "No image matches" in client.get("/images?pair=cat%3Adog").text


def test_the_legend_has_the_colours_of_the_maps() -> None:
    style = pages.static_files()["review.css"][0].decode()
    ends = re.findall(r"color-mix\(in srgb, (#\w{6}) (\d+)%, #808080\)", style)
    assert ends == [(TRUE_COLOR, f"{STRENGTH:.0%}"[:-1]), (TARGET_COLOR, f"{STRENGTH:.0%}"[:-1])]
