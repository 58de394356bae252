"""The chat server and the tiny Llama of tests/chat, for describers."""

import importlib.util
import sys
from pathlib import Path

import pytest

_FILE = Path(__file__).resolve().parents[2] / "chat" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("chat_doubles", _FILE)
assert _SPEC and _SPEC.loader
_DOUBLES = importlib.util.module_from_spec(_SPEC)
sys.modules["chat_doubles"] = _DOUBLES
_SPEC.loader.exec_module(_DOUBLES)

server = _DOUBLES.server
tiny_llama = _DOUBLES.tiny_llama


@pytest.fixture(scope="session")
def roomy_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that can read the whole prompt; what it writes is noise."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "roomy-llama"
    return _DOUBLES.save_tiny_llama(folder, positions=4096)
