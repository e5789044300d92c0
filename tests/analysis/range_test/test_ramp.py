"""The rates of a range test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsched.analysis.range_test.ramp import make_ramp


def test_ramp_exponential_of_known_values() -> None:
    # The notebook of nachiket273/One_Cycle_Policy: 1e-5 to 100 over 98 batches, q = 1e7^(1 / 97).
    rates = make_ramp(1e-5, 100.0, steps=98)
    assert rates[[0, 1, 24, 48, 97]] == pytest.approx([1e-5, 1.180769e-5, 5.394594e-4, 2.910164e-2, 100], rel=1e-6)


def test_ramp_linear_by_hand() -> None:
    assert make_ramp(0.0, 3.0, steps=4, kind="linear").tolist() == [0.0, 1.0, 2.0, 3.0]


@given(
    st.floats(1e-9, 1.0), st.floats(1.001, 1e6), st.integers(2, 300), st.sampled_from(["exponential", "linear"])
)  # fmt: skip
def test_ramp_ascends_from_its_first_rate_to_its_last(init: float, ratio: float, steps: int, kind: str) -> None:
    rates = make_ramp(init, init * ratio, steps=steps, kind=kind)
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
def test_ramp_of_bad_arguments(arguments: tuple[float, float, int, str], message: str) -> None:
    init, end, steps, kind = arguments
    with pytest.raises(ValueError, match=message):
        make_ramp(init, end, steps=steps, kind=kind)
