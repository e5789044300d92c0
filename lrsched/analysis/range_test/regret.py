"""Regret: what following the rules of a range test cost, compared with runs at other rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from lrsched.analysis import markdown, pairs, statistics


@dataclasses.dataclass(frozen=True)
class Regret:
    """What following one rule cost, compared with the best rate that was tried."""

    rule: str
    rate: float
    error: float | None  # mean over the seeds that all rates share; None if a run diverged, as what follows from it
    regret: float | None  # error - best_error, at least 0
    interval: tuple[float, float] | None  # 95 %, paired by seed; None for a single seed
    verdict: str  # "best"; "separated" or "not separated" from the best rate; "diverged k/n"
    n: int  # shared seeds
    best_rate: float
    best_error: float


def measure_regret(
    grid: Mapping[float, Mapping[int, float | None]],
    suggested: Mapping[str, tuple[float, Mapping[int, float | None]]],
    *,
    resolution: float | None = None,
) -> list[Regret]:
    """Compares the rates that rules suggested with the best rate of whole runs.

    The best rate has the lowest mean error among those of the grid and the suggested ones without a diverged run; of
    equal ones it is the first, the grid's before the others. It is chosen by the errors that it is compared by, which
    favours it.

    Args:
      grid: rate -> seed -> error of a run at that rate, None if it diverged.
      suggested: rule -> (rate, seed -> error), likewise.
      resolution: of the errors, as in `statistics.compare`.
    Returns:
      a row per rule, in their order.
    Raises:
      ValueError: if no seed is shared by all rates, or none is without a diverged run.
    """
    runs = [*grid.items(), *suggested.values()]
    seeds = sorted(set.intersection(*(set(errors) for _, errors in runs))) if runs else []
    if not seeds:
        raise ValueError(f"seeds must be shared by all rates, got none that is, of {len(runs)} rates.")
    whole = [(rate, kept) for rate, errors in runs if (kept := _select(errors, seeds)) is not None]
    if not whole:
        raise ValueError(f"rates must hold one without a diverged run, got {len(runs)} that have some.")
    best_rate, best = min(whole, key=lambda run: statistics.mean(list(run[1].values())))
    best_error = statistics.mean(list(best.values()))
    others = {rate: kept for rate, kept in whole if rate != best_rate}
    separated = pairs.tell_apart(best, others, resolution=resolution)
    rows = []
    for rule, (rate, errors) in suggested.items():
        kept = _select(errors, seeds)
        if kept is None:
            end = markdown.diverged(list(errors.values()).count(None), len(errors))
            rows.append(Regret(rule, rate, None, None, None, end, len(seeds), best_rate, best_error))
        else:
            found, error = statistics.compare(kept, best, resolution=resolution), statistics.mean(list(kept.values()))
            verdict = "best" if rate == best_rate else "separated" if separated[rate] else "not separated"
            numbers = (error, found.mean, found.interval, verdict, found.n)
            rows.append(Regret(rule, rate, *numbers, best_rate, best_error))
    return rows


def _select(errors: Mapping[int, float | None], seeds: Sequence[int]) -> dict[int, float] | None:
    """The errors of these seeds; None if a run with any seed diverged."""
    finite = {seed: error for seed, error in errors.items() if error is not None}
    return {seed: finite[seed] for seed in seeds} if len(finite) == len(errors) else None


def format_markdown(rows: Sequence[Regret]) -> str:
    """Rows of `measure_regret` in Markdown, in percent, with a line that names the best rate; ends in a newline.

    Raises:
      ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("rows must hold at least one, got none.")
    lines = [["rule", "rate", "error, %", "regret, points", "95 % interval", "verdict"]]
    for row in rows:
        ends = "-"
        if row.interval is not None and row.verdict != "best":
            ends = f"{100 * row.interval[0]:.2f} to {100 * row.interval[1]:.2f}"
        numbers = ["-" if number is None else f"{100 * number:.2f}" for number in (row.error, row.regret)]
        lines.append([f"`{row.rule}`", f"{row.rate:.3g}", *numbers, ends, row.verdict])
    best = f"{rows[0].best_rate:.3g}, {100 * rows[0].best_error:.2f} %"
    return markdown.table(lines, align="lrrrll") + (
        f"\nBest rate tried: {best}. Mean error of {rows[0].n} seeds; regret is error - best, paired by seed; "
        "separated: moderated paired t tests at 5 %, one Holm family of all pairs of rates tried (each interval stands "
        "alone). The best rate was chosen on these same runs, which favours it.\n"
    )
