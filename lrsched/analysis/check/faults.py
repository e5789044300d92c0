"""The faults that are known: each makes, from the schedule, the trace that it would leave.

A fault yields candidates in the order of their plainness; `reasons` keeps of each kind the one that is nearest to the
trace. Where two kinds leave one trace, both are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from lrsched.analysis.check.reference import Rates, Reference, reflected

MANY = range(2, 65)  # processes, micro-batches or updates of one schedule's step
WIDEST_GAP = 300  # updates between two logged ones in which a place is looked for
SCALES = (("", 1.0), ("the square root of ", 0.5))


class Case(NamedTuple):
    """A trace that parts.

    Attributes:
      updates: of the logged rates, from 0.
      rates: logged.
      tolerance: of each.
      reference: the schedule.
      first: the place in the trace of the first rate that differs.
    """

    updates: np.ndarray
    rates: np.ndarray
    tolerance: np.ndarray
    reference: Reference
    first: int

    @property
    def parting(self) -> range:
        """Where it may have gone wrong: the updates after the last rate that agrees, up to the first that does not."""
        return self.gap(self.first)

    def gap(self, place: int) -> range:
        """The updates after the logged one before this place, up to that of the place; of many the nearest."""
        last = int(self.updates[place])
        before = int(self.updates[place - 1]) + 1 if place else 0
        return range(max(before, last - WIDEST_GAP), last + 1)

    def fits(self, rates: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> bool:
        return bool((np.abs(self.rates[chosen] - rates) <= self.tolerance[chosen]).all())


class Candidate(NamedTuple):
    """The trace of one fault: its kind, the reason in words, the rates, and how exactly they are made."""

    kind: str
    reason: str
    rates: np.ndarray
    exact_to: np.ndarray | float = 0.0


def constant(case: Case) -> Iterator[Candidate]:
    """One rate at all updates."""
    value = float(np.median(case.rates))
    if len(case.rates) > 1 and np.ptp(case.reference.table):
        yield Candidate(
            "constant",
            f"constant at {value:.6g}: the schedule is never stepped, or not used",
            np.full_like(case.rates, value),
        )


def shifted(case: Case) -> Iterator[Candidate]:
    """Early or late by a few updates."""
    for by in (1, 2, 3):
        many = "one update" if by == 1 else f"{by} updates"
        logged = ", or the next update's rate is logged" if by == 1 else ""
        yield Candidate("early", f"early by {many}{logged}", case.reference.at(case.updates + by))
        yield Candidate("late", f"late by {many}", case.reference.at(case.updates - by))


def scaled(case: Case) -> Iterator[Candidate]:
    """Another peak: all rates times one factor."""
    expected = case.reference.at(case.updates)
    if case.reference.peak_assumed:
        return
    if (size := float(expected @ expected)) > 0 and (factor := float(case.rates @ expected) / size) > 0:
        for times in (float(f"{factor:.3g}"), factor):
            reason = f"all rates are {times:.4g} times those expected: another peak{_like(times)}"
            yield Candidate("peak", reason, times * expected)


def _like(factor: float) -> str:
    """What a factor is like, if it is like anything."""
    for word, power in SCALES:
        for n in range(2, 1025):
            if abs(max(factor, 1 / factor) / n**power - 1) < 1e-4:
                way = "multiplied" if factor > 1 else "divided"
                return f" ({way} by {word}{n}, as for a number of processes or a batch size)"
    return ""


def started(case: Case) -> Iterator[Candidate]:
    """A warmup that begins elsewhere, is missing, or has another length."""
    reference, updates = case.reference, case.updates
    expected, peak, length = reference.at(updates), reference.peak, reference.warmup
    if length:
        own = float(reference.table[0])
        near = max(float(case.tolerance.max()), 1e-9 * peak)  # a beginning that is the schedule's own is no reason
        for steps in (length, length + 1):
            inside = updates < steps
            for first, run in (0.0, steps), (1 / steps, steps - 1), (1 / (steps + 1), steps), (1 / steps, steps):
                if abs(first * peak - own) <= near:
                    continue
                ramp = peak * np.minimum(first + (1 - first) * updates / max(run, 1), 1.0)
                said = f"the warmup begins at {first * peak:.4g}, not at {own:.4g}"
                yield Candidate("warmup_start", said, np.where(inside, ramp, expected))
        if (inside := updates < length).sum() > 2:
            slope, first = np.polyfit(updates[inside], case.rates[inside], 1)
            if abs(first - own) > near:
                said = f"the warmup begins at {first:.4g}, not at {own:.4g}"
                yield Candidate("warmup_start", said, np.where(inside, first + slope * updates, expected))
        rising = inside & (case.rates < peak - near)
        if reference.warmed is None and rising.sum() > 2:
            slope = np.polyfit(updates[rising], case.rates[rising], 1)[0]
            if slope > 0 and (steps := max(round((peak - own) / slope), 1)) != length:
                ramp, inside = np.minimum(own + (peak - own) / steps * updates, peak), updates < max(steps, length)
                said = f"the warmup takes {steps} updates, not {length}"
                yield Candidate("warmup_length", said, np.where(inside, ramp, expected))
            inside = updates < length
        yield Candidate("no_warmup", "no warmup: the peak from the beginning", np.where(inside, peak, expected))
        yield Candidate("no_warmup", "no warmup: what follows it begins at once", reference.at(updates + length))
    if reference.warmed is not None:
        top = int(case.rates.argmax())
        found = [0, *case.gap(top)] if len(case.gap(top)) < 30 else [0, int(updates[top])]
        for steps in found:
            kind = "warmup_length" if steps else "no_warmup"
            said = f"the warmup takes {steps} updates, not {length}" if steps else "no warmup"
            if steps != length and (made := _made(reference.warmed(steps), updates, reference.total_steps)) is not None:
                yield Candidate(kind, said, made)


def _made(rates: Rates, updates: np.ndarray, total_steps: int) -> np.ndarray | None:
    """A schedule's rates, clamped to its budget; None if it does not fit it."""
    try:
        return rates(np.clip(updates, 0, total_steps), total_steps)
    except ValueError:
        return None


