"""Attacks on the review page, each refused."""

import json
import logging

import pytest
from starlette.testclient import TestClient

from advgen.review.app import create_app
from advgen.review.bodies import BODY_LIMIT
from advgen.review.security import POLICY

LOCAL = ("127.0.0.1", 5000)
HOME = "http://127.0.0.1:8000"
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def csrf_of(client) -> str:
    return client.get("/api/session").json()["csrf"]


@pytest.fixture
def store(open_review):
    return open_review()


@pytest.fixture
def client(store, visit) -> TestClient:
    return visit(store)


@pytest.fixture
def ballot(client) -> dict:
    item = client.get("/api/next").json()["item"]["id"]
    fields = {"true_visible": True, "target_visible": False, "reasons": [], "note": ""}
    return {**fields, "item": item, "token": "token-0001", "csrf": csrf_of(client)}


@pytest.mark.parametrize(
    "path",
    [
        "/image/..%2f..%2f..%2fetc%2fpasswd",
        "/image/%2e%2e/%2e%2e/etc/passwd",
        "/image/%2Fetc%2Fpasswd",
        "/image/..\\..\\secret",
        "/image/00000000000000000000",
        "/image/0000000000000000000%00",
        "/image/bird%2Fd000",
        "/thumb/..%2f..%2fx",
        "/heatmap/..%2f..%2fx",
        "/api/heatmap/..%2f..%2fx?kind=first-order",
        "/?heat=../../etc/passwd",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/review.html.j2",
        "/?item=../../etc/passwd",
        "/?after=' OR 1=1 --",
        "/images?cursor=../x",
        "/nothing",
    ],
)
def test_ids_never_reach_the_file_system(client, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 404
    assert "Traceback" not in reply.text and "root:" not in reply.text


def test_a_row_whose_path_leaves_the_run_is_not_served(open_review, visit, tmp_path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    store = open_review(1)
    client = visit(store)
    item = store.item(client.get("/api/next").json()["item"]["id"])
    item.image.unlink()
    item.image.symlink_to(tmp_path / "secret.png")
    reply = client.get(f"/image/{item.id}")
    assert reply.status_code in (404, 409) and b"secret" not in reply.content


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"item": "../../etc/passwd"}, 404),
        ({"item": "0" * 20}, 404),
        ({"item": 7}, 404),
        ({"item": None}, 404),
        ({"true_visible": "yes"}, 422),
        ({"true_visible": 1}, 422),
        ({"target_visible": []}, 422),
        ({"reasons": "broken"}, 422),
        ({"reasons": ["ugly"]}, 422),
        ({"reasons": [["broken"]]}, 422),
        ({"reasons": ["broken", "broken"]}, 422),
        ({"note": "x" * 1001}, 422),
        ({"note": "a\0b"}, 422),
        ({"note": "\ud800"}, 422),
        ({"note": {}}, 422),
        ({"token": "short"}, 422),
        ({"token": "no spaces please"}, 422),
        ({"token": 12345678}, 422),
        ({"reviewer": "Bo"}, 422),
        ({"csrf": "0" * 64}, 403),
        ({"csrf": None}, 403),
        ({"csrf": "é"}, 403),
    ],
)
def test_malformed_votes_are_refused(client, store, ballot, changes: dict, status: int) -> None:
    reply = client.post("/api/votes", content=json.dumps({**ballot, **changes}), headers=JSON)
    assert reply.status_code == status
    assert list(reply.json()) == ["error"]
    assert store.history("Ann") == []


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("missing", ["item", "true_visible", "target_visible", "token", "csrf"])
def test_votes_with_a_field_missing_are_refused(client, store, ballot, missing: str) -> None:
    del ballot[missing]
    assert client.post("/api/votes", json=ballot).status_code in (403, 404, 422)
    assert store.history("Ann") == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b'{"a": 1, "a": 2}', JSON, 400),
        (b'{"a": NaN}', JSON, 400),
        (b"[" * 60000, JSON, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b" " * (BODY_LIMIT + 1), JSON, 413),
        (b"{}", {**JSON, "content-length": "99999999999"}, 413),
        (b"{}", {**JSON, "content-length": "-1"}, 400),
        (b"&".join([b"a=1"] * 65), {"content-type": "application/x-www-form-urlencoded"}, 400),
        (b"a=%ff", {"content-type": "application/x-www-form-urlencoded"}, 400),
    ],
)
def test_oversized_and_malformed_bodies_are_refused(client, body, headers, status) -> None:
    for path in ("/api/votes", "/vote"):
        reply = client.post(path, content=body, headers=headers)
        assert reply.status_code == status
        assert "Traceback" not in reply.text


def test_a_body_without_a_length_is_cut_off_at_the_limit(client) -> None:
    sent = []

    def endless():
        for _ in range(64):
            sent.append(1)
            yield b" " * 8192

    assert client.post("/api/votes", content=endless(), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8000.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_posts_of_other_sites_are_refused(client, store, ballot, headers: dict) -> None:
    assert client.post("/api/votes", json=ballot, headers=headers).status_code == 403
    form = {name: ballot[name] for name in ("csrf", "item", "token")}
    assert client.post("/vote", data={**form, "accept": "1"}, headers=headers).status_code == 403
    assert store.history("Ann") == []
    own = {"origin": HOME, "sec-fetch-site": "same-origin"}
    assert client.post("/api/votes", json=ballot, headers=own).status_code == 201


def test_the_word_of_one_browser_is_worth_nothing_in_another(store, visit, ballot) -> None:
    other = visit(store, name="Bo")
    assert other.post("/api/votes", json=ballot).status_code == 403
    bare = TestClient(create_app(store, reviewer="Bo"), base_url=HOME, client=LOCAL)
    assert bare.post("/api/votes", json=ballot).status_code == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_votes_come_by_post_only(client, method: str) -> None:
    assert client.request(method, "/api/votes").status_code == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.7:8000", 421),
        ("0.0.0.0:8000", 421),
        ("127.0.0.1:8000@evil.example", 400),
        ("", 400),
        ("a b", 400),
    ],
)
def test_only_loopback_names_are_answered(client, host: str, status: int) -> None:
    assert client.get("/api/session", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.4", 403), ("x", 403)],
)
def test_without_a_token_only_this_machine_is_answered(store, address: str, status: int) -> None:
    far = TestClient(create_app(store, reviewer="Bo"), base_url=HOME, client=(address, 5))
    assert far.get("/").status_code == status


