"""The schedules of Hugging Face's transformers by their names there; the library is not imported.

The names and arguments are those of `get_scheduler`; lengths of a warmup also in the words of `TrainingArguments`,
whose meaning changed from version to version.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from lrsched.schedules.combine import Sequence, sequence
from lrsched.schedules.core import Schedule, decay
from lrsched.schedules.entered import after
from lrsched.schedules.families.cycles import sgdr
from lrsched.schedules.families.decays import constant, cosine, linear, polynomial
from lrsched.schedules.families.inverse import rsqrt
from lrsched.schedules.families.rising import growth, warmup
from lrsched.schedules.families.subsampled import in_parts
from lrsched.schedules.interop.arguments import Importer, call, keywords, known, number, refuse, whole
from lrsched.schedules.interop.building import warmed
from lrsched.schedules.values import Number, is_concrete

Version = tuple[int, int]
TYPED = (4, 49)  # warmup_stable_decay has types of warmup and decay, and works out its stable part
RATIO = (5, 0)  # a warmup_steps below 1 is a share of the steps
UNREAD = (
    "constant",
    "constant_with_warmup",
)  # transformers takes no notice of what they are given beside their lengths
TIMESCALE = (5, 4)  # inverse_sqrt is given its timescale (huggingface/transformers#44909)
SHAPES = {"linear": "linear", "cosine": "cosine", "1-sqrt": "one_minus_sqrt"}


def _rest(warm: Number, total: Number) -> Any:
    """The steps behind the warmup, of which there is at least one."""
    if is_concrete(warm) and is_concrete(total) and warm >= total:
        raise ValueError(f"num_training_steps must be above num_warmup_steps = {warm}, got {total}.")
    return total - warm


def _constant(lr: Number, *, warm: Number, total: Number | None) -> Schedule:
    return constant(lr, total_steps=1 if total is None else total)


def _constant_with_warmup(lr: Number, *, warm: Number, total: Number | None) -> Schedule:
    return warmed(0.0, lr, warm, constant(lr, total_steps=1 if total is None else _rest(warm, total)))


def _linear(lr: Number, *, warm: Number, total: Number) -> Schedule:
    return warmed(0.0, lr, warm, linear(lr, total_steps=_rest(warm, total)))


def _floor(lr: Number, min_lr: Number | None, min_lr_rate: Number | None) -> Any:
    if (min_lr is None) == (min_lr_rate is None):
        raise ValueError(f"one of min_lr and min_lr_rate must be given, got {min_lr!r} and {min_lr_rate!r}.")
    if min_lr is not None:
        return number("min_lr", min_lr, at_least=0.0)
    return lr * number("min_lr_rate", min_lr_rate, at_least=0.0)


def _cosine(lr: Number, *, warm: Number, total: Number, num_cycles: Number = 0.5) -> Schedule:
    refuse("num_cycles", num_cycles, 0.5)
    return warmed(0.0, lr, warm, cosine(lr, total_steps=_rest(warm, total)))


def _cosine_with_min_lr(
    lr: Number,
    *,
    warm: Number,
    total: Number,
    num_cycles: Number = 0.5,
    min_lr: Number | None = None,
    min_lr_rate: Number | None = None,
) -> Schedule:
    refuse("num_cycles", num_cycles, 0.5)
    low = _floor(lr, min_lr, min_lr_rate)
    return warmed(0.0, lr, warm, cosine(lr, total_steps=_rest(warm, total), end_value=low))


def _cosine_an_update_ahead(
    lr: Number,
    *,
    warm: Number,
    total: Number,
    num_cycles: Number = 0.5,
    min_lr: Number | None = None,
    min_lr_rate: Number | None = None,
    warmup_lr_rate: Number | None = None,
) -> Schedule:
    """Warmup and cosine both count their steps from 1: the last update has min_lr."""
    refuse("num_cycles", num_cycles, 0.5)
    low = _floor(lr, min_lr, min_lr_rate)
    fall = cosine(lr, total_steps=_rest(warm, total), end_value=low)
    known("num_warmup_steps", warm)
    share = None if warmup_lr_rate is None else number("warmup_lr_rate", warmup_lr_rate, at_least=0.0)
    last = constant(low, total_steps=1)
    if warm == 0 and total == 1:
        return last
    if warm == 1 and share is not None:  # the one step of the warmup is at its beginning
        first = constant(lr * share, total_steps=1)
        if _rest(warm, total) == 1:
            return sequence([first, fall], durations=[1, "rest"], total_steps=total)
        return sequence([first, after(fall, 1), last], durations=[1, "rest", 1], total_steps=total)
    if warm == 0:
        return sequence([after(fall, 1), last], durations=["rest", 1], total_steps=total)
    begin = lr / warm if share is None else lr * share
    if warm == 1:
        return sequence([fall, last], durations=["rest", 1], total_steps=total)
    rise = warmup(lr, total_steps=warm - 1, init_value=begin)
    return sequence([rise, fall, last], durations=[warm - 1, "rest", 1], total_steps=total)


def _cosine_with_restarts(lr: Number, *, warm: Number, total: Number, num_cycles: Number = 1) -> Schedule:
    count = known("num_cycles", whole("num_cycles", num_cycles, at_least=1))
    rest = _rest(warm, total)
    if count == 1:
        return warmed(0.0, lr, warm, cosine(lr, total_steps=rest))
    cycle = Fraction(known("num_training_steps", rest), count)  # a restart may fall between two steps

    def build(rest: Number, warm: Number, cycle: Number) -> Schedule:
        return warmed(0.0, lr, warm, sgdr(lr, total_steps=rest, first_cycle=cycle, cycle_mult=1))

    return in_parts(build, rest, warm, int(cycle) if cycle.denominator == 1 else cycle, budget=total)


def _polynomial(lr: Number, *, warm: Number, total: Number, lr_end: Number = 1e-7, power: Number = 1.0) -> Schedule:
    end, power = number("lr_end", lr_end, at_least=0.0), number("power", power, at_least=0.0)
    if is_concrete(lr) and is_concrete(end) and end >= lr:
        raise ValueError(f"lr_end must be below lr = {lr}, got {end}.")
    fall = polynomial(lr, total_steps=_rest(warm, total), power=power, end_value=end)
    return warmed(0.0, lr, warm, fall)


def _inverse_sqrt(lr: Number, *, warm: Number, total: Number, timescale: Number | None = None) -> Schedule:
    scale = (known("num_warmup_steps", warm) or 10_000) if timescale is None else timescale
    scale = whole("timescale", scale, at_least=1)
    return rsqrt(lr, total_steps=total, warmup=warm, timescale=scale)


def _wsd_before_its_types(
    lr: Number,
    *,
    warm: Number,
    total: Number | None,
    num_stable_steps: Number,
    num_decay_steps: Number,
    min_lr_ratio: Number = 0.0,
    num_cycles: Number = 0.5,
) -> Schedule:
    """Its warmup is from 0, whatever the minimum, and the length of the training is not asked for."""
    refuse("num_cycles", num_cycles, 0.5)
    low = lr * number("min_lr_ratio", min_lr_ratio, at_least=0.0)
    stable, fall = whole("num_stable_steps", num_stable_steps), whole("num_decay_steps", num_decay_steps)
    return _phases(lr, warmup(lr, total_steps=1), "cosine", low, (warm, stable, fall))


def _wsd(
    lr: Number,
    *,
    warm: Number,
    total: Number | None,
    num_decay_steps: Number,
    num_stable_steps: Number | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: Number = 0.0,
    num_cycles: Number = 0.5,
) -> Schedule:
    refuse("num_cycles", num_cycles, 0.5)
    for key, kind in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if kind not in SHAPES:
            raise ValueError(f"{key} must be one of {', '.join(SHAPES)}, got {kind!r}.")
    low = lr * number("min_lr_ratio", min_lr_ratio, at_least=0.0)
    fall = whole("num_decay_steps", num_decay_steps)
    if num_stable_steps is None:
        if total is None:
            raise ValueError("num_training_steps or num_stable_steps must be given, got neither.")
        stable = total - warm - fall
        if is_concrete(stable) and stable < 0:
            raise ValueError(
                f"num_training_steps must hold num_warmup_steps = {warm} and num_decay_steps = {fall}, got {total}."
            )
    else:  # this one counts, whatever num_training_steps says
        stable = whole("num_stable_steps", num_stable_steps)
    rise = growth(lr, total_steps=1, profile=SHAPES[warmup_type], init_value=low)
    return _phases(lr, rise, SHAPES[decay_type], low, (warm, stable, fall))


def _phases(lr: Number, rise: Schedule, shape: str, low: Number, lengths: tuple[Number, Number, Number]) -> Sequence:
    """Warmup, stable part, decay, and the minimum after them, even where there is no decay."""
    parts = (
        rise,
        growth(lr, total_steps=1, profile="constant"),
        decay(lr, profile=shape, total_steps=1, end_value=low),
    )
    kept = [
        (part, length) for part, length in zip(parts, lengths, strict=True) if not (is_concrete(length) and length == 0)
    ]
    if is_concrete(lengths[2]) and lengths[2] == 0:
        kept.append((constant(low, total_steps=1), 1))
    return sequence([part for part, _ in kept], durations=[length for _, length in kept])


HF: dict[str, Importer] = {
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "cosine": _cosine,
    "cosine_warmup_with_min_lr": _cosine_an_update_ahead,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_with_restarts": _cosine_with_restarts,
    "inverse_sqrt": _inverse_sqrt,
    "linear": _linear,
    "polynomial": _polynomial,
    "warmup_stable_decay": _wsd,
}
STATEFUL = {"reduce_lr_on_plateau": "see lrsched.plateau", "greedy": "it raises and lowers the rate with the loss"}
#: They do without num_training_steps there.
OPEN = ("constant", "constant_with_warmup", "warmup_stable_decay")


def from_hf(
    name: str,
    *,
    lr: Number,
    num_warmup_steps: Number | None = None,
    num_training_steps: Number | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
    warmup_steps: Number | None = None,
    warmup_ratio: Number | None = None,
    version: str = "5",
) -> Schedule:
    """A schedule of Hugging Face's transformers, from the name and arguments of `get_scheduler`.

    lr(t) is the rate of the update after t calls of scheduler.step(), and constant from the schedule's end on, where
    the cosines of transformers rise again. (Before 4.51 its logs show the rate of the next update.)

    Args:
      name: "linear", "cosine", "warmup_stable_decay", ...; lr_scheduler_type in TrainingArguments.
      lr: the optimiser's rate; learning_rate there.
      num_warmup_steps: whole steps, as get_scheduler wants them; 0 if no warmup is given in any words.
      num_training_steps: likewise; max_steps there. inverse_sqrt has no end, and takes it as its budget.
      scheduler_specific_kwargs: what the schedule has beside them; lr_scheduler_kwargs there. num_cycles of a cosine
        other than 0.5 is not supported.
      warmup_steps: in place of num_warmup_steps, as TrainingArguments has it. Before version 5 whole steps, which if
        above 0 outweigh warmup_ratio; since then a number below 1 is a share of num_training_steps, any other is cut to
        whole steps. A share is rounded up (of what the product is in float64: 7 % of 100 are 8 steps).
      warmup_ratio: a share of num_training_steps; since version 5 another name of warmup_steps, and then removed.
      version: of transformers, "4.48" or "5". In warmup_stable_decay before 4.49 the decay is a cosine, the warmup
        begins at 0 and not at the minimum, and num_stable_steps must be given; inverse_sqrt reads timescale since 5.4.
    Returns:
      int step of any shape -> float32 of that shape.
    Raises:
      ValueError: if the name or an argument is not known, or has no counterpart here.
    Example:
      >>> words = {"num_decay_steps": 20, "decay_type": "linear"}
      >>> schedule = from_hf("warmup_stable_decay", lr=0.1, warmup_steps=0.1, num_training_steps=100,
      ...                    scheduler_specific_kwargs=words)
      >>> print(f"{schedule(5):.3f} {schedule(10):.3f} {schedule(80):.3f} {schedule(90):.3f}")
      0.050 0.100 0.100 0.050

    Source:
      transformers 4.48, 4.57 and 5.24, `optimization.get_scheduler` and `training_args`; compared at every step in
      tests/conformance.
    """
    if isinstance(name, str) and name in STATEFUL:
        raise ValueError(f"transformers schedule must be a function of the step, got {name!r}: {STATEFUL[name]}.")
    release = _release(version)
    rate = number("lr", lr, at_least=0.0)
    total = None if num_training_steps is None else whole("num_training_steps", num_training_steps, at_least=1)
    if total is None and name in HF and name not in OPEN:
        raise ValueError(f"num_training_steps must be given for {name}, got None.")
    lengths = {"num_warmup_steps": num_warmup_steps, "warmup_steps": warmup_steps, "warmup_ratio": warmup_ratio}
    warm = 0 if name == "constant" else _warmup(lengths, total, release)
    more = keywords("scheduler_specific_kwargs", scheduler_specific_kwargs)
    table = HF if release >= TYPED else {**HF, "warmup_stable_decay": _wsd_before_its_types}
    for key in set(more) & {"lr", "warm", "total"}:  # the names of ours, which nobody may use for theirs
        raise ValueError(f"{name}: got an unexpected keyword argument {key!r}.")
    if name in UNREAD or (name == "inverse_sqrt" and release < TIMESCALE):
        more = {}
    return call("transformers", table, name, {"lr": rate, "warm": warm, "total": total, **more})


def _release(version: str) -> Version:
    found = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\.\d+)*", version) if isinstance(version, str) else None
    if found is None or int(found[1]) not in (4, 5):
        raise ValueError(f'version must be one of transformers 4 or 5, such as "4.48" or "5", got {version!r}.')
    return int(found[1]), int(found[2] if found[2] is not None else 57 if found[1] == "4" else 24)


def _warmup(lengths: Mapping[str, Any], total: Number | None, release: Version) -> Any:
    """The steps of the warmup, however they were given."""
    steps, ratio = lengths["warmup_steps"], lengths["warmup_ratio"]
    if lengths["num_warmup_steps"] is not None:
        if steps is not None or ratio is not None:
            raise ValueError("num_warmup_steps must be given alone, got warmup_steps or warmup_ratio beside it.")
        return whole("num_warmup_steps", lengths["num_warmup_steps"])
    if release < RATIO:
        steps = 0 if steps is None else whole("warmup_steps", steps)
        if (is_concrete(steps) and steps > 0) or ratio is None:
            return steps
        return _share("warmup_ratio", number("warmup_ratio", ratio, at_least=0.0, at_most=1.0), total)
    name, given = ("warmup_steps", steps) if ratio is None else ("warmup_ratio", ratio)
    given = known(name, number(name, 0 if given is None else given, at_least=0.0))
    return int(given) if given >= 1 else _share(name, given, total)


def _share(name: str, share: float, total: Number | None) -> int:
    if share == 0:
        return 0
    if total is None:
        raise ValueError(f"num_training_steps must be given with {name} = {share}, a share of it, got None.")
    return math.ceil(known("num_training_steps", total) * share)
