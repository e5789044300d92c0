"""Reduce on plateau: the one schedule that has a state, and so is no `Schedule`.

What it does next depends on a metric, not on the step. The state is a small pytree, saved and restored like any other.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lrsched.schedules.values import Number, check_number, check_steps, static, value_class


@value_class
class PlateauState:
    """Where a run stands: number of metrics seen and of reductions made, best metric, metrics in a row without a better
    one, and metrics of the cooldown still to come."""

    seen: Number
    reductions: Number
    best: Number
    stalled: Number
    cooling: Number

    def __post_init__(self) -> None:
        """Nothing is looked at: a state is computed, and the best metric may be infinite."""


@value_class
class Plateau:
    """max(peak_value * factor**reductions, min_value), with a reduction after more than `patience` stalled metrics."""

    peak_value: Number
    factor: Number
    patience: Number
    threshold: Number
    cooldown: Number
    min_value: Number
    relative: bool = static(default=True)
    maximize: bool = static(default=False)

    def _check(self) -> None:
        check_number("peak_value", self.peak_value, at_least=0.0)
        check_number("factor", self.factor, at_least=0.0, below=1.0)
        check_number("threshold", self.threshold, at_least=0.0)
        check_number("min_value", self.min_value, at_least=0.0)
        check_steps("patience", self.patience, at_least=0)
        check_steps("cooldown", self.cooldown, at_least=0)

    def init(self) -> PlateauState:
        """The state before the first metric."""
        zero = jnp.int32(0)
        return PlateauState(zero, zero, jnp.float32(0), zero, zero)

    def rate(self, state: PlateauState) -> Any:
        """The rate to use now, float32."""
        factor = jnp.asarray(self.factor, jnp.float32) ** jnp.asarray(state.reductions, jnp.float32)
        return jnp.maximum(jnp.asarray(self.peak_value, jnp.float32) * factor, jnp.asarray(self.min_value, jnp.float32))

    def update(self, state: PlateauState, metric: Any) -> PlateauState:
        """The state after one more metric (a scalar); one that is not a number counts as no improvement."""
        seen, reductions, stalled, cooling = (
            jnp.asarray(n, jnp.int32) for n in (state.seen, state.reductions, state.stalled, state.cooling)
        )
        best, metric = jnp.asarray(state.best, jnp.float32), jnp.asarray(metric, jnp.float32)
        threshold = jnp.asarray(self.threshold, jnp.float32)
        margin = threshold * jnp.where(jnp.isfinite(best), jnp.abs(best), 0.0) if self.relative else threshold
        better = metric > best + margin if self.maximize else metric < best - margin
        better = better | ((seen == 0) & ~jnp.isnan(metric))
        seen = seen + (~jnp.isnan(metric)).astype(jnp.int32)
        stalled = jnp.where(better | (cooling > 0), 0, stalled + 1)
        reduce = stalled > jnp.asarray(self.patience, jnp.int32)
        return PlateauState(
            seen=seen,
            reductions=reductions + reduce.astype(jnp.int32),
            best=jnp.where(better, metric, best),
            stalled=jnp.where(reduce, 0, stalled),
            cooling=jnp.where(reduce, jnp.asarray(self.cooldown, jnp.int32), jnp.maximum(cooling - 1, 0)),
        )


def plateau(
    peak_value: Number,
    *,
    factor: Number = 0.1,
    patience: Number = 10,
    threshold: Number = 1e-4,
    threshold_mode: str = "rel",
    cooldown: Number = 0,
    min_value: Number = 0.0,
    mode: str = "min",
) -> Plateau:
    """Reduce on plateau: multiplied by a factor when a metric has not improved for a while.

    rate = max(peak_value * factor**k, min_value), k reductions so far. A metric is an improvement if it is below
    best - threshold * |best| ("rel") or best - threshold ("abs"), above with plus signs for mode="max". After more than
    `patience` metrics in a row without one the rate is reduced, and the next `cooldown` metrics do not count.

    Args:
      peak_value: the rate before the first reduction; at least 0.
      factor: in [0, 1).
      patience: metrics without improvement that are put up with; at least 0.
      threshold: how much an improvement has to be; at least 0.
      threshold_mode: "rel" or "abs".
      cooldown: metrics after a reduction that do not count as stalled; at least 0.
      min_value: the lowest rate; at least 0.
      mode: "min" for a loss, "max" for an accuracy.
    Returns:
      a `Plateau`: `.init()` gives a state, `.update(state, metric)` the next one, `.rate(state)` the rate as float32.
      All three are pure and work under jit; the state is a pytree of five scalars.
    Example:
      >>> schedule = plateau(0.1, patience=1)
      >>> state = schedule.init()
      >>> for loss in (1.0, 0.9, 0.9, 0.9):
      ...     state = schedule.update(state, loss)
      >>> print(f"{schedule.rate(state):.3f}")
      0.010

    Source:
      PyTorch's ReduceLROnPlateau, whose relative threshold moves the wrong way for a metric below 0: here it does not.
    """
    if threshold_mode not in ("rel", "abs"):
        raise ValueError(f"threshold_mode must be one of rel, abs, got {threshold_mode!r}.")
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be one of min, max, got {mode!r}.")
    relative, maximize = threshold_mode == "rel", mode == "max"
    return Plateau(peak_value, factor, patience, threshold, cooldown, min_value, relative, maximize)
