"""A review that a browser can visit."""

import io
import socket
import threading

import uvicorn
from PIL import Image

from advgen.review.app import create_app
from advgen.review.maps import HeatPicture
from advgen.review.store import ReviewStore


class Served:
    """A review on a port of its own, which can be stopped and started again."""

    def __init__(self, store: ReviewStore, **options: object) -> None:
        self.store, self.options = store, options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        app = create_app(self.store, **self.options)  # type: ignore[arg-type]
        config = uvicorn.Config(app, "127.0.0.1", self.port, log_level="critical", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            threading.Event().wait(0.01)

    def stop(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(10)


def until(page, done: int, total: int) -> None:
    """Wait until the page says how many of how many images are done."""
    from playwright import sync_api

    sync_api.expect(page.locator("#count")).to_have_text(f"{done} of {total}")


def picture(shade: str) -> HeatPicture:
    """A heat map in one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), shade).save(buffer, "PNG")
    return HeatPicture(buffer.getvalue(), {"red": 0.012, "blue": 0.034}[shade])
