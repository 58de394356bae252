"""`advgen explain` from the command line: pictures, JSON, page, and mistakes as sentences."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from advgen.cli.explain import explain, picture_names
from advgen.cli.explain_output import SIDE, explained_picture
from advgen.imagesets import load_image_set
from advgen.models import load_clip

SMALL = ("--lens-images", "sandbox:12", "--layers", "3,4", "--set", "text.nonzeros=4")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "a dog.png"
    noise = Image.effect_noise((90, 60), 80).convert("RGB")
    noise.paste((200, 120, 60), (30, 20, 60, 50))
    noise.save(path)
    return path


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pool") / "pool.txt"
    path.write_text("\n".join(["dog", "cat", "tree", "snow", "ship", "moss", "forest", "horse"]))
    return str(path)


@pytest.fixture(scope="module")
def run(cache: Path):
    def invoke(*arguments: str) -> Result:
        from advgen.cli import main

        environment = {"ADVGEN_CACHE": str(cache)}
        runner = CliRunner(env=environment)
        return runner.invoke(main, ["explain", *arguments], catch_exceptions=False)

    return invoke


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


def test_pictures_json_page_and_table_agree(run, image, pool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [str(image), str(image), "--classes", "dog,ship", "--neurons", "2", "--pool", pool]
    result = run(*arguments, *SMALL, "--out", str(out))
    assert result.exit_code == 0, result.stderr
    document = json.loads((out / "explanation.json").read_text())
    rows = document["explanations"]
    assert [row["pair"] for row in rows] == ["dog:ship", "ship:dog"] * 2
    assert document["layers"] == [3, 4] and document["model"] == "sandbox-a"
    for row in rows:
        with Image.open(out / row["picture"]) as picture:
            assert picture.width > 3 * 256
        assert row["margin"] == pytest.approx(row["cos_target"] - row["cos_true"], abs=1e-6)
        assert f"margin {row['margin']:+.4f}" in result.stdout
        for push in (*row["towards"], *row["against"]):
            assert f"{push['layer']}:{push['index']}" in result.stdout
            assert 1 <= len(push["words"]) <= 4
    assert {row["picture"] for row in rows} == {path.name for path in out.glob("*.png")}
    assert rows[0]["margin"] == pytest.approx(-rows[1]["margin"], abs=1e-6)
    page = (out / "explanation.html").read_text()
    assert page.count("<article") == 4 and page.count("data:image/webp") == 12
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = run(*arguments, *SMALL, "--out", str(out), "--json")
    assert json.loads(again.stdout) == document
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_without_neurons_nothing_is_computed_over_images(run, image, tmp_path: Path) -> None:
    result = run(
        str(image),
        "--pair",
        "puppy:deer",
        "--neurons",
        "0",
        "--lens-images",
        "no/where",
        "--out",
        str(tmp_path / "o"),
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    assert "calls 'puppy' 'dog'" in result.stderr
    (row,) = json.loads(result.stdout)["explanations"]
    assert row["towards"] == [] and row["pair"] == "dog:deer"
    assert len(row["second_order"]["patches"]) == 5
    assert "Pushed" not in (tmp_path / "o" / "explanation.html").read_text()


def test_other_models_take_any_class(run, image, tiny_clip, tmp_path: Path) -> None:
    result = run(
        str(image),
        "--pair",
        "puppy:flying carpet",
        "--model",
        str(tiny_clip),
        "--layers",
        "0,2",
        "--neurons",
        "0",
        "--out",
        str(tmp_path),
        "--set",
        "lens.treatment=centered",
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads((tmp_path / "explanation.json").read_text())
    assert document["explanations"][0]["pair"] == "puppy:flying carpet"
    assert document["treatment"] == "centered"


def test_folders_and_image_sets_are_explained_too(run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (1500, 1500), "green").save(folder / "large.png")
    (folder / "text.png").write_text("no image")
    out = tmp_path / "out"
    quick = ("--pair", "dog:deer", "--neurons", "0", "--out", str(out), "--json")
    result = run(str(folder), "sandbox:2?seed=3", *quick)
    assert result.exit_code == 0, result.stderr
    assert "skipped an unreadable image" in result.stderr
    large, *scenes = json.loads(result.stdout)["explanations"]
    assert large["image"] == str(folder / "large.png")
    content = (folder / "large.png").read_bytes()
    assert large["sha256"] == hashlib.sha256(content).hexdigest()
    assert [row["sha256"] for row in scenes] == [None, None]
    assert [row["picture"] for row in scenes] == [
        "2-sandbox_2_seed_3_scene_0-dog-deer.png",
        "3-sandbox_2_seed_3_scene_1-dog-deer.png",
    ]
    assert all((out / row["picture"]).is_file() for row in (large, *scenes))
    (folder / "large.png").unlink()
    refused = run(str(folder), *quick)
    assert refused.exit_code == 1
    assert "not a readable image" in last_line(refused)


def test_a_huge_image_is_kept_as_large_as_it_is_shown(tiny_clip) -> None:
    clip = load_clip(str(tiny_clip))
    images = load_image_set("sandbox:1")
    kept = explained_picture(clip, images, 0, Image.new("RGB", (4000, 4000), "red"), [])
    assert kept.seen.size == (SIDE, SIDE) and kept.sha256 is None
    small = explained_picture(clip, images, 0, Image.new("RGB", (40, 40), "red"), [])
    assert small.seen.size == (40, 40)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["{image}"], 2, "--pair TRUE:TARGET"),
        (["--pair", "dog:deer"], 2, "IMAGE"),
        (["nowhere.png", "--pair", "dog:deer"], 2, "nowhere.png"),
        (["{tmp}/text.png", "--pair", "dog:deer"], 1, "not a readable image"),
        (["{image}", "--pair", "dog:dear"], 1, "did you mean deer"),
        (["{image}", "--pair", "dog"], 2, "TRUE:TARGET"),
        (["{image}", "--pair", "dog:deer", "--model", "sandbox-z"], 1, "sandbox-a"),
        (["{image}", "--pair", "dog:deer", "--layers", "5", "--neurons", "0"], 1, "from 0 to 4"),
        (["{image}", "--pair", "dog:deer", "--layers", "5"], 1, "from 0 to 4"),
        (["{image}", "--pair", "dog:deer", "--neurons", "-1"], 2, "--neurons"),
        (["{image}", "--pair", "dog:deer", "--set", "lens.treatment=no"], 1, "lens.treatment"),
        (["{image}", "--pair", "dog:deer", "--out", "{image}"], 2, "is a file"),
        (
            ["{image}", "--pair", "dog:deer", "--neurons", "0", "--out", "{image}/x"],
            1,
            "cannot write",
        ),
    ],
    ids=lambda value: " ".join(value[:5]) if isinstance(value, list) else None,
)
def test_mistakes_are_one_clear_line(run, image, tmp_path, arguments, code, says) -> None:
    (tmp_path / "text.png").write_text("no image")
    names = {"image": str(image), "tmp": str(tmp_path)}
    filled = [argument.format(**names) for argument in arguments]
    extra = [] if "--out" in filled else ["--out", str(tmp_path / "out")]
    result = run(*filled, *extra)
    assert result.exit_code == code, result.stderr
    assert says in last_line(result), result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_names_of_pictures_differ_and_are_plain() -> None:
    paths = [Path("a/x y.png"), Path("b/x y.jpg"), Path("../\u00e9:*.png")]
    assert picture_names(paths) == ["1-x_y", "2-x_y", "3-_"]
    assert picture_names([Path("z.png")] * 10)[8:] == ["09-z", "10-z"]


def test_nothing_is_drawn_so_there_is_no_seed() -> None:
    assert "seed" not in {option.name for option in explain.params}
