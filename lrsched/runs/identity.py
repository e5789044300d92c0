"""Identity of a run: kept in run.json and beside each state, compared before anything is resumed."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from lrsched import files
from lrsched.runs import records
from lrsched.runs.task import Run
from lrsched.training import devices as machine
from lrsched.training import provenance, snapshots

_ALWAYS = frozenset({"run", "config", "origin", "plan", "plan_digest", "versions", "members", "keep"})  # of run.json
_MACHINE = ("platform", "device_kind", "cpus", "xla_flags", "matmul_precision", "plain")  # what decides the last digits


def circumstances() -> dict[str, Any]:
    """The libraries and the machine, which decide the last digits, and the code."""
    described = machine.describe()
    settings = {name: described[name] for name in _MACHINE}
    return {"versions": provenance.versions(), "machine": settings, "code": provenance.code()}


def identify(run: Run) -> dict[str, Any]:
    """All that tells a run from others, and the libraries and machine it was begun with."""
    return {
        "run": run.id,
        "config": run.config.as_json(),
        "data_digest": run.task.data.digest,
        "devices": len(run.task.devices),
        "origin": dataclasses.asdict(run.origin) if run.origin else None,
        "plan": json.loads(run.plan.words),
        "plan_digest": run.plan.digest(),
        **({"foreign": run.foreign} if run.foreign else {}),
        **circumstances(),
    }


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads run.json: what the run in a folder is.

    Raises:
      ValueError: if there is none, or it was altered.
    """
    path = pathlib.Path(folder, "run.json")
    try:
        identity = files.read_json(path, unsealed=_ALWAYS)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder} must be the folder of a run (with run.json), got none.") from None
    if missing := sorted(_ALWAYS - identity.keys()):
        raise ValueError(f"{path} must be as it was written, got an altered file: it has no {missing[0]}.")
    return identity


def find_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The libraries, settings and code of two identities that differ, as in "jax 0.10.2 -> 0.10.3"."""
    changes = [
        f"{name} {old[part].get(name)} -> {value}"
        for part in ("versions", "machine")
        if part in old  # version 0.1.0 kept no machine
        for name, value in new[part].items()
        if old[part].get(name) != value
    ]
    if "code" in old and "code" in new and old["code"] != new["code"]:
        changes.append(f"code {old['code']} -> {new['code']}")
    return changes


def check_state(saved: snapshots.Saved, identity: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Refuses a state of another run, and says in what it differs first."""
    there = saved.facts["identity"]
    if there["run"] != identity["run"]:
        name, old, new = next(differences(there, identity), ("run", there["run"], identity["run"]))
        raise ValueError(
            f"{folder / 'resume' / str(saved.step)} must be a state of run {identity['run']}, got one of run"
            f" {there['run']}: {name} {json.dumps(old)}, not {json.dumps(new)}."
        )


def differences(there: Mapping[str, Any], identity: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, old, new) of what tells two runs apart; an identity of version 0.1.0 has no data and no devices."""
    alike = there["origin"] == identity["origin"]
    for name, value in identity["config"].items():
        if there["config"].get(name) != value:
            alike = False
            yield name, there["config"].get(name), value
    if alike and "data_digest" not in there and there["run"] != identity["run"]:
        yield "data", f"that of run {there['run']}", f"examples {identity['data_digest']}"
    for name in ("data_digest", "devices", "foreign", "origin", "plan", "plan_digest"):
        if name in there and there[name] != identity.get(name):
            yield name.removesuffix("_digest"), there[name], identity.get(name)


def check_data(folder: pathlib.Path, there: Mapping[str, Any], data_digest: str) -> None:
    """Refuses other data than the run in the folder was trained on: held-out examples would be trained on."""
    had = there.get("data_digest")
    if had is None:  # version 0.1.0 kept it in the run's id alone
        had = next((row["data"]["digest"] for row in records.read(folder / "records.jsonl").rows), "other data")
        first = records.identify(there["config"], data_digest=data_digest, origin=there["origin"], devices=1)
        had = data_digest if there["run"] == first else had
    if had != data_digest:
        raise ValueError(f"data must be that of {folder} ({had}), got other examples ({data_digest}).")
