"""Class texts: templates, articles and the zero-shot classifier's rows."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from advgen.models.protocol import ClipModel

DEFAULT_TEMPLATES = ("a photo of {article} {noun}.",)
"""The paper's prompt; ``{article} {noun}`` reads "an elephant", a bare ``{}`` is the noun alone."""

_AN_BEFORE = ("hour", "honest", "honor", "honour", "heir", "x-ray")
_A_BEFORE = ("uni", "use", "util", "eu", "one", "once", "ukulele", "ute", "ouija")
_A_BUT = ("unin", "unim", "unid")
_SPELLED_VOWELS = "AEFHILMNORSX"
"""Letters whose names begin with a vowel: "an SUV", "a USB stick"."""


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


def fill_template(template: str, noun: str) -> str:
    """Put a class name into a template: ``{}`` and ``{noun}`` bare, ``{article} {noun}`` with it.

    Raises:
        ValueError: If the template has no place for the noun.
    """
    filled = template.replace("{article} {noun}", with_article(noun))
    filled = filled.replace("{noun}", noun).replace("{}", noun)
    if filled == template:
        raise ValueError(f"expected a template with {{}} or {{noun}}; got {template!r}")
    return filled


def encode_classes(
    clip: ClipModel, classes: Sequence[str], *, templates: Sequence[str] = DEFAULT_TEMPLATES
) -> Float[Tensor, "class embed"]:
    """Zero-shot classifier rows: the mean over templates of unit text embeddings, renormalised.

    Args:
        clip: Model that encodes.
        classes: Class names, as they should read in a sentence.
        templates: Prompts, see `fill_template`.

    Returns:
        Unit rows in the order of `classes`.

    Raises:
        ValueError: If either list is empty or a template has no place for the noun.
    """
    if isinstance(classes, str) or not classes or isinstance(templates, str) or not templates:
        raise ValueError("expected non-empty lists of classes and of templates")
    texts = [fill_template(template, name) for name in classes for template in templates]
    embeddings = clip.encode_text(texts)
    means = embeddings.view(len(classes), len(templates), -1).mean(dim=1)
    return F.normalize(means, dim=-1)


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
