"""Whether a trace agrees with a schedule, where it parts, and the likeliest reasons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrsched.analysis.check.faults import FAULTS, Case
from lrsched.analysis.check.reference import Reference
from lrsched.analysis.check.trace import Trace

NEAR = 0.1  # of the mean difference: what a reason that is not exact may leave


class Reason(NamedTuple):
    """Why a trace parts.

    Attributes:
      kind: of the fault, in a word.
      text: what happened.
      rates: those that it would leave, at the trace's updates.
    """

    kind: str
    text: str
    rates: np.ndarray


class Verdict(NamedTuple):
    """What is to be said of a trace.

    Attributes:
      updates: of the logged rates, counted from 0.
      expected: the schedule's rates at them.
      found: those that were logged.
      tolerance: by how much each may differ.
      first_step: what the run calls its first update, as far as that decides anything; see `assumed`.
      assumed: whether the trace leaves it open.
      either: whether it agrees or parts by both ways of counting.
      parting: the place in these arrays of the first rate that differs by more; None: they agree.
      reasons: those that leave exactly this trace, the plainest first.
      near: the reason that comes nearest, where none does and most of the difference is explained.
    """

    updates: np.ndarray
    expected: np.ndarray
    found: np.ndarray
    tolerance: np.ndarray
    first_step: int
    assumed: bool
    either: bool
    parting: int | None
    reasons: tuple[Reason, ...]
    near: Reason | None

    def __repr__(self) -> str:
        """How it ends; the arrays are left out."""
        said = "agrees" if self.agrees else f"parts at update {self.update}"
        why = "; ".join(reason.text for reason in self.reasons)
        return f"<Verdict: {len(self.found)} rates, {said}{why and f' ({why})'}>"

    @property
    def agrees(self) -> bool:
        return self.parting is None

    @property
    def update(self) -> int | None:
        """The first update, counted from 0, whose rate differs."""
        return None if self.parting is None else int(self.updates[self.parting])

    @property
    def differences(self) -> np.ndarray:
        return self.found - self.expected


def judge(trace: Trace, reference: Reference) -> Verdict:
    """Holds a trace against a schedule.

    Where the trace does not say whether its steps are counted from 0 or from 1, the reading that agrees is taken, else
    the one that has a reason.
    """
    if trace.first_step is not None:
        return _judge(trace, reference, trace.first_step)
    read = [_judge(trace, reference, first) for first in (1, 0)]
    best = max(read, key=lambda one: (one.agrees, bool(one.reasons), one.near is not None))
    return best._replace(assumed=True, either=read[0].agrees == read[1].agrees)


def _judge(trace: Trace, reference: Reference, first_step: int) -> Verdict:
    updates = trace.updates(first_step)
    expected = reference.at(updates)
    wrong = np.flatnonzero(np.abs(trace.rates - expected) > trace.tolerance)
    numbers = (updates, expected, trace.rates, trace.tolerance, first_step, False, True)
    if not len(wrong):
        return Verdict(*numbers, None, (), None)
    case = Case(updates, trace.rates, trace.tolerance, reference, int(wrong[0]))
    reasons, near = find_reasons(case)
    return Verdict(*numbers, case.first, reasons, near)


def find_reasons(case: Case) -> tuple[tuple[Reason, ...], Reason | None]:
    """(the reasons that leave this trace within its tolerance, of each kind the nearest; else the nearest of all)."""
    best: dict[str, tuple[float, bool, Reason]] = {}
    for fault in FAULTS:
        for kind, text, rates, exact_to in fault(case):
            off = np.abs(case.rates - rates)
            if case.reference.peak_assumed and kind != "constant" and (off > case.tolerance + exact_to).any():
                factor = float(case.rates @ rates) / max(float(rates @ rates), 1e-300)
                rates, text = factor * rates, f"{text}, with a peak of {factor * case.reference.peak:.6g}"
                off = np.abs(case.rates - rates)
            exact, mean = bool((off <= case.tolerance + exact_to).all()), float(off.mean())
            worse, was_exact, _ = best.get(kind, (np.inf, False, None))
            if (not exact, mean) < (not was_exact, worse * (1 - 1e-9)):
                best[kind] = mean, exact, Reason(kind, text, rates)
    exact_ones = tuple(reason for _, exact, reason in best.values() if exact)
    if exact_ones:
        return exact_ones, None
    mean, _, nearest = min(best.values(), key=lambda one: one[0])
    whole = float(np.abs(case.rates - case.reference.at(case.updates)).mean())
    return (), nearest if mean <= NEAR * whole else None
