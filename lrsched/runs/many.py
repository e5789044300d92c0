"""Many runs in one folder: those that are on record, and the others, trained by this process and any that share it."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from lrsched import files
from lrsched.runs import claims, engines, identity, interrupts, records, trunks, workers
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Overall, Record, Report, Status
from lrsched.runs.task import Devices, Run, resolve
from lrsched.training import devices as machine
from lrsched.training import provenance

MOST_RUNS = 100_000  # of one study: more were asked for by mistake
_SECONDS_BETWEEN_LOOKS = 1.0  # at what another process is training


def resolve_all(configs: Sequence[RunConfig], *, data_dir: str | None, count: int | None) -> list[Run]:
    """The runs of these configurations, for so many workers (None: as many as `train_all` chooses).

    Raises:
      ValueError: if any of them cannot be run, there are too many, or the number of workers is refused.
    """
    if len(configs) > MOST_RUNS:
        raise ValueError(f"runs must be at most {MOST_RUNS:,} in all, got {len(configs):,}.")
    workers.choose(asked=count, left=1, updates=0)  # says what is wrong with the number
    devices: Devices = tuple(jax.local_devices()[:1]) if _one_device_each(count) else None
    return [resolve(config, data_dir=data_dir, devices=devices) for config in configs]


def _check_locks(count: int | None, engine: engines.Engine) -> None:
    """Raises ValueError where several would write and nothing is locked."""
    if not files.locks():
        if engine.name != "local":
            raise ValueError(f"engine must be local with LRSCHED_LOCKS=none, got {engine.name}.")
        if (count or 1) > 1:
            raise ValueError(f"workers must be 1 with LRSCHED_LOCKS=none, got {count}.")


def _workers(count: int | None) -> int | None:
    """The workers asked for; None: as many as fit. Without locks one alone may write."""
    return count if files.locks() else 1


def _one_device_each(count: int | None) -> bool:
    return count != 1 and jax.default_backend() != "cpu"


def train_all(
    todo: Sequence[Run],
    out: pathlib.Path,
    *,
    count: int | None,
    report: Report,
    updates: int | None = None,
    share_trunks: bool = False,
    engine: engines.Engine = engines.LOCAL,
) -> list[Record]:
    """The records of these runs, in order: those in out/records.jsonl as they are, the others trained and put there.

    A run that was cut off is resumed from its newest state. Several processes may share the folder: each run is trained
    by one of them. What decides a run's last digits, the cores it has, is settled once for the folder.

    Args:
      todo: of `resolve_all`.
      count: workers asked for; None: as many as fit.
      updates: in all runs that will be trained in this folder, if these are but the first of them.
      share_trunks: make the updates that runs have in common once (`trunks`); the numbers are the same.
      engine: what makes the runs.
    Raises:
      ValueError, OSError: before anything is trained, if the folder cannot be written, or not be locked.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    _check_locks(count, engine)
    found = records.read(claims.ledger(out))
    for line in found.damaged:
        report(line)
    progress = _Progress(todo, out, {record["run"]: record for record in found.rows}, report)
    claims.tidy(out, progress.done)
    trunks.tidy(out, progress.done)
    if not progress.left:
        return progress.records()
    files.check_writable("out", out)
    total = updates or sum(run.total_steps for run in todo)
    how: dict[str, Any] = {"engine": engine, "each": workers.bytes_each(todo[0].task)}
    cpus, lines = _settle(out, progress.done, len(todo), asked=_workers(count), updates=total, **how)
    for line in lines:
        report(line)
    ready = f"{len(progress.left)} of {len(todo)} runs to train" if len(todo) > 1 else "1 run to train"
    report(f"{ready}; compiling the first.")
    junctions = _announce(progress) if share_trunks else []
    if not share_trunks:
        trunks.withdraw([run.id for run in todo], out)
    with interrupts.deferred():
        while progress.left:
            free = {i: todo[i] for i in progress.left if claims.is_free(out, todo[i].id)}
            mine, before = trunks.ready(free, out), len(progress.left)
            for index, event in _made(mine, out, junctions, engine, count=count, updates=total, cpus=cpus):
                progress.take(index, event)
            if progress.left and len(progress.left) == before:
                _wait(progress, before - len(free))
            for index in list(progress.left):
                progress.take(index, records.find(claims.ledger(out), todo[index].id))
    progress.tell_spared()
    trunks.tidy(out, progress.done)
    with contextlib.suppress(OSError):  # states of other runs are left there
        records.states(out).rmdir()
    return progress.records()


