import itertools
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import same_color

from lrsched.analysis import drawing
from lrsched.analysis.range_test import figures
from lrsched.analysis.range_test.curves import Curves, Suggestion, suggest
from lrsched.analysis.range_test.ramp import make_ramp
from lrsched.analysis.range_test.reading import QUANTITIES, Reading

POINTS = 60
RATES = make_ramp(1e-3, 10.0, steps=POINTS)
X = np.log10(RATES)
FALL = 2.3 - 1.8 / (1 + np.exp(-4 * (X + 1)))


def loss_curves(*stops, beta=0.5):
    """A seed a stop: the point from where on its loss grows by a factor of 3 a point, missing 4 points later."""
    rows = []
    for i, stop in enumerate(stops):
        row = FALL + 0.01 * i + 0.02 * np.sin(3.0 * np.arange(POINTS) + i)
        row[stop:] *= 3.0 ** np.arange(1, POINTS - stop + 1)
        row[stop + 4 :] = math.nan
        rows.append(row)
    return Curves(RATES, np.array(rows), Reading(beta=beta, skip_start=0, skip_end=0))


def accuracy_curves():
    rows = [0.1 + 0.5 / (1 + np.exp(-4 * (X + 1))) + 0.01 * i for i in range(3)]
    return Curves(RATES, np.array(rows), Reading("holdout_accuracy", skip_start=0, skip_end=0))


def suggested(*rates, interval=None):
    return {f"rule_{i}": Suggestion(f"rule_{i}", rate, interval, (rate,)) for i, rate in enumerate(rates)}


@pytest.fixture
def drawn(monkeypatch):
    """The figure as it is when it would be saved."""
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: drawn.append(figure))
    return drawn


def thick(axes):
    """The lines of means."""
    return [line for line in axes.get_lines() if line.get_linewidth() == 1.5 and line.get_marker() == "none"]


def crosses(axes):
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.get_lines() if line.get_marker() == "x"]


@pytest.mark.slow
def test_loss_over_rate_svg_same_bytes_twice(tmp_path):
    found = loss_curves(50, 45, 40)
    for name in ("a.svg", "b.svg"):
        figures.draw_loss_over_rate(found, suggest(found), tmp_path / name)
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    assert ET.fromstring(first).tag.endswith("svg")


def test_loss_over_rate_mean_and_band_end_where_the_first_seed_stops(drawn):
    found = loss_curves(50, 40)
    figures.draw_loss_over_rate(found, {}, "a.svg")
    (mean,) = thick(drawn[0].axes[0])
    expected = found.smooth.mean(axis=0)
    assert np.array_equal(mean.get_ydata(), expected, equal_nan=True)
    assert np.isnan(expected).tolist() == [k >= 44 for k in range(POINTS)]
    (band,) = drawn[0].axes[0].collections
    low, high = band.get_datalim(drawn[0].axes[0].transData).intervalx
    assert (low, high) == (pytest.approx(RATES[0]), pytest.approx(RATES[43]))


def test_loss_over_rate_draws_the_raw_curves(drawn):
    found = loss_curves(50, 40)
    figures.draw_loss_over_rate(found, {}, "a.svg")
    thin = [line.get_ydata() for line in drawn[0].axes[0].get_lines() if line.get_linewidth() == 0.5]
    assert np.array_equal(np.array(thin), found.values, equal_nan=True)


def test_loss_over_rate_blow_up_does_not_flatten_the_fall(drawn):
    figures.draw_loss_over_rate(loss_curves(50), {}, "a.svg")
    low, high = drawn[0].axes[0].get_ylim()
    assert high < 4  # the blow-up goes beyond 20
    assert low < 0.52
    assert (2.3 - 0.5) / (high - low) > 0.5


def test_loss_over_rate_crosses_are_where_tests_stopped(drawn):
    figures.draw_loss_over_rate(loss_curves(50, 40), {}, "a.svg")
    axes = drawn[0].axes[0]
    assert [x for x, _ in crosses(axes)] == pytest.approx([RATES[53], RATES[43]])
    assert [y for _, y in crosses(axes)] == [axes.get_ylim()[1]] * 2


def test_loss_over_rate_without_a_stop_has_no_cross(drawn):
    figures.draw_loss_over_rate(accuracy_curves(), {}, "a.svg")
    assert crosses(drawn[0].axes[0]) == []


