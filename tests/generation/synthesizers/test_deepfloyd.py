import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")

import diffusers
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.generation.protocols import Drawn, DrawRequest, Synthesizer
from advgen.generation.synthesizers import stages
from advgen.generation.synthesizers.deepfloyd import DeepFloydSynthesizer
from advgen.generation.synthesizers.loading import Source

QUICK = {"steps1": 1, "steps2": 1, "steps3": 1}
Altered = Callable[[str, str, float], str]


def asked(*seeds: int, size: int = 64, prompt: str = "a red dog on grass") -> list[DrawRequest]:
    return [DrawRequest(prompt, "dog", seed, size) for seed in seeds]


def array(drawn: Drawn) -> np.ndarray:
    return np.asarray(drawn.image).astype(int)


@pytest.fixture(scope="module")
def two(tiny_if: SimpleNamespace) -> DeepFloydSynthesizer:
    return DeepFloydSynthesizer(stage1=tiny_if.stage1, stage2=tiny_if.stage2, **QUICK)


@pytest.fixture(scope="module")
def three(tiny_if: SimpleNamespace) -> DeepFloydSynthesizer:
    return DeepFloydSynthesizer(**vars(tiny_if), **QUICK)


@pytest.fixture
def loaded(two: DeepFloydSynthesizer) -> Iterator[stages.Stages]:
    """Its two pipelines, for tests that put something into them."""
    two.draw(asked(1))
    assert two._stages is not None
    yield two._stages


@pytest.fixture
def altered(tmp_path: Path) -> Altered:
    """A copy of a stage whose safety checker has another bias on one of its two judgements."""

    def alter(stage: str, head: str, bias: float) -> str:
        copy = shutil.copytree(stage, tmp_path / f"{Path(stage).name}-{head}")
        file = copy / "safety_checker" / "model.safetensors"
        weights = load_file(file)
        weights[f"{head}.bias"] = torch.tensor([bias])
        save_file(weights, file, metadata={"format": "pt"})
        return str(copy)

    return alter


def test_eight_images_through_all_stages(three: DeepFloydSynthesizer) -> None:
    assert isinstance(three, Synthesizer)
    drawn = [*three.draw(asked(*range(4), size=256)), *three.draw(asked(*range(4, 8), size=256))]
    assert [one.rejected for one in drawn] == [None] * 8
    assert {one.image.size for one in drawn} == {(256, 256)}
    assert len({one.image.tobytes() for one in drawn}) == 8
    found = drawn[0].details["stages"]
    assert [stage["revision"] for stage in found] == three.revision.split("+")
    assert [stage["noise_level"] for stage in found[1:]] == [250, 100]
    assert [stage["guidance"] for stage in found] == [7.0, 4.0, 9.0]
    assert [stage["nsfw_detected"] for stage in found] == [False] * 3
    assert [stage["watermark_detected"] for stage in found] == [False] * 3
    assert (drawn[0].details["batch_size"], drawn[0].details["dtype"]) == (4, "float32")
    assert "RAIL++" in three.licence
    again = three.draw(asked(*range(4, 8), size=256))
    assert [one.image.tobytes() for one in again] == [one.image.tobytes() for one in drawn[4:]]


def test_an_image_does_not_depend_on_its_neighbours(two: DeepFloydSynthesizer) -> None:
    among = array(two.draw(asked(5, 6))[0])
    others = [*asked(5), *asked(9, prompt="a cat in the moon")]
    assert (among == array(two.draw(others)[0])).all()
    assert np.abs(among - array(two.draw(asked(5))[0])).max() <= 1


