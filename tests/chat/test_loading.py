import builtins
import sys
from typing import Any

import pytest

from advgen import registry
from advgen.chat import load_chat
from advgen.errors import ConfigError


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "is not a chat model; write openai:MODEL@BASE_URL or llama:ID_OR_FOLDER"),
        ("gpt-4o", "is not a chat model"),
        ("openai:", "is not a chat model"),
        ("llama: ", "is not a chat model"),
        ("opnai:m@http://localhost:1/v1", "did you mean openai"),
    ],
)
def test_a_specification_of_no_known_form_is_refused(spec: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_chat(spec)


@pytest.mark.parametrize(("kind", "package"), [("openai", "openai"), ("llama", "transformers")])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
        return importing(name, *more, **named)

    monkeypatch.delitem(sys.modules, f"advgen.chat.{kind}_chat", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=rf"'{package}'.*pip install 'advgen\[real\]'"):
        load_chat(f"{kind}:anything")


def test_both_kinds_are_registered() -> None:
    assert registry.names("chat model") == ("openai", "llama")
