"""Learning-rate range tests of several seeds: curves, suggestions with intervals, and what these were worth.

A test trains for a short while at a growing rate and looks at the loss. One such curve is noisy, so there are several,
and what is read off them is a mean with an interval. The arithmetic of a single curve is in `range_rules`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from lrsched.analysis import statistics
from lrsched.analysis.range_rules import (
    RULES,
    SOURCES,
    Points,
    Rule,
    Watch,
    blow_up_tenth,
    check_beta,
    minimum,
    minimum_tenth,
    ramp,
    slide,
    smith_bounds,
    smoothed,
    steepest,
    valley,
)

__all__ = [
    "RULES", "Curves", "Regret", "Suggestion", "Watch", "blow_up_tenth", "cycle_bounds", "minimum", "minimum_tenth",
    "ramp", "regret", "regret_table", "slide", "smith_bounds", "smoothed", "steepest", "suggestions", "table",
    "valley", "verdict",
]  # fmt: skip

QUANTITIES = ("train_loss", "holdout_loss", "holdout_accuracy")


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What one range test measured, by seed, and how it is to be read.

    Raises:
      ValueError: if a field is not as said.
    """

    rates: Float64[np.ndarray, " steps"]  # ascending, finite, not negative
    values: Float64[np.ndarray, "seeds steps"]  # raw; NaN where a seed's test had stopped
    quantity: str  # of QUANTITIES
    beta: float = 0.98  # of the smoothing
    divergence: float = 4.0  # above 1: a loss above this times its smallest has blown up
    skip_start: int = 0  # points at the start that no rule sees; fastai: a tenth of the test
    skip_end: int = 0  # points at the end of what was measured that no rule but blow_up_tenth sees; fastai: 5

    def __post_init__(self) -> None:
        rates, values = self.rates, self.values
        if rates.ndim != 1 or not len(rates) or not (np.isfinite(rates).all() and rates[0] >= 0):
            raise ValueError(f"rates must be at least one finite rate, not negative, got {rates}.")
        if not (np.diff(rates) > 0).all():
            raise ValueError("rates must be ascending, got some that are not.")
        if values.ndim != 2 or not len(values) or values.shape[1] != len(rates):
            raise ValueError(f"values must be [seeds, {len(rates)}] with at least one seed, got {values.shape}.")
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}.")
        check_beta(self.beta)
        if not 1 < self.divergence < math.inf:
            raise ValueError(f"divergence must be above 1 and finite, got {self.divergence}.")
        if min(self.skip_start, self.skip_end) < 0:
            raise ValueError(f"skips must not be negative, got {self.skip_start} and {self.skip_end}.")

    @property
    def smooth(self) -> Float64[np.ndarray, "seeds steps"]:
        """`smoothed` values."""
        return smoothed(self.values, beta=self.beta)

    @property
    def stopped(self) -> tuple[int | None, ...]:
        """Of each seed the first point that is missing, not finite or (of a loss) beyond its limit, as `Watch` says."""
        return tuple(self._stop(row) for row in self.values.tolist())

    def _stop(self, row: list[float]) -> int | None:
        watch = Watch(self.beta, self.divergence)
        for i, value in enumerate(row):
            watch = watch.after(value)
            if watch.stopped if self.quantity != "holdout_accuracy" else not math.isfinite(value):
                return i
        return None


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """What one rule reads off the curves of several seeds."""

    rule: str
    value: float | None  # geometric mean over the seeds that have one; None if none has
    interval: tuple[float, float] | None  # 95 % t interval of log10 of the rate, as rates; None below two seeds
    per_seed: tuple[float | None, ...]

    @property
    def n(self) -> int:
        """How many seeds have a rate."""
        return len(self.per_seed) - self.per_seed.count(None)


