"""The best member of a family of schedules under a fitted law, and the best free rates."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lrsched.forecast import optimise
from lrsched.forecast.fits import FittedLaw
from lrsched.schedules import language, registry
from lrsched.schedules.codec import to_json
from lrsched.schedules.core import Schedule
from lrsched.schedules.families.piecewise import piecewise_interpolate
from lrsched.schedules.values import is_number

FREE = "free"


class Member(NamedTuple):
    """A schedule that a law likes best, its loss there, and where it leaves what was fitted."""

    name: str
    words: str
    schedule: Schedule
    loss: float
    leaves: list[str]

    def sentences(self) -> list[str]:
        """What was found, and the warning."""
        said = [f"Best of {self.name}: {self.words}, predicted {self.loss:.4f}."]
        if self.leaves:
            said.append(
                f"It leaves what the law was fitted to: {'; '.join(self.leaves)}. Train it before you believe it."
            )
        return said

    def json(self) -> str:
        """The schedule, which `--schedules` takes."""
        return to_json(self.schedule)


def best(family: str, law: FittedLaw, *, peak: float, total_steps: int) -> Member:
    """The best member of a family, as in rex:d=0/0.95; of "free" the best rates that never rise.

    Raises:
      ValueError: for a family without a range, or one whose numbers do not move the loss smoothly.
    """
    if family == FREE:
        if total_steps < 2:
            raise ValueError(f"optimise must have two updates or more for free rates, got {total_steps}.")
        found = optimise.best_rates(law.predict, peak=peak, total_steps=total_steps)
        schedule, words = _free(found.numbers)
    else:
        name, ranges = _ranges(family)
        factory = registry.factory(name)

        def rates(numbers: Any) -> Any:
            given = dict(zip(ranges, jnp.asarray(numbers, jnp.float32), strict=True))
            made = factory(peak, total_steps=total_steps, **given)
            return made(jnp.arange(total_steps, dtype=jnp.int32)).astype(jnp.float64)

        try:
            found = optimise.best_member(lambda numbers: law.predict(rates(numbers)), list(ranges.values()))
        except ValueError as error:
            raise ValueError(f"optimise must move the loss of {family} smoothly: {error}") from error
        pairs = zip(ranges.items(), found.numbers, strict=True)
        numbers = {key: min(max(float(f"{value:.4g}"), low), high) for (key, (low, high)), value in pairs}
        schedule = factory(peak, total_steps=total_steps, **numbers)
        words = language.label({"schedule": name, **numbers})
        if at := [key for key, pair in ranges.items() if _at_the_edge(numbers[key], *pair)]:
            words += f" ({', '.join(at)} at the edge of the range)"
    table = schedule.table()
    return Member(family.partition(":")[0], words, schedule, float(law.predict(table)), law.leaves(table))


def _at_the_edge(value: float, low: float, high: float) -> bool:
    return min(value - low, high - value) < 1e-3 * (high - low)


def _ranges(family: str) -> tuple[str, dict[str, tuple[float, float]]]:
    """The name of a schedule, and the arguments that move with their ranges."""
    given = language.read(family)
    name = given.pop("schedule", None)
    taken = inspect.signature(registry.factory(name)).parameters
    ranges = {}
    for key, value in given.items():
        pair = isinstance(value, list) and len(value) == 2 and all(map(is_number, value))
        if key not in taken or not pair or not value[0] < value[1]:
            raise ValueError(
                f"optimise must give arguments of {name} with a range, as in rex:d=0/0.95, got {family!r}."
            )
        ranges[key] = float(value[0]), float(value[1])
    if not ranges:
        raise ValueError(f"optimise must name the argument that moves, as in rex:d=0/0.95, or be free, got {family!r}.")
    return str(name), ranges


def _free(rates: np.ndarray) -> tuple[Schedule, str]:
    """Free rates as a schedule on lines between the knots, and a few words on their shape."""
    total, peak = len(rates), float(rates.max())
    knots = np.unique(np.linspace(0, total - 1, min(optimise.KNOTS, total)).round().astype(int))
    values = tuple(float(f"{value:.6g}") for value in rates[knots] / peak)
    schedule = piecewise_interpolate(peak, total_steps=total, boundaries=tuple(map(int, knots[1:])), values=values)
    parts = ", ".join(
        f"{rates[min(total * part // 100, total - 1)] / peak:.2f} at {part} %" for part in (25, 50, 75, 90, 95)
    )
    held = int(np.flatnonzero(rates >= 0.99 * peak)[-1]) + 1
    return schedule, f"{parts} and {rates[-1] / peak:.2f} at the end; held at the peak for {held} of {total} updates"
