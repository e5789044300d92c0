import itertools
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import same_color

from lrsched.analysis import plots, range_plots
from lrsched.analysis import range_tests as rt

POINTS = 60
RATES = rt.ramp(1e-3, 10.0, steps=POINTS)
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
    return rt.Curves(RATES, np.array(rows), "train_loss", beta)


def accuracy_curves():
    rows = [0.1 + 0.5 / (1 + np.exp(-4 * (X + 1))) + 0.01 * i for i in range(3)]
    return rt.Curves(RATES, np.array(rows), "holdout_accuracy", 0.0)


def suggested(*rates, interval=None):
    return {f"rule_{i}": rt.Suggestion(f"rule_{i}", rate, interval, (rate,)) for i, rate in enumerate(rates)}


@pytest.fixture
def drawn(monkeypatch):
    """The figure as it is when it would be saved."""
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    return figures


def thick(axes):
    """The lines of means."""
    return [line for line in axes.get_lines() if line.get_linewidth() == 1.5 and line.get_marker() == "none"]


def crosses(axes):
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.get_lines() if line.get_marker() == "x"]


def test_loss_over_rate_svg_same_bytes_twice(tmp_path):
    found = loss_curves(50, 45, 40)
    for name in ("a.svg", "b.svg"):
        range_plots.loss_over_rate(found, rt.suggestions(found), tmp_path / name)
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    assert ET.fromstring(first).tag.endswith("svg")


def test_loss_over_rate_mean_and_band_end_where_the_first_seed_stops(drawn):
    found = loss_curves(50, 40)
    range_plots.loss_over_rate(found, {}, "a.svg")
    (mean,) = thick(drawn[0].axes[0])
    expected = found.smooth.mean(axis=0)
    assert np.array_equal(mean.get_ydata(), expected, equal_nan=True)
    assert np.isnan(expected).tolist() == [k >= 44 for k in range(POINTS)]
    (band,) = drawn[0].axes[0].collections
    low, high = band.get_datalim(drawn[0].axes[0].transData).intervalx
    assert (low, high) == (pytest.approx(RATES[0]), pytest.approx(RATES[43]))


def test_loss_over_rate_draws_the_raw_curves(drawn):
    found = loss_curves(50, 40)
    range_plots.loss_over_rate(found, {}, "a.svg")
    thin = [line.get_ydata() for line in drawn[0].axes[0].get_lines() if line.get_linewidth() == 0.5]
    assert np.array_equal(np.array(thin), found.values, equal_nan=True)


def test_loss_over_rate_blow_up_does_not_flatten_the_fall(drawn):
    range_plots.loss_over_rate(loss_curves(50), {}, "a.svg")
    low, high = drawn[0].axes[0].get_ylim()
    assert high < 4  # the blow-up goes beyond 20
    assert low < 0.52
    assert (2.3 - 0.5) / (high - low) > 0.5


def test_loss_over_rate_crosses_are_where_tests_stopped(drawn):
    range_plots.loss_over_rate(loss_curves(50, 40), {}, "a.svg")
    axes = drawn[0].axes[0]
    assert [x for x, _ in crosses(axes)] == pytest.approx([RATES[53], RATES[43]])
    assert [y for _, y in crosses(axes)] == [axes.get_ylim()[1]] * 2


def test_loss_over_rate_without_a_stop_has_no_cross(drawn):
    range_plots.loss_over_rate(accuracy_curves(), {}, "a.svg")
    assert crosses(drawn[0].axes[0]) == []


def test_loss_over_rate_accuracy_in_percent(drawn):
    range_plots.loss_over_rate(accuracy_curves(), {}, "a.svg")
    axes = drawn[0].axes[0]
    assert axes.get_ylabel() == "held-out accuracy, %"
    assert np.nanmax(thick(axes)[0].get_ydata()) == pytest.approx(61.0, abs=0.1)
    assert axes.get_ylim()[1] > 62


