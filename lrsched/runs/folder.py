"""A run in a folder of its own: saved as it goes, resumed after any end, extended, branched.

FOLDER/run.json        what the run is: configuration, data, plan, origin, libraries and machine
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
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lrsched import files
from lrsched.runs import cycles
from lrsched.runs import interrupts
from lrsched.runs import records
from lrsched.runs import resume as saving
from lrsched.runs import run as runs
from lrsched.runs import task as tasks
from lrsched.analysis.study.figures import draw_run
from lrsched.runs.task import Origin, Run, RunConfig
from lrsched.training import provenance, snapshots, train

_BRANCHED = frozenset({"schedule", "peak_value", "momentum", "budget", "max_epochs", "weight_decay"})  # may differ


@dataclasses.dataclass(frozen=True)
class Train:
    """One run, saved as it goes: the same command resumes it where it was stopped, to the same bits on CPUs.

    Ctrl-C and SIGTERM let the update in progress end and save its state first. On GPUs the same bits take XLA's
    --xla_gpu_deterministic_ops=true.

    Attributes:
      config: the run.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      out: folder of the run; None: runs/ and the run's id.
      save_every: how often the full state is saved: updates (200), epochs (1ep), seconds (90s) or minutes (2min).
      keep: after which updates (200) or epochs (3ep) a full state is kept for good, to branch from; in a branch they
        are counted from the start of the run it left.
      members: which ends of cycles become members of an ensemble: all; whole (not that of a last cycle that the budget
        cuts); of the whole ones the last three (last:3) or every second, counted from the last (every:2).
      extend: FOLDER[@UPDATES] of a run to go on with under a longer budget (from its last state unless @ names
        another). What was trained stays; from there on the rate is that of the longer plan at the same update.
      branch: FOLDER[@UPDATES] of a run to start from. This run's own plan begins there, and its budget counts the new
        updates alone.
    """

    config: RunConfig = dataclasses.field(default_factory=RunConfig)
    data_dir: str | None = None
    out: str | None = None
    save_every: str = saving.SAVE_EVERY
    keep: tuple[str, ...] = ()
    members: str = "all"
    extend: str | None = None
    branch: str | None = None


def begin(words: Train) -> Generator[runs.Status | str, None, runs.Record]:
    """Makes a run, or what is left of it; yields how it is getting on, and lines to be told.

    Returns:
      the run's record, with `members`, `resumed_at` (updates made at each start that found a state) and `changes` (of
      libraries and machine, from one start to the next).
    Raises:
      ValueError: if the run cannot be made, or its folder holds another one. Nothing is written then.
      OSError: if the folder cannot be written, or is being written by another process.
      interrupts.Interrupted: if the process was asked to end, once the state is saved.
    """
    given = files.local_folder("out", words.out) if words.out is not None else None
    run = tasks.resolve(words.config, data_dir=words.data_dir)
    like = run.initial_state()
    origin, left = _left(words, run, like)
    run = run.leaving(origin)
    folder = given or pathlib.Path(f"runs/{run.id}")
    ends = [run.offset + end for end in run.plan.cycle_ends]
    member_steps = frozenset(thinned(words.members, ends, cut=cycles.cut_steps(run.plan, run.offset)))
    keep = {tasks.updates_of(each, run.plan, "keep") for each in words.keep}
    first = origin.step if origin else 0
    if any(not first < step <= run.total_steps for step in keep):
        raise ValueError(f"keep must be from {first + 1} to {run.total_steps} (updates in all), got {sorted(keep)}.")
    due = saving.due_after(words.save_every, run.plan)
    identity = saving.identify(run)
    _check_same(folder, identity, words)
    _check_members(folder, run, like)
    keep |= set(saving.stored_identity(folder)["keep"]) if (folder / "run.json").exists() else set()
    with snapshots.open_store(folder, keep_steps=keep) as store, interrupts.deferred():
        yield from _note(folder, {**identity, "members": words.members, "keep": sorted(keep)})
        path = folder / "records.jsonl"
        found = records.read(path)
        yield from found.damaged
        done = [record for record in found.rows if record["run"] == run.id]
        if done:
            if not (folder / "run.svg").exists():  # it was killed before its figure
                _draw(store, run, folder / "run.svg")
            yield f"{folder} is done: this is its record."
            return done[-1]

        yield from cycles.said(run.plan)

        def take(point: runs.Point) -> None:
            if point.log.completed in member_steps:
                variables = tasks.variables(run.config, run.task, point.state)
                store.save_member(point.log.completed, variables, _member_facts(run, point.log, variables, ends))

        record = yield from saving.follow_saved(
            run, folder, lambda: store, due=due, keep=member_steps | keep | {run.total_steps}, left=left, take=take
        )
        record["members"] = []
        for step in snapshots.member_steps(folder):
            try:
                digest = snapshots.load_member(folder, step, like.variables).digest
                record["members"].append({"step": step, "digest": digest})
            except ValueError as error:
                yield f"{error} It is left out."
        records.append(path, record)
        _draw(store, run, folder / "run.svg")
        return record


def stored(folder: str | os.PathLike[str]) -> RunConfig:
    """The configuration of the run in a folder.

    Raises:
      ValueError: if there is none.
    """
    config = dict(saving.stored_identity(folder)["config"])
    return RunConfig(**{**config, "schedule": json.dumps(config["schedule"])})


def located(words: str, name: str = "runs") -> tuple[str, int | None]:
    """Folder and updates of FOLDER or FOLDER@UPDATES; a folder's own name may hold an @: one that is there is meant.

    Raises:
      ValueError: for a URL.
    """
    if os.path.isdir(files.local_folder(name, words)):  # which takes a name of any length
        return words, None
    folder, _, at = words.rpartition("@")
    return (folder, int(at)) if folder and re.fullmatch("[0-9]{1,18}", at) else (words, None)


def thinned(words: str, items: Sequence[int], *, cut: Collection[int] = ()) -> list[int]:
    """Some of the items: all; whole, those that are not cut; of these the last M (last:M) or every K-th (every:K).

    Args:
      items: in order; every:K counts back from the last one that is not cut.
      cut: items whose cycle ended too early.
    Raises:
      ValueError: for other words.
    """
    found = re.fullmatch(r"all|whole|(last|every):([1-9][0-9]*)", words)
    if not found:
        raise ValueError(f"members must be all, whole, last:M or every:K, got {words!r}.")
    if words == "all":
        return list(items)
    items = [item for item in items if item not in cut]
    if words == "whole":
        return items
    number = int(found[2])
    return items[-number:] if found[1] == "last" else items[::-1][::number][::-1]


def _left(words: Train, run: Run, like: train.State) -> tuple[Origin | None, Callable[[], runs.Point] | None]:
    """The run that this one leaves, and what reads the point where it does; None: it begins by itself.

    A run that was begun keeps the origin it has: the other run may have been trained further, or be gone.
    """
    if words.extend is None and words.branch is None:
        return None, None
    if words.extend is not None and words.branch is not None:
        raise ValueError("extend and branch must not be given together, got both.")
    verb: Literal["extend", "branch"] = "extend" if words.extend is not None else "branch"
    name, at = located(words.extend or words.branch or "", verb)
    folder = files.local_folder(verb, name)
    out = files.local_folder("out", words.out) if words.out else None
    if out and (out / "run.json").exists():
        had = saving.stored_identity(out)["origin"]
        same = had and (not (folder / "run.json").exists() or saving.stored_identity(folder)["run"] == had["run"])
        if had and same and had["verb"] == verb and at in (None, had["step"]):
            return Origin(**had), lambda: _state_left(folder, Origin(**had), like)
    there = saving.stored_identity(folder)
    config = run.config.as_json()
    free = {"budget", "max_epochs"} if words.extend else _BRANCHED
    for field in config:
        if field not in free and config[field] != there["config"].get(field):
            was = json.dumps(there["config"].get(field))
            raise ValueError(f"{field} must be {was} as in {folder}, got {json.dumps(config[field])}.")
    _check_data(folder, there, run)
    found = snapshots.steps(folder)
    if not found:
        raise ValueError(f"{folder} must hold a saved state, got none.")
    if words.extend and there["origin"] and there["origin"]["verb"] == "branch":
        raise ValueError(f"extend must be of a run that is no branch, got {folder}: branch from it.")
    saved = snapshots.load(folder, found[-1] if at is None else at, like)
    saving.check_state(saved, there, folder)
    if words.extend and saved.step >= run.plan.total_steps:
        raise ValueError(f"budget must be more than the {saved.step} updates made, got {run.plan.total_steps}.")
    digest = provenance.digest(saved.tree.params)
    origin = Origin(there["run"], saved.step, digest, verb)
    return origin, lambda: runs.Point(saved.tree, saving.log_of(saved.facts))


def _state_left(folder: pathlib.Path, origin: Origin, like: train.State) -> runs.Point:
    saved = snapshots.load(folder, origin.step, like)
    if provenance.digest(saved.tree.params) != origin.digest:
        raise ValueError(
            f"the state after update {origin.step} of {folder} must be the one that was left, got another."
        )
    return runs.Point(saved.tree, saving.log_of(saved.facts))


def _check_data(folder: pathlib.Path, there: Mapping[str, Any], run: Run) -> None:
    """Refuses other data than the run in the folder was trained on: held-out examples would be trained on."""
    digest = run.task.data.digest
    had = there.get("data_digest")
    if had is None:  # version 0.1.0 kept it in the run's id alone
        had = next((row["data"]["digest"] for row in records.read(folder / "records.jsonl").rows), "other data")
        first = records.identify(there["config"], data_digest=digest, origin=there["origin"], devices=1)
        had = digest if there["run"] == first else had
    if had != digest:
        raise ValueError(f"data must be that of {folder} ({had}), got other examples ({digest}).")


def _check_same(folder: pathlib.Path, identity: dict[str, Any], words: Train) -> None:
    """Refuses a folder of another run, and says in what it differs first."""
    if not (folder / "run.json").exists():
        _check_new(folder)
        return
    there = saving.stored_identity(folder)
    pairs = list(saving.differences(there, identity))
    if there["members"] != words.members:
        pairs.append(("members", there["members"], words.members))
    for name, old, new in pairs:
        raise ValueError(
            f"{name} must be {json.dumps(old)} as in the run in {folder}, got {json.dumps(new)};"
            " extend and branch make another run of it."
        )


def _check_members(folder: pathlib.Path, run: Run, like: train.State) -> None:
    """Refuses members of another run, which would be taken for this one's; those of version 0.1.0 name no run."""
    for step in snapshots.member_steps(folder):
        try:
            of = snapshots.load_member(folder, step, like.variables).facts.get("run", run.id)
        except ValueError:  # a damaged one is made again
            continue
        if of != run.id:
            raise ValueError(f"{folder / 'members' / str(step)} must be a member of run {run.id}, got one of run {of}.")


