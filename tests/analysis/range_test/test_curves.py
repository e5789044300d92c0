"""The curves of a range test, and what the rules suggest for them."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_curves import LOSS, RATES, curves

from lrsched.analysis.range_test import rules
from lrsched.analysis.range_test.advice import warn_about
from lrsched.analysis.range_test.curves import Curves, suggest
from lrsched.analysis.range_test.ramp import make_ramp


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rates": [0.1, 0.1, 0.2]}, "rates must be ascending"),
        ({"rates": [-0.1, 0.1, 0.2]}, "rates must be at least one finite rate, not negative"),
        ({"rates": [0.1, 0.2, math.inf]}, "rates must be at least one finite rate, not negative"),
    ],
)
def test_curves_of_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curves([1.0, 2.0, 3.0], **fields)


def test_curves_of_no_seed() -> None:
    with pytest.raises(ValueError, match=r"values must be \[seeds, 2\] with at least one seed, got \(0, 2\)\.$"):
        Curves(np.array([0.1, 0.2]), np.empty((0, 2)))


def test_curves_stop_where_missing_infinite_or_beyond() -> None:
    found = curves(
        [1.0, 1.0, math.nan, math.nan, 1.0], [1.0, math.inf, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 4.1, 4.1], [1, 3, 4, 4, 4]
    )
    assert found.stopped == (2, 1, 4, None)
    assert found.blow_ups == (2, 1, 3, None)  # two of three are above 4 at the last, from the fourth on


@pytest.mark.parametrize("spike", [1e-6, 9.0, 1e6])
@pytest.mark.parametrize("place", [0, 1, 2, 30, 58, 59])
@pytest.mark.parametrize("beta", [0.0, 0.9, 0.98])
def test_curves_of_one_noisy_batch_have_not_blown_up(spike: float, place: int, beta: float) -> None:
    row = [2.0] * 60
    row[place] = spike
    found = curves(row, beta=beta)
    assert (found.stopped, found.blow_ups) == ((None,), (None,))
    assert warn_about(found, 1.0) is None


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("points", [30, 100, 300])
@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_blow_up_of_the_raw_loss_is_found_whatever_the_smoothing(points: int, kind: str, beta: float) -> None:
    # The loss is 2 to 2.2, and from three quarters of the ramp on five times that, as it is never before.
    rates = make_ramp(1e-4, 10.0, steps=points, kind=kind)
    start = 3 * points // 4
    rows = 2.0 + 0.2 * np.random.default_rng(0).random((3, points))
    rows[:, start:] *= 5.0
    found = curves(*rows, rates=rates, beta=beta)
    assert found.blow_ups == (start,) * 3
    assert warn_about(found, rates[start - 1]) is None
    assert warn_about(found, rates[start]).endswith("where the loss of 3 of 3 seeds blew up")
    assert suggest(found)["blow_up_tenth"].value == pytest.approx(rates[start] / 10)


def test_curves_with_a_window_of_none_watch_the_smoothed_loss() -> None:
    # As version 0.1.0 did: 1, 1, then (0.5^2 * 0.5 + ...) of a loss of 9 that comes once.
    assert curves([1.0, 1.0, 9.0, 1.0], beta=0.5, window=0).stopped == (2,)  # (0.125 + 0.25 + 4.5) / 0.875 = 5.57
    assert curves([1.0, 1.0, 9.0, 1.0], beta=0.5).stopped == (None,)


def test_curves_of_accuracy_stop_only_where_missing() -> None:
    found = curves([0.1, 0.9, 0.9], [0.1, 0.9, math.nan], quantity="holdout_accuracy")
    assert found.stopped == (None, 2)


def test_suggestions_of_one_seed_are_the_rules() -> None:
    found = suggest(curves(LOSS, rates=RATES))
    assert {name: s.value for name, s in found.items()} == pytest.approx(
        {n: r(RATES, LOSS) for n, r in rules.RULES.items()}
    )
    assert list(found) == list(rules.RULES)
    assert [s.interval for s in found.values()] == [None] * 5


def test_suggestions_are_geometric_means_with_the_range_of_the_seeds() -> None:
    # Lowest at 0.01, 0.1 and 1, so a tenth of it is 1e-3, 1e-2, 1e-1: logs -3, -2, -1, mean -2.
    rates = [0.01, 0.1, 1.0, 10.0]
    found = suggest(curves([1, 2, 2, 2], [2, 1, 2, 2], [2, 2, 1, 2], rates=rates))["minimum_tenth"]
    assert found.per_seed == pytest.approx((1e-3, 1e-2, 1e-1))
    assert found.value == pytest.approx(1e-2)
    assert found.interval == (found.per_seed[0], found.per_seed[2])  # Student's t would say 3e-5 to 3
    assert found.n == 3


def test_suggestions_count_only_seeds_that_have_a_rate() -> None:
    found = suggest(curves([2, 1, 1, 1], [2, 1, 1, 5], rates=[0.1, 0.2, 0.4, 0.8]))
    assert (found["blow_up_tenth"].per_seed, found["blow_up_tenth"].n) == ((None, pytest.approx(0.08)), 1)
    assert found["blow_up_tenth"].value == pytest.approx(0.08)
    assert (found["slide"].value, found["slide"].interval, found["slide"].n) == (None, None, 0)


def test_suggestions_leave_out_the_skipped_points() -> None:
    # Without the ends the lowest is 3, at the fourth rate; the last finite point is the sixth.
    values = [0.0, 9.0, 4.0, 3.0, 5.0, 1.0, math.nan]
    found = suggest(curves(values, rates=range(1, 8), skip_start=2, skip_end=1))
    assert found["minimum_tenth"].value == pytest.approx(0.4)


def test_suggestions_see_a_blow_up_in_the_skipped_end() -> None:
    values = [9.0, 1.0, 1.0, 1.0, 5.0, math.nan]
    found = suggest(curves(values, rates=range(1, 7), skip_end=3))
    assert found["blow_up_tenth"].value == pytest.approx(0.5)


def test_suggestions_skip_after_smoothing() -> None:
    values = [8.0, 2.0, 2.0, 4.0, 4.0]
    smooth = rules.smooth(np.array(values), beta=0.5)
    assert int(smooth[1:].argmin()) + 1 == 2  # 8, 4, 2.86, 3.47, 3.74; of the rest alone 2 would be lowest, at once
    found = suggest(curves(values, rates=range(1, 6), beta=0.5, skip_start=1))
    assert found["minimum_tenth"].value == pytest.approx(0.3)


def test_suggestions_with_nothing_left() -> None:
    found = suggest(curves([1.0, 2.0, math.nan], [math.nan] * 3, skip_start=3))
    assert {(s.value, s.interval, s.n) for s in found.values()} == {(None, None, 0)}


def test_suggestions_from_a_rate_of_zero() -> None:
    found = suggest(curves([1.0, 3.0, 2.0, 5.0], rates=[0.0, 1.0, 2.0, 3.0]))
    assert found["minimum_tenth"].value == pytest.approx(0.2)


def test_suggestions_of_accuracy_are_smiths() -> None:
    row = [0.1, 0.1, 0.5, 0.6, 0.3]
    found = suggest(curves(row, row, [0.5, 0.4, 0.3, 0.2, 0.1], quantity="holdout_accuracy", rates=range(1, 6)))
    assert {name: s.per_seed for name, s in found.items()} == {"smith_min": (3, 3, None), "smith_max": (4, 4, None)}


@given(st.integers(0, 12), st.integers(0, 12), st.lists(st.integers(0, 10), min_size=1, max_size=3))
def test_suggestions_of_any_skip_and_stop_are_within_the_ramp(start: int, end: int, stops: list[int]) -> None:
    rows = [[*(2.0 + (k * 7 + s) % 5 for k in range(s)), *[math.nan] * (10 - s)] for s in stops]
    found = suggest(curves(*rows, skip_start=start, skip_end=end))
    assert all(1e-4 * (1 - 1e-9) <= s.value <= 1 + 1e-9 for s in found.values() if s.value is not None)
    assert all(s.interval[0] <= s.value <= s.interval[1] for s in found.values() if s.interval is not None)


def test_curves_come_back_from_json_as_they_were() -> None:
    before = curves([3.0, 1.0, 9.0, math.nan], [3.0, 2.0, 1.0, 0.5], beta=0.5, skip_start=1, skip_end=2, window=3)
    document = json.loads(json.dumps(before.as_json(), allow_nan=False))
    after = Curves.from_json(document)
    np.testing.assert_array_equal(after.values, before.values)
    assert (after.rates.tolist(), after.reading) == (before.rates.tolist(), before.reading)
    assert document["smooth"][0][3] is None


def test_curves_of_version_0_1_0_watch_their_smoothed_loss() -> None:
    document = curves([1.0, 1.0, 9.0, 1.0], beta=0.5).as_json()
    del document["window"]  # which that version did not write
    assert Curves.from_json(document).stopped == (2,)
