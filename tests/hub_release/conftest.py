"""A stub Hub that the real client talks to, and small built datasets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doubles.hub import CARD, StubHub, client_of, seal

Built = Callable[..., Path]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubHub]:
    with client_of(monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture
def make_built(tmp_path: Path) -> Built:
    """Makes a built dataset of files that nobody reads as Parquet."""

    def make(shards: tuple[str, ...] = ("one", "two"), card: str = CARD, name: str = "ds") -> Path:
        root = tmp_path / name
        (root / "data").mkdir(parents=True, exist_ok=True)
        for old in (root / "data").iterdir():
            old.unlink()
        for index, text in enumerate(shards):
            path = root / "data" / f"test-{index:05d}-of-{len(shards):05d}.parquet"
            path.write_bytes(text.encode() * 50)
        return seal(root, card)

    return make
