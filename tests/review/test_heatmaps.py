"""Heat maps on demand: of a real run, and of one whose model is gone."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.attack import Silent, run_attack
from advgen.config import attack_config, read_preset
from advgen.review.heatmaps import TARGET_RGB, TRUE_RGB, Heatmaps, overlay
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
        data = Heatmaps()(item)
    assert data is not None
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (128, 128)
        assert len(set(picture.get_flattened_data())) > 100


def test_without_its_model_an_image_has_none(run: Path, tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / "r.sqlite", [run]) as store:
        item = store.next_item("ann")
    assert item is not None
    config = run / "run.toml"
    text = config.read_text()
    try:
        config.write_text(text.replace("sandbox-a", "sandbox-z"))
        assert Heatmaps()(item) is None
        config.unlink()
        assert Heatmaps()(item) is None
    finally:
        config.write_text(text)


def test_warm_is_the_target_class_and_cold_the_true_one() -> None:
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    heat = torch.zeros(4, 4)
    heat[0, 0], heat[3, 3] = 2.0, -2.0
    shown = np.asarray(overlay(grey, heat)).astype(float)

    def distance(pixel: np.ndarray, colour: tuple[int, int, int]) -> float:
        return float(np.abs(pixel - np.array(colour)).sum())

    assert distance(shown[1, 1], TARGET_RGB) < distance(shown[20, 20], TARGET_RGB)
    assert distance(shown[38, 38], TRUE_RGB) < distance(shown[20, 20], TRUE_RGB)
    assert (shown[20, 20] == 128).all()
    assert (np.asarray(overlay(grey, torch.zeros(4, 4))) == 128).all()
