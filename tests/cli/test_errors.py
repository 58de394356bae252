"""Every typing mistake and broken file ends in one clear line and exit code 1 or 2."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from advgen.cli import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cache"
    monkeypatch.setenv("ADVGEN_CACHE", str(root))
    return root


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["attack"], 2, "--pairs-file FILE or --classes"),
        (["attack", "--pair", "dog"], 2, "TRUE:TARGET"),
        (["attack", "--pair", "dog:"], 2, "TRUE:TARGET"),
        (["attack", "--pair", "dog:deer:cat"], 2, "TRUE:TARGET"),
        (["attack", "--pair", "dog:dog"], 2, "must differ"),
        (["attack", "--pair", "dog:deer", "--images", "0"], 2, "--images"),
        (["attack", "--pair", "dog:deer", "--method", "magic"], 2, "second-order"),
        (["attack", "--pair", "dog:deer", "--preset", "nope"], 2, "available: "),
        (["attack", "--pair", "dog:deer", "--seed", "-1"], 2, "--seed"),
        (["atack", "--pair", "dog:deer"], 2, "Did you mean 'attack'?"),
        (["attack", "--pair", "dog:dear", "--out", "{tmp}/r"], 1, "did you mean deer"),
        (["attack", "--pair", "dogg:deer", "--out", "{tmp}/r"], 1, "did you mean dog"),
        (
            ["attack", "--pair", "dog:deer", "--model", "sandbox-z", "--out", "{tmp}/r"],
            1,
            "sandbox-a",
        ),
        (
            ["attack", "--pair", "dog:deer", "--pool", "nowhere.txt", "--out", "{tmp}/r"],
            1,
            "nowhere.txt",
        ),
        (
            ["attack", "--pair", "dog:deer", "--lens-images", "sandbox:x", "--out", "{tmp}/r"],
            1,
            "sandbox:N",
        ),
        (
            ["attack", "--pair", "dog:deer", "--lens-images", "no/folder", "--out", "{tmp}/r"],
            1,
            "no/folder",
        ),
        (["words", "--pair", "dog-deer"], 2, "TRUE:TARGET"),
        (["words", "--pair", "dog:unicorn"], 1, "advgen sandbox classes"),
        (["sandbox", "draw", "a dog", "-o", "x.gif"], 2, ".png"),
        (["sandbox", "images", "0", "--out", "{tmp}/i"], 2, "COUNT"),
        (["sandbox", "train", "sandbox-q"], 1, "sandbox-a"),
    ],
    ids=lambda value: " ".join(value[:5]) if isinstance(value, list) else None,
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    result = run(*[argument.replace("{tmp}", str(tmp_path)) for argument in arguments])
    assert result.exit_code == code, result.stderr
    assert says in last_line(result), result.stderr
    assert "Traceback" not in result.output


def test_unwritable_out_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    result = run("attack", "--pair", "dog:deer", "--out", str(blocked / "run"))
    assert result.exit_code == 1
    assert "cannot write" in last_line(result)
    result = run("attack", "--pair", "dog:deer", "--out", str(blocked))
    assert result.exit_code == 2
    assert "is a file" in last_line(result)


def test_a_foreign_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    result = run("attack", "--pair", "dog:deer", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "not a run directory" in last_line(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.txt"]


def test_changed_config_on_an_existing_run_is_refused_with_the_differing_keys(
    tmp_path: Path,
) -> None:
    from advgen.attack.run import open_run
    from advgen.config import attack_config, read_preset

    out = tmp_path / "run"
    open_run(attack_config({**read_preset("sandbox"), "pairs": ["dog:deer"], "images": 7}), out)
    before = (out / "run.toml").read_bytes()
    result = run("attack", "--pair", "dog:deer", "--images", "8", "--seed", "3", "--out", str(out))
    assert result.exit_code == 1
    assert "images, seed" in last_line(result)
    assert (out / "run.toml").read_bytes() == before


@pytest.mark.parametrize(
    "wrong",
    [
        ("--model", "sandbox-z"),
        ("--layers", "9"),
        ("--lens-images", "nosuch"),
        ("--lens-images", "sandbox:1"),
        ("--pool", "nosuch"),
        ("--set", "describe.describer=nobody"),
        ("--method", "indirect", "--set", "mining.score=activation"),
    ],
)
def test_what_is_refused_leaves_no_run_that_blocks_the_corrected_command(
    tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    result = run("attack", "--pair", "dog:deer", "--out", str(out), *wrong)
    assert result.exit_code == 1, result.output
    assert not out.exists()


def test_a_broken_image_in_an_image_set_is_skipped_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    assert run("sandbox", "images", "6", "--out", str(folder)).exit_code == 0
    victim = sorted(folder.rglob("*.png"))[3]
    victim.write_bytes(victim.read_bytes()[:100])
    result = run(
        "attack", "--pair", "dog:deer", "--lens-images", str(folder), "--out", str(tmp_path / "run")
    )
    assert result.exit_code == 0
    assert victim.name in result.stderr and "1 unreadable images were left out" in result.stderr


def test_a_checkpoint_of_the_wrong_shape_is_named(tmp_path: Path) -> None:
    import shutil
    from importlib import resources

    from safetensors.torch import load_file, save_file

    source = Path(str(resources.files("advgen.sandbox").joinpath("weights", "sandbox-a")))
    folder = tmp_path / "checkpoint"
    shutil.copytree(source, folder)
    weights = folder / "open_clip_model.safetensors"
    tensors = load_file(weights)
    tensors["visual.proj"] = tensors["visual.proj"][:, :-3].contiguous()
    save_file(tensors, weights)
    result = run(
        "attack", "--pair", "dog:deer", "--model", str(folder), "--out", str(tmp_path / "run")
    )
    assert result.exit_code == 1
    assert "visual.proj" in last_line(result)
