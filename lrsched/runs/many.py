"""Many runs in one folder: those that are on record, and the others, made by this process and any that share it."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from lrsched import files
from lrsched.runs import claims
from lrsched.runs import interrupts
from lrsched.runs import records
from lrsched.runs import resume as saving
from lrsched.runs import workers as spread
from lrsched.runs import run as runs
from lrsched.runs import task as tasks
from lrsched.schedules import registry
from lrsched.runs.task import RunConfig
from lrsched.training import devices as machine
from lrsched.training import provenance

MOST_RUNS = 100_000  # of one study: more were asked for by mistake
_SECONDS_BETWEEN_LOOKS = 1.0  # at what another process is making


class Status(NamedTuple):
    """Progress of several runs. `record` is set once a run has ended, or was already on record."""

    completed: int
    total: int
    updates_left: int  # in all runs that are not done
    config: RunConfig
    run: runs.Status | None
    record: runs.Record | None


def made(
    todo: Sequence[RunConfig],
    *,
    data_dir: str | None,
    out: pathlib.Path,
    workers: int | None,
    updates: int | None = None,
) -> Generator[Status | str, None, list[runs.Record]]:
    """The records of these runs, in order: those in out/records.jsonl as they are, the others made and put there.

    A run that was cut off is resumed from its newest state. Several processes may share the folder: each run is made
    by one of them. What decides a run's last digits, the cores it has, is settled once for the folder.

    Args:
      updates: in all runs that will be made in this folder, if these are but the first of them.
    Raises:
      ValueError: before anything is made, if any of them cannot be run, or the folder cannot be written.
      OSError: before anything is made, if the folder cannot be locked.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    if len(todo) > MOST_RUNS:
        raise ValueError(f"runs must be at most {MOST_RUNS:,} in all, got {len(todo):,}.")
    alone = workers != 1 and jax.default_backend() != "cpu"  # a run then has one device
    devices = tuple(jax.local_devices()[:1]) if alone else None
    resolved = [tasks.resolve(one, data_dir=data_dir, devices=devices) for one in todo]
    names = [run.id for run in resolved]
    found = records.read(claims.ledger(out))
    done = {record["run"]: record for record in found.rows}
    left = {i: run.total_steps for i, run in enumerate(resolved) if run.id not in done}
    total = updates or sum(run.total_steps for run in resolved)
    spread.choose(asked=workers, left=1, updates=0)  # says what is wrong with the number
    yield from found.damaged

    def status(index: int, *, run: runs.Status | None = None, record: runs.Record | None = None) -> Status:
        return Status(len(todo) - len(left), len(todo), sum(left.values()), todo[index], run, record)

    for index in [i for i, name in enumerate(names) if name in done]:
        yield status(index, record=done[names[index]])
    claims.tidy(out, done)
    if left:
        files.check_writable("out", out)
        cpus, lines = _settled(out, done, names, asked=workers, updates=total)
        yield from lines
    waited = False
    with interrupts.deferred():
        while left:
            mine = [i for i in left if claims.is_free(out, names[i])]
            layout = spread.choose(asked=workers, left=len(mine), updates=total, cpus=cpus)
            events = spread.made({i: todo[i] for i in mine}, data_dir=data_dir, out=out, layout=layout, alone=alone)
            for index, event in events:
                if isinstance(event, runs.Status):
                    left[index] = event.total_steps - event.completed
                    yield status(index, run=event)
                elif isinstance(event, str):
                    yield f"{describe(todo[index])}: {event}"
                elif event is not None:
                    del left[index]
                    done[names[index]] = event
                    yield status(index, record=event)
            if left:
                if not waited:
                    others = "1 run is" if len(left) == 1 else f"{len(left)} runs are"
                    yield f"waiting: {others} being made by another process."
                waited = True
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                if interrupts.asked():
                    raise interrupts.Interrupted("saved")
            for index in list(left):
                if record := records.find(claims.ledger(out), names[index]):
                    del left[index]
                    done[names[index]] = record
                    yield status(index, record=record)
    with contextlib.suppress(OSError):  # states of other runs are left there
        (out / "states").rmdir()
    return [done[name] for name in names]


def _settled(
    out: pathlib.Path, done: Mapping[str, runs.Record], names: Sequence[str], *, asked: int | None, updates: int
) -> tuple[int | None, list[str]]:
    """The cores of each run in a folder, as its first start settled them, and what has changed since.

    Folders of version 0.1.0 have no machine.json: their records tell.
    """
    path, platform, lines = out / "machine.json", jax.default_backend(), list[str]()
    described = machine.describe()  # a worker's cores and flags are its own: they are settled, not compared
    settings = {name: described[name] for name in ("device_kind", "matmul_precision", "plain")}
    begun_with = {"versions": provenance.versions(), "machine": settings}
    with files.lock(claims.ledger(out), wait=True):
        kept: dict[str, Any] | None = None
        try:
            kept = files.read_json(path)
        except FileNotFoundError:
            pass
        except ValueError as error:
            lines.append(f"{error} It is not used.")
        if kept is None:
            known = [record["device"] for record in done.values()]
            cpus = known[-1].get("cpus") if known and known[-1].get("platform") == platform == "cpu" else None
            if cpus is None:
                cpus = spread.choose(asked=asked, left=len(names), updates=updates).cpus
            kept = {"platform": platform, "cpus": cpus, **begun_with}
            files.write_json(path, kept)
    if differ := saving.changed(kept, begun_with):
        lines.append(
            f"begun with other libraries or settings ({', '.join(differ)}): the last digits of the runs to come differ."
        )
    here = spread.pinnable()
    if kept["platform"] != platform:
        was = f"on {kept['platform']}, resumed on {platform}"
    elif kept["cpus"] > here:
        was = f"with {kept['cpus']} cores a run, where now there are {here}"
    else:
        return kept["cpus"] or None, lines
    lines.append(f"begun {was}: the last digits of the runs to come differ from those of the same runs there.")
    return kept["cpus"] or None, lines


def describe(config: RunConfig) -> str:
    """A run in a few words, for progress and messages."""
    schedule = registry.label(config.schedule)
    return f"{schedule} at {config.budget}, rate {config.peak_value:g}, seed {config.seed}"
