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
    rollout = ("--method", "rollout")
    run(*images, "--class", "bat", "--out", tmp_path / "o", *rollout)
    rows = json.loads((tmp_path / "o/segmentation.json").read_text())["images"]
    assert [row["mask"] for row in rows] == ["scene-mask.png", "scene-2-mask.png"]
    opened(scene).save(tmp_path / "SCENE.png")
    run(images[0], tmp_path / "SCENE.png", "--class", "bat", "--out", tmp_path / "o", *rollout)
    rows = json.loads((tmp_path / "o/segmentation.json").read_text())["images"]
    assert [row["mask"] for row in rows] == ["scene-mask.png", "SCENE-2-mask.png"]


def test_an_image_that_is_given_is_never_overwritten(run, scene, tmp_path: Path) -> None:
    for name in ("a.png", "a-mask.png"):
        opened(scene).save(tmp_path / name)
    before = (tmp_path / "a-mask.png").read_bytes()
    result = run(tmp_path / "a.png", tmp_path / "a-mask.png", "--class", "bat", "--out", tmp_path)
    assert result.exit_code == 2
    assert "would be overwritten" in " ".join(result.stderr.split())
    assert (tmp_path / "a-mask.png").read_bytes() == before


@pytest.mark.parametrize("lines", [True, False])
def test_the_rest_goes_on_without_an_image_that_cannot_be_read(
    run, scene, tmp_path: Path, lines
) -> None:
    bad, out = tmp_path / "bad.png", tmp_path / "o"
    bad.write_text("no")
    options = ("--class", "bat", "--out", out, "--method", "rollout")
    result = run(bad, scene, *options, *(() if lines else ("--json",)))
    assert result.exit_code == 1
    assert f"{bad} is not a readable image (no known image format)" in result.stderr
    summary = json.loads((out / "segmentation.json").read_text())
    assert [row["mask"] for row in summary["images"]] == ["scene-mask.png"]
    assert summary["skipped"] == [{"image": str(bad), "reason": "no known image format"}]
    assert (out / "scene-mask.png").is_file()
    assert not (out / "bad-mask.png").exists()
    if not lines:
        assert json.loads(result.stdout)["skipped"] == summary["skipped"]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--method", "rolout"), 2, "'rolout' is not one of"),
        (("--class", " "), 2, "name a class"),
        (("--class", "elefant"), 1, "does not know the word 'elefant': did you mean"),
        (("--set", "neurons"), 2, "is not KEY=VALUE"),
        (("--template", "a thing"), 1, "has no place for the class"),
        (("--template", "a {foo} {noun}"), 1, "has {foo}, which nothing fills"),
        (("--set", "neuron=3"), 1, "does not take these options"),
        (("--set", "inputs=3"), 1, "does not take these options"),
        (("--set", "name=3"), 1, "does not take these options"),
        (("--set", 'contrast=["elefant"]'), 1, "does not know the word 'elefant'"),
        (("--set", "neurons=abc"), 1, "neurons must be a whole number; got 'abc'"),
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


def test_a_class_and_its_contrast_stand_in_the_same_prompt(run, scene, tmp_path: Path) -> None:
    more = ("--set", 'contrast=["bat"]', "--set", "maps=effect", "--template", "one {noun}")
    result = run(scene, "--class", "bat", "--out", tmp_path, "--json", *more)
    (row,) = json.loads(result.stdout)["images"]
    assert max(abs(value) for line in row["patches"] for value in line) < 1e-6


def test_a_file_that_is_no_image_is_a_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    result = run(tmp_path / "a.png", "--class", "bat", "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert "a.png is not a readable image" in result.stderr
    assert run(tmp_path / "b.png", "--class", "bat", "--out", tmp_path / "o").exit_code == 2
    assert run(tmp_path / "a.png", "--class", "x", "--out", tmp_path / "a.png").exit_code == 2
