"""Texts as the text towers of transformers' CLIP and SigLIP were trained on them."""

from typing import Any

import torch
from torch import Tensor

from advgen.errors import ModelError

_PROBES = ["a", "a photo of a dog"]


class Tokenize:
    """Texts -> what the text tower takes, by argument.

    CLIP takes them as long as they are, up to its context, and reads its end token. SigLIP (and 2)
    takes all as long as the context, padded on the right and without a mask, and reads the last
    place; SigLIP 2 was trained on lower case, which the Gemma tokenizer of its repositories leaves
    to the caller.

    Args:
        tokenizer: As `AutoTokenizer` loads it.
        config: Of the model, as transformers reads it.

    Raises:
        ModelError: If the tower would not read the end of a text that this tokenizer made; when
            called, if a token is none that the tower knows.
    """

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokenizer = tokenizer
        self._text = config.text_config
        self._siglip = config.model_type == "siglip"
        self._lower = self._siglip and type(tokenizer).__name__ != "SiglipTokenizer"
        reason = self._fault()
        if reason is not None:
            raise ModelError(f"its tokenizer and its text tower do not belong together: {reason}")

    def __call__(self, texts: list[str]) -> dict[str, Tensor]:
        """Token ids ``[text, token]`` and, for CLIP, their mask."""
        found = self._tokenizer(
            [text.lower() for text in texts] if self._lower else texts,
            padding="max_length" if self._siglip else True,
            padding_side="right",
            truncation=True,
            max_length=int(self._text.max_position_embeddings),
            return_tensors="pt",
        )
        largest, known = int(found["input_ids"].max()), int(self._text.vocab_size)
        if largest >= known:
            raise ModelError(
                f"the tokenizer makes token {largest}, and its text tower knows {known}; the "
                "tokenizer is that of another model, correct the repository's files"
            )
        wanted = ("input_ids",) if self._siglip else ("input_ids", "attention_mask")
        return {name: found[name] for name in wanted}

    def _fault(self) -> str | None:
        if self._tokenizer.pad_token_id is None:
            return "it has no padding token (pad_token in tokenizer_config.json)"
        return self._siglip_fault() if self._siglip else self._clip_fault()

    def _siglip_fault(self) -> str | None:
        end = self._tokenizer.eos_token_id
        if end is None or self._tokenizer(_PROBES[0])["input_ids"][-1] != end:
            return "SigLIP was trained on texts with an end token, and it adds none"
        return None

    def _clip_fault(self) -> str | None:
        """Whether transformers' CLIP would read another place than the end of a text."""
        end = self._text.eos_token_id
        tokens = self(_PROBES)
        ids, last = tokens["input_ids"], tokens["attention_mask"].sum(dim=1) - 1
        # 2 stands in configurations older than transformers 4.31: the largest token is read.
        read = ids.argmax(dim=1) if end == 2 else torch.eq(ids, _number(end)).int().argmax(dim=1)
        if (read == last).all():
            return None
        return (
            f"the tower reads token {end!r} (eos_token_id in text_config), and a text ends with "
            f"{int(ids[0, last[0]])}"
        )


def _number(end: Any) -> int:
    return end if isinstance(end, int) else -1