def test_loss_over_rate_accuracy_in_percent(drawn):
    figures.draw_loss_over_rate(accuracy_curves(), {}, "a.svg")
    axes = drawn[0].axes[0]
    assert axes.get_ylabel() == "held-out accuracy, %"
    assert np.nanmax(thick(axes)[0].get_ydata()) == pytest.approx(61.0, abs=0.1)
    assert axes.get_ylim()[1] > 62


def test_loss_over_rate_marks_are_at_their_rates_with_their_values(drawn):
    figures.draw_loss_over_rate(loss_curves(50), suggested(0.01, 0.5, None), "a.svg")
    axes = drawn[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["rule_0 0.01", "rule_1 0.5"]
    upright = [line for line in axes.get_lines() if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    assert [line.get_xdata()[0] for line in upright] == [0.01, 0.5]
    assert all(same_color(line.get_color(), text.get_color()) for line, text in zip(upright, axes.texts, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("rates", [[0.1, 0.1, 0.1, 0.101], [0.1, 0.11, 0.3, 0.02, 0.05], [1e-3, 1.1e-3, 9.9, 10.0]])
def test_loss_over_rate_labels_keep_apart_and_inside(drawn, rates):
    figures.draw_loss_over_rate(loss_curves(50), suggested(*rates), "a.svg")
    figure = drawn[0]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    frame = figure.axes[0].get_window_extent()
    assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 and box.y0 >= frame.y1 for box in boxes)
    assert all(box.y1 <= figure.bbox.y1 for box in boxes)


def test_loss_over_rate_marks_reach_their_labels(drawn):
    figures.draw_loss_over_rate(loss_curves(50), suggested(0.1, 0.1, 0.1), "a.svg")
    figure = drawn[0]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ends = [line.get_ydata()[1] for line in axes.get_lines()[-3:]]
    tops = [axes.transAxes.transform((0, end))[1] for end in ends]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(abs(top - box.y0) < 4 for top, box in zip(tops, boxes, strict=True))


def test_loss_over_rate_interval_is_a_bar(drawn):
    figures.draw_loss_over_rate(loss_curves(50), suggested(0.1, interval=(1e-9, 0.4)), "a.svg")
    axes = drawn[0].axes[0]
    (bar,) = [line for line in axes.get_lines() if line.get_linewidth() == 2.0]
    assert tuple(bar.get_xdata()) == (1e-9, 0.4)
    assert axes.get_xlim() == (pytest.approx(1e-3), pytest.approx(10.0))  # however wide the interval


def test_loss_over_rate_legend_says_what_each_line_is_once(drawn):
    found = loss_curves(50, 40)
    figures.draw_loss_over_rate(found, suggest(found), "a.svg")
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [
        "as measured, by seed",
        "mean, smoothed (beta 0.5), and range of the seeds",
        "end of a ramp: the loss blew up",
        "range of a rule over the seeds",
    ]
    drawn[0].draw_without_rendering()
    box = drawn[0].legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= drawn[0].bbox.x1


def test_loss_over_rate_summary_lies_over_the_seeds(drawn):
    figures.draw_loss_over_rate(loss_curves(50, 40), {}, "a.svg")
    axes = drawn[0].axes[0]
    (mean,) = thick(axes)
    thin = [line for line in axes.get_lines() if line.get_linewidth() == 0.5]
    assert len(thin) == 2
    assert all(line.get_zorder() < mean.get_zorder() for line in thin)


def test_loss_over_rate_suggestion_below_the_ramp_is_seen(drawn):
    figures.draw_loss_over_rate(loss_curves(50), suggested(1e-4), "a.svg")
    assert drawn[0].axes[0].get_xlim()[0] == pytest.approx(1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_loss_over_rate_of_a_single_point_from_zero(tmp_path, quantity):
    found = Curves(np.array([0.0, 0.1]), np.array([[0.5, 0.5]]), Reading(quantity, skip_end=0))
    figures.draw_loss_over_rate(found, suggest(found), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_loss_over_rate_of_nothing_finite():
    found = Curves(RATES, np.full((2, POINTS), math.nan))
    with pytest.raises(ValueError, match="at least one finite value at a rate above 0, got none"):
        figures.draw_loss_over_rate(found, {}, "a.svg")


def test_figure_of_another_ending():
    with pytest.raises(ValueError, match=r"path must end in \.svg or \.png, got a\.pdf\.$"):
        figures.draw_loss_over_rate(accuracy_curves(), {}, "a.pdf")
