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
    found = statistics.paired({0: 2.0, 1: 4.0, 2: 6.0, 7: 99.0}, {2: 3.0, 1: 2.0, 0: 1.0, 8: -99.0})
    assert (found.mean, found.n) == (2.0, 3)
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-9)
    assert found.interval == (pytest.approx(2 - T_975_2 / math.sqrt(3)), pytest.approx(2 + T_975_2 / math.sqrt(3)))
    assert found.p > 0.05  # the interval, -0.48 to 4.48, holds 0


@pytest.mark.parametrize("shift", [0.0, 1.9, 2.0, 2.5, -2.5, -4.0])
def test_paired_p_agrees_with_its_interval(shift):
    found = statistics.paired({0: 1.0, 1: 2.0, 2: 3.0}, dict.fromkeys(range(3), shift))
    low, high = found.interval
    assert (found.p < 0.05) == (not low <= 0 <= high)


def test_paired_finds_what_unpaired_would_not():
    # Seeds differ by far more than the two schedules, whose differences are 0.010, 0.011, 0.009.
    assert statistics.paired({0: 0.1, 1: 0.3, 2: 0.5}, {0: 0.09, 1: 0.289, 2: 0.491}).p < 0.05


def test_paired_single_shared_seed():
    found = statistics.paired({0: 0.5, 1: 0.5}, {1: 0.1, 2: 0.1})
    assert (found.n, found.interval, found.p) == (1, None, 1.0)


def test_paired_without_spread():
    same, apart = {0: 0.5, 1: 0.25}, {0: 0.25, 1: 0.0}
    assert statistics.paired(same, same).p == 1.0
    assert statistics.paired(same, apart).p == 0.0


def test_paired_no_shared_seed():
    with pytest.raises(ValueError, match=r"seeds must be shared to be compared, got \[0\] and \[1\]\.$"):
        statistics.paired({0: 0.1}, {1: 0.1})


def test_holm_by_hand():
    # Sorted: 0.005 * 4 = 0.02; 0.01 * 3 = 0.03; 0.03 * 2 = 0.06; 0.04 * 1 = 0.04, raised to 0.06.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_ends():
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([0.04]) == [0.04]
    assert statistics.holm([]) == []


def test_separated_is_one_holm_family():
    # Differences 1, 1.5, 2: t = 1.5 / (0.5 / sqrt(3)) = 3 sqrt(3), so p = 1 - sqrt(27 / 29) = 0.035; doubled, 0.070.
    best = {0: 0.0, 1: 0.0, 2: 0.0}
    other = {0: 1.0, 1: 1.5, 2: 2.0}
    assert statistics.paired(other, best).p == pytest.approx(1 - math.sqrt(27 / 29))
    assert statistics.separated(best, {"one": other}) == {"one": True}
    assert statistics.separated(best, {"one": other, "two": other}) == {"one": False, "two": False}


def test_separated_where_no_seed_is_shared():
    assert statistics.separated({0: 0.1}, {"other": {1: 0.9}}) == {"other": False}
    assert statistics.separated({0: 0.1}, {}) == {}
