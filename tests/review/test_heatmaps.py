"""Heat maps on demand: of real runs, and of runs whose settings, model or images are gone."""

import dataclasses
import io
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from advgen.attack import Silent, run_attack
from advgen.config import attack_config, attack_toml, read_attack_toml, read_preset
from advgen.errors import DataError
from advgen.generation.layout import RunLayout
from advgen.review import heatmaps as drawing
from advgen.review.heatmaps import Heatmaps
from advgen.review.items import Item
from advgen.review.maps import KINDS, NoHeatmap
from advgen.review.store import ReviewStore
from advgen.store import ArtifactStore

PAIRS = ["dog:deer", "bird:frog"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heat")
    table = {**read_preset("sandbox"), "pairs": PAIRS, "images": 2}
    config = attack_config({**table, "methods": ["similar-words"]})
    run_attack(config, folder / "run", ArtifactStore(folder / "cache"), Silent())
    return folder / "run"


@pytest.fixture
def items(run: Path, tmp_path: Path) -> list[Item]:
    with ReviewStore.open(tmp_path / "r.sqlite", [run]) as store:
        return store.page("ann")


def copied(item: Item, root: Path, **changes: object) -> Item:
    """The item in a run of its own, whose settings are changed."""
    config = read_attack_toml(RunLayout(item.run).config)
    parts = {
        name: dataclasses.replace(getattr(config, name), **{key: value})
        for name, key, value in ((*dotted.split("__"), value) for dotted, value in changes.items())
    }
    image = root / item.image.relative_to(item.run)
    image.parent.mkdir(parents=True)
    image.write_bytes(item.image.read_bytes())
    RunLayout(root).config.write_text(attack_toml(dataclasses.replace(config, **parts)))
    return dataclasses.replace(item, run=root, image=image)


def test_a_heat_map_is_a_picture_of_the_image_s_size(items: list[Item]) -> None:
    maps = Heatmaps()
    assert {item.pair for item in items} == set(PAIRS)
    for item in items:
        made = [maps(item, kind) for kind in KINDS]
        for picture in made:
            assert 0 < picture.peak < 2
            with Image.open(io.BytesIO(picture.data)) as shown:
                assert shown.size == (128, 128)
                assert len(set(shown.get_flattened_data())) > 100
        assert made[0] != made[1]
    with pytest.raises(ValueError, match="first-order or second-order"):
        maps(items[0], "third-order")


def test_a_map_is_as_its_run_s_settings_have_it(items: list[Item], tmp_path: Path) -> None:
    maps, item = Heatmaps(), items[0]
    other = copied(item, tmp_path / "other", lens__layers=(4,))
    same = copied(item, tmp_path / "same")
    first, second = KINDS
    assert maps(item, first) == maps(other, first)
    assert maps(item, second) == maps(same, second) != maps(other, second)


def test_a_pair_that_the_settings_no_longer_name_has_maps(items: list[Item], run: Path) -> None:
    unnamed = dataclasses.replace(
        items[0], sample=dataclasses.replace(items[0].sample, target_class="truck")
    )
    assert unnamed.pair not in PAIRS
    assert Heatmaps()(unnamed, "second-order").peak > 0


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    found = []

    def overlay(image: Image.Image, heat: torch.Tensor) -> Image.Image:
        found.append(heat)
        return image

    monkeypatch.setattr(drawing, "overlay", overlay)
    return found


def test_a_heat_map_is_drawn_once_while_there_is_room(items, drawn, monkeypatch) -> None:
    maps, (first, second) = Heatmaps(), items[:2]
    size = len(maps(first, "first-order").data)
    monkeypatch.setattr(drawing, "KEPT_BYTES", 2 * size + size // 2)
    for item, kind in [(first, "first-order"), (first, "second-order"), (first, "first-order")]:
        assert maps(item, kind)
    assert len(drawn) == 2
    assert maps(second, "first-order") and len(drawn) == 3
    assert maps(first, "first-order") and len(drawn) == 3
    assert maps(first, "second-order") and len(drawn) == 4
    monkeypatch.setattr(drawing, "KEPT_BYTES", 1)
    assert maps(second, "second-order") == maps(second, "second-order") and len(drawn) == 5


def test_a_map_that_a_hundred_threads_ask_for_is_drawn_once(items, drawn) -> None:
    maps, found = Heatmaps(), []
    threads = [
        threading.Thread(target=lambda: found.append(maps(items[0], "second-order")))
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 1 and len(found) == 100 and len({id(made) for made in found}) == 1


def test_runs_of_one_model_share_it_and_few_models_stay(items, tmp_path, monkeypatch) -> None:
    opened = []
    real = drawing.open_model
    monkeypatch.setattr(
        drawing, "open_model", lambda config: opened.append(config.model.name) or real(config)
    )
    monkeypatch.setattr(drawing, "KEPT_MODELS", 1)
    maps, item = Heatmaps(), items[0]
    for name in ("one", "two"):
        maps(copied(item, tmp_path / name), "first-order")
    assert opened == ["sandbox-a"]
    maps(copied(item, tmp_path / "three", model__name="sandbox-b"), "first-order")
    maps(item, "second-order")
    assert opened == ["sandbox-a", "sandbox-b", "sandbox-a"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model__name": "secret/sandbox-z"}, "The attacked model sandbox-z cannot be loaded"),
        ({"model__device": "cuda:99"}, "The attacked model sandbox-a cannot be loaded here."),
    ],
)
def test_why_there_is_none(items, tmp_path, caplog, changes, reason) -> None:
    item = copied(items[0], tmp_path / "run", **changes)
    for kind in KINDS:
        with pytest.raises(NoHeatmap, match=reason) as fault:
            Heatmaps()(item, kind)
        assert "secret" not in str(fault.value) and "/" not in str(fault.value)
    assert len(caplog.records) == len(KINDS)


def test_without_its_settings_an_image_has_none(items, tmp_path, caplog) -> None:
    item = copied(items[0], tmp_path / "run")
    RunLayout(item.run).config.unlink()
    with pytest.raises(NoHeatmap, match=r"^The settings of this image's run \(run.toml\) cannot"):
        Heatmaps()(item, "first-order")
    assert str(tmp_path) in caplog.text


def test_a_model_that_has_no_such_map_is_named(items, monkeypatch) -> None:
    def none(*_: object) -> torch.Tensor:
        raise ValueError("expected patches in a square; got 6")

    monkeypatch.setattr(drawing, "run_heatmap", none)
    with pytest.raises(NoHeatmap, match=r"^No second-order map can be made with sandbox-a\.$"):
        Heatmaps()(items[0], "second-order")


def test_of_an_image_that_was_changed_no_map_is_drawn(items, tmp_path) -> None:
    item = copied(items[0], tmp_path / "run")
    Image.new("RGB", (128, 128)).save(item.image)
    with pytest.raises(DataError, match="not the image that the run's records name"):
        Heatmaps()(item, "first-order")
    item.image.unlink()
    with pytest.raises(DataError, match="cannot read"):
        Heatmaps()(item, "first-order")
