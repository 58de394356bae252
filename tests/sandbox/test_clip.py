from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image

from advgen.errors import ModelError
from advgen.models import OpenClipModel, load_clip, load_folder
from advgen.sandbox.clip import (
    load_sandbox_clip,
    packaged_checkpoints,
    save_checkpoint,
    wrap,
)
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.vocabulary import vocabulary

WORDS = ["a", "cat", "dog", "of", "photo"]
CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 24, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {
        "context_length": 8,
        "vocab_size": len(WORDS) + 4,
        "width": 32,
        "heads": 2,
        "layers": 1,
    },
}
PICTURES = [
    Image.effect_mandelbrot((70, 50), (-2, -1, 1, 1), 60).convert("RGB"),
    Image.linear_gradient("L").resize((31, 97)).convert("RGB"),
]
TEXTS = ["a photo of a dog", "a cat", "zebra", "a photo of a dog and a cat and a dog and a cat"]


@pytest.fixture
def model() -> open_clip.CLIP:
    made = open_clip.CLIP(**CONFIG)
    return made.half().float()  # what a checkpoint keeps of it


def embeddings(clip: OpenClipModel) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.stack([clip.preprocess(picture) for picture in PICTURES])
    return clip.encode_image(images), clip.encode_text(TEXTS)


def test_a_saved_model_comes_back_the_same_through_both_doors(
    model: open_clip.CLIP, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(model, CONFIG, WORDS, folder)
    before = wrap(model, WORDS, "before")
    for after in (load_folder(folder, "after"), load_clip(str(folder))):
        assert isinstance(after, OpenClipModel)
        for ours, theirs in zip(embeddings(before), embeddings(after), strict=True):
            torch.testing.assert_close(theirs, ours, rtol=0, atol=0)
        assert after.weights_sha256 == before.weights_sha256
        assert after.logit_scale == before.logit_scale


def test_unknown_words_are_read_as_one_unknown_word(model: open_clip.CLIP) -> None:
    clip = wrap(model, WORDS, "x")
    rows = clip.encode_text(["a zyxw of a dog", "a qqq of a dog", "", "\u2603 1234", "a dog"])
    assert torch.isfinite(rows).all()
    torch.testing.assert_close(rows[0], rows[1])
    assert not torch.allclose(rows[0], rows[4])


def test_a_checkpoint_that_is_not_packaged_says_how_to_get_it() -> None:
    with pytest.raises(ModelError, match=r"available: sandbox-a.*advgen sandbox train sandbox-z"):
        load_sandbox_clip("sandbox-z")


@pytest.mark.parametrize("name", packaged_checkpoints())
def test_a_packaged_checkpoint_reads_every_word_of_the_world(name: str) -> None:
    clip = load_sandbox_clip(name)
    tokenizer: Any = clip._tokenizer
    assert tokenizer.unknown(" ".join(vocabulary(load_lexicon()))) == []
    text: Any = clip.model
    assert text.vocab_size == tokenizer.vocab_size
