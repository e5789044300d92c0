"""The part of a report that tells of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lrsched.analysis import Record
from lrsched.analysis.markdown import code, escape, plural
from lrsched.analysis.report import curves, provenance, standings, statistics
from lrsched.analysis.report.document import Block, Lines, Part, Section
from lrsched.analysis.study import ledger, table
from lrsched.analysis.study.cells import Cell, measure_on_the_way
from lrsched.analysis.study.comparisons import Comparison


class Findings(NamedTuple):
    """A study, as its part of the report needs it.

    Attributes:
      title: of the part.
      records: of the runs that are reported, in the order asked for.
      selection: of the runs that chose.
      asked: what was asked for; empty where it is not known.
      missing: runs that were asked for and are not on record.
      cells, comparisons, entries: of the records; the entries are of the papers' numbers.
      losses, evaluations: label -> updates, values [seeds, points]; the errors in percent.
      schedules: label -> progress, rate over peak, momentum.
      commands: lines that make the study again.
      measure: what the errors are.
      sources: of the schedules, a line each.
    """

    title: str
    records: Sequence[Record]
    selection: Sequence[Record]
    asked: dict[str, Any]
    missing: int
    cells: Sequence[Cell]
    comparisons: Sequence[Comparison]
    entries: Sequence[ledger.Entry]
    losses: curves.Losses
    evaluations: curves.Losses
    schedules: curves.Curves
    commands: tuple[str, ...]
    measure: str = "test error"
    sources: tuple[str, ...] = ()


def describe_study(study: Findings) -> Part:
    """The part of a study: question, answer, and what it rests on."""
    cells = study.cells
    longest = max(cells, key=lambda cell: cell.epochs).budget
    frontier = curves.draw_frontier(cells, study.measure)
    reference = study.asked.get("reference")
    marks = table.mark(cells, study.comparisons, reference)
    results: list[Block | None] = [statistics.tabulate_results(cells, marks, study.measure, reference), frontier]
    on_the_way = [
        curves.draw_losses(study.losses, longest),
        curves.draw_evaluations(study.evaluations, longest, measure_on_the_way(study.measure, study.records)),
    ]
    everything = [*study.selection, *study.records]
    sections: dict[str, Sequence[Block | None]] = {
        "Results": results,
        "Differences": _compare(study) if study.comparisons else [],
        "Ranks": standings.rank([cells]),
        "On the way": on_the_way,
        "The schedules": [curves.draw_schedules(study.schedules)],
        "What was chosen": [_say_chosen(study), statistics.tabulate_settings(cells)],
        "Beside the paper": [standings.tabulate_ledger(study.entries)],
        "What was applied": [provenance.audit(everything)],
        "Provenance": [
            provenance.describe(everything),
            provenance.list_runs(everything),
            provenance.list_sources(study.sources),
        ],
        "To repeat it": [_say_known(study), Lines(study.commands) if study.commands else None],
    }
    return Part(
        title=study.title,
        question=escape(str(study.asked.get("question") or "")),
        counts=_count(study),
        found=tuple(_conclude(study)),
        sections=tuple(
            Section(title, kept) for title, blocks in sections.items() if (kept := tuple(b for b in blocks if b))
        ),
    )


def _compare(study: Findings) -> list[Block | None]:
    """Against the reference; without one against the best of each budget, and all pairs folded."""
    epochs = statistics.budgets_of(study.cells)
    said = _say_compared(study)
    if study.asked.get("reference") or len({cell.label for cell in study.cells}) < 3:
        title = "Differences, paired by seed"
        return [said, statistics.tabulate_differences(study.comparisons, epochs, name="differences", title=title)]
    best = {budget: cell.label for budget in epochs if (cell := statistics.find_best(study.cells, budget))}
    near = [turned for one in study.comparisons if (turned := statistics.turn(one, best.get(one.budget)))]
    title = "Each schedule against the lowest mean of its budget, paired by seed"
    tables = [statistics.tabulate_differences(near, epochs, name="differences", title=title)] if near else []
    every = statistics.tabulate_differences(
        study.comparisons, epochs, name="all_differences", title="All pairs, paired by seed", folded=True
    )
    return [said, *tables, every]


def _count(study: Findings) -> tuple[tuple[str, str], ...]:
    everything = [*study.selection, *study.records]
    seeds = {record["seed"] for record in study.records}
    pairs = [
        (len(everything), "run"),
        (len({cell.label for cell in study.cells}), "schedule"),
        (len({cell.budget for cell in study.cells}), "budget"),
        (len(seeds), "seed"),
        (sum(map(provenance.updates_made, everything)), "update"),
    ]
    said = [(f"{number:,}", what if number == 1 else f"{what}s") for number, what in pairs]
    return (*said, (provenance.duration(sum(record["seconds"] for record in everything)), "of training, summed"))


def _conclude(study: Findings) -> list[str]:
    """Each budget's answer, then what weakens it."""
    lines = [_conclude_budget(study, budget) for budget in statistics.budgets_of(study.cells)]
    gone = [f"{code(cell.label)} at {escape(cell.budget)}" for cell in study.cells if cell.diverged]
    if gone:
        lines.append(f"Runs diverged: {', '.join(gone)}. A cell with one has no mean and counts as the worst.")
    lines += _name_edges(study.cells)
    if study.missing:
        verb = "is" if study.missing == 1 else "are"
        lines.append(f"**Not finished**: {plural(study.missing, 'run')} of those asked for {verb} not on record.")
    return lines