def test_stages_do_not_share_their_noise(
    loaded: stages.Stages, two: DeepFloydSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    for name in ("first", "second"):
        real = getattr(loaded, name)

        def spy(*given: Any, real: Any = real) -> Any:
            seen.append([noise.initial_seed() for noise in given[-1]])
            return real(*given)

        monkeypatch.setattr(loaded, name, spy)
    two.draw(asked(1, 2))
    assert len(seen) == 2
    assert len({*seen[0], *seen[1]}) == 4


def test_the_safety_checker_is_loaded_as_it_was_saved(
    loaded: stages.Stages, tiny_if: SimpleNamespace
) -> None:
    pipelines = [(loaded._base, tiny_if.stage1), (loaded._larger, tiny_if.stage2)]
    for pipeline, folder in pipelines:
        saved = load_file(Path(folder) / "safety_checker" / "model.safetensors")
        checker = pipeline.safety_checker
        found = checker.state_dict()
        assert set(saved) == set(found)
        assert all(torch.equal(saved[name], found[name]) for name in saved)
        assert not checker.training
    assert "all_tied_weights_keys" not in vars(type(loaded._base.safety_checker))


@pytest.mark.parametrize(
    ("stage", "head", "reason"),
    [(1, "p_head", "flagged"), (1, "w_head", "watermark"), (2, "p_head", "flagged")],
)
def test_what_the_checker_finds_is_rejected(
    stage: int, head: str, reason: str, tiny_if: SimpleNamespace, altered: Altered
) -> None:
    folders = {"stage1": tiny_if.stage1, "stage2": tiny_if.stage2}
    folders[f"stage{stage}"] = altered(folders[f"stage{stage}"], head, 10.0)
    (drawn,) = DeepFloydSynthesizer(**folders, **QUICK).draw(asked(1))
    assert drawn.rejected == reason
    found = [stage["nsfw_detected"] for stage in drawn.details["stages"]]
    assert found == [stage == 1 and head == "p_head", stage == 2]
    if stage == 2:
        assert array(drawn)[:60, :60].max() == 0


def test_the_upscaled_image_is_checked_too(
    three: DeepFloydSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.draw(asked(1))
    assert three._stages is not None
    second, checker = three._stages.second, three._stages._larger.safety_checker

    def harmless_then_flagged(*given: Any) -> Any:
        checker.p_head.bias.data.fill_(-10)
        images = second(*given)
        checker.p_head.bias.data.fill_(10)
        return images

    monkeypatch.setattr(three._stages, "second", harmless_then_flagged)
    try:
        drawn = three.draw(asked(1, 2, size=256))
    finally:
        checker.p_head.bias.data.fill_(-10)
    assert [one.rejected for one in drawn] == ["flagged"] * 2
    found = [stage["nsfw_detected"] for stage in drawn[0].details["stages"]]
    assert found == [False, False, True]


def test_images_that_nobody_looked_at_are_not_used(
    loaded: stages.Stages, two: DeepFloydSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        loaded._base, "run_safety_checker", lambda image, device, dtype: (image, None, None)
    )
    with pytest.raises(ModelError, match="stage 1 gave no verdict"):
        two.draw(asked(1))


def test_a_stage_without_a_checker_is_refused(tiny_if: SimpleNamespace, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_if.stage2, tmp_path / "bare")
    index = json.loads((copy / "model_index.json").read_text())
    index["safety_checker"] = [None, None]
    (copy / "model_index.json").write_text(json.dumps(index))
    drawer = DeepFloydSynthesizer(stage1=tiny_if.stage1, stage2=str(copy), **QUICK)
    with pytest.raises(ModelError, match="has no safety checker"):
        drawer.draw(asked(1))


def test_a_stage_of_another_kind_is_refused(tiny_if: SimpleNamespace) -> None:
    drawer = DeepFloydSynthesizer(stage1=tiny_if.stage2, stage2=tiny_if.stage1, **QUICK)
    with pytest.raises(ModelError, match="IFSuperResolutionPipeline; this stage needs IFPipeline"):
        drawer.draw(asked(1))


def test_images_that_are_no_numbers_are_broken(
    loaded: stages.Stages, two: DeepFloydSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = loaded._larger.unet.forward

    def half_broken(*given: Any, **more: Any) -> Any:
        (noise,) = forward(*given, **more)
        noise[[0, 2]] = float("nan")
        return (noise,)

    monkeypatch.setattr(loaded._larger.unet, "forward", half_broken)
    drawn = two.draw(asked(1, 2))
    assert [one.rejected for one in drawn] == ["broken", None]


def test_memory_that_does_not_suffice_says_what_to_do(
    loaded: stages.Stages, two: DeepFloydSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loaded._base.unet, "forward", full)
    with pytest.raises(ModelError, match=r"smaller draw\.batch_size.*offload"):
        two.draw(asked(1))


def test_a_sentence_is_encoded_once_for_both_stages(
    tiny_if: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[bool] = []
    real = diffusers.IFPipeline._text_preprocessing

    def spy(self: Any, text: Any, clean_caption: bool = True) -> Any:
        cleaned.append(clean_caption)
        return real(self, text, clean_caption=clean_caption)

    monkeypatch.setattr(diffusers.IFPipeline, "_text_preprocessing", spy)
    drawer = DeepFloydSynthesizer(stage1=tiny_if.stage1, stage2=tiny_if.stage2, **QUICK)
    requests = [*asked(1, 2), *asked(3, prompt="a cat"), *asked(4)]
    drawer.draw(requests)
    assert cleaned == [False] * 4
    drawer.draw(requests[:2])
    assert len(cleaned) == 4
    assert drawer._stages is not None
    assert drawer._stages._larger.text_encoder is None


def test_both_embeddings_go_to_both_stages(
    loaded: stages.Stages, two: DeepFloydSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[tuple[int, ...]] = []
    for pipeline in (loaded._base, loaded._larger):
        forward = pipeline.unet.forward

        def spy(*given: Any, forward: Any = forward, **more: Any) -> Any:
            widths.append(tuple(more["encoder_hidden_states"].shape))
            return forward(*given, **more)

        monkeypatch.setattr(pipeline.unet, "forward", spy)
    two.draw(asked(1, 2, 3))
    assert widths == [(6, 77, 32), (6, 77, 32)]


def test_the_attention_is_torchs_own(loaded: stages.Stages) -> None:
    for pipeline in (loaded._base, loaded._larger):
        kinds = {type(used).__name__ for used in pipeline.unet.attn_processors.values()}
        assert kinds == {"AttnAddedKVProcessor2_0"}


def test_a_negative_prompt_changes_the_image(
    two: DeepFloydSynthesizer, tiny_if: SimpleNamespace
) -> None:
    other = DeepFloydSynthesizer(
        stage1=tiny_if.stage1, stage2=tiny_if.stage2, negative_prompt="a green moon", **QUICK
    )
    (drawn,) = other.draw(asked(1))
    assert (array(drawn) != array(two.draw(asked(1))[0])).any()
    assert drawn.details["negative_prompt"] == "a green moon"


def test_tokens_are_counted_before_anything_is_loaded(tiny_if: SimpleNamespace) -> None:
    drawer = DeepFloydSynthesizer(stage1=tiny_if.stage1, stage2=tiny_if.stage2)
    assert drawer.prompt_fault("dog " * 76) is None
    assert drawer.prompt_fault("DOG " * 76) is None
    assert drawer.prompt_fault("dog " * 77) == "too_many_tokens"
    with pytest.raises(GenerationError, match="too_many_tokens"):
        drawer.draw(asked(1, prompt="dog " * 77))
    assert drawer._stages is None


def test_the_upscaler_must_read_the_sentence_too(three: DeepFloydSynthesizer) -> None:
    assert three.prompt_fault("dog " * 25) is None
    assert three.prompt_fault("dog " * 26) == "too_many_tokens"


def test_another_size_is_resized_and_said(two: DeepFloydSynthesizer) -> None:
    (whole,) = two.draw(asked(1))
    (small,) = two.draw(asked(1, size=48))
    assert whole.details["drawn_size"] == [64, 64]
    assert "resized" not in whole.details
    assert small.details["resized"] == "lanczos"
    wanted = whole.image.resize((48, 48), Image.Resampling.LANCZOS)
    assert small.image.tobytes() == wanted.tobytes()


def test_finished_images_carry_the_watermark_once(
    two: DeepFloydSynthesizer, three: DeepFloydSynthesizer
) -> None:
    magenta = [255, 0, 255]
    corner = array(two.draw(asked(1))[0])[-2:, -2:]
    assert (corner == magenta).all()
    large = array(three.draw(asked(1, size=256))[0])
    assert (large[-14:-4, -14:-4] == magenta).all()
    assert not (large[-40:-20, -40:-20] == magenta).all()


def test_half_precision_and_offloading_go_through_all_stages(tiny_if: SimpleNamespace) -> None:
    drawer = DeepFloydSynthesizer(
        **vars(tiny_if), **QUICK, dtype="bfloat16", device="cpu", offload="model"
    )
    (drawn,) = drawer.draw(asked(1, size=256))
    assert drawn.rejected is None
    assert drawn.details["dtype"] == "bfloat16"
    assert drawer._stages is not None
    assert drawer._stages._base._all_hooks


def test_closing_frees_and_drawing_loads_again(two: DeepFloydSynthesizer) -> None:
    first = array(two.draw(asked(1))[0])
    two.close()
    assert two._stages is None
    assert (array(two.draw(asked(1))[0]) == first).all()
    assert two.draw([]) == []


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"safety_checker": False}, "unknown setting.*'safety_checker'.*guidance1"),
        ({"requires_safety_checker": False}, "unknown setting"),
        ({"step1": 5}, "did you mean steps1"),
        ({"steps1": 0}, "steps1 must be at least 1"),
        ({"steps2": 1.5}, "steps2 must be of type int"),
        ({"guidance1": "7"}, "guidance1 must be of type float"),
        ({"noise_level": -1}, "noise_level must be at least 0"),
        ({"stage2": ""}, "must each name a model"),
        ({"dtype": "half"}, "dtype is 'half'"),
    ],
)
def test_options_are_checked_before_anything(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        DeepFloydSynthesizer(**options)


def test_a_stage_that_is_not_there(tiny_if: SimpleNamespace) -> None:
    with pytest.raises(ModelError, match="there is no model folder './nowhere'"):
        DeepFloydSynthesizer(stage1=tiny_if.stage1, stage2="./nowhere")


def test_published_stages_are_fetched_at_their_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {
        "DeepFloyd/IF-I-XL-v1.0": "1" * 40,
        "DeepFloyd/IF-II-L-v1.0": "2" * 40,
        "stabilityai/stable-diffusion-x4-upscaler": "3" * 40,
    }
    seen: list[dict[str, Any]] = []

    def fetched(kind: Any, source: Source, **settings: Any) -> Any:
        seen.append({**source.pinned, **settings})
        raise ModelError("enough")

    monkeypatch.setattr("advgen.hub.pinned_revision", lambda name, revision=None: commits[name])
    checks = {"safety_checker": ["x", "y"], "feature_extractor": ["x", "y"]}
    index = {"_class_name": "IFPipeline", **checks}
    monkeypatch.setattr(stages, "load_index", lambda source: index)
    monkeypatch.setattr(stages, "load_pipeline", fetched)
    drawer = DeepFloydSynthesizer(
        stage3="stabilityai/stable-diffusion-x4-upscaler", dtype="float16", device="cpu"
    )
    assert drawer.revision == "+".join(commits.values())
    monkeypatch.setattr(drawer, "prompt_fault", lambda prompt: None)
    with pytest.raises(ModelError, match="enough"):
        drawer.draw(asked(1))
    assert seen == [{"revision": "1" * 40, "dtype": torch.float16, "variant": "fp16"}]
