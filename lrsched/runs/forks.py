"""Where one run leaves another: extended under a longer budget, or branched under a plan of its own."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from lrsched import files
from lrsched.runs import identity, resume
from lrsched.runs.config import Origin
from lrsched.runs.folder import parse_location
from lrsched.runs.run import Point
from lrsched.runs.task import Run
from lrsched.training import provenance, snapshots
from lrsched.training.train import State

Verb = Literal["extend", "branch"]
# What may differ from the run that is left.
_EXTENDED = frozenset({"budget", "max_epochs"})
_BRANCHED = frozenset({"schedule", "peak_value", "momentum", "budget", "max_epochs", "weight_decay"})


class Fork(NamedTuple):
    """Where a run leaves another, and what reads the state there."""

    origin: Origin
    read: Callable[[], Point]


def find_fork(run: Run, *, verb: Verb, location: str, out: pathlib.Path | None, like: State) -> Fork:
    """The fork that FOLDER or FOLDER@UPDATES names.

    A run that was begun in `out` keeps the origin it has: the other run may have been trained further, or be gone.

    Args:
      like: a state of the run's form.
    Raises:
      ValueError: if there is no state, or the two runs differ in what they must share.
    """
    name, at = parse_location(location, verb)
    folder = files.local_folder(verb, name)
    if out and (out / "run.json").exists():
        had = identity.read(out)["origin"]
        same = had and (not (folder / "run.json").exists() or identity.read(folder)["run"] == had["run"])
        if had and same and had["verb"] == verb and at in (None, had["step"]):
            return Fork(Origin(**had), lambda: _read_point(folder, Origin(**had), like))
    there = identity.read(folder)
    config = run.config.as_json()
    for field in config:
        if field not in (_EXTENDED if verb == "extend" else _BRANCHED):
            was = there["config"].get(field)
            if config[field] != was:
                raise ValueError(f"{field} must be {json.dumps(was)} as in {folder}, got {json.dumps(config[field])}.")
    identity.check_data(folder, there, run.task.data.digest)
    saved_steps = snapshots.steps(folder)
    if not saved_steps:
        raise ValueError(f"{folder} must hold a saved state, got none.")
    if verb == "extend" and there["origin"] and there["origin"]["verb"] == "branch":
        raise ValueError(f"extend must be of a run that is no branch, got {folder}: branch from it.")
    saved = snapshots.load(folder, saved_steps[-1] if at is None else at, like)
    identity.check_state(saved, there, folder)
    if verb == "extend" and saved.step >= run.plan.total_steps:
        raise ValueError(f"budget must be more than the {saved.step} updates made, got {run.plan.total_steps}.")
    origin = Origin(there["run"], saved.step, provenance.digest(saved.tree.params), verb)
    return Fork(origin, lambda: Point(saved.tree, resume.log_of(saved.facts)))


def _read_point(folder: pathlib.Path, origin: Origin, like: State) -> Point:
    saved = snapshots.load(folder, origin.step, like)
    if provenance.digest(saved.tree.params) != origin.digest:
        raise ValueError(
            f"the state after update {origin.step} of {folder} must be the one the run was forked from, got another."
        )
    return Point(saved.tree, resume.log_of(saved.facts))