def _made(
    mine: dict[int, Run],
    out: pathlib.Path,
    junctions: Sequence[trunks.Junction],
    engine: engines.Engine,
    *,
    count: int | None,
    updates: int,
    cpus: int | None,
) -> Iterator[tuple[int, workers.Event]]:
    """The events of these runs, wherever they are made."""
    if engine.name != "local":
        yield from engines.train_all(trunks.sort(mine, junctions), out, engine=engine, cpus=cpus or 0, workers=count)
        return
    some: dict[str, Any] = {"each": workers.bytes_each(next(iter(mine.values())).task)} if mine else {}
    layout = workers.choose(asked=_workers(count), left=len(mine), updates=updates, cpus=cpus, **some)
    mine = trunks.sort(mine, junctions) if layout.workers > 1 else mine
    yield from workers.train_all(mine, out, layout=layout, alone=_one_device_each(count))


def _announce(progress: _Progress) -> list[trunks.Junction]:
    """The junctions of the runs that are left, for all processes that train them."""
    runs = [progress.todo[index] for index in progress.left]
    junctions = trunks.find(runs)
    if junctions:
        trunks.announce(junctions, progress.out)
        spared, updates = sum(one.spared for one in junctions), sum(run.total_steps for run in runs)
        progress.report(f"shared trunks: {spared:,} of {updates:,} updates need not be made a second time.")
    return junctions


def _wait(progress: _Progress, others: int) -> None:
    """Waits a moment for runs of other processes."""
    if others and not progress.waited:
        runs = "1 run is" if others == 1 else f"{others} runs are"
        progress.report(f"waiting: {runs} being trained by another process.")
        progress.waited = True
    time.sleep(_SECONDS_BETWEEN_LOOKS)
    if interrupts.asked():
        raise interrupts.Interrupted("saved")


class _Progress:
    """Tracks which runs are on record and how many updates the others have left, and reports it."""

    def __init__(self, todo: Sequence[Run], out: pathlib.Path, done: dict[str, Record], report: Report) -> None:
        self.todo, self.out, self.done, self.report = todo, out, done, report
        self.left = {i: run.total_steps for i, run in enumerate(todo) if run.id not in done}
        self.spared = 0  # updates that a run recorded since then shared with another
        self.waited = False
        for run in todo:
            if run.id in done:
                self._tell(run, record=done[run.id])

    def take(self, index: int, event: workers.Event) -> None:
        """An event of a run; None: another process is training it."""
        run = self.todo[index]
        if isinstance(event, str):
            self.report(f"{run.describe()}: {event}")
        elif isinstance(event, Status):
            self.left[index] = event.total_steps - event.completed
            self._tell(run, latest=event)
        elif event is not None:
            del self.left[index]
            self.done[run.id] = event
            self.spared += event.get("trunk", {"step": 0})["step"]
            trunks.tidy(self.out, self.done, run=run.id)
            self._tell(run, record=event)

    def records(self) -> list[Record]:
        return [self.done[run.id] for run in self.todo]

    def tell_spared(self) -> None:
        """Says how many updates were not made a second time."""
        if self.spared:
            self.report(f"shared trunks: {self.spared:,} updates were not made a second time.")

    def _tell(self, run: Run, *, latest: Status | None = None, record: Record | None = None) -> None:
        count = len(self.todo)
        self.report(Overall(count - len(self.left), count, sum(self.left.values()), run.describe(), latest, record))


def _settle(
    out: pathlib.Path,
    done: Mapping[str, Record],
    count: int,
    *,
    asked: int | None,
    updates: int,
    engine: engines.Engine = engines.LOCAL,
    **memory: int,
) -> tuple[int | None, list[str]]:
    """The cores of each run in a folder, as its first start settled them, and messages about what has changed since.

    Folders of version 0.1.0 have no machine.json: their records tell.
    """
    path, platform, lines = out / "machine.json", jax.default_backend(), list[str]()
    elsewhere = engine.name != "local"
    if elsewhere:
        platform = "gpu" if engine.gpus_per_run else "cpu"
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
            if cpus is None and elsewhere:
                cpus = 0 if engine.gpus_per_run else engine.cpus_per_run or 1
            elif cpus is None:
                cpus = workers.choose(asked=asked, left=count, updates=updates, **memory).cpus
            kept = {"platform": platform, "cpus": cpus, **begun_with}
            files.write_json(path, kept)
    if differ := identity.find_changes(kept, begun_with):
        lines.append(
            f"begun with other libraries or settings ({', '.join(differ)}): the last digits of the runs to come differ."
        )
    if engine.cpus_per_run and kept["cpus"] and engine.cpus_per_run != kept["cpus"]:
        raise ValueError(f"cpus_per_run must be {kept['cpus']} as of the runs in {out}, got {engine.cpus_per_run}.")
    here = max(kept["cpus"], 1) if elsewhere else workers.pinnable()
    if kept["platform"] != platform:
        was = f"on {kept['platform']}, resumed on {platform}"
    elif kept["cpus"] > here:
        was = f"with {kept['cpus']} cores a run, where now there are {here}"
    else:
        return kept["cpus"] or None, lines
    lines.append(f"begun {was}: the last digits of the runs to come differ from those of the same runs there.")
    return kept["cpus"] or None, lines
