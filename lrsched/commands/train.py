"""One run, saved as it goes: resumed after any end, extended, branched."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np

from lrsched import files
from lrsched.analysis.study.figures import draw_run
from lrsched.commands import Outcome
from lrsched.runs import cycles, forks, identity, interrupts, records, resume, tracking
from lrsched.runs.config import RunConfig
from lrsched.runs.folder import select_members
from lrsched.runs.report import Record, Report, describe, ignore
from lrsched.runs.run import Log, Point
from lrsched.runs.task import Run, resolve
from lrsched.schedules import durations
from lrsched.training import devices, hosts, snapshots
from lrsched.training.train import State


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One run, saved as it goes: the same command resumes it where it was stopped, to the same bits on CPUs.

    Ctrl-C and SIGTERM let the update in progress end and save its state first. On GPUs the same bits take XLA's
    --xla_gpu_deterministic_ops=true.

    Example: lrsched train --schedule sgdr --epochs 7 --keep 3ep --out runs/sgdr

    Attributes:
      config: the run.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      out: folder of the run; None: runs/ and the run's id.
      save_every: how often the full state is saved: updates (200), epochs (1ep), examples (50000ex), a share of the
        run's plan (10%), seconds (90s) or minutes (2min).
      keep: after which updates (200), epochs (3ep), examples (50000ex) or share of its plan (50%) a full state is kept
        for good, to branch from; in a branch they are counted from the start of the run it left.
      members: which ends of cycles become members of an ensemble: all; whole (not those of cycles that are cut); of the
        whole ones the last three (last:3) or every second, counted from the last (every:2).
      extend: FOLDER[@UPDATES] of a run to extend under a longer budget (from its last state unless @ names
        another). What was trained stays; from there on the rate is that of the longer plan at the same update.
      branch: FOLDER[@UPDATES] of a run to start from. This run's own plan begins there, and its budget counts the new
        updates alone.
      track: tensorboard, wandb or mlflow, each an extra, which is told of the progress as well.
      hosts: several processes that share the run, each begun with this command on its host. All see `out`.
    """

    config: RunConfig = dataclasses.field(default_factory=RunConfig)
    data_dir: str | None = None
    out: str | None = None
    save_every: str = resume.SAVE_EVERY
    keep: tuple[str, ...] = ()
    members: str = "all"
    extend: str | None = None
    branch: str | None = None
    track: tracking.Name | None = None
    hosts: hosts.Hosts = hosts.ALONE


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """A run that can be trained in its folder: nothing has been written yet."""

    run: Run
    folder: pathlib.Path
    fork: forks.Fork | None
    like: State
    members: str  # as asked for
    member_steps: frozenset[int]
    keep: frozenset[int]
    save_every: str


def run(config: TrainConfig, report: Report = ignore) -> Outcome:
    """Trains a run, resuming if its folder holds a state.

    Returns:
      the run's record, with `members`, `resumed_at` (updates made at each start that found a state) and `changes` (of
      libraries and machine, from one start to the next).
    Raises:
      ValueError: if the run cannot be trained, or its folder holds another one. Nothing is written then.
      OSError: if the folder cannot be written, or is being written by another process.
      interrupts.Interrupted: if the process was asked to end, once the state is saved.
    """
    devices.prepare()
    hosts.start(config.hosts)
    devices.start()
    prepared = _prepare(config)
    folder, this = prepared.folder, prepared.run
    hosts.check_same(this.id)
    if not hosts.is_first():
        with interrupts.deferred():
            if not hosts.share(0):
                _train(prepared, None, ignore)
        return Outcome(None, f"process {jax.process_index()} of {jax.process_count()} is done.", [])
    with snapshots.open_store(folder, keep_steps=prepared.keep) as store, interrupts.deferred():
        _write_identity(prepared, report)
        path = folder / "records.jsonl"
        found = records.read(path)
        for line in found.damaged:
            report(line)
        ended = [record for record in found.rows if record["run"] == this.id]
        if hosts.share(len(ended)):
            record = ended[-1]
            if not (folder / "run.svg").exists():  # it was killed before its figure
                _draw(store, this, folder / "run.svg")
            report(f"{folder} is done: this is its record.")
        else:
            with tracking.tracked(report, config.track, folder) as told:
                record = _train(prepared, store, told)
                records.append(path, record)
                if config.track:
                    told(record)
            _draw(store, this, folder / "run.svg")
    return Outcome(record, describe(record), [folder])


def _prepare(config: TrainConfig) -> _Prepared:
    """Everything that can be refused is refused here."""
    out = files.local_folder("out", config.out) if config.out is not None else None
    run = resolve(config.config, data_dir=config.data_dir)
    like = run.initial_state()
    fork = None
    if config.extend is not None and config.branch is not None:
        raise ValueError("extend and branch must not be given together, got both.")
    if config.extend is not None:
        fork = forks.find_fork(run, verb="extend", location=config.extend, out=out, like=like)
    elif config.branch is not None:
        fork = forks.find_fork(run, verb="branch", location=config.branch, out=out, like=like)
    run = run.forked_from(fork.origin if fork else None)
    folder = out or pathlib.Path(f"runs/{run.id}")
    cut = cycles.cut_steps(run.plan, run.offset)
    member_steps = frozenset(select_members(config.members, run.cycle_ends, cut=cut))
    keep = {durations.steps(each, name="keep", **resume.sizes(run)) for each in config.keep}
    first = fork.origin.step if fork else 0
    if any(not first < step <= run.total_steps for step in keep):
        raise ValueError(f"keep must be from {first + 1} to {run.total_steps} (updates in all), got {sorted(keep)}.")
    resume.due_every(config.save_every, run)  # says what is wrong with it
    _check_folder(folder, run, config.members, like)
    if (folder / "run.json").exists():
        had, there = set(identity.read(folder)["keep"]), snapshots.steps(folder)
        if past := sorted(step for step in keep - had if step not in there and there and step < there[-1]):
            raise ValueError(f"keep must be of updates to come, {folder} has made {there[-1]}, got {past}.")
        keep |= had
    return _Prepared(run, folder, fork, like, config.members, member_steps, frozenset(keep), config.save_every)


