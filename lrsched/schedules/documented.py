"""What the docstrings of all schedules share: written once here, filled in at import."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

#: What an argument means where a schedule's own docstring says nothing of it.
ARGUMENTS = {
    "peak_value": "rate of the first update; at least 0.",
    "total_steps": "budget in updates; at least 1. May be a traced array.",
    "end_value": (
        "the rate at total_steps, which a run of total_steps updates never applies (with sampling\n"
        '    "inclusive" its last one does); at least 0, or a percentage of the peak ("10%").'
    ),
    "sampling": "when the rate is sampled: of `lrsched.sampling`, or its name; every update by default.",
    "steps_per_epoch": "updates in an epoch, where a length is in epochs.",
    "batch_size": "examples in an update, where a length is in examples.",
}
RETURNS = "int step of any shape -> float32 of that shape."
_SECTION = re.compile(r"^(Args|Returns|Raises|Example|Source):\n", re.MULTILINE)


def documented(factory: F) -> F:
    """Fills the sections Args and Returns of a schedule's docstring with what all schedules have in common."""
    head, *parts = _SECTION.split(inspect.cleandoc(factory.__doc__ or ""))
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    own = dict(re.findall(r"^  (\w+): (.*(?:\n   +.*)*)", found.get("Args", ""), flags=re.MULTILINE))
    names = inspect.signature(factory).parameters
    found["Args"] = "".join(f"  {name}: {own.get(name) or ARGUMENTS[name]}\n" for name in names)
    more = found.get("Returns", "").strip()
    found["Returns"] = f"  {RETURNS}" + (f" {more}" if more else "") + "\n"
    order = ("Args", "Returns", "Raises", "Example", "Source")
    found["Example"] = found.get("Example", "").rstrip() + "\n\n"  # an empty line ends what an example prints
    factory.__doc__ = head + "\n".join(
        f"{name}:\n{found[name].removesuffix(chr(10))}" for name in order if name in found
    )
    return factory
