"""The tables of a search: settings compared on held-out data, paired by seed, and samplers side by side."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

from lrsched.analysis import markdown, pairs, statistics


@dataclasses.dataclass(frozen=True)
class Tried:
    """A setting that was tried.

    Attributes:
      setting: its name.
      rate: peak learning rate of its runs.
      epochs: of each run.
      errors: seed -> held-out error in [0, 1]; None: the run diverged.
    """

    setting: str
    rate: float
    epochs: float
    errors: Mapping[int, float | None]

    @property
    def mean(self) -> float | None:
        """Mean held-out error; None if any run diverged."""
        known = list(self.known.values())
        return statistics.mean(known) if known and len(known) == len(self.errors) else None

    @property
    def known(self) -> dict[int, float]:
        """The errors of the runs that did not diverge."""
        return {seed: error for seed, error in self.errors.items() if error is not None}


@dataclasses.dataclass(frozen=True)
class Part:
    """One question of a search, and the settings that were tried, in their order.

    Attributes:
      resolution: of the errors (`statistics.find_resolution`); None: not known, as in records of version 0.1.0.
    """

    question: str
    tried: tuple[Tried, ...]
    resolution: float | None = None

    @property
    def best(self) -> int:
        """Index of the lowest mean held-out error; of equal ones the first.

        Raises:
          ValueError: if each setting had a run that diverged.
        """
        means = [(tried.mean, i) for i, tried in enumerate(self.tried) if tried.mean is not None]
        if not means:
            raise ValueError(f"{self.question}: at least one setting must train, got runs that diverged for each.")
        return min(means)[1]

    def verdicts(self) -> list[str]:
        """For each setting: best, diverged, separated or not separated from the best at 5 % (`pairs.tell_apart`)."""
        whole = {i: tried.known for i, tried in enumerate(self.tried) if tried.mean is not None}
        found = pairs.tell_apart(whole.pop(self.best), whole, resolution=self.resolution)
        names = {i: "separated" if apart else "not separated" for i, apart in found.items()} | {self.best: "best"}
        return [names.get(i, "diverged") for i in range(len(self.tried))]


def bisect_exponent(means: Mapping[float, float | None]) -> float | None:
    """The weight decay half way, in its exponent, between the best one and the better of its neighbours; one digit.

    Args:
      means: weight decay -> mean held-out error; None: diverged. 0 counts as a hundredth of the smallest above it.
    Returns:
      None if there is nothing between them.
    Source:
      Smith, arXiv:1803.09820, section on weight decay: "bisection of the exponent", 3e-4 between 1e-3 and 1e-4.
    """
    known = {decay: mean for decay, mean in means.items() if mean is not None}
    if len(known) < 2:
        return None
    order = sorted(known)
    best = min(order, key=known.__getitem__)
    at = order.index(best)
    neighbours = [order[i] for i in (at - 1, at + 1) if 0 <= i < len(order)]
    other = min(neighbours, key=known.__getitem__)
    least = min(decay for decay in order if decay > 0)
    low, high = (decay or least / 100 for decay in sorted((best, other)))
    return float(f"{math.sqrt(low * high):.0e}")


def format_part(part: Part) -> str:
    """The Markdown table of one question, a row per setting.

    Example:
      >>> rows = (Tried("0.1", 0.1, 3.0, {0: 0.2, 1: 0.4}), Tried("10", 10.0, 3.0, {0: None, 1: 0.9}))
      >>> print(format_part(Part("peak rate", rows)))
      | peak rate | rate | epochs | held-out error, % | against the best |
      | --- | --- | --- | --- | --- |
      | **0.1** | 0.1 | 3 | 30.00 ± 14.14 (2) | best |
      | 10 | 10 | 3 | diverged 1/2 | diverged |
      <BLANKLINE>

    """
    rows = [[part.question, "rate", "epochs", "held-out error, %", "against the best"]]
    for tried, verdict in zip(part.tried, part.verdicts(), strict=True):
        setting = f"**{tried.setting}**" if verdict == "best" else tried.setting
        rows.append([setting, f"{tried.rate:.3g}", f"{tried.epochs:.3g}", _format_errors(tried.errors), verdict])
    return markdown.table(rows)


def format_summary(parts: Sequence[Part]) -> str:
    """A Markdown table of what to use, and why: a row per question."""
    rows = [["question", "use", "at rate", "because", "not separated from it"]]
    for part in parts:
        best, verdicts = part.tried[part.best], zip(part.tried, part.verdicts(), strict=True)
        tied = [tried.setting for tried, verdict in verdicts if verdict == "not separated"]
        why = f"lowest mean held-out error of {len(part.tried)}: {_format_errors(best.errors)} %"
        rows.append([part.question, f"**{best.setting}**", f"{best.rate:.3g}", why, ", ".join(tied) or "none"])
    note = "The lowest error of several is partly luck: expect a higher one from other seeds."
    return f"{markdown.table(rows)}\n{note}\n"


def explain_rates(parts: Sequence[Part]) -> list[str]:
    """A sentence for each question after the peak rate's whose answer has another rate than the answer before it."""
    first = [part.question for part in parts].index("peak rate")
    best = [(part.question, part.tried[part.best]) for part in parts[first:]]
    return [
        f"The rate {before.rate:.3g} became {after.rate:.3g} with {question} {after.setting}: its own range test "
        f"suggests {after.rate / before.rate:.2g} times what that of the answer before it suggests."
        for (_, before), (question, after) in itertools.pairwise(best)
        if after.rate != before.rate and before.rate > 0
    ]


def _format_errors(errors: Mapping[int, float | None]) -> str:
    known = [100 * error for error in errors.values() if error is not None]
    if len(known) < len(errors):
        return markdown.diverged(len(errors) - len(known), len(errors))
    spread = statistics.sd(known)
    middle = "" if spread is None else f" ± {_format_percent(spread)}"
    return f"{_format_percent(statistics.mean(known))}{middle} ({len(known)})"


def _format_percent(percent: float) -> str:
    return f"{percent:.2f}" if percent < 1000 else f"{percent:.3g}"


@dataclasses.dataclass(frozen=True)
class Found:
    """What one sampler found.

    Attributes:
      sampler: its name.
      values: held-out error of each trial, in order; None: diverged.
      setting: axis -> value of the best trial.
      holdout: seed -> held-out error of runs with the best setting, and with seeds that no trial had.
      test: seed -> their test error, looked at once.
    """

    sampler: str
    values: tuple[float | None, ...]
    setting: Mapping[str, float]
    holdout: Mapping[int, float | None]
    test: Mapping[int, float | None]


def format_samplers(found: Sequence[Found]) -> str:
    """A Markdown table, a row per sampler; ends with a line on what its numbers are."""
    rows = [["sampler", "trials", "best trial", "its setting", "held-out, again", "test", "diverged"]]
    for one in found:
        known = [value for value in one.values if value is not None]
        best = _format_percent(100 * min(known)) if known else "-"
        setting = ", ".join(f"{axis} {value:g}" for axis, value in one.setting.items())
        again, test = _format_errors(one.holdout), _format_errors(one.test)
        rows.append([one.sampler, str(len(one.values)), best, setting, again, test, str(len(one.values) - len(known))])
    return markdown.table(rows) + (
        "\nErrors in %. Best trial: lowest held-out error of the trials, which is partly luck; again: mean ± sd (n) "
        "of runs with the same setting and other seeds.\n"
    )
