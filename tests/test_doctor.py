import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from advgen import registry
from advgen.catalogue import Need
from advgen.config import AttackConfig, attack_config, read_preset
from advgen.doctor import Check, examination, examine, models, passed, places, server, software
from advgen.hub import Access, TokenState
from advgen.plan import Plan, PlannedImages, PlannedModel, attack_plan

LLAMA, XL = "meta-llama/Meta-Llama-3-8B-Instruct", "DeepFloyd/IF-I-XL-v1.0"


@pytest.fixture(autouse=True)
def needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the real parts load, without them."""

    def llama_needs(options: Mapping[str, Any]) -> list[Need]:
        return [Need("describer", options["model"])]

    real: Callable[[str, str], Any] = registry.REGISTRY.resolve
    fake = {
        ("describer needs", "llama"): llama_needs,
        ("synthesizer needs", "deepfloyd"): lambda options: [Need("image stage 1", XL)],
    }
    monkeypatch.setattr(
        registry, "resolve", lambda kind, name: fake.get((kind, name)) or real(kind, name)
    )


def config(preset: str = "sandbox", **changes: Any) -> AttackConfig:
    table = {**read_preset(preset), "pairs": ["dog:deer"]}
    return attack_config(
        {**table, **{key: {**table[key], **value} for key, value in changes.items()}}
    )


def access(state: Any, source: str = XL, message: str = "what to do") -> Access:
    return Access(source, state, message, f"https://huggingface.co/{source}")


def model(**values: Any) -> PlannedModel:
    table: dict[str, Any] = {"role": "image stage 1", "name": XL, "place": "hub", **values}
    return PlannedModel(need=Need(table["role"], table["name"]), **table)


def test_the_sandbox_passes_without_network_gpu_or_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("ADVGEN_CACHE", str(tmp_path / "cache"))
    checks = examine(config(), runs=tmp_path / "runs")
    assert passed(checks) and {check.state for check in checks} == {"ok"}, checks
    found = {check.name: check.message for check in checks}
    assert (found["GPU"], found["token"]) == ("not needed", "not needed")
    assert found["attacked model sandbox-a"].startswith("packaged")
    assert found["images sandbox:2000"] == "2000 images"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_the_paper_without_network_gpu_or_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(software, "gpus", list)
    monkeypatch.chdir(tmp_path)
    checks = examine(config("paper", text={"pool": "sandbox"}))
    failed = {check.name: check for check in checks if check.state == "fail"}
    assert not passed(checks)
    assert set(failed) >= {
        "GPU",
        "token",
        f"describer {LLAMA}",
        f"image stage 1 {XL}",
        "sentence model sentence-transformers/all-distilroberta-v1",
        "attacked model ViT-B-32-quickgelu/openai",
        "images imagenet:imagenet/train?every=250&offset=249",
    }
    for name in (LLAMA, XL):
        page = f"accept the licence at https://huggingface.co/{name}"
        assert any(page in check.todo for check in failed.values())
    assert all(check.todo and "\n" not in check.message + check.todo for check in failed.values())
    assert not (tmp_path / "hub").exists()


def test_everything_is_asked_once_and_each_model_gets_its_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def check_access(needs: list[Need], *, seconds: float) -> list[Access]:
        asked.append([need.source for need in needs])
        states = {LLAMA: "gated", XL: "granted"}
        return [access(states.get(need.source, "cached"), need.source) for need in needs]

    monkeypatch.setattr(examination, "check_access", check_access)
    monkeypatch.setattr(
        examination, "token_state", lambda **options: TokenState("valid", "HF_TOKEN", "someone")
    )
    monkeypatch.setattr(software, "gpus", lambda: [("Large", 80.0)])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    pool = {"pool": "sandbox"}
    checks = examine(config("paper", lens={"images": str(tmp_path / "photos")}, text=pool))
    found = {check.name: check for check in checks}
    assert len(asked) == 1 and len(asked[0]) == 4
    assert found[f"describer {LLAMA}"].state == "fail"
    assert found[f"image stage 1 {XL}"].state == "ok"
    assert found["token"].message == "from HF_TOKEN, of the account someone"
    assert found["GPU"].state == "ok" and "Large, 80 GB" in found["GPU"].message
    assert "downloads" in found


@pytest.mark.parametrize(
    ("state", "expected", "message"),
    [
        ("folder", "ok", "what to do"),
        ("cached", "ok", "what to do"),
        ("open", "ok", "what to do"),
        ("granted", "ok", "what to do"),
        ("gated", "fail", "the licence is not accepted"),
        ("no_token", "fail", "given only to accounts that accepted the licence"),
        ("missing", "fail", "not found"),
        ("unreachable", "fail", "not on this machine"),
    ],
)
def test_a_line_for_each_state_of_access(state: str, expected: str, message: str) -> None:
    check = models.check_model(model(), access(state))
    assert check.name == f"image stage 1 {XL}"
    assert (check.state, check.message) == (expected, message)
    assert check.todo == ("" if expected == "ok" else "what to do")


@pytest.mark.parametrize(
    ("token", "state", "says"),
    [
        (TokenState("none"), "fail", "there is none"),
        (TokenState("refused", "HF_TOKEN"), "fail", "refuses the one from HF_TOKEN"),
        (TokenState("there", "HF_TOKEN"), "warn", "not reached to check it"),
        (TokenState("valid", "HF_TOKEN", "someone"), "ok", "of the account someone"),
    ],
)
def test_a_line_for_each_state_of_the_token(token: TokenState, state: str, says: str) -> None:
    plan = attack_plan(config("paper"))
    check = models.check_token(plan, [access("unreachable", LLAMA)], token)
    assert check.state == state and says in check.message
    assert bool(check.todo) == (state == "fail")


def test_no_token_is_needed_for_what_is_here_or_open() -> None:
    plan = attack_plan(config("paper"))
    here = [access("cached", LLAMA), access("folder", XL)]
    assert models.check_token(plan, here, TokenState("none")).message == "not needed"
    asked = [*here, access("no_token", "me/unheard-of")]
    assert models.check_token(plan, asked, TokenState("none")).state == "fail"


def test_packaged_and_local_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = models.check_model(model(name="sandbox-a", place="packaged"), None)
    assert packaged.state == "ok" and "tensors" in packaged.message
    absent = models.check_model(model(name="sandbox-q", place="packaged"), None)
    assert absent.state == "fail" and "advgen sandbox train sandbox-q" in absent.todo
    folder = tmp_path / "weights" / "sandbox-a"
    folder.mkdir(parents=True)
    (folder / "open_clip_model.safetensors").write_bytes(b"\xff" * 40)
    monkeypatch.setattr(
        models, "resources", SimpleNamespace(files=lambda _: tmp_path, as_file=nullcontext)
    )
    damaged = models.check_model(model(name="sandbox-a", place="packaged"), None)
    assert damaged.state == "fail" and "damaged" in damaged.message
    pictures = models.check_model(model(name=str(tmp_path), place="folder"), None)
    assert pictures.state == "fail" and "holds no model" in pictures.message
    (tmp_path / "open_clip_config.json").write_text("{}")
    local = models.check_model(model(name=str(tmp_path), place="folder"), None)
    assert local.state == "ok"
    gone = models.check_model(model(name=str(tmp_path / "no"), place="folder"), None)
    assert gone.state == "fail" and "correct the path" in gone.todo


def test_the_repository_behind_an_open_clip_name() -> None:
    known = models.repository_of(model(name="ViT-B-16/laion2b_s34b_b88k", place="elsewhere"))
    assert known is not None
    assert known.source == "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
    unknown = model(name="ViT-B-16/nothing", place="elsewhere")
    assert models.repository_of(unknown) is None
    assert models.check_model(unknown, None).state == "fail"
    assert models.repository_of(model(name="sandbox-a", place="packaged")) is None


@pytest.mark.parametrize(
    ("found", "state", "says"),
    [
        ([], "fail", "none; about 23 GB are needed"),
        ([("Small", 8.0)], "warn", "Small, 8 GB; about 20 GB are needed"),
        ([("Middle", 22.0)], "warn", "Middle, 22 GB; about 23 GB are needed"),
        (
            [("Small", 8.0), ("Large", 48.0)],
            "ok",
            "Large, 48 GB, the largest of 2; about 23 GB are needed",
        ),
    ],
)
def test_gpus(
    found: list[tuple[str, float]], state: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "gpus", lambda: found)
    check = software.check_gpu(attack_plan(config("paper")))
    assert (check.state, check.message) == (state, says)
    assert bool(check.todo) == (state != "ok")
    assert ("offload=model" in check.todo) == (found == [("Middle", 22.0)])


def test_small_models_run_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "gpus", list)
    small = attack_plan(config(model={"name": "ViT-B-32-quickgelu/openai"}))
    check = software.check_gpu(small)
    assert check.state == "ok" and "run on the CPU" in check.message


def test_gpus_of_this_machine_are_named_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert software.gpus() == []
    card = SimpleNamespace(name="Card", total_memory=24 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    assert software.gpus() == [("Card", 24.0), ("Card", 24.0)]


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "1.0", "diffusers": "99.0", "transformers": "4.40.0"}
    requires = [
        "torch>=2.6",
        "transformers>=5.0; extra == 'real'".replace("'", '"'),
        'diffusers>=0.36; extra == "real"',
        'accelerate>=1.2; extra == "real"',
    ]

    def version(name: str) -> str:
        if name in versions:
            return versions[name]
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(software.metadata, "version", version)
    monkeypatch.setattr(software.metadata, "requires", lambda name: requires)
    found = {check.name: check for check in software.check_packages(config("paper"))}
    assert found["torch"] == Check(
        "torch", "fail", "1.0 does not meet >=2.6", "pip install -U advgen"
    )
    assert found["transformers"].todo == "pip install -U 'advgen[real]'"
    assert found["diffusers"] == Check("diffusers", "ok", "99.0")
    assert found["accelerate"].todo == "pip install 'advgen[real]'"
    assert found["sentence-transformers"].state == "fail"
    sandbox = {check.name for check in software.check_packages(config())}
    assert "transformers" not in sandbox and "torch" in sandbox


@pytest.mark.parametrize(("version", "state"), [((3, 9, 1), "fail"), ((3, 12, 0), "ok")])
def test_python(version: tuple[int, ...], state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert software.check_python().state == state


def plan_of(*sizes: float | None) -> Plan:
    sources = [f"me/m{number}" for number in range(len(sizes))]
    wanted = [
        model(name=source, download_gb=size) for source, size in zip(sources, sizes, strict=True)
    ]
    plan = attack_plan(config())
    return Plan(tuple(wanted), plan.images, plan.pool, plan.counts, plan.stages, (), ())


@pytest.mark.parametrize(
    ("sizes", "here", "state", "says"),
    [
        ((4.0, 5.0), (), "ok", "about 9.0 GB to download, 10.0 GB free"),
        ((4.0, 5.8), (), "warn", "about 9.8 GB"),
        ((4.0, 50.0), (), "fail", "about 54.0 GB"),
        ((4.0, 50.0), ("me/m1",), "ok", "about 4.0 GB"),
        ((4.0, None), (), "ok", "at least 4.0 GB"),
        ((4.0,), ("me/m0",), "ok", "nothing to download"),
    ],
)
def test_disk(
    sizes: tuple[float | None, ...],
    here: tuple[str, ...],
    state: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(places.shutil, "disk_usage", lambda path: SimpleNamespace(free=10e9))
    known = [access("cached", source) for source in here]
    check = places.check_disk(plan_of(*sizes), known, tmp_path / "not" / "there")
    assert check.state == state and says in check.message
    assert ("HF_HOME" in check.todo) == (state != "ok")


def test_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.check_writable("runs", tmp_path / "a" / "b", "todo").state == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert places.check_writable("runs", tmp_path / "file", "todo").message.endswith("is a file")

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    check = places.check_writable("runs", tmp_path, "todo")
    assert (check.state, check.todo) == ("fail", "todo") and "Permission denied" in check.message


@pytest.mark.parametrize(
    ("spec", "place", "state", "says"),
    [
        ("sandbox:30", "drawn", "ok", "30 images"),
        ("sandbox:x", "drawn", "fail", "cannot be read"),
        ("imagenet:{tmp}/full", "folder", "ok", "is there"),
        ("{tmp}/full?limit=3", "folder", "ok", "is there"),
        ("imagenet:{tmp}/none/train", "folder", "fail", "there is no folder"),
        ("{tmp}/empty", "folder", "fail", "is empty"),
        ("hf:cifar10", "hub", "warn", "fetched at first use"),
    ],
)
def test_image_sets(spec: str, place: Any, state: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.png").write_bytes(b"")
    spec = spec.replace("{tmp}", str(tmp_path))
    check = places.check_images(PlannedImages("any", spec, place))
    assert check.state == state and says in check.message
    assert bool(check.todo) == (state == "fail")


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "pool.txt").write_text("a\nb\n")
    (tmp_path / "block.txt").write_text("dog: puppy\n")
    pool, block = {"pool": str(tmp_path / "pool.txt")}, {"block": str(tmp_path / "block.txt")}
    checks = places.check_texts(config(text=pool, mining=block))
    assert [check.message for check in checks] == ["2 texts", "1 classes"]
    wrong = {"pool": str(tmp_path / "none.txt")}, {"block": str(tmp_path / "none.txt")}
    checks = places.check_texts(config(text=wrong[0], mining=wrong[1]))
    assert [check.state for check in checks] == ["fail", "fail"]
    assert all("none.txt" in check.todo for check in checks)


def test_chat_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def found(url: str) -> tuple[str, str]:
        options = {"describer": "openai", "options": {"model": "any", "url": url}}
        (check,) = server.check_server(config(describe=options), 2.0)
        return check.state, check.message

    assert server.check_server(config(), 2.0) == []
    assert found("") == ("fail", "OpenAI's server needs a key")
    assert found("nonsense")[0] == "fail"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        assert found(url) == ("ok", f"something listens at {url}")
    assert found(url)[0] == "fail"
