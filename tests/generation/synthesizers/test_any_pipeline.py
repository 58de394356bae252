from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")

import torch

from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.generation.protocols import DrawRequest, Synthesizer
from advgen.generation.synthesizers import any_pipeline
from advgen.generation.synthesizers.any_pipeline import DiffusersSynthesizer
from advgen.generation.synthesizers.loading import Source


def asked(*seeds: int, size: int = 32, prompt: str = "a red dog on grass") -> list[DrawRequest]:
    return [DrawRequest(prompt, "dog", seed, size) for seed in seeds]


@pytest.fixture(scope="module")
def stable(tiny_sd: str) -> DiffusersSynthesizer:
    return DiffusersSynthesizer(model=tiny_sd, steps=2, guidance=5, licence="Apache-2.0")


@pytest.fixture(scope="module")
def flux(tiny_flux: str) -> DiffusersSynthesizer:
    return DiffusersSynthesizer(preset="flux-schnell", model=tiny_flux, steps=1)


def test_every_image_has_its_seed_and_its_provenance(stable: DiffusersSynthesizer) -> None:
    drawn = stable.draw(asked(1, 2, 1))
    assert isinstance(stable, Synthesizer)
    assert stable.licence == "Apache-2.0"
    pixels = [np.asarray(one.image) for one in drawn]
    assert pixels[0].shape == (32, 32, 3)
    assert (pixels[0] == pixels[2]).all()
    assert (pixels[0] != pixels[1]).any()
    assert [one.rejected for one in drawn] == [None] * 3
    details = drawn[0].details
    assert details["pipeline"] == "StableDiffusionPipeline"
    assert (details["steps"], details["guidance"], details["batch_size"]) == (2, 5, 3)
    assert details["nsfw_detected"] is False
    assert details["revision"] == stable.revision


def test_an_image_does_not_depend_on_its_neighbours(stable: DiffusersSynthesizer) -> None:
    among = np.asarray(stable.draw(asked(5, 6))[0].image).astype(int)
    others = [*asked(5), *asked(9, prompt="a cat in a box")]
    assert (among == np.asarray(stable.draw(others)[0].image)).all()
    alone = np.asarray(stable.draw(asked(5))[0].image)
    assert np.abs(among - alone).max() <= 1


def test_flagged_images_are_rejected(flagging_sd: str) -> None:
    drawn = DiffusersSynthesizer(model=flagging_sd, steps=1).draw(asked(1, 2))
    assert [one.rejected for one in drawn] == ["flagged", "flagged"]
    assert np.asarray(drawn[0].image).max() == 0


def test_a_checker_that_says_nothing_is_not_believed(
    stable: DiffusersSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stable.draw(asked(1))
    monkeypatch.setattr(
        stable._pipeline, "run_safety_checker", lambda image, device, dtype: (image, None)
    )
    with pytest.raises(ModelError, match="gave no verdict"):
        stable.draw(asked(1))


def test_broken_and_black_images_are_rejected(
    stable: DiffusersSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stable.draw(asked(1))
    decode = stable._pipeline.vae.decode

    def wrong(*args: Any, **more: Any) -> Any:
        (image,) = decode(*args, **more)
        image[0] = float("nan")
        image[1] = -1.0
        return (image,)

    monkeypatch.setattr(stable._pipeline.vae, "decode", wrong)
    assert [one.rejected for one in stable.draw(asked(1, 2, 3))] == ["broken", "black", None]


def test_memory_that_does_not_suffice_says_what_to_do(
    stable: DiffusersSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stable.draw(asked(1))

    def full(*args: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stable._pipeline.unet, "forward", full)
    with pytest.raises(ModelError, match=r"smaller draw\.batch_size.*offload"):
        stable.draw(asked(1))


def test_closing_frees_and_drawing_loads_again(stable: DiffusersSynthesizer) -> None:
    first = np.asarray(stable.draw(asked(1))[0].image)
    stable.close()
    assert stable._pipeline is None
    assert (np.asarray(stable.draw(asked(1))[0].image) == first).all()


def test_offloading_draws_the_same(stable: DiffusersSynthesizer, tiny_sd: str) -> None:
    options = dict(model=tiny_sd, steps=2, guidance=5.0, device="cpu")
    mover = DiffusersSynthesizer(**options, offload="model")
    moved = mover.draw(asked(1))
    assert len(mover._pipeline._all_hooks) == 3
    assert (np.asarray(moved[0].image) == np.asarray(stable.draw(asked(1))[0].image)).all()


def test_only_the_size_asked_for_is_drawn(stable: DiffusersSynthesizer) -> None:
    with pytest.raises(ConfigError, match="multiples of 2 pixels, not 33"):
        stable.draw(asked(1, size=33))
    with pytest.raises(ValueError, match="one size"):
        stable.draw([*asked(1), *asked(2, size=64)])
    assert stable.draw([]) == []


def test_sentences_that_clip_would_cut_off_are_faults(stable: DiffusersSynthesizer) -> None:
    assert stable.prompt_fault("a dog") is None
    assert stable.prompt_fault("dog " * 25) is None
    assert stable.prompt_fault("dog " * 26) == "too_many_tokens"
    with pytest.raises(GenerationError, match="too_many_tokens"):
        stable.draw(asked(1, prompt="dog " * 40))


def test_the_longest_encoder_decides(flux: DiffusersSynthesizer) -> None:
    assert flux.prompt_fault("dog " * 100) is None
    assert flux.prompt_fault("dog " * 255) is None
    assert flux.prompt_fault("dog " * 256) == "too_many_tokens"


def test_a_preset_gives_what_is_not_said(flux: DiffusersSynthesizer) -> None:
    drawn = flux.draw(asked(3, 3, 4, size=16))
    assert flux.name == "diffusers:flux-schnell"
    assert flux.licence.startswith("Apache-2.0")
    assert flux.native_size == 1024
    assert drawn[0].details["guidance"] == 0.0
    assert drawn[0].details["steps"] == 1
    assert drawn[0].details["call"] == {"max_sequence_length": 256}
    assert drawn[0].details["nsfw_detected"] is None
    pixels = [np.asarray(one.image) for one in drawn]
    assert (pixels[0] == pixels[1]).all()
    assert (pixels[0] != pixels[2]).any()


def test_flux_draws_multiples_of_what_it_packs(flux: DiffusersSynthesizer) -> None:
    with pytest.raises(ConfigError, match="multiples of 4 pixels, not 18"):
        flux.draw(asked(1, size=18))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "needs draw.options.preset or .model"),
        ({"preset": "flux-schnel"}, "did you mean flux-schnell"),
        ({"preset": 3}, "preset must be of type str"),
        ({"preset": "sdxl", "safety_checker": "none"}, "unknown setting.*'safety_checker'.*steps"),
        ({"preset": "sdxl", "steps": "many"}, "steps must be of type int"),
        ({"preset": "sdxl", "steps": True}, "steps must be of type int"),
        ({"preset": "sdxl", "steps": 0}, "steps must be at least 1"),
        ({"preset": "sdxl", "guidance": -1.0}, "guidance must be at least 0"),
        ({"preset": "sdxl", "dtype": "int8"}, "dtype is 'int8'; choose one of auto"),
        ({"preset": "sdxl", "offload": "disk"}, "offload is 'disk'; choose one of auto"),
        ({"preset": "sdxl", "call": {"output_type": "pt"}}, "must not hold 'output_type'"),
        ({"preset": "sdxl", "call": "x"}, "call must be of type Mapping"),
        ({"model": "DeepFloyd/IF-I-XL-v1.0"}, "synthesizer 'deepfloyd'"),
    ],
)
def test_options_are_checked_before_anything(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        DiffusersSynthesizer(**options)


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere/at/all", "a/b/c", "~/nowhere"])
def test_a_folder_that_is_not_there(model: str) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        DiffusersSynthesizer(model=model)


def test_a_folder_without_a_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model_index.json"):
        DiffusersSynthesizer(model=str(tmp_path))


def test_if_in_a_folder_is_refused(tiny_if: Any) -> None:
    with pytest.raises(ConfigError, match="synthesizer 'deepfloyd'"):
        DiffusersSynthesizer(model=tiny_if.stage1)


def test_arguments_that_a_pipeline_does_not_take(tiny_sd: str) -> None:
    drawer = DiffusersSynthesizer(model=tiny_sd, steps=1, call={"guidance_rescal": 0.5})
    with pytest.raises(ConfigError, match="did you mean guidance_rescale"):
        drawer.draw(asked(1))


def test_a_hub_model_is_fetched_at_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789" * 4
    seen: dict[str, Any] = {}

    def fetched(kind: Any, source: Source, **settings: Any) -> Any:
        seen.update(pinned=source.pinned, kind=kind.__name__, **settings)
        raise ModelError("enough")

    monkeypatch.setattr("advgen.hub.pinned_revision", lambda source, revision=None: commit)
    index = {"_class_name": "StableDiffusionXLPipeline"}
    monkeypatch.setattr(any_pipeline, "load_index", lambda source: index)
    monkeypatch.setattr(any_pipeline, "load_pipeline", fetched)
    drawer = DiffusersSynthesizer(preset="sdxl-turbo", device="cpu")
    assert drawer.revision == commit
    assert drawer.prompt_fault("a dog") is None
    with pytest.raises(ModelError, match="enough"):
        drawer.draw(asked(1))
    assert seen["pinned"] == {"revision": commit}
    assert seen["kind"] == "AutoPipelineForText2Image"
    assert seen["variant"] == "fp16"
    assert seen["dtype"] is torch.float32