@pytest.mark.parametrize("path", ["/", "/images", "/api/next", "/static/review.js", "/image/x"])
def test_without_the_token_nothing_is_answered(store, path: str) -> None:
    app = create_app(store, token="correct-horse", reviewer="Bo")
    for query in ("", "?token=", "?token=correct-hors", "?token=wr%C3%B6ng"):
        far = TestClient(app, base_url="http://box:8000", client=("10.0.0.4", 5))
        reply = far.get(path + query, follow_redirects=False)
        assert reply.status_code == 401
        assert "set-cookie" not in reply.headers
        assert "Bo" not in reply.text
    assert far.post("/api/undo?token=correct-horse", json={}).status_code == 401


def test_the_token_is_shown_once_and_then_kept_in_a_cookie(store) -> None:
    app = create_app(store, token="correct-horse", reviewer="Bo")
    far = TestClient(
        app, base_url="http://box:8000", client=("10.0.0.4", 5), follow_redirects=False
    )
    reply = far.get("/?token=correct-horse&fooled=1")
    assert (reply.status_code, reply.headers["location"]) == (303, "/?fooled=1")
    for kept in reply.headers.get_list("set-cookie"):
        assert "HttpOnly" in kept and "SameSite=Strict" in kept
    page = far.get("/?fooled=1")
    assert page.status_code == 200 and "correct-horse" not in page.text


def test_a_link_on_another_site_is_sent_on_by_a_page_of_our_own(store) -> None:
    app = create_app(store, token="correct-horse", reviewer="Bo")
    far = TestClient(app, base_url="http://box:8000", client=("10.0.0.4", 5))
    reply = far.get("/?token=correct-horse&pair=%22%3E", headers={"sec-fetch-site": "cross-site"})
    assert 'content="0;url=/?pair=%22%3E"' in reply.text


def test_a_token_link_cannot_lead_to_another_site(store) -> None:
    app = create_app(store, token="correct-horse", reviewer="Bo")
    far = TestClient(
        app, base_url="http://box:8000", client=("10.0.0.4", 5), follow_redirects=False
    )
    for path in ("//evil.example/", "/\\evil.example/", "/%2Fevil.example"):
        address = far.get(f"http://box:8000{path}?token=correct-horse").headers["location"]
        assert address.startswith("/") and address[1] not in "/\\"


def test_script_in_a_description_stays_text(open_review, visit) -> None:
    columns = {"description": f"A bird {SCRIPT}", "words": ("<script>", "mossy")}
    client = visit(open_review(3, **columns, true_class=SCRIPT, method=SCRIPT))
    item = client.get("/api/next").json()["item"]["id"]
    for address in ("/", "/images", f"/?item={item}&details=1"):
        html = client.get(address).text
        assert "&lt;script&gt;" in html
        assert "<script>" not in html and "<img src=x" not in html


def test_script_in_a_name_stays_text(store, visit) -> None:
    client = visit(store, name=SCRIPT)
    for address in ("/", "/images", "/who"):
        html = client.get(address).text
        assert "&lt;script&gt;alert(1)" in html and "<script>" not in html


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\0b", "a\x1bb", "\u202egnp"])
def test_names_that_cannot_be_kept_are_asked_again(store, visit, name: str) -> None:
    client = visit(store, name=None)
    fields = {"csrf": csrf_of(client), "query": "", "name": name}
    reply = client.post("/who", data=fields)
    assert reply.status_code == 422 and "printable" in reply.text
    assert client.get("/api/session").json()["reviewer"] is None


def test_nobody_votes_without_a_name(store, visit, ballot) -> None:
    client = visit(store, name=None)
    reply = client.post("/api/votes", json={**ballot, "csrf": csrf_of(client)})
    assert (reply.status_code, reply.json()) == (409, {"error": "Say who you are first."})


@pytest.mark.parametrize("query", ["pair=" + "x" * 201, "fooled=2", "unjudged=yes"])
def test_filters_that_cannot_be_are_refused(client, query: str) -> None:
    assert client.get("/?" + query).status_code == 400


@pytest.mark.parametrize("path", ["/", "/images", "/who", "/api/session", "/nothing", "/image/x"])
def test_every_answer_is_locked_down(client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "frame-ancestors 'none'" in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_a_fault_of_ours_shows_no_traceback(store, visit, monkeypatch, caplog) -> None:
    client = visit(store)

    def broken(*_: object) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(type(store), "next_item", broken)
    caplog.set_level(logging.CRITICAL)
    calm = TestClient(client.app, base_url=HOME, client=LOCAL, raise_server_exceptions=False)
    calm.cookies = client.cookies
    for path in ("/", "/api/next"):
        reply = calm.get(path)
        assert reply.status_code == 500
        assert "secret" not in reply.text and "Traceback" not in reply.text
        assert reply.headers["content-security-policy"] == POLICY
