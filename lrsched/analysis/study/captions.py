"""What stands below a study's table: what its numbers and marks are, and what they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lrsched.analysis import markdown
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.comparisons import Judged, count_seeds
from lrsched.analysis.study.paper import PaperNumber, list_unstated

Papers = Mapping[tuple[str, str], PaperNumber]  # (label, budget) -> number


def describe(
    cells: Sequence[Cell],
    papers: Papers,
    judged: Sequence[Judged],
    *,
    best: str,
    measure: str,
    reference: str | None = None,
    margin: float | None = None,
) -> str:
    """The caption of a table, in sentences.

    Args:
      cells, papers, measure, reference, margin: as in `table.format_markdown`.
      judged: the family of the table.
      best: how the lowest mean of a budget is marked.
    """
    against = "it" if reference is None else reference
    pairs = markdown.plural(len(judged), "pair")
    bounds = "" if margin is None else ", each also one-sided both ways"
    family = f"moderated paired t tests at 5 %, one Holm family of {pairs}{bounds}"
    sentences = [
        f"{measure[0].upper()}{measure[1:]} in %, mean ± sd (n seeds) @ peak rate; {_describe_choice(cells)}.",
        f"{best}: lowest mean of its budget" + (f"; †: not separated from {against} ({family})." if judged else "."),
        *_describe_edges(cells),
    ]
    sentences += _describe_papers(papers)
    if any(cell.diverged for cell in cells):
        sentences.append("A run that diverged is the worst outcome: its entry has no mean and no mark.")
    if margin is not None:
        sentences.append(_describe_margin(cells, judged, reference, margin))
    sentences += _describe_missing(cells)
    if judged and not any(one.separated for one in judged):
        sentences.append(_describe_power(cells, judged, reference, margin))
    return " ".join(sentences)


def _describe_choice(cells: Sequence[Cell]) -> str:
    chosen = [cell for cell in cells if cell.chosen_on == "held-out"]
    rates = ", ".join(f"{rate:g}" for rate in sorted({rate for cell in chosen or cells for rate in cell.rates_tried}))
    alone = ", ".join(dict.fromkeys(cell.label for cell in cells if cell not in chosen))
    own = max((len(cell.selection_seeds) for cell in chosen), default=0)
    by = f" by runs of their own ({markdown.plural(own, 'seed')})" if own else ""
    if chosen and alone:
        return f"rates chosen on held-out data out of [{rates}]{by}, but for {alone}, given one alone"
    if chosen:
        return f"each entry's rate chosen on held-out data out of [{rates}]{_describe_others(chosen)}{by}"
    return f"one rate per entry, nothing chosen [{rates}]"


def _describe_others(chosen: Sequence[Cell]) -> str:
    """What else than rates was tried."""
    decays = sorted({decay for cell in chosen for decay in cell.decays_tried})
    momenta = sorted({momentum or "its own" for cell in chosen for momentum in cell.momenta_tried})
    words = f", weight decay (wd) out of [{', '.join(f'{decay:g}' for decay in decays)}]" if len(decays) > 1 else ""
    return words + (f", momentum (m) out of [{', '.join(momenta)}]" if len(momenta) > 1 else "")


def _describe_edges(cells: Sequence[Cell]) -> list[str]:
    """Where a rate beyond those tried may be better still: label by label, or all at once."""
    found: dict[tuple[str, float, str], list[str]] = {}
    for cell in cells:
        if cell.at_edge:
            found.setdefault((cell.label, cell.peak_value, cell.at_edge), []).append(cell.budget)
    if not found:
        return []
    words = [f"{label} at {', '.join(budgets)} ({rate:g}, {edge})" for (label, rate, edge), budgets in found.items()]
    told = "every entry's" if all(cell.at_edge for cell in cells) else "; ".join(words)
    return [f"Best rate at the edge of the grid: {told}."]


def _describe_papers(papers: Papers) -> list[str]:
    if not papers:
        return []
    rates = {True: "rates tuned for each entry", False: "one rate for all"}
    sources = dict.fromkeys(f"{number.source}, {rates[number.tuned]}" for number in papers.values())
    unstated = [f"Not stated there, and here: {words}." for words in list_unstated(papers.values())]
    return [f"paper: {'; '.join(sources)}.", *unstated]


def _describe_margin(cells: Sequence[Cell], judged: Sequence[Judged], reference: str | None, margin: float) -> str:
    """What is shown to be no worse than the reference, or than the lowest mean of its budget, by a margin."""
    against = "the lowest mean of the budget" if reference is None else reference
    found = []
    for one in judged:
        lowest = _find_best(cells, one.first.budget) if reference is None else reference
        for here, there, p in ((one.first, one.second, one.p_no_worse), (one.second, one.first, one.p_no_better)):
            if there.label == lowest and p is not None and p < 0.05:
                found.append(f"{here.label} at {here.budget}")
    return (
        f"Shown to be less than {100 * margin:g} points worse than {against}, or better: {', '.join(found) or 'none'}."
    )


def _find_best(cells: Sequence[Cell], budget: str) -> str | None:
    means = {cell.label: cell.mean for cell in cells if cell.budget == budget and not cell.diverged}
    return min(means, key=lambda label: means[label] or 0.0) if means else None


def _describe_missing(cells: Sequence[Cell]) -> list[str]:
    sentences = []
    scouted = [cell for cell in cells if cell.selection_missing]
    if scouted:
        words = "; ".join(_name_seeds(cell, cell.selection_missing) for cell in scouted)
        sentences.append(f"Rates chosen without some of the seeds that choose: {words}.")
    fewer = [cell for cell in cells if cell.missing_seeds and set(cell.missing_seeds) <= cell.errors.keys()]
    if fewer:
        sentences.append(f"Rates chosen without some seeds: {_list_seeds(fewer)}.")
    missing = [cell for cell in cells if cell.missing_seeds and cell not in fewer]
    if missing:
        sentences.append(f"Seeds missing: {_list_seeds(missing)}.")
    return sentences


def _list_seeds(cells: Sequence[Cell]) -> str:
    return "; ".join(_name_seeds(cell, cell.missing_seeds) for cell in cells)


def _name_seeds(cell: Cell, seeds: Sequence[int]) -> str:
    return f"{cell.label} at {cell.budget} ({', '.join(map(str, seeds))})"


def _describe_power(
    cells: Sequence[Cell], judged: Sequence[Judged], reference: str | None, margin: float | None
) -> str:
    """The seeds that would do, for the difference of each budget that is the nearest to being separated."""
    found, given, counts = [], [], []
    for budget in dict.fromkeys(one.first.budget for one in judged):
        lowest = _find_best(cells, budget) if reference is None else reference
        options = []
        for one in judged:
            labels = {one.first.label, one.second.label}
            seeds = count_seeds(one) if one.first.budget == budget and lowest in labels else None
            if seeds is not None:
                (other,) = labels - {lowest}
                options.append((seeds, other, abs(float(one.tests.mean[one.at])), one))
        if options:
            seeds, other, difference, nearest = min(options, key=lambda option: option[0])
            found.append(f"{seeds:,} at {budget} ({other} from {lowest}, {100 * difference:.2f} points)")
            counts.append(int(nearest.tests.n[nearest.at]))
            enough = None if margin is None else count_seeds(nearest, margin)
            given += [] if enough is None else [f"{enough:,} at {budget}"]
    if not found:
        return "Nothing is separated, and these runs do not tell how many seeds would be enough."
    more = f" A difference of {100 * (margin or 0):g} points would take {', '.join(given)}." if given else ""
    said = f"seeds that would do, were the means and the spread of these {min(counts)} seeds true (80 % power)"
    return f"Nothing is separated; {said}: {', '.join(found)}.{more}"
