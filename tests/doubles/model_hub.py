"""A Hugging Face Hub on the loopback with one model in it."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class ModelHub(BaseHTTPRequestHandler):
    """One public repository, `me/tiny`, and a gated one, `me/gated`."""

    files: dict[str, bytes] = {}
    asked: list[str] = []

    def log_message(self, format, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.asked.append(self.path)
        self.answer(body=True)

    def answer(self, *, body: bool):
        path = self.path.split("?")[0]
        if "me/gated" in path and "/resolve/" in path:
            return self.reply(401, b"", body, {"X-Error-Code": "GatedRepo"})
        if "me/tiny" not in path and "me/gated" not in path:
            return self.reply(401, b"", body, {"X-Error-Code": "RepoNotFound"})
        if "/none" in path:
            return self.reply(404, b"", body, {"X-Error-Code": "RevisionNotFound"})
        named = {name: hashlib.sha1(data).hexdigest() for name, data in self.files.items()}
        if "/tree/" in path:
            tree = [
                {"type": "file", "path": name, "size": len(self.files[name]), "oid": oid}
                for name, oid in named.items()
            ]
            return self.reply(200, json.dumps(tree).encode(), body)
        if path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self.files]
            info = {"id": "me/tiny", "sha": COMMIT, "siblings": siblings}
            return self.reply(200, json.dumps(info).encode(), body)
        name = path.rsplit("/", 1)[-1]
        headers = {"ETag": f'"{named[name]}"', "X-Repo-Commit": COMMIT}
        return self.reply(200, self.files[name], body, headers)

    def reply(self, status, data, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def model_hub(
    patch: pytest.MonkeyPatch, folder: Path, files: dict[str, bytes]
) -> Iterator[type[ModelHub]]:
    """Serve `files` as `me/tiny`; the client's addresses and cache are turned to it."""
    ModelHub.files, ModelHub.asked = files, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), ModelHub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("ENDPOINT", endpoint),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
        ("HF_HUB_CACHE", str(folder / "cache")),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_DISABLE_PROGRESS_BARS", True),
        ("HF_HUB_OFFLINE", False),
        ("HF_TOKEN_PATH", str(folder / "no-token")),
    ):
        patch.setattr(huggingface_hub.constants, name, value)
    patch.delenv("HF_TOKEN", raising=False)
    yield ModelHub
    server.shutdown()
    server.server_close()
    thread.join()
