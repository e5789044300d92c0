"""The LR range test: the loss while the rate rises, of one seed or of several, and the rates that it suggests."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched.analysis.range_test import advice, table
from lrsched.analysis.range_test.curves import Curves, Suggestion, suggest
from lrsched.analysis.range_test.ramp import as_float, as_int, make_ramp
from lrsched.analysis.range_test.reading import Reading
from lrsched.analysis.range_test.watch import Watch, default_window

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
        """One line if the loss blew up in the ramp by this rate, or the ramp ended below it; else None."""
        return advice.warn_about(self.curves, rate)

    def advice(self) -> str:
        """Which rate to use, and how sure that is, in one or two sentences."""
        return advice.advise(self.curves, self.suggestions)

    def table(self) -> str:
        """The suggestions as Markdown."""
        return table.format_markdown(self.suggestions)


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
    """Trains a copy of a network while its learning rate rises, until its loss blows up; on any training step.

    rate(k) = init_value * (end_value / init_value)**(k / (steps - 1)), or with kind "linear"
    init_value + (end_value - init_value) * k / (steps - 1), for update k = 0 .. steps - 1.

    Nothing of the caller's is changed: the leaves of the state are copied first, so that even a step that takes its
    input's memory (`jax.jit` with donate_argnums) leaves them whole, and no global key or counter is read.

    Args:
      step: (state, batch, rate) -> (state, loss), as a jitted training step is; rate is a float32 scalar. With Optax:
        make the transformation in the step, `optax.sgd(rate, momentum=0.9).update(...)`.
      state: the state before the first update, any pytree; None if `init` makes it.
      batches: an iterable of batches that can be gone through again, such as a list; or a function of a key that gives
        one. At least `steps` of them.
      init_value: rate of the first update; above 0 (linear: at least 0), in float32.
      end_value: rate of the last update; above init_value.
      steps: updates of the ramp; from 2 to 1,000,000.
      kind: "exponential", as fastai's finder, or "linear", as Smith's range test.
      seeds: how many times, each with a key of its own; more than one is of use only if `init` is given or `batches` is
        a function of the key.
      key: JAX key that the seeds' keys are split from; None: jax.random.key(0).
      init: makes the state of a seed from its key.
      measure: state -> the held-out loss or accuracy; None: the training loss is read.
      quantity: what is read: "train_loss", "holdout_loss" or "holdout_accuracy".
      every: updates between two measures; 1 for the training loss.
      beta: of the smoothing, as `lrsched.analysis.range_test.reading.Reading` explains it.
      divergence: a seed stops once its loss exceeds this multiple of the lowest so far, as explained there.
      skip_start: points at the start that no rule sees; None: a tenth of them.
      skip_end: points at the end of what was measured that no rule but blow_up_tenth sees.
    Returns:
      the RangeTest: `suggestions["valley"].value` is a rate, the geometric mean over the seeds, and `.interval` the
      lowest and the highest of theirs; `advice()` says which rate to use.
    Raises:
      ValueError: for numbers outside these ranges before anything is trained, and if the batches run out.
    Example:
      >>> quadratic = lambda x, _, rate: (x - rate * x, 0.5 * x * x)  # diverges from rate 2 on
      >>> found = range_test(quadratic, 1.0, [None] * 100, init_value=1e-3, end_value=100.0, beta=0.0)
      >>> found.curves.stopped[0] is not None, found.suggestions["blow_up_tenth"].value > 0.2
      (True, True)

    Source:
      Smith, WACV 2017, arXiv:1506.01186, section 3.3 (linear, accuracy); Howard et al., fastai (exponential, loss).
    """
    import jax

    check_seeds(seeds)
    if (init is None) == (state is None):
        raise ValueError("state must be given, or init in its place, got both or neither.")
    if seeds > 1 and not callable(batches) and iter(batches) is batches:
        raise ValueError("batches must be gone through once for each seed, got an iterator: give a function of a key.")
    if (measure is None) != (quantity == "train_loss"):
        allowed = "train_loss without" if measure is None else "holdout_loss or holdout_accuracy with"
        raise ValueError(f"quantity must be {allowed} a measure, got {quantity!r}.")
    low, high = as_float("init_value", init_value), as_float("end_value", end_value)
    rates = make_ramp(low, high, steps=as_int("steps", steps), kind=kind)
    sweep = Sweep(rates, read_as(quantity, every, beta, divergence, skip_start, skip_end))
    keys = jax.random.split(jax.random.key(0) if key is None else key, seeds)
    rows = []
    for each in keys:
        own = state if init is None else init(each)
        given = batches(each) if callable(batches) else batches
        rows.append(sweep.row(_stepped(step, jax.tree.map(_copied, own), given, rates), measure))
    return sweep.result(rows)


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
