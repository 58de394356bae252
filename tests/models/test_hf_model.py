"""CLIP and SigLIP of transformers by name: equal to the library's own, refused in a sentence."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from doubles.diffusion import clip_tokenizer
from PIL import Image
from safetensors.torch import load_file, save_file

from advgen.errors import ModelError
from advgen.models import ClipModel, OpenClipModel, load_clip
from advgen.models.hf_model import HfModel

transformers = pytest.importorskip("transformers")

TEXTS = ["a photo of a dog", "Deer", "a cat on the green grass", "moon " * 90]
TOWER = {"intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def photo(width: int = 57, height: int = 41) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hf") / "clip"
    folder.mkdir()
    clip_tokenizer(folder)
    config = transformers.CLIPConfig(
        text_config=dict(
            TOWER,
            hidden_size=16,
            vocab_size=62,
            max_position_embeddings=20,
            bos_token_id=60,
            eos_token_id=61,
            pad_token_id=61,
        ),
        vision_config=dict(TOWER, hidden_size=16, image_size=30, patch_size=10),
        projection_dim=12,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"height": 30, "width": 30}
    transformers.CLIPImageProcessor(size={"shortest_edge": 30}, crop_size=size).save_pretrained(
        folder
    )
    return folder


def save_siglip(folder: Path) -> Path:
    config = transformers.SiglipConfig(
        text_config=dict(TOWER, hidden_size=16, vocab_size=90, max_position_embeddings=32),
        vision_config=dict(TOWER, hidden_size=16, image_size=32, patch_size=8),
    )
    model = transformers.SiglipModel(config)
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -3.0)
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.SiglipImageProcessor(size=size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip_folder(tmp_path_factory) -> Path:
    sentencepiece = pytest.importorskip("sentencepiece")
    torch.manual_seed(0)
    folder = save_siglip(tmp_path_factory.mktemp("hf") / "siglip")
    texts = folder / "texts"
    texts.write_text("\n".join(TEXTS + ["the quick brown fox jumps over lazy dogs"]).lower())
    sentencepiece.SentencePieceTrainer.train(
        input=str(texts),
        model_prefix=str(folder / "spiece"),
        vocab_size=36,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=3,
    )
    transformers.SiglipTokenizer(str(folder / "spiece.model")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip2_folder(tmp_path_factory) -> Path:
    """One resolution, with Gemma's tokenizer, which neither lowers nor pads on the right."""
    torch.manual_seed(0)
    folder = save_siglip(tmp_path_factory.mktemp("hf") / "siglip2")
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyzDM"]
    vocabulary = {name: number for number, name in enumerate(names)}
    transformers.GemmaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    return folder


def own(folder: Path, kind: str):
    return getattr(transformers, kind).from_pretrained(folder).eval()


def unit(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)


def test_clip_is_the_librarys_own(clip_folder):
    clip = load_clip(f"transformers:{clip_folder}")
    model = own(clip_folder, "CLIPModel")
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip_folder)
    tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=20, return_tensors="pt")
    pixels = torch.stack([clip.preprocess(photo()), clip.preprocess(photo(80, 33))])
    with torch.no_grad():
        images = model.get_image_features(pixel_values=pixels).pooler_output
        texts = model.get_text_features(**tokens).pooler_output
        direct = model(**tokens, pixel_values=pixels)
    torch.testing.assert_close(clip.encode_image(pixels, normalize=False), images)
    torch.testing.assert_close(clip.encode_image(pixels), unit(images))
    torch.testing.assert_close(clip.encode_text(TEXTS), unit(texts))
    torch.testing.assert_close(clip.encode_image(pixels), direct.image_embeds)
    torch.testing.assert_close(clip.encode_text(TEXTS), direct.text_embeds)
    logits = clip.logit_scale * clip.encode_text(TEXTS) @ clip.encode_image(pixels).T
    torch.testing.assert_close(logits, direct.logits_per_text)
    assert isinstance(clip, ClipModel)
    assert (clip.embed_dim, clip.image_size, clip.device.type) == (12, (30, 30), "cpu")
    assert clip.name == f"transformers:{clip_folder}"


def test_siglip_is_the_librarys_own(siglip_folder):
    clip = load_clip(str(siglip_folder))
    model = own(siglip_folder, "SiglipModel")
    tokenizer = transformers.AutoTokenizer.from_pretrained(siglip_folder)
    tokens = tokenizer(
        TEXTS, padding="max_length", max_length=32, truncation=True, return_tensors="pt"
    )
    pixels = torch.stack([clip.preprocess(photo()), clip.preprocess(photo(80, 33))])
    with torch.no_grad():
        images = model.get_image_features(pixel_values=pixels).pooler_output
        direct = model(input_ids=tokens["input_ids"], pixel_values=pixels)
    torch.testing.assert_close(clip.encode_image(pixels), unit(images))
    torch.testing.assert_close(clip.encode_image(pixels), direct.image_embeds)
    torch.testing.assert_close(clip.encode_text(TEXTS), direct.text_embeds)
    logits = clip.logit_scale * clip.encode_text(TEXTS) @ clip.encode_image(pixels).T - 3.0
    torch.testing.assert_close(logits, direct.logits_per_text)
    torch.testing.assert_close(clip.encode_text(["DEER!"]), clip.encode_text(["deer"]))
    assert (clip.embed_dim, clip.image_size) == (16, (32, 32))


