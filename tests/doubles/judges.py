"""Tiny judges of real classes on disk, and small runs drawn by the sandbox."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from advgen.attack.records_file import write_records
from advgen.decisions import Judgement
from advgen.generation.layout import RunLayout, encode_png
from advgen.records import Sample
from advgen.registry import REGISTRY, Entry
from advgen.sandbox.render import render_scene
from advgen.sandbox.scene import Item, Scene
from advgen.store import sha256_file

ENTRIES = {
    "vlm": "advgen.judging.vlm:open_vlm",
    "owlv2": "advgen.judging.owlv2:open_owlv2",
    "server": "advgen.judging.server_vlm:open_server",
}
SPECIALS = ["<pad>", "<s>", "</s>", "<image>"]
QWEN_SPECIALS = [
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
SAID = ["Yes", "yes", "YES", "No", "no"]
TEMPLATE = (
    "{% for m in messages %}{% for part in m['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} answer :{% endif %}"
)
WORDS = [
    "look",
    "at",
    "the",
    "whole",
    "picture",
    "also",
    "background",
    "and",
    "small",
    "half",
    "hidden",
    "things",
    "is",
    "a",
    "an",
    "visible",
    "in",
    "it",
    "answer",
    "with",
    "one",
    "word",
    "or",
    "of",
    "photo",
    "dog",
    "deer",
    "cat",
    "ship",
    "truck",
    ",",
    ".",
    "?",
    "-",
    ":",
]


def word_tokenizer(specials: Sequence[str]) -> Any:
    """Splits at spaces and marks; two spellings of yes carry a space, as in real vocabularies."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = [*specials, "<unk>", *SAID, *dict.fromkeys(WORDS)]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.normalizer = normalizers.Sequence([])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=[name for name in specials if name not in SPECIALS[:3]],
        padding_side="right",
    )


def sure_of_itself(model: Any, tokenizer: Any) -> None:
    """Makes the random model prefer yes or no to everything else, which one as the image has it."""
    import torch

    head = model.get_output_embeddings().weight
    ids = tokenizer.convert_tokens_to_ids(SAID)
    with torch.no_grad():
        direction = torch.randn(head.shape[1]) * 3
        head.zero_()
        for number, token in zip(ids, SAID, strict=True):
            sign = 1.0 if token.lower() == "yes" else -1.0
            head[number] = sign * direction + 0.3 * torch.randn(head.shape[1])


def save_tiny_qwen(folder: Path) -> Path:
    """Of the default judge's class, with positions in three dimensions."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessorPil,
        Qwen2VLVideoProcessor,
    )

    tokenizer = word_tokenizer([*SPECIALS[:3], *QWEN_SPECIALS])
    start, end, image, video = tokenizer.convert_tokens_to_ids(QWEN_SPECIALS)
    torch.manual_seed(6)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 256,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [1, 1, 2],
            },
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": 14,
            "fullatt_block_indexes": [1],
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    sure_of_itself(model, tokenizer)
    model.save_pretrained(folder)
    marks = f"{QWEN_SPECIALS[0]}{QWEN_SPECIALS[2]}{QWEN_SPECIALS[1]}"
    Qwen2_5_VLProcessor(
        Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112),
        tokenizer,
        Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE.replace("IMAGE", marks),
    ).save_pretrained(folder)
    return folder


def save_tiny_owlv2(folder: Path) -> Path:
    import torch
    from transformers import (
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessorPil,
        Owlv2Processor,
    )

    tokenizer = word_tokenizer(SPECIALS[:3])
    tokenizer.model_max_length = 8
    torch.manual_seed(7)
    tower = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = Owlv2Config(
        text_config={
            **tower,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 8,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    Owlv2Processor(
        Owlv2ImageProcessorPil(size={"height": 32, "width": 32}), tokenizer
    ).save_pretrained(folder)
    return folder


def save_tiny_llava(folder: Path) -> Path:
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = word_tokenizer(SPECIALS)
    torch.manual_seed(5)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    sure_of_itself(model, tokenizer)
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    LlavaProcessor(
        CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return save_tiny_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen")


@pytest.fixture(scope="session")
def tiny_owlv2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return save_tiny_owlv2(tmp_path_factory.mktemp("models") / "tiny-owlv2")


@pytest.fixture
def judges_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judges of this room by name, whether the registry has them yet or not."""
    for name, target in ENTRIES.items():
        monkeypatch.setitem(REGISTRY._tables["judge"], name, Entry(target, extra="real"))


DOG, DEER = Item("dog", 1, 40.0, 44.0, 30.0), Item("deer", 1, 14.0, 44.0, 22.0)
SCENES = ((DOG,), (DOG, DEER), (), (DEER,))
"""Things in the images of a run, again and again: good, with target, empty, target alone."""


@pytest.fixture
def write_run(
    tmp_path: Path, make_sample: Callable[..., Sample]
) -> Callable[..., tuple[RunLayout, list[Sample]]]:
    """Writes a run of so many images that nobody has judged; every third fooled the model."""

    def write(name: str = "run", images: int = 8) -> tuple[RunLayout, list[Sample]]:
        layout = RunLayout(tmp_path / name)
        rows = [_drawn(layout, make_sample, number) for number in range(images)]
        write_records(rows, layout.records)
        return layout, rows

    return write


def _drawn(layout: RunLayout, make_sample: Callable[..., Sample], number: int) -> Sample:
    scene = Scene("meadow", 1 + number // len(SCENES) % 2, SCENES[number % len(SCENES)])
    truth = {"sandbox_scene": scene.to_dict()}
    path = layout.root / "images" / f"i{number:03d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = encode_png(render_scene(scene, 48), {"truth": truth, "prompt": "a secret prompt"})
    path.write_bytes(data)
    return make_sample(
        id=f"dog-deer/m/r0/i{number:03d}",
        true_class="dog",
        target_class="deer",
        fooled=number % 3 == 0,
        judge="none",
        p_true_present=None,
        p_target_absent=None,
        sha256=sha256_file(path),
        path=path.relative_to(layout.root).as_posix(),
        truth=json.dumps(truth),
    )


@pytest.fixture
def said() -> Callable[..., Judgement]:
    """Makes a judgement on a sample: true class visible, target class absent."""

    def make(sample: Sample, judge: str, present: float, absent: float) -> Judgement:
        return Judgement(sample.id, sample.sha256, judge, "1", present, absent)

    return make
