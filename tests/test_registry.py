import sys

import pytest

from advgen import registry
from advgen.errors import ConfigError
from advgen.registry import Entry, Registry


@pytest.fixture
def small():
    return Registry(
        {
            "number": {
                "pi": "math:pi",
                "absent": Entry("advgen_no_such_package.x:y", extra="review"),
                "bare": "advgen_no_such_package:y",
            },
            "empty": {},
        }
    )


def test_names_import_nothing(small):
    assert small.kinds() == ("number", "empty")
    assert small.names("number") == ("pi", "absent", "bare")
    assert small.names("empty") == ()
    assert "advgen_no_such_package" not in sys.modules


def test_resolve(small):
    import math

    assert small.resolve("number", "pi") is math.pi


@pytest.mark.parametrize(
    ("kind", "name", "error", "message"),
    [
        ("number", "Pii", ConfigError, "did you mean pi"),
        ("number", "zzz", ConfigError, "Known: pi, absent, bare"),
        ("empty", "x", ConfigError, "Known: none"),
        ("number", "absent", ConfigError, r"pip install 'advgen\[review\]'"),
        ("number", "bare", ConfigError, "pip install 'advgen_no_such_package'"),
        ("letter", "a", ValueError, "kind must be one of number, empty"),
    ],
)
def test_faults(small, kind, name, error, message):
    with pytest.raises(error, match=message):
        small.resolve(kind, name)


def test_long_tables_are_cut_in_messages():
    text = registry.unknown_name("model", "m3x", [f"m{index}" for index in range(100)])
    assert "and 76 more" in text


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k in registry.REGISTRY.kinds() for n in registry.names(k)]
)
def test_every_entry_exists(kind, name):
    assert callable(registry.resolve(kind, name))
