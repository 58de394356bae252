import importlib
import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from advgen.chat import ChatModel, ChatOptions, Message, load_chat
from advgen.errors import ConfigError, GenerationError, ModelError

pytest.importorskip("transformers")
llama_chat = importlib.import_module("advgen.chat.llama_chat")
CPU = ChatOptions(device="cpu")
TALK = [Message("system", "be brief"), Message("user", "Image with a cat")]


@pytest.fixture(scope="module")
def chat(tiny_llama: Path) -> ChatModel:
    return load_chat(f"llama:{tiny_llama}", CPU)


def test_the_same_seed_gives_the_same_text(chat: ChatModel, tiny_llama: Path) -> None:
    first = chat.complete(TALK, max_tokens=16, temperature=1.0, seed=5)
    again = load_chat(f"llama:{tiny_llama}", CPU)
    assert again.complete(TALK, max_tokens=16, temperature=1.0, seed=5) == first
    assert chat.complete(TALK, max_tokens=16, temperature=1.0, seed=6).text != first.text
    assert (again.name, again.revision) == (chat.name, chat.revision)


def test_sampling_leaves_the_global_state_as_it_was(chat: ChatModel) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    numbers = np.random.get_state()[1]
    chat.complete(TALK, max_tokens=4, temperature=1.0, seed=(1 << 63) - 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.asarray(np.random.get_state()[1]), np.asarray(numbers))


