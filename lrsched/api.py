"""Training and checks from Python, with the same configurations as the command line; and runs on disk as values."""

from __future__ import annotations

import dataclasses
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrsched.analysis.check.verdict import Verdict
    from lrsched.commands import Outcome
    from lrsched.runs.folder import SavedRun
    from lrsched.schedules.core import Schedule


def train(*, report: Callable[[Any], None] | None = None, **settings: Any) -> dict[str, Any]:
    """Trains one run, as `lrsched train` does: saved as it goes, resumed if its folder holds a state.

    Args:
      report: called with messages and progress; None: nothing is reported.
      settings: fields of `lrsched.runs.config.RunConfig` (schedule, peak_value, budget, data, model ...) and of
        `lrsched.commands.train.TrainConfig` (out, keep, members, extend, branch ...).
    Returns:
      the run's record: configuration, errors, digests, provenance. Of several hosts the first has it, others {}.
    Raises:
      ValueError: with one line that says what is allowed, before anything is written.
      TypeError: for an unknown setting.
      OSError: if the folder cannot be written, or another process writes it.
    Example:
      `lrsched.train(schedule="rex", peak_value=0.1, max_epochs=1.0, out="runs/rex")`
    """
    from lrsched.commands import train as command
    from lrsched.runs.config import RunConfig

    names = {field.name for field in dataclasses.fields(RunConfig)}
    config = RunConfig(**{name: value for name, value in settings.items() if name in names})
    rest = {name: value for name, value in settings.items() if name not in names}
    rest = _with_lists(command.TrainConfig, rest)
    return dict(_run(command, command.TrainConfig(config=config, **rest), report).result or {})


def study(*, report: Callable[[Any], None] | None = None, **settings: Any) -> Outcome:
    """Trains schedules x budgets x peak values x seeds, as `lrsched study` does.

    A script that calls it with several workers needs `if __name__ == "__main__":`, as those are processes that import
    the script.

    Args:
      report: called with messages and progress; None: nothing is reported.
      settings: fields of `lrsched.commands.study.StudyConfig`; those beside `file` count more than what it says.
    Returns:
      `.result` (the records, in order; None of a dry run), `.text` (the table) and `.files`.
    Raises:
      ValueError: with one line that says what is allowed, before anything is written.
      TypeError: for an unknown setting.
      OSError: if the folder cannot be written, or another process writes it.
    Example:
      `lrsched.study(schedules=("rex", "linear"), budgets=("25%",), seeds=3, out="runs/two")`
    """
    from lrsched import parsing
    from lrsched.commands import study as command

    file = settings.get("file")
    words = [] if file is None else parsing.read_options(os.fspath(file), command.StudyConfig, settings.keys())
    base = parsing.parse(["study", *words]).config
    return _run(command, dataclasses.replace(base, **_with_lists(command.StudyConfig, settings)), report)


def check(rates: Any, schedule: Schedule, *, steps: Any = None, tolerance: float | None = None) -> Verdict:
    """Holds rates that a run logged against the schedule that it was meant to follow, as `lrsched check` does.

    Args:
      rates: as logged, one for each update or for each of `steps`.
      schedule: of this library.
      steps: the updates that the rates are of, counted from 0, ascending; None: all, from the first one on.
      tolerance: by how much rates may differ; None: 1e-6 of the highest, so rates that were rounded need one.
    Returns:
      `.agrees`, `.update` (the first that differs, or None), `.reasons` (each with `.kind` and `.text`, the likeliest
      first) and `.differences`.
    Raises:
      ValueError: for rates, steps or a schedule that are none.
      ModuleNotFoundError: without the extra `train`.
    Example:
      >>> schedule = cosine(0.1, total_steps=100)
      >>> check([float(schedule(k + 1)) for k in range(100)], schedule).reasons[0].text
      "early by one update, or the next update's rate is logged"
    """
    from lrsched.commands.check import hold

    return hold(rates, schedule, steps, tolerance)


def load_run(folder: str | os.PathLike[str], *, data_dir: str | None = None) -> SavedRun:
    """Opens a run on disk: `.config`, `.plan`, `.record`, `.rates`, `.members`, `.variables(step)`.

    Args:
      folder: of `lrsched train`.
      data_dir: folder of prepared data sets; None: TFDS_DATA_DIR, else TFDS's own.
    Raises:
      ValueError: if the folder holds no run.
    """
    from lrsched.runs import folder as folders

    return folders.load_run(folder, data_dir=data_dir)


def _with_lists(config: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in which one word, number or schedule stands for a list of it, as it does on the command line."""
    kinds = {field.name: str(field.type) for field in dataclasses.fields(config)}
    found = dict(settings)
    for name, value in settings.items():
        kind = kinds.get(name, "")
        if kind.startswith("tuple["):
            several = isinstance(value, Iterable) and not isinstance(value, str | Mapping)
            items = tuple(value) if several else (value,)
            words = kind == "tuple[str, ...]"
            found[name] = tuple(str(one) if words and isinstance(one, numbers.Real) else one for one in items)
    return found


def _run(command: Any, config: Any, report: Callable[[Any], None] | None) -> Outcome:
    from lrsched.runs.report import ignore

    return command.run(config, report or ignore)
