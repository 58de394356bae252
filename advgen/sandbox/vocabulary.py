"""The words a sandbox CLIP's text tower knows: the lexicon's, and the glue of sentences."""

from __future__ import annotations

import re

from advgen.english import regular_plural
from advgen.sandbox import captions
from advgen.sandbox.lexicon import COLOR_SYNONYMS, COUNTS, Lexicon

_GLUE = (
    "a an the of in on at by to and with without from into over under near next beside behind "
    "between front top bottom left right background foreground while during is are there here has "
    "have its it this that some photo picture image drawing scene view close up one can see full "
    "top sits stands lies surrounded looking shows showing containing along together across "
    "through covered made"
)


def vocabulary(lexicon: Lexicon) -> list[str]:
    """Every word in id order: sorted, each once, so that the same lexicon gives the same ids."""
    texts = [*lexicon.words(), *COUNTS, *COLOR_SYNONYMS, _GLUE]
    for concept in lexicon.concepts.values():
        texts += [concept.plural, *(regular_plural(noun) for noun in concept.nouns)]
    texts += [place.phrase for place in lexicon.places.values()]
    texts += [text.replace("{}", "") for text in captions.OPENINGS]
    texts += captions.JOINS
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", text.lower())})
