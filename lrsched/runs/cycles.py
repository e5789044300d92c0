"""The cycles of a run's learning rate in updates and epochs, and which of them are cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lrsched.schedules.combine import Clip, Product
from lrsched.schedules.combine import Sequence as Segments
from lrsched.schedules.core import Schedule
from lrsched.schedules.entered import After, Truncated
from lrsched.schedules.plans import Plan

TOLERANCE = 0.05  # of the cycle's highest rate: equal cycles of few updates differ by one, and end apart
SHOWN = 6  # lengths that are written out


def cut_steps(follow: Plan, offset: int = 0) -> frozenset[int]:
    """The updates (in all, `offset` of them before the plan) after which a cycle ends that is not whole.

    The budget cuts the last cycle, and the next part of a sequence that of the part before, if it ends at a rate above
    those that all other cycles of its part end at, or while it still rises, to less than all others fell from:

    max over the other ends e of lr(e - 1) + 5 % of the cycle's highest rate < lr(end - 1).

    A cycle that is alone in its part has nothing to be compared with: it is not cut.

    Example:
      >>> from lrsched.schedules.plans import plan
      >>> [sorted(cut_steps(plan("sgdr:first_cycle=10", n, peak_value=0.1))) for n in (30, 31, 60, 70)]
      [[], [31], [60], []]
      >>> cut_steps(plan("sgdr:first_cycle=20st,cycle_mult=1,warmup=10%", 41, peak_value=0.1))  # at a warmup's bottom
      frozenset({41})
      >>> cut_steps(plan("sgdr:25st,first_cycle=10,cycle_mult=1+linear:25st", 50, peak_value=0.1))
      frozenset({25})
    """
    parts = itertools.pairwise((0, *_part_ends(follow.lr)))
    return frozenset(offset + end for start, end in parts if _is_cut(follow, start, end))


def _is_cut(follow: Plan, start: int, end: int) -> bool:
    """Whether the last cycle of a part is cut at the part's end."""
    ends = [step for step in follow.cycle_ends if start < step <= end]
    if len(ends) < 2 or ends[-1] != end:
        return False
    *before, last = (follow.lr.table(np.arange(*span)) for span in itertools.pairwise((start, *ends)))
    highest = last.max()
    if last[-1] == highest and all(highest < rates.max() and rates.argmax() < len(rates) - 1 for rates in before):
        return True
    return bool(float(last[-1]) > max(float(rates[-1]) for rates in before) + TOLERANCE * float(highest))


def describe(follow: Plan, offset: int = 0) -> Iterator[str]:
    """Lines about the cycles of a plan, `offset` updates of the run before it; none if there is one cycle."""
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
    highest = float(follow.lr.table(np.arange(follow.total_steps)).max())
    for end in sorted(cut_steps(follow)):
        rate = float(follow.lr.table(np.array([end - 1]))[0])
        what = f"cycle that ends after update {offset + end} is cut by the next part of the sequence"
        if end == follow.total_steps:
            what = "last cycle is cut by the budget"
        yield (
            f"The {what}: it ends at rate {rate:.3g}, {100 * rate / highest:.0f} % of the peak, and is left out of an"
            " ensemble's means unless asked for (--members all)."
        )


def _part_ends(schedule: Schedule) -> list[int]:
    """The updates after which the parts of a sequence end; a schedule of one part has the end of its budget."""
    total = int(schedule.total_steps)
    if isinstance(schedule, Segments):
        ends, start = list[int](), 0
        for segment, length in zip(schedule.segments, schedule.lengths(np.int64(total)), strict=True):
            ends += [start + end for end in _part_ends(segment.at(int(length)))] if length else []
            start += int(length)
        return ends
    if isinstance(schedule, Product | Clip):
        return _part_ends(schedule.schedule)
    if isinstance(schedule, After):
        return [end - int(schedule.step) for end in _part_ends(schedule.schedule) if end > int(schedule.step)]
    if isinstance(schedule, Truncated):
        return [*(end for end in _part_ends(schedule.schedule) if end < total), total]
    return [total]


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
