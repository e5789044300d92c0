import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lrsched.analysis import range_tests as rt

N = 100
RATES = 1e-7 * 1e8 ** (np.arange(N) / N)  # fastai's: k / N, so they stop short of 10
X = np.log10(RATES)
# A loss that falls by a sigmoid around 1e-3 and rises by a square from 0.316 on. It is lowest at point 81, it is four
# times that first at 89, and the sigmoid is steepest in the middle, from point 49 (1e-7 * 10^(8 * 0.49)).
LOSS = 2.5 - 1.5 / (1 + np.exp(-3 * (X + 3))) + np.where(X < -0.5, 0.0, 8 * (X + 0.5) ** 2)


def curves(*rows, quantity="train_loss", rates=None, **fields):
    values = np.array(rows, np.float64)
    rates = np.geomspace(1e-3, 1.0, values.shape[1]) if rates is None else np.array(rates, np.float64)
    return rt.Curves(rates, values, quantity, **{"beta": 0.0, **fields})


def test_ramp_exponential_of_known_values():
    # The notebook of nachiket273/One_Cycle_Policy: 1e-5 to 100 over 98 batches, q = 1e7^(1 / 97).
    rates = rt.ramp(1e-5, 100.0, steps=98)
    assert rates[[0, 1, 24, 48, 97]] == pytest.approx([1e-5, 1.180769e-5, 5.394594e-4, 2.910164e-2, 100], rel=1e-6)


def test_ramp_linear_by_hand():
    assert rt.ramp(0.0, 3.0, steps=4, kind="linear").tolist() == [0.0, 1.0, 2.0, 3.0]


@given(
    st.floats(1e-9, 1.0), st.floats(1.001, 1e6), st.integers(2, 300), st.sampled_from(["exponential", "linear"])
)  # fmt: skip
def test_ramp_ascends_from_its_first_rate_to_its_last(init, ratio, steps, kind):
    rates = rt.ramp(init, init * ratio, steps=steps, kind=kind)
    assert (rates[0], rates[-1], len(rates)) == (init, init * ratio, steps)
    assert (np.diff(rates) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e-3, 1.0, 1, "linear"), "steps must be at least 2, for both ends are included, got 1"),
        ((1e-3, 1.0, 9, "log"), "kind must be one of exponential, linear, got 'log'"),
        ((0.0, 1.0, 9, "exponential"), "rates must have 0 < init_value < end_value, finite, got 0.0 and 1.0"),
        ((-1.0, 1.0, 9, "linear"), "rates must have 0 <= init_value < end_value"),
        ((1.0, 1.0, 9, "linear"), "got 1.0 and 1.0"),
        ((1.0, math.inf, 9, "linear"), "got 1.0 and inf"),
        ((math.nan, 1.0, 9, "linear"), "got nan and 1.0"),
        (
            (1e-200, 1.0, 9, "exponential"),
            "init_value must be at least 1.18e-38, for float32 holds no less, got 1e-200",
        ),
        ((1e-46, 1.0, 9, "linear"), "init_value must be at least 1.18e-38"),
        ((1e-40, 1.0, 9, "exponential"), "init_value must be at least 1.18e-38"),  # XLA takes it for 0
        ((0.0, 1e-46, 9, "linear"), "end_value must be above init_value in float32, got 0.0 and 1e-46"),
        ((1.0, 1.0 + 1e-9, 9, "linear"), "end_value must be above init_value in float32"),
        ((1.0, 1e39, 9, "exponential"), "end_value must be at most 3.4e.38, for float32 holds no more, got 1e.39"),
        ((1.0, 2.0, 10**9, "linear"), "steps must be at most 1,000,000, got 1000000000"),
    ],
)
def test_ramp_of_bad_arguments(arguments, message):
    init, end, steps, kind = arguments
    with pytest.raises(ValueError, match=message):
        rt.ramp(init, end, steps=steps, kind=kind)


