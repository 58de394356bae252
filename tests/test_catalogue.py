from importlib import resources

import pytest

from advgen.catalogue import (
    BYTES,
    WORKING_SHARE,
    ModelFacts,
    Need,
    known_models,
    known_need,
    model_facts,
    needs_nothing,
)
from advgen.toml import read_toml

XL = "DeepFloyd/IF-I-XL-v1.0"


@pytest.mark.parametrize("source", known_models())
def test_every_entry_is_sound(source: str) -> None:
    facts = model_facts(source)
    assert facts.source == source and source.count("/") == 1
    assert facts.licence and facts.licence_page and facts.licence_page.startswith("https://")
    assert facts.gpu_gb is not None and facts.largest_gb is not None
    assert 0 < facts.largest_gb <= facts.gpu_gb < 200
    assert facts.download_gb is None or 0 < facts.download_gb < 200
    assert facts.note == facts.note.strip() and not facts.note.endswith(".")


def test_the_models_of_the_diffusers_presets_are_known() -> None:
    path = resources.files("advgen.generation.synthesizers").joinpath("presets.toml")
    presets = read_toml(path.read_text(encoding="utf-8"))
    assert len(presets) > 5
    for preset in presets.values():
        licence = model_facts(preset["model"]).licence
        assert licence and licence.split()[0] == preset["licence"].split()[0], preset["model"]


def test_no_name_is_given_twice() -> None:
    names = known_models()
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("source", "download", "published"),
    [
        # Sizes of the weight files as their repositories list them, in 10^9 bytes.
        ("meta-llama/Llama-3.1-8B-Instruct", 16.07, "4.98 + 5.00 + 4.92 + 1.17"),
        ("timm/vit_base_patch32_clip_224.openai", 0.605, "0.605"),
        ("sentence-transformers/all-distilroberta-v1", 0.328, "0.328"),
        ("Qwen/Qwen-Image", 57.7, "57.7"),
        ("Tongyi-MAI/Z-Image-Turbo", 32.84, "24.62 + 8.05 + 0.17"),
        ("stabilityai/stable-diffusion-xl-base-1.0", 6.94, "5.14 + 0.246 + 1.39 + 0.167"),
        ("stabilityai/stable-diffusion-x4-upscaler", 3.49, "3.53 less a layer of text encoder"),
    ],
)
def test_sizes_from_parameters_agree_with_published_files(
    source: str, download: float, published: str
) -> None:
    assert model_facts(source).download_gb == pytest.approx(download, rel=0.01), published


@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu/openai", "ViT-B-32/openai"])
def test_the_attacked_model_is_found_by_its_open_clip_name(name: str) -> None:
    need = known_need("attacked model", name)
    assert need is not None and need.source == "timm/vit_base_patch32_clip_224.openai"
    assert need.files == ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    facts = model_facts(name)
    assert (facts.licence, facts.gated) == ("MIT", False)


def test_what_is_not_known_is_not_guessed() -> None:
    assert model_facts("some/model") == ModelFacts("some/model")
    assert known_need("attacked model", "some/model") is None


def test_only_the_parts_that_are_fetched_count() -> None:
    whole = model_facts(XL)
    unet = model_facts(XL, files=("model_index.json", "unet/*"))
    assert whole.download_gb == pytest.approx(2 * (4.762 + 4.305 + 0.304), rel=0.01)
    assert unet.download_gb == pytest.approx(2 * 4.305, rel=0.01)
    assert model_facts(XL, files=("*/*.safetensors",)) == whole
    assert model_facts(XL, files=("*.json", "*.safetensors")) == whole
    assert whole.largest_gb == pytest.approx(2 * 4.762 * WORKING_SHARE, rel=0.01)


@pytest.mark.parametrize("dtype", BYTES)
def test_memory_follows_the_number_format_and_downloads_do_not(dtype: str) -> None:
    source = "meta-llama/Meta-Llama-3-8B-Instruct"
    usual, other = model_facts(source), model_facts(source, dtype=dtype)
    assert other.gpu_gb == pytest.approx(8.030261248 * BYTES[dtype] * WORKING_SHARE, abs=0.01)
    assert other.download_gb == usual.download_gb
    assert model_facts(source, dtype="auto") == usual


def test_a_revision_does_not_matter() -> None:
    assert model_facts(f"{XL}@main") == model_facts(XL)


def test_parts_without_models_need_nothing() -> None:
    assert needs_nothing({"any": 1}) == []
    assert Need("role", "me/it").files == ()
