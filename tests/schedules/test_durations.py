"""Lengths: every place that takes one reads it alike."""

import itertools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import lrsched as ls
from lrsched.schedules import durations, language, registry
from lrsched.schedules.progress import Ratio


def updates(text: str, total_steps: int, per_epoch: int, batch_size: int = 32) -> dict[str, int]:
    """The updates that a text is in each place that takes it."""
    where = {"steps_per_epoch": per_epoch, "batch_size": batch_size}
    budget = ls.Budget.of_steps(total_steps, per_epoch)
    found = {
        "keep": durations.steps(text, name="keep", total_steps=total_steps, **where),
        "budget": ls.Budget.of(text, max_epochs=total_steps / per_epoch, **where).total_steps,
        "cycle": ls.plan(f"sgdr:first_cycle={text}", budget, peak_value=0.1, batch_size=batch_size).cycle_ends[0],
        "swa": ls.plan(f"swa:start={text}", budget, peak_value=0.1, batch_size=batch_size).cycle_ends[0],
    }
    segments = ls.plan(f"rex:{text}+constant", budget, peak_value=0.1, batch_size=batch_size).cycle_ends
    joined = ls.sequence(
        [ls.rex(0.1, total_steps=1), ls.constant(0.1, total_steps=1)],
        durations=[text, "rest"],
        total_steps=total_steps,
        **where,
    )
    boundary = ls.plan(f"multi_step:boundaries={text}", budget, peak_value=0.1, batch_size=batch_size)
    warmup = ls.plan(f"wsd:warmup={text}", budget, peak_value=0.1, batch_size=batch_size)
    found |= {
        "segment": segments[0],
        "sequence": joined.cycle_ends[0],
        "boundary": int(np.argmin(boundary.lr.table())),
        "warmup": int(np.argmax(warmup.lr.table())),
    }
    if not text.endswith("%"):
        found["ramp"] = durations.steps(text, name="length", **where)
    return found


@pytest.mark.parametrize(
    ("text", "total_steps", "per_epoch", "steps"),
    [
        ("0.5ep", 410, 41, 21),  # 20.5
        ("0.3ep", 3910, 391, 118),  # 117.3
        ("12.5%", 400, 40, 50),
        ("1000ex", 410, 41, 32),  # 31.25 batches of 32
        ("32st", 410, 41, 32),
        ("2ep", 410, 41, 82),
    ],
)
def test_length_is_as_many_updates_in_every_place(text: str, total_steps: int, per_epoch: int, steps: int) -> None:
    assert set(updates(text, total_steps, per_epoch).values()) == {steps}


@pytest.mark.parametrize(
    "words", ["warmup:{}+cosine", "sgdr:first_cycle={}", "wsd:cooldown={}", "rsqrt:warmup={}", "clr:half_cycle={}"]
)
def test_equal_lengths_in_different_units_are_equal_schedules(words: str) -> None:
    budget = ls.Budget(epochs=8, steps_per_epoch=50)
    tables = [
        ls.plan(words.format(text), budget, peak_value=0.1, batch_size=20).lr.table()
        for text in ("12.5%", "1ep", "50st", "50", "1000ex", "0.125")
    ]
    for first, second in itertools.pairwise(tables):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("text", "steps"), [("1ep", 50), ("epoch", 50), ("1000ex", 50), ("50st", 50), ("12.5%", 50)])