def suggestions(curves: Curves) -> dict[str, Suggestion]:
    """Every rule's rate: `RULES` for a loss; smith_min and smith_max, the `smith_bounds`, for an accuracy.

    Rules see the smoothed curve without its skip_start first and skip_end last finite points, and without a rate of 0.
    Only blow_up_tenth sees the end, since a test that stops where the loss blows up has its last point there. The rules
    for losses are not applied to 1 - accuracy: their constants are in units of a cross-entropy.

    Args:
      curves: of one test.
    Returns:
      rule -> Suggestion, in the order of `RULES`.
    """
    rows = list(curves.smooth)
    if curves.quantity == "holdout_accuracy":
        bounds = [smith_bounds(*_window(curves, row)) for row in rows]
        found = {name: [pair and pair[i] for pair in bounds] for i, name in enumerate(("smith_min", "smith_max"))}
    else:
        rules: dict[str, Rule] = {**RULES}
        blow_up = functools.partial(blow_up_tenth, divergence=curves.divergence)
        found = {name: [rule(*_window(curves, row)) for row in rows] for name, rule in rules.items()}
        found["blow_up_tenth"] = [blow_up(*_window(curves, row, with_end=True)) for row in rows]
    return {name: _suggestion(name, rates) for name, rates in found.items()}


def _window(curves: Curves, row: Float64[np.ndarray, " steps"], *, with_end: bool = False) -> tuple[Points, Points]:
    """The points that rules see; with_end: all from the first of them on, finite or not."""
    seen = np.flatnonzero(np.isfinite(row) & (curves.rates > 0))[curves.skip_start :]
    if with_end:
        return (curves.rates[seen[0] :], row[seen[0] :]) if len(seen) else (curves.rates[:0], row[:0])
    seen = seen[: max(0, len(seen) - curves.skip_end)]
    return curves.rates[seen], row[seen]


def _suggestion(rule: str, rates: Sequence[float | None]) -> Suggestion:
    logs = [math.log10(rate) for rate in rates if rate is not None]
    ends = statistics.interval(logs) if logs else None
    value = 10 ** statistics.mean(logs) if logs else None
    return Suggestion(rule, value, ends and (10 ** ends[0], 10 ** ends[1]), tuple(rates))


def cycle_bounds(peak: float) -> dict[str, float]:
    """The lower bounds of a cycle that go with an upper one, by the name of the fraction.

    Args:
      peak: the upper bound, above 0.
    Returns:
      max/3 and max/4: Smith, arXiv:1506.01186, section 3.3; max/10 and max/20, for a single cycle: Smith,
      arXiv:1803.09820, section on 1cycle.
    Raises:
      ValueError: if peak is not above 0 and finite.
    """
    if not 0 < peak < math.inf:
        raise ValueError(f"peak must be above 0 and finite, got {peak}.")
    return {f"max/{part}": peak / part for part in (3, 4, 10, 20)}


def verdict(curves: Curves, rate: float) -> str | None:
    """What speaks against training at a rate, in one line.

    Args:
      curves: of one test.
      rate: that someone wants to train at.
    Returns:
      that the rate is at or above the smallest at which a seed's test stopped, and how many seeds' had by that rate; or
      that the ramp ended below it; None if neither is so, which is no promise: a test is shorter than a run.
    """
    ends = [float(curves.rates[stop]) for stop in curves.stopped if stop is not None]
    if ends and rate >= min(ends):
        count = sum(end <= rate for end in ends)
        where = f"{min(ends):.3g}, where the loss of {count} of {len(curves.values)} seeds blew up"
        return f"rate {rate:g} is at or above {where}"
    if rate > curves.rates[-1]:
        return f"rate {rate:g} was not tested: the ramp ended at {curves.rates[-1]:.3g}"
    return None


def table(suggestions_by_rule: Mapping[str, Suggestion]) -> str:
    """Suggestions in Markdown, a row a rule, ending in a newline.

    n is "seeds with a rate of all". Two columns give the lower bound of cycles that go up to the rate (`cycle_bounds`).
    """
    rows = [["rule", "rate", "95 % interval", "n", "many cycles from", "one cycle from", "source"]]
    rows.append(["---", "---:", "---", "---", "---", "---", "---"])
    for name, found in suggestions_by_rule.items():
        ends = "-" if found.interval is None else f"{found.interval[0]:.3g} to {found.interval[1]:.3g}"
        rate = "-" if found.value is None else f"{found.value:.3g}"
        many = one = "-"
        if found.value is not None and name != "smith_min":  # which is a lower bound itself
            low = cycle_bounds(found.value)
            many, one = f"{low['max/4']:.2g} to {low['max/3']:.2g}", f"{low['max/20']:.2g} to {low['max/10']:.2g}"
        count = f"{found.n} of {len(found.per_seed)}"
        rows.append([f"`{name}`", rate, ends, count, many, one, SOURCES.get(name, "-")])
    return _markdown(rows)


