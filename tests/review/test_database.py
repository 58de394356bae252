"""The SQLite file: migrations, what is refused, what is never changed."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from advgen.errors import DataError, RunError
from advgen.review.database import Database, migrations
from advgen.review.items import item_id
from advgen.review.store import ReviewStore

ITEM = (
    "INSERT INTO items (id, run, line, sample, judgements, pair, method, fooled, judged, disputed,"
    " place, lot) VALUES ('a1', 1, 0, '{}', '[]', 'dog:deer', 'random', 0, 0, 0, 7, 7)"
)
VOTE = "INSERT INTO votes (item, reviewer, true_visible, token, withdraws, at) VALUES "


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, *_ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_file_of_an_older_version_keeps_its_votes(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    old = Database.open(path, upto=1)
    with old.writing() as connection:
        connection.execute("INSERT INTO runs VALUES (1, 'somewhere', 'x')")
        connection.execute(ITEM)
        connection.execute(VOTE + "(1, 'ann', 1, 't1', NULL, ''), (1, 'ann', 0, 't2', NULL, '')")
        connection.execute(VOTE + "(1, 'bob', 1, 't1', NULL, '')")
        connection.execute(VOTE + "(1, 'ann', NULL, 't3', 2, '')")
    assert old.version() == 1
    old.close()
    new = Database.open(path)
    with new.connection() as connection:
        standing = connection.execute("SELECT reviewer, vote FROM standing ORDER BY 1").fetchall()
        assert [tuple(row) for row in standing] == [("ann", 1), ("bob", 3)]
        assert connection.execute("SELECT votes FROM items").fetchone()[0] == 2
        done = connection.execute("SELECT reviewer, done FROM tallies ORDER BY 1").fetchall()
        assert [tuple(row) for row in done] == [("ann", 1), ("bob", 1)]
    assert new.version() == len(migrations())
    new.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    database = Database.open(path)
    with database.writing() as connection:
        connection.execute("INSERT INTO schema_versions VALUES (999, 'later', '')")
    database.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="newer advgen .schema 999"):
        Database.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("attempt", range(3))
def test_several_may_make_the_same_file_at_once(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "review.sqlite"
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(Database.open, [path] * 8))
    for database in opened:
        assert database.version() == len(migrations())
        database.close()


def test_a_migration_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "review.sqlite"
    Database.open(path).close()
    broken = (len(migrations()) + 1, "broken", "CREATE TABLE half (x);\nCREATE TABLE half (x);\n")
    steps = [*migrations(), broken]
    monkeypatch.setattr("advgen.review.database.migrations", lambda: steps)
    with pytest.raises(DataError, match="already exists"):
        Database.open(path)
    monkeypatch.undo()
    database = Database.open(path)
    with database.connection() as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'")
        assert tables.fetchall() == []
    assert database.version() == len(migrations())
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE votes SET note = 'x'",
        "UPDATE votes SET true_visible = 0",
        "DELETE FROM votes",
        "REPLACE INTO votes (id, item, reviewer, token, at) VALUES (1, 1, 'ann', 'new', '')",
        "REPLACE INTO votes (item, reviewer, token, at) VALUES (1, 'ann', 't1', '')",
        VOTE + "(1, 'ann', NULL, 'new', 1, ''), (1, 'ann', NULL, 'new2', 1, '')",
        VOTE + "(1, 'ann', 7, 'new', NULL, '')",
        VOTE + "(2, 'ann', 1, 'new', NULL, '')",
        "DELETE FROM items",
    ],
)
def test_votes_are_only_ever_added(tmp_path: Path, statement: str) -> None:
    database = Database.open(tmp_path / "review.sqlite")
    with database.writing() as connection:
        connection.execute("INSERT INTO runs VALUES (1, 'somewhere', 'x')")
        connection.execute(ITEM)
        connection.execute(VOTE + "(1, 'ann', 1, 't1', NULL, '')")
    plain = sqlite3.connect(tmp_path / "review.sqlite")
    plain.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):
        plain.execute(statement)
    plain.rollback()
    rows = plain.execute("SELECT id, reviewer, true_visible, token FROM votes").fetchall()
    assert rows == [(1, "ann", 1, "t1")]
    plain.close()
    database.close()


def damaged(path: Path) -> None:
    database = Database.open(path)
    with database.writing() as connection:
        connection.execute("INSERT INTO runs VALUES (1, 'somewhere', 'x')")
        for number in range(300):
            connection.execute(ITEM.replace("'a1'", f"'a{number}'"))
    with database.connection() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = bytearray(path.read_bytes())
    data[20480:32768] = b"\x55" * 12288
    path.write_bytes(data)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (name)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"no database at all, but long enough" * 40), "damaged or"),
        (damaged, "damaged or is no review"),
        (foreign, "no review"),
        (lambda path: path.mkdir(), "cannot use the review"),
        (lambda path: path.parent.rmdir() or path.parent.write_text(""), "cannot"),
    ],
)
def test_what_is_no_review_is_named(tmp_path: Path, make, message: str) -> None:
    path = tmp_path / "folder" / "review.sqlite"
    path.parent.mkdir()
    make(path)
    with pytest.raises(DataError, match=message):
        Database.open(path)


def test_a_closed_review_is_a_fault_of_the_program(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "review.sqlite")
    database.close()
    with pytest.raises(ValueError, match="closed"), database.connection():
        pass


def test_opening_again_brings_in_what_changed_and_forgets_no_vote(tmp_path: Path, draw_run) -> None:
    path, run = tmp_path / "review.sqlite", tmp_path / "run"
    draw_run(run, 4)
    with ReviewStore.open(path, [run], double=0.5) as store:
        first = store.next_item("ann")
        assert first is not None
        store.vote("ann", first.id, True, False, token="t1")
        shown = {item.id: item.shared for item in store.page("ann")}
    with ReviewStore.open(path, [run]) as store:
        assert {item.id: item.shared for item in store.page("ann")} == shown
    draw_run(run, 6, method="indirect")
    with ReviewStore.open(path, [run]) as store:
        assert len(store.page("ann")) == 6
        assert store.methods() == ["indirect"]
        assert list(store.votes_of("ann", list(shown))) == [first.id]
    draw_run(run, 3, sha256="0" * 64)
    with ReviewStore.open(path, [run]) as store:
        assert {item.sha256 for item in store.page("ann")} == {"0" * 64}
        assert store.counts("ann").done == 0
        assert [decision.sha256 for decision in store.decisions()] == [first.sha256]
        assert store.decisions(run) == []


def test_a_run_without_records_is_named_and_leaves_the_review_as_it_was(tmp_path, draw_run) -> None:
    path, run = tmp_path / "review.sqlite", draw_run(tmp_path / "run", 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="records.parquet"):
        ReviewStore.open(path, [run, tmp_path / "empty"])
    with ReviewStore.open(path, []) as store:
        assert store.page("ann") == []


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", ""])
def test_an_image_outside_its_run_is_refused(tmp_path: Path, draw_run, name: str) -> None:
    run = draw_run(tmp_path / "run", 2, path=name)
    (tmp_path / "secret.png").write_bytes(b"secret")
    with pytest.raises(DataError, match="leads out of the run"):
        ReviewStore.open(tmp_path / "review.sqlite", [run])


def test_an_image_that_is_a_link_out_of_its_run_is_refused(open_review, tmp_path: Path) -> None:
    store = open_review(1)
    item = store.page("ann")[0]
    (tmp_path / "secret.png").write_bytes(item.image.read_bytes())
    item.image.unlink()
    item.image.symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="leads out of the run"):
        store.image_bytes(item.id)


def test_what_is_shown_is_what_the_records_name(open_review) -> None:
    store = open_review(2)
    item, other = store.page("ann")
    assert store.image_bytes(item.id) == item.image.read_bytes()
    assert item.id == item_id(item.sample)
    item.image.write_bytes(other.image.read_bytes())
    with pytest.raises(DataError, match="not the image"):
        store.image_bytes(item.id)
    item.image.unlink()
    with pytest.raises(DataError, match="cannot read"):
        store.image_bytes(item.id)


def test_a_data_set_is_no_run_and_the_fault_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/build.json").write_text("{}")
    with pytest.raises(RunError, match="is a data set, not a run; review the runs"):
        ReviewStore.open(tmp_path / "r.sqlite", [tmp_path / "set"])


def test_a_run_folder_that_was_moved_is_reviewed_where_it_lies_now(draw_run, tmp_path) -> None:
    run = draw_run(tmp_path / "run", 3)
    with ReviewStore.open(run / "review.sqlite", [run]) as store:
        (first, *_) = store.page("Ann")
        store.vote("Ann", first.id, True, False, token="token-0001")
    moved = run.rename(tmp_path / "moved")
    with ReviewStore.open(moved / "review.sqlite", [moved]) as store:
        found = store.page("Ann")
        assert [item.run for item in found] == [moved] * 3
        assert all(store.image_bytes(item.id) for item in found)
        assert store.votes_of("Ann", [first.id])[first.id].status == "accepted"
        assert store.counts("Ann").done == 1
