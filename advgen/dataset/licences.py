"""The licence of a dataset, composed from the licences of what drew its images.

The Hub takes an identifier where it knows the licence, else `other` with a name and a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from advgen.catalogue import known_models, model_facts
from advgen.errors import ConfigError

HUB_LICENCES = {
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
    "CC0-1.0": "cc0-1.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "BSD-2-Clause": "bsd-2-clause",
    "BSD-3-Clause": "bsd-3-clause",
    "ODbL-1.0": "odbl",
    "CreativeML Open RAIL-M": "creativeml-openrail-m",
    "CreativeML Open RAIL++-M": "openrail++",
}
"""SPDX identifiers and usual names, and what the Hub calls them."""
_WITH_LINK = re.compile(r"(?P<name>.+?)\s*\((?P<link>https?://[^\s)]+)\)")
_SPDX = re.compile(r"(apache|mit|cc|bsd|odbl).*")
_UNKNOWN = ("", "unknown", "none", "other")


@dataclass(frozen=True, slots=True)
class Term:
    """One licence that covers some of the images.

    Attributes:
        name: As people call it.
        link: Where it can be read, or None.
    """

    name: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Licence:
    """The licence of a dataset.

    Attributes:
        identifier: The Hub's identifier, or `other`.
        terms: What it is made of.
    """

    identifier: str
    terms: tuple[Term, ...]

    @property
    def name(self) -> str:
        """Names of its parts: what `license_name` says where the identifier is `other`."""
        return " and ".join(term.name for term in self.terms)

    @property
    def link(self) -> str | None:
        """Where it can be read: the first part that the Hub has no identifier for comes first."""
        own = [term.link for term in self.terms if _hub(term.name) is None and term.link]
        return (own + [term.link for term in self.terms if term.link] + [None])[0]


def compose_licence(
    drawn_under: Iterable[str], *, licence: str | None = None, link: str | None = None
) -> Licence:
    """The licence of images that were drawn under these licences.

    Args:
        drawn_under: Licences of the synthesizers, as runs name them: `NAME` or `NAME (URL)`,
            several parts joined by `; upscaled: `.
        licence: What the user says it is; then nothing is composed.
        link: Where that can be read.

    Raises:
        ConfigError: If a licence is not known, or one that the Hub does not know has no link.
    """
    if licence is None and link is not None:
        raise ConfigError("--licence-link says where a licence stands; name it with --licence")
    terms = [_chosen(licence, link)] if licence is not None else _terms(drawn_under)
    identifiers = {_hub(term.name) for term in terms}
    if len(identifiers) == 1 and None not in identifiers:
        return Licence(str(identifiers.pop()), tuple(terms))
    found = Licence("other", tuple(terms))
    if found.link is None:
        raise ConfigError(
            f"nobody knows where the licence '{found.name}' can be read; give --licence NAME and"
            " --licence-link URL"
        )
    return found


def _chosen(licence: str, link: str | None) -> Term:
    term = _term(licence)
    return Term(term.name, link or term.link)


def _terms(drawn_under: Iterable[str]) -> list[Term]:
    terms: dict[str, Term] = {}
    for text in drawn_under:
        for part in re.split(r";\s*(?:upscaled:\s*)?", text):
            term = _term(part)
            terms.setdefault(term.name, term)
    if not terms:
        raise ConfigError("no run says under which licence its images are; name it with --licence")
    return list(terms.values())


def _term(text: str) -> Term:
    found = _WITH_LINK.fullmatch(text.strip())
    name, link = (found["name"], found["link"]) if found else (text.strip(), None)
    if name.lower() in _UNKNOWN:
        raise ConfigError(
            "the licence of the synthesizer's images is not known; read it at the model's page and"
            " name it with --licence NAME --licence-link URL"
        )
    return Term(_spelt(name), link or _page(name))


def _spelt(name: str) -> str:
    return {known.lower(): known for known in HUB_LICENCES}.get(name.lower(), name)


def _hub(name: str) -> str | None:
    return HUB_LICENCES.get(name)


def _page(name: str) -> str | None:
    """Where a licence can be read, by SPDX or by the catalogue."""
    if _SPDX.fullmatch(HUB_LICENCES.get(name, "")):
        return f"https://spdx.org/licenses/{name}.html"
    facts = [model_facts(source) for source in known_models()]
    return next((fact.licence_page for fact in facts if fact.licence == name), None)
