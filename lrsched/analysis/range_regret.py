"""What following the rules of a range test cost, held against runs at other rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from lrsched.analysis import statistics


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
    return markdown(lines) + (
        f"\nBest rate tried: {best}. Mean error of {rows[0].n} seeds; regret is error - best, paired by seed; "
        "separated: paired t tests at 5 %, Holm over all rates tried (each interval stands alone). The best rate was "
        "chosen on these same runs, which favours it.\n"
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table of these rows."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
