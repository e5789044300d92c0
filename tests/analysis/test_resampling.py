"""Statistics by resampling, against what can be counted by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from lrsched.analysis import resampling


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # all or none
        ([1.0, 2.0, -3.0], 1.0),  # a sum of 0
        ([-1.0, 2.0, 4.0], 4 / 8),  # |5|: 1 2 4, -1 2 4, and their mirror images
        ([5.0], 1.0),
        ([0.0, 0.0], 1.0),
        ([math.inf, 1.0, 2.0], 2 / 8),
        ([math.inf, math.inf, -9.0], 4 / 8),  # the two infinite ones decide
    ],
)
def test_sign_flips_counted_by_hand(differences: list[float], p: float) -> None:
    assert resampling.flip_signs(np.array(differences)) == pytest.approx(p)


def test_sign_flips_are_all_tried_up_to_16() -> None:
    gaps = np.random.default_rng(0).normal(0.5, 1.0, 16)
    signs = np.array(list(itertools.product((1, -1), repeat=15)))  # and their mirror images
    seen = abs(gaps.sum())
    share = np.mean(np.abs(gaps[0] + signs @ gaps[1:]) >= seen - 1e-12)
    assert resampling.flip_signs(gaps) == pytest.approx(share)


def test_sign_flips_of_more_are_drawn_and_always_the_same() -> None:
    gaps = np.random.default_rng(1).normal(0.6, 1.0, 25)
    p = resampling.flip_signs(gaps)
    assert p == resampling.flip_signs(gaps)
    draws = np.random.default_rng(2).choice([-1, 1], (20_000, 25)) @ gaps
    assert p == pytest.approx(np.mean(np.abs(draws) >= abs(gaps.sum())), abs=0.005)


def test_subtract_pairs_what_both_have_and_ties_what_both_lost() -> None:
    first = np.array([1.0, math.nan, math.inf, math.inf, 2.0])
    second = np.array([0.5, 1.0, math.inf, 1.0, math.inf])
    assert resampling.subtract(first, second).tolist() == [0.5, 0.0, math.inf, -math.inf]


def test_bootstrap_of_two_is_their_range() -> None:
    assert resampling.bootstrap([1.0, 3.0]) == (1.0, 3.0, "BCa")


def test_bootstrap_is_that_of_a_normal_mean_where_there_are_many() -> None:
    values = np.random.default_rng(0).normal(5.0, 1.0, 400)
    found = resampling.bootstrap(values.tolist())
    assert found is not None
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=0.01),
        pytest.approx(values.mean() + half, abs=0.01),
    )
    assert found == resampling.bootstrap(values.tolist())


def test_bootstrap_leans_to_the_long_tail() -> None:
    found = resampling.bootstrap([0.0, 0.1, 0.2, 0.1, 0.0, 0.3, 0.1, 3.0])
    assert found is not None
    assert found.high - 0.475 > 0.475 - found.low > 0


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3, 0.3]])
def test_bootstrap_of_one_value_is_none(values: list[float]) -> None:
    assert resampling.bootstrap(values) is None


def test_improvement_by_hand() -> None:
    # 0.1 beats 0.2, 0.3 and the diverged one; 0.2 ties once and beats two: (3 + 2.5) / 6.
    assert resampling.improvement([0.1, 0.2], [0.2, 0.3, math.inf]) == pytest.approx(5.5 / 6)
    assert resampling.improvement([math.inf], [math.inf, 0.1]) == 0.25
