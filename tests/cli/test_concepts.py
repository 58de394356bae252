"""`advgen concepts` from the command line, on a few scenes of the sandbox."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from advgen.cli import main
from advgen.cli.concepts import RULE_NAMES, SCORES, THRESHOLDS, print_concepts
from advgen.evaluate.concepts import discover, effects
from advgen.evaluate.concepts.discover import ImageConcepts
from advgen.imagesets import load_image_set
from advgen.records import MinedWord, Neuron, NeuronShare


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pool") / "pool.txt"
    path.write_text("\n".join(["dog", "cat", "tree", "snow", "ship", "moss", "forest", "horse"]))
    return str(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(load_image_set("sandbox:3?seed=9")):
        image.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(cache: Path, pool: str):
    def invoke(*arguments: str) -> Result:
        own = ["--lens-images", "sandbox:12", "--layers", "3,4", "--pool", pool]
        runner = CliRunner(env={"ADVGEN_CACHE": str(cache)})
        return runner.invoke(main, ["concepts", *own, *arguments], catch_exceptions=False)

    return invoke


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def printed(run, pictures: Path) -> list[dict]:
    return json.loads(run("--json", "--top", "3", str(pictures)).stdout)


def test_options_are_those_of_the_core() -> None:
    assert (THRESHOLDS, SCORES) == (effects.THRESHOLDS, discover.SCORES)
    assert tuple(discover.RULES) == RULE_NAMES
    assert discover.RULES["paper"] == discover.ConceptRule()


def test_json_holds_words_and_the_neurons_behind_them(printed, pictures: Path) -> None:
    assert [entry["image"] for entry in printed] == [str(pictures / f"{n}.png") for n in range(3)]
    for entry in printed:
        assert entry["activated"] > 0
        assert 0 < len(entry["words"]) <= 3
        weights = [word["score"] for word in entry["words"]]
        assert min(weights) > 0
        for word in entry["words"]:
            assert {share["neuron"]["layer"] for share in word["neurons"]} <= {3, 4}


def test_without_spread_words_stand_by_weight(run, pictures: Path) -> None:
    found = json.loads(run("--json", "--rule", "active", str(pictures)).stdout)
    for entry in found:
        weights = [word["score"] for word in entry["words"]]
        assert weights == sorted(weights, reverse=True)


def test_the_table_shows_the_same(run, printed, pictures: Path) -> None:
    table = run("--top", "3", str(pictures)).stdout
    for entry in printed:
        assert f"{entry['image']} ({entry['activated']} activated neuron" in table
        for word in entry["words"]:
            first = word["neurons"][0]
            neuron = f"{first['neuron']['layer']}:{first['neuron']['index']}"
            (line,) = [
                row
                for row in table.splitlines()
                if row.split()[:2] == [word["word"], f"{word['score']:.3f}"] and neuron in row
            ]
            assert f"({first['contribution']:+.3f})" in line


def test_files_folders_and_specs_in_the_order_given(run, printed, pictures: Path) -> None:
    names = [str(pictures / "2.png"), str(pictures / "0.png"), "sandbox:2?seed=3", str(pictures)]
    found = json.loads(run("--json", "--top", "3", *names).stdout)
    expected = [*names[:2], *(f"sandbox:2?seed=3 scene {number}" for number in (0, 1))]
    expected += [entry["image"] for entry in printed]
    assert [entry["image"] for entry in found] == expected
    first = [word["word"] for word in found[0]["words"]]
    assert first == [word["word"] for word in printed[2]["words"]]


def test_codes_are_computed_once(run, cache: Path, pictures: Path) -> None:
    codes = ("--json", "--rule", "paper")
    run(*codes, str(pictures / "0.png"))
    before = {path: path.stat().st_mtime_ns for path in (cache / "codes").iterdir()}
    again = run(*codes, str(pictures / "0.png"))
    assert {path: path.stat().st_mtime_ns for path in (cache / "codes").iterdir()} == before
    assert "sparse codes" not in again.stderr
    other = run(*codes, "--set", "text.nonzeros=2", str(pictures / "0.png"))
    assert "sparse codes" in other.stderr
    assert len(list((cache / "codes").iterdir())) == len(before) + 2


@pytest.mark.parametrize(
    "options",
    [
        ("--rule", "active"),
        ("--rule", "active", "--signed", "--threshold", "quantile"),
        ("--rule", "paper"),
        ("--rule", "paper", "--specific"),
        ("--spread", "0.5"),
        ("--threshold", "top", "--unsigned"),
    ],
)
def test_options_change_the_weights(run, printed, pictures: Path, options) -> None:
    found = json.loads(run("--json", "--top", "3", *options, str(pictures)).stdout)
    assert len(found) == 3
    assert [entry["words"] for entry in found] != [entry["words"] for entry in printed]


def test_an_unreadable_file_of_a_folder_is_noted(run, tmp_path: Path) -> None:
    load_image_set("sandbox:1")[0].save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    result = run("--json", str(tmp_path))
    assert len(json.loads(result.stdout)) == 1
    assert "skipped an unreadable image" in result.stderr
    refused = run(str(tmp_path / "b.png"))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "b.png is not a readable image" in last_line(refused)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.png"], 1, "nowhere.png"),
        (["sandbox:2?sead=1"], 1, "sead"),
        (["sandbox:0"], 1, "sandbox:N"),
        ([], 2, "IMAGE"),
        (["sandbox:1", "--top", "0"], 2, "--top"),
        (["sandbox:1", "--layers", "9"], 1, "layer"),
        (["sandbox:1", "--pool", "nowhere"], 1, "pool"),
        (["sandbox:1", "--model", "nowhere"], 1, "nowhere"),
        (["sandbox:1", "--set", "text.nonzeros"], 2, "KEY=VALUE"),
        (["sandbox:1", "--specific"], 2, "--rule paper"),
        (["sandbox:1", "--score", "codes"], 2, "--spread 0"),
        (["sandbox:1", "--spread", "2"], 2, "--spread"),
        (["sandbox:1", "--unsigned"], 2, "--signed"),
    ],
)
def test_faults_are_one_line(run, arguments, code: int, said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in last_line(result)
    assert "Traceback" not in result.stderr


def test_words_are_printed_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    word = MinedWord("[red]moss", 0.5, (NeuronShare(Neuron(3, 41), 0.25),))
    print_concepts([ImageConcepts("[a].png", 1, (word,)), ImageConcepts("b.png", 0, ())])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["[red]moss", "0.500", "3:41", "(+0.250)"] in lines
    assert ["[a].png", "(1", "activated", "neuron)"] in lines
    assert ["no", "word", "has", "a", "positive", "weight"] in lines
