"""Class texts: templates, articles and the zero-shot classifier's rows."""

import re
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from advgen.english import with_article
from advgen.errors import ConfigError
from advgen.models.protocol import ClipModel

DEFAULT_TEMPLATES = ("a photo of {article} {noun}.",)
"""The paper's prompt; ``{article} {noun}`` reads "an elephant", a bare ``{}`` is the noun alone."""


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


def check_template(template: str) -> None:
    """Refuse a prompt that has no place for the class, or a place that nothing fills.

    Raises:
        ConfigError: If it is one.
    """
    write = "write {noun} or {article} {noun} where its name goes"
    try:
        filled = fill_template(template, "dog")
    except ValueError as error:
        raise ConfigError(
            f"the template '{template}' has no place for the class; {write}"
        ) from error
    if other := re.search(r"\{\w*\}", filled):
        raise ConfigError(
            f"the template '{template}' has {other[0]}, which nothing fills; {write}, and no other"
            " braces"
        )


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
