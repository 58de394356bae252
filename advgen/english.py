"""English by small rules: articles, plurals, and whether a text names a thing.

Words are compared whole and inflected, never as substrings: `caterpillar` does not name a cat.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_IRREGULAR = {
    "calf": "calves",
    "child": "children",
    "deer": "deer",
    "fish": "fish",
    "foot": "feet",
    "goose": "geese",
    "half": "halves",
    "hoof": "hooves",
    "knife": "knives",
    "leaf": "leaves",
    "life": "lives",
    "loaf": "loaves",
    "man": "men",
    "mouse": "mice",
    "ox": "oxen",
    "person": "people",
    "scarf": "scarves",
    "sheep": "sheep",
    "shelf": "shelves",
    "thief": "thieves",
    "tooth": "teeth",
    "wolf": "wolves",
    "woman": "women",
    "buffalo": "buffaloes",
    "cactus": "cacti",
    "fungus": "fungi",
    "hero": "heroes",
    "mango": "mangoes",
    "mosquito": "mosquitoes",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "volcano": "volcanoes",
}
_SINGULAR = {plural: singular for singular, plural in _IRREGULAR.items()}
_COMPOUNDING = ("deer", "fish", "knife", "leaf", "man", "shelf", "tooth", "wolf")
_ONE_ALREADY = ("atlas", "canvas", "gas", "lens", "pancreas", "series", "species")
_TWO_READINGS = ("ches", "shes", "xes", "sses", "zes", "oes", "uses", "ases", "nses")
_NO_COMPOUND = ("human", "german", "roman", "shaman", "talisman")

_AN_BEFORE = ("hour", "honest", "honor", "honour", "heir", "x-ray")
_A_BEFORE = ("uni", "use", "util", "eu", "one", "once", "ukulele", "ute", "ouija")
_A_BUT = ("unin", "unim", "unid")
_SPELLED_VOWELS = "AEFHILMNORSX"
"""Letters whose names begin with a vowel: "an SUV", "a USB stick"."""

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def with_article(noun: str) -> str:
    """The noun with "a" or "an" by its sound: "an elephant", "a unicycle", "an hourglass".

    A small rule with exceptions, enough for class names; a leading article is kept.

    Raises:
        ValueError: If the noun is empty.
    """
    word = noun.strip()
    if not word:
        raise ValueError("expected a noun; got an empty string")
    low = word.lower()
    if low.startswith(("a ", "an ", "the ")):
        return word
    return f"{'an' if _begins_with_vowel(word) else 'a'} {word}"


def regular_plural(noun: str) -> str:
    """Plural by the rule (`church` -> `churches`, `berry` -> `berries`), right or wrong."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and len(noun) > 1 and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def plural(noun: str) -> str:
    """Plural of a noun or noun phrase (`field mouse` -> `field mice`); the last word carries it."""
    head, space, last = noun.rpartition(" ")
    return head + space + _irregular(last, _IRREGULAR, regular_plural(last))


def looks_plural(word: str) -> bool:
    """True for words that the rules take for a plural (`antlers`, `mice`); `sheep` is no such."""
    last = word.lower().rpartition(" ")[2]
    return last not in _singulars(last) or (last in _SINGULAR and last not in _IRREGULAR)


def inflections(name: str) -> frozenset[str]:
    """Singular and plural forms of a noun or noun phrase, lower case; for comparing, not to print.

    Either number may be given. Where the rules leave a doubt (`cookies`: cookie, cooky), every
    possibility is in: a form that is no word matches nothing.
    """
    *head, last = name.lower().split() or [""]
    if not last:
        return frozenset()
    singulars = _singulars(last)
    forms = {last, *singulars}
    forms |= {form for noun in singulars for form in (plural(noun), regular_plural(noun))}
    return frozenset(" ".join([*head, form]) for form in forms)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, hyphens kept, a possessive ending (`dog's`) removed."""
    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    return [word.removesuffix("'s") for word in words]


def mentions(words: list[str], name: str) -> bool:
    """True when a name (of one or more words) or an inflection of it is among a text's words."""
    forms = inflections(" ".join(words_of(name)))
    return any(_contains(words, form.split()) for form in forms)


def names(text: str, name: str) -> bool:
    """Like `mentions`, but looks into hyphenated words too: `deer-like` names a deer."""
    words = words_of(text)
    pieces = [piece for word in words for piece in word.split("-")]
    return mentions(words, name) or mentions(pieces, name.replace("-", " "))


def split_at(text: str, forms: Iterable[str]) -> list[str]:
    """The text in pieces: every second one, from the second on, is one of the forms, whole.

    Case does not matter; where forms overlap the longest is taken. Joined, the pieces are the text.
    """
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    if not longest_first:
        return [text]
    pattern = "|".join(map(re.escape, longest_first))
    return re.split(rf"(?<!\w)({pattern})(?!\w)", text, flags=re.IGNORECASE)


def _contains(words: list[str], part: list[str]) -> bool:
    return any(words[at : at + len(part)] == part for at in range(len(words) - len(part) + 1))


def _irregular(word: str, table: dict[str, str], default: str) -> str:
    if word in table:
        return table[word]
    if word not in _NO_COMPOUND:
        for noun in _COMPOUNDING:
            ending = noun if noun in table else _IRREGULAR[noun]
            if word.endswith(ending):
                return word.removesuffix(ending) + table[ending]
    return default


def _singulars(word: str) -> set[str]:
    """What a word may be the plural of; the word itself when it looks like one already."""
    irregular = _irregular(word, _SINGULAR, "")
    if irregular:
        return {irregular, word}
    if word in _ONE_ALREADY or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return {word}
    if len(word) <= 3:
        return {word, word[:-1]} if len(word) == 3 else {word}
    if word.endswith("ies"):
        return {word[:-3] + "y", word[:-1]}
    if word.endswith(_TWO_READINGS):
        return {word[:-2], word[:-1]}
    return {word[:-1]}


def _begins_with_vowel(noun: str) -> bool:
    first = noun.split()[0]
    if first.isupper() and 1 < len(first) <= 4:
        return first[0] in _SPELLED_VOWELS
    word = noun.lower()
    if word.startswith(_AN_BEFORE):
        return True
    if word.startswith(_A_BEFORE) and not word.startswith(_A_BUT):
        return False
    return word[0] in "aeiou8"
