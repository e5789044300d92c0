"""The comparisons of a study: differences between schedules under one budget, and what may be claimed of them."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
from collections.abc import Sequence

import numpy as np

from lrsched.analysis import pairs, power, resampling, statistics
from lrsched.analysis.pairs import Pairs
from lrsched.analysis.study.cells import Cell


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two schedules under one budget, paired by seed. Errors and differences are in [0, 1], not percent.

    A run that diverged is worse than any error: the difference is infinite (NaN if both schedules had one), there is no
    interval and no t test, and the pair is judged by the sign-flip test and by the probability of improvement, in which
    it counts as the worst. What cannot be told is None.

    Attributes:
      budget: as the study names it.
      first, second: labels of the schedules.
      difference: mean over the shared seeds of first - second.
      interval: 95 %, by Student's t.
      bootstrap: 95 %, (low, high); `bootstrap_method` says how.
      p_t: of the paired t test.
      p_sign_flip: of the sign-flip test.
      p_adjusted: of the test in the family of all that is claimed (`analysis.pairs`), by Holm.
      n: shared seeds.
      separated: whether p_adjusted is below 5 %.
      seeds_needed: with which the observed difference, were it the true one, is separated with 80 % power.
      improvement: probability that a run of the first is better than one of the second, ties half.
      no_worse: whether the first is shown to be worse by less than the margin; None without a margin.
      no_better: whether it is shown to be better by less than the margin, so that the second is no worse.
      equivalent: whether they are shown to differ by less than the margin, either way (two one-sided tests).
      diverged: runs of the first and of the second that diverged.
    """

    budget: str
    first: str
    second: str
    difference: float
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None
    p_t: float | None
    p_sign_flip: float | None
    p_adjusted: float | None
    n: int
    separated: bool
    seeds_needed: int | None
    improvement: float
    no_worse: bool | None = None
    no_better: bool | None = None
    equivalent: bool | None = None
    bootstrap_method: str | None = None
    diverged: tuple[int, int] = (0, 0)

    @property
    def pair(self) -> tuple[str, frozenset[str]]:
        """The budget and the two labels, in no order."""
        return self.budget, frozenset((self.first, self.second))


@dataclasses.dataclass(frozen=True)
class Judged:
    """One member of a table's family: two cells of a budget, their index among its `Pairs`, and its adjusted p's."""

    first: Cell
    second: Cell
    tests: Pairs
    at: int
    sign: int  # -1: the pair is (second, first) in `tests`
    family: int  # tests in the family
    p_adjusted: float | None
    p_no_worse: float | None = None
    p_no_better: float | None = None

    @property
    def separated(self) -> bool:
        return _passes(self.p_adjusted)

    @property
    def pair(self) -> tuple[str, frozenset[str]]:
        """The budget and the two labels, in no order."""
        return self.first.budget, frozenset((self.first.label, self.second.label))


def judge(cells: Sequence[Cell], *, reference: str | None = None, margin: float | None = None) -> list[Judged]:
    """The tests of a table, in one Holm family.

    Args:
      cells: of one study.
      reference: label that all others are compared with, named before the results were seen; None: all pairs, in the
        order of the cells.
      margin: difference in error that does not matter (0.002 is 0.2 percentage points). If given, both one-sided tests
        of each pair belong to the family as well.
    Returns:
      budget by budget.
    Raises:
      ValueError: if no cell is of the reference, or the margin is not above 0.
    """
    if margin is not None and not margin > 0:
        raise ValueError(f"margin must be above 0, got {margin:g}.")
    labels = list(dict.fromkeys(cell.label for cell in cells))
    if reference is not None and reference not in labels:
        raise ValueError(f"reference must be one of {', '.join(labels)}, got {reference}.")
    found: list[tuple[Cell, Cell, Pairs, int, int]] = []
    differ: list[tuple[float, float]] = []
    for budget in dict.fromkeys(cell.budget for cell in cells):
        column = [cell for cell in cells if cell.budget == budget]
        tests = pair_cells(column)
        values = list(zip(*tests.differ(), strict=True))
        for at, (i, j) in enumerate(itertools.combinations(range(len(column)), 2)):
            turned = reference == column[i].label
            if reference is None or turned or reference == column[j].label:
                first, second = (column[j], column[i]) if turned else (column[i], column[j])
                found.append((first, second, tests, at, -1 if turned else 1))
                differ.append(values[at])
    bounds = [] if margin is None else [_bound(*one[2:5], margin) for one in found]
    sides = [bound[side] for side in (0, 1) for bound in bounds]
    every = np.array([*differ, *sides], float).reshape(-1, 2)
    adjusted = [None if math.isnan(p) else float(p) for p in pairs.adjust(every[:, 0], every[:, 1])]
    count = len(found)
    rows = [[*adjusted[k::count], None, None][:3] for k in range(count)]
    return [Judged(*one, len(every), *row) for one, row in zip(found, rows, strict=True)]


