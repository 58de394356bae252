"""The Hub itself: a server that can be told to fail, and the client that is turned to it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from doubles.hub.handler import Handler
from doubles.hub.repositories import ATTRIBUTES, WRITER, Blob, Repository
from huggingface_hub import constants
from huggingface_hub.utils import _http

Trouble = Literal["500", "cut", "cut after"]


class StubHub:
    """Repositories `me/...` may be written with `WRITER`; `READER` may read the public ones."""

    def __init__(self) -> None:
        self.repos: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.part_size: int | None = None
        self.delay = 0.0
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.lock = threading.RLock()
        self._counted, self._trouble, self._asking = 0, (0, 0, "500"), False
        outer = self

        class OwnHandler(Handler):
            hub = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), OwnHandler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Calls that are not plain questions."""
        return [call for call in self.calls if call[0] not in ("GET", "HEAD")]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, trouble: Trouble, at: int, times: int = 1, asking: bool = False) -> None:
        """Let the `at`-th call from now on go wrong, and those after it.

        Only calls that write are counted and fail, unless `asking`.
        """
        self._counted, self._trouble, self._asking = 0, (at, times, trouble), asking

    def heal(self) -> None:
        self._trouble = (0, 0, "500")

    def create(self, repo: str, files: dict[str, bytes] | None = None, **kind: bool) -> Repository:
        """A repository that is there already."""
        made = self.repos[repo] = Repository(**kind)
        made.commit("main", {".gitattributes": Blob(ATTRIBUTES, False)}, "initial commit")
        if files:
            blobs = {name: Blob(data, name.endswith(".parquet")) for name, data in files.items()}
            self.objects |= {blob.sha256: blob.data for blob in blobs.values() if blob.lfs}
            made.commit("main", {**made.head(), **blobs}, "files")
        return made

    def trouble(self, method: str, path: str) -> str:
        """What is to go wrong with this call."""
        with self.lock:
            self.calls.append((method, path))
            if method in ("GET", "HEAD") and not self._asking:
                return ""
            self._counted += 1
            at, times, trouble = self._trouble
            return trouble if at and at <= self._counted < at + times else ""


@contextmanager
def client_of(patch: pytest.MonkeyPatch, home: Path) -> Iterator[StubHub]:
    """A Hub for the client of this process, which waits for nothing between its tries."""
    running = StubHub()
    for name in ("HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE", "HTTP_PROXY", "ALL_PROXY"):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
    files = running.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setenv("HF_TOKEN", WRITER)
    patch.setattr(constants, "ENDPOINT", running.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "no-token"))
    patch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    yield running
    running.close()
