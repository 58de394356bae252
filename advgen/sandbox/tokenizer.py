"""A word tokenizer behind open_clip's tokenizer interface, for the sandbox's small text towers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

_TOKEN = re.compile(r"[a-z]+|[0-9]")
SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")


class WordTokenizer:
    """Splits on anything that is not a letter; unknown words become one `<unk>` token.

    The end token has the highest id of a row, as open_clip's text tower expects when it pools by
    argmax.

    Args:
        words: The vocabulary, in id order, without the special tokens.
        context_length: Tokens per text, start and end included; longer texts are cut.

    Raises:
        ValueError: If a word is given twice.
    """

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.words = tuple(words)
        self.context_length = context_length
        self._ids = {word: number for number, word in enumerate((*SPECIAL[:3], *self.words))}
        self.end = len(self._ids)
        if self.end != len(self.words) + 3:
            raise ValueError("expected distinct words, none of them a special token")

    @property
    def vocab_size(self) -> int:
        """Number of token ids, special tokens included."""
        return self.end + 1

    def encode(self, text: str) -> list[int]:
        """Token ids of a text without start, end and padding."""
        return [self._ids.get(word, 1) for word in _TOKEN.findall(text.lower())]

    def unknown(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary."""
        return [word for word in _TOKEN.findall(text.lower()) if word not in self._ids]

    def __call__(
        self, texts: str | Sequence[str], context_length: int | None = None
    ) -> Int[Tensor, "text token"]:
        """Token ids of each text, padded with 0.

        Raises:
            ValueError: If `context_length` leaves no room for start and end.
        """
        if isinstance(texts, str):
            texts = [texts]
        length = self.context_length if context_length is None else context_length
        if length < 2:
            raise ValueError(f"context_length must be at least 2, got {length}")
        result = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in enumerate(texts):
            ids = [2, *self.encode(text)[: length - 2], self.end]
            result[row, : len(ids)] = torch.tensor(ids)
        return result
