import pytest

from advgen.toml import TomlError, read_toml


def test_toml_is_read() -> None:
    assert read_toml('a = 1\n[b]\nc = ["x"]\n') == {"a": 1, "b": {"c": ["x"]}}


def test_the_error_of_whichever_parser_is_the_exported_one() -> None:
    with pytest.raises(TomlError, match="line 2, column 5"):
        read_toml("a = 1\nb = ?\n")
