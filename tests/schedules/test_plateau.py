"""Reduce on plateau, against an independent statement of the rule."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrsched
from lrsched.schedules.families.plateau import Plateau, PlateauState


def rates(schedule: Plateau, metrics: Any) -> np.ndarray:
    """The rate after each metric."""

    def step(state: PlateauState, metric: jax.Array) -> tuple[PlateauState, jax.Array]:
        state = schedule.update(state, metric)
        return state, schedule.rate(state)

    return np.asarray(jax.lax.scan(step, schedule.init(), jnp.float32(metrics))[1])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (2, 0), (1, 3)])
def test_rates_follow_the_rule(mode: str, threshold_mode: str, patience: int, cooldown: int) -> None:
    metrics = np.random.default_rng(0).uniform(1, 2, 60).astype(np.float32)
    sign, want, rate, best, bad, wait = 1 if mode == "min" else -1, [], 1.0, None, 0, 0
    for m in metrics.astype(float):
        gain = np.inf if best is None else sign * (best - m)
        better = gain > (0.05 * abs(best or 0) if threshold_mode == "rel" else 0.05)
        best, bad = (m, 0) if better else (best, bad + 1)
        if wait:
            wait, bad = wait - 1, 0
        if bad > patience:
            rate, bad, wait = max(rate * 0.5, 1e-3), 0, cooldown
        want.append(rate)
    schedule = lrsched.plateau(
        1.0, factor=0.5, patience=patience, threshold=0.05, threshold_mode=threshold_mode, cooldown=cooldown,
        min_value=1e-3, mode=mode,
    )  # fmt: skip
    np.testing.assert_allclose(rates(schedule, metrics), want, rtol=1e-6)


def test_rate_falls_after_more_than_patience_metrics() -> None:
    # PyTorch's ReduceLROnPlateau(patience=2): the third stalled metric reduces
    np.testing.assert_allclose(rates(lrsched.plateau(1.0, patience=2), [1, 1, 1, 1, 1]), [1, 1, 1, 0.1, 0.1])


def test_cooldown_metrics_do_not_count() -> None:
    schedule = lrsched.plateau(1.0, patience=0, cooldown=2)
    np.testing.assert_allclose(rates(schedule, [1] * 5), [1, 0.1, 0.1, 0.1, 0.01], rtol=1e-6)


def test_negative_metric_improves_when_it_falls() -> None:
    schedule = lrsched.plateau(1.0, patience=0, threshold=0.1)
    np.testing.assert_allclose(rates(schedule, [-1, -1.2, -1.15]), [1, 1, 0.1])


def test_metric_that_is_no_number_is_no_improvement() -> None:
    schedule = lrsched.plateau(1.0, patience=1)
    np.testing.assert_allclose(rates(schedule, [np.nan, 5, np.nan, np.nan, 4]), [1, 1, 1, 0.1, 0.1])
    np.testing.assert_allclose(rates(schedule, [np.nan, np.nan, 5]), [1, 0.1, 0.1])


def test_a_first_metric_that_is_infinite_is_improved_on() -> None:
    schedule = lrsched.plateau(0.1, patience=0)
    state = schedule.init()
    for metric in (np.inf, 3.0, 2.0, 1.0):
        state = schedule.update(state, metric)
    assert float(schedule.rate(state)) == pytest.approx(0.1)


def test_state_resumes_from_json_in_the_middle_of_patience() -> None:
    schedule, metrics = lrsched.plateau(1.0, patience=3), [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95]
    state = schedule.init()
    for metric in metrics[:4]:
        state = schedule.update(state, metric)
    text = json.dumps(dataclasses.asdict(jax.tree.map(lambda leaf: np.asarray(leaf).item(), state)))
    restored = PlateauState(**json.loads(text))
    assert json.loads(text)["stalled"] == 2
    for metric in metrics[4:]:
        state, restored = schedule.update(state, metric), schedule.update(restored, metric)
    assert jax.tree.map(float, state) == jax.tree.map(float, restored)
    np.testing.assert_allclose(schedule.rate(restored), 0.1, rtol=1e-6)


def test_plateau_is_a_pytree_whose_numbers_may_be_mapped() -> None:
    many = jax.vmap(lambda factor: rates_of(lrsched.plateau(1.0, factor=factor, patience=0)))(jnp.float32([0.1, 0.5]))
    np.testing.assert_allclose(many, [0.1, 0.5])


def rates_of(schedule: Plateau) -> Any:
    return schedule.rate(schedule.update(schedule.update(schedule.init(), 1.0), 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be at least 0 and below 1, got 1.0"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"patience": 1.5}, "patience must be a whole number"),
        ({"threshold": -1.0}, "threshold must be at least 0, got -1.0"),
        ({"threshold_mode": "both"}, "threshold_mode must be one of rel, abs, got 'both'"),
        ({"mode": "down"}, "mode must be one of min, max, got 'down'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrsched.plateau(0.1, **arguments)
