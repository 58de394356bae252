from functools import partial
from unittest import mock

import open_clip
import pytest
import timm
import torch
from PIL import Image

from advgen.errors import ModelError
from advgen.models import OpenClipModel

CONFIG = {
    "embed_dim": 10,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


def make(**vision):
    torch.manual_seed(0)
    return open_clip.CLIP(**{**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], **vision}})


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture
def clip(model):
    return OpenClipModel(model, name="tiny")


def test_facts(clip):
    assert clip.name == "tiny" and "tiny" in repr(clip)
    assert clip.image_size == (16, 16)
    assert clip.embed_dim == 10
    assert clip.logit_scale == pytest.approx(1 / 0.07)
    assert clip.device.type == "cpu" and clip.dtype == torch.float32


def test_image_embeddings(clip, model):
    pixels = torch.randn(3, 3, 16, 16)
    plain = clip.encode_image(pixels, normalize=False)
    assert torch.allclose(plain, model.encode_image(pixels), atol=1e-6)
    assert torch.allclose(clip.encode_image(pixels).norm(dim=-1), torch.ones(3))
    assert not plain.requires_grad


def test_text_embeddings_do_not_depend_on_the_batch_size(clip):
    texts = [f"a photo of {count} dogs." for count in range(5)]
    whole = clip.encode_text(texts)
    assert whole.shape == (5, 10)
    assert torch.allclose(whole.norm(dim=-1), torch.ones(5))
    assert torch.allclose(clip.encode_text(texts, batch_size=2), whole, atol=1e-6)


@pytest.mark.parametrize("texts", ["a dog", []])
def test_texts_must_be_a_list(clip, texts):
    with pytest.raises(ValueError, match="non-empty list"):
        clip.encode_text(texts)


def test_small_vocabulary_needs_its_own_tokenizer():
    text = {**CONFIG["text_cfg"], "vocab_size": 64}
    model = open_clip.CLIP(**{**CONFIG, "text_cfg": text})
    clip = OpenClipModel(model)  # images alone need no tokenizer
    with pytest.raises(ModelError, match="64 tokens"):
        clip.encode_text(["a dog"])
    tokens = torch.ones(1, 8, dtype=torch.long)
    given = OpenClipModel(model, tokenizer=lambda texts: tokens.expand(len(texts), -1))
    assert given.encode_text(["a", "b"]).shape == (2, 10)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
@pytest.mark.parametrize("size", [(40, 20), (7, 9)])
def test_preprocess_takes_any_image(clip, mode, size):
    assert clip.preprocess(Image.new(mode, size)).shape == (3, 16, 16)


def test_preprocess_follows_the_model(model):
    white = Image.new("RGB", (16, 16), "white")
    openai = OpenClipModel(model).preprocess(white)
    mean, std = open_clip.OPENAI_DATASET_MEAN[0], open_clip.OPENAI_DATASET_STD[0]
    assert openai[0].mean() == pytest.approx((1 - mean) / std, rel=1e-4)
    other = make(image_size=24)
    other.visual.preprocess_cfg = {"size": 24, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    pixels = OpenClipModel(other).preprocess(white)
    assert pixels.shape == (3, 24, 24)
    assert pixels.mean() == pytest.approx(2.0)


def test_weights_hash(model):
    digest = OpenClipModel(model).weights_sha256
    assert len(digest) == 64
    assert OpenClipModel(make()).weights_sha256 == digest
    changed = make()
    with torch.no_grad():
        changed.visual.proj[0, 0] += 1e-3
    assert OpenClipModel(changed).weights_sha256 != digest
    assert OpenClipModel(make().half()).weights_sha256 != digest


def test_half_precision_gives_float32_embeddings():
    clip = OpenClipModel(make().to(torch.bfloat16))
    assert clip.encode_image(torch.randn(1, 3, 16, 16)).dtype == torch.float32
    assert clip.encode_text(["a dog"]).dtype == torch.float32


def timm_model(name, pool="avg", proj="linear", **sizes):
    vision = {"image_size": 32, "timm_model_name": name, "timm_pool": pool, "timm_proj": proj}
    with mock.patch.object(timm, "create_model", partial(timm.create_model, **sizes)):
        config = {**CONFIG, "vision_cfg": vision}
        return open_clip.CustomTextCLIP(**config)


def native(**vision):
    return partial(make, **vision)


SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
UNREAD = {
    "resnet": (native(layers=(1, 1, 1, 1), head_width=64, image_size=32), "a ResNet"),
    "inner norms": (native(qk_norm=True), "CustomResidualAttentionBlock"),
    "eva": (
        partial(timm_model, "eva02_base_patch16_clip_224", "token", None, **SMALL),
        "timm's Eva",
    ),
    "convnext": (
        partial(timm_model, "convnext_atto", dims=(8, 8, 8, 8), depths=(1, 1, 1, 1)),
        "timm's ConvNeXt",
    ),
    "norms in attention": (
        partial(timm_model, "vit_base_patch16_clip_224", "token", None, qk_norm=True, **SMALL),
        "norms inside its attention",
    ),
    "relative positions": (
        partial(timm_model, "vit_relpos_base_patch16_224", "avg", "linear", **SMALL),
        "timm's VisionTransformerRelPos",
    ),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_other_towers_are_refused_by_name_and_still_score(kind):
    build, message = UNREAD[kind]
    clip = OpenClipModel(build())
    side = clip.image_size[0]
    assert clip.encode_image(torch.randn(2, 3, side, side)).shape == (2, 10)
    assert clip.embed_dim == 10 and len(clip.weights_sha256) == 64
    with pytest.raises(ModelError, match=message) as caught:
        _ = clip.vision
    assert "Scoring and evaluation work" in str(caught.value)


def test_two_attention_pools_are_refused():
    with pytest.raises(ModelError, match="two attention pools"):
        _ = OpenClipModel(make(attentional_pool="cascade", attn_pooler_heads=2)).vision


READ = {
    "mean": native(pool_type="avg"),
    "attention pool": native(attentional_pool=True, attn_pooler_heads=2, output_tokens=True),
    "MAP head": partial(timm_model, "vit_base_patch16_siglip_224", "map", "none", **SMALL),
}


@pytest.mark.parametrize("kind", READ)
def test_finishing_a_stream_gives_the_embedding(kind):
    clip = OpenClipModel(READ[kind]())
    tower = clip.vision
    pixels = torch.randn(2, 3, *clip.image_size)
    capture = tower.capture(pixels, norms=[tower.layers - 1])
    expected = clip.encode_image(pixels, normalize=False)
    assert capture.final.shape == (2, tower.tokens, tower.width)
    assert torch.allclose(capture.representation, expected, atol=1e-6)
    assert torch.allclose(tower.finish(capture.final, tower.layers), expected, atol=1e-6)
    stream = capture.residuals[tower.layers - 1]
    assert torch.allclose(tower.finish(stream, tower.layers - 1), expected, atol=1e-6)


def test_tower_facts(clip):
    tower = clip.vision
    facts = (tower.layers, tower.heads, tower.neurons, tower.width, tower.tokens, tower.embed_dim)
    assert facts == (2, 2, 64, 16, 5, 10)
    with pytest.raises(ValueError, match=r"layer must be in 0\.\.1"):
        tower.block(2)