def _check_new(folder: pathlib.Path) -> None:
    """Refuses a folder that holds what some run saved, but does not say which."""
    saved = [*snapshots.steps(folder), *snapshots.member_steps(folder)]
    if saved:
        raise ValueError(
            f"{folder} must be a new folder or that of a run (with run.json), got states of a run that nothing names."
        )


def _note(folder: pathlib.Path, identity: dict[str, Any]) -> Generator[str, None, None]:
    """Writes run.json, or says which libraries and settings have changed since."""
    path = folder / "run.json"
    if path.exists():
        old = saving.stored_identity(folder)
        differ = saving.changed(old, identity)
        if differ:
            said = ", ".join(differ)
            yield f"begun with other libraries or settings ({said}): the last digits may differ from now on."
        if old["keep"] == identity["keep"]:
            return
        identity = {**old, "keep": identity["keep"]}
    files.write_json(path, identity, indent=1)


def _member_facts(run: Run, log: runs.Log, variables: dict[str, Any], ends: Sequence[int]) -> dict[str, Any]:
    """Rate at capture (of the update just made), cycle from 0, and metrics; held-out ones if there is such a part."""
    step = log.completed
    rate = float(run.plan.lr(step - 1 - run.offset))
    facts = {"run": run.id, "cycle": ends.index(step), "rate": rate, "train_loss": log.train_loss}
    if step in cycles.cut_steps(run.plan, run.offset):
        facts["cut"] = True
    if run.task.holdout is not None:
        held = tasks.evaluate(run.task, variables, run.task.holdout)
        facts |= {"holdout_error": round(1 - held.accuracy, 10), "holdout_loss": held.loss}
    return facts


def _draw(store: snapshots.Store, run: Run, path: pathlib.Path) -> None:
    """The updates of this run's own plan up to the newest state, thinned to 2,000; none: no figure."""
    saved = store.newest(run.initial_state())[0]
    if saved is None:
        return
    losses = np.array(saving.log_of(saved.facts).losses[run.offset :])[: run.plan.total_steps]
    some = slice(None, None, -(-len(losses) // 2000) or 1)
    if np.isfinite(losses).any():
        table = {name: values[: len(losses)][some] for name, values in run.plan.table().items()}
        draw_run(table["step"] + run.offset, table["lr"], table["momentum"], losses[some], path)
