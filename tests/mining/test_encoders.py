import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from advgen import mining
from advgen.errors import ConfigError, ModelError
from advgen.mining import LetterEncoder, SentenceEncoder, TextEncoder, open_encoder
from advgen.mining import encoders as module


@pytest.fixture(params=["letters", "sentence"])
def encoder(request: pytest.FixtureRequest, tiny_sentence_model: Path) -> TextEncoder:
    spec = "letters" if request.param == "letters" else f"sentence:{tiny_sentence_model}"
    opened = open_encoder(spec)
    assert opened is not None
    return opened


def test_every_encoder_gives_unit_rows_in_order_that_do_not_depend_on_the_company(
    encoder: TextEncoder,
) -> None:
    texts = ["deer", "stop sign", "moss", "deer"]
    rows = encoder.encode(texts)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(rows[0], rows[3])
    assert not torch.allclose(rows[0], rows[2], atol=1e-3)
    torch.testing.assert_close(encoder.encode(["stop sign"])[0], rows[1], atol=1e-5, rtol=0)
    assert encoder.name and encoder.revision


def test_the_sentence_model_is_that_of_its_folder(tiny_sentence_model: Path) -> None:
    """Oracle: the transformer and the mean over tokens by hand."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_sentence_model)
    model = AutoModel.from_pretrained(tiny_sentence_model).eval()
    with torch.no_grad():
        tokens = model(**tokenizer(["a stop sign"], return_tensors="pt")).last_hidden_state[0]
    expected = torch.nn.functional.normalize(tokens.mean(dim=0), dim=0)
    row = SentenceEncoder(str(tiny_sentence_model)).encode(["a stop sign"])[0]
    torch.testing.assert_close(row, expected, atol=1e-5, rtol=0)


def test_a_model_is_identified_by_its_files_and_read_when_it_is_used(
    tiny_sentence_model: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_sentence_model, copy)
    encoder = SentenceEncoder(str(copy))
    assert encoder.revision == SentenceEncoder(str(tiny_sentence_model)).revision
    (copy / "more.txt").write_text("x")
    assert SentenceEncoder(str(copy)).revision != encoder.revision
    SentenceEncoder("no/such/model/anywhere")  # says nothing until it is used


def test_letters_count_runs_of_letters() -> None:
    """Oracle: numpy on counted runs, padded with a space on both sides of each word."""

    def runs(text: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for word in text.split():
            padded = f" {word} "
            for size in (3, 4, 5):
                for at in range(max(1, len(padded) - size + 1)):
                    found[padded[at : at + size]] = found.get(padded[at : at + size], 0) + 1
                if size >= len(padded):
                    break
        return found

    def cosine(first: str, second: str) -> float:
        one, other = runs(first), runs(second)
        keys = sorted({*one, *other})
        a, b = (np.array([counts.get(key, 0) for key in keys]) for counts in (one, other))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    pairs = [("stop sign", "stop"), ("bridge", "ridge"), ("deer", "reindeer"), ("cow", "car")]
    for first, second in pairs:
        rows = LetterEncoder().encode([first, second])
        assert float(rows[0] @ rows[1]) == pytest.approx(cosine(first, second), abs=0.02)


def test_none_is_no_encoder() -> None:
    assert open_encoder("none") is None


@pytest.mark.parametrize("spec", ["", "sentence", "sentence:", "letters:x", "letters:", "fast"])
def test_an_unknown_encoder_is_refused_with_what_can_be_written(spec: str) -> None:
    with pytest.raises(ConfigError, match=f"is '{spec}'; write letters, none or sentence:MODEL"):
        open_encoder(spec)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(ModelError, match=str(tmp_path)):
        SentenceEncoder(str(tmp_path)).encode(["deer"])


def test_a_model_that_the_hub_does_not_give_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str) -> str:
        raise ModelError(f"'{source}' is not on this machine")

    monkeypatch.setattr(module, "pinned_revision", refuse)
    encoder = SentenceEncoder("someone/model")
    with pytest.raises(ModelError, match="'someone/model' is not on this machine"):
        encoder.encode(["deer"])


def test_loading_warns_of_nothing_and_prints_nothing(
    tiny_sentence_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mining.SentenceEncoder(str(tiny_sentence_model)).encode(["deer"])
    assert capfd.readouterr() == ("", "")
