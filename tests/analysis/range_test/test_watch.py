"""When a range test is over."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsched.analysis.range_test import rules
from lrsched.analysis.range_test.watch import Watch, default_beta, default_window


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.sampled_from([0.0, 0.5, 0.98]))
def test_watch_smooths_as_smoothed_does(values: list[float], beta: float) -> None:
    watch = Watch(beta, 1e9, 0)
    found = []
    for value in values:
        watch = watch.after(value)
        found.append(watch.average / (1 - beta**watch.count))
        if watch.stopped:
            break
    assert found == rules.smooth(np.array(values), beta=beta)[: len(found)].tolist()


def stop(values: list[float], *, beta: float = 0.98, window: int = 0) -> int | None:
    """How many losses a watch sees until it has stopped; None if it does not."""
    watch = Watch(beta, 4.0, window)
    for count, value in enumerate(values, start=1):
        watch = watch.after(value)
        if watch.stopped:
            return count
    return None


def test_watch_stops_above_the_factor_and_not_at_it() -> None:
    assert stop([2.0, 1.0, 4.0, 4.001, 9.0], beta=0.0) == 4


def test_watch_counts_the_first_loss() -> None:
    assert stop([1.0, 5.0, 5.0], beta=0.0) == 2


def test_watch_looks_at_the_smoothed_loss() -> None:
    # The second smoothed loss is (0.5 * 0.5 * 1 + 0.5 * 9) / 0.75 = 6.33, above 4; of 5 it is 3.67, then 4.43.
    assert (stop([1.0, 9.0], beta=0.5), stop([1.0, 5.0, 5.0], beta=0.5)) == (2, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_watch_stops_at_a_loss_that_is_not_finite(bad: float) -> None:
    assert stop([1.0, bad, 1.0]) == 2
    assert Watch(0.98, 4.0, 0).after(bad).after(1.0).stopped


def test_watch_of_negative_losses_by_hand() -> None:
    # From a best of -2 the limit is -2 + 3 * 2 = 4; fastai's 4 * -2 would have stopped at the first loss.
    assert stop([-1.0, -2.0, 3.9, 4.1], beta=0.0) == 4


def test_watch_from_a_best_of_zero_stops_at_any_rise() -> None:
    assert (stop([0.0, 0.0], beta=0.0), stop([0.0, 0.1], beta=0.0)) == (None, 2)


@pytest.mark.parametrize("points", [1, 20, 30, 100, 300, 1000, 5000])
def test_default_smoothing_remembers_a_twentieth_of_the_ramp(points: int) -> None:
    beta = default_beta(points)
    assert 1 / (1 - beta) == pytest.approx(max(1, points / 20))
    assert default_window(points) % 2 == 1
    assert 3 <= default_window(points) <= max(3, points / 20 + 1)


@pytest.mark.parametrize("points", [30, 100, 300])
def test_default_smoothing_follows_a_fall(points: int) -> None:
    # A loss that falls evenly from 2 to 1: an average that remembers m points lags by m - 1 of them, here by a
    # twentieth of the fall; fastai's 0.98 lags by up to half of it.
    loss = np.linspace(2.0, 1.0, points)
    lag = np.abs(rules.smooth(loss, beta=default_beta(points)) - loss).max()
    assert lag <= 0.05
    assert np.abs(rules.smooth(loss, beta=0.98) - loss).max() > 0.15