def _train(prepared: _Prepared, store: snapshots.Store | None, report: Report) -> Record:
    """The record of the run, with the members that it kept; without a store nothing is written."""
    run, record = prepared.run, Record()
    for line in cycles.describe(run.plan, run.offset):
        report(line)

    def take(point: Point) -> None:
        if point.log.completed in prepared.member_steps:
            variables = run.task.variables(point.state)
            facts = _member_facts(run, point.log, variables)
            if store is not None:
                store.save_member(point.log.completed, variables, facts)

    def open_store() -> snapshots.Store:
        assert store is not None
        return store

    events = resume.train_saved(
        run,
        prepared.folder,
        open_store,
        due=resume.due_every(prepared.save_every, run),
        keep=prepared.member_steps | prepared.keep | {run.total_steps},
        read_fork=prepared.fork.read if prepared.fork else None,
        take=take,
    )
    for event in events:
        if isinstance(event, dict):
            record = event
        else:
            report(event)
    if store is None:
        return record
    record["members"] = []
    for step in snapshots.member_steps(prepared.folder):
        try:
            digest = snapshots.load_member(prepared.folder, step, prepared.like.variables).digest
            record["members"].append({"step": step, "digest": digest})
        except ValueError as error:
            report(f"{error} It is left out.")
    return record


def _check_folder(folder: pathlib.Path, run: Run, members: str, like: State) -> None:
    """Refuses a folder of another run, and says in what it differs first."""
    if (folder / "run.json").exists():
        there = identity.read(folder)
        pairs = list(identity.differences(there, identity.identify(run)))
        if there["members"] != members:
            pairs.append(("members", there["members"], members))
        for name, old, new in pairs:
            raise ValueError(
                f"{name} must be {json.dumps(old)} as in the run in {folder}, got {json.dumps(new)};"
                " extend and branch make another run of it."
            )
    elif snapshots.steps(folder) or snapshots.member_steps(folder):
        raise ValueError(
            f"{folder} must be a new folder or that of a run (with run.json), got states of a run that nothing names."
        )
    for step in snapshots.member_steps(folder):
        try:
            of = snapshots.load_member(folder, step, like.variables).facts.get("run", run.id)  # 0.1.0 named no run
        except ValueError:  # a damaged one is replaced
            continue
        if of != run.id:
            raise ValueError(f"{folder / 'members' / str(step)} must be a member of run {run.id}, got one of run {of}.")


def _write_identity(prepared: _Prepared, report: Report) -> None:
    """Writes run.json; if it is there, reports which libraries and settings have changed since."""
    path = prepared.folder / "run.json"
    document = {**identity.identify(prepared.run), "members": prepared.members, "keep": sorted(prepared.keep)}
    if path.exists():
        old = identity.read(prepared.folder)
        if changes := identity.find_changes(old, document):
            differ = ", ".join(changes)
            report(f"begun with other libraries or settings ({differ}): the last digits may differ from now on.")
        if old["keep"] == document["keep"]:
            return
        document = {**old, "keep": document["keep"]}
    files.write_json(path, document, indent=1)


def _member_facts(run: Run, log: Log, variables: dict[str, Any]) -> dict[str, Any]:
    """Rate at capture (of the update just made), cycle from 0, and metrics; held-out ones if there is such a part."""
    step = log.completed
    rate = float(run.plan.lr(step - 1 - run.offset))
    facts = {"run": run.id, "cycle": run.cycle_ends.index(step), "rate": rate, "train_loss": log.train_loss}
    if run.task.holdout is not None:
        held = run.task.evaluate(variables, run.task.holdout)
        facts |= {"holdout_error": round(1 - held.accuracy, 10), "holdout_loss": held.loss}
    return facts


def _draw(store: snapshots.Store, run: Run, path: pathlib.Path) -> None:
    """The updates that this run made, up to the newest state, thinned to 2,000; none: no figure."""
    saved = store.newest(run.initial_state())[0]
    if saved is None:
        return
    losses = np.array(resume.log_of(saved.facts).losses[run.offset :])[: run.plan.total_steps]
    first = run.origin.step - run.offset if run.origin else 0  # of an extended run: the parent had rates of its own
    some = slice(first, len(losses), -(-len(losses) // 2000) or 1)
    if np.isfinite(losses[some]).any():
        table = {name: numbers[some] for name, numbers in run.plan.table().items()}
        draw_run(table["step"] + run.offset, table["lr"], table["momentum"], losses[some], path)
