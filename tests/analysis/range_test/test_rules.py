"""Smoothing, and the rules that read a rate off one curve."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_curves import LOSS, RATES

from lrsched.analysis.range_test import rules


def test_smooth_by_hand() -> None:
    # average 1 * 0.02 = 0.02, over 0.02; then (0.98 * 0.02 + 0.04) / (1 - 0.98^2) = 0.0596 / 0.0396 = 1.50505...
    found = rules.smooth(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), beta=0.98)
    assert found.tolist() == pytest.approx([1.0, 1.50505051, 2.01346756, 2.52525046, 3.04039827], rel=1e-8)


def test_smooth_of_a_constant_is_the_constant() -> None:
    assert np.allclose(rules.smooth(np.full((3, 50), 2.3), beta=0.98), 2.3, rtol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_smooth_is_missing_from_the_first_bad_value_on(bad: float) -> None:
    found = rules.smooth(np.array([[1.0, bad, 1.0], [1.0, 1.0, 1.0]]), beta=0.5)
    assert np.isnan(found).tolist() == [[False, True, True], [False] * 3]


def test_smooth_without_memory_is_the_values() -> None:
    assert rules.smooth(LOSS, beta=0.0).tolist() == LOSS.tolist()


@pytest.mark.parametrize(
    ("rule", "rate"),
    [
        (rules.minimum, RATES[81]),
        (rules.minimum_tenth, RATES[81] / 10),
        (rules.blow_up_tenth, RATES[89] / 10),
        (rules.steepest, RATES[49]),
        # The fall is one decreasing run of 82 points that ends at 81, so it starts at -1: -1 + 27 + 13 = 39.
        (rules.valley, RATES[39]),
        # Seen from the end, the first window of 15 points whose two slopes are within 0.005 begins at 17.
        (rules.slide, RATES[18]),
    ],
)
def test_rule_on_the_known_curve(rule: Any, rate: Any) -> None:
    assert rule(RATES, LOSS) == pytest.approx(rate, rel=1e-12)


def test_rules_on_the_known_curve_in_the_decimals_of_the_reference() -> None:
    assert RATES[[39, 49, 89]] == pytest.approx([1.31826e-4, 8.31764e-4, 1.31826], rel=1e-5)
    assert RATES[81] == pytest.approx(0.302, rel=1e-3)


@pytest.mark.parametrize("rule", [*rules.RULES.values(), rules.minimum, rules.smith_bounds])
def test_rule_without_points_gives_nothing(rule: Any) -> None:
    assert rule(np.empty(0), np.empty(0)) is None


@pytest.mark.slow
@pytest.mark.parametrize("rule", rules.RULES.values())
@given(values=st.lists(st.floats(0.01, 100), min_size=1, max_size=40))
def test_rule_gives_a_rate_of_the_ramp_or_a_tenth_of_one_or_nothing(rule: Any, values: list[float]) -> None:
    rates = np.geomspace(1e-4, 1.0, len(values)) if len(values) > 1 else np.array([0.1])
    found = rule(rates, np.array(values))
    assert found is None or found in rates or found in rates / 10


def test_blow_up_tenth_never_blown_up() -> None:
    assert rules.blow_up_tenth(np.array([0.1, 0.2, 0.4]), np.array([2.0, 1.0, 4.0])) is None


def test_blow_up_tenth_counts_what_is_not_finite() -> None:
    assert rules.blow_up_tenth(np.array([0.1, 0.2, 0.4]), np.array([2.0, 1.0, math.nan])) == pytest.approx(0.04)


def test_blow_up_tenth_of_another_factor() -> None:
    rates, values = np.array([0.1, 0.2, 0.4]), np.array([1.0, 2.5, 5.0])
    assert rules.blow_up_tenth(rates, values, divergence=2.0) == pytest.approx(0.02)


def test_valley_leaves_points_out_and_counts_them_as_neighbours() -> None:
    # 9 8 7 6 5 4 falls over points 0, 1, 3, 5, 7, 9: length 6, end 9, start 3, 3 + 2 + 1 = 6.
    values = np.array([9.0, 8.0, 20.0, 7.0, 20.0, 6.0, 20.0, 5.0, 20.0, 4.0])
    assert rules.valley(np.arange(1.0, 11.0), values) == 7.0


def test_valley_of_a_curve_that_never_falls_is_the_first_rate() -> None:
    assert rules.valley(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0])) == 1.0


def test_valley_of_a_curve_that_falls_once_at_its_start_is_the_last_rate() -> None:
    # Length 2, end 1, start -1: -1 + 0 + 0, which is the last point.
    assert rules.valley(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 4.0])) == 4.0


def test_slide_needs_more_points_than_its_window() -> None:
    values = np.linspace(1.0, 0.0, 16)
    assert rules.slide(np.arange(1.0, 16.0), values[:15]) is None
    assert rules.slide(np.arange(1.0, 17.0), values) == 1.0


def test_slide_stops_where_slopes_agree_and_adjusts() -> None:
    # Slopes 0 up to point 10, 1 from there on but for 0.5 at the joint: with a window of 4 its ends differ from left
    # end 10 down to 7 (right end 11); at 6 the right end is the joint, 0.5 apart, and at 5 both are 0.
    values = np.maximum(0.0, np.arange(15.0) - 10)
    found = rules.slide(np.arange(1.0, 16.0), values, lr_diff=4, threshold=0.4, adjust=0.5)
    assert found == 0.5 * 7  # the rate of point 6


def test_smith_bounds_by_hand() -> None:
    # From 0.1 at the lowest to 0.6: a tenth of the rise is made at 0.15, 95 % of it at 0.575.
    accuracies = np.array([0.12, 0.1, 0.14, 0.16, 0.4, 0.57, 0.58, 0.6, 0.5, 0.2])
    assert rules.smith_bounds(np.arange(1.0, 11.0), accuracies) == (4.0, 7.0)


def test_smith_bounds_are_reached_at_their_shares() -> None:
    assert rules.smith_bounds(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.1, 0.95, 1.0])) == (2.0, 3.0)


def test_smith_bounds_of_an_accuracy_that_only_falls() -> None:
    assert rules.smith_bounds(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.3, 0.4])) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_smith_bounds_are_in_order(accuracies: list[float]) -> None:
    found = rules.smith_bounds(np.arange(1.0, len(accuracies) + 1), np.array(accuracies))
    assert found is None or found[0] <= found[1]
