"""One run of several that share a folder: claimed by the process that trains it, resumed, recorded once.

OUT/records.jsonl    a line a run
OUT/states/RUN/      its claim (locked while it is trained) and its newest states; gone once it is recorded
OUT/trunks/          states that runs share (`trunks`)
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Collection, Iterator

from lrsched import files
from lrsched.runs import records, resume, trunks
from lrsched.runs.report import Record, Status
from lrsched.runs.task import Run
from lrsched.training import snapshots


def ledger(out: pathlib.Path) -> pathlib.Path:
    """The file of the records."""
    return out / "records.jsonl"


def tidy(out: pathlib.Path, recorded: Collection[str]) -> None:
    """Removes the states of runs on record: a kill may have fallen between a record and the end of its states."""
    for folder in [path for path in records.states(out).glob("*") if path.name in recorded]:
        with _claim(folder) as claimed:
            if claimed:
                _remove(folder)


def is_free(out: pathlib.Path, run: str) -> bool:
    """Whether no process is training a run."""
    path = records.states(out) / run / "claim"
    if not path.exists():
        return True
    with _claim(path.parent) as claimed:
        return claimed


def train_claimed(run: Run, out: pathlib.Path, *, workers: int, place: int) -> Iterator[Status | str | Record | None]:
    """Trains a run from its newest state and records it; yields progress and messages, then its record.

    The record may be another process's, which has trained the run by now; None if one is training it, or is on its way
    to a state that it can start from.

    Args:
      workers: how many runs this process trains at once, for the record.
      place: of the run among those that were asked for, for the record: tables go by it.
    Raises:
      interrupts.Interrupted: if the process was asked to end, once the state is saved.
    """
    folder, path = records.states(out) / run.id, ledger(out)
    with _claim(folder) as claimed, contextlib.ExitStack() as stack:
        if not claimed:
            yield None
            return
        if there := records.find(path, run.id):
            _remove(folder)
            yield there
            return
        trunk = stack.enter_context(trunks.taken(run, out))
        if trunk is None:
            yield None
            return
        stores = list[snapshots.Store]()

        def open_store() -> snapshots.Store:
            if not stores:  # most runs are too short to need one
                stores.append(stack.enter_context(snapshots.open_store(folder)))
            return stores[0]

        due = resume.due_every(resume.SAVE_EVERY, run)
        for event in resume.train_saved(run, folder, open_store, due=due, trunk=trunk):
            if isinstance(event, dict):
                event["device"]["workers"], event["place"] = workers, place
                records.append(path, event)
                stack.close()
                _remove(folder)
            yield event


def _remove(folder: pathlib.Path) -> None:
    """Clears up after a run on record, as far as it goes: NFS keeps a file that is open, another process may look."""
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _claim(folder: pathlib.Path) -> Iterator[bool]:
    """Whether the run of a folder is this process's to train, inside the `with`; a claim ends with its process."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "claim"
        try:
            file = files.lock(path)
        except BlockingIOError:
            yield False
            return
        except FileNotFoundError:  # whoever had it has just removed the folder
            continue
        with file:
            if _is(file.fileno(), path):
                yield True
                return


def _is(descriptor: int, path: pathlib.Path) -> bool:
    """Whether an open file is still the one at a path: it may have been removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
