"""PyTorch's OneCycleLR: its phases as it ends them, for the rate and for the momentum."""

from __future__ import annotations

from typing import Any

from lrsched.schedules.core import Schedule
from lrsched.schedules.families._phases import Boundary, Phases
from lrsched.schedules.families.onecycle import LAST
from lrsched.schedules.interop.arguments import check_known, flag, integer, known, number, plain
from lrsched.schedules.progress import ratio
from lrsched.schedules.values import Number, is_concrete


def onecycle(
    max_lr: Number,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
    three_phase: bool = False,
    **momentum: Any,
) -> Schedule:
    """The rate: max_lr / div_factor, max_lr, in three phases max_lr / div_factor again, and the last value."""
    check_known(momentum, ("cycle_momentum", "base_momentum", "max_momentum"))
    peak, low = number("max_lr", max_lr, at_least=0.0), 1 / number("div_factor", div_factor, above=0.0)
    last = 1 / (plain(div_factor) * number("final_div_factor", final_div_factor, above=0.0))
    total, three = _total(total_steps, epochs, steps_per_epoch), flag("three_phase", three_phase)
    values = (low, 1.0, low, last) if three else (low, 1.0, last)
    return _phases(peak, values, total, pct_start, anneal_strategy, three)


def onecycle_momentum(
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    base_momentum: Number = 0.85,
    max_momentum: Number = 0.95,
    three_phase: bool = False,
    **rates: Any,
) -> Schedule:
    """The momentum: from max_momentum to base_momentum at the peak of the rate and back, in three phases held then."""
    check_known(rates, ("max_lr", "div_factor", "final_div_factor", "cycle_momentum"))
    low, high = number("base_momentum", base_momentum, at_least=0.0), number("max_momentum", max_momentum, at_least=0.0)
    if not all(value < 1 for value in (low, high) if is_concrete(value)):
        raise ValueError(f"base_momentum and max_momentum must be below 1, got {base_momentum!r} and {max_momentum!r}.")
    total, three = _total(total_steps, epochs, steps_per_epoch), flag("three_phase", three_phase)
    return _phases(1.0, (high, low, high), total, pct_start, anneal_strategy, three)


def _total(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> Any:
    if total_steps is not None:
        return integer("total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ValueError("total_steps must be given, or epochs and steps_per_epoch, got None.")
    return integer("total_steps", integer("epochs", epochs) * integer("steps_per_epoch", steps_per_epoch))


def _phases(
    scale: Number, values: tuple[Any, ...], total: Number, pct_start: Any, anneal_strategy: str, three: bool
) -> Phases:
    """Phases that end at pct_start * total - 1, in three phases at twice that, and at total - 1.

    PyTorch takes the first phase that a step is not beyond. So where one ends with the last step, or after it, the
    phases behind it never come.
    """
    share = plain(pct_start)
    if is_concrete(share) and not (isinstance(share, float) and 0 <= share <= 1):
        raise ValueError(f"pct_start must be a float in [0, 1], got {pct_start!r}.")
    if anneal_strategy not in ("cos", "linear"):
        raise ValueError(f"anneal_strategy must be one of cos, linear, got {anneal_strategy!r}.")
    part = ratio("pct_start", share)
    peak, tail = Boundary(part, offset=-1), Boundary(part, offset=-1, times=2)
    ends = [peak, tail, LAST] if three else [peak, LAST]
    if is_concrete(share) and is_concrete(total):
        places = [share * total - 1, 2 * share * total - 2][: len(ends) - 1]
        coming = [place < total - 1 for place in places]
        kept = coming.index(False) + 1 if False in coming else len(ends)
        ends = ends[:kept]
    elif three:
        known("pct_start with three_phase", share)
    count = min(len(ends), len(values) - 1)
    return Phases(scale, total, values[: count + 1], tuple(ends[:count]), cosine=anneal_strategy == "cos")
