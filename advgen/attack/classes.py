"""Names of classes: which of them the synthesizer's world has, and what else they are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from advgen import registry
from advgen.config import AttackConfig
from advgen.english import inflections
from advgen.errors import ConfigError
from advgen.records import ClassPair


def known_classes(config: AttackConfig) -> dict[str, tuple[str, ...]] | None:
    """The classes of a closed world with their synonyms, or None where any text can be drawn."""
    world = config.draw.synthesizer
    if world not in registry.names("synonyms"):
        return None
    return registry.resolve("synonyms", world)()


def in_world(config: AttackConfig) -> tuple[AttackConfig, list[str]]:
    """The attack with classes as its world calls them, and a note for each one renamed.

    Raises:
        ConfigError: If two classes of a pair are the same in that world.
    """
    known = known_classes(config)
    if known is None:
        return config, []
    renamed = {
        name: other
        for pair in config.pairs
        for name in (pair.true_class, pair.target_class)
        if (other := _world_name(name, known)) != name
    }
    pairs = tuple(
        ClassPair(
            renamed.get(pair.true_class, pair.true_class),
            renamed.get(pair.target_class, pair.target_class),
        )
        for pair in config.pairs
    )
    for asked, pair in zip(config.pairs, pairs, strict=True):
        if pair.true_class == pair.target_class:
            raise ConfigError(
                f"{asked}: both are '{pair.true_class}' in the {config.draw.synthesizer} world; "
                "TRUE and TARGET must differ"
            )
    notes = [
        f"the {config.draw.synthesizer} world calls '{name}' '{other}'"
        for name, other in renamed.items()
    ]
    return dataclasses.replace(config, pairs=tuple(dict.fromkeys(pairs))), notes


def check_classes(config: AttackConfig) -> None:
    """Refuse classes that the synthesizer's world does not have.

    Raises:
        ConfigError: If one is unknown; the message names the nearest known ones.
    """
    known, world = known_classes(config), config.draw.synthesizer
    if known is None:
        return
    for name in dict.fromkeys(
        name for pair in config.pairs for name in (pair.true_class, pair.target_class)
    ):
        if name not in known:
            raise ConfigError(
                f"the {world} world has no class '{name}'; {_nearest(name, known)}"
                f"`advgen {world} classes` lists all of them"
            )


def _world_name(name: str, known: Mapping[str, tuple[str, ...]]) -> str:
    """The one class that a name can mean: by synonym, other number or first word; else itself."""
    if name in known:
        return name
    forms = inflections(name)
    named = [
        concept
        for concept, synonyms in known.items()
        if not forms.isdisjoint(inflections(concept))
        or any(not forms.isdisjoint(inflections(synonym)) for synonym in synonyms)
    ]
    found = named or [concept for concept in known if concept.startswith(f"{name} ")]
    return found[0] if len(found) == 1 else name


def _nearest(name: str, known: Mapping[str, tuple[str, ...]]) -> str:
    named = [concept for concept, synonyms in known.items() if name in synonyms]
    close = named or registry.closest(name, known)
    return f"did you mean {' or '.join(close)}? " if close else ""
