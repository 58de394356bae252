"""Descriptions of classes by a chat model: asking, checking, asking again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from advgen.chat.lists import DroppedLine, parse_list
from advgen.chat.prompt import ChatPrompt
from advgen.chat.protocol import ChatModel, Reply
from advgen.errors import ConfigError, GenerationError
from advgen.seeds import derive_seed

PROMPT = "class_descriptions.toml"
MAX_WORDS = 20
_TOKENS_PER_TEXT, _TOKENS_AROUND = 32, 256
_SHOWN_AGAIN = 60


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """How classes are described.

    Attributes:
        per_class: Descriptions wanted of each class; the paper's released pool has about 29.
        seed: Seed of the sampling.
        rounds: How often a class is asked for while some are missing.
        temperature: Of the sampling; 0 for the likeliest answer.
        thinking_tokens: Further tokens for a model that thinks before it answers.
    """

    per_class: int = 30
    seed: int = 0
    rounds: int = 3
    temperature: float = 0.7
    thinking_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that ask for nothing."""
        if self.per_class < 1 or self.rounds < 1:
            raise ConfigError("at least one description and one round of asking are needed")
        if self.thinking_tokens < 0:
            raise ConfigError("the number of tokens for thinking must not be negative")
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"the temperature must be within 0 and 2; got {self.temperature}")


@dataclass(frozen=True, slots=True)
class ClassDescriptions:
    """What was kept and dropped of the replies about one class.

    Attributes:
        class_name: The class.
        kept: Distinct descriptions in the order of writing.
        dropped: The other lines, with reasons: those of `parse_list`, and `too_long`, `no_words`,
            `duplicate`, `surplus`, `no_reply`.
        rounds: How often the model was asked.
        tokens: Tokens read and written, as far as the model counts them.
        answered_by: Names under which the model answered.
    """

    class_name: str
    kept: tuple[str, ...] = ()
    dropped: tuple[DroppedLine, ...] = ()
    rounds: int = 0
    tokens: tuple[int, int] = (0, 0)
    answered_by: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As plain values, for one line of a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ClassDescriptions:
        """Inverse of `as_json`.

        Raises:
            ValueError: If a field is missing or of another kind.
        """
        try:
            return cls(
                class_name=str(value["class_name"]),
                kept=tuple(str(text) for text in value["kept"]),
                dropped=tuple(DroppedLine(**line) for line in value["dropped"]),
                rounds=int(value["rounds"]),
                tokens=(int(value["tokens"][0]), int(value["tokens"][1])),
                answered_by=tuple(str(name) for name in value["answered_by"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"expected the descriptions of a class; got {value}") from error


@dataclass(frozen=True, slots=True)
class RepeatedText:
    """A description that a class shares with an earlier one, and is therefore left out."""

    text: str
    class_name: str
    first_class: str


def describe_class(
    chat: ChatModel,
    prompt: ChatPrompt,
    class_name: str,
    settings: DescribeSettings,
    *,
    before: ClassDescriptions | None = None,
) -> ClassDescriptions:
    """Ask for descriptions of a class until there are enough or the rounds are used up.

    A round that gets no usable reply counts and leaves a line with the reason. Each round has a
    seed of its own, made from the run's seed, the class and the number of the round.

    Args:
        chat: Who writes.
        prompt: A prompt with the slots `class_name`, `count`, `known`.
        class_name: The class.
        settings: Numbers, seed, temperature.
        before: What earlier rounds gave, to continue from.

    Raises:
        ModelError: If the model or its server cannot be used.

    Source: arXiv 2406.04341, the pool of image descriptions (Sec. 4, Table 7). Differs from the
    paper: the prompt is worded anew, and a class that comes out short is asked for again.
    """
    done = before or ClassDescriptions(class_name)
    for number in range(done.rounds, done.rounds + settings.rounds):
        missing = settings.per_class - len(done.kept)
        if missing <= 0:
            break
        messages = prompt.messages(
            class_name=class_name, count=missing, known=done.kept[-_SHOWN_AGAIN:]
        )
        try:
            reply = chat.complete(
                messages,
                max_tokens=missing * _TOKENS_PER_TEXT + _TOKENS_AROUND + settings.thinking_tokens,
                temperature=settings.temperature,
                seed=round_seed(settings.seed, class_name, number),
            )
        except GenerationError as error:
            done = _with_round(done, [DroppedLine(str(error), "no_reply")])
            continue
        done = _with_reply(done, reply, settings.per_class)
    return done


def check_texts(
    items: Iterable[str], *, known: Iterable[str], limit: int
) -> tuple[list[str], list[DroppedLine]]:
    """Sort the items of a reply into those to keep and those to drop.

    Args:
        items: Cleaned items; a full stop at the end is taken off.
        known: Descriptions that are there already.
        limit: How many may be kept.

    Returns:
        Kept texts and dropped ones with their reason, in order.
    """
    seen = {text_key(text) for text in known}
    kept: list[str] = []
    dropped: list[DroppedLine] = []
    for item in items:
        text = item if item.endswith("...") else item.rstrip(". ")
        key = text_key(text)
        if not key:
            reason = "no_words"
        elif len(text.split()) > MAX_WORDS:
            reason = "too_long"
        elif key in seen:
            reason = "duplicate"
        elif len(kept) >= limit:
            reason = "surplus"
        else:
            kept.append(text)
            seen.add(key)
            continue
        dropped.append(DroppedLine(item, reason))
    return kept, dropped


def merge_classes(
    classes: Sequence[ClassDescriptions],
) -> tuple[list[str], list[RepeatedText]]:
    """All descriptions, each once: a text belongs to the first class that has it.

    Returns:
        The texts in the order of the classes, and the repeated ones.
    """
    first: dict[str, str] = {}
    texts: list[str] = []
    repeated: list[RepeatedText] = []
    for one in classes:
        for text in one.kept:
            key = text_key(text)
            if key in first:
                repeated.append(RepeatedText(text, one.class_name, first[key]))
            else:
                first[key] = one.class_name
                texts.append(text)
    return texts, repeated


def text_key(text: str) -> str:
    """What two descriptions must share to count as the same: their words, without case or marks."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def round_seed(seed: int, class_name: str, number: int) -> int:
    """Seed of one round of asking, in [0, 2^63): it depends on nothing but these three."""
    return derive_seed(seed, class_name, number)


def _with_reply(done: ClassDescriptions, reply: Reply, wanted: int) -> ClassDescriptions:
    listed = parse_list(reply.text, cut=reply.finish == "length")
    kept, refused = check_texts(listed.items, known=done.kept, limit=wanted - len(done.kept))
    dropped = [*listed.dropped, *refused]
    if not reply.text.strip():
        dropped.append(DroppedLine("", "refusal" if reply.finish == "refusal" else "empty"))
    return _with_round(done, dropped, kept, reply)


def _with_round(
    done: ClassDescriptions,
    dropped: Iterable[DroppedLine],
    kept: Iterable[str] = (),
    reply: Reply | None = None,
) -> ClassDescriptions:
    read, written, models = *done.tokens, done.answered_by
    if reply is not None:
        read += reply.prompt_tokens or 0
        written += reply.completion_tokens or 0
        models = tuple(dict.fromkeys([*models, *filter(None, [reply.model])]))
    return ClassDescriptions(
        class_name=done.class_name,
        kept=(*done.kept, *kept),
        dropped=(*done.dropped, *dropped),
        rounds=done.rounds + 1,
        tokens=(read, written),
        answered_by=models,
    )
