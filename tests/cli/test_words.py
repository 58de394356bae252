import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from advgen.cli import main
from advgen.cli.words import print_words
from advgen.records import (
    ClassPair,
    DroppedWord,
    MinedWord,
    Neuron,
    NeuronShare,
    WordList,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def words(cache: Path, *more: str) -> Result:
    arguments = ["words", "--pair", "dog:deer", "--pair", "ship:truck", "--layers", "3,4"]
    arguments += ["--lens-images", "sandbox:12", *more]
    environment = {"ADVGEN_CACHE": str(cache)}
    return CliRunner(env=environment).invoke(main, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def printed(cache: Path) -> Result:
    return words(cache, "--json")


def test_json_holds_words_neurons_and_what_was_dropped(printed: Result) -> None:
    lists = json.loads(printed.stdout)
    assert [entry["pair"] for entry in lists] == [
        {"true_class": "dog", "target_class": "deer"},
        {"true_class": "ship", "target_class": "truck"},
    ]
    for entry in lists:
        assert (entry["method"], entry["repeat"]) == ("second-order", 0)
        assert 0 < len(entry["kept"]) <= 25
        scores = [word["score"] for word in entry["kept"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] > 0
        for word in entry["kept"]:
            contributions = [abs(share["contribution"]) for share in word["neurons"]]
            assert contributions == sorted(contributions, reverse=True)
            assert {share["neuron"]["layer"] for share in word["neurons"]} <= {3, 4}
        named = (
            {"deer", "stag", "doe", "fawn"} if entry["pair"]["true_class"] == "dog" else {"truck"}
        )
        assert not named & {word["word"] for word in entry["kept"]}
        assert all(
            set(word) == {"word", "score", "reason", "similarity"} for word in entry["dropped"]
        )


def test_the_table_shows_the_same_words(printed: Result, cache: Path) -> None:
    table = words(cache).stdout
    for entry in json.loads(printed.stdout):
        for word in entry["kept"]:
            assert f"{word['word']} " in table
            assert f"{word['score']:.3f}" in table
        for word in entry["dropped"]:
            assert f"dropped {word['word']} ({word['score']:.3f}): {word['reason']}" in table


def test_several_methods_are_printed_one_after_the_other(cache: Path) -> None:
    chosen = ["--method", "similar-words", "--method", "random", "--method", "similar-words"]
    lists = json.loads(words(cache, *chosen, "--json").stdout)
    pairs = [("dog", "similar-words"), ("dog", "random")]
    pairs += [("ship", "similar-words"), ("ship", "random")]
    assert [(entry["pair"]["true_class"], entry["method"]) for entry in lists] == pairs
    assert not any(word["neurons"] for word in lists[0]["kept"])
    table = words(cache, *chosen).stdout
    titles = [f"dog:deer ({method})" for method in ("similar-words", "random")]
    assert [line.strip() for line in table.splitlines() if "dog:deer" in line] == titles


def test_another_score_ranks_other_words(printed: Result, cache: Path) -> None:
    (first, _) = json.loads(printed.stdout)
    other = words(cache, "--json", "--set", "mining.score=projection", "--set", "mining.words=4")
    (second, _) = json.loads(other.stdout)
    assert len(second["kept"]) == 4
    assert [word["word"] for word in second["kept"]] != [word["word"] for word in first["kept"][:4]]
    assert all(len(word["neurons"]) == 8 for word in second["kept"])


def test_words_are_printed_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    """Words come from files of the user: brackets and colons are no markup and no emoji."""
    shares = (NeuronShare(Neuron(3, 41), 0.25), NeuronShare(Neuron(4, 7), -0.125))
    kept = (MinedWord("[red]moss", 0.5, shares), MinedWord(":dog:", 0.25), MinedWord("[/x]", 0.1))
    dropped = (DroppedWord("[bold]deer", 0.4, "target_class"),)
    print_words(WordList(ClassPair("dog", "deer"), "random", 0, kept, dropped))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "dog:deer (random)" in lines
    assert any(
        line.split() == ["[red]moss", "0.500", "3:41", "(+0.250),", "4:7", "(-0.125)"]
        for line in lines
    )
    assert any(line.split() == [":dog:", "0.250", "-"] for line in lines)
    assert any(line.split() == ["[/x]", "0.100", "-"] for line in lines)
    assert "dropped [bold]deer (0.400): target_class" in lines


@pytest.mark.parametrize(("layers", "code"), [("8", 1), ("a,b", 2), ("-1", 2), ("", 2), ("4,4", 1)])
def test_layers_that_are_none_are_refused(cache: Path, layers: str, code: int) -> None:
    result = words(cache, "--layers", layers)
    assert result.exit_code == code
    assert "layer" in result.stderr.splitlines()[-1].lower()
    assert result.stdout == ""