def likeliest(folder: Path, count: int) -> tuple[int, list[int]]:
    """Number of tokens of the question, and the likeliest tokens one by one."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    asked = "<|system|>be brief</s><|user|>Image with a cat</s><|assistant|>"
    ids = tokenizer(asked, add_special_tokens=False, return_tensors="pt")["input_ids"]
    read = ids.shape[1]
    for _ in range(count):
        with torch.no_grad():
            best = model(ids).logits[0, -1].argmax()
        ids = torch.cat([ids, best.view(1, 1)], dim=1)
    return read, ids[0, read:].tolist()


def test_temperature_zero_is_the_likeliest_token_each_time(
    chat: ChatModel, tiny_llama: Path
) -> None:
    from transformers import AutoTokenizer

    read, written = likeliest(tiny_llama, 8)
    reply = chat.complete(TALK, max_tokens=8, temperature=0.0, seed=3)
    decoded = AutoTokenizer.from_pretrained(tiny_llama).decode(written, skip_special_tokens=True)
    assert reply.text == decoded.strip()
    assert (reply.prompt_tokens, reply.completion_tokens) == (read, 8)
    assert reply.finish == "length"


def test_an_answer_ends_at_any_of_the_model_s_end_tokens(tiny_llama: Path, tmp_path: Path) -> None:
    _, written = likeliest(tiny_llama, 8)
    end = next(at for at in range(1, 8) if written[at] not in written[:at])
    folder = shutil.copytree(tiny_llama, tmp_path / "brief")
    settings = {"bos_token_id": 0, "eos_token_id": [299, written[end]]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    reply = load_chat(f"llama:{folder}", CPU).complete(TALK, max_tokens=30, temperature=0.0)
    assert (reply.finish, reply.completion_tokens) == ("stop", end + 1)


def test_an_answer_takes_no_more_room_than_there_is(chat: ChatModel) -> None:
    read = chat.complete(TALK, max_tokens=1, temperature=0.0).prompt_tokens or 0
    reply = chat.complete(TALK, max_tokens=500, temperature=0.0)
    if reply.finish == "length":
        assert reply.completion_tokens == 96 - read
    assert 1 <= (reply.completion_tokens or 0) <= 96 - read
    with pytest.raises(GenerationError, match="cannot read a conversation of"):
        chat.complete([Message("user", "x" * 200)], max_tokens=5)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}", None),
        ("{{ raise_exception('never') }}", "the chat template of .* fails: never"),
    ],
)
def test_a_template_without_a_system_role_gets_it_with_the_question(
    template: str, says: str | None, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "strict")
    plain = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template + plain)
    chat = load_chat(f"llama:{folder}", CPU)
    if says is not None:
        with pytest.raises(ModelError, match=says):
            chat.complete(TALK, max_tokens=3)
        return
    folded = [Message("user", f"{TALK[0].content}\n\n{TALK[1].content}")]
    reply = chat.complete(TALK, max_tokens=6, temperature=0.0)
    assert reply == chat.complete(folded, max_tokens=6, temperature=0.0)


def test_the_revision_of_a_folder_follows_its_weights(
    chat: ChatModel, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "copy")
    assert load_chat(f"llama:{folder}", CPU).revision == chat.revision
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))
    assert load_chat(f"llama:{folder}", CPU).revision != chat.revision


def test_the_asked_revision_is_the_one_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def load(source: str, **named: Any) -> Any:
        given.append((source, named["revision"]))
        raise OSError("enough seen")

    monkeypatch.setattr(llama_chat.AutoTokenizer, "from_pretrained", load)
    for target in ("some/model@0123abc", "some/model"):
        with pytest.raises(ModelError, match="cannot load 'some/model.*: enough seen"):
            load_chat(f"llama:{target}", CPU)
    assert given == [("some/model", "0123abc"), ("some/model", "main")]


def test_weights_are_given_in_the_asked_number_format(tiny_llama: Path) -> None:
    chat: Any = load_chat(f"llama:{tiny_llama}", ChatOptions(device="cpu", dtype="bfloat16"))
    assert {p.dtype for p in chat._model.parameters()} == {torch.bfloat16}
    assert chat.complete(TALK, max_tokens=3, temperature=0.0).completion_tokens == 3
    chat.close()
    assert chat._model is None


def broken(tiny: Path, folder: Path, fault: str) -> Path:
    if fault == "no folder":
        return folder / "none"
    if fault == "empty":
        folder.mkdir()
        return folder
    shutil.copytree(tiny, folder)
    if fault == "no weights":
        (folder / "model.safetensors").unlink()
    elif fault == "missing weight":
        weights = load_file(folder / "model.safetensors")
        del weights["lm_head.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    elif fault == "half weights":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))
    return folder


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("no folder", "there is no model folder"),
        ("empty", "holds no model: it has no config.json"),
        ("no weights", "cannot load"),
        ("half weights", "cannot load"),
        ("missing weight", "is not whole: it lacks lm_head.weight, one of 1"),
        ("unknown kind", "cannot load"),
    ],
)
def test_a_broken_folder_is_one_line(
    fault: str, says: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        load_chat(f"llama:{broken(tiny_llama, tmp_path / 'model', fault)}", CPU)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_chat_template_is_refused(base_llama: Path) -> None:
    with pytest.raises(ModelError, match="no chat template; use an instruction-tuned model"):
        load_chat(f"llama:{base_llama}", CPU)


def test_an_unknown_number_format_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(ConfigError, match="dtype must be one of auto, float32.*int3"):
        load_chat(f"llama:{tiny_llama}", ChatOptions(dtype="int3"))


def test_a_narrow_nucleus_is_the_likeliest_token(chat: ChatModel) -> None:
    likely = chat.complete(TALK, max_tokens=8, temperature=0.0)
    assert chat.complete(TALK, max_tokens=8, temperature=1.0, top_p=1e-6, seed=1) == likely
    wide = chat.complete(TALK, max_tokens=8, temperature=1.0, top_p=1.0, seed=1)
    assert wide.text != likely.text
    assert chat.complete(TALK, max_tokens=8, temperature=0.0, top_p=0.5) == likely


def test_a_schema_changes_nothing_here(chat: ChatModel) -> None:
    plain = chat.complete(TALK, max_tokens=8, temperature=1.0, seed=2)
    assert chat.complete(TALK, max_tokens=8, temperature=1.0, seed=2, schema={}) == plain


@pytest.mark.parametrize(
    ("installed", "gpu", "device", "says"),
    [
        (False, True, "auto", "'int8' needs a package: pip install bitsandbytes"),
        (True, False, "auto", "'int8' needs a CUDA GPU"),
        (True, True, "cpu", "'int8' needs a CUDA GPU"),
    ],
)
def test_fewer_bits_need_a_package_and_a_gpu(
    installed: bool,
    gpu: bool,
    device: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    tiny_llama: Path,
) -> None:
    monkeypatch.setattr(llama_chat, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    with pytest.raises(ConfigError, match=says):
        load_chat(f"llama:{tiny_llama}", ChatOptions(device=device, quantization="int8"))


def test_an_unknown_number_of_bits_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(ConfigError, match="quantization must be one of none, int8, int4.*int2"):
        load_chat(f"llama:{tiny_llama}", ChatOptions(quantization="int2"))


@pytest.mark.parametrize(
    ("bits", "dtype", "expected"),
    [
        ("int8", "auto", {"load_in_8bit": True, "load_in_4bit": False}),
        ("int4", "auto", {"load_in_4bit": True, "bnb_4bit_compute_dtype": "bfloat16"}),
        ("int4", "float16", {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "float16"}),
    ],
)
def test_fewer_bits_are_asked_for_as_the_library_wants_it(
    bits: str, dtype: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def load(source: str, **named: Any) -> Any:
        given.update(named)
        raise OSError("enough seen")

    monkeypatch.setattr(llama_chat, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(llama_chat.AutoModelForCausalLM, "from_pretrained", load)
    with pytest.raises(OSError, match="enough seen"):
        options = ChatOptions(device="cuda:0", dtype=dtype, quantization=bits)
        llama_chat._load_whole("x", "main", options, llama_chat._quantization(options))
    assert (given["device_map"], given["dtype"]) == ("cuda:0", dtype)
    assert expected.items() <= given["quantization_config"].to_dict().items()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[tuple[int, str]]]:
    """A model hub on the loopback that answers everything with the status and code in the list."""
    from huggingface_hub import constants

    answer = [(404, "RepoNotFound")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = answer[0]
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", "no")
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"{}")

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield answer
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "GatedRepo", "accept it at https://huggingface.co/some/model, then run: hf auth"),
        (404, "RepoNotFound", "there is no public model 'some/model'"),
    ],
)
def test_a_repository_that_is_not_given_says_which_page_to_open(
    hub: list[tuple[int, str]], status: int, code: str, says: str
) -> None:
    hub[0] = (status, code)
    with pytest.raises(ModelError, match=says) as caught:
        load_chat("llama:some/model", CPU)
    assert "\n" not in str(caught.value)
