"""Texts as vectors whose cosine says how alike they are, for dropping near-names of a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from advgen import registry
from advgen.errors import ConfigError
from advgen.hub import hub_fault, is_folder, pinned_revision

NONE = "none"
_KIND = "sentence encoder"
_WITH_MODEL = "sentence"


@runtime_checkable
class TextEncoder(Protocol):
    """Encodes short texts; making one loads nothing heavy."""

    name: str

    @property
    def revision(self) -> str:
        """Identifies what the vectors were made with."""
        ...

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "text embed"]:
        """Unit rows, float32 on the CPU; a text without a letter may give a row of zeros.

        Raises:
            ModelError: If the model behind cannot be had.
        """
        ...


class LetterEncoder:
    """Counts of three to five letters in a row: alike means spelled alike, nothing more.

    Needs no weights. It finds compounds and derived forms (`trumpeting` for a trumpet, `traffic`
    for a traffic light), no synonyms, and now and then a stranger (`ridge` for a bridge).
    """

    name = "letters"
    revision = "3-5"

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self._counter: Any = HashingVectorizer(
            analyzer="char_wb",
            ngram_range=(3, 5),
            n_features=2**14,
            alternate_sign=False,
            norm="l2",
        )

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "text embed"]:
        """See `TextEncoder.encode`."""
        return torch.from_numpy(self._counter.transform(list(texts)).toarray()).float()


class SentenceEncoder:
    """A sentence-transformers model on the CPU (paper Sec. 5.1: `all-distilroberta-v1`).

    Args:
        model: Hugging Face id, or folder of a saved model. Loaded with the first `encode`.
    """

    def __init__(self, model: str) -> None:
        self.name = model
        self._revision: str | None = None
        self._model: Any = None

    @property
    def revision(self) -> str:
        """The model's commit, or a digest of its folder.

        Raises:
            ModelError: If the model cannot be had.
        """
        if self._revision is None:
            self._revision = pinned_revision(self.name)
        return self._revision

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "text embed"]:
        """See `TextEncoder.encode`."""
        if self._model is None:
            self._model = self._load()
        rows = self._model.encode(
            list(texts),
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        return rows.float().cpu().clone()

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"'sentence:{self.name}' needs the package '{error.name}': "
                "pip install 'advgen[real]', or set mining.similarity to letters"
            ) from error
        commit = None if is_folder(self.name) else self.revision
        try:
            with _no_bars():
                return SentenceTransformer(self.name, revision=commit, device="cpu")
        except Exception as error:  # of its configs, its weights or the Hub
            raise hub_fault(self.name, error) from error


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keeps transformers from showing that it reads weights, which takes no time here."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def open_encoder(spec: str) -> TextEncoder | None:
    """The encoder that `mining.similarity` names; None for `none`.

    Args:
        spec: `letters`, `sentence:MODEL` or `none`.

    Raises:
        ConfigError: If it is none of these.
    """
    if spec == NONE:
        return None
    kind, colon, model = spec.partition(":")
    takes_model = kind == _WITH_MODEL
    if (
        kind not in registry.names(_KIND)
        or takes_model != bool(model)
        or bool(colon) != bool(model)
    ):
        raise ConfigError(
            f"mining.similarity is '{spec}'; write letters, none or sentence:MODEL, for example "
            "sentence:sentence-transformers/all-distilroberta-v1"
        )
    make = registry.resolve(_KIND, kind)
    return make(model) if takes_model else make()
