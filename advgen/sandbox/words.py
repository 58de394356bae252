"""What the lexicon offers to the other rooms: a text pool and the synonyms of its classes."""

from __future__ import annotations

from advgen.sandbox.lexicon import load_lexicon


def pool_words() -> list[str]:
    """The `sandbox` text pool: every word of the world, drawable or not."""
    return load_lexicon().words()


def class_synonyms() -> dict[str, tuple[str, ...]]:
    """For every class, the other nouns that the lexicon knows for it."""
    return {name: concept.nouns[1:] for name, concept in load_lexicon().concepts.items()}
