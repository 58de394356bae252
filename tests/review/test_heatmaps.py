"""Heat maps on demand: of a real run, and of one whose model is gone."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from advgen.attack import Silent, run_attack
from advgen.config import attack_config, read_preset
from advgen.review.heatmaps import Heatmaps
from advgen.review.pictures import HEATMAPS
from advgen.review.store import ReviewStore
from advgen.store import ArtifactStore


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heat")
    table = {**read_preset("sandbox"), "pairs": ["dog:deer"], "images": 2}
    config = attack_config({**table, "methods": ["similar-words"]})
    run_attack(config, folder / "run", ArtifactStore(folder / "cache"), Silent())
    return folder / "run"


def test_a_heat_map_is_a_picture_of_the_image_s_size(run: Path, tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / "r.sqlite", [run]) as store:
        item = store.next_item("ann")
        assert item is not None
        heatmaps = Heatmaps()
        data = [heatmaps(item, kind) for kind in HEATMAPS]
    for png in data:
        assert png is not None
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.size == (128, 128)
            assert len(set(picture.get_flattened_data())) > 100
    assert data[0] != data[1]
    with pytest.raises(ValueError, match="first-order or second-order"):
        heatmaps(item, "third-order")


def test_a_heat_map_is_drawn_once(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("advgen.review.heatmaps.KEPT", 2)
    drawn = []

    def overlay(image: Image.Image, heat: torch.Tensor) -> Image.Image:
        drawn.append(heat)
        return image

    monkeypatch.setattr("advgen.review.heatmaps.overlay", overlay)
    with ReviewStore.open(tmp_path / "r.sqlite", [run]) as store:
        first = store.next_item("ann")
        assert first is not None
        second = store.next_item("ann", after=first.id)
    assert second is not None
    heatmaps = Heatmaps()
    for item, kind in [(first, "first-order"), (first, "second-order"), (first, "first-order")]:
        assert heatmaps(item, kind)
    assert len(drawn) == 2
    assert heatmaps(second, "first-order") and len(drawn) == 3
    assert heatmaps(first, "first-order") and len(drawn) == 3
    assert heatmaps(first, "second-order") and len(drawn) == 4


def test_without_its_model_an_image_has_none(run: Path, tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / "r.sqlite", [run]) as store:
        item = store.next_item("ann")
    assert item is not None
    config = run / "run.toml"
    text = config.read_text()
    try:
        config.write_text(text.replace("sandbox-a", "sandbox-z"))
        assert Heatmaps()(item, "second-order") is None
        config.unlink()
        assert Heatmaps()(item, "first-order") is None
    finally:
        config.write_text(text)
