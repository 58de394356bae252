"""The report's figures: rates with their intervals, words with their neurons, margins."""

import pytest
from doubles.report import Page, data, png, results, sample, samples, words

from advgen.report import render_report, word_groups
from advgen.report_tables import description_interval, margin_panels, nice_end, result_groups
from advgen.scoring import success_rate, wilson_interval


def test_the_table_has_both_rates_and_pools_the_repeats() -> None:
    rows = samples()
    page = Page(render_report(data(rows), image_bytes=png))
    chosen = [row for row in rows if row.method == "second-order"]
    rate = success_rate(chosen)
    low, high = wilson_interval(rate.fooled_verified, rate.verified)
    line = (
        f"{rate.fooled_verified} of {rate.verified}, 95 %: {100 * low:.1f} % to {100 * high:.1f} %"
    )
    assert line in page.text
    assert f"{rate.fooled} of {rate.images}, 95 %:" in page.text
    assert f"{rate.fooled_verified} of {rate.verified}, 95 % interval" in page.text
    assert len(page.all("tr", "pooled")) == 2
    assert len(page.all("tr", "single")) == 4
    assert len(page.all("svg", "verified")) >= 6
    assert len(page.all("svg", "unverified")) == 6


def test_the_headline_counts_descriptions_too() -> None:
    rows = [
        sample(number, 0.1 if number < 30 else -0.1, description=f"scene {number // 10}")
        for number in range(80)
    ]
    found = description_interval(rows, "second-order")
    assert found is not None
    wilson = wilson_interval(30, 80)
    assert found[1] - found[0] > 1.5 * (wilson[1] - wilson[0]), "eight scenes, not eighty images"
    page = Page(render_report(data(rows), image_bytes=png))
    ends = f"{100 * found[0]:.1f} % to {100 * found[1]:.1f} %"
    assert f"with whole descriptions drawn again {ends}" in page.text
    assert description_interval([sample(0, verified=False)], "second-order") is None


def test_pooled_lines_come_first_and_only_with_several_repeats() -> None:
    groups = result_groups(results(samples()))
    assert [[row.repeat for row in group.rows] for group in groups] == [[None, 0, 1]] * 2
    assert groups[0].total.images == sum(row.rate.images for row in groups[0].rows[1:])
    single = result_groups(results([sample(0)]))
    assert [row.repeat for row in single[0].rows] == [0]


def test_no_rate_is_shown_where_nothing_was_verified() -> None:
    rows = [sample(0, verified=False), sample(1, verified=False)]
    page = Page(render_report(data(rows), image_bytes=png))
    assert "No image was verified, so there is no attack success rate." in page.text
    assert "no rate: none verified" in page.text
    assert "2 of 2, 95 %:" in page.text


def test_words_show_their_strongest_neurons_and_the_dropped_their_reasons() -> None:
    page = Page(render_report(data(), image_bytes=png))
    for text in ("3:7", "+0.070", "3:3", "3 more", "1 word dropped", "synonym of target"):
        assert text in page.text
    assert "3:2 " not in page.text


def test_equal_word_lists_of_several_repeats_are_shown_once() -> None:
    lists = [words(), words(repeat=1), words(repeat=2, score=0.4), words("random")]
    grouped = word_groups(lists)["bird:frog"]
    assert [(entry.method, repeats) for entry, repeats in grouped] == [
        ("second-order", "repeats 0, 1"),
        ("second-order", "repeat 2"),
        ("random", "repeat 0"),
    ]


def test_margin_panels_count_every_image_once() -> None:
    rows = samples()
    panels = margin_panels(rows)
    assert sum(sum(cell["totals"]) for cell in panels["cells"]) == len(rows)
    assert sum(sum(cell["verified"]) for cell in panels["cells"]) == sum(
        row.verified for row in rows
    )
    for cell in panels["cells"]:
        right = sum(
            total
            for total, edge in zip(cell["totals"], panels["edges"][:-1], strict=True)
            if edge > -1e-9
        )
        assert right == cell["above"]


@pytest.mark.parametrize(
    ("values", "end"), [([], 1.0), ([0.03], 0.05), ([0.2, 0.21], 0.25), ([0.99], 1.0)]
)
def test_scales_end_at_round_numbers(values: list[float], end: float) -> None:
    assert nice_end(values) == end
