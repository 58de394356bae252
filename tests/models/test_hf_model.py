"""CLIP and SigLIP of transformers behind the protocol: equal to the library's own embeddings."""

import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from doubles.hf_models import TEXTS, edited, photo, unit
from safetensors.torch import load_file

from advgen.errors import ModelError
from advgen.models import ClipModel, OpenClipModel, load_clip
from advgen.models.hf_model import HfModel

transformers: Any = pytest.importorskip("transformers")


def own(folder: Path, kind: str):
    return getattr(transformers, kind).from_pretrained(folder).eval()


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


def test_a_text_does_not_depend_on_its_neighbours(clip_folder, siglip2_folder):
    for folder in (clip_folder, siglip2_folder):
        clip = load_clip(str(folder))
        torch.testing.assert_close(clip.encode_text(TEXTS)[1:2], clip.encode_text(TEXTS[1:2]))
        torch.testing.assert_close(clip.encode_text(TEXTS, batch_size=1), clip.encode_text(TEXTS))


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


def towers(config: dict[str, Any], activation: str) -> None:
    for part in ("text_config", "vision_config"):
        config[part]["hidden_act"] = activation


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("end", [61, 2])
def test_the_same_weights_in_open_clip_give_the_same_embeddings(
    clip_folder, tmp_path, activation, end
):
    """Both activations, and both ways in which configurations name the token that is read."""
    folder = tmp_path / "clip"
    shutil.copytree(clip_folder, folder)
    edited("config.json", lambda config: towers(config, activation))(folder)
    edited("config.json", lambda config: config["text_config"].update(eos_token_id=end))(folder)
    tower = {"layers": 2, "width": 16, "mlp_ratio": 1.5}
    model = open_clip.CLIP(
        embed_dim=12,
        quick_gelu=activation == "quick_gelu",
        vision_cfg={**tower, "image_size": 30, "patch_size": 10, "head_width": 8},
        text_cfg={**tower, "context_length": 20, "vocab_size": 62, "heads": 2},
    )
    model.load_state_dict(as_open_clip(load_file(folder / "model.safetensors")))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def tokenize(texts):
        options = {"padding": "max_length", "max_length": 20, "truncation": True}
        ids = tokenizer(texts, return_tensors="pt", **options)
        return ids["input_ids"].masked_fill(ids["attention_mask"] == 0, 0)

    clip, twin = load_clip(str(folder)), OpenClipModel(model, tokenizer=tokenize)
    pixels = torch.stack([clip.preprocess(photo()), clip.preprocess(photo(80, 33))])
    torch.testing.assert_close(clip.encode_image(pixels), twin.encode_image(pixels))
    torch.testing.assert_close(clip.encode_text(TEXTS), twin.encode_text(TEXTS))
    assert clip.logit_scale == pytest.approx(twin.logit_scale)


def test_a_siglip_has_as_many_numbers_as_its_tower_is_wide(siglip2_folder, tmp_path):
    """Some configurations of SigLIP keep a `projection_dim` that nothing reads."""
    folder = tmp_path / "siglip"
    shutil.copytree(siglip2_folder, folder)
    edited("config.json", lambda config: config.update(projection_dim=5))(folder)
    clip = load_clip(str(folder))
    assert clip.embed_dim == clip.encode_text(["a"]).shape[1] == 16