def test_smoothed_by_hand():
    # average 1 * 0.02 = 0.02, over 0.02; then (0.98 * 0.02 + 0.04) / (1 - 0.98^2) = 0.0596 / 0.0396 = 1.50505...
    found = rt.smoothed(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert found.tolist() == pytest.approx([1.0, 1.50505051, 2.01346756, 2.52525046, 3.04039827], rel=1e-8)


def test_smoothed_of_a_constant_is_the_constant():
    assert np.allclose(rt.smoothed(np.full((3, 50), 2.3)), 2.3, rtol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_smoothed_is_missing_from_the_first_bad_value_on(bad):
    found = rt.smoothed(np.array([[1.0, bad, 1.0], [1.0, 1.0, 1.0]]), beta=0.5)
    assert np.isnan(found).tolist() == [[False, True, True], [False] * 3]


def test_smoothed_without_memory_is_the_values():
    assert rt.smoothed(LOSS, beta=0.0).tolist() == LOSS.tolist()


@pytest.mark.parametrize("beta", [-0.1, 1.0, math.nan])
def test_smoothed_beta_outside_its_interval(beta):
    with pytest.raises(ValueError, match=rf"beta must be in \[0, 1\), got {beta}\.$"):
        rt.smoothed(LOSS, beta=beta)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.sampled_from([0.0, 0.5, 0.98]))
def test_watch_smooths_as_smoothed_does(values, beta):
    watch = rt.Watch(beta=beta, divergence=1e9)
    found = []
    for value in values:
        watch = watch.after(value)
        found.append(watch.average / (1 - beta**watch.count))
        if watch.stopped:
            break
    assert found == rt.smoothed(np.array(values), beta=beta)[: len(found)].tolist()


def stop(values, **fields):
    """How many losses a watch sees until it has stopped; None if it does not."""
    watch = rt.Watch(**fields)
    for count, value in enumerate(values, start=1):
        watch = watch.after(value)
        if watch.stopped:
            return count
    return None


def test_watch_stops_above_the_factor_and_not_at_it():
    assert stop([2.0, 1.0, 4.0, 4.001, 9.0], beta=0.0) == 4


def test_watch_counts_the_first_loss():
    assert stop([1.0, 5.0, 5.0], beta=0.0) == 2


def test_watch_looks_at_the_smoothed_loss():
    # The second smoothed loss is (0.5 * 0.5 * 1 + 0.5 * 9) / 0.75 = 6.33, above 4; of 5 it is 3.67, then 4.43.
    assert (stop([1.0, 9.0], beta=0.5), stop([1.0, 5.0, 5.0], beta=0.5)) == (2, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_watch_stops_at_a_loss_that_is_not_finite(bad):
    assert stop([1.0, bad, 1.0]) == 2
    assert rt.Watch().after(bad).after(1.0).stopped


def test_watch_of_negative_losses_by_hand():
    # From a best of -2 the limit is -2 + 3 * 2 = 4; fastai's 4 * -2 would have stopped at the first loss.
    assert stop([-1.0, -2.0, 3.9, 4.1], beta=0.0) == 4


def test_watch_from_a_best_of_zero_stops_at_any_rise():
    assert (stop([0.0, 0.0], beta=0.0), stop([0.0, 0.1], beta=0.0)) == (None, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantity": "loss"}, "quantity must be one of train_loss, holdout_loss, holdout_accuracy, got 'loss'"),
        ({"rates": [0.1, 0.1, 0.2]}, "rates must be ascending"),
        ({"rates": [-0.1, 0.1, 0.2]}, "rates must be at least one finite rate, not negative"),
        ({"rates": [0.1, 0.2, math.inf]}, "rates must be at least one finite rate, not negative"),
        ({"beta": 1.0}, r"beta must be in \[0, 1\), got 1.0"),
        ({"divergence": 1.0}, "divergence must be above 1 and finite, got 1.0"),
        ({"skip_start": -1}, "skips must not be negative, got -1 and 0"),
    ],
)
def test_curves_of_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        curves([1.0, 2.0, 3.0], **fields)


def test_curves_of_no_seed():
    with pytest.raises(ValueError, match=r"values must be \[seeds, 2\] with at least one seed, got \(0, 2\)\.$"):
        rt.Curves(np.array([0.1, 0.2]), np.empty((0, 2)), "train_loss")


def test_curves_stop_where_missing_infinite_or_beyond():
    found = curves(
        [1.0, 1.0, math.nan, math.nan, 1.0], [1.0, math.inf, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 4.1, 4.1], [1, 3, 4, 4, 4]
    )
    assert found.stopped == (2, 1, 4, None)
    assert found.blow_ups == (2, 1, 3, None)  # two of three are above 4 at the last, from the fourth on


@pytest.mark.parametrize("spike", [1e-6, 9.0, 1e6])
@pytest.mark.parametrize("place", [0, 1, 2, 30, 58, 59])
@pytest.mark.parametrize("beta", [0.0, 0.9, 0.98])
def test_curves_of_one_noisy_batch_have_not_blown_up(spike, place, beta):
    row = [2.0] * 60
    row[place] = spike
    found = curves(row, beta=beta)
    assert (found.stopped, found.blow_ups) == ((None,), (None,))
    assert rt.verdict(found, 1.0) is None


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("points", [30, 100, 300])
@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_blow_up_of_the_raw_loss_is_found_whatever_the_smoothing(points, kind, beta):
    # The loss is 2 to 2.2, and from three quarters of the ramp on five times that, as it is never before.
    rates = rt.ramp(1e-4, 10.0, steps=points, kind=kind)
    start = 3 * points // 4
    rows = 2.0 + 0.2 * np.random.default_rng(0).random((3, points))
    rows[:, start:] *= 5.0
    found = curves(*rows, rates=rates, beta=beta)
    assert found.blow_ups == (start,) * 3
    assert rt.verdict(found, rates[start - 1]) is None
    assert rt.verdict(found, rates[start]).endswith("where the loss of 3 of 3 seeds blew up")
    assert rt.suggestions(found)["blow_up_tenth"].value == pytest.approx(rates[start] / 10)


def test_curves_with_a_window_of_none_watch_the_smoothed_loss():
    # As version 0.1.0 did: 1, 1, then (0.5^2 * 0.5 + ...) of a loss of 9 that comes once.
    assert curves([1.0, 1.0, 9.0, 1.0], beta=0.5, window=0).stopped == (2,)  # (0.125 + 0.25 + 4.5) / 0.875 = 5.57
    assert curves([1.0, 1.0, 9.0, 1.0], beta=0.5).stopped == (None,)


@pytest.mark.parametrize("points", [1, 20, 30, 100, 300, 1000, 5000])
def test_default_smoothing_remembers_a_twentieth_of_the_ramp(points):
    beta = rt.default_beta(points)
    assert 1 / (1 - beta) == pytest.approx(max(1, points / 20))
    assert rt.default_window(points) % 2 == 1
    assert 3 <= rt.default_window(points) <= max(3, points / 20 + 1)


@pytest.mark.parametrize("points", [30, 100, 300])
def test_default_smoothing_follows_a_fall(points):
    # A loss that falls evenly from 2 to 1: an average that remembers m points lags by m - 1 of them, here by a
    # twentieth of the fall; fastai's 0.98 lags by up to half of it.
    loss = np.linspace(2.0, 1.0, points)
    lag = np.abs(rt.smoothed(loss, beta=rt.default_beta(points)) - loss).max()
    assert lag <= 0.05
    assert np.abs(rt.smoothed(loss) - loss).max() > 0.15


def test_curves_of_accuracy_stop_only_where_missing():
    found = curves([0.1, 0.9, 0.9], [0.1, 0.9, math.nan], quantity="holdout_accuracy")
    assert found.stopped == (None, 2)


@pytest.mark.parametrize(
    ("rule", "rate"),
    [
        (rt.minimum, RATES[81]),
        (rt.minimum_tenth, RATES[81] / 10),
        (rt.blow_up_tenth, RATES[89] / 10),
        (rt.steepest, RATES[49]),
        # The fall is one decreasing run of 82 points that ends at 81, so it starts at -1: -1 + 27 + 13 = 39.
        (rt.valley, RATES[39]),
        (rt.slide, 2.754228703338166e-06),
    ],
)
def test_rule_on_the_known_curve(rule, rate):
    assert rule(RATES, LOSS) == pytest.approx(rate, rel=1e-12)


def test_rules_on_the_known_curve_in_the_decimals_of_the_reference():
    assert RATES[[39, 49, 89]] == pytest.approx([1.31826e-4, 8.31764e-4, 1.31826], rel=1e-5)
    assert RATES[81] == pytest.approx(0.302, rel=1e-3)


@pytest.mark.parametrize("rule", [*rt.RULES.values(), rt.minimum, rt.smith_bounds])
def test_rule_without_points_gives_nothing(rule):
    assert rule(np.empty(0), np.empty(0)) is None


@pytest.mark.parametrize("rule", rt.RULES.values())
@given(values=st.lists(st.floats(0.01, 100), min_size=1, max_size=40))
def test_rule_gives_a_rate_of_the_ramp_or_a_tenth_of_one_or_nothing(rule, values):
    rates = np.geomspace(1e-4, 1.0, len(values)) if len(values) > 1 else np.array([0.1])
    found = rule(rates, np.array(values))
    assert found is None or found in rates or found in rates / 10


def test_blow_up_tenth_never_blown_up():
    assert rt.blow_up_tenth(np.array([0.1, 0.2, 0.4]), np.array([2.0, 1.0, 4.0])) is None


def test_blow_up_tenth_counts_what_is_not_finite():
    assert rt.blow_up_tenth(np.array([0.1, 0.2, 0.4]), np.array([2.0, 1.0, math.nan])) == pytest.approx(0.04)


def test_blow_up_tenth_of_another_factor():
    rates, values = np.array([0.1, 0.2, 0.4]), np.array([1.0, 2.5, 5.0])
    assert rt.blow_up_tenth(rates, values, divergence=2.0) == pytest.approx(0.02)


def test_valley_leaves_points_out_and_counts_them_as_neighbours():
    # 9 8 7 6 5 4 falls over points 0, 1, 3, 5, 7, 9: length 6, end 9, start 3, 3 + 2 + 1 = 6.
    values = np.array([9.0, 8.0, 20.0, 7.0, 20.0, 6.0, 20.0, 5.0, 20.0, 4.0])
    assert rt.valley(np.arange(1.0, 11.0), values) == 7.0


def test_valley_of_a_curve_that_never_falls_is_the_first_rate():
    assert rt.valley(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0])) == 1.0


