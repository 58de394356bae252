import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from advgen.attack.manifest import keep_manifest, make_manifest
from advgen.errors import RunError
from advgen.generation.layout import RunLayout

WEIGHTS = "a" * 64


@pytest.fixture
def parts(make_config, make_clip, make_painter, oracle, writer, image_folder, tmp_path) -> dict:
    pool = tmp_path / "pool.txt"
    pool.write_text("tree\nsnow\n")
    config = make_config(
        seed=11, lens={"images": str(image_folder)}, text={"pool": str(pool)}, judge="oracle"
    )
    return {
        "config": config,
        "clip": make_clip(WEIGHTS),
        "describer": writer,
        "synthesizer": make_painter(),
        "judge": oracle,
    }


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path / "run")


def test_a_manifest_says_what_a_run_is_made_of(parts: dict, image_folder: Path) -> None:
    manifest = make_manifest(**parts)
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["attacked_model"] == {"name": "colors", "weights_sha256": WEIGHTS}
    assert manifest["lens_images"]["count"] == 3
    assert manifest["lens_images"]["name"] == str(image_folder)
    assert manifest["text_pool"]["texts"] == 2
    assert manifest["describer"] == {"name": "writer", "revision": "3"}
    assert manifest["synthesizer"] == {"name": "painter", "revision": "7", "licence": "CC0"}
    assert (manifest["judge"], manifest["seed"]) == ("oracle", 11)
    assert manifest["versions"]["torch"] == metadata.version("torch")


def change_weights(parts: dict) -> None:
    parts["clip"] = type(parts["clip"])("b" * 64)


def change_images(parts: dict) -> None:
    Image.new("RGB", (8, 8), "white").save(Path(parts["config"].lens.images) / "1.png")


def change_pool(parts: dict) -> None:
    Path(parts["config"].text.pool).write_text("tree\nrain\n")


def change_describer(parts: dict) -> None:
    parts["describer"].revision = "4"


def change_synthesizer(parts: dict) -> None:
    parts["synthesizer"].revision = "8"


def change_judge(parts: dict) -> None:
    parts["judge"].name = "crowd"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (change_weights, "attacked_model"),
        (change_images, "lens_images"),
        (change_pool, "text_pool"),
        (change_describer, "describer"),
        (change_synthesizer, "synthesizer"),
        (change_judge, "judge"),
    ],
)
def test_a_run_is_not_continued_with_something_else(
    parts: dict, layout: RunLayout, change: Callable[[dict], None], name: str
) -> None:
    keep_manifest(layout, make_manifest(**parts))
    before = layout.manifest.read_bytes()
    change(parts)
    with pytest.raises(RunError, match=f"begun with another {name} than"):
        keep_manifest(layout, make_manifest(**parts))
    assert layout.manifest.read_bytes() == before


def test_all_that_changed_is_named(parts: dict, layout: RunLayout) -> None:
    keep_manifest(layout, make_manifest(**parts))
    change_weights(parts)
    change_judge(parts)
    with pytest.raises(RunError, match="attacked_model, judge"):
        keep_manifest(layout, make_manifest(**parts))


def test_newer_packages_and_another_machine_may_go_on(parts: dict, layout: RunLayout) -> None:
    manifest: dict[str, Any] = make_manifest(**parts)
    keep_manifest(layout, {**manifest, "versions": {"torch": "1.0"}, "machine": {"arch": "abacus"}})
    keep_manifest(layout, manifest)
    assert json.loads(layout.manifest.read_text()) == manifest


@pytest.mark.parametrize(("text", "says"), [("{", "is not JSON"), ("[]", "attacked_model")])
def test_a_manifest_that_is_none_is_not_overwritten(
    parts: dict, layout: RunLayout, text: str, says: str
) -> None:
    layout.root.mkdir()
    layout.manifest.write_text(text)
    with pytest.raises(RunError, match=says):
        keep_manifest(layout, make_manifest(**parts))
    assert layout.manifest.read_text() == text
