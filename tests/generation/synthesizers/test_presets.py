import inspect
import re
from typing import Any

import pytest

from advgen.errors import ConfigError
from advgen.generation.needs import deepfloyd_needs, diffusers_needs, llama_needs
from advgen.generation.synthesizers.options import DTYPES, DeepFloydOptions, read_options
from advgen.generation.synthesizers.presets import (
    diffusers_options,
    preset_names,
    read_preset,
    usual_dtype,
)

PIPELINES = {
    "flux-schnell": ("FluxPipeline", 16),
    "z-image-turbo": ("ZImagePipeline", 16),
    "sdxl-turbo": ("StableDiffusionXLPipeline", 8),
    "sdxl": ("StableDiffusionXLPipeline", 8),
    "sd3.5-medium": ("StableDiffusion3Pipeline", 16),
    "sd3.5-large": ("StableDiffusion3Pipeline", 16),
    "qwen-image": ("QwenImagePipeline", 16),
    "sana": ("SanaPipeline", 32),
}


def fetched(patterns: tuple[str, ...], *names: str) -> list[str]:
    """What `huggingface_hub` fetches of these files."""
    hub = pytest.importorskip("huggingface_hub")
    return list(hub.utils.filter_repo_objects(names, allow_patterns=list(patterns)))


def test_every_preset_is_known_here() -> None:
    assert preset_names() == list(PIPELINES)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_preset_is_whole_and_its_pipeline_takes_it(name: str) -> None:
    pipelines: Any = pytest.importorskip("diffusers")
    kind, step = PIPELINES[name]
    options = diffusers_options({"preset": name})
    taken = inspect.signature(getattr(pipelines, kind).__call__).parameters
    assert set(options.call) <= set(taken)
    assert options.steps is not None and options.steps >= 1
    assert options.guidance is not None or "true_cfg_scale" in options.call
    assert options.size is not None and options.size % step == 0
    assert usual_dtype(options) in DTYPES
    assert re.search(rf"\(https://huggingface\.co/{re.escape(options.model)}\)$", options.licence)


def test_what_is_given_goes_before_the_preset() -> None:
    given = {"preset": "flux-schnell", "steps": 2, "licence": "mine", "call": {"sigmas": [1.0]}}
    options = diffusers_options(given)
    assert (options.steps, options.guidance, options.licence) == (2, 0.0, "mine")
    assert options.call == {"max_sequence_length": 256, "sigmas": [1.0]}
    assert diffusers_options({"preset": "flux-schnell"}).call == {"max_sequence_length": 256}
    assert "dtype" in read_preset("flux-schnell")


def test_a_copy_beside_a_preset_is_read_as_it_is() -> None:
    assert diffusers_options({"preset": "sdxl"}).variant == "fp16"
    copy = diffusers_options({"preset": "sdxl", "model": "some/where"})
    assert (copy.variant, copy.model, copy.steps) == ("auto", "some/where", 50)


def test_the_describer_needs_no_second_copy() -> None:
    (need,) = llama_needs({})
    assert (need.role, need.source) == ("describer", "meta-llama/Meta-Llama-3-8B-Instruct")
    names = ("config.json", "model-00001-of-00004.safetensors", "original/consolidated.00.pth")
    assert fetched(need.files, *names) == list(names[:2])
    assert llama_needs({"model": "x/y"})[0].source == "x/y"


def test_deepfloyd_needs_each_part_once() -> None:
    needs = deepfloyd_needs({"stage3": "stabilityai/stable-diffusion-x4-upscaler"})
    assert [need.role for need in needs] == ["image stage 1", "image stage 2", "image stage 3"]
    assert needs[0].source == read_options(DeepFloydOptions, {}).stage1
    encoder = "text_encoder/model.fp16-00001-of-00002.safetensors"
    names = (
        "model_index.json",
        "tokenizer/spiece.model",
        encoder,
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/pytorch_model.fp16-00001-of-00002.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "safety_checker/model.fp16.safetensors",
        "watermarker/diffusion_pytorch_model.safetensors",
        "IF-I-XL-v1.0.ckpt",
    )
    kept = fetched(needs[0].files, *names)
    assert kept == [names[0], names[1], encoder, names[5], names[7], names[8]]
    assert encoder not in fetched(needs[1].files, *names)
    assert len(deepfloyd_needs({})) == 2
    assert names[6] in fetched(deepfloyd_needs({"dtype": "float32"})[0].files, *names)


def test_the_same_model_may_be_named_twice() -> None:
    needs = deepfloyd_needs({"stage1": "a/b", "stage2": "a/b"})
    assert [need.source for need in needs] == ["a/b", "a/b"]


def test_a_pipeline_needs_no_single_file_checkpoints() -> None:
    (need,) = diffusers_needs({"preset": "sdxl-turbo"})
    assert (need.role, need.source) == ("image model", "stabilityai/sdxl-turbo")
    names = (
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/model.onnx",
        "sd_xl_turbo_1.0_fp16.safetensors",
    )
    assert fetched(need.files, *names) == list(names[:2])
    (flux,) = diffusers_needs({"preset": "flux-schnell"})
    shards = ("flux1-schnell.safetensors", "transformer/x-00001-of-00003.safetensors")
    assert fetched(flux.files, *shards) == [shards[1]]


@pytest.mark.parametrize("needs", [deepfloyd_needs, diffusers_needs])
def test_unknown_options_are_refused_before_anything(needs: Any) -> None:
    with pytest.raises(ConfigError, match="unknown setting"):
        needs({"preset": "sdxl", "stpes": 3} if needs is diffusers_needs else {"stpes": 3})
