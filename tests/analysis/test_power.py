"""How many seeds a difference needs, against printed tables and a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lrsched.analysis.power import seeds_needed


# Paired t test, two-sided 5 %, power 80 %: d = 0.2, 0.5, 0.8 need 199, 34 and 15 (Cohen 1988; G*Power's manual).
@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_of_cohens_effects(effect: float, seeds: int) -> None:
    assert seeds_needed(effect, 1.0) == seeds
    assert seeds_needed(-10 * effect, 10.0) == seeds


def test_seeds_have_80_percent_power_and_one_less_has_not() -> None:
    level, count = 0.05 / 45, seeds_needed(1.0, 1.0, level=0.05 / 45)
    assert count is not None
    generator = np.random.default_rng(0)
    for n, enough in ((count, True), (count - 2, False)):
        draws = generator.normal(1.0, 1.0, (40_000, n))
        power = np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < level)
        assert (power > 0.795) == enough


def test_seeds_are_fewer_where_other_pairs_lend_their_spread() -> None:
    alone = seeds_needed(1.0, 1.0, level=0.001)
    lent = seeds_needed(1.0, 1.0, level=0.001, things=6, prior=math.inf)
    some = seeds_needed(1.0, 1.0, level=0.001, things=6, prior=4.0)
    assert alone is not None
    assert lent is not None
    assert some is not None
    assert lent < some < alone


@pytest.mark.parametrize(
    ("difference", "spread"), [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1e-6, 1.0)]
)
def test_seeds_that_no_one_can_tell(difference: float, spread: float) -> None:
    assert seeds_needed(difference, spread) is None


def test_seeds_of_a_huge_difference_are_two() -> None:
    assert seeds_needed(1e4, 1.0) == 2
