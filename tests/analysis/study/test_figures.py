import dataclasses
import math
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from lrsched.analysis import drawing
from lrsched.analysis.study import figures
from lrsched.analysis.study.cells import gather
from lrsched.analysis.study.paper import PaperNumber

PROGRESS = np.linspace(0.0, 1.0, 101)
PAPERS = {("rex", "5%"): PaperNumber(0.1286, 0.0027, 3, "REX, Tables 4-9")}


@pytest.fixture
def cells(record):
    labels, budgets = ["linear", "rex"], {"5%": 0.2, "25%": 0.1, "100%": 0.05}
    records = [record(label, b, s, e + 0.01 * s) for label in labels for b, e in budgets.items() for s in range(3)]
    return gather(records)


@pytest.fixture
def drawn(monkeypatch):
    """The figure as it is when it would be saved."""
    drawn = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: drawn.append(figure))
    return drawn


def lines(axes):
    """The drawn lines, without the caps of error bars."""
    return [line for line in axes.get_lines() if line.get_marker() not in ("_", "|")]


def heights(line):
    return np.asarray(line.get_ydata(), np.float64)


def test_error_over_budget_svg_same_bytes_twice(cells, tmp_path):
    for name in ("a.svg", "b.svg"):
        figures.draw_error_over_budget(cells, tmp_path / name, PAPERS)
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    assert b"dc:date" not in first
    assert ET.fromstring(first).tag.endswith("svg")


