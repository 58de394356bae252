"""Folders of small pictures."""

from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
import pytest
from PIL import Image

Fill = Callable[[Path, Iterable[str]], Path]


@pytest.fixture(scope="session")
def fill() -> Fill:
    """Writes a picture of another colour for every name, and returns the folder."""

    def write(root: Path, names: Iterable[str]) -> Path:
        for number, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 3), (number * 5 % 256, number // 50, 77)).save(path)
        return root

    return write


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets are loaded without a network and kept in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