def test_siglip_2_reads_lower_case_padded_on_the_right(siglip2_folder):
    clip = load_clip(str(siglip2_folder))
    model = own(siglip2_folder, "SiglipModel")
    tokenizer = transformers.AutoTokenizer.from_pretrained(siglip2_folder)
    assert tokenizer.padding_side == "left"
    ids = tokenizer("deer")["input_ids"]
    padded = torch.tensor([ids + [tokenizer.pad_token_id] * (32 - len(ids))])
    with torch.no_grad():
        expected = unit(model.get_text_features(input_ids=padded).pooler_output)
    torch.testing.assert_close(clip.encode_text(["Deer"]), expected)


def test_a_text_does_not_depend_on_its_neighbours(clip_folder, siglip2_folder):
    for folder in (clip_folder, siglip2_folder):
        clip = load_clip(str(folder))
        torch.testing.assert_close(clip.encode_text(TEXTS)[1:2], clip.encode_text(TEXTS[1:2]))
        torch.testing.assert_close(clip.encode_text(TEXTS, batch_size=1), clip.encode_text(TEXTS))


@pytest.mark.parametrize("width", [57, 30, 90])
def test_pixels_are_those_of_pillow(clip_folder, width):
    image = photo(width, 45)
    scale = 30 / min(image.size)
    size = (int(width * scale + 1e-9), int(45 * scale + 1e-9))
    left, top = (size[0] - 30) // 2, (size[1] - 30) // 2
    resized = image.resize(size, Image.Resampling.BICUBIC)
    array = np.asarray(resized.crop((left, top, left + 30, top + 30)), dtype=np.float64) / 255
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = load_clip(str(clip_folder)).preprocess(image)
    assert pixels.dtype == torch.float32
    np.testing.assert_allclose(pixels.numpy(), ((array - mean) / std).transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_images_of_other_modes(siglip_folder, mode):
    clip = load_clip(str(siglip_folder))
    image = photo().convert(mode)
    torch.testing.assert_close(clip.preprocess(image), clip.preprocess(image.convert("RGB")))


def test_number_format_hash_and_name(clip_folder):
    clip = load_clip(str(clip_folder))
    wide = load_clip(f"transformers:{clip_folder}", dtype=torch.float64)
    pixels = clip.preprocess(photo())[None]
    assert wide.encode_image(pixels).dtype == wide.encode_text(["a"]).dtype == torch.float64
    torch.testing.assert_close(wide.encode_image(pixels).float(), clip.encode_image(pixels))
    assert clip.weights_sha256 == load_clip(str(clip_folder)).weights_sha256
    changed = load_clip(str(clip_folder))
    assert isinstance(changed, HfModel)
    with torch.no_grad():
        next(changed.model.parameters()).add_(1)
    assert changed.weights_sha256 != clip.weights_sha256
    with pytest.raises(ModelError, match="lens does not read.*open_clip name"):
        _ = clip.vision
    with pytest.raises(ValueError, match="non-empty list"):
        clip.encode_text([])


def as_open_clip(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under open_clip's names."""
    named = {
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
        "logit_scale": state["logit_scale"],
        "visual.proj": state["visual_projection.weight"].T,
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
    }
    norms = {
        "ln_final": "text_model.final_layer_norm",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
    }
    for tower, place in (("text_model", "transformer"), ("vision_model", "visual.transformer")):
        for layer in range(2):
            here, there = f"{tower}.encoder.layers.{layer}", f"{place}.resblocks.{layer}"
            norms |= {f"{there}.ln_{n}": f"{here}.layer_norm{n}" for n in (1, 2)}
            norms |= {f"{there}.mlp.c_fc": f"{here}.mlp.fc1"}
            norms |= {f"{there}.mlp.c_proj": f"{here}.mlp.fc2"}
            norms |= {f"{there}.attn.out_proj": f"{here}.self_attn.out_proj"}
            for part in ("weight", "bias"):
                rows = [state[f"{here}.self_attn.{one}_proj.{part}"] for one in "qkv"]
                named[f"{there}.attn.in_proj_{part}"] = torch.cat(rows)
    for there, here in norms.items():
        named |= {f"{there}.{part}": state[f"{here}.{part}"] for part in ("weight", "bias")}
    return named


def test_the_same_weights_in_open_clip_give_the_same_embeddings(clip_folder):
    tower = {"layers": 2, "width": 16, "mlp_ratio": 1.5}
    model = open_clip.CLIP(
        embed_dim=12,
        quick_gelu=True,
        vision_cfg={**tower, "image_size": 30, "patch_size": 10, "head_width": 8},
        text_cfg={**tower, "context_length": 20, "vocab_size": 62, "heads": 2},
    )
    model.load_state_dict(as_open_clip(load_file(clip_folder / "model.safetensors")))
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip_folder)

    def tokenize(texts):
        options = {"padding": "max_length", "max_length": 20, "truncation": True}
        ids = tokenizer(texts, return_tensors="pt", **options)
        return ids["input_ids"].masked_fill(ids["attention_mask"] == 0, 0)

    clip, twin = load_clip(str(clip_folder)), OpenClipModel(model, tokenizer=tokenize)
    pixels = torch.stack([clip.preprocess(photo()), clip.preprocess(photo(80, 33))])
    torch.testing.assert_close(clip.encode_image(pixels), twin.encode_image(pixels))
    torch.testing.assert_close(clip.encode_text(TEXTS), twin.encode_text(TEXTS))
    assert clip.logit_scale == pytest.approx(twin.logit_scale)


def rewritten(**changes):
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def other_size(folder: Path) -> None:
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}
    ).save_pretrained(folder)