def test_valley_of_a_curve_that_falls_once_at_its_start_is_the_last_rate():
    # Length 2, end 1, start -1: -1 + 0 + 0, which is the last point.
    assert rt.valley(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 4.0])) == 4.0


def test_slide_needs_more_points_than_its_window():
    values = np.linspace(1.0, 0.0, 16)
    assert rt.slide(np.arange(1.0, 16.0), values[:15]) is None
    assert rt.slide(np.arange(1.0, 17.0), values) == 1.0


def test_slide_stops_where_slopes_agree_and_adjusts():
    # Slopes 0 up to point 10, 1 from there on but for 0.5 at the joint: with a window of 4 its ends differ from left
    # end 10 down to 7 (right end 11); at 6 the right end is the joint, 0.5 apart, and at 5 both are 0.
    values = np.maximum(0.0, np.arange(15.0) - 10)
    found = rt.slide(np.arange(1.0, 16.0), values, lr_diff=4, threshold=0.4, adjust=0.5)
    assert found == 0.5 * 7  # the rate of point 6


def test_smith_bounds_by_hand():
    # From 0.1 at the lowest to 0.6: a tenth of the rise is made at 0.15, 95 % of it at 0.575.
    accuracies = np.array([0.12, 0.1, 0.14, 0.16, 0.4, 0.57, 0.58, 0.6, 0.5, 0.2])
    assert rt.smith_bounds(np.arange(1.0, 11.0), accuracies) == (4.0, 7.0)


