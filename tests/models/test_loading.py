"""Every way of naming a model, and every way that this goes wrong."""

import json
import warnings
import zipfile

import open_clip
import pytest
import torch
from open_clip import factory
from PIL import Image
from safetensors.torch import save_file

from advgen.errors import ModelError
from advgen.models import OpenClipModel, load_clip
from advgen.models import loading as module

CONFIG = {
    "embed_dim": 10,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def tiny_architecture(monkeypatch):
    """An architecture 'ViT-tiny-test' beside open_clip's own."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-tiny-test", CONFIG)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return open_clip.CLIP(**CONFIG)


@pytest.fixture
def folder(tmp_path, model):
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    document = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(document))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    return tmp_path


def test_folder(folder, model):
    clip = load_clip(str(folder))
    assert clip.weights_sha256 == OpenClipModel(model).weights_sha256
    assert clip.encode_text(["a dog"]).shape == (1, 10)
    assert clip.preprocess(Image.new("RGB", (9, 9), "white")).mean() == pytest.approx(2.0)


def test_folder_with_a_word_list(folder, model):
    (folder / "vocabulary.txt").write_text("a\ndog\n")
    assert load_clip(str(folder)).encode_text(["a dog"]).shape == (1, 10)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_checkpoint_file(tmp_path, model, suffix, wrapped):
    state = model.state_dict()
    if wrapped:
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    else:
        save_file(state, path)
    clip = load_clip(f"ViT-tiny-test@{path}", dtype=torch.float64)
    assert clip.dtype == torch.float64
    expected = OpenClipModel(model).encode_text(["a dog"])
    assert torch.allclose(clip.encode_text(["a dog"]).float(), expected, atol=1e-6)


def test_pretrained_tag(monkeypatch, model):
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda name: ["mine"])
    monkeypatch.setattr(open_clip, "create_model", lambda name, pretrained: model)
    clip = load_clip("ViT-tiny-test/mine")
    assert clip.name == "ViT-tiny-test/mine" and clip.embed_dim == 10


def test_registered_name(monkeypatch, model):
    asked = {}

    def load(name, **options):
        asked.update(options)
        return OpenClipModel(model)

    monkeypatch.setattr(module.registry, "names", lambda kind: ("sandbox-a",))
    monkeypatch.setattr(module.registry, "resolve", lambda kind, name: load)
    load_clip("sandbox-a", device="meta")
    assert asked == {"device": "meta", "dtype": None}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-32/opnai", "did you mean openai"),
        ("Vit-B32-quickgelu/openai", "did you mean ViT-B-32-quickgelu/openai"),
        ("ViT-B-32", "architecture without weights.*laion2b_s34b_b79k"),
        ("ViT-B-32/openai", "use 'ViT-B-32-quickgelu/openai'"),
        ("ViT-L-14/dfn2b", "use 'ViT-L-14-quickgelu/dfn2b'"),
        ("sandbox-z", "did you mean sandbox-"),
        ("./no/such/folder", "or a folder with open_clip_config.json"),
        ("", "unknown model ''"),
        ("ViT-tiny-tset@x.pt", "did you mean ViT-tiny-test"),
        ("ViT-tiny-test@/no/such/file.pt", "no checkpoint file"),
        ("ViT-tiny-test@", "no checkpoint file"),
    ],
)
def test_names_that_cannot_be_loaded(name, message):
    with pytest.raises(ModelError, match=message):
        load_clip(name)


def test_no_network(monkeypatch):
    def fail(name, pretrained):
        raise RuntimeError("Failed to download weights for tag")

    monkeypatch.setattr(open_clip, "create_model", fail)
    with pytest.raises(ModelError, match="without a network.*ViT-B-32@"):
        load_clip("ViT-B-32/laion2b_s34b_b79k")


def test_wrong_shape_names_the_tensor_and_both_shapes(tmp_path):
    other = open_clip.CLIP(**{**CONFIG, "embed_dim": 12})
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"visual.proj has shape \(16, 12\), expected \(16, 10\)"):
        load_clip(f"ViT-tiny-test@{tmp_path / 'w.safetensors'}")


def test_missing_and_unknown_tensors_are_named(tmp_path, model):
    state = dict(model.state_dict())
    state["extra"] = state.pop("ln_final.bias")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="ln_final.bias is missing; extra is unknown"):
        load_clip(f"ViT-tiny-test@{tmp_path / 'w.safetensors'}")


BROKEN = {
    "text.pt": (lambda path: path.write_text("hello"), "cannot be read"),
    "empty.pt": (lambda path: path.write_bytes(b""), "cannot be read"),
    "text.safetensors": (lambda path: path.write_text("hello"), "cannot be read"),
    "list.pt": (lambda path: torch.save([1, 2], path), "no state dict"),
    "nothing.pt": (lambda path: torch.save({}, path), "no state dict"),
    "numbers.pt": (lambda path: torch.save({"a": 1}, path), "no state dict"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(tmp_path, name):
    write, message = BROKEN[name]
    write(tmp_path / name)
    with pytest.raises(ModelError, match=message):
        load_clip(f"ViT-tiny-test@{tmp_path / name}")


def test_pickled_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"a": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ModelError, match="cannot be read"):
        load_clip(f"ViT-tiny-test@{tmp_path / 'trap.pt'}")
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def openai_archive(tmp_path):
    """A TorchScript archive with the extra tensors that OpenAI's files hold, in half precision."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG, quick_gelu=True)
    inputs = {"encode_image": torch.zeros(1, 3, 16, 16), "encode_text": torch.zeros(1, 8).long()}
    for name, value in (("input_resolution", 16), ("context_length", 8), ("vocab_size", 49408)):
        vars(model).pop(name, None)
        model.register_buffer(name, torch.tensor(value))
    path = tmp_path / "original.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace_module(model.half().float(), inputs, check_trace=False).save(path)
    return path, model


def test_openais_archive(openai_archive, monkeypatch):
    monkeypatch.setitem(
        factory._MODEL_CONFIGS, "ViT-tiny-quickgelu", {**CONFIG, "quick_gelu": True}
    )
    path, model = openai_archive
    pixels = torch.randn(2, 3, 16, 16)
    clip = load_clip(f"ViT-tiny-quickgelu@{path}")
    assert torch.allclose(clip.encode_image(pixels, normalize=False), model.encode_image(pixels))


def test_openais_archive_with_the_wrong_activation(openai_archive):
    with pytest.raises(ModelError, match="runs GELU: use 'ViT-tiny-test-quickgelu'"):
        load_clip(f"ViT-tiny-test@{openai_archive[0]}")


def test_damaged_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/constants.pkl", b"")
    with pytest.raises(ModelError, match="cannot be read"):
        load_clip(f"ViT-tiny-test@{tmp_path / 'w.pt'}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no open_clip_config.json"),
        ("not json", "not an open_clip configuration"),
        ("{}", "not an open_clip configuration"),
        ('{"model_cfg": {"embed_dim": 3}}', "not an open_clip configuration"),
        (json.dumps({"model_cfg": {**CONFIG, "colour": 1}}), "not an open_clip configuration"),
        (json.dumps({"model_cfg": CONFIG}), "holds no weights"),
    ],
)
def test_broken_folders(tmp_path, content, message):
    if content is not None:
        (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load_clip(str(tmp_path))


def test_device_that_is_not_there(folder):
    with pytest.raises(ModelError, match="cannot be used.*try 'cpu'"):
        load_clip(str(folder), device="cuda:99")
