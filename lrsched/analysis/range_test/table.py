"""The table of a range test: what each rule suggests, and the cycles that go with it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lrsched.analysis import markdown
from lrsched.analysis.range_test.curves import Suggestion
from lrsched.analysis.range_test.rules import SOURCES


def format_markdown(suggestions_by_rule: Mapping[str, Suggestion]) -> str:
    """Suggestions in Markdown, a row a rule, ending in a newline.

    n is "seeds with a rate of all". Two columns give the lower bound of cycles that go up to the rate (`cycle_bounds`).
    """
    rows = [["rule", "rate", "lowest to highest", "n", "many cycles from", "one cycle from", "source"]]
    for name, found in suggestions_by_rule.items():
        ends = "-" if found.interval is None else f"{found.interval[0]:.3g} to {found.interval[1]:.3g}"
        rate = "-" if found.value is None else f"{found.value:.3g}"
        many = one = "-"
        if found.value is not None and name != "smith_min":  # which is a lower bound itself
            low = cycle_bounds(found.value)
            many, one = f"{low['max/4']:.2g} to {low['max/3']:.2g}", f"{low['max/20']:.2g} to {low['max/10']:.2g}"
        count = f"{found.n} of {len(found.per_seed)}"
        rows.append([f"`{name}`", rate, ends, count, many, one, SOURCES.get(name, "-")])
    return markdown.table(rows, align="lrlllll")


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