def per_epoch(case: Case) -> Iterator[Candidate]:
    """Restarted at each epoch; or stepped once in an epoch, or once in so many updates."""
    reference, updates = case.reference, case.updates
    known = [reference.steps_per_epoch] if reference.steps_per_epoch else []
    for epoch in [*known, *case.parting]:
        if 1 < epoch < reference.total_steps:
            said = f"restarted every {epoch} updates, as at each epoch"
            yield Candidate("restarted", said, reference.at(updates % epoch))
            if (made := _made(reference.rates, updates % epoch, epoch)) is not None:
                yield Candidate("restarted", f"{said}, with one epoch for a budget", made)
    moved = np.flatnonzero(np.abs(case.rates - case.rates[0]) > 2 * case.tolerance)
    run = case.gap(int(moved[0])) if len(moved) else range(0)
    epochs = np.ceil(reference.total_steps / np.array([*known, *run, *MANY]).clip(1)).astype(int)
    for epoch, count in zip([*known, *run, *MANY], epochs, strict=True):
        if epoch > 1:
            often = (
                "once per epoch" if epoch in known else f"once in {epoch} updates (per epoch, or per accumulated batch)"
            )
            held = f"stepped {often}, where it has the right rate"
            yield Candidate("held", held, reference.at(updates - updates % epoch))
            said = f"stepped {often}, not at every update: time runs {epoch} times too slowly"
            yield Candidate("slow", said, reference.at(updates // epoch))
            if epoch in known and (made := _made(reference.rates, updates // epoch, int(count))) is not None:
                yield Candidate("held", f"stepped {often}, with the epochs for a budget", made)


def fast(case: Case) -> Iterator[Candidate]:
    """Stepped several times in each update."""
    total = case.reference.total_steps
    for n in MANY:
        said = f"stepped {n} times in each update, as per micro-batch or per process: time runs {n} times too fast"
        yield Candidate("fast", said, case.reference.at(n * case.updates))
        again = f"{said}, and the rate rises again after the end"
        yield Candidate("fast", again, case.reference.at(reflected(n * case.updates, total)))


def after_the_end(case: Case) -> Iterator[Candidate]:
    """A rate that does not stay when the budget is spent."""
    total, updates = case.reference.total_steps, case.updates
    if updates[-1] > total:
        said = f"the rate rises again after the end at {total}"
        yield Candidate("rebound", said, case.reference.at(reflected(updates, total)))
        again = f"the schedule begins again after the end at {total}"
        yield Candidate("rebound", again, case.reference.at(updates % total))


def budget(case: Case) -> Iterator[Candidate]:
    """A schedule made for another number of updates."""
    reference, total = case.reference, case.reference.total_steps
    some = np.unique(np.linspace(0, len(case.updates) - 1, 200).astype(int))

    def distance(steps: int) -> float:
        made = _made(reference.rates, case.updates[some], steps)
        return np.inf if made is None else float(np.abs(made - case.rates[some]).mean())

    epoch = reference.steps_per_epoch or 1
    near = {total + by for by in range(-3, 4)} | {total + by * epoch for by in (-2, -1, 1, 2)}
    near |= {total + by * reference.warmup for by in (-1, 1)} | {round(total * n) for n in (1 / epoch, epoch)}
    near |= {round(total * share) for n in range(2, 17) for share in (n, 1 / n)}
    tried = sorted(near | {int(step) for step in np.geomspace(max(total / 64, 1), total * 64, 49)})
    found = {steps: distance(steps) for steps in tried if 0 < steps < 2**31 and steps != total}
    for best in sorted(found, key=found.__getitem__)[:2]:
        best = _descend(distance, best, found)
        if best != total and (made := _made(reference.rates, case.updates, best)) is not None:
            said = f"made for {best:,} updates, not {total:,}"
            yield Candidate("budget", said, made)
            turned = _made(reference.rates, reflected(case.updates, best), best)
            if turned is not None:
                yield Candidate("budget", f"{said}, and the rate rises again after them", turned)


def _descend(distance: Callable[[int], float], start: int, known: dict[int, float]) -> int:
    """The whole number near `start` at which the distance is least: strides that halve until they are of one."""
    stride, last = max(start // 16, 1), 4 * start
    while stride and start < last:
        for place in (start - stride, start + stride):
            if place > 0 and place not in known:
                known[place] = distance(place)
        best = min((start, start - stride, start + stride), key=lambda place: known.get(place, np.inf))
        stride, start = (stride, best) if best != start else (stride // 2, start)
    return start


def moved_fall(case: Case) -> Iterator[Candidate]:
    """A decay that begins or ends elsewhere: the updates at which its rates were logged lie on a line over its own."""
    if (fall := case.reference.fall) is None:
        return
    start, end = fall
    times, table = np.arange(start, end + 1), case.reference.table[start : end + 1]
    room = 2 * case.tolerance
    inside = (case.rates > table[-1] + room) & (case.rates < table[0] - room)
    inside &= np.arange(len(inside)) >= case.rates.argmax()
    where = np.interp(-case.rates[inside], -table, times.astype(float))
    if inside.sum() < 3 or np.ptp(where) < 1:
        return
    slope, offset = np.polyfit(where, case.updates[inside].astype(float), 1)
    first, last = round(slope * start + offset), round(slope * end + offset)
    bend = np.abs(np.diff(table, 2)).max(initial=0.0) / 8
    for begin in (first, first - 1, first + 1, start):
        for stop in (last, last - 1, last + 1, end):
            if stop > begin >= 0 and (begin, stop) != fall:
                time = start + (case.updates - begin) * ((end - start) / (stop - begin))
                falling = np.interp(time, times, table)
                rates = np.where(case.updates < begin, case.reference.at(np.minimum(case.updates, start)), falling)
                places = ("begins", begin, start), ("ends", stop, end)
                said = [f"{word} at update {here:,}, not {own:,}" for word, here, own in places if here != own]
                exact_to = np.where(case.updates < begin, 0.0, bend)
                yield Candidate("decay", f"the decay {' and '.join(said)}", rates, exact_to)


def ended(case: Case) -> Iterator[Candidate]:
    """A decay to another end, or one that is held at a floor."""
    reference, updates = case.reference, case.updates
    expected, peak, last = reference.at(updates), reference.peak, float(reference.table[-1])
    after = updates >= reference.warmup
    fallen = peak - expected[after]
    if peak <= last or not (size := float(fallen @ fallen)):
        return
    end = peak - (peak - last) * float(fallen @ (peak - case.rates[after])) / size
    for value in (float(f"{end:.3g}"), end):
        if 0 <= value < peak and value != last:
            share = (peak - value) / (peak - last)
            rates = np.where(after, peak - (peak - expected) * share, expected)
            yield Candidate("end", f"the decay ends at {value:.4g}, not at {last:.4g}", rates)
    if last < (lowest := float(case.rates[after].min())) < peak:
        rates = np.where(after, np.maximum(expected, lowest), expected)
        yield Candidate("floor", f"the rate never falls below {lowest:.4g}", rates)


def resumed(case: Case) -> Iterator[Candidate]:
    """Time that jumps, runs faster or stops from one update on."""
    reference, updates = case.reference, case.updates
    if updates[case.first] < 2 or not case.first:  # then it was so from the beginning
        return
    expected, after = reference.at(updates), np.arange(len(updates)) >= case.first
    place, steps = int(updates[case.first]), updates[after]
    for by in _jumps(case):
        here = f"from update {place:,} on"
        if place - by <= 1:
            said = f"restarted at update {place:,}: the schedule begins anew"
        elif by > 0:
            said = f"resumed {by:,} updates behind {here}: the rates of those updates come again"
        else:
            twice = " (the updates of the resumed run are counted twice)" if abs(place + by) <= 1 else ""
            said = f"resumed {-by:,} updates ahead {here}{twice}"
        yield Candidate("resumed", said, np.where(after, reference.at(updates - by), expected))
    for start in range(max(case.parting.start - 1, 0), place):
        for n in range(2, 9):
            said = f"stepped {n} times in each update from update {start:,} on, as after a resume"
            made = np.where(after, reference.at(start + n * (updates - start)), expected)
            if case.fits(made[after][:3], np.flatnonzero(after)[:3]):
                yield Candidate("resumed", said, made)
        stuck = np.where(after, reference.at(np.full_like(updates, start)), expected)
        if len(steps) > 1 and case.fits(stuck[after], after):
            yield Candidate("stuck", f"held from update {start:,} on: the schedule is stepped no more", stuck)


def _jumps(case: Case) -> list[int]:
    """By how many updates the schedule may be behind from the parting on, the least first: what the rates allow."""
    by = np.arange(-case.reference.total_steps, int(case.updates[case.first]) + 1)
    by = by[by != 0]
    places = np.unique(np.linspace(case.first, len(case.updates) - 1, 60).astype(int))
    for place in places:
        expected = case.reference.at(case.updates[place] - by)
        by = by[np.abs(expected - case.rates[place]) <= case.tolerance[place]]
    return [int(one) for one in by[np.argsort(np.abs(by), kind="stable")][:20]]


def reshaped(case: Case) -> Iterator[Candidate]:
    """Another schedule, of the same peak and budget."""
    for words, rates in case.reference.others.items():
        if (made := _made(rates, case.updates, case.reference.total_steps)) is not None:
            yield Candidate("shape", f"another schedule: {words}", made)


#: In the order in which reasons that fit equally well are named.
FAULTS: tuple[Callable[[Case], Iterator[Candidate]], ...] = (
    *(constant, shifted, scaled, started, after_the_end, per_epoch, fast, resumed, budget, ended, moved_fall, reshaped),
)