def test_smith_bounds_are_reached_at_their_shares():
    assert rt.smith_bounds(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.1, 0.95, 1.0])) == (2.0, 3.0)


def test_smith_bounds_of_an_accuracy_that_only_falls():
    assert rt.smith_bounds(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.3, 0.4])) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_smith_bounds_are_in_order(accuracies):
    found = rt.smith_bounds(np.arange(1.0, len(accuracies) + 1), np.array(accuracies))
    assert found is None or found[0] <= found[1]


def test_cycle_bounds_by_hand():
    found = rt.cycle_bounds(0.6)
    assert found == {
        k: pytest.approx(v) for k, v in {"max/3": 0.2, "max/4": 0.15, "max/10": 0.06, "max/20": 0.03}.items()
    }


@pytest.mark.parametrize("peak", [0.0, -1.0, math.nan, math.inf])
def test_cycle_bounds_of_no_rate(peak):
    with pytest.raises(ValueError, match=f"peak must be above 0 and finite, got {peak}"):
        rt.cycle_bounds(peak)


def test_suggestions_of_one_seed_are_the_rules():
    found = rt.suggestions(curves(LOSS, rates=RATES))
    assert {name: s.value for name, s in found.items()} == pytest.approx(
        {n: r(RATES, LOSS) for n, r in rt.RULES.items()}
    )
    assert list(found) == list(rt.RULES)
    assert [s.interval for s in found.values()] == [None] * 5


