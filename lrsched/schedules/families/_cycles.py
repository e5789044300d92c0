"""Where cycles begin and how long they are, in whole updates, for a budget that may be traced.

The lengths are exact rationals, of an update or of the budget, and their sums are too, so a boundary is rounded once:
down, as in a `sequence`. A cycle lasts at least one update. The boundaries are one constant table looked up by
bisection, whose size no traced program depends on; after the table's end the last length repeats.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrsched.schedules.durations import duration
from lrsched.schedules.families.subsampled import check_parts
from lrsched.schedules.progress import LARGEST_DENOMINATOR, Progress, Ratio
from lrsched.schedules.values import (
    LARGEST_STEP,
    Number,
    check_number,
    check_steps,
    is_concrete,
    namespace,
    static,
    value_class,
)

MOST_CYCLES = 10_000  # in a table; equal cycles of a fixed number of updates need none and have no limit
LIMBS = 4  # digits to base 65,536 of a fraction of the budget: exact for denominators below 2**32


@value_class
class Cycles:
    """Lengths as (numerator, denominator), of an update or of the budget; after them each is the last times `mult`."""

    lengths: tuple[tuple[int, int], ...] = static()
    mult: tuple[int, int] = static(default=(1, 1))
    of_budget: bool = static(default=False)

    def _check(self) -> None:
        if not self.lengths:
            raise ValueError("lengths must be at least one, got none.")
        for name, fraction in [("mult", self.mult), *(("lengths", length) for length in self.lengths)]:
            for number in fraction:
                check_steps(name, number)
        (a, b), (numerator, denominator) = self.mult, self.lengths[0]
        if self.of_budget and a < b and Fraction(numerator, denominator) < 1 - Fraction(a, b):
            raise ValueError(
                f"first_cycle must be at least 1 - cycle_mult to fill the budget, got {numerator}/{denominator}."
            )
        _table(self)  # which refuses more cycles than it can hold

    def layout(self, total: Any) -> tuple[Any, Any]:
        """(starts, lengths), ascending and whole; the last length repeats. The last cycle may pass the budget."""
        xp, table = namespace(total), _table(self)[0]
        if not self.of_budget:
            return tuple(xp.asarray(table, total.dtype))
        whole, *limbs = xp.asarray(table)
        total_bits = total.astype(np.uint32)
        high, low, ends = total_bits >> 16, total_bits & 0xFFFF, xp.zeros_like(whole)
        for limb in reversed(limbs):  # total * limb / 65,536 and what came before, in halves that fit into 32 bits
            ends = high * limb + (ends >> 16) + (((ends & 0xFFFF) + low * limb) >> 16)
        ends = ends + total_bits * whole
        index = xp.arange(len(ends), dtype=np.uint32)
        starts = xp.concatenate([xp.zeros_like(ends[:1]), ends[:-1]])
        ahead = xp.maximum(starts, index) - index  # at least one update each: starts - index may not fall
        starts = (jax.lax.cummax(ahead) if xp is not np else np.maximum.accumulate(ahead)) + index
        lengths = (xp.concatenate([starts[1:], ends[-1:]]) - starts).astype(np.int32)  # the last end may pass 2**32
        return starts.astype(total.dtype), xp.maximum(lengths, 1).astype(total.dtype)

    @property
    def repeats(self) -> bool:
        """Whether a budget may go on after the table's end."""
        a, b = self.mult
        return a < b or (a == b and not self.of_budget)

    def check(self, total_steps: Number) -> None:
        """Raises ValueError for a concrete budget that these cycles cannot fill, or whose last one is too long."""
        (a, b), longest = self.mult, _table(self)[1]
        if not is_concrete(total_steps) or total_steps <= longest:
            return
        if a > b:
            raise ValueError(
                f"cycle_mult must make no cycle of more than 2**31 - 1 updates under total_steps = {total_steps}, "
                f"got {a / b:g}."
            )
        raise ValueError(f"total_steps must be at most {longest} for these cycles, got {total_steps}.")


def parts_of_a_step(lengths: Sequence[Any], total_steps: Number) -> tuple[int, list[Any]]:
    """(n, the lengths, of which those in steps are in n-th parts of one), the smallest n that makes them whole."""
    every = math.lcm(*(length.denominator for length in lengths if isinstance(length, Fraction)))
    if every == 1:
        return 1, list(lengths)
    check_parts(total_steps, every)
    return every, [
        length if isinstance(length, Ratio) else int(length * every) if isinstance(length, Fraction) else length * every
        for length in lengths
    ]


def cycles(name: str, lengths: Sequence[Any], mult: Number | Fraction = 1) -> Cycles:
    """Cycles from durations, all in steps or all fractions of the budget, and the factor from one to the next."""
    parts: list[Any] = [duration(length, name=name, parts=True) for length in lengths]
    of_budget = all(isinstance(p, Ratio) for p in parts)
    if not parts or not (of_budget or all(isinstance(p, int | np.integer) for p in parts)):
        raise ValueError(f"{name} must be concrete, and in steps throughout or fractions throughout, got {lengths!r}.")
    exact = [(int(p.numerator), int(p.denominator)) if isinstance(p, Ratio) else (int(p), 1) for p in parts]
    if not all(numerator for numerator, _ in exact):
        raise ValueError(f"{name} must be above 0, got {lengths!r}.")
    return Cycles(tuple(exact), _exact_mult(mult).as_integer_ratio(), of_budget)


