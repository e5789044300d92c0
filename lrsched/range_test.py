"""The LR range test of any training step: the loss while the rate rises, and the rates that it suggests.

For update k = 0 .. steps - 1 the rate is

    init_value * (end_value / init_value)**(k / (steps - 1))        exponential, as fastai's finder
    init_value + (end_value - init_value) * k / (steps - 1)         linear, as Smith's range test

A seed's ramp stops once its loss has blown up (`analysis.range_test.watch`). Several seeds give a rate with a range.

Source: Smith, WACV 2017, arXiv:1506.01186, section 3.3 (linear, accuracy); Howard et al., fastai (exponential, loss).
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched.analysis.range_test import advice, figures, table
from lrsched.analysis.range_test.curves import Curves, Suggestion, suggest
from lrsched.analysis.range_test.ramp import as_float, as_int, make_ramp
from lrsched.analysis.range_test.reading import Reading
from lrsched.analysis.range_test.watch import Watch, default_window
from lrsched.schedules.plotting import new_axes
from lrsched.schedules.values import check_number

Step = Callable[[Any, Any, Any], tuple[Any, Any]]  # (state, batch, rate) -> (state, loss)
Measure = Callable[[Any], float]  # of a state: its held-out loss or accuracy
MOST_SEEDS = 10_000  # more were asked for by mistake


class RangeTest(NamedTuple):
    """What a range test found.

    Attributes:
      curves: the measure at each rate, raw and (`curves.smooth`) smoothed, [seeds, rates].
      suggestions: by rule.
    """

    curves: Curves
    suggestions: dict[str, Suggestion]

    def verdict(self, rate: float) -> str | None:
        """One line if the loss blew up in the ramp by this rate, or the ramp ended below it; else None.

        Raises:
          ValueError: for a rate that is no number of at least 0.
        """
        check_number("rate", rate, at_least=0.0)
        return advice.warn_about(self.curves, rate)

    def advice(self) -> str:
        """Which rate to use, and how sure that is, in one or two sentences."""
        return advice.advise(self.curves, self.suggestions)

    def table(self) -> str:
        """The suggestions as Markdown."""
        return table.format_markdown(self.suggestions)

    def plot(self, axes: Any = None) -> Any:
        """Draws the loss over the rate, and each suggestion as a vertical line, with Matplotlib (of the extra `train`).

        Args:
          axes: to draw on; None: those of a new figure.
        Returns:
          the axes.
        Raises:
          ModuleNotFoundError: if Matplotlib is not installed.
        Example:
          >>> quadratic = lambda x, _, rate: (x - rate * x, 0.5 * x * x)
          >>> axes = range_test(quadratic, 1.0, [None] * 100, init_value=1e-3, end_value=100.0).plot()
          >>> axes.get_xscale(), axes.get_ylabel()
          ('log', 'training loss')

        """
        axes = new_axes(axes)
        figures.draw_on(axes, self.curves, self.suggestions)
        return axes


def range_test(
    step: Step,
    state: Any,
    batches: Any,
    *,
    init_value: float = 1e-5,
    end_value: float = 10.0,
    steps: int = 100,
    kind: str = "exponential",
    seeds: int = 1,
    key: Any = None,
    init: Callable[[Any], Any] | None = None,
    measure: Measure | None = None,
    quantity: str = Reading.quantity,
    every: int = Reading.every,
    beta: float | None = Reading.beta,
    divergence: float = Reading.divergence,
    skip_start: int | None = Reading.skip_start,
    skip_end: int = Reading.skip_end,
) -> RangeTest:
    """Trains a copy of a network at a rising rate until its loss blows up. Nothing of the caller's is changed.

    Args:
      step: (state, batch, rate) -> (state, loss); rate is a float32 scalar, as for `optax.sgd(rate)` within the step.
      state: any pytree before the first update, copied first; None if `init` makes it.
      batches: an iterable that can be gone through again, or a function of a key that gives one; at least `steps` long.
      init_value, end_value: first and last rate; ascending, above 0 (linear: from 0).
      steps: updates of the ramp; from 2 to 1,000,000.
      kind: exponential or linear.
      seeds: how often, each with a key of its own, which only `init` and a function `batches` see.
      key: that the seeds' keys are split from; None: jax.random.key(0).
      init: makes the state of a seed from its key.
      measure: state -> held-out loss or accuracy; None: the training loss is read.
      quantity: train_loss, holdout_loss or holdout_accuracy.
      every, beta, divergence, skip_start, skip_end: how it is read (`analysis.range_test.reading.Reading`).
    Returns:
      `suggestions["valley"].value` is a rate, `.interval` the range of the seeds; `advice()` says which rate to use.
    Raises:
      ValueError: for numbers outside these ranges, before anything is trained; if the batches run out.
    Example:
      >>> quadratic = lambda x, _, rate: (x - rate * x, 0.5 * x * x)  # diverges from rate 2 on
      >>> found = range_test(quadratic, 1.0, [None] * 100, init_value=1e-3, end_value=100.0, beta=0.0)
      >>> found.suggestions["blow_up_tenth"].value > 0.2
      True
    """
    check_seeds(seeds)
    if (init is None) == (state is None):
        raise ValueError("state must be given, or init in its place, got both or neither.")
    low, high = as_float("init_value", init_value), as_float("end_value", end_value)
    rates = make_ramp(low, high, steps=as_int("steps", steps), kind=kind)
    sweep = Sweep(rates, read_as(quantity, every, beta, divergence, skip_start, skip_end))
    return sweep.measure(step, init or (lambda _: state), batches, measure, seeds=seeds, key=key)


def read_as(
    quantity: str,
    every: int,
    beta: float | None,
    divergence: float,
    skip_start: int | None,
    skip_end: int,
) -> Reading:
    """The Reading of these numbers.

    Raises:
      ValueError: if one is no number, or outside its bounds.
    """
    return Reading(
        quantity,
        as_int("every", every),
        None if beta is None else as_float("beta", beta),
        as_float("divergence", divergence),
        None if skip_start is None else as_int("skip_start", skip_start),
        as_int("skip_end", skip_end),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """Ramps of these rates, and how they are read.

    Raises:
      ValueError: if a ramp has fewer than two measures.
    """

    rates: np.ndarray
    reading: Reading

    def __post_init__(self) -> None:
        most = len(self.rates) // 2
        if self.reading.every > most:
            raise ValueError(f"every must be from 1 to {most} (half of the steps), got {self.reading.every}.")

    def measure(
        self, step: Step, init: Callable[[Any], Any], batches: Any, measure: Measure | None, *, seeds: int, key: Any
    ) -> RangeTest:
        """`range_test` along these ramps.

        Raises:
          ValueError: if batches, measure and quantity do not go together, or the batches run out.
        """
        import jax

        if seeds > 1 and not callable(batches) and iter(batches) is batches:
            raise ValueError(
                "batches must be gone through once for each seed, got an iterator: give a function of a key."
            )
        if (measure is None) != (self.reading.quantity == "train_loss"):
            allowed = "train_loss without" if measure is None else "holdout_loss or holdout_accuracy with"
            raise ValueError(f"quantity must be {allowed} a measure, got {self.reading.quantity!r}.")
        rows = []
        for each in jax.random.split(jax.random.key(0) if key is None else key, seeds):
            own, given = jax.tree.map(_copied, init(each)), batches(each) if callable(batches) else batches
            rows.append(self.row(_stepped(step, own, given, self.rates), measure))
        return self.result(rows)

    @property
    def points(self) -> int:
        """Measures along a ramp."""
        return len(self.rates) // self.reading.every

    def row(self, made: Iterable[tuple[Any, Any]], measure: Measure | None) -> np.ndarray:
        """The measures along one ramp, float64 [points], NaN from where the training loss blew up.

        Args:
          made: the state and the training loss after each update.
          measure: of a state; None: the training loss is read.
        """
        every, values = self.reading.every, np.full(self.points, math.nan)
        watch = Watch(0.0, self.reading.divergence, default_window(len(self.rates)))
        for k, (state, loss) in enumerate(made):
            read = as_float("loss", loss)
            watch = watch.after(read)
            if (k + 1) % every == 0 and math.isfinite(read):
                values[k // every] = read if measure is None else as_float("measure", measure(state))
            if watch.stopped:
                break
        return values

    def result(self, rows: Sequence[np.ndarray]) -> RangeTest:
        """The range test of these ramps, one row per seed: a measure is of the rate of the update just before it."""
        every = self.reading.every
        return suggested(Curves(self.rates[every - 1 :: every][: self.points], np.stack(rows), self.reading))


def check_seeds(seeds: int) -> None:
    """Raises ValueError unless so many ramps can be made."""
    if as_int("seeds", seeds) < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    if seeds > MOST_SEEDS:
        raise ValueError(f"seeds must be at most {MOST_SEEDS:,}, got {seeds}.")


def suggested(curves: Curves) -> RangeTest:
    """What each rule reads off these curves."""
    return RangeTest(curves, suggest(curves))


def _stepped(step: Step, state: Any, batches: Iterable[Any], rates: np.ndarray) -> Iterator[tuple[Any, Any]]:
    import jax.numpy as jnp

    made = 0
    for batch, rate in zip(itertools.islice(batches, len(rates)), rates):  # noqa: B905
        state, loss = step(state, batch, jnp.float32(rate))
        made += 1
        yield state, loss
    if made < len(rates):
        raise ValueError(f"batches must give at least {len(rates)}, got {made}.")


def _copied(leaf: Any) -> Any:
    return leaf.copy() if hasattr(leaf, "copy") else copy.deepcopy(leaf)
