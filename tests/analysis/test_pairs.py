"""All pairs of what was measured with the same seeds, in one family."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from lrsched.analysis import pairs, statistics

# Three schedules, four seeds. The differences of any two have variance 2/3: 1, -1, 0, 0 about their mean.
CALM = np.array([[1.0, 0.0, 4.0], [0.0, 1.0, 4.0], [1.0, 1.0, 5.0], [0.0, 0.0, 3.0]])


def test_two_columns_are_the_paired_t_test() -> None:
    found = pairs.pair_up(CALM[:, :2] + [0.5, 0.0])
    p = stats.ttest_rel(CALM[:, 0] + 0.5, CALM[:, 1]).pvalue
    assert [float(value[0]) for value in found.differ()] == pytest.approx([p, p])


def test_columns_that_spread_alike_are_an_analysis_of_variance() -> None:
    found = pairs.pair_up(CALM)
    # Residuals of the two-way layout: each value less the means of its row and column, plus the grand mean.
    residuals = CALM - CALM.mean(axis=0) - CALM.mean(axis=1, keepdims=True) + CALM.mean()
    assert found.prior == math.inf
    assert found.df.tolist() == [6.0] * 3
    assert found.moderated == pytest.approx(math.sqrt(2 * (residuals**2).sum() / 6))
    t = found.mean / found.moderated * 2  # of four seeds
    assert found.differ()[1] == pytest.approx(2 * stats.t.sf(np.abs(t), 6))


def test_order_is_that_of_combinations() -> None:
    means = CALM.mean(axis=0)
    assert pairs.pair_up(CALM).mean == pytest.approx([a - b for a, b in itertools.combinations(means, 2)])


def test_pair_with_a_noisy_column_keeps_nearly_its_own_spread() -> None:
    noise = 100 * np.random.default_rng(0).normal(size=(10, 1))
    found = pairs.pair_up(np.hstack([np.random.default_rng(1).normal(size=(10, 2)), noise]))
    assert found.prior < 3
    assert found.moderated[0] < 3 * found.sd[0]
    assert found.moderated[1:] == pytest.approx(found.sd[1:], rel=0.25)


def test_moderated_variances_follow_smyth() -> None:
    variances, df = np.array([0.1, 1.0, 10.0, 3.0, 0.2]), np.array([9, 9, 9, 9, 8])
    moderated, prior = pairs.moderate(variances, df)
    logs = np.log(variances) - special.digamma(df / 2) + np.log(df / 2)
    excess = np.var(logs) - np.mean(special.polygamma(1, df / 2))
    half = optimize.brentq(lambda x: special.polygamma(1, x) - excess, 1e-3, 1e3)
    assert prior == pytest.approx(2 * half)
    centre = np.exp(np.mean(logs) + special.digamma(half)) / half
    assert moderated == pytest.approx((prior * centre + df * variances) / (prior + df))


@pytest.mark.parametrize(("x", "trigamma"), [(1.0, math.pi**2 / 6), (0.5, math.pi**2 / 2)])
def test_inverse_of_trigamma_where_it_is_known(x: float, trigamma: float) -> None:
    assert pairs._invert_trigamma(trigamma) == pytest.approx(x)


def test_variances_that_are_the_same_become_their_mean() -> None:
    moderated, prior = pairs.moderate(np.array([1.0, 1.0, 1.0]), np.array([2, 2, 2]))
    assert (moderated.tolist(), prior) == ([1.0, 1.0, 1.0], math.inf)


def test_the_same_runs_under_two_names_lend_nothing() -> None:
    column = CALM[:, [0, 2]]
    twice = pairs.pair_up(CALM[:, [0, 2, 2]])
    once = pairs.pair_up(column)
    assert (twice.things, float(twice.df[0])) == (2, 3.0)
    assert twice.differ()[1][:2] == pytest.approx([once.differ()[1][0]] * 2)
    assert math.isnan(twice.differ()[1][2])


def test_missing_seed_leaves_its_pairs_the_others() -> None:
    column = CALM.copy()
    column[3, 2] = math.nan
    found = pairs.pair_up(column)
    assert found.n.tolist() == [4, 3, 3]
    assert found.df.max() <= 11 - 3 - 4 + 1
    assert found.mean[1] == pytest.approx(np.mean([1.0 - 4, 0 - 4, 1 - 5]))


def test_diverged_run_is_judged_by_signs_and_spreads_to_no_other_pair() -> None:
    column = np.hstack([CALM, np.full((4, 1), 0.5)])
    column[0, 3] = math.inf
    found = pairs.pair_up(column)
    gone = [k for k, pair in enumerate(itertools.combinations(range(4), 2)) if 3 in pair]
    own, moderated = found.differ()
    assert np.isnan(found.sd[gone]).all()
    assert (found.mean[gone] == -math.inf).all()
    assert own[gone].tolist() == moderated[gone].tolist()
    # 4, 5 and 3 against 0.5, and 4 against infinity: of the 16 signs, those with the infinite one and 3.5, 4.5, 2.5
    # against it, as seen, are as far out as any with -10.5 beside it: all 16.
    assert own[gone][2] == 1.0
    assert own[:1] == pytest.approx(pairs.pair_up(CALM).differ()[0][:1])


def test_both_diverged_on_a_seed_is_a_tie_there() -> None:
    column = np.array([[math.inf, math.inf], [0.1, 0.2], [0.1, 0.3]])
    assert pairs.pair_up(column).mean == pytest.approx([(0 - 0.1 - 0.2) / 3])


def test_adjusted_p_is_holms_and_never_below_the_pairs_own() -> None:
    own, moderated = np.array([0.2, 0.001, math.nan]), np.array([0.01, 0.002, math.nan])
    assert pairs.adjust(own, moderated) == pytest.approx([0.2, 0.006, math.nan], nan_ok=True)


def test_below_is_one_sided() -> None:
    found = pairs.pair_up(CALM[:, :2] + [0.5, 0.0])
    for margin in (-1.0, 0.0, 2.0):
        p = stats.ttest_rel(CALM[:, 0] + 0.5 - margin, CALM[:, 1], alternative="less").pvalue
        assert found.below(margin)[0] == pytest.approx([p])


def test_resolution_is_a_floor_of_both_spreads() -> None:
    # Differences of 3, 3 and 4 examples of 359: mean 10/3, whose sd as a count is sqrt(10/3), more than 1/sqrt(3).
    counts = np.array([[8.0, 5.0], [9.0, 6.0], [9.0, 5.0]])
    found = pairs.pair_up(counts / 359, resolution=1 / 359)
    assert found.sd == pytest.approx(math.sqrt(10 / 3) / 359)
    assert found.moderated == pytest.approx(math.sqrt(10 / 3) / 359)
    assert pairs.pair_up(counts / 359).sd == pytest.approx(1 / math.sqrt(3) / 359)


@pytest.mark.parametrize("shift", [0.0, 1 / 359, -1 / 359, 0.25])
@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_told_apart_without_spread_is_not(shift: float, seeds: int) -> None:
    second = {seed: round((5 + seed) / 359, 10) for seed in range(seeds)}
    first = {seed: round((5 + seed) / 359 + shift, 10) for seed in range(seeds)}
    assert pairs.tell_apart(second, {"other": first}) == {"other": False}


def test_told_apart_where_one_value_is_missing() -> None:
    best = {0: 0.10, 1: 0.11, 2: 0.12}
    far = {0: 0.30, 1: 0.311, 2: 0.319}
    found = pairs.tell_apart(best, {"far": far, "one": {1: 0.2}, "tie": best})
    assert found == {"far": True, "one": False, "tie": False}


def test_told_apart_in_one_family_of_all_pairs() -> None:
    # Differences 1, 1.5, 2: t = 1.5 / (0.5 / sqrt(3)) = 3 sqrt(3), so p = 1 - sqrt(27 / 29) = 0.035; three pairs: 0.10.
    best = {0: 0.0, 1: 0.0, 2: 0.0}
    other = {0: 1.0, 1: 1.5, 2: 2.0}
    assert statistics.compare(other, best).p == pytest.approx(1 - math.sqrt(27 / 29))
    assert pairs.tell_apart(best, {"one": other}) == {"one": True}
    assert pairs.tell_apart(best, {"one": other, "two": other}) == {"one": False, "two": False}


def test_told_apart_where_no_seed_is_shared() -> None:
    assert pairs.tell_apart({0: 0.1}, {"other": {1: 0.9}}) == {"other": False}
    assert pairs.tell_apart({0: 0.1}, {}) == {}


def test_alike_schedules_on_few_examples_are_seldom_told_apart() -> None:
    # Six times the same, errors Binomial(359, 0.012) / 359, the best of them against the others: no more than 5 %.
    generator = np.random.default_rng(0)
    for seeds in (2, 3):
        claims = 0
        for _ in range(200):
            errors = [dict(enumerate(generator.binomial(359, 0.012, seeds) / 359)) for _ in range(6)]
            best, *others = sorted(errors, key=lambda row: sum(row.values()))
            claims += any(pairs.tell_apart(best, dict(enumerate(others)), resolution=1 / 359).values())
        assert claims <= 10