def _exact_mult(mult: Number | Fraction) -> Fraction:
    """The factor between cycles as a fraction."""
    if not isinstance(mult, Fraction):
        if not is_concrete(mult):
            raise ValueError("cycle_mult must be a concrete number, got a traced one.")
        check_number("cycle_mult", mult, at_least=0.0)
    if mult <= 0:
        raise ValueError(f"cycle_mult must be above 0, got {mult}.")
    if mult > LARGEST_STEP:
        raise ValueError(f"cycle_mult must be at most 2**31 - 1, got {mult}.")
    exact = mult if isinstance(mult, Fraction) else Fraction(float(mult))
    found = exact.limit_denominator(LARGEST_DENOMINATOR)
    if found == 0:
        raise ValueError(f"cycle_mult must be at least 1/{LARGEST_DENOMINATOR}, got {mult}.")
    return found


def _sums(made: Cycles) -> Iterator[tuple[int, int, int]]:
    """(sum of the lengths so far, the last length, their common denominator), without end, in exact integers."""
    (a, b), scale, total, size = made.mult, math.lcm(*(d for _, d in made.lengths)), 0, 0
    for numerator, denominator in made.lengths:
        size = numerator * (scale // denominator)
        total += size
        yield total, size, scale
    while True:
        total, size, scale = total * b + size * a, size * a, scale * b
        yield total, size, scale


@functools.lru_cache(maxsize=256)
def _table(made: Cycles) -> tuple[np.ndarray, int]:
    """The table, and the longest budget that it serves.

    Of updates: the starts and the lengths. Of the budget: of each end the whole part, and LIMBS digits.
    """
    a, b = made.mult
    starts, lengths, digits = [0], [], []
    for count, (total, size, scale) in enumerate(_sums(made), start=1):
        if count > MOST_CYCLES:
            raise ValueError(f"cycles in a table must be at most {MOST_CYCLES}, got lengths that grow by {a / b:g}.")
        if made.of_budget:
            fixed = -(-(total << 16 * LIMBS) // scale)  # from above: a boundary at 1/3 of 300 is 100
            digits.append([fixed >> 16 * LIMBS, *(fixed >> 16 * i & 0xFFFF for i in reversed(range(LIMBS)))])
            if total >= scale or size << 31 < scale:  # the budget is full, or lengths have shrunk below any update
                return np.array(digits, np.uint32).T, (
                    (LARGEST_STEP - 1) * scale // size if size > scale else LARGEST_STEP
                )
        else:
            end = max(total // scale, starts[-1] + 1)
            lengths.append(end - starts[-1])
            if lengths[-1] > LARGEST_STEP:
                return np.array([starts, [*lengths[:-1], LARGEST_STEP]]), starts[-1]
            if end > LARGEST_STEP or size < scale or (a == b and count >= len(made.lengths)):
                sum_of_all = made.lengths[0][0] * b // (b - a) if a < b else LARGEST_STEP
                return np.array([starts, lengths]), sum_of_all
            starts.append(end)
    raise AssertionError


def locate(layout: tuple[Any, Any], step: Any, total: Any, *, repeats: bool = True) -> tuple[Any, Progress]:
    """(cycle counted from 0, progress in it): half open, but the budget's end belongs to the cycle that ends there."""
    xp, (starts, lengths) = namespace(step), layout
    at = xp.minimum(step, total - 1)
    if len(starts) == 1:
        index, start, length = xp.zeros_like(at), starts[0], lengths[0]
    else:
        index = _last_at_most(starts, at).astype(step.dtype)
        start, length = xp.take(starts, index, mode="clip"), xp.take(lengths, index, mode="clip")
    if repeats:
        more = (at - start) // length
        index, start = index + more, start + more * length
    return index, Progress(step - start, length)


def _last_at_most(starts: Any, at: Any) -> Any:
    """Index of the last of `starts` (ascending from 0) that is at most `at`."""
    if namespace(at) is np:
        return np.searchsorted(starts, at, side="right") - 1
    few = len(starts) <= 32  # then comparing with all of them is several times faster on a CPU than bisecting
    return jnp.searchsorted(starts, at, side="right", method="compare_all" if few else "scan") - 1


def intervals(starts: Any, lengths: Any, total: int) -> Iterator[tuple[int, int]]:
    """(start, length) of every cycle that begins within the budget, the last one's length uncut."""
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        if start < total:
            yield start, length
    for later in range(start + length, total, length):
        yield later, length


def ends(starts: Any, lengths: Any, total: int) -> tuple[int, ...]:
    """Updates completed when each cycle ends, the last cut by the budget."""
    return tuple(min(start + length, total) for start, length in intervals(starts, lengths, total))
