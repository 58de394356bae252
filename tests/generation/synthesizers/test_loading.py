import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("diffusers")

import diffusers
import torch
from diffusers.pipelines.deepfloyd_if.safety_checker import IFSafetyChecker
from huggingface_hub.errors import GatedRepoError

from advgen.errors import ModelError
from advgen.generation.synthesizers import loading
from advgen.generation.synthesizers.loading import (
    Source,
    checker_loadable,
    chosen_device,
    chosen_dtype,
    chosen_variant,
    load_index,
    load_pipeline,
    load_tokenizer,
    offloaded,
    pinned_source,
)
from advgen.generation.synthesizers.options import PipelineOptions

CPU = torch.device("cpu")
TIED = "all_tied_weights_keys"


def test_the_checker_is_patched_while_loading_only(tiny_if: SimpleNamespace) -> None:
    assert not hasattr(IFSafetyChecker, TIED)
    with checker_loadable():
        assert getattr(IFSafetyChecker, TIED) == {}
        IFSafetyChecker.from_pretrained(tiny_if.stage1, subfolder="safety_checker")
    assert not hasattr(IFSafetyChecker, TIED)
    with pytest.raises(RuntimeError, match="anything"), checker_loadable():
        raise RuntimeError("anything")
    assert not hasattr(IFSafetyChecker, TIED)


def test_a_checker_that_knows_the_attribute_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IFSafetyChecker, TIED, {"a": "b"}, raising=False)
    with checker_loadable():
        assert getattr(IFSafetyChecker, TIED) == {"a": "b"}
    assert getattr(IFSafetyChecker, TIED) == {"a": "b"}


def test_loading_leaves_progress_bars_as_they_were(tiny_if: SimpleNamespace) -> None:
    from diffusers.utils import logging

    before = logging.is_progress_bar_enabled()
    load_pipeline(diffusers.IFPipeline, pinned_source(tiny_if.stage1))
    assert logging.is_progress_bar_enabled() == before


def test_a_gated_model_says_where_its_licence_is(monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Any = SimpleNamespace(headers={}, request=None, status_code=403)

    def gated(*given: Any, **more: Any) -> Any:
        assert more == {"revision": "1" * 40}
        raise OSError("You are trying to access a gated repo") from GatedRepoError(
            "x", response=answer
        )

    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", gated)
    with pytest.raises(ModelError, match=r"accept it at https://huggingface.co/a/b"):
        load_index(Source("a/b", "1" * 40))


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot load"):
        load_pipeline(diffusers.IFPipeline, pinned_source(str(tmp_path)))


def test_memory_that_does_not_suffice_for_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", full)
    with pytest.raises(ModelError, match="ran out of memory"):
        load_index(Source("a/b", "1" * 40))


@pytest.fixture(scope="module")
def pieces_only(tiny_if: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first stage whose tokenizer is a sentencepiece file alone, as in IF's own repositories."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = Path(shutil.copytree(tiny_if.stage1, tmp_path_factory.mktemp("pieces") / "stage1"))
    (folder / "tokenizer" / "tokenizer.json").unlink()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a dog on grass", "the moon in a photo", "a cat by the sea"] * 9),
        model_prefix=str(folder / "tokenizer" / "spiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return folder


def test_a_sentencepiece_tokenizer_is_read(pieces_only: Path) -> None:
    source = pinned_source(str(pieces_only))
    tokenizer = load_tokenizer(load_index(source), "tokenizer", source)
    short, long = (len(tokenizer(text).input_ids) for text in ("a dog", "a dog on grass, a dog"))
    assert 2 <= short < long


def test_without_its_packages_a_sentencepiece_tokenizer_names_them(pieces_only: Path) -> None:
    script = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "gone = ('sentencepiece', 'google.protobuf', 'tiktoken')\n"
        "importlib.util.find_spec = lambda name, *a: None if name in gone else find(name, *a)\n"
        "sys.modules['sentencepiece'] = None\n"
        "from advgen.errors import ModelError\n"
        "from advgen.generation.synthesizers.loading import *\n"
        "source = pinned_source(sys.argv[1])\n"
        "try:\n"
        "    load_tokenizer(load_index(source), 'tokenizer', source)\n"
        "except ModelError as error:\n"
        "    sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", script, str(pieces_only)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "needs two packages more: pip install sentencepiece protobuf" in done.stderr


def test_a_revision_may_follow_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def pinned(name: str, revision: str | None = None) -> str:
        asked.append((name, revision))
        return "f" * 40

    monkeypatch.setattr("advgen.hub.pinned_revision", pinned)
    assert pinned_source("a/b@v2").pinned == {"revision": "f" * 40}
    assert pinned_source("a/b").name == "a/b"
    assert asked == [("a/b", "v2"), ("a/b", None)]


def test_a_folder_is_pinned_by_its_contents(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"a": 1}), encoding="utf-8")
    first = pinned_source(str(tmp_path))
    assert first.pinned == {}
    (tmp_path / "model_index.json").write_text(json.dumps({"a": 2}), encoding="utf-8")
    assert pinned_source(str(tmp_path)).revision != first.revision


def test_devices_and_number_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "local_device", lambda: "cpu")
    assert chosen_device(PipelineOptions()) == CPU
    with pytest.raises(ModelError, match="draw.options.device"):
        chosen_device(PipelineOptions(device="abacus"))
    with pytest.raises(ModelError, match="'cuda:99' cannot be used"):
        chosen_device(PipelineOptions(device="cuda:99"))
    gpu = torch.device("cuda")
    assert chosen_dtype(PipelineOptions(), CPU, "float16") is torch.float32
    assert chosen_dtype(PipelineOptions(), gpu, "float16") is torch.float16
    assert chosen_dtype(PipelineOptions(dtype="bfloat16"), CPU, "float16") is torch.bfloat16


@pytest.mark.parametrize(("gigabytes", "wanted"), [(24, True), (80, False)])
def test_small_devices_are_relieved(
    gigabytes: int, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = SimpleNamespace(total_memory=gigabytes * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: size)
    gpu = torch.device("cuda")
    assert offloaded(PipelineOptions(), gpu) is wanted
    assert offloaded(PipelineOptions(offload="none"), gpu) is False
    assert offloaded(PipelineOptions(offload="model"), gpu) is True
    assert offloaded(PipelineOptions(), CPU) is False


def test_which_weight_files_are_read(tmp_path: Path) -> None:
    folder, hub = Source(str(tmp_path), "x"), Source("a/b", "x")
    half, whole = torch.float16, torch.float32
    auto = PipelineOptions()
    assert chosen_variant(auto, hub, half, published=True) == "fp16"
    assert chosen_variant(auto, hub, half, published=False) is None
    assert chosen_variant(auto, hub, whole, published=True) is None
    assert chosen_variant(auto, folder, half, published=True) is None
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.fp16.safetensors").touch()
    assert chosen_variant(auto, folder, half, published=False) == "fp16"
    assert chosen_variant(PipelineOptions(variant=""), hub, half, published=True) is None
    assert chosen_variant(PipelineOptions(variant="ema"), folder, whole, published=True) == "ema"