def test_suggestions_are_geometric_means_with_the_range_of_the_seeds():
    # Lowest at 0.01, 0.1 and 1, so a tenth of it is 1e-3, 1e-2, 1e-1: logs -3, -2, -1, mean -2.
    rates = [0.01, 0.1, 1.0, 10.0]
    found = rt.suggestions(curves([1, 2, 2, 2], [2, 1, 2, 2], [2, 2, 1, 2], rates=rates))["minimum_tenth"]
    assert found.per_seed == pytest.approx((1e-3, 1e-2, 1e-1))
    assert found.value == pytest.approx(1e-2)
    assert found.interval == (found.per_seed[0], found.per_seed[2])  # Student's t would say 3e-5 to 3
    assert found.n == 3


def test_suggestions_count_only_seeds_that_have_a_rate():
    found = rt.suggestions(curves([2, 1, 1, 1], [2, 1, 1, 5], rates=[0.1, 0.2, 0.4, 0.8]))
    assert (found["blow_up_tenth"].per_seed, found["blow_up_tenth"].n) == ((None, pytest.approx(0.08)), 1)
    assert found["blow_up_tenth"].value == pytest.approx(0.08)
    assert (found["slide"].value, found["slide"].interval, found["slide"].n) == (None, None, 0)


def test_suggestions_leave_out_the_skipped_points():
    # Without the ends the lowest is 3, at the fourth rate; the last finite point is the sixth.
    values = [0.0, 9.0, 4.0, 3.0, 5.0, 1.0, math.nan]
    found = rt.suggestions(curves(values, rates=range(1, 8), skip_start=2, skip_end=1))
    assert found["minimum_tenth"].value == pytest.approx(0.4)


def test_suggestions_see_a_blow_up_in_the_skipped_end():
    values = [9.0, 1.0, 1.0, 1.0, 5.0, math.nan]
    found = rt.suggestions(curves(values, rates=range(1, 7), skip_end=3))
    assert found["blow_up_tenth"].value == pytest.approx(0.5)


