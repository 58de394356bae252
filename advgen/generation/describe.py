"""From mined words to the sentences that are drawn: ask, check, ask again, choose."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from advgen.chat import DroppedLine, ListReply
from advgen.config import DescribeConfig
from advgen.errors import GenerationError
from advgen.generation.protocols import Describer, DescribeRequest
from advgen.generation.replies import check_reply, for_record, spelling
from advgen.records import ClassPair, Description
from advgen.seeds import derive_seed

Fault = Callable[[str], str | None]
"""Why a sentence cannot be drawn, or None."""
_ID = re.compile(r"s\d+")


def choose_descriptions(
    describer: Describer,
    pair: ClassPair,
    words: tuple[str, ...],
    config: DescribeConfig,
    *,
    target_synonyms: Iterable[str],
    seed: int,
    count: int | None = None,
    known: Sequence[Description] = (),
    examples: Sequence[str] = (),
    fault: Fault | None = None,
) -> tuple[list[Description], list[Description]]:
    """Ask until enough sentences pass, then choose among them by chance.

    An asking that gives nothing usable (`GenerationError`) is recorded as `no_reply` and costs one
    of the attempts.

    Args:
        describer: Who writes.
        pair: What must and must not be named.
        words: Mined words, best first.
        config: How many to ask for and to choose.
        target_synonyms: Further nouns that name the target class.
        seed: Seed of the asking and the choice.
        count: Sentences to choose; `config.descriptions` if None.
        known: What was written for the same cell before: identifiers go on after these, and none
            of them is taken a second time.
        examples: Sentences that worked well; the describer is asked for more like these.
        fault: Says why a sentence cannot be drawn (`Synthesizer.prompt_fault`).

    Returns:
        The chosen sentences and everything that was written now (with reasons), both in order.

    Raises:
        GenerationError: If too few sentences pass in the allowed attempts; the message counts why.
        ModelError: If the describer's model cannot be used.
    """
    count = config.descriptions if count is None else count
    draft = _Draft(pair, words, tuple(target_synonyms), fault, known)
    for attempt in range(config.max_attempts):
        request = DescribeRequest(
            pair,
            words,
            config.candidates,
            derive_seed(seed, "describe", attempt),
            known=tuple(draft.texts),
            examples=tuple(examples),
            target_synonyms=draft.synonyms,
        )
        draft.add(_ask(describer, request))
        accepted = [description for description in draft.written if description.accepted]
        if len(accepted) >= count:
            return random.Random(derive_seed(seed, "choose")).sample(accepted, count), draft.written
    raise GenerationError(_too_few(pair, count, draft.written, config.max_attempts))


def _ask(describer: Describer, request: DescribeRequest) -> ListReply:
    try:
        return describer.describe(request)
    except GenerationError as error:
        return ListReply((), (DroppedLine(str(error), "no_reply"),))


@dataclass(slots=True)
class _Draft:
    """What has been written for one cell, and what it is checked against."""

    pair: ClassPair
    words: tuple[str, ...]
    synonyms: tuple[str, ...]
    fault: Fault | None
    known: Sequence[Description]
    written: list[Description] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _next: int = 0

    def __post_init__(self) -> None:
        self.texts = [description.text for description in self.known if description.accepted]
        self._seen = {spelling(text) for text in self.texts}
        numbers = [int(one.id[1:]) for one in self.known if _ID.fullmatch(one.id)]
        self._next = max(numbers, default=-1) + 1

    def add(self, reply: ListReply) -> None:
        """Check the sentences of a reply; its other parts are kept with their reasons."""
        for text in reply.items:
            description = check_reply(
                text,
                id=self._id(),
                pair=self.pair,
                words=self.words,
                target_synonyms=self.synonyms,
                seen=self._seen,
            )
            if description.accepted and self.fault is not None:
                description = replace(description, reason=self.fault(description.text))
            if description.accepted:
                self._seen.add(spelling(description.text))
                self.texts.append(description.text)
            self.written.append(description)
        for line in reply.dropped:
            self.written.append(Description(self._id(), for_record(line.text), (), line.reason))

    def _id(self) -> str:
        self._next += 1
        return f"s{self._next - 1:03d}"


def _too_few(pair: ClassPair, count: int, written: Sequence[Description], attempts: int) -> str:
    reasons: dict[str, int] = {}
    for description in written:
        if description.reason is not None:
            reasons[description.reason] = reasons.get(description.reason, 0) + 1
    counts = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
    passed = len(written) - sum(reasons.values())
    return (
        f"{pair}: only {passed} of {count} descriptions passed after {attempts} rounds "
        f"({counts or 'no reply'}); mine more words or ask for fewer descriptions"
    )
