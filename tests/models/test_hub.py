"""`hf-hub:` names through the real client, against a local server that speaks its protocol."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import save

from advgen.errors import ModelError
from advgen.models import OpenClipModel, load_clip

CONFIG = {
    "embed_dim": 10,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1},
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body: bool):
        path = self.path.split("?")[0]
        repository = "/".join(path.removeprefix("/api/models").strip("/").split("/")[:2])
        if repository == "me/gated":
            return self.reply(403, b"", body, {"X-Error-Code": "GatedRepo"})
        if repository != "me/tiny":
            return self.reply(401, b"", body, {"X-Error-Code": "RepoNotFound"})
        if "/none" in path:
            return self.reply(404, b"", body, {"X-Error-Code": "RevisionNotFound"})
        if path.startswith("/api/models/me/tiny/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": sha1(data)}
                for name, data in self.files.items()
            ]
            return self.reply(200, json.dumps(tree).encode(), body)
        if path.startswith("/api/models/me/tiny"):
            siblings = [{"rfilename": name} for name in self.files]
            info = {"id": "me/tiny", "sha": COMMIT, "siblings": siblings}
            return self.reply(200, json.dumps(info).encode(), body)
        data = self.files[path.rsplit("/", 1)[-1]]
        headers = {"ETag": f'"{sha1(data)}"', "X-Repo-Commit": COMMIT}
        return self.reply(200, data, body, headers)

    def reply(self, status, data, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


def sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with one model; the client's addresses and cache are turned to it."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG)
    Hub.files = {
        "open_clip_config.json": json.dumps({"model_cfg": CONFIG}).encode(),
        "open_clip_model.safetensors": save(model.state_dict()),
        "vocabulary.txt": b"a\ndog\n",
        "README.md": b"not wanted",
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    constants = huggingface_hub.constants
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield model
    server.shutdown()
    server.server_close()
    thread.join()


def test_model_from_the_hub(hub, tmp_path):
    clip = load_clip("hf-hub:me/tiny")
    assert clip.name == "hf-hub:me/tiny"
    assert clip.weights_sha256 == OpenClipModel(hub).weights_sha256
    assert clip.encode_text(["a dog"]).shape == (1, 10)
    names = {path.name for path in (tmp_path / "cache").rglob("*") if not path.is_dir()}
    assert "open_clip_model.safetensors" in names and "README.md" not in names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("me/gated", "accept it at https://huggingface.co/me/gated, then run: hf auth login"),
        ("me/other", "no public model 'me/other'"),
        ("me/tiny@none", "'me/tiny' has no revision 'none'"),
        ("me/ti ny", "cannot load 'me/ti ny'"),
    ],
)
def test_what_cannot_be_fetched(hub, name, message):
    with pytest.raises(ModelError, match=message):
        load_clip(f"hf-hub:{name}")


def test_no_network(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="'me/tiny' is not on this machine.*local folder"):
        load_clip("hf-hub:me/tiny")