def test_suggestions_skip_after_smoothing():
    values = [8.0, 2.0, 2.0, 4.0, 4.0]
    smooth = rt.smoothed(np.array(values), beta=0.5)
    assert int(smooth[1:].argmin()) + 1 == 2  # 8, 4, 2.86, 3.47, 3.74; of the rest alone 2 would be lowest, at once
    found = rt.suggestions(curves(values, rates=range(1, 6), beta=0.5, skip_start=1))
    assert found["minimum_tenth"].value == pytest.approx(0.3)


def test_suggestions_with_nothing_left():
    found = rt.suggestions(curves([1.0, 2.0, math.nan], [math.nan] * 3, skip_start=3))
    assert {(s.value, s.interval, s.n) for s in found.values()} == {(None, None, 0)}


def test_suggestions_from_a_rate_of_zero():
    found = rt.suggestions(curves([1.0, 3.0, 2.0, 5.0], rates=[0.0, 1.0, 2.0, 3.0]))
    assert found["minimum_tenth"].value == pytest.approx(0.2)


def test_suggestions_of_accuracy_are_smiths():
    row = [0.1, 0.1, 0.5, 0.6, 0.3]
    found = rt.suggestions(curves(row, row, [0.5, 0.4, 0.3, 0.2, 0.1], quantity="holdout_accuracy", rates=range(1, 6)))
    assert {name: s.per_seed for name, s in found.items()} == {"smith_min": (3, 3, None), "smith_max": (4, 4, None)}


@given(st.integers(0, 12), st.integers(0, 12), st.lists(st.integers(0, 10), min_size=1, max_size=3))
def test_suggestions_of_any_skip_and_stop_are_within_the_ramp(start, end, stops):
    rows = [[*(2.0 + (k * 7 + s) % 5 for k in range(s)), *[math.nan] * (10 - s)] for s in stops]
    found = rt.suggestions(curves(*rows, skip_start=start, skip_end=end))
    assert all(1e-4 * (1 - 1e-9) <= s.value <= 1 + 1e-9 for s in found.values() if s.value is not None)
    assert all(s.interval[0] <= s.value <= s.interval[1] for s in found.values() if s.interval is not None)


def advised(*rows, **fields):
    found = curves(*rows, **fields)
    return rt.advice(found, rt.suggestions(found))


def test_advice_names_the_rate_its_range_and_the_blow_up():
    # Lowest at 2 and 4, the geometric mean 2.83; the lowest median of three is 2, and 9 is above four times that.
    said = advised([3, 1, 2, 2, 9, 9, 9], [3, 2, 1, 2, 9, 9, 9], rates=[1, 2, 4, 8, 16, 32, 64])
    assert said == (
        "Use 1.6: a tenth of the rate at which the loss blew up, 1.6 to 1.6 over 2 seeds; "
        "the raw loss blew up from 16 on (2 of 2 seeds), and the smoothed loss was lowest at 2.8."
    )
    said = advised([3, 1, 2, 2, 2, 2, 2], [3, 2, 1, 2, 2, 2, 2], rates=[1, 2, 4, 8, 16, 32, 64])
    assert said.startswith("Use 0.28: a tenth of the rate at which the smoothed loss was lowest, 0.2 to 0.4 over 2")


