"""What may be claimed of a study: its table, differences with their intervals, and what was chosen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from lrsched.analysis import markdown
from lrsched.analysis.markdown import code, escape
from lrsched.analysis.report import chart
from lrsched.analysis.report.document import Column, Entry, Table
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.comparisons import Comparison

Marks = Mapping[tuple[str, str], tuple[bool, bool]]  # of `table.mark`


def budgets_of(cells: Sequence[Cell]) -> dict[str, float]:
    """Budget -> epochs, from the shortest."""
    return {cell.budget: cell.epochs for cell in sorted(cells, key=lambda cell: cell.epochs)}


def find_best(cells: Sequence[Cell], budget: str) -> Cell | None:
    """The lowest mean of a budget among the cells without a diverged run; None if there is none."""
    known = [cell for cell in cells if cell.budget == budget and not cell.diverged and cell.mean is not None]
    return min(known, key=lambda cell: cell.mean or 0.0, default=None)


def turn(one: Comparison, second: str | None) -> Comparison | None:
    """The comparison with this schedule as the second; None if it is not of it."""
    if second == one.second:
        return one
    if second != one.first:
        return None

    def back(interval: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if interval is None else (-interval[1], -interval[0])

    return dataclasses.replace(
        one,
        first=one.second,
        second=one.first,
        difference=-one.difference,
        interval=back(one.interval),
        bootstrap=back(one.bootstrap),
        improvement=1 - one.improvement,
        no_worse=one.no_better,
        no_better=one.no_worse,
        diverged=one.diverged[::-1],
    )


def tabulate_results(cells: Sequence[Cell], marks: Marks, measure: str, reference: str | None = None) -> Table:
    """A row per schedule, a column per budget: mean and sd in percent, below them seeds and rate."""
    at = {(cell.label, cell.budget): cell for cell in cells}
    heads = [Column("schedule")]
    for budget, epochs in budgets_of(cells).items():
        under = f"{epochs:g} epoch{'' if epochs == 1 else 's'}" if budget.endswith("%") else ""
        heads.append(Column(escape(budget), "r", under))
    rows = []
    for label in dict.fromkeys(cell.label for cell in cells):
        own = [
            _result(at.get((label, budget)), marks.get((label, budget), (False, False))) for budget in budgets_of(cells)
        ]
        rows.append((Entry(code(label), label), *own))
    notes = [f"{measure[0].upper()}{measure[1:]} in %, mean ± standard deviation; n: seeds."]
    what = code(reference) if reference else "it"
    notes.append(
        f"Bold: the lowest mean of its budget. †: not separated from {what} at 5 % (Holm, over all that is compared)."
    )
    return Table("results", f"{measure[0].upper()}{measure[1:]} of each schedule under each budget", tuple(heads),
                 tuple(rows), tuple(notes))  # fmt: skip


def _result(cell: Cell | None, mark: tuple[bool, bool]) -> Entry:
    if cell is None:
        return Entry("-")
    if cell.diverged or cell.mean is None:
        gone = markdown.diverged(cell.diverged, cell.diverged + cell.n)
        return Entry(gone, "diverged", f"rate {cell.peak_value:g}")
    spread = "" if cell.sd is None else f" ± {100 * cell.sd:.2f}"
    under = f"n {cell.n}, rate {cell.peak_value:g}"
    best, tied = mark
    return Entry(f"{100 * cell.mean:.2f}{spread}", 100 * cell.mean, under, "best" if best else "tied" if tied else "")


def tabulate_settings(cells: Sequence[Cell]) -> Table:
    """What each cell was trained at, what was tried for it, and its error once more, a number to a column."""
    chosen = any(cell.chosen_on == "held-out" for cell in cells)
    momenta = any(cell.momentum is not None for cell in cells)
    decays = len({cell.weight_decay for cell in cells}) > 1
    heads = [("schedule", "l"), ("budget", "l"), ("epochs", "r"), ("n", "r"), ("mean, %", "r"), ("sd", "r")]
    heads += [("interval, low", "r"), ("high", "r"), ("rate", "r")]
    heads += [("weight decay", "r")] if decays else []
    heads += [("momentum", "l")] if momenta else []
    heads += [("rates tried", "l"), ("at the edge", "l")] if chosen else []
    rows = []
    for cell in cells:
        low, high = cell.interval or (None, None)
        row = [Entry(code(cell.label), cell.label), Entry(escape(cell.budget), cell.epochs), _plain(cell.epochs)]
        row += [_plain(cell.n), *(_percent(value) for value in (cell.mean, cell.sd, low, high))]
        row += [_plain(cell.peak_value)]
        row += [_plain(cell.weight_decay)] if decays else []
        row += [Entry("its own" if cell.momentum is None else escape(cell.momentum))] if momenta else []
        tried = ", ".join(f"{rate:g}" for rate in cell.rates_tried)
        row += [Entry(tried, cell.rates_tried[0]), Entry(cell.at_edge or "-", cell.at_edge)] if chosen else []
        rows.append(tuple(row))
    minor = ("rates tried", "at the edge", "interval, low", "high")
    columns = tuple(Column(head, "r" if side == "r" else "l", minor=head in minor) for head, side in heads)
    aside = ["Interval: 95 %, by Student's t."]
    aside += ["At the edge: the best rate was the lowest or the highest that was tried."] if chosen else []
    title = "What each schedule was trained at" + (", chosen on held-out data" if chosen else "")
    return Table("settings", title, columns, tuple(rows), aside=tuple(aside))


def tabulate_differences(
    comparisons: Sequence[Comparison], epochs: dict[str, float], *, name: str, title: str, folded: bool = False
) -> Table:
    """Comparisons, a row each: the difference in percentage points with its interval, p, and how many seeds it takes.

    Args:
      comparisons: at least one, of one family.
      epochs: of each budget.
      name, title, folded: of the table.
    """
    ends = {
        budget: _common_ends([value for one in comparisons if one.budget == budget for value in _points(one)])
        for budget in epochs
    }
    margin = any(one.no_worse is not None for one in comparisons)
    heads = [Column("budget"), Column("first"), Column("second"), Column("difference", "r", "points")]
    heads += [
        Column("95 % interval", "l", "t, points"),
        Column("p", "r", "t test", True),
        Column("p", "r", "sign flips", True),
    ]
    heads += [Column("p", "r", "adjusted"), Column("lower", "r", "first is", True), Column("n", "r")]
    heads += [Column("seeds", "r", "for 80 %", True)] + ([Column("no worse")] if margin else []) + [Column("verdict")]
    rows = []
    for one in comparisons:
        row = [
            Entry(escape(one.budget), epochs[one.budget]),
            Entry(code(one.first), one.first),
            Entry(code(one.second), one.second),
            *_difference(one, ends[one.budget]),
            *(_p(value) for value in (one.p_t, one.p_sign_flip, one.p_adjusted)),
            Entry("-") if math.isnan(one.improvement) else Entry(f"{100 * one.improvement:.0f} %", one.improvement),
            _plain(one.n),
            Entry("-") if one.seeds_needed is None else Entry(f"{one.seeds_needed:,}", float(one.seeds_needed)),
        ]
        row += [Entry({True: "yes", False: "not shown", None: "-"}[one.no_worse])] if margin else []
        rows.append((*row, Entry("**separated**" if one.separated else "not separated")))
    notes = (
        "Difference: mean of first - second over the seeds that both have; below 0 the first has the lower error.",
        "Adjusted: Holm, over every comparison of the study.",
    )
    aside = (
        "Each budget's intervals are drawn on one scale, around 0.",
        "Lower: probability that a run of the first beats one of the second.",
        "Seeds: with which the difference, were it the true one, would be separated with 80 % power.",
    )
    return Table(name, title, tuple(heads), tuple(rows), notes, aside, folded)


def _difference(one: Comparison, ends: tuple[float, float]) -> tuple[Entry, Entry]:
    """The difference, and its interval as numbers beside a drawing."""
    if not math.isfinite(one.difference):
        return Entry("diverged"), Entry("-")
    points = 100 * one.difference
    if one.interval is None:
        return Entry(f"{points:+.2f}", points), Entry("-", drawing=chart.draw_interval(points, None, None, ends))
    low, high = (100 * value for value in one.interval)
    drawn = chart.draw_interval(points, low, high, ends)
    return Entry(f"{points:+.2f}", points), Entry(f"{low:+.2f} to {high:+.2f}", low, drawing=drawn)


def _points(one: Comparison) -> list[float]:
    return [100 * value for value in (one.difference, *(one.interval or ())) if math.isfinite(value)]


def _common_ends(values: Sequence[float]) -> tuple[float, float]:
    """One scale for the intervals of a budget, around 0; a few very wide ones do not squeeze the others."""
    sizes = sorted(abs(value) for value in values)
    most = sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))] if sizes else 0.0
    return -(most or 1.0) * 1.05, (most or 1.0) * 1.05


def _p(value: float | None) -> Entry:
    if value is None:
        return Entry("-")
    return Entry(f"{value:.3f}" if value >= 0.001 else f"{value:.0e}", value)


def _plain(value: float | int) -> Entry:
    return Entry(f"{value:g}", float(value))


def _percent(value: float | None) -> Entry:
    return Entry("-") if value is None else Entry(f"{100 * value:.2f}", 100 * value)
