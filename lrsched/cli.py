"""The command line: it parses, shows progress, and says a mistake in one line (exit status 2)."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any

import rich.console
import rich.progress
import tyro

from lrsched import catalogue, folder, interrupts, sweep
from lrsched import ensemble as ensembles
from lrsched import search as searches
from lrsched import study as studies
from lrsched import tune as tuning
from lrsched.catalogue import Catalogue
from lrsched.ensemble import EnsembleConfig
from lrsched.folder import Train
from lrsched.search import SearchConfig
from lrsched.study import StudyConfig
from lrsched.sweep import RangeTestConfig
from lrsched.task import RunConfig
from lrsched.training import data as datasets
from lrsched.training import devices, prepare, prepared
from lrsched.tune import TuneConfig


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Prepares a data set for reading: downloads it, or takes it from files that are already there.

    Attributes:
      name: cifar10, cifar100, mnist, fashion_mnist, svhn_cropped or boston.
      data_dir: where to put it; None: TFDS_DATA_DIR, else TFDS's own folder.
      source: the original archive, or a folder of train/CLASS/IMAGE and test/CLASS/IMAGE, or torchvision's folder, or
        CIFAR's archive for Python, or .npz as Keras has it (of boston: housing.data, or a CSV of its 14 columns); None:
        download it.
    """

    name: tyro.conf.Positional[str]
    data_dir: str | None = None
    source: Annotated[str | None, tyro.conf.arg(name="from")] = None


@dataclasses.dataclass(frozen=True)
class List:
    """Lists the data sets and whether they can be read from the folder.

    Attributes:
      data_dir: folder of prepared data sets; None: TFDS_DATA_DIR, else TFDS's own folder.
    """

    data_dir: str | None = None


@dataclasses.dataclass(frozen=True)
class Data:
    """Data sets: what there is, and how to get it."""

    command: (
        Annotated[Prepare, tyro.conf.subcommand("prepare", prefix_name=False)]
        | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
    )


