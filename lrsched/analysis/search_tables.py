"""What a search tried and what it chose: settings compared on held-out data, paired by seed."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

from lrsched.analysis import statistics


@dataclasses.dataclass(frozen=True)
class Tried:
    """One setting: what it was, and the held-out error of each seed's run (1: 100 %); None: the run diverged.

    Attributes:
      setting: in words.
      rate: peak learning rate of its runs.
      epochs: of each run.
      errors: seed -> held-out error.
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
    """One question of a search: what was tried, in the order it was."""

    question: str
    tried: tuple[Tried, ...]

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
        """Of each setting: best, diverged, separated or not separated from the best (paired t tests, Holm at 5 %)."""
        whole = {i: tried.known for i, tried in enumerate(self.tried) if tried.mean is not None}
        found = statistics.separated(whole.pop(self.best), whole)
        words = {i: "separated" if apart else "not separated" for i, apart in found.items()} | {self.best: "best"}
        return [words.get(i, "diverged") for i in range(len(self.tried))]


def bisected(means: Mapping[float, float | None]) -> float | None:
    """The weight decay half way, in its exponent, from the best one to the better of its neighbours; one digit.

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


def part_table(part: Part) -> str:
    """A Markdown table of one question, a row per setting.

    Example:
      >>> rows = (Tried("0.1", 0.1, 3.0, {0: 0.2, 1: 0.4}), Tried("10", 10.0, 3.0, {0: None, 1: 0.9}))
      >>> print(part_table(Part("peak rate", rows)))
      | peak rate | rate | epochs | held-out error, % | against the best |
      | --- | --- | --- | --- | --- |
      | **0.1** | 0.1 | 3 | 30.00 ± 14.14 (2) | best |
      | 10 | 10 | 3 | diverged 1/2 | diverged |
      <BLANKLINE>

    """
    lines = [f"| {part.question} | rate | epochs | held-out error, % | against the best |", "|" + " --- |" * 5]
    for tried, verdict in zip(part.tried, part.verdicts(), strict=True):
        setting = f"**{tried.setting}**" if verdict == "best" else tried.setting
        lines.append(f"| {setting} | {tried.rate:.3g} | {tried.epochs:.3g} | {_entry(tried)} | {verdict} |")
    return "\n".join(lines) + "\n"


def summary(parts: Sequence[Part]) -> str:
    """A Markdown table that says what to use, and why: a row per question."""
    lines = ["| question | use | at rate | because | not separated from it |", "|" + " --- |" * 5]
    for part in parts:
        best, verdicts = part.tried[part.best], part.verdicts()
        tied = [
            tried.setting for tried, verdict in zip(part.tried, verdicts, strict=True) if verdict == "not separated"
        ]
        why = f"lowest mean held-out error of {len(part.tried)}: {_entry(best)} %"
        lines.append(
            f"| {part.question} | **{best.setting}** | {best.rate:.3g} | {why} | {', '.join(tied) or 'none'} |"
        )
    lines += ["", "The lowest error of several is partly luck: expect a higher one from other seeds."]
    return "\n".join(lines) + "\n"


def changes_of_rate(parts: Sequence[Part]) -> list[str]:
    """A sentence for each question after the first whose answer has another rate than the answer before it."""
    best = [(part.question, part.tried[part.best]) for part in parts]
    return [
        f"The rate {before.rate:.3g} became {after.rate:.3g} with {question} {after.setting}: its own range test "
        f"suggests {after.rate / before.rate:.2g} times what that of the answer before it suggests."
        for (_, before), (question, after) in itertools.pairwise(best)
        if after.rate != before.rate and before.rate > 0
    ]


def _entry(tried: Tried) -> str:
    known = [100 * error for error in tried.known.values()]
    if len(known) < len(tried.errors):
        return f"diverged {len(tried.errors) - len(known)}/{len(tried.errors)}"
    spread = statistics.sd(known)
    return _number(statistics.mean(known)) + ("" if spread is None else f" ± {_number(spread)}") + f" ({len(known)})"


def _number(percent: float) -> str:
    return f"{percent:.2f}" if percent < 1000 else f"{percent:.3g}"


@dataclasses.dataclass(frozen=True)
class Found:
    """What one sampler found.

    Attributes:
      sampler: its name.
      values: held-out error of each trial in its order; None: diverged.
      setting: axis -> value of the best trial.
      holdout: seed -> held-out error of the best setting's runs with other seeds than the trials'.
      test: seed -> their test error, looked at once.
    """

    sampler: str
    values: tuple[float | None, ...]
    setting: Mapping[str, float]
    holdout: Mapping[int, float | None]
    test: Mapping[int, float | None]


def samplers(found: Sequence[Found]) -> str:
    """A Markdown table, a row per sampler; ends with a line on what its numbers are."""
    lines = ["| sampler | trials | best trial | its setting | held-out, again | test | diverged |", "|" + " --- |" * 7]
    for one in found:
        known = [value for value in one.values if value is not None]
        setting = ", ".join(f"{axis} {value:g}" for axis, value in one.setting.items())
        again, test = (_entry(Tried("", 0.0, 0.0, errors)) for errors in (one.holdout, one.test))
        best = _number(100 * min(known)) if known else "-"
        gone = len(one.values) - len(known)
        lines.append(f"| {one.sampler} | {len(one.values)} | {best} | {setting} | {again} | {test} | {gone} |")
    lines += [
        "",
        "Errors in %. Best trial: lowest held-out error of the trials, which is partly luck; again: mean ± sd (n)",
    ]
    lines += ["of runs with the same setting and other seeds."]
    return "\n".join(lines) + "\n"
