"""`transformers:OWNER/NAME` through the real client, against a local server with its protocol."""

import json
from types import SimpleNamespace

import huggingface_hub
import pytest
from doubles.model_hub import COMMIT, model_hub
from huggingface_hub.utils import _http

from advgen.errors import ModelError
from advgen.models import load_clip

pytest.importorskip("transformers")

UNREACHED = "http://127.0.0.1:9"


def unplug(patch: pytest.MonkeyPatch) -> None:
    """Nothing answers from now on, and the client does not wait between its tries."""
    constants = huggingface_hub.constants
    template = UNREACHED + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "ENDPOINT", UNREACHED)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def hub(monkeypatch, tmp_path, clip_folder):
    files = {path.name: path.read_bytes() for path in clip_folder.iterdir()}
    files |= {"pytorch_model.bin": b"a pickle", "README.md": b"not wanted"}
    with model_hub(monkeypatch, tmp_path, files) as served:
        yield served


def test_a_repository_at_a_fixed_commit(hub, clip_folder, tmp_path, monkeypatch):
    clip = load_clip("transformers:me/tiny")
    assert clip.name == "transformers:me/tiny"
    assert clip.weights_sha256 == load_clip(str(clip_folder)).weights_sha256
    fetched = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert "model.safetensors" in fetched and not {"pytorch_model.bin", "README.md"} & fetched
    assert all(COMMIT in path for path in hub.asked if "/resolve/" in path)
    unplug(monkeypatch)
    assert load_clip("transformers:me/tiny").weights_sha256 == clip.weights_sha256


def test_what_is_no_clip_is_refused_before_its_weights_are_fetched(hub):
    hub.files["config.json"] = json.dumps({"model_type": "bert"}).encode()
    with pytest.raises(ModelError, match="type 'bert'"):
        load_clip("transformers:me/tiny")
    assert not any("safetensors" in path for path in hub.asked if "/resolve/" in path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("me/other", "no public model 'me/other'"),
        ("me/tiny@none", "'me/tiny' has no revision 'none'"),
        ("me/ti ny", "cannot load 'me/ti ny'"),
        ("me/gated", "accept it at https://huggingface.co/me/gated, then run: hf auth login"),
    ],
)
def test_what_cannot_be_fetched(hub, name, message):
    with pytest.raises(ModelError, match=message):
        load_clip(f"transformers:{name}")


def test_a_copy_that_was_cut_short_is_not_taken_for_a_repository_of_pickles(
    hub, tmp_path, monkeypatch
):
    """The client gives the folder that it has where the network does not reach."""
    load_clip("transformers:me/tiny")
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    weights.unlink()
    with monkeypatch.context() as patch:
        unplug(patch)
        with pytest.raises(ModelError, match="not on this machine and the network does not reach"):
            load_clip("transformers:me/tiny")
    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match="not on this machine and the network does not reach"):
            load_clip(f"transformers:me/tiny@{COMMIT}")
    load_clip("transformers:me/tiny")
    assert weights.is_file(), "with a network the rest is fetched"


def test_a_repository_of_pickles_is_refused(hub):
    del hub.files["model.safetensors"]
    with pytest.raises(ModelError, match="'me/tiny' has no model.safetensors, and pickled"):
        load_clip("transformers:me/tiny")


def test_a_revision_is_asked_for_by_its_commit(hub):
    clip = load_clip(f"transformers:me/tiny@{COMMIT}")
    assert clip.name == f"transformers:me/tiny@{COMMIT}"
    assert not any("main" in path for path in hub.asked)
