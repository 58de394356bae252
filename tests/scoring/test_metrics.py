import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from advgen.records import Sample
from advgen.scoring import Rate, success_rate, wilson_interval

SampleMaker = Callable[..., Sample]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("trials", [1, 2, 9, 100, 1234])
def test_intervals_are_those_of_statsmodels(trials: int, confidence: float) -> None:
    for successes in {0, 1, trials // 3, trials // 2, trials - 1, trials}:
        theirs = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
        ours = wilson_interval(successes, trials, confidence)
        assert ours == pytest.approx(theirs, abs=1e-12), (successes, trials)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_the_published_ones(
    successes: int, trials: int, low: float, high: float
) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), Table I, method 3."""
    interval = wilson_interval(successes, trials)
    assert tuple(round(bound, 4) for bound in interval) == (low, high)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_counts_that_are_none_are_a_caller_s_mistake(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes}/{trials}"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("kinds", [(0, 0, 0, 0), (5, 0, 2, 0), (1, 2, 3, 4)])
def test_a_rate_counts_fooled_and_verified_apart_and_together(
    kinds: tuple[int, int, int, int], make_sample: SampleMaker
) -> None:
    both, only_fooled, only_verified, neither = kinds
    flags = [(True, True)] * both + [(True, False)] * only_fooled
    flags += [(False, True)] * only_verified + [(False, False)] * neither
    rows = (make_sample(fooled=fooled, verified=verified) for fooled, verified in flags)
    assert success_rate(rows) == Rate(
        images=sum(kinds),
        fooled=both + only_fooled,
        verified=both + only_verified,
        fooled_verified=both,
    )


def test_the_success_rate_is_taken_over_verified_images_only() -> None:
    rate = Rate(images=100, fooled=50, verified=20, fooled_verified=5)
    assert rate.attack_success_rate == 0.25
    assert rate.interval == wilson_interval(5, 20)


def test_without_a_verified_image_there_is_no_rate() -> None:
    rate = Rate(images=10, fooled=7, verified=0, fooled_verified=0)
    assert rate.attack_success_rate is None
    assert rate.interval is None


counts = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12)


@given(counts, counts)
def test_pooled_rates_are_the_rates_of_the_pooled_images(
    make_sample: SampleMaker, first: list[tuple[bool, bool]], second: list[tuple[bool, bool]]
) -> None:
    one, two, both = (
        success_rate(make_sample(fooled=f, verified=v) for f, v in flags)
        for flags in (first, second, first + second)
    )
    assert one + two == both


def test_more_images_make_the_interval_narrower() -> None:
    widths = [high - low for low, high in (wilson_interval(n, 4 * n) for n in (1, 10, 100, 1000))]
    assert all(math.isfinite(width) for width in widths)
    assert all(wide > narrow for wide, narrow in itertools.pairwise(widths))
