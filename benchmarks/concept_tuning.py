"""The options that the rows of `benchmarks.concepts` were chosen from, on scenes of their own."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from advgen.evaluate.concepts.baselines import head_words, text_span_words
from advgen.evaluate.concepts.discover import ConceptRule
from benchmarks.concept_methods import (
    NEURONS_SPREAD,
    Choice,
    Found,
    Make,
    Material,
    baselines,
    second_order,
)
from benchmarks.concept_truth import LEVELS


def tuning(material: Material) -> Iterator[tuple[str, Make]]:
    """Every option of the second-order rows, and the baselines beside them."""
    yield from baselines(material)
    for quantile, span in itertools.product((0.0, 0.5, 0.9), (10, 30)):
        name = f"TextSpan, heads above {quantile:.0%}, {span} words each"
        yield name, lambda q=quantile, s=span: _text_span(material, q, s)
    for share in (0.0, 0.1, 0.2, 0.4):
        rule = dataclasses.replace(NEURONS_SPREAD.rule, spread=share)
        choice = Choice(rule=rule)
        yield f"{_named(choice)}, spread {share}", lambda c=choice: second_order(material, c)
    deep = tuple(material.subject.layers[-2:])
    rules = [
        ConceptRule(threshold=threshold, signed=signed, specific=specific)
        for threshold, signed, specific in itertools.product(
            ("quantile", "top"), (False, True), (False, True)
        )
    ]
    rules += [
        ConceptRule(threshold=threshold, signed=signed, score="projection")
        for threshold, signed in itertools.product(("quantile", "top"), (False, True))
    ]
    for atoms, layers, rule in itertools.product(("unit", "centered-unit"), (None, deep), rules):
        for nonzeros in (4, 16, 32) if rule.score == "codes" else (32,):
            choice = Choice(rule=rule, layers=layers, nonzeros=nonzeros, atoms=atoms)
            yield _named(choice), lambda choice=choice: second_order(material, choice)


def _text_span(material: Material, quantile: float, span: int) -> Found:
    words = material.encoded.embeddings
    bases = head_words(material.d_heads, words, span=span, quantile=quantile)
    scores = text_span_words(material.heads, bases, len(words))
    return Found({}, dict.fromkeys(LEVELS, scores))


def _named(choice: Choice) -> str:
    rule = choice.rule
    code = rule.score if rule.score == "projection" else f"codes of {choice.nonzeros}"
    layers = "all" if choice.layers is None else ",".join(map(str, choice.layers))
    marks = "".join(f", {name}" for name in ("signed", "specific") if getattr(rule, name))
    return f"{code}, {choice.atoms}, layers {layers}, {rule.threshold}{marks}"
