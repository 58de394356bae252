import hashlib

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from advgen.models import ClipModel
from advgen.text import (
    EncodedPool,
    SklearnOmp,
    SparseCodes,
    TextPool,
    decompose,
    encode_pool,
    signed_words,
)
from advgen.text.decompose import TEXT_BATCH

EMBED = 128


class WordsByHash(ClipModel):
    """A text tower that gives each text its own direction, and one to all that start with `x`.

    Like a GEMM, it rounds differently in batches of different size.
    """

    def encode_text(self, texts: list[str]) -> Tensor:
        rows = [self.row("x" if text.startswith("x") else text) for text in texts]
        noise = torch.randn(len(rows), EMBED, generator=torch.Generator().manual_seed(len(rows)))
        return F.normalize(torch.stack(rows), dim=-1) + 1e-8 * noise

    @staticmethod
    def row(text: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        return torch.randn(EMBED, generator=torch.Generator().manual_seed(seed))


def test_texts_are_encoded_in_order_across_batches() -> None:
    texts = tuple(f"word {number}" for number in range(2 * TEXT_BATCH + 3))
    encoded = encode_pool(WordsByHash(), TextPool("p", texts))  # pyright: ignore[reportArgumentType]
    assert encoded.pool.texts == texts
    for number in (0, TEXT_BATCH - 1, TEXT_BATCH, len(texts) - 1):
        expected = F.normalize(WordsByHash.row(texts[number]), dim=0)
        torch.testing.assert_close(encoded.embeddings[number], expected)


def test_texts_that_the_tower_cannot_tell_apart_are_kept_once_and_noted() -> None:
    texts = tuple(f"{'x' if number % 2 else 'y'}{number}" for number in range(TEXT_BATCH + 50))
    pool = TextPool("p", texts, ("line 3: blank, left out",))
    encoded = encode_pool(WordsByHash(), pool)  # pyright: ignore[reportArgumentType]
    unknown = len(texts) // 2
    assert encoded.pool.texts == ("y0", "x1", *texts[2::2])
    assert len(encoded.embeddings) == len(encoded.pool.texts)
    assert encoded.pool.notes == (
        "line 3: blank, left out",
        f"{unknown - 1} texts share another text's embedding and were left out",
    )


def orthogonal_pool(count: int) -> EncodedPool:
    return EncodedPool(TextPool("p", tuple("abcdefgh"[:count])), torch.eye(8)[:count])


def test_a_direction_is_written_in_the_pool_s_words() -> None:
    encoded = orthogonal_pool(4)
    direction = torch.tensor([[0.6, 0.0, -0.8, 0.0, 0.0, 0.0, 0.0, 0.0]])
    codes = decompose(direction, encoded, SklearnOmp(), nonzeros=3)
    assert signed_words(codes, 0, encoded.pool.texts) == [
        ("c", pytest.approx(-0.8)),
        ("a", pytest.approx(0.6)),
    ]


def test_more_words_than_the_pool_or_the_space_has_are_not_asked_for() -> None:
    direction = F.normalize(torch.ones(1, 8), dim=-1)
    assert decompose(direction, orthogonal_pool(3), SklearnOmp(), nonzeros=32).indices.shape == (
        1,
        3,
    )
    assert decompose(direction, orthogonal_pool(8), SklearnOmp(), nonzeros=32).indices.shape == (
        1,
        8,
    )


def test_the_treatment_reaches_the_atoms() -> None:
    encoded = EncodedPool(TextPool("p", ("a", "b", "c")), torch.eye(3) + 2.0)
    direction = torch.tensor([[2.0, -1.0, -1.0]])
    plain = decompose(direction, encoded, SklearnOmp(), nonzeros=1)
    centered = decompose(direction, encoded, SklearnOmp(), nonzeros=1, atoms="centered-unit")
    assert signed_words(centered, 0, encoded.pool.texts) == [("a", pytest.approx(6**0.5))]
    assert plain.values[0, 0].item() < 2.0


def test_padding_is_no_word() -> None:
    codes = SparseCodes(torch.tensor([[1, -1]]), torch.tensor([[0.5, 0.0]]))
    assert signed_words(codes, 0, ("a", "b")) == [("b", 0.5)]
