"""Optax's own schedules against the same arguments through `from_optax`, at every step, over drawn arguments.

Optax runs in float64 here: in float32 its last steps are off by up to T * 6e-8 relative (it forms 1 - t / T).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrsched

DRAWS = 20
Arguments = dict[str, Any]


def theirs(schedule: optax.Schedule, steps: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return np.asarray(jax.vmap(schedule)(jnp.asarray(steps)), np.float64)


def boundaries(rng: np.random.Generator, low: float = 0.1, high: float = 2.0) -> dict[int, float]:
    places = rng.choice(np.arange(1, 120), rng.integers(1, 5), replace=False)
    return {int(place): float(rng.uniform(low, high)) for place in np.sort(places)}


def warm(rng: np.random.Generator) -> Arguments:
    first, peak = rng.uniform(0, 0.1), rng.uniform(0.1, 2)
    return {"init_value": first, "peak_value": peak, "warmup_steps": int(rng.integers(1, 30))}


def exponential(rng: np.random.Generator) -> Arguments:
    """Arguments of exponential_decay but its first value."""
    end = rng.choice([None, 0.01])
    return {
        "transition_steps": int(rng.integers(1, 50)),
        "decay_rate": float(rng.uniform(0.2, 0.99)),
        "transition_begin": int(rng.choice([0, 7])),
        "staircase": bool(rng.integers(2)),
        "end_value": end,
    }


def cosine_cycle(rng: np.random.Generator) -> Arguments:
    given = warm(rng)
    whole = given["warmup_steps"] + int(rng.integers(1, 60))
    return {**given, "decay_steps": whole, "end_value": rng.uniform(0, 0.05)}


DRAW: dict[str, Callable[[np.random.Generator], Arguments]] = {
    "constant_schedule": lambda r: {"value": r.uniform()},
    "polynomial_schedule": lambda r: {
        "init_value": r.uniform(),
        "end_value": r.uniform(),
        "power": float(r.choice([0.5, 0.9, 1, 2, 3])),
        "transition_steps": int(r.integers(1, 100)),
        "transition_begin": int(r.choice([0, 1, 10])),
    },
    "linear_schedule": lambda r: {
        "init_value": r.uniform(),
        "end_value": r.uniform(),
        "transition_steps": int(r.integers(1, 100)),
        "transition_begin": int(r.choice([0, 1, 10])),
    },
    "exponential_decay": lambda r: {"init_value": r.uniform(0.1, 1), **exponential(r)},
    "cosine_decay_schedule": lambda r: {
        "init_value": r.uniform(),
        "decay_steps": int(r.integers(1, 130)),
        "alpha": float(r.choice([0, 0.1, 0.01])),
    },
    "piecewise_constant_schedule": lambda r: {"init_value": r.uniform(), "boundaries_and_scales": boundaries(r)},
    "piecewise_interpolate_schedule": lambda r: {
        "interpolate_type": str(r.choice(["linear", "cosine"])),
        "init_value": r.uniform(),
        "boundaries_and_scales": boundaries(r),
    },
    "linear_onecycle_schedule": lambda r: {
        "transition_steps": int(r.integers(10, 130)),
        "peak_value": r.uniform(),
        "pct_start": float(r.integers(20, 50)) / 100,
        "pct_final": float(r.integers(60, 90)) / 100,
        "div_factor": float(r.choice([10, 25])),
        "final_div_factor": float(r.choice([10, 1e4])),
    },
    "cosine_onecycle_schedule": lambda r: {
        "transition_steps": int(r.integers(10, 130)),
        "peak_value": r.uniform(),
        "pct_start": float(r.integers(20, 80)) / 100,
        "div_factor": float(r.choice([10, 25])),
        "final_div_factor": float(r.choice([10, 1e4])),
    },
    "warmup_constant_schedule": warm,
    "warmup_cosine_decay_schedule": cosine_cycle,
    "warmup_exponential_decay_schedule": lambda r: {**warm(r), **exponential(r)},
    "sgdr_schedule": lambda r: {"cosine_kwargs": [cosine_cycle(r) for _ in range(r.integers(1, 5))]},
}
#: Those that go on for ever: ours need a budget.
OPEN = (
    "constant_schedule",
    "exponential_decay",
    "piecewise_constant_schedule",
    "warmup_constant_schedule",
    "warmup_exponential_decay_schedule",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAW)
def test_trajectory_equals_optax(name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    steps = np.arange(150)
    for _ in range(DRAWS):
        arguments = DRAW[name](rng)
        ours = lrsched.from_optax(name, **arguments, **({"total_steps": 150} if name in OPEN else {}))
        want = theirs(getattr(optax, name)(**arguments), steps)
        np.testing.assert_allclose(ours.table(steps), want, rtol=1e-6, atol=1e-12, err_msg=str(arguments))


RATES = {"init_value": 0.2, "peak_value": 1.0}
EDGES: list[tuple[str, Arguments]] = [
    *(("warmup_constant_schedule", {**RATES, "warmup_steps": steps}) for steps in (0, -3, 1, 2.5, 40, 60)),
    *(
        ("linear_onecycle_schedule", {"transition_steps": total, "peak_value": 1.0, "pct_start": share, **more})
        for total in (1, 2, 3, 4, 5, 20, 20.0, 12.5)
        for share in (0.0, 0.3, 1.0)
        for more in ({}, {"pct_final": 0.2}, {"pct_final": 1.0})
    ),
    *(
        ("cosine_onecycle_schedule", {"transition_steps": total, "peak_value": 1.0, "pct_start": share})
        for total in (1, 2, 3, 4, 5, 20, 12.5, 0.5)
        for share in (0.0, 0.3, 1.0, 1.5)
    ),
    *(
        ("exponential_decay", {"init_value": 0.2, "transition_steps": steps, "decay_rate": rate, **more})
        for steps in (0, -1, 0.5, 1.0, 2.5, 7 / 3, 2e3)
        for rate in (0, 0.5, 1.1)
        for more in ({}, {"staircase": True}, {"transition_begin": -2}, {"transition_begin": 2.5}, {"end_value": 0.1})
    ),
    *(("exponential_decay", {"init_value": 0.2, "transition_steps": 3, "decay_rate": 0.5, "transition_begin": begin})
      for begin in (40, 90)),
    *(
        ("polynomial_schedule", {"init_value": 0.2, "end_value": 1.0, "power": 2, "transition_steps": steps,
                                 "transition_begin": begin})
        for steps in (0, -1, 0.5, 1.0, 12.5, 100 / 7)
        for begin in (-3, 0, 1.5, 4.0)
    ),
    *(("cosine_decay_schedule", {"init_value": 0.2, "decay_steps": n, "alpha": a}) for n in (0.5, 9.0, 12.5)
      for a in (0, 1, 1.5)),
    ("warmup_cosine_decay_schedule", {**RATES, "warmup_steps": 0, "decay_steps": 20}),
    ("warmup_cosine_decay_schedule", {**RATES, "warmup_steps": 2.5, "decay_steps": 20.25, "end_value": 0.1}),
    ("warmup_cosine_decay_schedule", {**RATES, "peak_value": 0.0, "warmup_steps": 5, "decay_steps": 20,
                                      "end_value": 0.1}),
    *(("warmup_exponential_decay_schedule", {**RATES, "warmup_steps": steps, "transition_steps": 9, "decay_rate": 0.5})
      for steps in (0, 2.5, 40, 60)),
    ("piecewise_constant_schedule", {"init_value": 0.2, "boundaries_and_scales": {2.5: 0.5, 7.0: 0.1, -3: 2, 9.9: 3}}),
    ("piecewise_constant_schedule", {"init_value": 0.2, "boundaries_and_scales": {0.5: 0.5}}),
    ("piecewise_interpolate_schedule", {"interpolate_type": "linear", "init_value": 0.2,
                                        "boundaries_and_scales": {0: 0.5, 2.5: 0.5, 7.25: 4}}),
    ("piecewise_interpolate_schedule", {"interpolate_type": "cosine", "init_value": 0.2}),
    ("sgdr_schedule", {"cosine_kwargs": [{**RATES, "warmup_steps": 1.5, "decay_steps": 9.25},
                                         {**RATES, "warmup_steps": 0, "decay_steps": 7}]}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({given for given, _ in EDGES}))
def test_edge_of_optax_is_ours(name: str) -> None:
    steps = np.arange(40)
    for given, arguments in EDGES:
        if given == name:
            ours = lrsched.from_optax(name, **arguments, **({"total_steps": 40} if name in OPEN else {}))
            optax_ = getattr(optax, name)(**arguments)
            want = theirs(lambda t, schedule=optax_: jnp.asarray(schedule(t)) + 0.0, steps)
            np.testing.assert_allclose(ours.table(steps), want, rtol=1e-6, atol=1e-12, err_msg=str(arguments))
            assert lrsched.from_json(lrsched.to_json(ours)) == ours


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        *(
            ("cosine_decay_schedule", {"init_value": 0.1, "decay_steps": given}, "^decay_steps must be")
            for given in (0, -1, "10%", "5ep", True, np.True_, None, float("inf"), [3], 1e10, 2j)
        ),
        ("warmup_cosine_decay_schedule", {**RATES, "warmup_steps": 9, "decay_steps": 9}, "decay_steps must be above"),
        ("warmup_cosine_decay_schedule", {**RATES, "warmup_steps": -1, "decay_steps": 9}, "warmup_steps must be at"),
        ("linear_schedule", {"init_value": 1, "end_value": 0, "transition_steps": "9st"}, "transition_steps must be a"),
        (
            "linear_schedule",
            {"init_value": 1, "end_value": 0, "transition_steps": 9, "transition_begin": "2"},
            "transition_begin must be a number of steps",
        ),
        (
            "piecewise_constant_schedule",
            {"init_value": 1, "boundaries_and_scales": {"50%": 0.1}, "total_steps": 9},
            "a key of boundaries_and_scales must be a number of steps, got '50%'",
        ),
        (
            "piecewise_constant_schedule",
            {"init_value": 1, "boundaries_and_scales": {5: -1}, "total_steps": 9},
            "a factor of boundaries_and_scales must be at least 0, got -1",
        ),
        (
            "piecewise_interpolate_schedule",
            {"interpolate_type": "linear", "init_value": 1, "boundaries_and_scales": {2.7: 0.1, 3.2: 0.1}},
            "keys of boundaries_and_scales must be at least 0, and a step apart where not whole, got 2.7, 3.2",
        ),
        ("sgdr_schedule", {"cosine_kwargs": []}, "cosine_kwargs must hold at least one cycle"),
        ("join_schedules", {"schedules": [1, 2], "boundaries": [9]}, "schedules must be schedules of this library"),
        ("join_schedules", {"schedules": [1, 2], "boundaries": [2.5]}, "boundaries must be a whole number of steps"),
        ("constant_schedule", {"value": 0.1, "total_steps": "10%"}, "total_steps must be a number of steps, got '10%'"),
    ],
)
def test_length_without_a_counterpart_is_refused_under_its_own_name(
    name: str, arguments: Arguments, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        lrsched.from_optax(name, **arguments)
    assert "\n" not in str(refusal.value)


def test_joined_schedules_of_no_step_are_left_out() -> None:
    first, second, third = (lrsched.constant(rate, total_steps=9) for rate in (0.1, 0.2, 0.3))
    joined = lrsched.from_optax("join_schedules", schedules=[first, second, third], boundaries=[4, 4.0])
    np.testing.assert_allclose(joined.table([0, 3, 4, 12]), [0.1, 0.1, 0.3, 0.3])


def test_joined_schedules_are_cut_and_held_as_in_optax() -> None:
    steps = np.arange(100)
    words = (
        ("linear_schedule", {"init_value": 0.1, "end_value": 1.0, "transition_steps": 10}),  # held for 5 steps
        ("cosine_decay_schedule", {"init_value": 1.0, "decay_steps": 50}),  # cut after 30
        ("linear_schedule", {"init_value": 0.3, "end_value": 0.0, "transition_steps": 20}),
    )
    ours = [lrsched.from_optax(name, **arguments) for name, arguments in words]
    joined = lrsched.from_optax("join_schedules", schedules=ours, boundaries=[15, 45])
    want = optax.join_schedules([getattr(optax, name)(**arguments) for name, arguments in words], [15, 45])
    np.testing.assert_allclose(joined.table(steps), theirs(want, steps), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", DRAW)
def test_schedule_from_optax_is_data(name: str) -> None:
    arguments = DRAW[name](np.random.default_rng(0)) | ({"total_steps": 150} if name in OPEN else {})
    schedule, steps = lrsched.from_optax(name, **arguments), np.arange(150)
    assert lrsched.from_json(lrsched.to_json(schedule)) == schedule
    compiled = jax.jit(lambda s: s(steps))(schedule)
    np.testing.assert_allclose(compiled, schedule.table(steps), rtol=2e-6, atol=1e-9)
