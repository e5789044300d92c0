"""How a range test is read."""

import inspect
from typing import Any

import pytest

from lrsched import range_test
from lrsched.analysis.range_test.reading import Reading
from lrsched.analysis.range_test.rules import blow_up_tenth


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantity": "loss"}, "quantity must be one of train_loss, holdout_loss, holdout_accuracy, got 'loss'"),
        ({"every": 2}, "every must be 1 where the training loss is read, got 2"),
        ({"quantity": "holdout_loss", "every": 0}, "every must be at least 1, got 0"),
        ({"beta": 1.0}, r"beta must be in \[0, 1\), got 1.0"),
        ({"beta": float("nan")}, r"beta must be in \[0, 1\), got nan"),
        ({"divergence": 1.0}, "divergence must be above 1 and finite, got 1.0"),
        ({"skip_start": -1}, "skip_start must be at least 0, got -1"),
        ({"skip_end": -1}, "skip_end must be at least 0, got -1"),
        ({"window": -1}, "window must be at least 0, got -1"),
    ],
)
def test_reading_of_bad_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reading(**fields)


def test_reading_of_training_losses_follows_the_length_of_the_ramp() -> None:
    found = Reading().resolve(300)
    assert (found.beta, found.skip_start, found.window) == (pytest.approx(1 - 1 / 15), 30, 15)


def test_reading_of_held_out_measures_takes_them_as_they_are() -> None:
    found = Reading("holdout_loss", every=5).resolve(300)
    assert (found.beta, found.skip_start, found.window) == (0.0, 30, 1)


def test_reading_keeps_what_was_asked_for() -> None:
    asked = Reading(beta=0.98, divergence=3.0, skip_start=0, skip_end=0, window=0)
    assert asked.resolve(300) == asked


def test_defaults_are_those_of_the_public_range_test_and_of_the_rule() -> None:
    arguments = inspect.signature(range_test).parameters
    for name in ("quantity", "every", "beta", "divergence", "skip_start", "skip_end"):
        assert arguments[name].default == getattr(Reading(), name)
    assert inspect.signature(blow_up_tenth).parameters["divergence"].default == Reading().divergence
