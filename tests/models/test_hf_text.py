"""Texts as the towers of transformers were trained on them, and tokenizers that do not fit."""

import shutil
from types import SimpleNamespace

import open_clip
import pytest
import torch
from doubles.hf_models import edited, save_clip, save_gemma, unit

from advgen.errors import ModelError
from advgen.models import load_clip
from advgen.models.hf_text import Tokenize

transformers = pytest.importorskip("transformers")

SENTENCES = [
    "a photo of a dog.",
    "A Photo  of\tsomeone's   CAT!!",
    "naïve café, 3.14 %",
    "",
    "it's 2024, ok",
    "moon " * 100,
    "x_y-z (foo)",
]


def text_settings(kind: str = "clip", **values):
    sizes = {"max_position_embeddings": 77, "vocab_size": 49408, "eos_token_id": 49407}
    return SimpleNamespace(model_type=kind, text_config=SimpleNamespace(**{**sizes, **values}))


@pytest.fixture(scope="module")
def byte_pairs():
    """CLIP's whole vocabulary, as open_clip ships it, in transformers' tokenizer."""
    theirs = open_clip.SimpleTokenizer(context_length=77)
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): number for token, number in theirs.encoder.items()}
    merges = list(theirs.bpe_ranks)
    return theirs, transformers.CLIPTokenizer(vocab=vocabulary, merges=merges)


@pytest.mark.parametrize("end", [49407, 2])
def test_clip_reads_the_tokens_of_open_clip(byte_pairs, end):
    theirs, tokenizer = byte_pairs
    found = Tokenize(tokenizer, text_settings(eos_token_id=end))(SENTENCES)
    lengths = found["attention_mask"].sum(dim=1)
    for text, row, length in zip(SENTENCES, found["input_ids"], lengths, strict=True):
        (expected,) = theirs([text])
        assert row[:length].tolist() == expected[: int(expected.argmax()) + 1].tolist(), text
    assert found["input_ids"].shape[1] == 77


def test_siglip_2_reads_lower_case_padded_on_the_right(siglip2_folder):
    clip = load_clip(str(siglip2_folder))
    model = transformers.SiglipModel.from_pretrained(siglip2_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(siglip2_folder)
    assert tokenizer.padding_side == "left"
    ids = tokenizer("deer")["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    padded = torch.tensor([ids + [tokenizer.pad_token_id] * (32 - len(ids))])
    with torch.no_grad():
        expected = unit(model.get_text_features(input_ids=padded).pooler_output)
    torch.testing.assert_close(clip.encode_text(["Deer"]), expected)


def test_siglip_takes_its_whole_context_and_no_mask(siglip_folder, siglip2_folder):
    for folder in (siglip_folder, siglip2_folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        config = transformers.AutoConfig.from_pretrained(folder)
        found = Tokenize(tokenizer, config)(["a", "deer " * 80])
        assert set(found) == {"input_ids"} and found["input_ids"].shape == (2, 32)
        short, long = found["input_ids"]
        ends = [int((row == tokenizer.eos_token_id).int().argmax()) for row in (short, long)]
        assert short[ends[0] + 1 :].eq(tokenizer.pad_token_id).all()
        assert ends[1] == 31, "a text that is cut keeps its end"


def text(**values):
    return edited("config.json", lambda config: config["text_config"].update(values))


def without_padding(folder):
    edited("tokenizer_config.json", lambda settings: settings.update(pad_token=None))(folder)


UNFIT = {
    "another end": (text(eos_token_id=7), r"reads token 7 .*and a text ends with 61"),
    "several ends": (text(eos_token_id=[61]), r"reads token \[61\]"),
    "no end": (text(eos_token_id=None), "reads token None"),
    "no padding": (without_padding, "has no padding token"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_tower_that_would_not_read_the_end_of_a_text_is_refused(clip_folder, tmp_path, case):
    """transformers reads the first token in its place, so that all texts are alike."""
    spoil, message = UNFIT[case]
    folder = tmp_path / "unfit"
    shutil.copytree(clip_folder, folder)
    spoil(folder)
    with pytest.raises(ModelError, match=f"do not belong together: .*{message}") as caught:
        load_clip(f"transformers:{folder}")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_padding_that_the_tower_would_read_is_refused(tmp_path):
    """With the end token of old configurations the largest token is read, wherever it stands."""
    folder = save_clip(tmp_path / "padded", eos_token_id=2, pad_token_id=62, vocab_size=63)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == 62
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="reads token 2 "):
        load_clip(f"transformers:{folder}")


def test_a_siglip_whose_texts_have_no_end_is_refused(siglip2_folder, tmp_path):
    folder = tmp_path / "endless"
    shutil.copytree(siglip2_folder, folder)
    save_gemma(folder, add_eos_token=False)
    with pytest.raises(ModelError, match="do not belong together: .*end token, and it adds none"):
        load_clip(f"transformers:{folder}")


def test_a_token_that_the_tower_does_not_know_is_refused(byte_pairs):
    with pytest.raises(ModelError, match="makes token 49407, and its text tower knows 400"):
        Tokenize(byte_pairs[1], text_settings(vocab_size=400))
