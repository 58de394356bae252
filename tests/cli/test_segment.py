"""`advgen segment` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from advgen.cli import main
from advgen.sandbox.masks import open_masks

KINDS = ("overlay", "heat", "mask")


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.copy()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn scene with dark stripes left and right, which the model does not see."""
    wide = Image.new("RGB", (192, 128), (20, 20, 20))
    wide.paste(open_masks("3")[0].image, (32, 0))
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    wide.save(path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    cache = tmp_path_factory.mktemp("cache")

    def invoke(*arguments: object) -> Result:
        runner = CliRunner(env={"ADVGEN_CACHE": str(cache)})
        return runner.invoke(main, ["segment", *map(str, arguments)], catch_exceptions=False)

    return invoke


def test_pictures_have_the_images_own_size(run, scene: Path, tmp_path: Path) -> None:
    result = run(scene, "--class", "bat", "--out", tmp_path / "o", "--method", "rollout")
    assert result.exit_code == 0, result.stderr
    found = {kind: opened(tmp_path / f"o/scene-{kind}.png") for kind in KINDS}
    assert {picture.size for picture in found.values()} == {(192, 128)}
    mask, heat = np.asarray(found["mask"]), np.asarray(found["heat"])
    assert set(np.unique(mask)) == {0, 255}
    for outside in (slice(0, 31), slice(161, 192)):
        assert not mask[:, outside].any()
        assert not heat[:, outside, 1].any()
    assert heat[:, 33:159, 1].all()
    summary = json.loads((tmp_path / "o/segmentation.json").read_text())
    (row,) = summary["images"]
    assert row["seen"]["share"] == pytest.approx(2 / 3, abs=0.01)
    assert row["foreground"] == pytest.approx((mask > 0).mean())
    assert summary["class"] == "bat"
    assert summary["method"] == {"name": "rollout", "options": {}}
    assert len(summary["model"]["weights_sha256"]) == 64
    for kind in KINDS:
        assert f"{kind} {tmp_path / 'o'}/scene-{kind}.png" in result.stdout
    assert f"cosine with 'bat' {row['cosine']:+.3f}" in result.stdout
    assert "% of it seen" in result.stdout


def test_the_threshold_and_the_methods_options_matter(run, scene: Path, tmp_path: Path) -> None:
    shares = []
    for more in ((), ("--threshold", "mean"), ("--set", "layers=[4]", "--set", "neurons=20")):
        method = ("--method", "second-order", "--lens-images", "sandbox:12", "--json")
        result = run(scene, "--class", "bat", "--out", tmp_path, *method, *more)
        assert result.exit_code == 0, result.stderr
        shares.append(json.loads(result.stdout)["images"][0]["foreground"])
    assert len(set(shares)) == 3
    options = json.loads((tmp_path / "segmentation.json").read_text())["method"]["options"]
    assert options == {"layers": [4], "neurons": 20}


def test_the_same_call_gives_the_same_bytes(run, scene: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(scene, "--class", "bat", "--out", tmp_path / name, "--method", "gradcam")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_images_of_one_name_do_not_overwrite_one_another(run, scene, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        opened(scene).save(tmp_path / folder / "scene.png")
    images = (tmp_path / "x/scene.png", tmp_path / "y/scene.png")
    run(*images, "--class", "bat", "--out", tmp_path / "o", "--method", "rollout")
    rows = json.loads((tmp_path / "o/segmentation.json").read_text())["images"]
    assert [row["mask"] for row in rows] == ["scene-mask.png", "scene-2-mask.png"]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--method", "rolout"), 2, "'rolout' is not one of"),
        (("--class", " "), 2, "name a class"),
        (("--class", "elefant"), 1, "does not know the word 'elefant': did you mean"),
        (("--set", "neurons"), 2, "is not KEY=VALUE"),
        (("--template", "a thing"), 2, "has no {noun}"),
        (("--set", "neuron=3"), 1, "does not take these options"),
        (("--model", "sandbox-x"), 1, "unknown model 'sandbox-x'"),
        (("--lens-images", "sandbox:x"), 1, "write sandbox:N"),
    ],
)
def test_typing_mistakes_are_sentences(run, scene, tmp_path: Path, more, code, message) -> None:
    result = run(scene, "--class", "bat", "--out", tmp_path / "o", *more)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "o").exists()


def test_a_file_that_is_no_image_is_a_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    result = run(tmp_path / "a.png", "--class", "bat", "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert "a.png is not a readable image" in result.stderr
    assert run(tmp_path / "b.png", "--class", "bat", "--out", tmp_path / "o").exit_code == 2
    assert run(tmp_path / "a.png", "--class", "x", "--out", tmp_path / "a.png").exit_code == 2
