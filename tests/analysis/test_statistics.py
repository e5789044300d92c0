import math

import pytest

from lrsched.analysis import statistics

# Student's t with 2 degrees of freedom has closed forms: quantile(p) = (2p - 1) sqrt(2 / (4p (1 - p))), and the
# two-sided p of t is 1 - t / sqrt(2 + t^2).
T_975_2 = 0.95 * math.sqrt(2 / 0.0975)


def test_mean_and_sd_by_hand():
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]  # squared deviations from 5 sum to 32
    assert statistics.mean(values) == 5.0
    assert statistics.sd(values) == pytest.approx(math.sqrt(32 / 7), rel=1e-12)


def test_mean_of_nothing():
    with pytest.raises(ValueError, match="values must hold at least one number, got none"):
        statistics.mean([])


def test_interval_of_three_by_hand():
    low, high = statistics.interval([1.0, 2.0, 3.0])
    assert (low, high) == (pytest.approx(2 - T_975_2 / math.sqrt(3)), pytest.approx(2 + T_975_2 / math.sqrt(3)))


def test_interval_of_two_by_hand():
    # One degree of freedom is Cauchy's: quantile tan(pi (0.975 - 0.5)); sd of 0 and 2 is sqrt(2), over sqrt(2) is 1.
    low, high = statistics.interval([0.0, 2.0])
    half = math.tan(math.pi * 0.475)
    assert (low, high) == (pytest.approx(1 - half), pytest.approx(1 + half))


def test_spread_of_a_single_value():
    assert (statistics.sd([0.3]), statistics.interval([0.3])) == (None, None)


def test_paired_by_hand():
    # Differences 1, 2, 3 on the shared seeds: t = 2 / (1 / sqrt(3)) = 2 sqrt(3), so p = 1 - sqrt(12 / 14).
    found = statistics.compare({0: 2.0, 1: 4.0, 2: 6.0, 7: 99.0}, {2: 3.0, 1: 2.0, 0: 1.0, 8: -99.0})
    assert (found.mean, found.n) == (2.0, 3)
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-9)
    assert found.interval == (pytest.approx(2 - T_975_2 / math.sqrt(3)), pytest.approx(2 + T_975_2 / math.sqrt(3)))
    assert found.p > 0.05  # the interval, -0.48 to 4.48, holds 0


@pytest.mark.parametrize("shift", [0.0, 1.9, 2.0, 2.5, -2.5, -4.0])
def test_paired_p_agrees_with_its_interval(shift):
    found = statistics.compare({0: 1.0, 1: 2.0, 2: 3.0}, dict.fromkeys(range(3), shift))
    low, high = found.interval
    assert (found.p < 0.05) == (not low <= 0 <= high)


def test_paired_finds_what_unpaired_would_not():
    # Seeds differ by far more than the two schedules, whose differences are 0.010, 0.011, 0.009.
    assert statistics.compare({0: 0.1, 1: 0.3, 2: 0.5}, {0: 0.09, 1: 0.289, 2: 0.491}).p < 0.05


def test_paired_single_shared_seed():
    found = statistics.compare({0: 0.5, 1: 0.5}, {1: 0.1, 2: 0.1})
    assert (found.n, found.interval, found.p) == (1, None, None)


@pytest.mark.parametrize("shift", [0.0, 1 / 359, -1 / 359, 0.25])
@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_paired_without_spread_has_no_answer(shift, seeds):
    # As records hold them, rounded to 10 digits: of 0.0027855153 and 0.0027855154 the spread is rounding alone.
    second = {seed: round((5 + seed) / 359, 10) for seed in range(seeds)}
    first = {seed: round((5 + seed) / 359 + shift, 10) for seed in range(seeds)}
    found = statistics.compare(first, second)
    assert found.mean == pytest.approx(shift, abs=1e-9)
    assert (found.interval, found.p, found.n) == (None, None, seeds)


def test_paired_sd_is_at_least_that_of_the_count_it_is_a_difference_of():
    # Differences of 3, 3 and 4 examples of 359: mean 10/3, whose sd as a count is sqrt(10/3), more than 1/sqrt(3).
    # t = (10/3) / (sqrt(10/3) / sqrt(3)) = sqrt(10), and p = 1 - t / sqrt(2 + t^2) with 2 degrees of freedom.
    first, second = {0: 8 / 359, 1: 9 / 359, 2: 9 / 359}, {0: 5 / 359, 1: 6 / 359, 2: 5 / 359}
    counted = statistics.compare(first, second, resolution=1 / 359)
    assert counted.p == pytest.approx(1 - math.sqrt(10 / 12))
    half = T_975_2 * math.sqrt(10 / 3) / math.sqrt(3)
    assert counted.interval == (pytest.approx((10 / 3 - half) / 359), pytest.approx((10 / 3 + half) / 359))
    # Without: sd 1/sqrt(3), so t = 10.
    assert statistics.compare(first, second).p == pytest.approx(1 - 10 / math.sqrt(102))
    # Seeds that differ by more than the count leaves the test as it is.
    far = {0: 50 / 359, 1: 80 / 359, 2: 110 / 359}
    assert statistics.compare(far, second, resolution=1 / 359) == statistics.compare(far, second)


def test_paired_resolution_above_zero():
    with pytest.raises(ValueError, match=r"resolution must be above 0, got 0\.$"):
        statistics.compare({0: 0.1}, {0: 0.1}, resolution=0.0)


def test_interval_of_ties_is_none():
    assert statistics.interval([0.3, 0.3, 0.3]) is None
    assert statistics.interval([0.3, math.nan]) is None


def test_paired_no_shared_seed():
    with pytest.raises(ValueError, match=r"seeds must be shared to be compared, got \[0\] and \[1\]\.$"):
        statistics.compare({0: 0.1}, {1: 0.1})


def test_holm_by_hand():
    # Sorted: 0.005 * 4 = 0.02; 0.01 * 3 = 0.03; 0.03 * 2 = 0.06; 0.04 * 1 = 0.04, raised to 0.06.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_ends():
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([0.04]) == [0.04]
    assert statistics.holm([]) == []


def test_holm_without_an_answer_leaves_the_others_theirs():
    # 0.01 * 3, 0.04 * 2: one without an answer still counts as a test that was made.
    for gone in (None, math.nan):
        assert statistics.holm([gone, 0.01, 0.04]) == [None, pytest.approx(0.03), pytest.approx(0.08)]
        assert statistics.holm([gone, gone]) == [None, None]