Command = (
    Annotated[Catalogue, tyro.conf.subcommand("schedules")]
    | Annotated[RangeTestConfig, tyro.conf.subcommand("range-test")]
    | Annotated[SearchConfig, tyro.conf.subcommand("search")]
    | Annotated[TuneConfig, tyro.conf.subcommand("tune")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[StudyConfig, tyro.conf.subcommand("study")]
    | Annotated[EnsembleConfig, tyro.conf.subcommand("ensemble")]
    | Annotated[Data, tyro.conf.subcommand("data")]
)


def main(arguments: list[str] | None = None) -> int:
    """The program `lrsched`.

    Returns:
      the exit status: 0, 2 after a mistake in the words (one line on standard error), 130 after Ctrl-C, 143 after
      SIGTERM.
    """
    with interrupts.handled():
        try:
            _run(_parse(sys.argv[1:] if arguments is None else arguments))
        except BrokenPipeError:  # as in: lrsched schedules | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (ValueError, OSError) as error:
            print(f"lrsched: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as end:
            print(f"lrsched: interrupted{f', {end}' if str(end) else ''}; the same command resumes.", file=sys.stderr)
            return interrupts.exit_status()
    return 0


def _run(command: Any) -> None:
    if isinstance(command, StudyConfig | SearchConfig | TuneConfig | RangeTestConfig | EnsembleConfig | Train):
        devices.prepare()
        devices.start()
    if isinstance(command, StudyConfig):
        _tell(followed(studies.study(command)))
    elif isinstance(command, SearchConfig):
        _tell(followed(searches.search(command)))
    elif isinstance(command, TuneConfig):
        _tell(followed(tuning.tune(command)))
    elif isinstance(command, RangeTestConfig):
        _tell(told(sweep.range_test(command)))
    elif isinstance(command, EnsembleConfig):
        _tell(told(ensembles.ensemble(command)))
    elif isinstance(command, Train):
        _train(command)
    elif isinstance(command, Catalogue):
        _schedules(command)
    elif isinstance(command.command, Prepare):
        asked = command.command
        print(prepare.prepare(asked.name, data_dir=asked.data_dir, source=asked.source))
    else:
        _list(command.command)


def _parse(words: list[str]) -> Any:
    """The command of these words; a mistake in their form becomes one line as well."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                Command,
                prog="lrsched",
                description="Learning-rate schedules compared under a budget.",
                args=words or ["--help"],
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if not end.code:
            raise
        boxed = [line.strip("│ ") for line in said.getvalue().splitlines() if line.startswith("│")]
        meant = boxed[: next((i for i, line in enumerate(boxed) if set(line) <= {"─"}), len(boxed))]
        raise ValueError(" ".join(meant) or said.getvalue()) from None


def _schedules(command: Catalogue) -> None:
    terminal = rich.console.Console()
    colour = terminal.is_terminal and not terminal.no_color
    print(catalogue.show(command, width=min(terminal.width, 120), colour=colour), flush=True)


def _list(command: List) -> None:
    root = datasets.data_folder(command.data_dir)
    for name in datasets.NAMES:
        try:
            found = datasets.load(name, data_dir=root)
            print(f"{name:14s} {found.version:8s} {prepared.numbers(name, len(found.train), len(found.test))}")
        except (ValueError, OSError) as error:
            print(f"{name:14s} {error}")


def followed(steps: Generator[Any, None, Any]) -> Any:
    """Makes many runs while their statuses are shown; what the generator returns."""
    with (_bar if rich.console.Console(stderr=True).is_terminal else _lines)() as show:
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                return end.value
            if isinstance(event, str):
                print(event, flush=True)
            else:
                show(event)


def told(steps: Generator[str, None, Any]) -> Any:
    """Prints a line at a time; what the generator returns."""
    while True:
        try:
            print(next(steps), flush=True)
        except StopIteration as end:
            return end.value


def _tell(outcome: Any) -> None:
    print(outcome.text)
    print("written:", *outcome.files, sep="\n  ")


def _train(command: Train, every_seconds: float = 10.0) -> None:
    """A line now and then, and one as the run ends."""
    said = -every_seconds
    steps = folder.begin(command)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            print(_summary(end.value), flush=True)
            return
        if isinstance(event, str):
            print(event, flush=True)
        elif time.perf_counter() - said >= every_seconds:
            said = time.perf_counter()
            loss, speed = f"loss {event.loss:.3f}", f"{event.images_per_second:.0f} images/s"
            print(f"  {event.completed}/{event.total_steps}  rate {event.rate:.4f}  {loss}  {speed}", flush=True)


class Pace:
    """How long the updates that are left will take, at the mean speed since the first one that was seen."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.left = self.made = 0

    def now(self, status: studies.Status) -> str:
        """Rate, loss, images/s and the time left, of a status within a run."""
        assert status.run is not None
        if self.began is None:
            self.began, self.left = time.perf_counter(), status.updates_left
        self.made += max(self.left - status.updates_left, 0)
        self.left = status.updates_left
        run, spent = status.run, time.perf_counter() - self.began
        left = f"{self.left * spent / self.made / 60:.1f} min left" if self.made else ""
        return f"rate {run.rate:.4f}  loss {run.loss:.3f}  {run.images_per_second:.0f} images/s  {left}".rstrip()


@contextlib.contextmanager
def _lines(every_seconds: float = 30.0) -> Iterator[Callable[[studies.Status], None]]:
    """For a pipe or a file: a line as each run ends, and in long ones a line now and then."""
    pace, said = Pace(), time.perf_counter()

    def show(status: studies.Status) -> None:
        nonlocal said
        if status.record is not None:
            part = "holdout" if status.config.holdout_fraction else "test"  # what choices are made on
            print(f"[{status.completed}/{status.total}] {_summary(status.record, part)}", flush=True)
        elif status.run is not None:
            now = pace.now(status)
            if time.perf_counter() - said < every_seconds:
                return
            print(f"  {_name(status.config)}: {status.run.completed}/{status.run.total_steps}  {now}", flush=True)
        said = time.perf_counter()

    yield show


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[studies.Status], None]]:
    """For a terminal: a bar over the runs, with the rate, loss and speed of the one in progress and the time left."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=20),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[now]}"),
    )
    pace = Pace()
    with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("study", total=None, now="")

        def show(status: studies.Status) -> None:
            now = f"{_name(status.config)}  {pace.now(status)}" if status.run is not None else ""
            bar.update(task, total=status.total, completed=status.completed, now=now)

        yield show


def _name(config: RunConfig) -> str:
    return f"{config.schedule} at {config.budget}, rate {config.peak_value:g}, seed {config.seed}"


def _summary(record: dict[str, Any], part: str = "test") -> str:
    config = record["config"]
    if record["diverged_at"] is None:
        end = f"{part.replace('holdout', 'held-out')} error {100 * record[f'{part}_error']:.2f} %"
    else:
        end = f"diverged at update {record['diverged_at']}"
    run = f"{record['label']} at {config['budget']}, rate {config['peak_value']:g}, seed {record['seed']}"
    return f"{run}: {end}, {record['seconds']:.1f} s, {record['images_per_second']:.0f} images/s"


if __name__ == "__main__":
    sys.exit(main())
