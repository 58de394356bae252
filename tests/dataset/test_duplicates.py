import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advgen.dataset.duplicates import Seen, _bits


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 24))
def test_kept_pictures_are_those_of_a_greedy_search(values: list[int], near: int) -> None:
    seen, kept = Seen(near), []
    for number, value in enumerate(values):
        found = seen.add(str(number), f"{number:064x}", f"{value:016x}")
        close = [other for other in kept if bin(values[other] ^ value).count("1") <= near]
        if close:
            assert found is not None
            assert found.of == str(close[0])
            assert found.distance == bin(values[close[0]] ^ value).count("1")
        else:
            assert found is None
            kept.append(number)


def test_many_pictures_are_all_remembered() -> None:
    draw = random.Random(0)
    hashes = [f"{draw.getrandbits(64):016x}" for _ in range(3000)]
    seen = Seen(0)
    assert all(seen.add(str(i), str(i), text) is None for i, text in enumerate(hashes))
    found = [seen.add("new", f"new-{i}", text) for i, text in enumerate(hashes)]
    assert [one.of for one in found if one] == [str(i) for i in range(3000)]


def test_only_equal_files_count_without_a_distance() -> None:
    seen = Seen(None)
    assert seen.add("a", "x", "0" * 16) is None
    assert seen.add("b", "y", "0" * 16) is None
    found = seen.add("c", "y", "f" * 16)
    assert found is not None
    assert (found.reason, found.of) == ("same file", "b")
    with pytest.raises(ValueError, match="0..63 or None; got 64"):
        Seen(64)


def test_bits_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    values = np.array([0, 1, 2**64 - 1, 2**63 + 5], dtype=np.uint64)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert _bits(values).tolist() == [0, 1, 64, 3]
