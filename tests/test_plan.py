import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from advgen import registry
from advgen.catalogue import Need, model_facts
from advgen.cli.plan_tables import print_plan
from advgen.config import AttackConfig, attack_config, preset_names, read_preset
from advgen.errors import ConfigError
from advgen.plan import attack_plan

LLAMA = "meta-llama/Meta-Llama-3-8B-Instruct"
XL, UPPER = "DeepFloyd/IF-I-XL-v1.0", "DeepFloyd/IF-II-L-v1.0"


def llama_needs(options: Mapping[str, Any]) -> list[Need]:
    return [Need("describer", options["model"])]


def deepfloyd_needs(options: Mapping[str, Any]) -> list[Need]:
    return [Need("image stage 1", XL), Need("image stage 2", UPPER, ("unet/*",))]


@pytest.fixture(autouse=True)
def needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the real parts load, without them."""
    real: Callable[[str, str], Any] = registry.REGISTRY.resolve
    fake = {
        ("describer needs", "llama"): llama_needs,
        ("synthesizer needs", "deepfloyd"): deepfloyd_needs,
        ("synthesizer needs", "diffusers"): lambda options: [Need("image model", options["it"])],
    }
    monkeypatch.setattr(
        registry, "resolve", lambda kind, name: fake.get((kind, name)) or real(kind, name)
    )


def config(preset: str = "sandbox", **changes: Any) -> AttackConfig:
    table = {**read_preset(preset), "pairs": ["dog:deer"]}
    for key, value in changes.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
    return attack_config(table)


def test_the_sandbox_needs_nothing() -> None:
    plan = attack_plan(config())
    assert [(model.role, model.name, model.place) for model in plan.models] == [
        ("attacked model", "sandbox-a", "packaged")
    ]
    assert (plan.peak_gpu_gb, plan.least_gpu_gb, plan.download_gb) == (0, 0, 0)
    assert plan.online == () and plan.needs == []
    assert [(found.spec, found.place) for found in plan.images] == [("sandbox:2000", "drawn")]


def test_the_paper_names_every_model_with_its_facts() -> None:
    plan = attack_plan(config("paper"))
    assert [(model.role, model.need.source) for model in plan.models] == [
        ("attacked model", "timm/vit_base_patch32_clip_224.openai"),
        ("sentence model", "sentence-transformers/all-distilroberta-v1"),
        ("describer", LLAMA),
        ("image stage 1", XL),
        ("image stage 2", UPPER),
    ]
    gated = {model.name: model.page for model in plan.models if model.gated}
    assert gated == {name: f"https://huggingface.co/{name}" for name in (LLAMA, XL, UPPER)}
    assert plan.models[0].name == "ViT-B-32-quickgelu/openai"
    assert len(plan.online) == 5
    assert plan.images[0].place == "folder"


@pytest.mark.parametrize("preset", preset_names())
def test_all_is_known_of_the_models_of_every_preset(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "resolve", registry.REGISTRY.resolve)
    plan = attack_plan(config(preset))
    for model in plan.models:
        assert model.licence and model.gated is not None, model
        assert model.download_gb is not None and model.gpu_gb is not None, model
    assert not any(stage.unknown for stage in plan.stages)
    assert plan.least_gpu_gb <= plan.peak_gpu_gb


def test_memory_of_the_largest_step_the_describer_is_gone_before_images() -> None:
    plan = attack_plan(config("paper"))
    clip, llama, xl = (model_facts(plan.models[i].need.source) for i in (0, 2, 3))
    upper = model_facts(UPPER, files=("unet/*",))
    assert clip.gpu_gb and llama.gpu_gb and xl.gpu_gb and upper.gpu_gb and xl.largest_gb
    steps = {stage.name: stage for stage in plan.stages}
    writing, drawing = steps["writing descriptions"], steps["drawing and scoring images"]
    assert writing.gpu_gb == pytest.approx(clip.gpu_gb + llama.gpu_gb, abs=0.02)
    assert drawing.gpu_gb == pytest.approx(clip.gpu_gb + xl.gpu_gb + upper.gpu_gb, abs=0.02)
    assert drawing.least_gb == pytest.approx(clip.gpu_gb + xl.largest_gb, abs=0.02)
    assert plan.peak_gpu_gb == max(writing.gpu_gb, drawing.gpu_gb)
    assert plan.least_gpu_gb == max(writing.gpu_gb, drawing.least_gb)


def test_number_formats_and_offloading_of_the_options() -> None:
    table = read_preset("paper")["describe"]["options"]
    small = config("paper", describe={"options": {**table, "quantization": "int4"}})
    usual, fewer = attack_plan(config("paper")), attack_plan(small)
    assert usual.models[2].gpu_gb == pytest.approx(4 * (fewer.models[2].gpu_gb or 0), rel=0.01)
    fixed = attack_plan(config("paper", draw={"options": {"offload": "none", "dtype": "float32"}}))
    assert fixed.stages[-1].least_gb > 2 * usual.stages[-1].least_gb
    assert fixed.models[3].gpu_gb == pytest.approx(2 * (usual.models[3].gpu_gb or 0), rel=0.01)


def test_a_repository_that_serves_twice_is_fetched_once() -> None:
    twice = config("paper", draw={"synthesizer": "diffusers", "options": {"it": LLAMA}})
    plan = attack_plan(twice)
    assert plan.download_gb == pytest.approx(16.06 + 0.61 + 0.33, abs=0.02)


def test_counts() -> None:
    plan = attack_plan(
        config(
            pairs=["dog:deer", "cat:fox"],
            methods=["second-order", "random", "similar-words"],
            repeats=3,
            images=40,
            describe={"candidates": 30, "descriptions": 8, "max_attempts": 4, "rounds": 2},
            draw={"max_redraws": 2},
        )
    )
    counts = plan.counts
    assert (counts.pairs, counts.methods, counts.repeats, counts.cells) == (2, 3, 3, 18)
    assert (counts.candidates, counts.descriptions, counts.images) == (540, 144, 720)
    assert (counts.askings, counts.draws) == ((36, 144), 2160)
    assert "2 rounds" in plan.stages[-1].name
    few = attack_plan(config(images=3)).counts
    assert (few.images, few.descriptions) == (3, 3), "no description is drawn without an image"


@pytest.mark.parametrize(
    ("name", "place", "source"),
    [
        ("sandbox-a", "packaged", "sandbox-a"),
        ("hf-hub:me/it@v1", "hub", "me/it@v1"),
        ("transformers:me/it@v1", "hub", "me/it@v1"),
        ("transformers:{tmp}", "folder", "{tmp}"),
        ("ViT-B-16/laion2b_s34b_b88k", "elsewhere", "ViT-B-16/laion2b_s34b_b88k"),
        ("ViT-B-32@weights/b32.pt", "folder", "weights/b32.pt"),
        ("{tmp}", "folder", "{tmp}"),
    ],
)
def test_where_the_attacked_model_comes_from(
    name: str, place: str, source: str, tmp_path: Path
) -> None:
    here = str(tmp_path)
    plan = attack_plan(config(model={"name": name.replace("{tmp}", here)}))
    attacked = plan.models[0]
    assert (attacked.place, attacked.need.source) == (place, source.replace("{tmp}", here))
    if place != "packaged":
        assert attacked.licence is None and plan.stages[0].unknown == ("attacked model",)
    assert bool(plan.online) == (place in ("hub", "elsewhere"))


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("sandbox:20?single=1", "drawn"),
        ("imagenet:some/where?every=10", "folder"),
        ("some/photos", "folder"),
        ("folder:some/photos", "folder"),
        ("hf:cifar10?split=test", "hub"),
        ("hf:{tmp}", "folder"),
    ],
)
def test_where_image_sets_come_from(spec: str, place: str, tmp_path: Path) -> None:
    spec = spec.replace("{tmp}", str(tmp_path))
    mining = {"score": "activation", "activation_images": spec}
    plan = attack_plan(config(lens={"images": spec}, mining=mining))
    assert [(found.spec, found.place) for found in plan.images] == [(spec, place)] * 2
    assert any(spec in line for line in plan.online) == (place == "hub")


@pytest.mark.parametrize(
    ("similarity", "source"),
    [
        ("sentence:all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("sentence:me/sentences", "me/sentences"),
        ("letters", None),
        ("none", None),
    ],
)
def test_sentence_model(similarity: str, source: str | None) -> None:
    plan = attack_plan(config(mining={"similarity": similarity}))
    found = [model.need.source for model in plan.models if model.role == "sentence model"]
    assert found == ([source] if source else [])


def test_a_chat_server_is_named_and_needs_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "any", "url": "http://127.0.0.1:8000/v1/"}
    plan = attack_plan(config(describe={"describer": "openai", "options": options}))
    assert plan.online == ("describer: asks the chat server http://127.0.0.1:8000/v1",)


@pytest.mark.parametrize("part", ["describe", "draw"])
def test_an_unknown_part_is_refused(part: str) -> None:
    name = {"describe": "describer", "draw": "synthesizer"}[part]
    with pytest.raises(ConfigError, match=f"unknown {name}"):
        attack_plan(config("sandbox", **{part: {name: "magic"}}))


@pytest.mark.parametrize("preset", ["sandbox", "paper"])
def test_as_json(preset: str) -> None:
    plan = attack_plan(config(preset))
    table = json.loads(json.dumps(plan.to_json()))
    assert set(table) == {
        *("models", "images", "pool", "counts", "stages", "files", "online"),
        *("peak_gpu_gb", "least_gpu_gb", "download_gb"),
    }
    assert table["counts"]["images"] == 100
    assert [model["name"] for model in table["models"]] == [model.name for model in plan.models]
    assert {"role", "licence", "page", "gated", "download_gb", "gpu_gb"} <= set(table["models"][0])


def test_as_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(attack_plan(config("paper", model={"name": "hf-hub:me/it"})))
    shown, told = capsys.readouterr()
    assert told == ""
    for model in (LLAMA, XL, UPPER):
        assert f"{model}: accept the licence at https://huggingface.co/{model}" in shown
    row = next(line for line in shown.splitlines() if line.startswith("me/it "))
    assert row.count("unknown") == 4, "licence, gate, download and memory"
    assert "images: 100, from at most 500 draws" in shown
    assert "records.parquet" in shown and "run.toml" in shown
    assert "and more" in shown, "a step with a model of unknown size"
    assert shown.count("and the attacked model, of unknown size") == 2, "memory and downloads"


def test_tables_of_the_sandbox_ask_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(attack_plan(config()))
    shown = capsys.readouterr().out
    assert "everything works without a network" in shown
    assert "GPU memory of the largest step: none; downloads: none" in shown
    assert "accept the licence" not in shown and "unknown" not in shown


def test_a_plan_imports_nothing_heavy() -> None:
    code = (
        "import sys; from advgen.plan import attack_plan; "
        "from advgen.config import attack_config, preset_names, read_preset; "
        "[attack_plan(attack_config({**read_preset(name), 'pairs': ['dog:deer']})) "
        "for name in preset_names()]; "
        "print([name for name in ('torch', 'open_clip', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr
