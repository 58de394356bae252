import json
import multiprocessing
import signal
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

from advgen.errors import DataError, StoreError
from advgen.evaluate.robustness import leaderboard
from advgen.evaluate.robustness.leaderboard import read_leaderboard, update_leaderboard


def row(model: str, success: float, excess: float | None = 0.1, **columns: Any) -> dict[str, Any]:
    rate = {"count": 1, "images": 10, "share": success, "interval": [0.0, 0.5]}
    found = None if excess is None else {"value": excess, "low": -0.2, "high": 0.3}
    return {
        "model": model,
        "weights_sha256": model * 8,
        "data": "ds",
        "fingerprint": "f" * 64,
        "prompts": ["a {}"],
        "images": 10,
        "success": rate,
        "clean": None if excess is None else rate,
        "excess": found,
        "clean_images": None if excess is None else "folder:x",
        **columns,
    }


def board_of(**columns: Any) -> str:
    document = {"schema": "advgen-leaderboard/1", "rows": [row("a", 0.1) | columns]}
    return json.dumps(document)


def order(path: Path) -> list[str]:
    return [found["model"] for found in read_leaderboard(path)]


def test_rows_are_added_replaced_and_ranked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "board.json"
    page = update_leaderboard(path, [row("worse", 0.1, 0.3), row("better", 0.9, -0.1)])
    assert order(path) == ["better", "worse"], "by excess, not by success"
    update_leaderboard(path, [row("uncontrolled", 0.0, None), row("worse", 0.1, -0.2)])
    assert order(path) == ["worse", "better", "uncontrolled"]
    update_leaderboard(path, [row("worse", 0.1, 0.5, prompts=["{}"]), row("x", 0, data="aa")])
    assert order(path) == ["worse", "better", "x", "worse", "uncontrolled"]
    update_leaderboard(path, [row("worse", 0.1, 0.0, fingerprint="e" * 64, data="zz")])
    assert order(path)[-1] == "worse" and len(order(path)) == 6
    text = page.read_text(encoding="utf-8")
    assert page == path.with_suffix(".md") and text.count("## ") == 2
    assert "| worse (`worsewor`) | 10 | 10.0 [0.0, 50.0] | - | 10.0 [0.0, 50.0] | -20.0 [" in text
    before = path.read_bytes(), page.read_bytes()
    update_leaderboard(path, [row("better", 0.9, -0.1)])
    assert (path.read_bytes(), page.read_bytes()) == before


def test_a_place_that_cannot_be_written_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(StoreError, match=r"cannot write into .*Permission denied"):
        update_leaderboard(tmp_path / "board.json", [row("a", 0.1)])
    assert list(tmp_path.iterdir()) == []


def test_another_control_is_another_row(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    update_leaderboard(path, [row("a", 0.1, 0.3)])
    update_leaderboard(path, [row("a", 0.1, None)])
    update_leaderboard(path, [row("a", 0.1, 0.2, clean_images="folder:y")])
    found = [(line["clean_images"], line["excess"] and 1) for line in read_leaderboard(path)]
    assert found == [("folder:y", 1), ("folder:x", 1), (None, None)]


def test_tests_are_corrected_over_the_table(tmp_path: Path) -> None:
    def against(p: float, attacked: str = "x") -> list[dict[str, Any]]:
        return [{"attacked": attacked, "p_descriptions": p}]

    path = tmp_path / "board.json"
    update_leaderboard(path, [row("old", 0.1, 0.5), row("a", 0.1, 0.1, tests=against(0.01))])
    assert "| 0.010 (x) | folder:x |" in path.with_suffix(".md").read_text(encoding="utf-8")
    both = against(1e-5) + against(0.5, "y")
    update_leaderboard(path, [row("b", 0.1, 0.2, tests=both, sentence_interval=[0.05, 0.2])])
    update_leaderboard(path, [row("a", 0.1, None, tests=against(0.01))])
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert text.count("| 0.020 (x) |") == 2, "the same test in two rows counts once"
    assert "| 3.0e-05 (x), 0.500 (y) |" in text and "| [5.0, 20.0] |" in text
    assert "| old (`oldoldol`) | 10 | 10.0 [0.0, 50.0] | - |" in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no leaderboard"),
        ("[]", "of schema advgen-leaderboard/1"),
        ('{"schema": "advgen-leaderboard/2", "rows": []}', "'advgen-leaderboard/2'"),
        ('{"schema": "advgen-leaderboard/1", "rows": [{}]}', "lack a column"),
        ('{"schema": "advgen-leaderboard/1", "rows": {}}', "lack a column"),
        (board_of(success=None), "another kind of value"),
        (board_of(success={"share": None}), "another kind of value"),
        (board_of(excess=0.1), "another kind of value"),
        (board_of(model=3), "another kind of value"),
        (board_of(prompts=None), "another kind of value"),
        (board_of(tests=[{"attacked": "a"}]), "another kind of value"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_kept(
    tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "board.json"
    path.write_text(content)
    with pytest.raises(DataError, match=says):
        update_leaderboard(path, [row("a", 0.1)])
    assert path.read_text() == content and not path.with_suffix(".md").exists()


def add(path: Path, name: str) -> None:
    for number in range(5):
        update_leaderboard(path, [row(f"{name}{number}", 0.1)])


def test_writers_at_the_same_time_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add, args=(path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(order(path)) == sorted(f"{name}{number}" for name in "abc" for number in range(5))


def hang(path: Path, holding: Event) -> None:
    def never(*_: object) -> None:
        holding.set()
        signal.pause()

    leaderboard.write_atomic = never  # type: ignore[assignment]
    update_leaderboard(path, [row("hanging", 0.1)])


def test_a_killed_writer_neither_loses_rows_nor_keeps_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "board.json"
    update_leaderboard(path, [row("first", 0.1)])
    context = multiprocessing.get_context("fork")
    holding = context.Event()
    writer = context.Process(target=hang, args=(path, holding))
    writer.start()
    assert holding.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr(leaderboard, "PATIENCE", 0.05)
        with pytest.raises(StoreError, match="another process keeps"):
            update_leaderboard(path, [row("first", 0.1)])
    writer.kill()
    writer.join()
    update_leaderboard(path, [row("second", 0.2)])
    assert order(path) == ["first", "second"]
    assert json.loads(path.read_text())["schema"] == leaderboard.SCHEMA
