from hypothesis import given
from hypothesis import strategies as st

from advgen.seeds import derive_seed


def test_a_seed_is_the_same_in_every_process_and_version() -> None:
    """Images of a run begun yesterday must be drawn again to the same bytes."""
    assert derive_seed(0, "dog-deer/second-order/r0", "s003", 1, 2) == 3410152825316311143


@given(st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4))
def test_seeds_are_what_torch_and_numpy_take(parts: list[object]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_every_part_and_its_place_counts() -> None:
    seeds = [
        derive_seed(*parts)
        for parts in [(), ("a",), ("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), (1, 12), (11, 2)]
    ]
    assert len(set(seeds)) == len(seeds)
