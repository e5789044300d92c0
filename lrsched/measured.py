"""What a search measures once and keeps in its folder: range tests, and how fast a batch size trains; its record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Generator
from typing import Any

import numpy as np

from lrsched import run as runs
from lrsched import sweep
from lrsched import task as tasks
from lrsched.finder import RangeTest
from lrsched.sweep import Ramp
from lrsched.task import RunConfig
from lrsched.training import devices as machine
from lrsched.training import provenance

_PROBE_UPDATES, _PROBES = 50, 3


def ramps(one: RunConfig, ramp: Ramp, *, data_dir: str | None, out: pathlib.Path) -> Generator[str, None, RangeTest]:
    """The range test of a run: that in out/ramps, or else made and put there."""
    momentum = sweep.momentum_at_peak(tasks.check(one, data_dir=data_dir))
    identity = [tasks.run_id(one, data_dir=data_dir), dataclasses.asdict(ramp), momentum]
    path = out / "ramps" / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]}.json"
    if not path.exists():
        made = yield from sweep.swept(one, ramp, data_dir=data_dir)
        _write(path, sweep.kept(made.curves))
    return sweep.restored(json.loads(path.read_text()))


def speed(one: RunConfig, *, data_dir: str | None, out: pathlib.Path) -> Generator[str, None, float]:
    """Images per second of a run alone in this process: that in out/speeds, or else measured and put there.

    The median of three short runs, after one that compiles. The numbers of a search depend on it, so it is kept.
    """
    per_epoch = tasks.check(one, data_dir=data_dir).budget.steps_per_epoch
    words: dict[str, Any] = {"schedule": "constant", "peak_value": 0.0, "momentum": "0.9"}  # fit for any budget
    probe = dataclasses.replace(one, **words, budget=f"{_PROBE_UPDATES / per_epoch}ep")
    path = out / "speeds" / f"{tasks.run_id(probe, data_dir=data_dir)}.json"
    if not path.exists():
        rows = [runs.finish(runs.run(probe, data_dir=data_dir)) for _ in range(1 + _PROBES)]
        found = float(np.median([row["images_per_second"] for row in rows[1:]]))
        _write(path, {"batch_size": one.batch, "device": rows[0]["device"], "images_per_second": found})
    found = float(json.loads(path.read_text())["images_per_second"])
    yield f"batch size {one.batch}: {found:.0f} images/s"
    return found


def write_record(path: pathlib.Path, config: Any, words: dict[str, Any]) -> None:
    """What a search came to, with its configuration and where it was made."""
    made = {"device": machine.describe(), "versions": provenance.versions(), "commit": provenance.commit()}
    _write(path, {"config": provenance.said(config), **words, **made})


def _write(path: pathlib.Path, words: Any) -> None:
    """The whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(words, sort_keys=True, allow_nan=False) + "\n")
    beside.replace(path)
