"""A review of a small run that was drawn by hand, and browsers' clients of its page."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doubles.served import Served
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from advgen.attack.records_file import write_records
from advgen.generation.layout import RunLayout, encode_png
from advgen.records import Sample
from advgen.review.app import create_app
from advgen.review.store import ReviewStore

WORDS = ("mossy", "mushroom")


@pytest.fixture(scope="session")
def draw_run(make_sample: Callable[..., Sample]) -> Callable[..., Path]:
    """Writes a run directory with so many images; `columns` change every row."""

    def draw(root: Path, images: int, **columns: object) -> Path:
        rows = []
        for number in range(images):
            pair = (("bird", "frog"), ("owl", "stop sign"))[number % 2]
            name = f"images/{pair[0]}/d{number:03d}.png"
            data = _picture(number)
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            row = {
                "id": f"{pair[0]}/d{number:03d}",
                "true_class": pair[0],
                "target_class": pair[1],
                "method": ("second-order", "random")[number // 2 % 2],
                "description": f"A {pair[0]} beside a mossy pond with two mushrooms",
                "words": WORDS,
                "margin": 0.01 * (number - images / 2),
                "fooled": number > images / 2,
                "judge": "sandbox",
                "p_true_present": 1.0,
                "p_target_absent": 1.0,
                "verified": True,
                "sha256": hashlib.sha256(data).hexdigest(),
                "path": name,
            }
            rows.append(make_sample(**{**row, **columns}))
        write_records(rows, RunLayout(root).records)
        return root

    return draw


@pytest.fixture
def open_review(tmp_path: Path, draw_run) -> Iterator[Callable[..., ReviewStore]]:
    """Opens a review of a fresh run."""
    opened = []

    def review(images: int = 6, double: float = 0.0, **columns: object) -> ReviewStore:
        run = draw_run(tmp_path / "run", images, **columns)
        opened.append(ReviewStore.open(tmp_path / "review.sqlite", [run], double=double))
        return opened[-1]

    yield review
    for store in opened:
        store.close()


def _picture(number: int) -> bytes:
    image = Image.new("RGB", (64, 64), (90 + 3 * number % 120, 140, 120))
    pen = ImageDraw.Draw(image)
    pen.ellipse((16, 20, 16 + 20 + number % 12, 50), fill=(230, 200, 60 + number))
    pen.text((3, 2), str(number), fill=(20, 20, 20))
    return encode_png(image, {"number": number})


@pytest.fixture
def visit() -> Callable[..., TestClient]:
    """A browser on this machine, named `name` where one is given; posts carry `csrf`."""

    def client(store: ReviewStore, name: str | None = "Ann", **options: object) -> TestClient:
        app = create_app(store, **options)  # type: ignore[arg-type]
        asking = TestClient(
            app,
            base_url="http://127.0.0.1:8000",
            client=("127.0.0.1", 5000),
            follow_redirects=False,
        )
        if name:
            sign_in(asking, name)
        return asking

    return client


def csrf_of(client: TestClient) -> str:
    return client.get("/api/session").json()["csrf"]


def sign_in(client: TestClient, name: str) -> None:
    reply = client.post("/who", data={"csrf": csrf_of(client), "query": "", "name": name})
    assert reply.status_code == 303


@pytest.fixture
def serve(open_review) -> Iterator:
    running = []

    def served(images: int, double: float = 0.0, **options: object) -> Served:
        running.append(Served(open_review(images, double), **options))
        return running[-1]

    yield served
    for server in running:
        server.stop()


@pytest.fixture
def browse(browser) -> Iterator:
    contexts, faults = [], []

    def opened(
        home: str, name: str = "", at: str = "/", width: int = 1280, scheme="light", **options
    ):
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.faults = faults
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(home) else faults.append(request.url),
        )
        page.goto(home + at)
        if name:
            page.fill("#name", name)
            page.keyboard.press("Enter")
            page.wait_for_selector("#count")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