def test_ramp_whose_loss_fell_by_its_noise_alone_suggests_no_rate():
    rng = np.random.default_rng(0)
    flat = [3 + rng.normal(0, 0.3, 30) for _ in range(3)]
    falls = [row - np.linspace(0, 2, 30) for row in flat]
    rates = np.geomspace(1e-5, 1, 30)
    assert "the loss fell by no more than its noise" in advised(*flat, rates=rates)
    assert rt.verdict(curves(*flat, rates=rates), 0.5) is not None
    assert advised(*falls, rates=rates).startswith("Use ")
    assert rt.verdict(curves(*falls, rates=rates), 0.5) is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[3, 1, 2, 2, 2]], "of one seed; the loss did not blow up by 10, where the ramp ended. Take three seeds to"),
        ([[3, 1, 2, 2, 2], [3, 2, 2, 1, 2]], "The seeds differ by a factor of 1e+02: make the ramp longer"),
        ([[3, 2, 2, 2, 1], [3, 2, 2, 2, 1]], "The loss was still falling at the end: end at a higher rate."),
        ([[1, 2, 2, 2, 2], [3, 2, 1, 2, 2]], "The loss never fell in some seed: begin at a lower rate"),
    ],
)
def test_advice_says_what_is_doubtful(rows, said):
    assert said in advised(*rows, rates=[1e-3, 1e-2, 1e-1, 1.0, 10.0])


def test_advice_of_accuracies_is_smiths_cycle():
    row = [0.1, 0.1, 0.5, 0.6, 0.3]
    said = advised(row, row, quantity="holdout_accuracy", rates=range(1, 6))
    assert said.startswith("Use cycles from 3 to 4: where the accuracy starts to rise and where it slows")
    assert advised([0.5, 0.4], quantity="holdout_accuracy") == "No rates are suggested: the accuracy never rose."


def test_advice_with_nothing_left():
    assert advised([1.0, 2.0, math.nan], skip_start=3).startswith("No rate is suggested")


BLOWN = curves([1, 1, 1, 5, 5], [1, 1, 1, 1, math.nan], [1, 1, 1, 1, 1], rates=[0.1, 0.3, 0.6, 1.2, 2.4])


@pytest.mark.parametrize(
    ("rate", "line"),
    [
        (1.1, None),
        (0.01, None),
        (1.2, "rate 1.2 is at or above 1.2, where the loss of 1 of 3 seeds blew up"),
        (3.0, "rate 3 is at or above 1.2, where the loss of 2 of 3 seeds blew up"),
    ],
)
def test_verdict_of_a_test_that_blew_up(rate, line):
    assert rt.verdict(BLOWN, rate) == line


@pytest.mark.parametrize(("top", "warned"), [(4.9, False), (5.1, True), (7.9, True)])
def test_verdict_of_a_loss_half_way_to_a_blow_up(top, warned):
    # From 2 the blow-up begins at 8, and half way to it is 2 + 6 / 2 = 5.
    found = curves([3, 2, 2, 2, top, top, top], [3, 2, 2, 2, top, top, 2], rates=[1, 2, 4, 8, 16, 32, 64])
    said = (
        "rate 40 is above 4, at which the loss was lowest, and where the loss had risen more than half way to a blow-up"
    )
    assert rt.verdict(found, 40.0) == (said if warned else None)
    assert rt.verdict(found, 10.0) is None


def test_verdict_of_a_rate_beyond_the_ramp():
    fine = curves([1.0, 1.0], rates=[0.1, 0.8])
    assert rt.verdict(fine, 0.8) is None
    assert rt.verdict(fine, 0.9) == "rate 0.9 was not tested: the ramp ended at 0.8"


def test_table_by_hand():
    found = {
        "valley": rt.Suggestion("valley", 0.0124, (0.01, 0.0154), (0.01, 0.0154, None)),
        "slide": rt.Suggestion("slide", None, None, (None, None, None)),
    }
    assert rt.table(found) == (
        "| rule | rate | lowest to highest | n | many cycles from | one cycle from | source |\n"
        "| --- | ---: | --- | --- | --- | --- | --- |\n"
        "| `valley` | 0.0124 | 0.01 to 0.0154 | 2 of 3 | 0.0031 to 0.0041 | 0.00062 to 0.0012 | fastai `valley` |\n"
        "| `slide` | - | - | 0 of 3 | - | - | fastai `slide` |\n"
    )


def test_table_has_a_source_for_every_rule():
    found = rt.suggestions(curves(LOSS)) | rt.suggestions(curves(LOSS / 10, quantity="holdout_accuracy"))
    assert len(found) == 7
    assert not any(line.endswith("| - |") for line in rt.table(found).splitlines())


GRID = {0.1: {0: 0.10, 1: 0.12, 2: 0.14}, 0.3: {0: 0.08, 1: 0.09, 2: 0.10}, 1.0: {0: 0.01, 1: 0.01, 2: None}}


def test_regret_by_hand():
    # Best is 0.3 with 0.09; 1.0 would be lower, but a run diverged. Differences 0.02, 0.03, 0.04: mean 0.03, sd 0.01.
    suggested = {"valley": (0.1, GRID[0.1]), "slide": (0.9, {0: None, 1: 0.2, 2: None})}
    valley, slide = rt.regret(GRID, suggested)
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert (valley.rule, valley.rate, valley.n, valley.best_rate) == ("valley", 0.1, 3, 0.3)
    assert (valley.error, valley.regret, valley.best_error) == pytest.approx((0.12, 0.03, 0.09))
    assert valley.interval == pytest.approx((0.03 - half, 0.03 + half))
    assert valley.verdict == "separated"
    assert (slide.verdict, slide.error, slide.regret, slide.interval) == ("diverged 2/3", None, None, None)


def test_regret_is_tested_in_one_family_with_all_rates():
    # Against 0.3 the rate 0.1 alone has p = 0.035 (differences 0.02, 0.03, 0.04); with another like it that is doubled.
    family = {**GRID, 0.05: GRID[0.1]}
    assert rt.regret(GRID, {"valley": (0.1, GRID[0.1])})[0].verdict == "separated"
    assert rt.regret(family, {"valley": (0.1, GRID[0.1])})[0].verdict == "not separated"


def test_regret_of_a_rule_that_beats_the_grid():
    best, other = rt.regret(GRID, {"valley": (0.2, {0: 0.07, 1: 0.08, 2: 0.09}), "slide": (0.3, GRID[0.3])})
    assert (best.best_rate, best.regret, best.verdict) == (0.2, 0.0, "best")
    assert (other.best_rate, other.regret) == (0.2, pytest.approx(0.01))


def test_regret_compares_seeds_that_all_rates_share():
    # On seeds 0 and 1 the grid's means are 0.11 and 0.085.
    (row,) = rt.regret(GRID, {"valley": (0.2, {0: 0.1, 1: 0.1, 7: 0.0})})
    assert (row.n, row.best_rate, row.error, row.regret) == (2, 0.3, 0.1, pytest.approx(0.015))


def test_regret_without_a_shared_seed():
    with pytest.raises(ValueError, match="seeds must be shared by all rates, got none that is, of 4 rates"):
        rt.regret(GRID, {"valley": (0.2, {7: 0.1})})


def test_regret_of_diverged_runs_alone():
    with pytest.raises(ValueError, match="rates must hold one without a diverged run, got 1 that have some"):
        rt.regret({0.1: {0: None}}, {})


def test_regret_table_by_hand():
    rows = [
        rt.Regret("valley", 0.1, 0.12, 0.03, (0.005, 0.055), "separated", 3, 0.3, 0.09),
        rt.Regret("slide", 0.9, None, None, None, "diverged 2/3", 3, 0.3, 0.09),
    ]
    lines = rt.regret_table(rows).splitlines()
    assert lines[0] == "| rule | rate | error, % | regret, points | 95 % interval | verdict |"
    assert lines[2:4] == [
        "| `valley` | 0.1 | 12.00 | 3.00 | 0.50 to 5.50 | separated |",
        "| `slide` | 0.9 | - | - | - | diverged 2/3 |",
    ]
    assert lines[5].startswith("Best rate tried: 0.3, 9.00 %. Mean error of 3 seeds; ")


def test_regret_table_without_rows():
    with pytest.raises(ValueError, match="rows must hold at least one, got none"):
        rt.regret_table([])
