import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex

from advgen.plots import (
    TARGET_COLOR,
    TRUE_COLOR,
    margin_edges,
    margin_histogram,
    success_rates,
)
from advgen.scoring import wilson_interval

MARGINS = np.array([-0.08, -0.05, -0.021, -0.02, 0.004, 0.03, 0.031])


@pytest.mark.parametrize(
    "margins", [MARGINS, -np.abs(MARGINS), np.abs(MARGINS), np.zeros(3), np.array([])]
)
def test_edges_cover_everything_and_split_at_zero(margins: np.ndarray) -> None:
    edges = margin_edges(margins)
    assert np.isclose(edges, 0.0, atol=1e-12).sum() == 1
    assert np.allclose(np.diff(edges), edges[1] - edges[0])
    assert np.histogram(margins, edges)[0].sum() == len(margins)


def test_edges_refuse_what_has_no_place_on_an_axis() -> None:
    with pytest.raises(ValueError, match="NaN"):
        margin_edges(np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match="at least 2"):
        margin_edges(MARGINS, bins=1)


def test_histogram_counts_each_side_in_its_colour() -> None:
    verified = np.array([True, False, True, True, True, False, True])
    ax = margin_histogram(MARGINS, verified=verified)
    heights = {TARGET_COLOR: 0.0, TRUE_COLOR: 0.0}
    light = 0.0
    for bar in ax.patches:
        heights[to_hex(bar.get_facecolor())] += bar.get_height()
        light += bar.get_height() if bar.get_alpha() else 0.0
        side = TARGET_COLOR if bar.get_x() > -1e-9 else TRUE_COLOR
        assert to_hex(bar.get_facecolor()) == side
    assert heights == {TARGET_COLOR: 3, TRUE_COLOR: 4}
    assert light == 2
    assert ax.get_xlabel() == "margin: cos(target) − cos(true)"
    assert "images" in ax.get_ylabel()


def test_histogram_refuses_flags_of_another_length() -> None:
    with pytest.raises(ValueError, match="expected 7 values"):
        margin_histogram(MARGINS, verified=np.array([True]))


def test_success_rates_draw_wilson_intervals() -> None:
    fooled, verified = np.array([[5, 1], [0, 0]]), np.array([[20, 10], [8, 0]])
    ax = success_rates(fooled, verified, pairs=["dog:deer", "a:b"], methods=["x", "y"])
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    expected = [wilson_interval(*counts) for counts in ((5, 20), (0, 8), (1, 10))]
    assert np.allclose(np.array(spans), 100 * np.array(expected))
    points = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in points] == [25.0, 0.0, 10.0]
    assert [to_hex(line.get_color()) == TARGET_COLOR for line in points] == [True, True, False]
    assert [text.get_text().strip() for text in ax.texts] == ["none verified"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dog → deer", "a → b"]
    assert "%" in ax.get_xlabel()


def test_success_rates_name_the_shape_they_expect() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 1\), got \(1, 2\)"):
        success_rates(np.ones((1, 2)), np.ones((1, 2)), pairs=["a", "b"], methods=["x"])


def test_an_axes_that_is_given_is_used_and_saved(tmp_path) -> None:
    from matplotlib.figure import Figure

    own = Figure().subplots()
    assert margin_histogram(MARGINS, ax=own) is own
    rates = success_rates(np.array([[1]]), np.array([[2]]), pairs=["a:b"], methods=["x"])
    rates.figure.savefig(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000


def test_pyplot_is_never_touched() -> None:
    import subprocess

    code = (
        "import sys, numpy; from advgen.plots import margin_histogram; "
        "assert 'matplotlib' not in sys.modules; margin_histogram(numpy.array([0.1])); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
