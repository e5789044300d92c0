"""What a range test comes to in words."""

import math
from typing import Any

import numpy as np
import pytest
from known_curves import curves

from lrsched.analysis.range_test.advice import advise, warn_about
from lrsched.analysis.range_test.curves import suggest


def advised(*rows: Any, **fields: Any) -> str:
    found = curves(*rows, **fields)
    return advise(found, suggest(found))


def test_advice_names_the_rate_its_range_and_the_blow_up() -> None:
    # Lowest at 2 and 4, the geometric mean 2.83; the lowest median of three is 2, and 9 is above four times that.
    said = advised([3, 1, 2, 2, 9, 9, 9], [3, 2, 1, 2, 9, 9, 9], rates=[1, 2, 4, 8, 16, 32, 64])
    assert said == (
        "Use 1.6: a tenth of the rate at which the loss blew up, 1.6 to 1.6 over 2 seeds; "
        "the raw loss blew up from 16 on (2 of 2 seeds), and the smoothed loss was lowest at 2.8."
    )
    said = advised([3, 1, 2, 2, 2, 2, 2], [3, 2, 1, 2, 2, 2, 2], rates=[1, 2, 4, 8, 16, 32, 64])
    assert said.startswith("Use 0.28: a tenth of the rate at which the smoothed loss was lowest, 0.2 to 0.4 over 2")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[3, 1, 2, 2, 2]], "of one seed; the loss did not blow up by 10, where the ramp ended. Take three seeds to"),
        ([[3, 1, 2, 2, 2], [3, 2, 2, 1, 2]], "The seeds differ by a factor of 1e+02: make the ramp longer"),
        ([[3, 2, 2, 2, 1], [3, 2, 2, 2, 1]], "The loss was still falling at the end: end at a higher rate."),
        ([[1, 2, 2, 2, 2], [3, 2, 1, 2, 2]], "The loss never fell in some seed: begin at a lower rate"),
    ],
)
def test_advice_says_what_is_doubtful(rows: list[list[float]], said: str) -> None:
    assert said in advised(*rows, rates=[1e-3, 1e-2, 1e-1, 1.0, 10.0])


def test_advice_of_accuracies_is_smiths_cycle() -> None:
    row = [0.1, 0.1, 0.5, 0.6, 0.3]
    said = advised(row, row, quantity="holdout_accuracy", rates=range(1, 6))
    assert said.startswith("Use cycles from 3 to 4: where the accuracy starts to rise and where it slows")
    assert advised([0.5, 0.4], quantity="holdout_accuracy") == "No rates are suggested: the accuracy never rose."


def test_advice_with_nothing_left() -> None:
    assert advised([1.0, 2.0, math.nan], skip_start=3).startswith("No rate is suggested")


def test_ramp_whose_loss_fell_by_its_noise_alone_suggests_no_rate() -> None:
    rng = np.random.default_rng(0)
    flat = [3 + rng.normal(0, 0.3, 30) for _ in range(3)]
    falls = [row - np.linspace(0, 2, 30) for row in flat]
    rates = np.geomspace(1e-5, 1, 30)
    assert "the loss fell by no more than its noise" in advised(*flat, rates=rates)
    assert warn_about(curves(*flat, rates=rates), 0.5) is not None
    assert advised(*falls, rates=rates).startswith("Use ")
    assert warn_about(curves(*falls, rates=rates), 0.5) is None


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
def test_verdict_of_a_test_that_blew_up(rate: Any, line: str | None) -> None:
    assert warn_about(BLOWN, rate) == line


@pytest.mark.parametrize(("top", "warned"), [(4.9, False), (5.1, True), (7.9, True)])
def test_verdict_of_a_loss_half_way_to_a_blow_up(top: float, warned: bool) -> None:
    # From 2 the blow-up begins at 8, and half way to it is 2 + 6 / 2 = 5.
    found = curves([3, 2, 2, 2, top, top, top], [3, 2, 2, 2, top, top, 2], rates=[1, 2, 4, 8, 16, 32, 64])
    said = (
        "rate 40 is above 4, at which the loss was lowest, and where the loss had risen more than half way to a blow-up"
    )
    assert warn_about(found, 40.0) == (said if warned else None)
    assert warn_about(found, 10.0) is None


def test_verdict_of_a_rate_beyond_the_ramp() -> None:
    fine = curves([1.0, 1.0], rates=[0.1, 0.8])
    assert warn_about(fine, 0.8) is None
    assert warn_about(fine, 0.9) == "rate 0.9 was not tested: the ramp ended at 0.8"


@pytest.mark.parametrize("loss", [0.0, 0.7, 2.3])
@pytest.mark.parametrize("points", [5, 100])
@pytest.mark.parametrize("quantity", ["train_loss", "holdout_loss"])
def test_loss_that_never_changes_suggests_no_rate(loss: float, points: int, quantity: str) -> None:
    rates = np.geomspace(1e-5, 1, points)
    rows = [np.full(points, np.float32(loss))] * 2
    assert "No rate is suggested: the loss is the same at every rate" in advised(*rows, rates=rates, quantity=quantity)
    assert "not judged" in str(warn_about(curves(*rows, rates=rates, quantity=quantity), 0.5))
