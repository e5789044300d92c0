"""Where schedules stand over many settings, and where measured numbers stand beside printed ones."""

from __future__ import annotations

from collections.abc import Sequence

from lrsched.analysis import drawing, markdown, statistics
from lrsched.analysis.markdown import code, escape, plural
from lrsched.analysis.report import chart
from lrsched.analysis.report.document import Block, Column, Entry, Figure, Table
from lrsched.analysis.study import ledger, ranks
from lrsched.analysis.study.cells import Cell


def rank(studies: Sequence[Sequence[Cell]]) -> list[Block]:
    """Mean ranks and shares of first places over the settings of some studies, and which ranks differ.

    Returns:
      nothing where fewer than two schedules stand in the same setting, or there is one setting.
    """
    labels, scores = ranks.tabulate(studies)
    if len(labels) < 2 or len(scores) < 2:
        return []
    blocks: list[Block] = [_tabulate(ranks.rank_cells(studies), several=len(studies) > 1)]
    try:
        found = ranks.find_critical_difference(studies)
    except ValueError:  # too few that stand in every setting
        return blocks
    return [*blocks, _draw(found)]


def _tabulate(standings: Sequence[ranks.Standing], *, several: bool) -> Table:
    ends = (1.0, max(2.0, *(one.rank_interval[1] if one.rank_interval else one.mean_rank for one in standings)))
    rows = []
    for one in standings:
        low, high = one.rank_interval or (None, None)
        drawn = chart.draw_interval(one.mean_rank, low, high, ends, at=None)
        between = "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"
        row = [Entry(code(one.label), one.label), Entry(str(one.settings), float(one.settings))]
        row += [Entry(f"{one.mean_rank:.2f}", one.mean_rank), Entry(between, low, drawing=drawn)]
        for share, around in (one.top_1, one.top_1_interval), (one.top_3, one.top_3_interval):
            said = "-" if around is None else f"{100 * around[0]:.0f} to {100 * around[1]:.0f}"
            row += [Entry(f"{100 * share:.0f}", 100 * share), Entry(said, None if around is None else around[0])]
        rows.append(tuple(row))
    columns = (
        *(Column("schedule"), Column("settings", "r"), Column("mean rank", "r"), Column("95 % interval")),
        *(Column("Top-1", "r", "% of settings"), Column("interval", "l", "of Top-1")),
        *(Column("Top-3", "r", "% of settings"), Column("interval", "l", "of Top-3")),
    )
    where = "a budget of a study" if several else "a budget"
    said = f"A setting is {where}; ranks are by mean test error, 1 is the best, and ties share theirs."
    notes = (said, "Intervals: 95 %, by bootstrap over the settings.")
    return Table("ranks", "Ranks and shares of first places", columns, tuple(rows), notes)


def _draw(found: ranks.CriticalDifference) -> Figure:
    looks = drawing.looks(label for label, _ in found.ranks)
    said = ", ".join(f"{label} {mean:.2f}" for label, mean in found.ranks)
    drawn = chart.draw_ranks(found.ranks, found.groups, looks, name=f"mean ranks, the best first: {said}")
    told = "" if found.p < 1 - statistics.LEVEL else ", so nothing is told apart"
    title = (
        f"Mean ranks over {plural(found.settings, 'setting')}, of the schedules that every one has. A bar at the right "
        f"joins those that are not told apart at 5 % (Nemenyi: critical difference {found.difference:.2f}). Friedman's "
        f"test of any difference: p = {found.p:.2g}{told}."
    )
    return Figure(title, drawn)


def tabulate_ledger(entries: Sequence[ledger.Entry]) -> Table | None:
    """Every measured mean beside each printed number of its setting; None if there is no such number."""
    if not entries:
        return None
    differing = list(dict.fromkeys(entry.differs for entry in entries if entry.differs))
    letters = {words: chr(ord("a") + i % 26) * (1 + i // 26) for i, words in enumerate(differing)}
    rows = []
    for one in entries:
        gap = None if one.mean is None else 100 * (one.mean - one.printed.mean)
        rows.append(
            (
                Entry(code(one.label), one.label),
                Entry(escape(one.budget)),
                _measured(one),
                _number(one.printed.mean, one.printed.std, one.printed.trials),
                Entry("-") if gap is None else Entry(f"{gap:+.2f}", gap),
                Entry({True: "yes", False: "no", None: "-"}[one.inside]),
                Entry(letters.get(one.differs, "as stated")),
                Entry(escape(one.printed.source)),
            )
        )
    columns = (
        *(Column("schedule"), Column("budget"), Column("measured", "r", "%"), Column("printed", "r", "%")),
        *(Column("difference", "r", "points"), Column("within 2 sd"), Column("set-up"), Column("source")),
    )
    told = [one.inside for one in entries if one.inside is not None]
    settings = ", ".join(dict.fromkeys(one.setting for one in entries))
    notes = [f"{escape(settings)}. Mean ± standard deviation (runs)."]
    notes += [f"{told.count(True)} of {len(told)} measured means lie within the printed mean ± 2 sd."] if told else []
    notes += [f"{letter}: {escape(words)}." for words, letter in letters.items()]
    return Table("ledger", "Measured beside printed numbers of the same setting", columns, tuple(rows), tuple(notes))


def _measured(one: ledger.Entry) -> Entry:
    if one.mean is None:
        return Entry(markdown.diverged(one.diverged, one.diverged + one.n))
    return _number(one.mean, one.sd, one.n)


def _number(mean: float, sd: float | None, n: int | None) -> Entry:
    spread = "" if sd is None else f" ± {100 * sd:.2f}"
    return Entry(f"{100 * mean:.2f}{spread}" + ("" if n is None else f" ({n})"), 100 * mean)
