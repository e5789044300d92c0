"""The records of runs on disk: one sealed line each, whose run id must follow from what it says it ran."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from lrsched import files
from lrsched.runs.report import Record
from lrsched.training import data as datasets
from lrsched.training import devices as machine
from lrsched.training import provenance

# Version 0.1.0 wrote lines without a seal. They are still read, if they have these fields and no others.
_ALWAYS = {
    *("applied_momentum_max_rel_error", "applied_rate_max_rel_error", "commit", "compiles", "config", "data", "device"),
    *("diverged_at", "epochs", "finished", "holdout_error", "holdout_loss", "images_per_second", "label", "origin"),
    *("params_digest", "plan", "run", "seconds", "seed", "started", "steps_per_epoch", "test_error", "test_loss"),
    *("total_steps", "train_loss", "versions"),
}
_UNSEALED = frozenset(_ALWAYS | {"members", "resumed_at", "train_losses"})


@dataclasses.dataclass(frozen=True)
class Beginning:
    """Start time, and the commit of the code at that moment (not when the record is written)."""

    at: datetime.datetime = dataclasses.field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    clock: float = dataclasses.field(default_factory=time.perf_counter)
    commit: str | None = dataclasses.field(default_factory=provenance.commit)

    def provenance(self, data: datasets.Dataset | None = None, *, devices: int = 1) -> Record:
        """Where a record's numbers come from: machine, libraries, commit, times and, if any was read, data.

        Args:
          devices: that shared each batch.
        """
        facts: Record = {
            "device": machine.describe() | ({"run_devices": devices} if data else {}),
            "versions": provenance.versions(),
            "commit": self.commit,
            "started": f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}",
            "finished": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
            "seconds": round(time.perf_counter() - self.clock, 3),
        }
        if data is not None:
            sizes = {"train": len(data.train), "holdout": len(data.holdout or ()), "test": len(data.test)}
            facts["data"] = {"name": data.name, "version": data.version, "digest": data.digest, **sizes}
            if data.name not in datasets.SOURCES:
                facts["data"] |= {"classes": int(data.classes), "pad": int(data.pad), "flip": bool(data.flip)}
        return facts


def states(out: pathlib.Path) -> pathlib.Path:
    """Where each run that shares a folder has its newest states, under its id, until it is on record."""
    return out / "states"


def identify(
    config: Mapping[str, Any],
    *,
    data_digest: str,
    origin: Mapping[str, Any] | None,
    devices: int,
    foreign: Mapping[str, str] | None = None,
) -> str:
    """A run's id: a hash over all that decides its numbers.

    Args:
      config: `RunConfig.as_json()`.
      data_digest: of the examples and labels (`data.Dataset`).
      origin: run, step, digest and verb where the run left another one.
      devices: that share each batch. One is left out, so that ids do not depend on when this field came in.
      foreign: what tells code of the user's apart (model, schedule); None or nothing: all of it is built in.
    Returns:
      16 hexadecimal digits.
    """
    identity = {**config, "data_digest": data_digest}
    if origin is not None:
        identity["origin"] = dict(origin)
    if foreign:
        identity["foreign"] = dict(foreign)
    if devices > 1:  # BatchNorm sees a device's part of the batch
        identity["devices"] = devices
    return fingerprint(identity)


def fingerprint(document: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of the SHA-256 of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def read(path: files.Path) -> files.Lines:
    """Reads the records of a file; those that were altered are left out and named in `damaged`."""
    lines = files.read_lines(path, unsealed=_UNSEALED)
    rows, damaged = [], list(lines.damaged)
    for row in lines.rows:
        if wrong := _fault(row):
            damaged.append(f"{path} has a record that is not the one that was written ({wrong}): it is not used.")
        else:
            rows.append(row)
    return lines._replace(rows=rows, damaged=damaged)


def append(path: files.Path, record: Mapping[str, Any]) -> None:
    """Appends one record, on disk when this returns.

    Raises:
      ValueError: if it holds NaN or infinity. Nothing is written then.
      OSError: if the file cannot be written or locked.
    """
    files.append_line(path, record)


def _fault(row: Record) -> str | None:
    """What shows that a record was altered or belongs to another run."""
    if missing := sorted(_ALWAYS - row.keys()):
        return f"it has no {missing[0]}"
    try:
        said = [row["config"], row["data"]["digest"], row["origin"], row["device"].get("run_devices", 1)]
        ids = {
            identify(said[0], data_digest=said[1], origin=said[2], devices=devices, foreign=row.get("foreign"))
            for devices in (1, said[3])
        }  # version 0.1.0 left several devices out
        return None if row["run"] in ids else f"run {row['run']} is not of its configuration"
    except (AttributeError, KeyError, TypeError, ValueError):
        return "it is not of a record's form"


def find(path: files.Path, run: str) -> Record | None:
    """The record of a run, if the file has one; the last of several."""
    try:
        with open(path, "rb") as file:
            if run.encode() not in file.read():  # much faster than reading every line
                return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return next((row for row in reversed(read(path).rows) if row["run"] == run), None)


def planned_steps(record: Record) -> int:
    """The updates of a run's own plan, which for a branch begins where it left the other run."""
    origin = record.get("origin") or {}
    return int(record["total_steps"]) - (origin["step"] if origin.get("verb") == "branch" else 0)
