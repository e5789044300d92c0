"""Training speed of a task, measured once per search."""

from __future__ import annotations

import math
import pathlib
import time

import jax
import numpy as np

from lrsched import files
from lrsched.runs import claims, records
from lrsched.runs.report import Report
from lrsched.runs.run import fetch
from lrsched.runs.task import Task
from lrsched.training import devices as machine

_UPDATES, _PROBES = 50, 3
_UNSEALED = frozenset({"batch_size", "device", "images_per_second"})  # what version 0.1.0 kept of a speed


def measure(task: Task, *, out: pathlib.Path, report: Report) -> float:
    """Images per second of a run alone in this process: that in out/speeds, or else measured and put there.

    The median of three short runs, after one that compiles. The numbers of a search depend on it, so it is kept, and
    of several processes one measures it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with files.lock(claims.ledger(out), wait=True):
        return _measure(task, out, report)


def _measure(task: Task, out: pathlib.Path, report: Report) -> float:
    known = {"recipe": task.recipe.recipe(), "data_digest": task.data.digest, "foreign": task.foreign}
    name = records.fingerprint(known)  # no versions, no machine: a search that is resumed keeps its numbers
    path, speed = out / "speeds" / f"{name}.json", None
    try:
        speed = files.read_json(path, unsealed=_UNSEALED).get("images_per_second")
        if not isinstance(speed, float) or not 0 < speed < math.inf:
            speed = None
            report(f"{path} holds no speed: it is measured again.")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        report(f"{error} The speed is measured again.")
    if speed is None:
        speed = float(np.median([probe(task) for _ in range(1 + _PROBES)][1:]))
        document = {"batch_size": task.batch_size, "device": machine.describe(), "images_per_second": speed}
        files.write_json(path, document)
    report(f"batch size {task.batch_size}: {speed:.0f} images/s")
    return speed


def probe(task: Task, *, updates: int = _UPDATES) -> float:
    """Images per second of a few updates, from the first one's start to the last one's end."""
    state, none = task.initial_state(0), np.zeros(updates)
    made = task.updates(state, seed=0, rates=none, momenta=none + 0.9)
    begun = time.perf_counter()
    for state, _, _ in fetch(made, 0, updates):  # noqa: B007 (it takes the last state)
        pass
    jax.block_until_ready(state)
    return round(updates * task.batch_size / (time.perf_counter() - begun), 1)
