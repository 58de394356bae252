"""Tiny random CLIPs and SigLIPs as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from doubles.diffusion import clip_tokenizer
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

TEXTS = ["a photo of a dog", "Deer", "a cat on the green grass", "moon " * 90]
TOWER: Any = {"intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
LETTERS = "abcdefghijklmnopqrstuvwxyzDM"


def photo(width: int = 57, height: int = 41) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)


def save_clip(folder: Path, **text: Any) -> Path:
    """A CLIP that takes images of 30 pixels and texts of 20 tokens."""
    import transformers

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    clip_tokenizer(folder)
    sizes = {"hidden_size": 16, "vocab_size": 62, "max_position_embeddings": 20}
    ends = {"bos_token_id": 60, "eos_token_id": 61, "pad_token_id": 61}
    config = transformers.CLIPConfig(
        text_config={**TOWER, **sizes, **ends, **text},
        vision_config=dict(TOWER, hidden_size=16, image_size=30, patch_size=10),
        projection_dim=12,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"height": 30, "width": 30}
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 30}, crop_size=size)
    processor.save_pretrained(folder)
    return folder


def save_siglip(folder: Path) -> Path:
    """A SigLIP that takes images of 32 pixels and texts of 32 tokens, without its tokenizer."""
    import transformers

    torch.manual_seed(0)
    config = transformers.SiglipConfig(
        text_config=dict(
            TOWER,
            hidden_size=16,
            vocab_size=90,
            max_position_embeddings=32,
            bos_token_id=None,
            eos_token_id=1,
        ),
        vision_config=dict(TOWER, hidden_size=16, image_size=32, patch_size=8),
    )
    model: Any = transformers.SiglipModel(config)
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -3.0)
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.SiglipImageProcessor(size=size).save_pretrained(folder)
    return folder


def save_sentencepiece(folder: Path) -> None:
    """SigLIP's own tokenizer, trained on a few lines."""
    import sentencepiece
    import transformers

    texts = folder / "texts"
    texts.write_text("\n".join([*TEXTS, "the quick brown fox jumps over lazy dogs"]).lower())
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


def save_gemma(folder: Path, **kind: Any) -> None:
    """SigLIP 2's tokenizer, which neither lowers nor pads on the right, over single letters."""
    import transformers

    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    vocabulary = {name: number for number, name in enumerate(names)}
    ends = {"add_bos_token": False, "add_eos_token": True, **kind}
    transformers.GemmaTokenizer(vocab=vocabulary, merges=[], **ends).save_pretrained(folder)


def edited(file: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Changes a JSON file of a model folder."""

    def spoil(folder: Path) -> None:
        path = folder / file
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return spoil


def reweighted(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    """Changes the tensors of a model folder."""

    def spoil(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil
