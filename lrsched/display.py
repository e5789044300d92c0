"""What a command shows while it works: a bar on a terminal, a line now and then in a pipe or a file."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import rich.console
import rich.progress
import rich.table

from lrsched.runs.report import Overall, Report, Status, describe

Event = str | Status | Overall


@contextlib.contextmanager
def progress(name: str) -> Iterator[Report]:
    """A report that shows progress under the command's name until the `with` ends."""
    console = rich.console.Console(stderr=True)
    with _bar(name, console) if console.is_terminal and not console.is_dumb_terminal else _lines() as show:
        yield show


class Pace:
    """How long what is left will take, at the mean speed since it was first asked."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.left = self.made = 0

    def time_left(self, left: int) -> str:
        """As text, for so many updates or runs that are left; "" before the first one is made."""
        if self.began is None:
            self.began, self.left = time.perf_counter(), left
        self.made += max(self.left - left, 0)
        self.left = left
        if not self.made:
            return ""
        seconds = left * (time.perf_counter() - self.began) / self.made
        for size, unit in (3600, "h"), (60, "min"):
            if seconds >= size:
                return f"{seconds / size:.1f} {unit} left"
        return f"{seconds:.0f} s left"


@contextlib.contextmanager
def _lines(every_seconds: float = 30.0) -> Iterator[Report]:
    """For a pipe or a file: a line as each run ends, and in long ones a line now and then."""
    pace, said = Pace(), time.perf_counter()

    def show(event: Event) -> None:
        nonlocal said
        if isinstance(event, str):
            print(event, flush=True)
            return
        if isinstance(event, Overall) and event.record is not None:
            print(f"[{event.completed}/{event.total}] {_ended(event)}", flush=True)
            said = time.perf_counter()
        run, left = _running(event)
        if run is None:
            return
        now = f"{_speed(run)}  {pace.time_left(left)}".rstrip()
        if time.perf_counter() - said >= every_seconds:
            name = "" if isinstance(event, Status) else f"{event.run}: "
            print(f"  {name}{run.completed}/{run.total_steps}  {now}", flush=True)
            said = time.perf_counter()

    yield show


@contextlib.contextmanager
def _bar(name: str, console: rich.console.Console) -> Iterator[Report]:
    """For a terminal: a bar, its count and the time left, then as much of the latest progress as there is room for.

    Lines, and runs that diverged, stand above the bar.
    """
    whole: dict[str, Any] = {"table_column": rich.table.Column(no_wrap=True)}
    cut = rich.table.Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        rich.progress.TextColumn("{task.description}", markup=False, **whole),
        rich.progress.BarColumn(bar_width=12),
        rich.progress.MofNCompleteColumn(**whole),
        rich.progress.TextColumn("{task.fields[left]}", markup=False, **whole),
        rich.progress.TextColumn("{task.fields[now]}", markup=False, table_column=cut),
    )
    updates, counted = Pace(), Pace()
    how: dict[str, Any] = {"console": console, "transient": True, "expand": True, "redirect_stdout": False}
    bar = rich.progress.Progress(*columns, **how)
    task = bar.add_task(name, total=None, left="", now="compiling")
    try:

        def say(line: str) -> None:
            if sys.stdout.isatty():
                console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
            else:
                print(line, flush=True)

        def show(event: Event) -> None:
            bar.start()  # with the first event: what is done at once shows no bar
            if isinstance(event, str):
                say(event)
                if found := re.match(r"\[(\d+)/(\d+)\] ", event):
                    done, total = int(found[1]), int(found[2])
                    bar.update(task, total=total, completed=done, left=counted.time_left(total - done))
                return
            run, left = _running(event)
            fields: dict[str, Any] = {} if run is None else {"left": updates.time_left(left)}
            if isinstance(event, Status):
                bar.update(task, total=event.total_steps, completed=event.completed, now=_speed(event), **fields)
                return
            if event.record is not None and event.record["diverged_at"] is not None:
                say(_ended(event))
            now = "compiling" if run is None else f"{event.run}  {_speed(run)}"
            bar.update(task, total=event.total, completed=event.completed, now=now, **fields)

        yield show
    finally:
        bar.stop()


def _running(event: Overall | Status) -> tuple[Status | None, int]:
    """The run in progress, and how many updates are left: of it, or of the whole study."""
    if isinstance(event, Status):
        return event, event.total_steps - event.completed
    return event.latest, event.updates_left


def _ended(status: Overall) -> str:
    assert status.record is not None
    return describe(
        status.record, "holdout" if status.record["config"]["holdout_fraction"] else "test"
    )  # what choices are made on


def _speed(run: Status) -> str:
    return f"rate {run.rate:.4f}  loss {run.loss:.3f}  {run.images_per_second:.0f} images/s"