def _name_edges(cells: Sequence[Cell]) -> list[str]:
    edges = [f"{code(cell.label)} at {escape(cell.budget)} ({cell.at_edge})" for cell in cells if cell.at_edge]
    if not edges:
        return []
    where = ", ".join(edges) if len(edges) < 4 else f"in {len(edges)} of {len(cells)} cells"
    return [f"The best rate was the lowest or the highest of those tried, so a better one may lie beyond: {where}."]


def _conclude_budget(study: Findings, budget: str) -> str:
    best = statistics.find_best(study.cells, budget)
    where = f"At {escape(budget)}"
    if best is None or best.mean is None:
        return f"{where} every schedule had a run that diverged."
    line = f"{where} the lowest mean is that of {code(best.label)}, {100 * best.mean:.2f} % ({plural(best.n, 'seed')})"
    rivals = [one for one in study.comparisons if one.budget == budget and best.label in (one.first, one.second)]
    if not rivals:
        return f"{line}."
    apart = [code(one.first if one.second == best.label else one.second) for one in rivals if one.separated]
    reference = study.asked.get("reference")
    if reference and reference != best.label:
        return f"{line}, {'separated' if apart else 'not separated'} from the reference, {code(reference)}."
    if not apart:
        needed = [one.seeds_needed for one in rivals if one.seeds_needed is not None]
        more = f"; the differences seen would take {min(needed):,} seeds or more" if needed else ""
        return f"{line}. None of the other schedules is separated from it{more}."
    if len(apart) == len(rivals):
        return f"{line}, separated from all others."
    return f"{line}, separated from {', '.join(apart)}, and not from the others."


def _say_compared(study: Findings) -> str:
    reference, margin = study.asked.get("reference"), study.asked.get("no_worse_than")
    said = f"Each schedule against {code(str(reference))}" if reference else "All pairs of schedules under each budget"
    if reference:
        said += ", which was named as the reference"
    if margin is None:
        return f"{said}."
    return f"{said}. No worse: its error is shown to be less than {margin:g} points higher, as was asked."


def _say_known(study: Findings) -> str | None:
    if "schedules" in study.asked:
        return None
    if not study.commands:
        return "It began from another run's state: lrsched train makes it, with --extend or --branch of that folder."
    rates = len({cell.rates_tried for cell in study.cells})
    more = " Not every schedule was tried at every rate; the table of what was chosen has those it was tried at."
    return f"The command is put together from the records, which came with no study.json.{more if rates > 1 else ''}"


def _say_chosen(study: Findings) -> str:
    if study.selection:
        seeds = sorted({record["seed"] for record in study.selection})
        fresh = sorted({record["seed"] for record in study.records})
        return (
            f"Settings were chosen on held-out data with {plural(len(seeds), 'seed')} ({_list(seeds)}). The runs that "
            f"are reported have {plural(len(fresh), 'fresh seed')} ({_list(fresh)}), were trained on the whole "
            "training set and tested once."
        )
    if any(cell.chosen_on == "held-out" for cell in study.cells):
        return (
            "Rates were chosen on held-out data, with the seeds that are reported here: the test errors chose nothing, "
            "but the means are of runs that were part of the choice."
        )
    return "Nothing was chosen: each schedule was trained at the one rate that it was given."


def _list(seeds: Sequence[int]) -> str:
    """0, 1, 2 as "0 to 2"."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def describe_all(studies: Sequence[Findings]) -> Part | None:
    """What can be said of several studies together: ranks over the settings of all; None if it is nothing."""
    blocks = standings.rank([study.cells for study in studies])
    if not blocks:
        return None
    settings = sum(len(statistics.budgets_of(study.cells)) for study in studies)
    labels = {cell.label for study in studies for cell in study.cells}
    counts = ((str(len(studies)), "studies"), (str(settings), "settings"), (str(len(labels)), "schedules"))
    return Part("All studies together", "", counts, (), (Section("Ranks over all settings", tuple(blocks)),))