def test_error_over_budget_png_names_no_version(cells, tmp_path):
    figures.draw_error_over_budget(cells, tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert b"Software" not in data


def test_error_over_budget_draws_the_means_in_percent(cells, drawn):
    figures.draw_error_over_budget(cells, "a.svg")
    axes = drawn[0].axes[0]
    means = [heights(line) for line in lines(axes) if np.isfinite(heights(line)).any()]
    assert np.allclose(means, [[21.0, 11.0, 6.0]] * 2, rtol=1e-12)
    assert [text.get_text() for text in axes.texts] == ["linear", "rex"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5%\n2", "25%\n10", "100%\n40"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_error_over_budget_bars_are_one_sd(cells, drawn):
    figures.draw_error_over_budget(cells, "a.svg")
    bars = [bar for bars in drawn[0].axes[0].collections for bar in bars.get_segments()]
    assert np.allclose([bar[1, 1] - bar[0, 1] for bar in bars], [2.0] * 6)  # sd 0.01, both ways, in percent


def test_error_over_budget_paper_is_hollow(cells, drawn):
    figures.draw_error_over_budget(cells, "a.svg", PAPERS)
    axes = drawn[0].axes[0]
    hollow = [line for line in lines(axes) if line.get_markerfacecolor() == "none"]
    points = [y for line in hollow for y in heights(line) if np.isfinite(y)]
    assert points == [pytest.approx(12.86)]
    assert axes.get_title(loc="left") == "bars: ± 1 sd over 3 seeds; hollow: the paper's numbers"


def test_error_over_budget_diverged_is_a_named_gap(cells, drawn):
    cells = [dataclasses.replace(cell, diverged=1) if cell.budget == "25%" else cell for cell in cells]
    figures.draw_error_over_budget(cells, "a.svg")
    axes = drawn[0].axes[0]
    assert np.isnan(heights(lines(axes)[0])).tolist() == [False, True, False]
    gone = "not drawn, because runs diverged: linear at 25%, rex at 25%"
    assert axes.get_title(loc="left").splitlines() == ["bars: ± 1 sd over 3 seeds", gone]


def test_error_over_budget_error_of_zero_is_drawn(cells, drawn):
    figures.draw_error_over_budget([dataclasses.replace(cell, mean=0.0) for cell in cells], "a.svg")
    assert drawn[0].axes[0].get_yscale() == "linear"


def test_error_over_budget_one_budget_one_seed(record, tmp_path):
    figures.draw_error_over_budget(gather([record()]), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_error_over_budget_one_budget_is_a_row_per_schedule(record, drawn):
    runs = [
        record(label, seed=s, test_error=e + 0.01 * s) for label, e in (("linear", 0.1), ("rex", 0.2)) for s in (0, 1)
    ]
    figures.draw_error_over_budget(gather(runs), "a.svg", PAPERS)
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["linear", "rex"]
    assert not axes.texts  # nothing has to be led to its name
    points = [
        (line.get_xdata()[0], line.get_ydata()[0]) for line in lines(axes) if line.get_markerfacecolor() != "none"
    ]
    assert np.allclose(points, [[10.5, 0], [20.5, 1]])
    bars = [segment for bars in axes.collections for segment in bars.get_segments()]
    assert np.allclose(
        [bar[1, 0] - bar[0, 0] for bar in bars], [math.sqrt(2)] * 2
    )  # sd 0.01 / sqrt(2), both ways, in %
    assert axes.get_xlabel() == "test error, % (budget 5%, 2 epochs)"
    hollow = [line.get_xdata()[0] for line in lines(axes) if line.get_markerfacecolor() == "none"]
    assert [x for x in hollow if np.isfinite(x)] == [pytest.approx(12.86)]


def test_error_over_budget_one_budget_first_schedule_is_above(record, drawn):
    cells = gather([record("linear"), record("rex")])
    figures.draw_error_over_budget([dataclasses.replace(cell, budget="7ep") for cell in cells], "a.svg")
    low, high = drawn[0].axes[0].get_ylim()
    assert low > high
    assert drawn[0].axes[0].get_xlabel() == "test error, % (budget 7ep)"


def test_error_over_budget_says_what_its_bars_are(record, drawn):
    runs = [record("rex", budget, s, 0.1 + 0.01 * s) for budget, n in (("5%", 3), ("25%", 2)) for s in range(n)]
    figures.draw_error_over_budget(gather(runs), "a.svg")
    figures.draw_error_over_budget(gather([record()]), "a.svg")
    titles = [figure.axes[0].get_title(loc="left") for figure in drawn]
    assert titles == ["bars: ± 1 sd over 2 to 3 seeds", ""]  # one seed has no sd, and no bar


def test_error_over_budget_labels_keep_apart(record, drawn):
    errors = [0.1, 0.1, 0.1, 0.101, 0.102, 0.9]
    records = [record(f"schedule {i}", b, test_error=error) for i, error in enumerate(errors) for b in ("5%", "9%")]
    figures.draw_error_over_budget(gather(records), "a.svg")
    places = sorted(text.xyann[1] for text in drawn[0].axes[0].texts)
    assert min(np.diff(places)) > 0.05
    assert places[0] > 0


def test_error_over_budget_nothing_to_draw(record, tmp_path):
    with pytest.raises(ValueError, match="at least one without a diverged run, got 1 of them"):
        figures.draw_error_over_budget(gather([record(diverged_at=0)]), tmp_path / "a.svg")


def test_schedules_rate_and_momentum(drawn):
    wave = 1.0 - np.abs(1.0 - 2.0 * PROGRESS)
    figures.draw_schedules(
        {"linear": (PROGRESS, 1.0 - PROGRESS), "onecycle": (PROGRESS, wave, 0.95 - 0.1 * wave)}, "a.svg"
    )
    rate, momentum = drawn[0].axes
    assert [line.get_label() for line in rate.get_lines()] == ["linear", "onecycle"]
    assert np.array_equal(rate.get_lines()[0].get_ydata(), 1.0 - PROGRESS)
    (only,) = momentum.get_lines()
    assert np.array_equal(only.get_ydata(), 0.95 - 0.1 * wave)
    assert only.get_color() == rate.get_lines()[1].get_color()
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["linear", "onecycle"]


def test_schedules_without_momentum_is_one_panel(drawn):
    figures.draw_schedules({"linear": (PROGRESS, 1.0 - PROGRESS)}, "a.svg")
    assert len(drawn[0].axes) == 1


def test_schedules_same_bytes_twice(tmp_path):
    for name in ("a.svg", "b.svg"):
        figures.draw_schedules({"linear": (PROGRESS, 1.0 - PROGRESS)}, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_schedules_nothing_to_draw():
    with pytest.raises(ValueError, match="curves must hold at least one schedule, got none"):
        figures.draw_schedules({}, "a.svg")


def thick(axes):
    """The lines of means."""
    return [line for line in axes.get_lines() if line.get_linewidth() == 1.5 and line.get_marker() == "none"]


UPDATES = np.arange(0, 100, 10)
LOSSES = {
    "rex": (UPDATES, np.array([[1.0] * 10, [0.25] * 10])),
    "linear": (UPDATES[:5], np.array([[1.0, 0.5, math.inf, math.nan, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])),
}


def test_losses_are_means_over_seeds(drawn):
    figures.draw_losses(LOSSES, "a.svg")
    axes = drawn[0].axes[0]
    rex, linear = thick(axes)
    assert rex.get_ydata().tolist() == [0.625] * 10
    assert linear.get_ydata()[:2].tolist() == [1.0, 0.75]
    assert np.isnan(linear.get_ydata()).tolist() == [False, False, True, True, False]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["rex", "linear"]


def test_losses_seed_that_goes_on_alone_is_drawn(drawn):
    figures.draw_losses(LOSSES, "a.svg")
    alone = [line.get_ydata() for line in drawn[0].axes[0].get_lines() if line.get_linewidth() == 0.8]
    assert np.isnan(alone[1]).tolist() == [True, False, False, False, True]  # from the last common point on


def test_losses_of_zero_are_on_a_linear_axis(drawn):
    figures.draw_losses({"rex": (UPDATES, np.zeros((1, 10)))}, "a.svg")
    assert drawn[0].axes[0].get_yscale() == "linear"


def test_losses_same_bytes_twice(tmp_path):
    for name in ("a.svg", "b.svg"):
        figures.draw_losses(LOSSES, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("curves", [{}, {"rex": (UPDATES, np.full((1, 10), math.nan))}])
def test_losses_nothing_to_draw(curves):
    with pytest.raises(ValueError, match=f"must hold a finite loss, got none in {len(curves)} labels"):
        figures.draw_losses(curves, "a.svg")


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
    figures.draw_run(UPDATES, values, values + 1 if momenta else None, values + 2 if losses else None, "a.svg")
    panels = drawn[0].axes
    assert [axes.get_ylabel() for axes in panels] == titles
    offsets = [0.0, 1.0, 2.0] if momenta and losses else [0.0, 1.0 if momenta else 2.0]
    for axes, offset in zip(panels, offsets, strict=True):
        assert axes.get_lines()[0].get_ydata().tolist() == (values + offset).tolist()
        assert axes.get_xlim() == panels[0].get_xlim()


def test_run_same_bytes_twice(tmp_path):
    values = np.linspace(0.5, 0.1, 10)
    for name in ("a.png", "b.png"):
        figures.draw_run(UPDATES, values, values, values, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_run_without_steps():
    with pytest.raises(ValueError, match="steps must hold at least one update, got none"):
        figures.draw_run(np.empty(0), np.empty(0), None, None, "a.svg")


def test_figure_of_another_ending(cells):
    with pytest.raises(ValueError, match=r"path must end in \.svg or \.png, got a\.pdf\.$"):
        figures.draw_error_over_budget(cells, "a.pdf")
    with pytest.raises(ValueError, match=r"path must end in \.svg or \.png, got a\.pdf\.$"):
        figures.draw_schedules({"linear": (PROGRESS, 1.0 - PROGRESS)}, "a.pdf")
    with pytest.raises(ValueError, match=r"path must end in \.svg or \.png, got a\.pdf\.$"):
        figures.draw_losses(LOSSES, "a.pdf")


def test_figure_leaves_matplotlib_as_it_was(cells, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would fail
    with matplotlib.rc_context({"font.size": 5.0}):
        figures.draw_error_over_budget(cells, tmp_path / "a.svg")
        assert matplotlib.rcParams["font.size"] == 5.0


def test_schedules_look_alike_in_both_figures(cells, drawn):
    figures.draw_error_over_budget(cells, "a.svg")
    figures.draw_schedules({"linear": (PROGRESS, PROGRESS), "rex": (PROGRESS, PROGRESS)}, "a.svg")
    colours = [[line.get_color() for line in lines(figure.axes[0])] for figure in drawn]
    assert list(dict.fromkeys(colours[0])) == colours[1]
