"""What runs share: updates at the same rates and momenta, made once, and the state there left for all that go on.

Runs of one task, seed and optimiser whose rates and momenta are equal up to update k, bit for bit, are one run up to k.
Where such runs part lies a junction, whose name says all that decides the updates before it:

OUT/trunks/STEP-HASH/runs/RUN      the runs that pass it, as empty files; once all are recorded the junction is removed
OUT/trunks/STEP-HASH/claim         locked by the run on its way there
OUT/trunks/STEP-HASH/resume/STEP   the state, once a run has come by

Whichever run comes first makes the updates, the others wait for it. Should a state be missing or of no use, a run makes
all of its updates itself, and comes to the same bits.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched import files
from lrsched.runs import identity, interrupts, records
from lrsched.runs.run import values
from lrsched.runs.task import Run
from lrsched.schedules.plans import Plan
from lrsched.training import snapshots
from lrsched.training.train import State

WORTH_IT = 20  # updates: to write and read a state takes about as long as these of a small network
_PATIENCE, _BETWEEN_LOOKS = 300.0, 0.2  # seconds that a run waits for a state another one is on its way to
_BY_NUMBERS = frozenset({"schedule", "peak_value", "momentum", "budget", "max_epochs"})  # rates and momenta alone


class Junction(NamedTuple):
    """Where runs part.

    Attributes:
      step: updates made when they do.
      since: updates made at the junction before, or 0.
      name: of its folder.
      runs: ids of the runs that pass it.
    """

    step: int
    since: int
    name: str
    runs: tuple[str, ...]

    @property
    def spared(self) -> int:
        """Updates that need not be made again."""
        return (self.step - self.since) * (len(self.runs) - 1)


def find(runs: Sequence[Run]) -> list[Junction]:
    """The junctions of runs, each at least WORTH_IT updates behind the one before it. A run's last update is its own.

    Their `spared`, added up, is what sharing saves.
    """
    tables = dict[str, np.ndarray]()  # by plan, which the runs of other seeds have as well
    groups = collections.defaultdict[str, dict[str, str]](dict)
    for run in runs:
        if run.origin is None:
            plan = f"{run.plan.digest()} {run.task.batch_size}"
            if plan not in tables:
                tables[plan] = _numbers(run.plan)
            groups[_common(run, tables[plan])][run.id] = plan
    found, parted = list[Junction](), dict[tuple[str, ...], list[tuple[int, int, list[int]]]]()
    for common, group in groups.items():
        ids, plans = list(group), tuple(group.values())
        if plans not in parted:
            parted[plans] = partings([tables[plan] for plan in plans])
        for since, step, places in parted[plans]:
            name = _name(common, step, tables[plans[places[0]]])
            found.append(Junction(step, since, name, tuple(ids[place] for place in places)))
    return found


def announce(junctions: Iterable[Junction], out: pathlib.Path) -> None:
    """Makes the folders of junctions, by which runs know that others pass there."""
    for junction in junctions:
        todo = list(junction.runs)
        while todo:
            passing = out / "trunks" / junction.name / "runs"
            passing.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process has tidied it, which no run passed
                (passing / todo[-1]).touch()
                todo.pop()


def withdraw(runs: Iterable[str], out: pathlib.Path) -> None:
    """Takes runs off all junctions: each will make its own updates."""
    for run in runs:
        for folder in _passed(run, out).values():
            (folder / "runs" / run).unlink(missing_ok=True)


def tidy(out: pathlib.Path, recorded: Collection[str], *, run: str | None = None) -> None:
    """Removes the junctions whose runs are all on record.

    Args:
      run: only those that this run passes; None: all.
    """
    folders = (out / "trunks").glob("*-*") if run is None else _passed(run, out).values()
    for folder in list(folders):
        if all(name in recorded for name in _marks(folder)):
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # others are left, or it is gone
        (out / "trunks").rmdir()


def sort(runs: Mapping[int, Run], junctions: Sequence[Junction]) -> dict[int, Run]:
    """Runs in an order for several workers: at first one that passes a junction, later those that wait for it there."""
    passing = collections.defaultdict[str, set[str]](set)
    for junction in junctions:
        for each in junction.runs:
            passing[each].add(junction.name)
    begun, later = set[str](), set[int]()
    for place, run in runs.items():
        if begun & passing[run.id]:
            later.add(place)
        begun |= passing[run.id]
    return dict(sorted(runs.items(), key=lambda item: item[0] in later))


def ready(runs: Mapping[int, Run], out: pathlib.Path) -> dict[int, Run]:
    """Those runs of which no other run is on its way to a state that they can start from."""
    passed = collections.defaultdict[str, dict[int, pathlib.Path]](dict)
    for folder in (out / "trunks").glob("*-*"):  # once for all of them
        for name in _marks(folder):
            passed[name][_step(folder)] = folder
    found = {}
    for place, run in runs.items():
        with _claimed(run.id, dict(sorted(passed[run.id].items())), out) as free:
            if free:
                found[place] = run
    return found


@dataclasses.dataclass(frozen=True)
class Trunk:
    """The junctions that a run passes, by their steps."""

    folders: Mapping[int, pathlib.Path] = dataclasses.field(default_factory=dict)

    def read(self, like: State, belongs_to: Mapping[str, Any], *, after: int | None = None) -> snapshots.Saved | None:
        """The furthest state that another run has left, or this one; None if there is none that can be used.

        A state that another made by other code, or with other libraries or cores, is not the one that this run would
        come to.

        Args:
          belongs_to: identity of the run.
          after: update of the run's own newest state, if it has one: only what this run left later is read.
        """
        for step, folder in sorted(self.folders.items(), reverse=True):
            if step > (after or 0) and step in snapshots.steps(folder):
                with contextlib.suppress(ValueError, OSError):  # damaged, or out of reach
                    saved = snapshots.load(folder, step, like)
                    made = saved.facts["identity"]
                    if made["run"] == belongs_to["run"]:
                        return saved
                    if after is None and not identity.find_changes(made, belongs_to):
                        return saved
        return None

    def leave(self, step: int, state: State, facts: Mapping[str, Any]) -> None:
        """Leaves the state at a junction; on disk when this returns."""
        with contextlib.suppress(BlockingIOError), snapshots.open_store(self.folders[step], latest=1) as store:
            store.save(step, state, facts, wait=True)


@contextlib.contextmanager
def taken(run: Run, out: pathlib.Path) -> Iterator[Trunk | None]:
    """The trunk of a run, which inside the `with` is the one on its way to the states that are missing.

    While another run is on its way to one of them, this one waits; if that takes long, or the process is asked to end,
    there is None. Who waits has claimed nothing, so no two runs wait for each other.
    """
    until, folders = time.monotonic() + _PATIENCE, _passed(run.id, out)
    while True:
        with _claimed(run.id, folders, out) as free:
            if free:
                yield Trunk(_checked(run, folders))
                return
        if interrupts.asked() or time.monotonic() > until:
            yield None
            return
        time.sleep(_BETWEEN_LOOKS)


def _checked(run: Run, folders: Mapping[int, pathlib.Path]) -> dict[int, pathlib.Path]:
    """Those junctions whose names say what this run does, as it is computed here."""
    if not folders:
        return {}
    numbers = _numbers(run.plan)
    common = _common(run, numbers)
    return {step: folder for step, folder in folders.items() if folder.name == _name(common, step, numbers)}


@contextlib.contextmanager
def _claimed(run: str, folders: Mapping[int, pathlib.Path], out: pathlib.Path) -> Iterator[bool]:
    """Claims the junctions that a run passes and that have no state; whether no other run claims one of them.

    From the first on: runs that have one junction in common have all before it in common, and so one of them gets all.
    """
    had = max(snapshots.steps(records.states(out) / run), default=0) if folders else 0
    with contextlib.ExitStack() as stack:
        for step, folder in folders.items():
            if step > had and step not in snapshots.steps(folder):
                try:
                    stack.enter_context(files.lock(folder / "claim"))
                except FileNotFoundError:  # another process has recorded the last of its runs
                    continue
                except BlockingIOError:
                    stack.close()
                    yield False
                    return
        yield True


def _passed(run: str, out: pathlib.Path) -> dict[int, pathlib.Path]:
    """The folders of the junctions that a run passes, by their steps, in order."""
    passed = [folder for folder in (out / "trunks").glob("*-*") if (folder / "runs" / run).exists()]
    return dict(sorted((_step(folder), folder) for folder in passed))


def _marks(folder: pathlib.Path) -> list[str]:
    """The runs that pass a junction; none if another process has just removed it."""
    try:
        return os.listdir(folder / "runs")
    except FileNotFoundError:
        return []


def _step(folder: pathlib.Path) -> int:
    return int(folder.name.partition("-")[0])


def _common(run: Run, numbers: np.ndarray) -> str:
    """A hash over what decides an update beside its rate and momentum, and over what its record says of the log there.

    The audit of applied rates allows for the highest one of the run.
    """
    config = {name: value for name, value in run.config.as_json().items() if name not in _BY_NUMBERS}
    foreign = {name: value for name, value in (run.foreign or {}).items() if name != "schedule"}
    facts = {
        "config": config,
        "data_digest": run.task.data.digest,
        "devices": len(run.task.devices),
        "foreign": foreign,
        "evaluate_every": run.evaluate_every,
        "highest": [float(each).hex() for each in np.abs(numbers[:, 2:]).max(axis=0)],
    }
    return records.fingerprint(facts)


def _name(common: str, step: int, numbers: np.ndarray) -> str:
    digest = hashlib.sha256(common.encode() + numbers[:step].tobytes()).hexdigest()
    return f"{step}-{digest[:16]}"


def _numbers(plan: Plan) -> np.ndarray:
    """Of each update the rate and momentum as JAX computes them, and as the float64 tables have them: [steps, 4]."""
    steps = plan.total_steps
    applied = [values(each, steps) for each in (plan.lr, plan.momentum)]
    return np.stack([*applied, plan.lr.table(), plan.momentum.table()], axis=1, dtype=np.float64)


def partings(tables: Sequence[np.ndarray]) -> list[tuple[int, int, list[int]]]:
    """(rows since the parting before, rows in common, places of the tables) wherever some of the tables part.

    Args:
      tables: float64 [rows, columns]; the last row of each is nobody else's. Rows are compared bit for bit.
    """
    bits = [table.view(np.uint64) for table in tables]
    found, todo = [], [(0, 0, list(range(len(tables))))]
    while todo:
        at, since, members = todo.pop()
        if len(members) < 2:
            continue
        end = min(len(bits[place]) for place in members) - 1
        first = bits[members[0]]
        step = min(at + _alike(first[at:end], bits[place][at:end]) for place in members[1:])
        if step - since >= WORTH_IT:
            found.append((since, step, members))
            since = step
        branches = collections.defaultdict[bytes, list[int]](list)
        for place in members:
            if len(bits[place]) - 1 > step:
                branches[bits[place][step].tobytes()].append(place)
        todo += [(step, since, branch) for branch in branches.values()]
    return found


def _alike(first: np.ndarray, second: np.ndarray) -> int:
    """How many rows from the first on are equal."""
    differ = (first != second).any(axis=1)
    return int(differ.argmax()) if differ.any() else len(first)