def pair_cells(column: Sequence[Cell]) -> Pairs:
    """The tests of all pairs of cells of one budget."""
    sizes = {cell.resolution for cell in column}
    values = [cell.errors | dict.fromkeys(cell.diverged_seeds, math.inf) for cell in column]
    return pairs.pair_up(pairs.as_array(values), resolution=sizes.pop() if len(sizes) == 1 else None)


def _bound(tests: Pairs, at: int, sign: int, margin: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Own and moderated p of first - second < margin, and of first - second > -margin."""
    below = tests.below(sign * margin)
    above = tests.below(-sign * margin)
    low = (float(below[0][at]), float(below[1][at]))
    high = (1 - float(above[0][at]), 1 - float(above[1][at]))
    return (low, high) if sign > 0 else ((1 - low[0], 1 - low[1]), (1 - high[0], 1 - high[1]))


def _passes(p: float | None) -> bool:
    return p is not None and p < 1 - statistics.LEVEL


def compare_cells(
    cells: Sequence[Cell], *, reference: str | None = None, margin: float | None = None
) -> list[Comparison]:
    """Compares the schedules of a study under each budget.

    Args:
      cells, reference, margin: as in `judge`.
    Returns:
      a Comparison for each pair, or for each schedule with the reference (as the second), budget by budget.
    Raises:
      ValueError: as `judge`.
    """
    return [_describe(one, margin) for one in judge(cells, reference=reference, margin=margin)]


def _describe(one: Judged, margin: float | None) -> Comparison:
    first, second = one.first, one.second
    both = [cell.errors | dict.fromkeys(cell.diverged_seeds, math.inf) for cell in (first, second)]
    shared = sorted(both[0].keys() & both[1].keys())
    gaps = resampling.subtract(*(np.array([values[seed] for seed in shared], float) for values in both))
    finite = bool(len(gaps)) and bool(np.isfinite(gaps).all()) and not (first.diverged or second.diverged)
    told = statistics.compare(first.errors, second.errors, resolution=first.resolution) if finite else None
    around = resampling.bootstrap(gaps.tolist()) if finite else None
    known = told is not None and told.p is not None
    return Comparison(
        budget=first.budget,
        first=first.label,
        second=second.label,
        difference=one.sign * float(one.tests.mean[one.at]) if shared else math.nan,
        interval=None if told is None else told.interval,
        bootstrap=None if around is None else around[:2],
        p_t=None if told is None else told.p,
        p_sign_flip=resampling.flip_signs(gaps) if len(gaps) > 1 else None,
        p_adjusted=one.p_adjusted,
        n=len(shared),
        separated=one.separated,
        seeds_needed=count_seeds(one) if known else None,
        improvement=resampling.improvement(*(list(values.values()) for values in both)),
        no_worse=None if margin is None else _passes(one.p_no_worse),
        no_better=None if margin is None else _passes(one.p_no_better),
        equivalent=None if margin is None else _passes(one.p_no_worse) and _passes(one.p_no_better),
        bootstrap_method=None if around is None else around.method,
        diverged=(first.diverged, second.diverged),
    )


def count_seeds(one: Judged, difference: float | None = None) -> int | None:
    """The seeds with which a difference would be separated with 80 % power, at the level of its family's first test.

    Args:
      one: the pair whose spread is taken.
      difference: the true one; None: the observed one.
    """
    mean = float(one.tests.mean[one.at]) if difference is None else difference
    level, spread = 1 - statistics.LEVEL, float(one.tests.sd[one.at])
    alone = power.seeds_needed(mean, spread, level=level)
    together = power.seeds_needed(
        mean,
        float(one.tests.moderated[one.at]),
        level=level / one.family,
        things=one.tests.things,
        prior=one.tests.prior,
    )
    return None if alone is None or together is None else max(alone, together)


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as a CSV file: a line each, in fractions; an interval is two columns; empty: not known."""
    text = io.StringIO()
    rows = [_row(one) for one in comparisons]
    writer = csv.DictWriter(text, _row(_EMPTY).keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_EMPTY = Comparison("", "", "", math.nan, None, None, None, None, None, 0, False, None, math.nan)


def _row(one: Comparison) -> dict[str, str]:
    low, high = one.interval or (None, None)
    least, most = one.bootstrap or (None, None)
    cells: dict[str, str | int | float | None] = {
        "budget": one.budget,
        "first": one.first,
        "second": one.second,
        "n": one.n,
        "difference": one.difference,
        "interval_low": low,
        "interval_high": high,
        "bootstrap_low": least,
        "bootstrap_high": most,
        "bootstrap_method": one.bootstrap_method,
        "p_t": one.p_t,
        "p_sign_flip": one.p_sign_flip,
        "p_adjusted": one.p_adjusted,
        "separated": one.separated,
        "seeds_needed": one.seeds_needed,
        "improvement": one.improvement,
        "no_worse": one.no_worse,
        "no_better": one.no_better,
        "equivalent": one.equivalent,
        "first_diverged": one.diverged[0],
        "second_diverged": one.diverged[1],
    }
    return {name: _write(value) for name, value in cells.items()}


def _write(value: str | int | float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
