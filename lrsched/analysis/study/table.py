"""The table of a study: a row per schedule, a column per budget, test error in percent."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from lrsched.analysis import columns, markdown
from lrsched.analysis.markdown import code, escape
from lrsched.analysis.study import captions
from lrsched.analysis.study.captions import Papers
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.comparisons import Comparison, Judged, judge
from lrsched.analysis.study.paper import PaperNumber


def format_markdown(
    cells: Sequence[Cell],
    papers: Papers | None = None,
    *,
    measure: str = "test error",
    reference: str | None = None,
    margin: float | None = None,
) -> str:
    """The table in Markdown, with a caption that says what its numbers are.

    Args:
      cells: of one study; rows are in the order of their labels, columns in the order of their epochs.
      papers: the paper's numbers, which stand beside the measured ones.
      measure: what the cells' errors are.
      reference: label that a † refers to; None: the lowest mean of each budget.
      margin: as in `comparisons.judge`; the caption names what is shown to be no worse by it.
    Returns:
      the text, ending in a newline. An entry is "mean ± sd (n) @ rate", or "diverged k/n @ rate" if any run diverged.
    Raises:
      ValueError: if there are no cells, or as `comparisons.judge`.
    """
    papers = papers or {}
    at = _index(cells)
    judged = judge(cells, reference=reference, margin=margin)
    marks = mark(cells, judged, reference)
    labels, budgets = _labels(cells), _budgets(cells)
    rows = [["schedule", *map(escape, budgets.values())]]
    for label in labels:
        row = [code(label)]
        for budget in budgets:
            cell, paper = at.get((label, budget)), papers.get((label, budget))
            text = _format_entry(cell)
            if cell is not None:
                best, tied = marks[label, budget]
                text = (f"**{text}**" if best else text) + (" †" if tied else "")
            row.append(text if paper is None else f"{text}; paper {_format_paper(paper)}")
        rows.append(row)
    caption = captions.describe(cells, papers, judged, best="bold", measure=measure, reference=reference, margin=margin)
    return f"{markdown.table(rows)}\n{escape(caption)}\n"


def format_terminal(
    cells: Sequence[Cell],
    papers: Papers | None = None,
    *,
    measure: str = "test error",
    reference: str | None = None,
    margin: float | None = None,
) -> str:
    """The same table as aligned plain text; the paper's numbers stand in a line of their own below each schedule.

    It is as wide as the terminal, at most 120 columns, and 120 where there is none. Budgets that do not fit stand in a
    second table below the first, and so on.

    Args:
      cells, papers, measure, reference, margin: as in `format_markdown`.
    Returns:
      the text, ending in a newline, to be printed; the best entry of a budget has a *.
    Raises:
      ValueError: as `format_markdown`.
    """
    papers = papers or {}
    at = _index(cells)
    judged = judge(cells, reference=reference, margin=margin)
    marks = mark(cells, judged, reference)
    labels, budgets = _labels(cells), _budgets(cells)
    width = columns.terminal_width(default=120)
    left, right = ["schedule"], [[head] for head in budgets.values()]
    for label in labels:
        left.append(label)
        for column, budget in zip(right, budgets, strict=True):
            best, tied = marks.get((label, budget), (False, False))
            column.append(_format_entry(at.get((label, budget))) + (" *" if best else "") + (" †" if tied else ""))
        numbers = [papers.get((label, budget)) for budget in budgets]
        if any(numbers):
            left.append("  paper")
            for column, number in zip(right, numbers, strict=True):
                column.append("" if number is None else _format_paper(number))
    text = captions.describe(cells, papers, judged, best="*", measure=measure, reference=reference, margin=margin)
    caption = textwrap.wrap(text, width)
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


def mark(
    cells: Sequence[Cell], judged: Sequence[Judged | Comparison], reference: str | None = None
) -> dict[tuple[str, str], tuple[bool, bool]]:
    """(label, budget) -> whether it is the lowest mean of its budget, and whether it is not separated from the best.

    Args:
      cells: of one study. One with a run that diverged is neither.
      judged: their family (`comparisons.judge`, or what `compare_cells` says of it).
      reference: label that stands for the best in the second answer; None: the lowest mean.
    """
    apart = {one.pair for one in judged if one.separated}
    marks = {(cell.label, cell.budget): (False, False) for cell in cells}
    for budget in _budgets(cells):
        column = {cell.label: cell.mean for cell in cells if cell.budget == budget and not cell.diverged}
        if not column:
            continue
        best = min(column, key=lambda label: column[label] or 0.0)
        against = best if reference is None else reference
        compared = (against, budget) in marks
        for label in column:
            tied = label != against and compared and (budget, frozenset((label, against))) not in apart
            marks[label, budget] = (label == best, tied)
    return marks


def _format_entry(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.diverged or cell.mean is None:
        return f"{markdown.diverged(cell.diverged, cell.diverged + cell.n)} @ {_format_setting(cell)}"
    return f"{_format_number(cell.mean, cell.sd, cell.n)} @ {_format_setting(cell)}"


def _format_setting(cell: Cell) -> str:
    """The rate, and what else was chosen out of several."""
    words = [f"{cell.peak_value:g}"]
    words += [f"wd {cell.weight_decay:g}"] if len(cell.decays_tried) > 1 else []
    words += [f"m {cell.momentum or 'its own'}"] if len(cell.momenta_tried) > 1 else []
    return ", ".join(words)


def _format_paper(paper: PaperNumber) -> str:
    return _format_number(paper.mean, paper.std, paper.trials)


def _format_number(mean: float, sd: float | None, n: int | None) -> str:
    """In percent: 0.043, 0.002 and 3 are "4.30 ± 0.20 (3)"; what is None is left out."""
    return f"{100 * mean:.2f}" + ("" if sd is None else f" ± {100 * sd:.2f}") + ("" if n is None else f" ({n})")
