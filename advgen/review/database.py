"""The SQLite file of a review: connections, transactions, numbered migrations."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from threading import Lock

from advgen.errors import DataError

APPLICATION = 0x41445652
"""Marks a file as a review (SQLite's `application_id`)."""
BUSY_SECONDS = 30.0
"""How long a statement waits for another process's transaction."""


class Database:
    """Connections to one review file, lent to one thread at a time.

    The file is in WAL mode with `synchronous=NORMAL`: a killed process loses no committed
    transaction, a power cut may lose the last ones but never damages the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._closed = False

    @classmethod
    def open(cls, path: Path, upto: int | None = None) -> Database:
        """Open a file, made where there is none, and bring its schema up to date.

        Args:
            path: The file; missing folders are made.
            upto: Last migration to apply; None: all.

        Raises:
            DataError: If the file is damaged, is no review, was made by a newer version or cannot
                be written.
        """
        database = cls(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with database.connection() as connection:
                _check(connection, path)
                connection.execute("PRAGMA journal_mode = WAL")
            _migrate(database, upto)
        except OSError as error:
            raise DataError(f"cannot make {path.parent} ({error.strerror})") from error
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close all connections; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, or for statements outside a transaction.

        Raises:
            DataError: If SQLite cannot read or write the file.
            ValueError: If the database was closed.
        """
        with _faults(self.path):
            connection = self._take()
            try:
                yield connection
            finally:
                self._give(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a write transaction, committed at the end or rolled back.

        Raises:
            DataError: If SQLite cannot write the file.
            ValueError: If the database was closed.
        """
        with self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def version(self) -> int:
        """Number of the last migration that was applied."""
        with self.connection() as connection:
            return _version(connection)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise ValueError("expected an open review; it was closed")
            if self._idle:
                return self._idle.pop()
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _give(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and SQL of every migration, in order."""
    folder = resources.files("advgen.review") / "migrations"
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    return [
        (int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in files
    ]


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.OperationalError as error:
        raise DataError(
            f"cannot use the review {path} ({error}); check that its folder can be written and "
            "that no other program holds the file"
        ) from error
    except sqlite3.DatabaseError as error:
        raise DataError(_damage(path, str(error))) from error


def _damage(path: Path, what: str) -> str:
    return (
        f"the review {path} is damaged or is no review ({what}); keep the file, name another with "
        f"--db, and try to save its votes with: sqlite3 {path.name} .recover"
    )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables:
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise DataError(f"{path} is an SQLite file, but no review; name another with --db")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DataError(_damage(path, found))


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(max(number), 0) FROM schema_versions").fetchone()[0]


def _migrate(database: Database, upto: int | None) -> None:
    steps = migrations()
    with database.writing() as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions "
            "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL)"
        )
        before = _version(connection)
        if before > steps[-1][0]:
            raise DataError(
                f"the review {database.path} was made by a newer advgen (schema {before}; this one "
                f"knows {steps[-1][0]}); upgrade advgen, or name another file with --db"
            )
        for number, name, script in steps:
            if before < number <= (upto or number):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO schema_versions VALUES (?, ?, datetime('now'))", (number, name)
                )


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
