"""The table of a study: a row per schedule, a column per budget, test error in percent."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal

from lrsched.analysis import columns, markdown, statistics
from lrsched.analysis.markdown import code, escape
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.paper import PaperNumber

Papers = Mapping[tuple[str, str], PaperNumber]  # (label, budget) -> number


def format_markdown(cells: Sequence[Cell], papers: Papers | None = None, *, measure: str = "test error") -> str:
    """The table in Markdown, with a caption that says what its numbers are.

    Args:
      cells: of one study; rows are in the order of their labels, columns in the order of their epochs.
      papers: the paper's numbers, which stand beside the measured ones.
      measure: what the cells' errors are.
    Returns:
      the text, ending in a newline. An entry is "mean ± sd (n) @ rate", or "diverged k/n @ rate" if any run diverged.
    Raises:
      ValueError: if there are no cells.
    """
    papers = papers or {}
    at = _index(cells)
    marks = _mark(cells)
    labels, budgets = _labels(cells), _budgets(cells)
    rows = [["schedule", *map(escape, budgets.values())]]
    for label in labels:
        row = [code(label)]
        for budget in budgets:
            cell, paper = at.get((label, budget)), papers.get((label, budget))
            text = _format_entry(cell)
            if cell is not None:
                text = {"best": f"**{text}**", "tied": f"{text} †", "": text}[marks[label, budget]]
            row.append(text if paper is None else f"{text}; paper {_format_paper(paper)}")
        rows.append(row)
    return f"{markdown.table(rows)}\n{escape(_describe(cells, papers, best='bold', measure=measure))}\n"


def format_terminal(cells: Sequence[Cell], papers: Papers | None = None, *, measure: str = "test error") -> str:
    """The same table as aligned plain text; the paper's numbers stand in a line of their own below each schedule.

    It is as wide as the terminal, at most 120 columns, and 120 where there is none. Budgets that do not fit stand in a
    second table below the first, and so on.

    Args:
      cells: as in `format_markdown`.
      papers: as in `format_markdown`.
      measure: likewise.
    Returns:
      the text, ending in a newline, to be printed; the best entry of a budget has a *.
    Raises:
      ValueError: if there are no cells.
    """
    papers = papers or {}
    at, marks = _index(cells), _mark(cells)
    labels, budgets = _labels(cells), _budgets(cells)
    width = columns.terminal_width(default=120)
    left, right = ["schedule"], [[head] for head in budgets.values()]
    for label in labels:
        left.append(label)
        for column, budget in zip(right, budgets, strict=True):
            sign = {"best": " *", "tied": " †", "": ""}[marks.get((label, budget), "")]
            column.append(_format_entry(at.get((label, budget))) + sign)
        numbers = [papers.get((label, budget)) for budget in budgets]
        if any(numbers):
            left.append("  paper")
            for column, number in zip(right, numbers, strict=True):
                column.append("" if number is None else _format_paper(number))
    caption = textwrap.wrap(_describe(cells, papers, best="*", measure=measure), width)
    return "\n".join([*columns.lay_out(left, right, width), "", *caption]) + "\n"


def _index(cells: Sequence[Cell]) -> dict[tuple[str, str], Cell]:
    if not cells:
        raise ValueError("cells must hold at least one, got none.")
    return {(cell.label, cell.budget): cell for cell in cells}


def _labels(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.label for cell in cells))


def _budgets(cells: Sequence[Cell]) -> dict[str, str]:
    """Budget -> column head, from the shortest: a percentage is followed by its epochs."""
    heads = {}
    for cell in sorted(cells, key=lambda cell: cell.epochs):
        epochs = f" ({cell.epochs:g} epochs)" if cell.budget.endswith("%") else ""
        heads[cell.budget] = cell.budget + epochs
    return heads


def _mark(cells: Sequence[Cell]) -> dict[tuple[str, str], Literal["best", "tied", ""]]:
    """The lowest mean of each budget, and those that its paired comparisons (a Holm family) do not tell from it."""
    marks: dict[tuple[str, str], Literal["best", "tied", ""]] = {(cell.label, cell.budget): "" for cell in cells}
    for budget in _budgets(cells):
        column = [cell for cell in cells if cell.budget == budget and not cell.diverged]
        if not column:
            continue
        best, *others = sorted(column, key=lambda cell: statistics.mean(list(cell.errors.values())))
        marks[best.label, budget] = "best"
        rivals = {other.label: other.errors for other in others}
        found = statistics.tell_apart(best.errors, rivals, resolution=best.resolution)
        for label, separated in found.items():
            marks[label, budget] = "" if separated else "tied"
    return marks


def _format_entry(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.diverged or cell.mean is None:
        return f"{markdown.diverged(cell.diverged, cell.diverged + cell.n)} @ {cell.peak_value:g}"
    return f"{_format_number(cell.mean, cell.sd, cell.n)} @ {cell.peak_value:g}"


def _format_paper(paper: PaperNumber) -> str:
    return _format_number(paper.mean, paper.std, paper.trials)


def _format_number(mean: float, sd: float | None, n: int | None) -> str:
    """In percent: 0.043, 0.002 and 3 are "4.30 ± 0.20 (3)"; what is None is left out."""
    return f"{100 * mean:.2f}" + ("" if sd is None else f" ± {100 * sd:.2f}") + ("" if n is None else f" ({n})")


def _describe(cells: Sequence[Cell], papers: Papers, *, best: str, measure: str) -> str:
    chosen = [cell for cell in cells if cell.chosen_on == "held-out"]
    rates = ", ".join(f"{rate:g}" for rate in sorted({rate for cell in chosen or cells for rate in cell.rates_tried}))
    alone = ", ".join(dict.fromkeys(cell.label for cell in cells if cell not in chosen))
    if chosen and alone:
        choice = f"rates chosen on held-out data out of [{rates}], but for {alone}, given one alone"
    elif chosen:
        choice = f"each entry's rate chosen on held-out data out of [{rates}]"
    else:
        choice = f"one rate per entry, nothing chosen [{rates}]"
    sentences = [
        f"{measure[0].upper()}{measure[1:]} in %, mean ± sd (n seeds) @ peak rate; {choice}.",
        f"{best}: lowest mean of its budget; †: not separated from it (paired t test at 5 %, Holm over the budget).",
    ]
    if papers:
        sources = dict.fromkeys(number.source for number in papers.values())
        sentences.append(f"paper: {'; '.join(sources)}, rates tuned for each entry.")
        for words in dict.fromkeys(number.unstated for number in papers.values() if number.unstated):
            sentences.append(f"Not stated there, and here: {words}.")
    fewer = [cell for cell in cells if cell.missing_seeds and set(cell.missing_seeds) <= cell.errors.keys()]
    if fewer:
        sentences.append(f"Rates chosen without some seeds: {_list_seeds(fewer)}.")
    missing = [cell for cell in cells if cell.missing_seeds and cell not in fewer]
    if missing:
        sentences.append(f"Seeds missing: {_list_seeds(missing)}.")
    return " ".join(sentences)


def _list_seeds(cells: Sequence[Cell]) -> str:
    return "; ".join(f"{cell.label} at {cell.budget} ({', '.join(map(str, cell.missing_seeds))})" for cell in cells)
