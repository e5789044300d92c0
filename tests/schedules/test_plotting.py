"""`plot` of a schedule, a plan and a range test, without a screen."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

import lrsched as ls


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def test_schedule_draws_its_rates_on_new_axes_or_on_given_ones() -> None:
    axes = ls.rex(0.1, total_steps=50).plot(label="REX")
    again = ls.linear(0.2, total_steps=80).plot(axes, color="red")
    assert again is axes
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_xdata(), range(50))
    np.testing.assert_array_equal(first.get_ydata(), ls.rex(0.1, total_steps=50).table())
    assert (first.get_label(), second.get_color(), len(second.get_xdata())) == ("REX", "red", 80)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("update", "learning rate")


def test_long_budget_is_drawn_in_so_many_points_from_the_first_to_the_last() -> None:
    (line,) = ls.cosine(0.1, total_steps=1_000_000).plot().get_lines()
    assert len(line.get_xdata()) == 10_000
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 999_999)


def test_plan_draws_cycle_ends_and_a_momentum_that_changes() -> None:
    axes = ls.plan("sgdr:first_cycle=10st", 70, peak_value=0.1).plot()
    assert [line.get_xdata()[0] for line in axes.get_lines()[1:]] == [10, 30]
    assert len(axes.get_figure().get_axes()) == 1  # a constant momentum is not drawn
    _, momentum = ls.plan("onecycle", 70, peak_value=0.1).plot().get_figure().get_axes()
    assert momentum.get_ylabel() == "momentum"
    assert momentum.get_lines()[0].get_ydata().max() == pytest.approx(0.95)


def test_range_test_draws_its_curves_and_a_line_for_each_suggestion() -> None:
    found = ls.range_test(lambda x, _, rate: (x - rate * x, 0.5 * x * x), 1.0, [None] * 100, init_value=1e-3)
    axes = found.plot()
    named = {name: one.value for name, one in found.suggestions.items() if one.value is not None}
    drawn = {line.get_label().split()[0]: line.get_xdata()[0] for line in axes.get_lines()}
    assert named
    assert {name: drawn[name] for name in named} == named
    assert axes.get_xscale() == "log"


def test_missing_matplotlib_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"plot needs matplotlib.*pip install 'lrsched\[train\]'") as caught:
        ls.rex(0.1, total_steps=5).plot()
    assert "\n" not in str(caught.value)