def test_loss_over_rate_marks_are_at_their_rates_with_their_values(drawn):
    range_plots.loss_over_rate(loss_curves(50), suggested(0.01, 0.5, None), "a.svg")
    axes = drawn[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["rule_0 0.01", "rule_1 0.5"]
    upright = [line for line in axes.get_lines() if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    assert [line.get_xdata()[0] for line in upright] == [0.01, 0.5]
    assert all(same_color(line.get_color(), text.get_color()) for line, text in zip(upright, axes.texts, strict=True))


@pytest.mark.parametrize("rates", [[0.1, 0.1, 0.1, 0.101], [0.1, 0.11, 0.3, 0.02, 0.05], [1e-3, 1.1e-3, 9.9, 10.0]])
def test_loss_over_rate_labels_keep_apart_and_inside(drawn, rates):
    range_plots.loss_over_rate(loss_curves(50), suggested(*rates), "a.svg")
    figure = drawn[0]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    frame = figure.axes[0].get_window_extent()
    assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 and box.y0 >= frame.y1 for box in boxes)
    assert all(box.y1 <= figure.bbox.y1 for box in boxes)


def test_loss_over_rate_marks_reach_their_labels(drawn):
    range_plots.loss_over_rate(loss_curves(50), suggested(0.1, 0.1, 0.1), "a.svg")
    figure = drawn[0]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ends = [line.get_ydata()[1] for line in axes.get_lines()[-3:]]
    tops = [axes.transAxes.transform((0, end))[1] for end in ends]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(abs(top - box.y0) < 4 for top, box in zip(tops, boxes, strict=True))


def test_loss_over_rate_interval_is_a_bar(drawn):
    range_plots.loss_over_rate(loss_curves(50), suggested(0.1, interval=(1e-9, 0.4)), "a.svg")
    axes = drawn[0].axes[0]
    (bar,) = [line for line in axes.get_lines() if line.get_linewidth() == 2.0]
    assert tuple(bar.get_xdata()) == (1e-9, 0.4)
    assert axes.get_xlim() == (pytest.approx(1e-3), pytest.approx(10.0))  # however wide the interval


def test_loss_over_rate_legend_says_what_each_line_is_once(drawn):
    found = loss_curves(50, 40)
    range_plots.loss_over_rate(found, rt.suggestions(found), "a.svg")
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
    range_plots.loss_over_rate(loss_curves(50, 40), {}, "a.svg")
    axes = drawn[0].axes[0]
    (mean,) = thick(axes)
    thin = [line for line in axes.get_lines() if line.get_linewidth() == 0.5]
    assert len(thin) == 2
    assert all(line.get_zorder() < mean.get_zorder() for line in thin)


def test_loss_over_rate_suggestion_below_the_ramp_is_seen(drawn):
    range_plots.loss_over_rate(loss_curves(50), suggested(1e-4), "a.svg")
    assert drawn[0].axes[0].get_xlim()[0] == pytest.approx(1e-4)


@pytest.mark.parametrize("quantity", rt.QUANTITIES)
def test_loss_over_rate_of_a_single_point_from_zero(tmp_path, quantity):
    found = rt.Curves(np.array([0.0, 0.1]), np.array([[0.5, 0.5]]), quantity)
    range_plots.loss_over_rate(found, rt.suggestions(found), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_loss_over_rate_of_nothing_finite():
    found = rt.Curves(RATES, np.full((2, POINTS), math.nan), "train_loss")
    with pytest.raises(ValueError, match="at least one finite value at a rate above 0, got none"):
        range_plots.loss_over_rate(found, {}, "a.svg")


UPDATES = np.arange(0, 100, 10)
LOSSES = {
    "rex": (UPDATES, np.array([[1.0] * 10, [0.25] * 10])),
    "linear": (UPDATES[:5], np.array([[1.0, 0.5, math.inf, math.nan, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])),
}


def test_compared_ramps_may_have_other_lengths(drawn):
    short = rt.Curves(np.geomspace(1e-3, 1.0, 20), np.linspace(2.0, 1.0, 20)[None], "train_loss", beta=0.5)
    range_plots.compared({"16": loss_curves(50, 40), "32": short}, "a.svg")
    assert len(thick(drawn[-1].axes[0])) == 2


def test_losses_are_means_over_seeds(drawn):
    range_plots.losses(LOSSES, "a.svg")
    axes = drawn[0].axes[0]
    rex, linear = thick(axes)
    assert rex.get_ydata().tolist() == [0.625] * 10
    assert linear.get_ydata()[:2].tolist() == [1.0, 0.75]
    assert np.isnan(linear.get_ydata()).tolist() == [False, False, True, True, False]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["rex", "linear"]


def test_losses_seed_that_goes_on_alone_is_drawn(drawn):
    range_plots.losses(LOSSES, "a.svg")
    alone = [line.get_ydata() for line in drawn[0].axes[0].get_lines() if line.get_linewidth() == 0.8]
    assert np.isnan(alone[1]).tolist() == [True, False, False, False, True]  # from the last common point on


def test_losses_of_zero_are_on_a_linear_axis(drawn):
    range_plots.losses({"rex": (UPDATES, np.zeros((1, 10)))}, "a.svg")
    assert drawn[0].axes[0].get_yscale() == "linear"


def test_losses_same_bytes_twice(tmp_path):
    for name in ("a.svg", "b.svg"):
        range_plots.losses(LOSSES, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("curves", [{}, {"rex": (UPDATES, np.full((1, 10), math.nan))}])
def test_losses_nothing_to_draw(curves):
    with pytest.raises(ValueError, match=f"must hold a finite loss, got none in {len(curves)} labels"):
        range_plots.losses(curves, "a.svg")


@pytest.mark.parametrize(
    ("momenta", "losses", "titles"),
    [
        (True, True, ["learning rate", "momentum", "training loss"]),
        (True, False, ["learning rate", "momentum"]),
        (False, True, ["learning rate", "training loss"]),
    ],
)
def test_run_panels_hold_what_is_given(drawn, momenta, losses, titles):
    values = np.linspace(0.5, 0.1, 10)
    range_plots.run(UPDATES, values, values + 1 if momenta else None, values + 2 if losses else None, "a.svg")
    panels = drawn[0].axes
    assert [axes.get_ylabel() for axes in panels] == titles
    offsets = [0.0, 1.0, 2.0] if momenta and losses else [0.0, 1.0 if momenta else 2.0]
    for axes, offset in zip(panels, offsets, strict=True):
        assert axes.get_lines()[0].get_ydata().tolist() == (values + offset).tolist()
        assert axes.get_xlim() == panels[0].get_xlim()


def test_run_same_bytes_twice(tmp_path):
    values = np.linspace(0.5, 0.1, 10)
    for name in ("a.png", "b.png"):
        range_plots.run(UPDATES, values, values, values, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_run_without_steps():
    with pytest.raises(ValueError, match="steps must hold at least one update, got none"):
        range_plots.run(np.empty(0), np.empty(0), None, None, "a.svg")


def test_range_figure_of_another_ending():
    message = r"path must end in \.svg or \.png, got a\.pdf\.$"
    with pytest.raises(ValueError, match=message):
        range_plots.loss_over_rate(accuracy_curves(), {}, "a.pdf")
    with pytest.raises(ValueError, match=message):
        range_plots.losses(LOSSES, "a.pdf")
    with pytest.raises(ValueError, match=message):
        range_plots.run(UPDATES, FALL[:10], None, None, "a.pdf")