@dataclasses.dataclass(frozen=True)
class Regret:
    """What following one rule cost against the best rate that was tried."""

    rule: str
    rate: float
    error: float | None  # mean over the seeds that all rates share; None if a run diverged, as what follows from it
    regret: float | None  # error - best_error, at least 0
    interval: tuple[float, float] | None  # 95 %, paired by seed; None for a single seed
    verdict: str  # "best"; "separated" or "not separated" from the best rate; "diverged k/n"
    n: int  # shared seeds
    best_rate: float
    best_error: float


def regret(
    grid: Mapping[float, Mapping[int, float | None]],
    suggested: Mapping[str, tuple[float, Mapping[int, float | None]]],
) -> list[Regret]:
    """Holds the rates that rules suggested against the best rate found by real runs.

    Best is the lowest mean error among the grid's rates and the suggested ones that have no diverged run; the first of
    equal ones, the grid's before. It is chosen on the errors it is compared by, which favours it.

    Args:
      grid: rate -> seed -> error of a run at that rate, None if it diverged.
      suggested: rule -> (rate, seed -> error), in the same way.
    Returns:
      a row a rule, in their order.
    Raises:
      ValueError: if no seed is shared by all rates, or none is without a diverged run.
    """
    runs = [*grid.items(), *suggested.values()]
    seeds = sorted(set.intersection(*(set(errors) for _, errors in runs))) if runs else []
    if not seeds:
        raise ValueError(f"seeds must be shared by all rates, got none that is, of {len(runs)} rates.")
    whole = [(rate, kept) for rate, errors in runs if (kept := _kept(errors, seeds)) is not None]
    if not whole:
        raise ValueError(f"rates must hold one without a diverged run, got {len(runs)} that have some.")
    best_rate, best = min(whole, key=lambda run: statistics.mean(list(run[1].values())))
    best_error = statistics.mean(list(best.values()))
    others = {rate: kept for rate, kept in whole if rate != best_rate}
    separated = statistics.separated(best, others)
    rows = []
    for rule, (rate, errors) in suggested.items():
        kept = _kept(errors, seeds)
        if kept is None:
            end = f"diverged {list(errors.values()).count(None)}/{len(errors)}"
            rows.append(Regret(rule, rate, None, None, None, end, len(seeds), best_rate, best_error))
        else:
            found, error = statistics.paired(kept, best), statistics.mean(list(kept.values()))
            verdict = "best" if rate == best_rate else "separated" if separated[rate] else "not separated"
            numbers = (error, found.mean, found.interval, verdict, found.n)
            rows.append(Regret(rule, rate, *numbers, best_rate, best_error))
    return rows


def _kept(errors: Mapping[int, float | None], seeds: Sequence[int]) -> dict[int, float] | None:
    """The errors of these seeds; None if a run of any seed diverged."""
    finite = {seed: error for seed, error in errors.items() if error is not None}
    return {seed: finite[seed] for seed in seeds} if len(finite) == len(errors) else None


def regret_table(rows: Sequence[Regret]) -> str:
    """Rows of `regret` in Markdown, in percent, with a line that names the best rate; ends in a newline.

    Raises:
      ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("rows must hold at least one, got none.")
    lines = [["rule", "rate", "error, %", "regret, points", "95 % interval", "verdict"]]
    lines.append(["---", "---:", "---:", "---:", "---", "---"])
    for row in rows:
        ends = (
            "-"
            if row.interval is None or row.verdict == "best"
            else f"{100 * row.interval[0]:.2f} to {100 * row.interval[1]:.2f}"
        )
        numbers = ["-" if number is None else f"{100 * number:.2f}" for number in (row.error, row.regret)]
        lines.append([f"`{row.rule}`", f"{row.rate:.3g}", *numbers, ends, row.verdict])
    best = f"{rows[0].best_rate:.3g}, {100 * rows[0].best_error:.2f} %"
    return _markdown(lines) + (
        f"\nBest rate tried: {best}. Mean error of {rows[0].n} seeds; regret is error - best, paired by seed; "
        "separated: paired t tests at 5 %, Holm over all rates tried (each interval stands alone). The best rate was "
        "chosen on these same runs, which favours it.\n"
    )


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
