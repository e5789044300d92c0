"""The cycles of a run's learning rate in updates and epochs, and whether its budget cuts the last one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lrsched.schedules.combine import Sequence as Segments
from lrsched.schedules.plans import Plan

TOLERANCE = 0.05  # of the last cycle's highest rate: equal cycles of few updates differ by one, and end apart
SHOWN = 6  # lengths that are written out


def is_cut(follow: Plan) -> bool:
    """Whether the budget ends before the last cycle does: at a rate above those that all other cycles end at, or while
    it still rises, to less than all others fell from.

    max over the other ends e of lr(e - 1) + 5 % of the last cycle's highest rate < lr(total_steps - 1). Of a sequence
    its last segment's cycles count. A schedule of one cycle has nothing to compare it with: it is not cut.

    Example:
      >>> from lrsched.schedules.plans import plan
      >>> [is_cut(plan("sgdr:first_cycle=10", n, peak_value=0.1)) for n in (30, 31, 60, 70)]
      [False, True, True, False]
      >>> is_cut(plan("sgdr:first_cycle=20st,cycle_mult=1,warmup=10%", 41, peak_value=0.1))  # at the bottom of a warmup
      True
    """
    last = follow.total_steps
    others = [end for end in follow.cycle_ends if _first(follow) < end < last]
    if not others or follow.cycle_ends[-1] != last:
        return False
    cycle = follow.lr.table(np.arange(others[-1], last))
    highest = float(cycle.max())
    spans = itertools.pairwise((_first(follow), *others))
    before = [follow.lr.table(np.arange(start, end)) for start, end in spans]
    if cycle[-1] == highest and all(highest < rates.max() and rates.argmax() < len(rates) - 1 for rates in before):
        return True
    ends = follow.lr.table(np.array([end - 1 for end in others]))
    return bool(rate_at_the_end(follow) > float(ends.max()) + TOLERANCE * highest)


def rate_at_the_end(follow: Plan) -> float:
    """The learning rate of the last update."""
    return float(follow.lr.table(np.array([follow.total_steps - 1]))[0])


def cut_steps(follow: Plan, offset: int = 0) -> frozenset[int]:
    """The updates (in all, `offset` of them before the plan) after which the last cycle is, if the budget cuts it."""
    return frozenset({offset + follow.total_steps}) if is_cut(follow) else frozenset()


def describe(follow: Plan) -> Iterator[str]:
    """Lines about the cycles of a plan; none if there is one cycle."""
    ends = follow.cycle_ends
    if len(ends) < 2:
        return
    lengths = [end - start for start, end in itertools.pairwise((0, *ends))]
    per_epoch = follow.budget.steps_per_epoch
    epochs = [f"{length / per_epoch:.3g}" for length in lengths]
    yield f"{len(lengths)} cycles, of {_enumerate(lengths)} updates ({_enumerate(epochs)} epochs)."
    first = _in_updates(json.loads(follow.words)["lr"], lengths[0])
    if first is not None and lengths[0] < per_epoch:
        yield f"The first is shorter than an epoch: {first} means {first} updates; {first}ep is {first} epochs."
    if is_cut(follow):
        rate = rate_at_the_end(follow)
        highest = float(follow.lr.table(np.arange(follow.total_steps)).max())
        yield (
            f"The last cycle is cut by the budget: it ends at rate {rate:.3g}, {100 * rate / highest:.0f} % of the"
            " peak, and is left out of an ensemble's means unless asked for (--members all)."
        )


def _first(follow: Plan) -> int:
    """Where the last segment of a sequence begins; 0 of any other schedule."""
    if not isinstance(follow.lr, Segments):
        return 0
    lengths = [int(length) for length in follow.lr.lengths(np.int64(follow.total_steps))]
    return follow.total_steps - next(length for length in reversed(lengths) if length)


def _enumerate(items: Sequence[object]) -> str:
    """As in "1, 2 and 3"; of many the first ones and the last."""
    texts = [str(item) for item in items]
    if len(texts) > SHOWN:
        return ", ".join([*texts[: SHOWN - 1], "...", texts[-1]])
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _in_updates(words: Any, length: int) -> int | None:
    """The whole number among the words that gives a first cycle of this length, or half of one, in updates."""
    if isinstance(words, dict):
        words = list(words.values())
    if isinstance(words, list):
        return next((n for each in words if (n := _in_updates(each, length)) is not None), None)
    if not isinstance(words, bool) and isinstance(words, int) and words > 1 and words in (length, length / 2):
        return words
    return None
