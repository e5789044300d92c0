"""Keras's own schedules (JAX backend) against `from_keras`, at every step, over drawn arguments.

Keras runs in float64 here, but its cosine is float32 whatever it is given; so the cosines are compared to a rounding
of float32 of the peak, and all others to 1e-6 relative.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import lrsched

schedules = keras.optimizers.schedules
DRAWS = 12
TOTAL = 90
Arguments = dict[str, Any]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Keras in float64, under the promotion it was written for."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
    keras.config.set_floatx(before)


def theirs(schedule: Any, steps: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(schedule)(steps), np.float64)


def decay(rng: np.random.Generator) -> Arguments:
    return {
        "initial_learning_rate": rng.uniform(0.01, 1),
        "decay_steps": int(rng.integers(1, 60)),
        "decay_rate": rng.uniform(0.1, 0.95),
        "staircase": bool(rng.integers(2)),
    }


def cosine(rng: np.random.Generator) -> Arguments:
    warm = {"warmup_target": 1.5, "warmup_steps": int(rng.integers(1, 20))} if rng.integers(2) else {}
    alpha = float(rng.choice([0, 0.1]))
    return {"initial_learning_rate": rng.uniform(), "decay_steps": int(rng.integers(1, 80)), "alpha": alpha, **warm}


def restarts(rng: np.random.Generator) -> Arguments:
    alpha = float(rng.choice([0, 0.1]))
    return {
        "initial_learning_rate": rng.uniform(),
        "first_decay_steps": int(rng.integers(2, 30)),
        "t_mul": float(rng.choice([1, 2])),
        "m_mul": 1.0 if alpha else float(rng.choice([1, 0.5])),
        "alpha": alpha,
    }


DRAW: dict[str, Callable[[np.random.Generator], Arguments]] = {
    "CosineDecay": cosine,
    "CosineDecayRestarts": restarts,
    "ExponentialDecay": decay,
    "InverseTimeDecay": decay,
    "PiecewiseConstantDecay": lambda r: {
        "boundaries": sorted(int(n) for n in r.choice(np.arange(1, 80), 3, replace=False)),
        "values": [float(v) for v in r.uniform(size=4)],
    },
    "PolynomialDecay": lambda r: {
        "initial_learning_rate": r.uniform(),
        "decay_steps": int(r.integers(1, 80)),
        "end_learning_rate": float(r.choice([0.001, 0.5])),
        "power": float(r.choice([0.9, 1, 2])),  # at the end a root would show the rounding of 1 - t / T
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAW)
def test_trajectory_equals_keras(name: str) -> None:
    rng, steps = np.random.default_rng(list(name.encode())), np.arange(TOTAL)
    length = {} if name in ("CosineDecay", "PolynomialDecay") else {"total_steps": TOTAL}
    for _ in range(DRAWS):
        arguments = DRAW[name](rng)
        schedule = getattr(schedules, name)(**arguments)
        table = lrsched.from_keras(schedule, **length).table(steps)
        peak = max(1.5, table.max())
        atol = 1.2e-7 * peak if name.startswith("Cosine") else 1e-12
        np.testing.assert_allclose(table, theirs(schedule, steps), rtol=1e-6, atol=atol, err_msg=str(arguments))


#: Lengths with a point are steps as well; those of `boundaries` are cut by Keras.
POINTS: list[tuple[str, Arguments]] = [
    *(
        (name, {"decay_steps": steps, "decay_rate": 0.5, "staircase": stairs})
        for name in ("InverseTimeDecay", "ExponentialDecay")
        for steps in (1.0, 0.5, 1.5, 7 / 3, 2e3, 3125.0, np.float64(2.5), np.int64(3), np.float32(2.0))
        for stairs in (False, True)
    ),
    *(("CosineDecay", {"decay_steps": steps}) for steps in (1.0, 0.5, 12.5, 100 / 7)),
    *(("CosineDecay", {"decay_steps": 12.5, "warmup_target": 1.5, "warmup_steps": steps}) for steps in (0.5, 3.0, 3.3)),
    *(("PolynomialDecay", {"decay_steps": steps}) for steps in (1.0, 0.5, 12.5, 100 / 7)),
    *(
        ("CosineDecayRestarts", {"first_decay_steps": steps, "t_mul": factor, "m_mul": 0.9})
        for steps in (1.0, 2.5, 7 / 3, 10)
        for factor in (1.0, 1.5, 2.0, 1.37)
    ),
    ("CosineDecayRestarts", {"first_decay_steps": 5, "alpha": 1.5}),
    ("PiecewiseConstantDecay", {"boundaries": [0.5, 7.0, 9.9], "values": [1.0, 0.5, 0.25, 0.1]}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), POINTS)
def test_length_with_a_point_is_keras_own(name: str, arguments: Arguments) -> None:
    first = {} if name == "PiecewiseConstantDecay" else {"initial_learning_rate": 0.1}
    steps, length = np.arange(40), {} if name in ("CosineDecay", "PolynomialDecay") else {"total_steps": 40.0}
    table = lrsched.from_keras(name, **first, **arguments, **length).table(steps)
    want = theirs(getattr(schedules, name)(**first, **arguments), steps)
    np.testing.assert_allclose(table, want, rtol=1e-6, atol=2e-7 if name.startswith("Cosine") else 1e-12)


@pytest.mark.parametrize("given", ["10%", "5ep", True, np.True_, None, float("nan"), [3], 1e10, 2j])
@pytest.mark.parametrize(
    ("name", "key", "rest"),
    [
        ("ExponentialDecay", "decay_steps", {"decay_rate": 0.5, "total_steps": 9}),
        ("InverseTimeDecay", "decay_steps", {"decay_rate": 0.5, "total_steps": 9}),
        ("CosineDecay", "decay_steps", {}),
        ("CosineDecay", "warmup_steps", {"decay_steps": 9, "warmup_target": 1.0}),
        ("PolynomialDecay", "decay_steps", {}),
        ("CosineDecayRestarts", "first_decay_steps", {"total_steps": 9}),
        ("ExponentialDecay", "total_steps", {"decay_rate": 0.5, "decay_steps": 9}),
    ],
)
def test_length_that_is_none_is_refused_under_keras_name(name: str, key: str, rest: Arguments, given: object) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be") as refusal:
        lrsched.from_keras(name, initial_learning_rate=0.1, **{key: given}, **rest)
    assert "\n" not in str(refusal.value)


def test_object_serialised_form_and_name_make_the_same_schedule() -> None:
    arguments = {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.01}
    schedule = schedules.CosineDecay(**arguments)
    forms = schedule, schedules.serialize(schedule)
    assert {lrsched.from_keras(form) for form in forms} == {lrsched.from_keras("CosineDecay", **arguments)}


def test_boundary_of_keras_is_the_last_step_at_the_old_value() -> None:
    theirs_ = schedules.PiecewiseConstantDecay([5], [1.0, 0.5])
    assert [float(theirs_(step)) for step in (5, 6)] == [1.0, 0.5]
    plain = lrsched.piecewise_constant(1.0, total_steps=10, boundaries=(5,), values=(1.0, 0.5))
    assert [float(plain(step)) for step in (5, 6)] == [0.5, 0.5]


def test_restart_of_keras_may_fall_between_two_steps() -> None:
    theirs_ = schedules.CosineDecayRestarts(1.0, 3, t_mul=1.5)  # cycles of 3 and 4.5: the third begins at 7.5
    ours, steps = lrsched.from_keras(theirs_, total_steps=20), np.arange(20)
    assert ours.cycle_ends[:3] == (3, 8, 15)  # the updates that are done when it has ended
    np.testing.assert_allclose(ours.table(steps), theirs(theirs_, steps), rtol=1e-6, atol=2e-7)
    plain = lrsched.sgdr(1.0, total_steps=20, first_cycle=3, cycle_mult=1.5)
    assert plain.cycle_ends[:3] == (3, 7, 14)  # rounded down


def test_fractional_power_of_keras_is_nan_at_its_end_under_jit() -> None:
    theirs_ = schedules.PolynomialDecay(np.float32(0.5), 10, end_learning_rate=0.1, power=0.5)
    assert np.isnan(jax.jit(theirs_)(np.int32(10)))
    assert lrsched.from_keras(theirs_)(10) == np.float32(0.1)


def test_cosine_of_keras_is_float32_in_float64_too() -> None:
    theirs_ = float(schedules.CosineDecay(1.0, 1000)(999))
    assert abs(theirs_ / lrsched.cosine(1.0, total_steps=1000).table([999])[0] - 1) > 1e-4


@pytest.mark.parametrize(
    ("schedule", "length", "message"),
    [
        (lambda: schedules.PolynomialDecay(0.1, 10, cycle=True), {}, "cycle must be False"),
        (
            lambda: schedules.CosineDecayRestarts(0.1, 10, m_mul=0.5, alpha=0.1),
            {"total_steps": 90},
            "m_mul, with alpha",
        ),
        (lambda: schedules.ExponentialDecay(0.1, 10, 0.5), {}, "ExponentialDecay: .*total_steps"),
        (lambda: schedules.ExponentialDecay(0.1, 10, 0.0), {"total_steps": 90}, "decay_rate must be above 0, got 0.0"),
        (lambda: schedules.PiecewiseConstantDecay([9, 5], [1, 2, 3]), {"total_steps": 90}, "boundaries must ascend"),
        (
            lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5),
            {"total_steps": 90},
            "t_mul must leave room for total_steps = 90",
        ),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=1e30), {"total_steps": 90}, "t_mul must make no more"),
        (lambda: {"class_name": "Cosine", "config": {}}, {}, "Keras schedule must be one of .*, got 'Cosine'"),
        (lambda: {"class_name": "CosineDecay", "config": None}, {}, "config must be the arguments .*, got None"),
        (lambda: 3, {}, "Keras schedule must be one of .*, got 'int'"),
    ],
)
def test_schedule_of_keras_without_a_counterpart_is_refused(
    schedule: Callable[[], Any], length: Arguments, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.from_keras(schedule(), **length)