SPOILED = {
    "bert": (rewritten(model_type="bert"), "model of type 'bert', not an image-text model"),
    "naflex": (rewritten(model_type="siglip2"), "NaFlex.*fixed-resolution release"),
    "no type": (lambda f: (f / "config.json").write_text("[]"), "is no configuration"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "is no configuration"),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    "pickle": (pickled, "no model.safetensors, and pickled weights.*never read"),
    "torn": (lambda f: (f / "model.safetensors").write_bytes(b"xx"), "cannot load"),
    "cut": (cut_weights, "not whole: they lack visual_projection.weight"),
    "size": (other_size, r"makes \(3, 40, 40\), its tower takes \(3, 30, 30\)"),
    "no processor": (lambda f: (f / "preprocessor_config.json").unlink(), "cannot load"),
    "no tokenizer": (lambda f: [p.unlink() for p in f.glob("*token*")], "has no tokenizer"),
    "wrong shape": (rewritten(projection_dim=13), "cannot load"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_folders_that_cannot_be_loaded(clip_folder, tmp_path, case):
    spoil, message = SPOILED[case]
    folder = tmp_path / "spoiled"
    shutil.copytree(clip_folder, folder)
    spoil(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_clip(f"transformers:{folder}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", ""])
def test_folders_that_are_not_there(name):
    with pytest.raises(ModelError, match="there is no model folder"):
        load_clip(f"transformers:{name}")


def test_a_folder_with_open_clips_own_files_stays_open_clips(tiny_clip, tmp_path):
    folder = tmp_path / "both"
    shutil.copytree(tiny_clip, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    assert isinstance(load_clip(str(folder)), OpenClipModel)


def test_without_transformers_the_extra_is_named(clip_folder):
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from advgen.errors import ConfigError\n"
        "from advgen.models.hf_model import load_transformers\n"
        "try: load_transformers(sys.argv[1])\n"
        "except ConfigError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(clip_folder)], capture_output=True, text=True, timeout=120
    )
    assert "pip install 'advgen[real]'" in done.stdout, done.stderr


class Hub(BaseHTTPRequestHandler):
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
        if "me/tiny" not in path:
            return self.reply(404, b"", body, {"X-Error-Code": "RepoNotFound"})
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


@pytest.fixture
def hub(monkeypatch, tmp_path, clip_folder):
    Hub.files = {path.name: path.read_bytes() for path in clip_folder.iterdir()}
    Hub.files |= {"pytorch_model.bin": b"a pickle", "README.md": b"not wanted"}
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    constants = huggingface_hub.constants
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("ENDPOINT", endpoint),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_DISABLE_PROGRESS_BARS", True),
        ("HF_HUB_OFFLINE", False),
    ):
        monkeypatch.setattr(constants, name, value)
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_repository_at_a_fixed_commit(hub, clip_folder, tmp_path, monkeypatch):
    clip = load_clip("transformers:me/tiny")
    assert clip.name == "transformers:me/tiny"
    assert clip.weights_sha256 == load_clip(str(clip_folder)).weights_sha256
    fetched = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert "model.safetensors" in fetched and not {"pytorch_model.bin", "README.md"} & fetched
    assert all(COMMIT in path for path in hub.asked if "/resolve/" in path)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
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
    ],
)
def test_what_cannot_be_fetched(hub, name, message):
    with pytest.raises(ModelError, match=message):
        load_clip(f"transformers:{name}")
