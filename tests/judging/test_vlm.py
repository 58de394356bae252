import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.errors import ConfigError, GenerationError, ModelError
from advgen.judging.vlm import VlmJudge, answer_tokens, means
from advgen.judging.weights import enough_memory
from advgen.records import ClassPair
from advgen.scoring.judges import Look

pytest.importorskip("transformers")
PAIRS = [ClassPair("dog", "deer"), ClassPair("ship", "truck"), ClassPair("cat", "small dog")]


@pytest.fixture(scope="module", params=["tiny_llava", "tiny_qwen"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def judge(folder: Path) -> Iterator[VlmJudge]:
    opened = VlmJudge(str(folder), device="cpu")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def looks() -> list[Look]:
    rng = np.random.default_rng(2)
    sizes = [(48, 48), (60, 33), (30, 70)]
    images = [Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]
    return [Look(image, pair) for image, pair in zip(images, PAIRS, strict=True)]


def asked_directly(folder: Path, image: Image.Image, question: str) -> float:
    """One question in one forward pass without padding, answers by their spelling."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    template = processor.chat_template
    talk = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    text = processor.apply_chat_template(talk, chat_template=template, add_generation_prompt=True)
    inputs = processor(images=[image], text=[text], return_tensors="pt")
    with torch.no_grad():
        shares = model(**inputs).logits[0, -1].double().softmax(-1).numpy()
    vocabulary = processor.tokenizer.get_vocab()
    yes = sum(shares[vocabulary[word]] for word in ("Yes", "yes", "YES"))
    return float(yes / (yes + sum(shares[vocabulary[word]] for word in ("No", "no"))))


def test_probabilities_are_those_of_a_direct_forward_pass(judge, looks, folder) -> None:
    start = "Look at the whole picture, also at the background"
    careful = ", and at small and half-hidden things"
    end = "visible in it?\nAnswer with one word, yes or no."
    named = [("a dog", "a deer"), ("a ship", "a truck"), ("a cat", "a small dog")]
    for look, verdict, (true, target) in zip(looks, judge.judge_many(looks), named, strict=True):
        present = asked_directly(folder, look.image, f"{start}.\nIs {true} {end}")
        absent = 1 - asked_directly(folder, look.image, f"{start}{careful}.\nIs {target} {end}")
        assert verdict.true_present == pytest.approx(present, abs=2e-6)
        assert verdict.target_absent == pytest.approx(absent, abs=2e-6)
        assert verdict.judge == judge.name == f"vlm:{folder.name}"
    assert judge.judge_many([]) == []


def test_one_image_alone_gets_the_answer_that_it_gets_among_others(judge, looks) -> None:
    together = judge.judge_many(looks)
    for look, verdict in zip(looks, together, strict=True):
        alone = judge.judge(look.image, {"ignored": 1}, look.pair)
        assert alone.true_present == pytest.approx(verdict.true_present, abs=2e-6)
        assert alone.target_absent == pytest.approx(verdict.target_absent, abs=2e-6)
    assert len({verdict.true_present for verdict in together}) == 3


def test_the_revision_is_known_before_and_follows_weights_and_questions(
    tiny_llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(tiny_llava, tmp_path / "copy")
    weights = bytearray((copy / "model.safetensors").read_bytes())
    assert VlmJudge(str(copy)).revision == VlmJudge(str(tiny_llava)).revision
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(weights))
    assert VlmJudge(str(copy)).revision != VlmJudge(str(tiny_llava)).revision
    before = VlmJudge(str(tiny_llava)).revision
    monkeypatch.setattr("advgen.chat.prompt.prompt_revision", lambda name: "other")
    assert VlmJudge(str(tiny_llava)).revision == before.partition("+")[0] + "+other"


def test_weights_are_loaded_when_first_used_and_let_go_of(tiny_llava, looks, monkeypatch) -> None:
    import transformers

    loaded: list[object] = []
    real = transformers.AutoModelForImageTextToText.from_pretrained

    def load(*given, **named):
        loaded.append(given)
        return real(*given, **named)

    monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_pretrained", load)
    judge = VlmJudge(str(tiny_llava))
    assert judge.revision
    assert not loaded
    first = judge.judge_many(looks)
    judge.judge_many(looks)
    assert len(loaded) == 1
    judge.close()
    assert judge.judge_many(looks) == first
    assert len(loaded) == 2


def test_the_pinned_commit_is_the_one_that_is_loaded(monkeypatch, looks) -> None:
    import transformers

    given: list[tuple[str, str]] = []

    def load(source: str, **named):
        given.append((source, named["revision"]))
        raise OSError("enough seen")

    monkeypatch.setattr("advgen.judging.weights.pinned_revision", lambda source: "c0ffee")
    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", load)
    judge = VlmJudge("some/model@v1")
    with pytest.raises(ModelError, match="cannot load 'some/model@v1': enough seen"):
        judge.judge_many(looks)
    assert given == [("some/model", "c0ffee")]
    assert judge.name == "vlm:some/model@v1"
    assert judge.revision.startswith("c0ffee+")


def test_a_model_that_says_something_else_is_no_judge(tiny_llava, tmp_path, looks) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_llava, tmp_path / "vague")
    weights = load_file(folder / "model.safetensors")
    (head,) = [name for name in weights if name.endswith("lm_head.weight")]
    weights[head][:] = 0
    weights[head][:4] = 9 * torch.randn(4, 16)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(GenerationError, match="answers neither yes nor no .* thinking aloud"):
        VlmJudge(str(folder)).judge_many(looks)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("no folder", "there is no model folder"),
        ("no template", "no chat template"),
        ("not whole", "is not whole: it lacks .*embed_tokens"),
        ("not a model", "cannot load"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(fault, says, tiny_llava, tmp_path, looks) -> None:
    folder = shutil.copytree(tiny_llava, tmp_path / "broken")
    if fault == "no folder":
        shutil.rmtree(folder)
    elif fault == "no template":
        (folder / "chat_template.jinja").unlink()
    elif fault == "not a model":
        (folder / "config.json").write_text("{}")
    else:
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        (name,) = [name for name in weights if name.endswith("embed_tokens.weight")]
        del weights[name]
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    judge = VlmJudge(str(folder), device="cpu")
    with pytest.raises(ModelError, match=says) as caught:
        assert judge.revision
        judge.judge_many(looks)
    assert "\n" not in str(caught.value)


def test_a_config_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="dtype must be one of auto"):
        VlmJudge("some/model", dtype="int3")
    with pytest.raises(ModelError, match="smaller --batch-size"), enough_memory("vlm:x"):
        raise torch.OutOfMemoryError


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *[(text, True) for text in ("Yes", " yes", "YES", "\nYes", "yes.", '"Yes"', "**Yes**")],
        *[(text, False) for text in ("no", "No,", " NO", "no!")],
        *[(text, None) for text in ("", "y", "n", "not", "none", "now", "yesterday", "eyes", "1")],
    ],
)
def test_what_a_piece_of_an_answer_means(text: str, meaning: bool | None) -> None:
    assert means(text) is meaning


def test_all_spellings_of_a_vocabulary_are_found() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "Yes", "Ġyes", "ĠYes", "ĊYes", "no", "ĠNo", "NO", "now", "Ġnot", "yesterday"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<s>"))
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    assert answer_tokens(fast, "x") == ([1, 2, 3, 4], [5, 6, 7])
    dumb = Tokenizer(models.WordLevel({"<s>": 0, "oui": 1, "no": 2}, "<s>"))
    with pytest.raises(ModelError, match="no word for yes or no"):
        answer_tokens(PreTrainedTokenizerFast(tokenizer_object=dumb), "x")
