"""`hf-hub:` names through the real client, against a local server that speaks its protocol."""

import json

import huggingface_hub
import open_clip
import pytest
import torch
from doubles.model_hub import model_hub
from safetensors.torch import save

from advgen.errors import ModelError
from advgen.models import OpenClipModel, load_clip

CONFIG = {
    "embed_dim": 10,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with one model, which is given."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG)
    files = {
        "open_clip_config.json": json.dumps({"model_cfg": CONFIG}).encode(),
        "open_clip_model.safetensors": save(model.state_dict()),
        "vocabulary.txt": b"a\ndog\n",
        "README.md": b"not wanted",
    }
    with model_hub(monkeypatch, tmp_path, files):
        yield model


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
