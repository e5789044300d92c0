"""A run that is saved as it goes: what a state belongs to, and training from the newest one on."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from typing import Any

from lrsched import files
from lrsched.runs import interrupts
from lrsched.runs import run as runs
from lrsched.runs import task as tasks
from lrsched.schedules.plan import Plan
from lrsched.runs.task import Run
from lrsched.training import devices as machine
from lrsched.training import provenance, snapshots, train

SAVE_EVERY = "2min"
_ALWAYS = frozenset({"run", "config", "origin", "plan", "plan_digest", "versions", "members", "keep"})  # of run.json
_MACHINE = ("platform", "device_kind", "cpus", "xla_flags", "matmul_precision", "plain")  # what decides the last digits


def follow_saved(
    run: Run,
    folder: pathlib.Path,
    opened: Callable[[], snapshots.Store],
    *,
    due: Callable[[int], bool],
    keep: Collection[int] = (),
    left: Callable[[], runs.Point] | None = None,
    take: Callable[[runs.Point], None] = lambda point: None,
) -> Generator[runs.Status | str, None, runs.Record]:
    """`runs.follow` from the newest state in a folder on, saving states there.

    Args:
      folder: where states are, if there are any.
      opened: gives the folder's store; called only if there is a state to read or to write.
      due: whether a state is due after so many updates.
      keep: updates after which a state is due as well. The last update is none of them by itself.
      left: reads the point where the run that this one leaves was left; used if there is no state.
      take: is given each point before its state is saved.
    Raises:
      ValueError: if a state is of another run.
      interrupts.Interrupted: if the process was asked to end, once the state is saved.
    """
    identity = identify(run)
    point, resumed, changes, seconds = None, list[int](), list[str](), 0.0
    saved = None
    if snapshots.steps(folder):
        saved, lines = opened().newest(run.initial_state())
        yield from lines
    if saved is not None:
        check_state(saved, identity, folder)
        changes = [*saved.facts.get("changes", []), *changed(saved.facts["identity"], identity)]
        point = runs.Point(saved.tree, log_of(saved.facts))
        resumed, seconds = [*saved.facts["resumed_at"], saved.step], saved.facts["seconds"]
        yield f"resuming after update {saved.step} of {run.total_steps}."
    elif left is not None and run.origin is not None:
        point = left()
        yield f"{run.origin.verb} of run {run.origin.run}: its {run.origin.step} updates are not made again."
    begun = time.perf_counter()

    def stops(completed: int) -> bool:
        return completed in keep or due(completed) or interrupts.asked()

    steps = runs.follow(run, start=point, stops=stops)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            record: runs.Record = end.value
            return record | {
                "seconds": round(seconds + record["seconds"], 3),
                "resumed_at": resumed,
                "changes": changes,
            }
        if isinstance(event, runs.Status):
            yield event
            continue
        take(event)
        facts = {"log": event.log._asdict(), "seconds": seconds + time.perf_counter() - begun, "resumed_at": resumed}
        step, asked = event.log.completed, interrupts.asked()
        if step < run.total_steps or step in keep or asked:
            opened().save(step, event.state, {**facts, "changes": changes, "identity": identity}, wait=asked)
        if asked:
            raise interrupts.Interrupted(f"saved after update {step} of {run.total_steps}")


def stored_identity(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What run.json says of the run in a folder.

    Raises:
      ValueError: if there is none, or it was altered.
    """
    path = pathlib.Path(folder, "run.json")
    try:
        found = files.read_json(path, unsealed=_ALWAYS)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder} must be the folder of a run (with run.json), got none.") from None
    if missing := sorted(_ALWAYS - found.keys()):
        raise ValueError(f"{path} must be as it was written, got an altered file: it has no {missing[0]}.")
    return found


def identify(run: Run) -> dict[str, Any]:
    """All that tells a run from others, and what it was begun with."""
    described = machine.describe()
    return {
        "run": run.id,
        "config": run.config.as_json(),
        "data_digest": run.task.data.digest,
        "devices": train.device_count(run.task.train),
        "origin": dataclasses.asdict(run.origin) if run.origin else None,
        "plan": json.loads(run.plan.words),
        "plan_digest": run.plan.digest(),
        "versions": provenance.versions(),
        "machine": {name: described[name] for name in _MACHINE},
    }


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The libraries and settings of two identities that differ, as in "jax 0.10.2 -> 0.10.3"."""
    return [
        f"{name} {old[part].get(name)} -> {value}"
        for part in ("versions", "machine")
        if part in old  # version 0.1.0 kept no machine
        for name, value in new[part].items()
        if old[part].get(name) != value
    ]


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
    for name in ("data_digest", "devices", "origin", "plan", "plan_digest"):
        if name in there and there[name] != identity[name]:
            yield name.removesuffix("_digest"), there[name], identity[name]


def log_of(facts: dict[str, Any]) -> runs.Log:
    return runs.Log(**{**facts["log"], "losses": tuple(facts["log"]["losses"])})


def due_after(words: str, plan: Plan) -> Callable[[int], bool]:
    """Whether a state is due after so many updates."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(s|min)", words)
    if not found:
        every = tasks.updates_of(words, plan, "save_every", also=", seconds (90s) or minutes (2min)")
        return lambda completed: completed % every == 0
    seconds = float(found[1]) * {"s": 1, "min": 60}[found[2]]
    if not seconds:
        raise ValueError(f"save_every must be above 0, got {words!r}.")
    last = time.perf_counter()

    def due(_: int) -> bool:
        nonlocal last
        now = time.perf_counter()
        if now - last < seconds:
            return False
        last = now
        return True

    return due
