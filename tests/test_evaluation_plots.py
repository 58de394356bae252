import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from advgen.evaluate.robustness.results import (
    Comparison,
    EvaluatedData,
    Evaluation,
    LeftOut,
    ModelResult,
    PairResult,
    TransferCell,
    rate_of,
)
from advgen.evaluation_plots import (
    LINE,
    LINES,
    figure_name,
    margin_distributions,
    success_bars,
    transfer_heatmap,
)
from advgen.plots import TARGET_COLOR, TRUE_COLOR
from advgen.records import ClassPair
from advgen.scoring import wilson_interval

PAIRS = (ClassPair("bird", "frog"), ClassPair("stop sign", "yield sign"))
NAMES = ("sandbox-a", "sandbox-b", "transformers:google/siglip2-base-patch16-224")
ROWS = 40
HITS = (30, 14, 5)


def make_margins(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    values = np.abs(rng.normal(0.05, 0.03, ROWS)) + 0.001
    values[HITS[number] :] *= -1
    return rng.permutation(values)


def make_model(number: int, clean: bool) -> ModelResult:
    margins = make_margins(number)
    control = rate_of(97 - number, 100) if clean else None
    pairs = tuple(
        PairResult(
            pair,
            rate_of(int((margins[half] > 0).sum()), ROWS // 2),
            (0.2, 0.9),
            rate_of(48, 50) if clean else None,
            rate_of(95, 100) if clean else None,
        )
        for pair, half in zip(PAIRS, (slice(0, 20), slice(20, 40)), strict=True)
    )
    return ModelResult(
        name=NAMES[number],
        weights_sha256=f"{number}b" * 32,
        success=rate_of(HITS[number], ROWS),
        sentence_interval=(HITS[number] / ROWS * 0.6, HITS[number] / ROWS * 1.2),
        clean=control,
        pairs=pairs,
        margins=margins,
        clean_both=control,
        recorded_difference=3e-7 if number == 0 else None,
    )


def make_evaluation(*, clean: bool = True, models: int = 3, **changes) -> Evaluation:
    transfer = tuple(
        TransferCell(one, other, rate_of(3 * i + 2 * j, 20), rate_of(2 * j * i, 6 * i))
        for i, one in enumerate(NAMES[:2])
        for j, other in enumerate(NAMES[:models])
    )
    comparisons = (
        Comparison(NAMES[0], NAMES[1], 20, 9, 1, 0.0215, 0.043, 6, 5, 0.0625, 0.125),
        Comparison(NAMES[0], NAMES[2], 20, 14, 0, 0.00012, 0.00049, 6, 6, 0.03125, 0.125),
    )
    data = EvaluatedData(
        "drawn animals",
        "fe" * 32,
        ROWS,
        PAIRS,
        NAMES[:2],
        "sandbox:1360?single=1&seed=7" if clean else None,
        "cc-by-4.0",
        **{
            "unverified": 3,
            "left_out": (LeftOut("s07", "cannot be decoded"),),
            "drawn": True,
            **changes,
        },
    )
    found = tuple(make_model(number, clean) for number in range(models))
    ids = tuple(f"s{number:02d}" for number in range(ROWS))
    prompts = ("a photo of a {}.", "a drawing of a {}.")
    return Evaluation(data, found, transfer, comparisons, prompts, ids, (0,) * 20 + (1,) * 20)


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_margin_bars_count_every_image_on_its_side_of_0():
    ax = margin_distributions(make_evaluation())
    tallest = max(abs(bar.get_height()) for bar in ax.patches)
    scale = 0.8 / tallest
    assert tallest == pytest.approx(0.8) and scale == pytest.approx(1.0)
    for number, hits in enumerate(HITS):
        bars = [bar for bar in ax.patches if bar.get_y() == number]
        whole = sum(abs(bar.get_height()) for bar in bars)
        right = [bar for bar in bars if to_hex(bar.get_facecolor()) == TARGET_COLOR]
        assert sum(abs(bar.get_height()) for bar in right) / whole == pytest.approx(hits / ROWS)
        assert all(bar.get_x() >= -1e-12 for bar in right)
        left = [bar for bar in bars if to_hex(bar.get_facecolor()) == TRUE_COLOR]
        assert all(bar.get_x() + bar.get_width() <= 1e-12 for bar in left)
        assert all(bar.get_height() <= 0 for bar in bars)  # the axis points down


def test_margin_rows_have_a_median_and_stand_in_order():
    ax = margin_distributions(make_evaluation())
    marks = [line for line in ax.lines if line.get_linewidth() == 2 and len(line.get_xdata()) == 2]
    assert [mark.get_xdata()[0] for mark in marks] == [
        pytest.approx(np.median(make_margins(number))) for number in range(3)
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == [*map(figure_name, NAMES)]
    low, high = ax.get_ylim()
    assert low > high
    assert min(bar.get_y() + bar.get_height() for bar in ax.patches) >= high


def test_cells_of_the_transfer_say_rate_interval_and_images():
    evaluation = make_evaluation()
    ax = transfer_heatmap(evaluation)
    assert len(texts(ax)) == len(evaluation.transfer)
    low, high = wilson_interval(2, 20)
    assert texts(ax)[1] == f"10.0 %\n{100 * low:.1f} to {100 * high:.1f}\nn = 20"
    (image,) = ax.images
    expected = [[100 * (3 * i + 2 * j) / 20 for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(np.asarray(image.get_array()), expected)
    assert image.get_clim() == (0.0, 100.0)


def test_a_cell_without_images_or_without_a_record_is_grey():
    evaluation = make_evaluation()
    transfer = (
        TransferCell("a", "a", rate_of(1, 2), rate_of(0, 0)),
        TransferCell("a", "b", rate_of(0, 0), rate_of(0, 0)),
        TransferCell("b", "a", rate_of(2, 2), rate_of(0, 0)),
    )
    parts = (evaluation.data, evaluation.models, transfer, (), ("a {}",))
    ax = transfer_heatmap(Evaluation(*parts))
    assert texts(ax)[1] == texts(ax)[3] == "no images"
    (image,) = ax.images
    values = np.ma.asarray(image.get_array())
    assert np.ma.getmaskarray(values).tolist() == [[False, True], [False, True]]


@pytest.mark.parametrize("clean", [True, False])
def test_bars_are_rates_with_their_intervals(clean):
    ax = success_bars(make_evaluation(clean=clean))
    drawn = [bar for bar in ax.patches if bar.get_width() and bar.get_height()]
    success = [bar for bar in drawn if to_hex(bar.get_facecolor()) == TARGET_COLOR]
    control = [bar for bar in drawn if to_hex(bar.get_facecolor()) == TRUE_COLOR]
    assert [bar.get_width() for bar in success] == [100 * hits / ROWS for hits in HITS]
    assert [bar.get_width() for bar in control] == ([97, 96, 95] if clean else [])
    whiskers = [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 3.2]
    expected = [tuple(100 * end for end in wilson_interval(hits, ROWS)) for hits in HITS]
    assert whiskers[:: 2 if clean else 1] == [pytest.approx(ends) for ends in expected]
    legend = ax.get_legend()
    assert legend is not None and len(legend.get_texts()) == (2 if clean else 1)


@pytest.mark.parametrize("draw", [margin_distributions, transfer_heatmap, success_bars])
def test_figures_of_one_model_of_none_and_of_hostile_names(draw, tmp_path):
    one = make_evaluation(models=1)
    none = Evaluation(one.data, (), (), (), ())
    hostile = make_model(0, True)
    named = {field: getattr(hostile, field) for field in hostile.__slots__}
    named["name"] = "$\\frac{$ _broken_ <b>" * 4
    cell = TransferCell(named["name"], "$^$", rate_of(1, 2), rate_of(0, 0))
    odd = Evaluation(one.data, (ModelResult(**named),), (cell,), (), ())
    for evaluation in (one, none, odd):
        path = tmp_path / "figure.png"
        draw(evaluation).figure.savefig(path, dpi=40)
        assert path.stat().st_size > 500


def test_figures_draw_into_given_axes():
    from matplotlib.figure import Figure

    given = Figure().subplots()
    assert margin_distributions(make_evaluation(), ax=given) is given


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("short", "short"),
        ("transformers:google/siglip2-base-patch16-224", None),
        ("x" * 30, "x" * 20 + "\n" + "x" * 10),
        ("a/" + "x" * 90 + "-end", "…" + "x" * 20 + "\n" + "x" * 20 + "\n" + "x" * 10 + "-end"),
        ("$a", r"\$a"),
    ],
)
def test_long_names_stand_in_lines_and_keep_their_end(name, shown):
    lines = figure_name(name).split("\n")
    assert shown is None or figure_name(name) == shown
    assert len(lines) <= LINES and all(len(line) <= LINE + 1 for line in lines)
    if shown is None:
        assert "".join(lines) == name