def test_sampling_takes_every_unit(text: str, steps: int) -> None:
    table = ls.plan(f"linear@{text}", ls.Budget(8, 50), peak_value=1.0, batch_size=20).lr.table()
    np.testing.assert_allclose(table, 1 - np.arange(400) // steps * steps / 400)


def test_share_of_a_budget_rounds_down_where_segments_follow_one_another() -> None:
    assert ls.plan("rex:12.5%+constant", 41, peak_value=0.1).cycle_ends[0] == 5  # 5.125
    assert durations.steps("12.5%", name="keep", total_steps=41) == 6


@pytest.mark.parametrize(
    ("text", "length"), [("5%", (15, "ep")), ("0.5%", (1.5, "ep")), ("15ep", (15, "ep")), ("0.5", (0.5, "ep"))]
)
def test_budget_is_a_percentage_or_epochs(text: str, length: tuple[float, str]) -> None:
    assert durations.budget_length(text, max_epochs=300) == length


@pytest.mark.parametrize("text", ["0", "0%", "-5%", "5steps", "", "%", "nan", "inf", "1e400%", "2min", "rest", 3])
def test_budget_refuses_other_texts(text: object) -> None:
    with pytest.raises(ValueError, match="budget must be a percentage of max_epochs"):
        durations.budget_length(text, max_epochs=300)


def test_budget_in_examples_needs_the_batch_size() -> None:
    with pytest.raises(ValueError, match="batch_size must be given for a budget in examples, got '50ex'"):
        ls.Budget.of("50ex", max_epochs=1, steps_per_epoch=10)


@pytest.mark.parametrize("per_epoch", [1, 41, 391, 1_234_567, 2**31 - 1])
@pytest.mark.parametrize("steps", [1, 200, 1_234_569, 2**31 - 1])
def test_budget_in_updates_is_exact(per_epoch: int, steps: int) -> None:
    assert ls.Budget.of(f"{steps}st", max_epochs=1, steps_per_epoch=per_epoch).total_steps == steps


@pytest.mark.parametrize(("epochs", "steps"), [(3, 1173), (0.1, 40), (0.001, 1), (1 / 3, 131)])
def test_budget_rounds_a_part_of_an_update_up(epochs: float, steps: int) -> None:
    assert ls.Budget(epochs, 391).total_steps == steps  # 0.1 * 391 = 39.1, 391 / 3 = 130.33


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "steps"),
    [(1e-7, 10**9, 100), (1.0000001, 10**7, 10_000_001), (0.1 * 3, 10, 3), (1 / 3, 300, 100)],
)
def test_budget_is_exact_for_decimals_and_short_fractions(epochs: float, steps_per_epoch: int, steps: int) -> None:
    assert ls.Budget(epochs, steps_per_epoch).total_steps == steps


def test_budget_beyond_int32_is_refused() -> None:
    with pytest.raises(ValueError, match=r"budget must be at most 2\*\*31 - 1 steps"):
        ls.Budget(1e9, 391)


@pytest.mark.parametrize("epochs", ["a", None, [1], 0, float("nan")])
def test_budget_refuses_what_is_no_number_above_zero(epochs: object) -> None:
    with pytest.raises(ValueError, match="budget must be a finite number of epochs above 0, got"):
        ls.Budget(epochs)


@pytest.mark.parametrize("steps_per_epoch", ["a", None, 0, 10.5])
def test_budget_refuses_what_are_no_steps_per_epoch(steps_per_epoch: object) -> None:
    with pytest.raises(ValueError, match="steps_per_epoch must be"):
        ls.Budget(1, steps_per_epoch)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5%", r"length must be updates \(200\) or epochs \(1ep\), above 0, got '5%'"),
        ("0.5", "length must be updates"),
        ("100ex", "length must be updates"),
        ("90s", "length must be updates"),
        ("2.5st", "length must be updates"),
        ("0", "length must be updates .* above 0, got '0'"),
        ("9" * 400, "length must be updates"),
        ("many", "length must be updates .* got 'many'"),
        ("1e12", "length must be"),
    ],
)
def test_unit_without_sense_in_a_place_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        durations.steps(text, name="length", steps_per_epoch=41)


