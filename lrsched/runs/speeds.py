"""What a search measures once and keeps in its folder, how fast a batch size trains; and its record."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Generator
from typing import Any

import numpy as np

from lrsched import files
from lrsched.runs import run as runs
from lrsched.runs import task as tasks
from lrsched.runs.task import RunConfig
from lrsched.training import devices as machine
from lrsched.training import provenance

_PROBE_UPDATES, _PROBES = 50, 3
_UNSEALED = frozenset({"batch_size", "device", "images_per_second"})  # what version 0.1.0 kept of a speed


def speed(one: RunConfig, *, data_dir: str | None, out: pathlib.Path) -> Generator[str, None, float]:
    """Images per second of a run alone in this process: that in out/speeds, or else measured and put there.

    The median of three short runs, after one that compiles. The numbers of a search depend on it, so it is kept.
    """
    per_epoch = tasks.check(one, data_dir=data_dir).budget.steps_per_epoch
    words: dict[str, Any] = {"schedule": "constant", "peak_value": 0.0, "momentum": "0.9"}  # fit for any budget
    probe = dataclasses.replace(one, **words, budget=f"{_PROBE_UPDATES / per_epoch}ep")
    path = out / "speeds" / f"{tasks.run_id(probe, data_dir=data_dir)}.json"
    found = None
    try:
        found = files.read_json(path, unsealed=_UNSEALED).get("images_per_second")
        if not isinstance(found, float) or not 0 < found < math.inf:
            found = None
            yield f"{path} holds no speed: it is measured anew."
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        yield f"{error} The speed is measured anew."
    if found is None:
        rows = [runs.finish(runs.run(probe, data_dir=data_dir)) for _ in range(1 + _PROBES)]
        found = float(np.median([row["images_per_second"] for row in rows[1:]]))
        document = {"batch_size": one.batch, "device": rows[0]["device"], "images_per_second": found}
        files.write_json(path, document)
    yield f"batch size {one.batch}: {found:.0f} images/s"
    return found


def write_record(path: pathlib.Path, config: Any, words: dict[str, Any]) -> None:
    """What a search came to, with its configuration and where it was made."""
    made = {"device": machine.describe(), "versions": provenance.versions(), "commit": provenance.commit()}
    files.write_json(path, {"config": provenance.said(config), **words, **made})
