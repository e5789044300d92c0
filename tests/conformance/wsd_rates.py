"""WSD in several stacks: the rate of each at every update, and the words that make it here.

A rate is a share of the rate that the optimiser is given; update k is counted from 0. The functions are worked out from
the formulas of the sources that wsd.py names, and are this file's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Setting(NamedTuple):
    """A budget, the lengths of its warmup and decay in updates, the end as a share of the peak, and the shape."""

    total: int
    warmup: int
    decay: int
    end: float = 0.1
    shape: str = "linear"


REFERENCE = Setting(100, 10, 20)
#: Lengths and ends of every kind: no warmup, no stable part, one update of each, the whole budget.
SETTINGS = [
    REFERENCE,
    Setting(100, 0, 20, 0.0),
    Setting(37, 5, 11, 0.05),
    Setting(12, 5, 7),
    Setting(10, 1, 1, 0.0),
    Setting(9, 0, 9),
    Setting(3, 1, 2),
    Setting(2, 0, 1),
    Setting(1, 0, 1),
]
BEYOND = 5  # updates after the end that are looked at

#: The shapes by their names here: z is the part of the decay that is over.
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda z: 1 - z,
    "cosine": lambda z: (1 + math.cos(math.pi * z)) / 2,
    "one_minus_sqrt": lambda z: 1 - math.sqrt(z),
    "square": lambda z: 1 - z * z,
    "exponential_to_zero": lambda z: 2 ** (1 - z) - 1,
}


def _fall(s: Setting, z: float) -> float:
    return s.end + (1 - s.end) * SHAPES[s.shape](z)


def torchtitan(k: int, s: Setting) -> float:
    """A virtual update is added to the stable part, so that the decay, which counts from 1, begins with the first."""
    if k < s.warmup:
        return (k + 1) / s.warmup
    stable_end = s.total + 1 - s.decay
    return 1.0 if k < stable_end else _fall(s, (k + 1 - stable_end) / s.decay)


def torchtitan_before(k: int, s: Setting) -> float:
    """Slopes of 1 / (W + 1) and 1 / (D + 1)."""
    if k < s.warmup:
        return (k + 1) / (s.warmup + 1)
    stable_end = s.total - s.decay
    return 1.0 if k < stable_end else _fall(s, (k + 1 - stable_end) / (s.decay + 1))


def megatron(k: int, s: Setting) -> float:
    """The count of samples over the size of a batch, which is the same at every update."""
    if s.warmup > 0 and k <= s.warmup:
        return k / s.warmup
    if k > s.total:
        return s.end
    start = s.total - s.decay
    return 1.0 if k <= start else _fall(s, (k - start) / s.decay)


def levanter(k: int, s: Setting) -> float:
    """Optax's schedules joined: each sees the updates since its own start, and stays at its end."""
    if k < s.warmup:
        return k / s.warmup
    return _fall(s, min(max(k - (s.total - s.decay), 0) / s.decay, 1.0))


def olmo(k: int, s: Setting) -> float:
    """The trainer counts an update before it asks for its rate."""
    current = k + 1
    if current <= s.warmup:
        return current / s.warmup
    left = s.total - current
    return s.end + (1 - s.end) * min(left, s.decay) / s.decay if left <= s.decay else 1.0


def maxtext(k: int, s: Setting) -> float:
    """The decay reaches its end in one update less than it has; a linear one of one update stays at the peak."""
    if k < s.warmup:
        return k / s.warmup
    if k >= s.total:
        return 0.0  # of learning_rate_schedule_steps, where steps is more
    done, last = k - (s.total - s.decay), s.decay - 1
    if done < 0 or (last == 0 and s.shape == "linear"):
        return 1.0
    return _fall(s, done / last if last else 1.0)


def nanochat(k: int, s: Setting) -> float:
    if k < s.warmup:
        return (k + 1) / s.warmup
    if k <= s.total - s.decay:
        return 1.0
    left = (s.total - k) / s.decay
    return left + (1 - left) * s.end


#: modded-nanogpt's levels, a third of the run each, whose batches grow.
LEVELS = (1.0, 1.52, 1.73)


def _level_ends(total: int) -> list[int]:
    return [round(i * total / len(LEVELS)) for i in range(1, len(LEVELS))]


def modded(k: int, s: Setting) -> float:
    """Three levels without a warmup, blended into the end over the decay, whether or not the level changes in it."""
    return _blended(s, sum(k >= end for end in _level_ends(s.total)), k)


def _blended(s: Setting, level: int, k: int) -> float:
    z = min(max(k - (s.total - s.decay), 0) / s.decay, 1.0)
    return LEVELS[level] * (1 - z) + s.end * z


def _written(share: float) -> str:
    return f"{100 * share:.15g}%"


def _wsd(s: Setting, warmup: int, first: float) -> str:
    init = f",init_value={_written(first)}" if warmup and first else ""
    end = f",end_value={_written(s.end)}" if s.end else ""
    return f"wsd:warmup={warmup}st,cooldown={s.decay}st,shape={s.shape}{init}{end}"


def plain_words(s: Setting) -> str:
    return _wsd(s, s.warmup, 0.0)


def from_end_words(s: Setting) -> str:
    return _wsd(s, s.warmup, s.end)


def ahead_words(s: Setting) -> str:
    """Of a warmup that counts from 1: it is at the peak with its last update."""
    return _wsd(s, max(s.warmup - 1, 0), 1 / max(s.warmup, 1))


def before_words(s: Setting) -> str:
    return _wsd(s._replace(decay=s.decay + 1), s.warmup, 1 / (s.warmup + 1))


def _parts(warmup: str, fall: str, s: Setting, decay: int) -> str:
    end = f",end_value={_written(s.end)}" if s.end else ""
    return "+".join(filter(None, [warmup, "constant", f"{fall}:{decay}st{end}@inclusive"]))


def olmo_words(s: Setting) -> str:
    """The decay's own first update is the last one at the peak."""
    warmup = f"warmup:{s.warmup - 1}st,init_value={_written(1 / s.warmup)}" if s.warmup > 1 else ""
    return _parts(warmup, s.shape, s, s.decay + 1)


def maxtext_words(s: Setting) -> str:
    warmup = f"warmup:{s.warmup}st" if s.warmup else ""
    if s.decay == 1:
        last = f"constant:1st,peak_value={_written(s.end)}" if s.shape == "cosine" else ""
        return "+".join(filter(None, [warmup, "constant", last]))
    return _parts(warmup, s.shape, s, s.decay)


def modded_words(s: Setting) -> str:
    """Points joined by lines; two at one update are a jump."""
    ends = _level_ends(s.total)
    points = [(0, modded(0, s))]
    for place in sorted({*ends, s.total - s.decay, s.total} - {0}):
        before, after = (_blended(s, sum(place - 1 + i >= end for end in ends), place) for i in (0, 1))
        points += [(place, before)] if before == after else [(place, before), (place, after)]
    places, values = zip(*points, strict=True)
    return (
        f"piecewise_interpolate:boundaries={'/'.join(f'{place}st' for place in places[1:])}"
        f",values={'/'.join(f'{value:.15g}' for value in values)}"
    )
