"""A run that is saved as it goes and resumed from its newest state."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any, NamedTuple

from lrsched.runs import identity, interrupts
from lrsched.runs.report import Record, Status
from lrsched.runs.run import Log, Point, train
from lrsched.runs.task import Run
from lrsched.runs.trunks import Trunk
from lrsched.schedules import durations
from lrsched.training import hosts, snapshots

SAVE_EVERY = "2min"
_ALONE = Trunk()  # shares nothing with other runs


def train_saved(
    run: Run,
    folder: pathlib.Path,
    open_store: Callable[[], snapshots.Store],
    *,
    due: Callable[[int], bool],
    keep: Collection[int] = (),
    read_fork: Callable[[], Point] | None = None,
    take: Callable[[Point], None] = lambda point: None,
    trunk: Trunk = _ALONE,
) -> Iterator[Status | str | Record]:
    """`train` from the newest state in a folder, saving states there; yields progress and messages, then the record.

    Args:
      folder: where states are, if there are any.
      open_store: gives the folder's store; called only if there is a state to read or to write.
      due: whether a state is due after so many updates.
      keep: updates after which a state is due as well. The last update is none of them by itself.
      read_fork: reads the point at which this run was forked from another; used if there is no state.
      take: is given each point before its state is saved.
      trunk: what the run shares with others: it starts from the furthest state there if it has none of its own, and
        leaves those that are missing.
    Raises:
      ValueError: if a state is of another run.
      interrupts.Interrupted: if the process was asked to end, once the state is saved.
    """
    belongs_to = identity.identify(run)
    start = yield from _find_start(run, folder, open_store, belongs_to, read_fork, trunk)
    begun, asked = time.perf_counter(), False

    def stops(completed: int) -> bool:
        nonlocal asked
        asked = hosts.agree(interrupts.asked(), completed)
        return completed in keep or completed in trunk.folders or due(completed) or asked

    for event in train(run, start=start.point, stops=stops):
        if isinstance(event, dict):
            seconds = round(start.seconds + event["seconds"], 3)
            shared = {"trunk": start.trunk} if start.trunk else {}
            yield event | {"seconds": seconds, "resumed_at": start.resumed, "changes": start.changes, **shared}
        elif isinstance(event, Status):
            yield event
        else:
            take(event)
            facts = {**start.facts(event.log, time.perf_counter() - begun), "identity": belongs_to}
            step = event.log.completed
            if step == run.total_steps and not hosts.several():
                asked = interrupts.asked()  # nobody has looked after the last update
            if step in trunk.folders:
                trunk.leave(step, event.state, facts)
            elif hosts.is_first() and (step < run.total_steps or step in keep or asked):
                open_store().save(step, event.state, facts, wait=asked)
            if asked:
                raise interrupts.Interrupted(f"saved after update {step} of {run.total_steps}")


def _find_start(
    run: Run,
    folder: pathlib.Path,
    open_store: Callable[[], snapshots.Store],
    belongs_to: dict[str, Any],
    read_fork: Callable[[], Point] | None,
    trunk: Trunk,
) -> Generator[str, None, _Start]:
    """Where a run starts: its own newest state, the point it was forked at, what it shares, or the first update."""
    first = _Start(None, [], [], 0.0)
    saved, lines = _newest(run, folder, open_store)
    yield from lines
    shared = None
    if trunk.folders:
        shared = trunk.read(run.initial_state(), belongs_to, after=saved.step if saved else None)
    if shared and shared.facts["identity"]["run"] == run.id:
        saved = shared  # it ended where others begin
    if saved is not None:
        identity.check_state(saved, belongs_to, folder)
        yield f"resuming after update {saved.step} of {run.total_steps}."
        return _Start.at(saved, belongs_to)
    if read_fork is not None and run.origin is not None:
        yield f"{run.origin.verb} of run {run.origin.run}: its {run.origin.step} updates are not made again."
        return first._replace(point=read_fork())
    if shared is None:
        return first
    maker = shared.facts["identity"]["run"]
    return first._replace(point=Point(shared.tree, log_of(shared.facts)), trunk={"run": maker, "step": shared.step})


def _newest(
    run: Run, folder: pathlib.Path, open_store: Callable[[], snapshots.Store]
) -> tuple[snapshots.Saved | None, list[str]]:
    """The newest state, and messages; where several processes share the run, the first one's choice."""
    saved, lines = None, list[str]()
    if hosts.is_first() and snapshots.steps(folder):
        saved, lines = open_store().newest(run.initial_state())
    step = hosts.share(saved.step if saved else 0)
    if step and saved is None:
        saved = snapshots.load(folder, step, run.initial_state())
    return saved, lines


class _Start(NamedTuple):
    """Where this start of a run resumes, and the history of earlier starts."""

    point: Point | None
    resumed: list[int]  # updates made at each start that found a state
    changes: list[str]  # of libraries and machine between them
    seconds: float  # spent by them
    trunk: dict[str, Any] | None = None  # the run whose updates were not made again, and how many

    @classmethod
    def at(cls, saved: snapshots.Saved, belongs_to: dict[str, Any]) -> _Start:
        facts = saved.facts
        changes = [*facts.get("changes", []), *identity.find_changes(facts["identity"], belongs_to)]
        point, resumed = Point(saved.tree, log_of(facts)), [*facts["resumed_at"], saved.step]
        return cls(point, resumed, changes, facts["seconds"], facts.get("trunk"))

    def facts(self, log: Log, seconds: float) -> dict[str, Any]:
        """What is saved beside a state, so many seconds after the start."""
        shared = {"trunk": self.trunk} if self.trunk else {}
        spent = {"seconds": self.seconds + seconds}
        return {"log": log._asdict(), "resumed_at": self.resumed, "changes": self.changes, **spent, **shared}


def log_of(facts: dict[str, Any]) -> Log:
    """The log that was saved beside a state."""
    log = facts["log"]
    evaluations = tuple(tuple(one) for one in log.get("evaluations", ()))
    return Log(**{**log, "losses": tuple(log["losses"]), "evaluations": evaluations})


def sizes(run: Run) -> dict[str, Any]:
    """The whole of a run's plan, an epoch and an update, for `durations.steps`."""
    return {
        "total_steps": run.plan.total_steps,
        "steps_per_epoch": run.task.steps_per_epoch,
        "batch_size": run.task.batch_size,
    }


def due_every(interval: str, run: Run) -> Callable[[int], bool]:
    """Whether a state is due after so many updates, given the interval between two."""
    seconds = durations.seconds(interval, name="save_every")
    if seconds is None:
        also = ("seconds (90s)", "minutes (2min)")
        every = durations.steps(interval, name="save_every", also=also, **sizes(run))
        return lambda completed: completed % every == 0
    last = time.perf_counter()

    def due(completed: int) -> bool:
        nonlocal last
        now = time.perf_counter()
        if not hosts.agree(now - last >= seconds, completed):
            return False
        last = now
        return True

    return due
