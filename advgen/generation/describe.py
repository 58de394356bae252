"""From mined words to the sentences that are drawn: ask, check, ask again, choose."""

from __future__ import annotations

import random
from collections.abc import Iterable

from advgen.config import DescribeConfig
from advgen.errors import GenerationError
from advgen.generation.protocols import Describer, DescribeRequest
from advgen.generation.replies import check_reply
from advgen.records import ClassPair, Description
from advgen.seeds import derive_seed


def choose_descriptions(
    describer: Describer,
    pair: ClassPair,
    words: tuple[str, ...],
    config: DescribeConfig,
    *,
    target_synonyms: Iterable[str],
    seed: int,
) -> tuple[list[Description], list[Description]]:
    """Ask until enough sentences pass, then choose among them by chance.

    Args:
        describer: Who writes.
        pair: What must and must not be named.
        words: Mined words, best first.
        config: How many to ask for and to choose.
        target_synonyms: Further nouns that name the target class.
        seed: Seed of the asking and the choice.

    Returns:
        The chosen sentences and everything that was written (with reasons), both in order.

    Raises:
        GenerationError: If too few sentences pass in the allowed rounds; the message counts why.
    """
    synonyms = tuple(target_synonyms)
    written: list[Description] = []
    accepted: list[Description] = []
    for attempt in range(config.max_attempts):
        request = DescribeRequest(
            pair, words, config.candidates, derive_seed(seed, "describe", attempt)
        )
        for text in describer.describe(request):
            description = check_reply(
                text,
                id=f"s{len(written):03d}",
                pair=pair,
                words=words,
                target_synonyms=synonyms,
                seen=frozenset(entry.text.lower() for entry in accepted),
            )
            written.append(description)
            if description.accepted:
                accepted.append(description)
        if len(accepted) >= config.descriptions:
            rng = random.Random(derive_seed(seed, "choose"))
            return rng.sample(accepted, config.descriptions), written
    raise GenerationError(_too_few(pair, accepted, written, config))


def _too_few(
    pair: ClassPair, accepted: list[Description], written: list[Description], config: DescribeConfig
) -> str:
    counts: dict[str, int] = {}
    for description in written:
        if description.reason is not None:
            counts[description.reason] = counts.get(description.reason, 0) + 1
    reasons = (
        ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "no reply"
    )
    return (
        f"{pair}: only {len(accepted)} of {config.descriptions} descriptions passed after "
        f"{config.max_attempts} rounds ({reasons}); mine more words or ask for fewer descriptions"
    )
