"""Prompts for chat models: TOML files of `prompts/` whose texts are Jinja templates."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2

from advgen.chat.protocol import Message
from advgen.english import looks_plural, with_article
from advgen.errors import ConfigError
from advgen.prompts import prompt_revision, prompt_text
from advgen.toml import TomlError, read_toml

_TEMPLATES = jinja2.Environment(
    undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters["article"] = lambda noun: noun if looks_plural(noun) else with_article(noun)


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """What is said to a chat model, with slots.

    Attributes:
        name: File name, for example `class_descriptions.toml`.
        version: Counted up whenever the wording changes.
        system: Template of the system message; empty for none.
        user: Template of the user's message.
        revision: First 12 digits of the file's sha256.
    """

    name: str
    version: int
    system: str
    user: str
    revision: str

    def messages(self, **slots: object) -> list[Message]:
        """The messages with every slot filled.

        Raises:
            ValueError: If a slot of the templates is not given.
        """
        system = self._filled(self.system, slots)
        user = Message("user", self._filled(self.user, slots))
        return [Message("system", system), user] if system else [user]

    def _filled(self, template: str, slots: dict[str, object]) -> str:
        try:
            return _TEMPLATES.from_string(template).render(**slots).strip()
        except jinja2.UndefinedError as error:
            raise ValueError(f"expected all slots of {self.name}; got {error}") from error


def load_prompt(name: str) -> ChatPrompt:
    """Read a prompt file.

    Raises:
        ConfigError: If it is missing, not TOML, or lacks one of its keys.
    """
    try:
        table = read_toml(prompt_text(name))
        return ChatPrompt(
            name=name,
            version=int(table["version"]),
            system=str(table.get("system", "")),
            user=str(table["user"]),
            revision=prompt_revision(name),
        )
    except TomlError as error:
        raise ConfigError(f"the prompt file '{name}' is not TOML: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the prompt file '{name}' needs a whole number as version") from error
    except KeyError as error:
        raise ConfigError(f"the prompt file '{name}' lacks the key {error}") from error
