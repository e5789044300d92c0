"""A run in a folder of its own: saved as it goes, gone on with after any end, extended, branched.

FOLDER/run.json        what the run is: configuration, plan, origin, libraries
FOLDER/resume/         full states: the last two, and those asked for (training.snapshots)
FOLDER/members/        snapshots at the ends of the rate's cycles
FOLDER/records.jsonl   the record, once the run has ended
FOLDER/run.svg         rate, momentum and training loss over its own plan
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import numpy as np

from lrsched import run as runs
from lrsched import task as tasks
from lrsched.analysis import ledger, range_plots
from lrsched.schedules.plan import Plan
from lrsched.task import Origin, RunConfig
from lrsched.training import provenance, snapshots, train

_BRANCHED = frozenset({"schedule", "peak_value", "momentum", "budget", "max_epochs", "weight_decay"})  # may differ


@dataclasses.dataclass(frozen=True)
class Train:
    """One run, saved as it goes: the same words again go on where it was stopped, to the same bits on CPUs.

    On GPUs that takes XLA's --xla_gpu_deterministic_ops=true.

    Attributes:
      config: the run.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      out: folder of the run; None: runs/ and the run's id.
      save_every: how often the full state is saved: updates (200), epochs (1ep), seconds (90s) or minutes (2min).
      keep: after which updates (200) or epochs (3ep) a full state is kept for good, to branch from; in a branch they
        are counted from the start of the run it left.
      members: which ends of cycles become members of an ensemble: all, last:3, every:2 (counted from the last).
      extend: FOLDER[@UPDATES] of a run to go on with under a longer budget (from its last state unless @ names
        another). What was trained stays; from there on the rate is that of the longer plan at the same update.
      branch: FOLDER[@UPDATES] of a run to start from. This run's own plan begins there, and its budget counts the new
        updates alone.
    """

    config: RunConfig = dataclasses.field(default_factory=RunConfig)
    data_dir: str | None = None
    out: str | None = None
    save_every: str = "2min"
    keep: tuple[str, ...] = ()
    members: str = "all"
    extend: str | None = None
    branch: str | None = None


def begin(words: Train) -> Generator[runs.Status | str, None, runs.Record]:
    """Makes a run, or what is left of it; yields how it is getting on, and lines to be told.

    Returns:
      the run's record, with `members` and `resumed_at` (updates made at each start that found a state).
    Raises:
      ValueError: if the run cannot be made, or its folder holds another one. Nothing is written then.
      OSError: if the folder cannot be written, or is being written by another process.
    """
    config = words.config
    where: dict[str, Any] = {"data_dir": words.data_dir}
    follow = tasks.check(config, **where)
    like = tasks.initial_state(config, **where)
    origin, left = _left(words, follow, like)
    identity = _identity(config, follow, origin, words.data_dir)
    offset = origin.offset if origin else 0
    ends = [offset + end for end in follow.cycle_ends]
    member_steps = set(thinned(words.members, ends))
    keep = {tasks.updates_of(each, follow, "keep") for each in words.keep}
    first, last = origin.step if origin else 0, offset + follow.total_steps
    if any(not first < step <= last for step in keep):
        raise ValueError(f"keep must be from {first + 1} to {last} (updates in all), got {sorted(keep)}.")
    due = _due(words.save_every, follow)
    folder = pathlib.Path(words.out or f"runs/{identity['run']}")
    _check_same(folder, identity, words)
    keep |= set(_stored(folder)["keep"]) if (folder / "run.json").exists() else set()
    with snapshots.open_store(folder, keep_steps=keep) as store:
        yield from _note(folder, {**identity, "members": words.members, "keep": sorted(keep)})
        path = folder / "records.jsonl"
        done = [record for record in ledger.read_records(path).rows if record["run"] == identity["run"]]
        if done:
            ended = None if (folder / "run.svg").exists() else store.newest(like)[0]
            if ended is not None:  # it was killed before its figure
                _draw(_log(ended.facts), follow, offset, folder / "run.svg")
            yield f"{folder} is done: this is its record."
            return done[-1]
        saved, lines = store.newest(like)
        yield from lines
        if origin is not None:
            yield f"{origin.verb} of run {origin.run}: its {origin.step} updates are not made again."
        resumed: list[int] = []
        seconds = 0.0
        point = left() if left and saved is None else None
        if saved is not None:
            point = runs.Point(saved.tree, _log(saved.facts))
            resumed, seconds = [*saved.facts["resumed_at"], saved.step], saved.facts["seconds"]
            yield f"going on after update {saved.step} of {offset + follow.total_steps}."
        begun = time.perf_counter()

        def stops(completed: int) -> bool:
            return completed in member_steps or completed in keep or due(completed)

        log = point.log if point else runs.Log()
        steps = runs.run(config, start=point, origin=origin, stops=stops, **where)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                record: runs.Record = end.value
                break
            if isinstance(event, runs.Status):
                yield event
                continue
            log = event.log
            step, spent = log.completed, seconds + time.perf_counter() - begun
            if step in member_steps:
                asked = tasks.variables(config, tasks.task(config, **where), event.state)
                store.save_member(step, asked, _member_facts(log, asked, ends, follow, offset, words))
            facts = {"log": log._asdict(), "seconds": spent, "resumed_at": resumed, "identity": identity}
            store.save(step, event.state, facts)
        record |= {
            "seconds": round(seconds + record["seconds"], 3),
            "resumed_at": resumed,
            "members": [],
        }
        for step in snapshots.member_steps(folder):
            try:
                digest = snapshots.load_member(folder, step, like.variables).digest
                record["members"].append({"step": step, "digest": digest})
            except ValueError as error:
                yield f"{error} It is left out."
        ledger.append_record(path, record)
        _draw(log, follow, offset, folder / "run.svg")
        return record


def stored(folder: str | os.PathLike[str]) -> RunConfig:
    """The configuration of the run in a folder.

    Raises:
      ValueError: if there is none.
    """
    config = dict(_stored(pathlib.Path(folder))["config"])
    return RunConfig(**{**config, "schedule": json.dumps(config["schedule"])})


def located(words: str) -> tuple[str, int | None]:
    """Folder and updates of FOLDER or FOLDER@UPDATES; a folder's own name may hold an @."""
    folder, _, at = words.rpartition("@")
    return (folder, int(at)) if folder and at.isdecimal() else (words, None)


def thinned(words: str, items: Sequence[int]) -> list[int]:
    """Some of the items: all, the last M (last:M), or every K-th counted back from the last (every:K).

    Raises:
      ValueError: for other words.
    """
    found = re.fullmatch(r"all|(last|every):([1-9][0-9]*)", words)
    if not found:
        raise ValueError(f"members must be all, last:M or every:K, got {words!r}.")
    if words == "all":
        return list(items)
    number = int(found[2])
    return list(items[-number:]) if found[1] == "last" else list(items[::-1][::number][::-1])


def _left(words: Train, follow: Plan, like: train.State) -> tuple[Origin | None, Callable[[], runs.Point] | None]:
    """The run that this one leaves, and what reads the point where it does; None: it begins by itself.

    A run that was begun keeps the origin it has: the other run may go on, or be gone.
    """
    if words.extend is None and words.branch is None:
        return None, None
    if words.extend is not None and words.branch is not None:
        raise ValueError("extend and branch must not be given together, got both.")
    folder, at = located(words.extend or words.branch or "")
    verb: Literal["extend", "branch"] = "extend" if words.extend else "branch"
    if words.out and (pathlib.Path(words.out) / "run.json").exists():
        had = _stored(pathlib.Path(words.out))["origin"]
        other = pathlib.Path(folder)
        same = had and (not (other / "run.json").exists() or _stored(other)["run"] == had["run"])
        if had and same and had["verb"] == verb and at in (None, had["step"]):
            return Origin(**had), lambda: _state_left(folder, Origin(**had), like)
    there = _stored(pathlib.Path(folder))
    config = words.config.as_json()
    free = {"budget", "max_epochs"} if words.extend else _BRANCHED
    for name in config:
        if name not in free and config[name] != there["config"][name]:
            was = json.dumps(there["config"][name])
            raise ValueError(f"{name} must be {was} as in {folder}, got {json.dumps(config[name])}.")
    found = snapshots.steps(folder)
    if not found:
        raise ValueError(f"{folder} must hold a saved state, got none.")
    if words.extend and there["origin"] and there["origin"]["verb"] == "branch":
        raise ValueError(f"extend must be of a run that is no branch, got {folder}: branch from it.")
    saved = snapshots.load(folder, found[-1] if at is None else at, like)
    if words.extend and saved.step >= follow.total_steps:
        raise ValueError(f"budget must be more than the {saved.step} updates made, got {follow.total_steps}.")
    digest = provenance.digest(saved.tree.params)
    origin = Origin(there["run"], saved.step, digest, verb)
    return origin, lambda: runs.Point(saved.tree, _log(saved.facts))


def _state_left(folder: str, origin: Origin, like: train.State) -> runs.Point:
    saved = snapshots.load(folder, origin.step, like)
    if provenance.digest(saved.tree.params) != origin.digest:
        raise ValueError(
            f"the state after update {origin.step} of {folder} must be the one that was left, got another."
        )
    return runs.Point(saved.tree, _log(saved.facts))


def _identity(config: RunConfig, follow: Plan, origin: Origin | None, data_dir: str | None) -> dict[str, Any]:
    return {
        "run": tasks.run_id(config, data_dir=data_dir, origin=origin),
        "config": config.as_json(),
        "origin": dataclasses.asdict(origin) if origin else None,
        "plan": json.loads(follow.words),
        "plan_digest": follow.digest(),
        "versions": provenance.versions(),
    }


def _check_same(folder: pathlib.Path, identity: dict[str, Any], words: Train) -> None:
    """Refuses a folder of another run, and says in what it differs first."""
    if not (folder / "run.json").exists():
        return
    there = _stored(folder)
    pairs = [(name, there["config"].get(name), value) for name, value in identity["config"].items()]
    pairs += [(name, there.get(name), identity[name]) for name in ("origin", "plan", "plan_digest", "run")]
    pairs.append(("members", there["members"], words.members))
    for name, old, new in pairs:
        if old != new:
            label = {"run": "data", "plan_digest": "plan"}.get(name, name)
            raise ValueError(
                f"{label} must be {json.dumps(old)} as in the run in {folder}, got {json.dumps(new)};"
                " extend and branch make another run of it."
            )


def _note(folder: pathlib.Path, identity: dict[str, Any]) -> Generator[str, None, None]:
    """Writes run.json, or says which libraries have changed since."""
    path = folder / "run.json"
    if path.exists():
        old, new = _stored(folder)["versions"], identity["versions"]
        changed = [f"{name} {old.get(name)} -> {new[name]}" for name in new if old.get(name) != new[name]]
        if changed:
            yield f"begun with other libraries ({', '.join(changed)}): the last digits may differ from now on."
        if _stored(folder)["keep"] == identity["keep"]:
            return
        identity = {**_stored(folder), "keep": identity["keep"]}
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(identity, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _stored(folder: pathlib.Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "run.json").read_text()))
    except FileNotFoundError:
        raise ValueError(f"{folder} must be the folder of a run (with run.json), got none.") from None
    except ValueError:
        raise ValueError(f"{folder / 'run.json'} must be JSON, got something else.") from None


def _log(facts: dict[str, Any]) -> runs.Log:
    return runs.Log(**{**facts["log"], "losses": tuple(facts["log"]["losses"])})


def _member_facts(
    log: runs.Log, variables: dict[str, Any], ends: Sequence[int], follow: Plan, offset: int, words: Train
) -> dict[str, Any]:
    """Rate at capture (of the update just made), cycle from 0, and metrics; held-out ones if there is such a part."""
    step = log.completed
    shared = tasks.task(words.config, data_dir=words.data_dir)
    facts = {"cycle": ends.index(step), "rate": float(follow.lr(step - 1 - offset)), "train_loss": log.train_loss}
    if shared.holdout is not None:
        held = tasks.evaluate(shared, variables, shared.holdout)
        facts |= {"holdout_error": round(1 - held.accuracy, 10), "holdout_loss": held.loss}
    return facts


def _draw(log: runs.Log, follow: Plan, offset: int, path: pathlib.Path) -> None:
    """The updates of this run's own plan, thinned to 2,000; none: no figure."""
    losses = np.array(log.losses[offset:])[: follow.total_steps]
    some = slice(None, None, -(-len(losses) // 2000) or 1)
    if np.isfinite(losses).any():
        table = {name: values[: len(losses)][some] for name, values in follow.table().items()}
        range_plots.run(table["step"] + offset, table["lr"], table["momentum"], losses[some], path)


def _due(words: str, follow: Plan) -> Callable[[int], bool]:
    """Whether a state is due after so many updates."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(s|min)", words)
    if not found:
        every = tasks.updates_of(words, follow, "save_every", also=", seconds (90s) or minutes (2min)")
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
