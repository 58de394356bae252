"""Folders of tiny transformers models, each made once."""

from pathlib import Path

import pytest
from doubles.hf_models import save_clip, save_gemma, save_sentencepiece, save_siglip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    return save_clip(tmp_path_factory.mktemp("hf") / "clip")


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    pytest.importorskip("sentencepiece")
    folder = save_siglip(tmp_path_factory.mktemp("hf") / "siglip")
    save_sentencepiece(folder)
    return folder


@pytest.fixture(scope="session")
def siglip2_folder(tmp_path_factory) -> Path:
    """One resolution, with Gemma's tokenizer."""
    pytest.importorskip("transformers")
    folder = save_siglip(tmp_path_factory.mktemp("hf") / "siglip2")
    save_gemma(folder)
    return folder