@pytest.mark.parametrize("name", ["steps_per_epoch", "batch_size"])
@pytest.mark.parametrize("value", [0, -3, 12.5, "8", True])
def test_size_of_a_unit_must_be_a_whole_number_from_one(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got"):
        durations.steps("200", name="length", **{name: value})
    lengths = ["5ep" if name == "steps_per_epoch" else "500ex", "rest"]
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got"):
        ls.sequence([ls.constant(1.0, total_steps=1)] * 2, durations=lengths, total_steps=100, **{name: value})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2min", 120), ("0.5min", 30), ("2ep", None), ("x", None)])
def test_seconds_and_minutes(text: str, seconds: float | None) -> None:
    assert durations.seconds(text, name="save_every") == seconds


def test_no_seconds_are_refused() -> None:
    with pytest.raises(ValueError, match="save_every must be above 0, got '0s'"):
        durations.seconds("0s", name="save_every")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("rest", "warmup must be steps or a fraction, got 'rest'"),
        ("2.5st", "warmup must be a whole number of steps, got 2.5"),
        ("5ep", "warmup must be in steps or a fraction where steps_per_epoch is not known, got '5ep'"),
        ("50ex", "warmup must be in steps or a fraction where batch_size is not known, got '50ex'"),
        ("150%", "warmup must be a fraction of the budget"),
        ("-3st", "warmup must be at least 0"),
        ("90s", "warmup must be steps"),
        (True, "warmup must be a whole number of steps"),
    ],
)
def test_part_of_a_schedule_refuses_other_lengths(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        durations.duration(value, name="warmup")


def test_part_of_a_schedule_is_steps_or_a_share() -> None:
    found = [durations.duration(value) for value in (7, "7st", "7.0st", 0.25, "25%", 1, 1.0)]
    assert found == [7, 7, 7, Ratio(1, 4), Ratio(1, 4), 1, Ratio(1, 1)]


@pytest.mark.parametrize("words", ["sgdr:first_cycle=10ep", "sgdr:cycle_lengths=10ep/20ep/40ep"])
def test_lengths_in_epochs_are_those_of_the_plan(words: str) -> None:
    plan = ls.plan(words, ls.Budget(epochs=70, steps_per_epoch=100), peak_value=0.1)
    assert plan.cycle_ends == (1000, 3000, 7000)
    with pytest.raises(ValueError, match="in steps or a fraction where steps_per_epoch is not known, got '10ep'"):
        registry.build(language.parse(words), 0.1, total_steps=7000)


@pytest.mark.parametrize(("text", "found"), [("1e3", 1000), ("1E3st", 1000), ("1e-1", 41), ("1.0", 410)])
def test_whole_number_in_any_form_is_so_many_updates(text: str, found: int) -> None:
    assert durations.steps(text, name="keep", total_steps=410) == found


@pytest.mark.parametrize("text", ["1.5", "150%", "100.1%"])
def test_more_than_the_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="keep must be at most the whole, 100%, got"):
        durations.steps(text, name="keep", total_steps=410)


@pytest.mark.parametrize(
    "words",
    ["polynomial:power=2ep", "linear:end_value=1ep", "snapshot_cosine:cycles=2ep", "slanted_triangular:ratio=1ep"],
)
def test_epochs_where_no_length_is_meant_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        ls.plan(words, ls.Budget(10, 98), peak_value=0.1)


def test_budget_takes_numbers_of_arrays() -> None:
    of_arrays = ls.Budget(np.float32(0.3), jnp.int32(10))
    assert of_arrays == ls.Budget(0.3, 10)
    assert of_arrays.total_steps == 3  # float32's 0.3 is above 3/10
    with pytest.raises(ValueError, match=r"budget must be at most 2\*\*31 - 1 steps"):
        ls.Budget(10**400)
    assert ls.Budget.of_steps(np.int64(7), np.int32(3)) == ls.Budget.of_steps(7, 3)
    plans = [ls.plan("rex", ls.Budget(2, size), peak_value=0.1) for size in (10, np.int64(10))]
    assert plans[0].digest() == plans[1].digest()


@pytest.mark.parametrize("epochs", [math.inf, math.nan, None, True, 0, "2", np.array([1.0, 2.0])])
def test_epochs_that_are_none_are_refused(epochs: Any) -> None:
    with pytest.raises(ValueError, match="^budget must be a finite number of epochs above 0, got"):
        ls.Budget(epochs, 10)
    with pytest.raises(ValueError, match="^max_epochs must be a finite number of epochs above 0, got"):
        ls.Budget.of("5%", max_epochs=epochs, steps_per_epoch=10)
