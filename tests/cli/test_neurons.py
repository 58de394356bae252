"""`advgen neurons` from the command line, on a few scenes of the sandbox."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from advgen.cli import main
from advgen.cli.neuron_options import lens_parameters
from advgen.cli.neuron_tables import print_neuron
from advgen.cli.neurons import FORMATS
from advgen.neurons import FORMATS as KNOWN_FORMATS

SMALL = ("--lens-images", "sandbox:12")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pool") / "pool.txt"
    path.write_text("\n".join(["dog", "cat", "tree", "snow", "ship", "moss", "forest", "horse"]))
    return str(path)


@pytest.fixture(scope="module")
def run(cache: Path):
    def invoke(verb: str, *arguments: str) -> Result:
        environment = {"ADVGEN_CACHE": str(cache)}
        runner = CliRunner(env=environment)
        return runner.invoke(main, ["neurons", verb, *arguments], catch_exceptions=False)

    return invoke


def last_line(result: Result) -> str:
    return result.stderr.strip().splitlines()[-1]


def test_compute_stores_one_artifact_per_layer(run, cache: Path) -> None:
    result = run("compute", *SMALL, "--layers", "3,4", "--json")
    printed = json.loads(result.stdout)
    assert [layer["layer"] for layer in printed["layers"]] == [3, 4]
    for layer in printed["layers"]:
        assert 0 < layer["explained_variance"] <= 1
        assert layer["significant"] == 1.0
    assert printed["store"] == str(cache / "directions")
    assert len(list((cache / "directions").glob("*.safetensors"))) == 2
    table = run("compute", *SMALL, "--layers", "3,4").stdout
    for layer in printed["layers"]:
        assert f"{layer['explained_variance']:.1%}" in table
    assert table.splitlines()[-1] == f"stored in {cache / 'directions'}"


def test_another_treatment_or_set_size_is_stored_apart(run, cache: Path) -> None:
    run("compute", *SMALL, "--layers", "4")
    before = {path.name for path in (cache / "directions").iterdir()}
    for more in (["--treatment", "centered"], ["--top-images", "5"]):
        result = run("compute", *SMALL, "--layers", "4", *more, "--json")
        after = {path.name for path in (cache / "directions").iterdir()}
        assert len(after) == len(before) + 2, result.stderr
        before = after
    assert json.loads(result.stdout)["layers"][0]["significant"] == 5 / 12


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("explained", "explained_variance"),
        ("threshold", "norm_threshold"),
        ("norm", "largest_norm"),
    ],
)
def test_list_is_sorted_and_limited(run, sort: str, key: str) -> None:
    result = run("list", *SMALL, "--layer", "4", "--sort", sort, "--limit", "7", "--json")
    rows = json.loads(result.stdout)
    assert len(rows) == 7
    assert {row["layer"] for row in rows} == {4}
    values = [row[key] for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(row["words"] == [] for row in rows)
    table = run("list", *SMALL, "--layer", "4", "--sort", sort, "--limit", "7").stdout
    neurons = [line.split()[0] for line in table.splitlines()[1:]]
    assert neurons == [f"4:{row['index']}" for row in rows]


def test_list_for_a_pair_is_sorted_by_alignment(run, pool: str) -> None:
    options = [*SMALL, "--layer", "4", "--for", "dog:deer", "--limit", "6"]
    words = ["--words", "2", "--nonzeros", "4", "--pool", pool]
    rows = json.loads(run("list", *options, *words, "--json").stdout)
    sizes = [abs(row["alignment"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert all(len(row["words"]) == 2 and row["concepts"] >= 1 for row in rows)
    table = run("list", *options, *words).stdout
    for row in rows:
        assert f"{row['alignment']:+.3f}" in table


def test_show_prints_the_neuron_and_writes_the_page(run, pool: str, tmp_path: Path) -> None:
    page = tmp_path / "cards.html"
    options = [*SMALL, "--pool", pool, "--words", "4", "--nonzeros", "6", "--images", "3"]
    arguments = ["4:10", "3:0", "4:10", *options]
    rows = json.loads(run("show", *arguments, "--json").stdout)
    assert [(row["layer"], row["index"]) for row in rows] == [(4, 10), (3, 0)]
    for row in rows:
        assert len(row["words"]) == 4
        norms = [image["norm"] for image in row["images"]]
        assert norms == sorted(norms, reverse=True)
        assert len(norms) == 3
        assert all(abs(image["projection"]) <= image["norm"] * 1.001 for image in row["images"])
    result = run("show", *arguments, "--html", str(page))
    assert result.stdout.splitlines()[-1] == f"page {page}"
    for row in rows:
        assert f"{row['layer']}:{row['index']}" in result.stdout
        for entry in row["words"]:
            assert f"{entry['word']} {entry['coefficient']:+.2f}" in result.stdout
    html = page.read_text(encoding="utf-8")
    assert html.count("<article") == 2
    assert "drawn world" in html


def test_words_are_printed_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    """Words come from files of the user: brackets and colons are no markup and no emoji."""
    numbers = dict.fromkeys(("norm_threshold", "norm_quantile", "largest_norm", "concepts"), 1.0)
    words = [{"word": "[red]moss", "coefficient": 0.5}, {"word": ":dog:", "coefficient": -0.25}]
    images = [{"name": "[/x].png", "index": 3, "norm": 1.0, "projection": -0.5}]
    row = {"layer": 4, "index": 1, "explained_variance": 0.5, **numbers}
    print_neuron({**row, "words": words, "images": images})
    printed = capsys.readouterr().out
    for text in ("[red]moss +0.50", ":dog: -0.25", "[/x].png"):
        assert text in printed


@pytest.mark.parametrize("form", FORMATS)
def test_export_writes_every_neuron_of_the_layer(run, pool: str, tmp_path: Path, form) -> None:
    out = tmp_path / f"n.{form}"
    options = [*SMALL, "--layers", "4", "--pool", pool, "--nonzeros", "3", "--words", "2"]
    result = run("export", *options, "--out", str(out))
    readers = {
        "json": lambda: json.loads(out.read_text())["neurons"],
        "csv": lambda: list(csv.DictReader(out.read_text(encoding="utf-8").splitlines())),
        "parquet": lambda: pq.read_table(out).to_pylist(),
    }
    rows = readers[form]()
    assert [int(row["index"]) for row in rows] == list(range(len(rows)))
    assert result.stdout == f"{len(rows)} neurons {out}\n"
    words = rows[0]["words"]
    assert len(json.loads(words) if form == "csv" else words) == 2


def test_export_into_a_folder_with_a_page(run, pool: str, tmp_path: Path) -> None:
    options = [*SMALL, "--layers", "4", "--pool", pool, "--nonzeros", "3", "--words", "2"]
    page = ["--html", "--cards", "3", "--images", "2"]
    result = run("export", *options, "--out", str(tmp_path), "--format", "csv", *page)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["neurons.csv", "neurons.html"]
    assert (tmp_path / "neurons.html").read_text(encoding="utf-8").count("<article") == 3
    assert result.stdout.splitlines()[-1] == f"page {tmp_path / 'neurons.html'}"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "4"], 2, "write LAYER:INDEX, for example 4:10"),
        (["show", "4:x"], 2, "LAYER:INDEX"),
        (["show", "4:-1"], 2, "LAYER:INDEX"),
        (["show"], 2, "LAYER:INDEX"),
        (["show", "4:99999"], 1, "4:0 to 4:"),
        (["show", "5:0"], 1, "choose layers from 0 to 4"),
        (["show", "77:0"], 1, "choose layers from 0 to 4"),
        (["show", "4:1", "--layers", "3"], 2, "No such option"),
        (["show", "4:1", "--atoms", "none"], 2, "centered-unit"),
        (["list", "--layer", "5"], 1, "choose layers from 0 to 4"),
        (["list", "--for", "dog"], 2, "TRUE:TARGET"),
        (["list", "--for", "dog:unicorn"], 1, "unicorn"),
        (["list", "--for", "dog:deer", "--sort", "norm"], 2, "leave out --sort"),
        (["list", "--limit", "0"], 2, "--limit"),
        (["compute", "--treatment", "other"], 2, "centered"),
        (["compute", "--top-images", "1"], 2, "--top-images"),
        (["compute", "--layers", "4,5"], 1, "choose layers from 0 to 4"),
        (["export"], 2, "Missing option '--out'"),
        (["export", "--out", "{tmp}/n.xml"], 2, ".parquet"),
        (["export", "--out", "{tmp}/n.csv", "--format", "json"], 2, "not a json file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_clear_line(
    run, arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    result = run(*[argument.replace("{tmp}", str(tmp_path)) for argument in arguments], *SMALL)
    assert result.exit_code == code, result.stderr
    assert says in last_line(result), result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    runner = CliRunner(env={"ADVGEN_CACHE": str(blocked)})
    arguments = ["neurons", "compute", *SMALL, "--layers", "4"]
    result = runner.invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 1
    assert "cannot write" in last_line(result)
    assert "ADVGEN_CACHE" in last_line(result)


def test_a_page_that_cannot_be_written_is_named(run, pool: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    options = [*SMALL, "--pool", pool, "--nonzeros", "3", "--words", "2"]
    result = run("show", "4:1", *options, "--html", str(blocked / "cards.html"))
    assert result.exit_code == 1
    assert "cannot write" in last_line(result)


def test_the_formats_offered_are_those_that_can_be_written() -> None:
    assert FORMATS == KNOWN_FORMATS


def test_options_without_effect_are_not_offered() -> None:
    names = {option.name for option in lens_parameters("pool")}
    assert {"preset", "model", "layers", "lens_images", "treatment", "top_images"} <= names
    assert not names & {"pool", "seed"}
