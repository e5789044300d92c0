"""Live tracking: what a report is told goes to TensorBoard, Weights & Biases or MLflow as well.

A tracker is a function that opens a run by its name; a run is written to and closed. Each is an extra.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from lrsched.runs.report import Overall, Record, Report, Status

Name = Literal["tensorboard", "wandb", "mlflow"]


class Writer(NamedTuple):
    """An open run: `write(values, step)` takes numbers by name, `close(config, summary)` ends it."""

    write: Callable[[Mapping[str, float], int], Any]
    close: Callable[[Mapping[str, Any], Mapping[str, float]], Any]


Tracker = Callable[[str], Writer]  # opens a run by its name


def tensorboard(out: pathlib.Path) -> Tracker:
    """Events in OUT/tensorboard/RUN: `tensorboard --logdir OUT/tensorboard` shows them."""
    import tensorboardX

    def open_run(name: str) -> Writer:
        events = tensorboardX.SummaryWriter(str(out / "tensorboard" / re.sub(r"[^\w.=@+-]+", "_", name)))

        def write(values: Mapping[str, float], step: int) -> None:
            for key, value in values.items():
                events.add_scalar(key, value, step)

        def close(config: Mapping[str, Any], summary: Mapping[str, float]) -> None:
            events.add_text("config", "\n".join(f"    {key}: {value}" for key, value in config.items()))
            for key, value in summary.items():
                events.add_scalar(f"final/{key}", value)
            events.close()

        return Writer(write, close)

    return open_run


def wandb(out: pathlib.Path) -> Tracker:
    """Runs of the project that is called like the folder. WANDB_MODE=offline keeps them in OUT/wandb."""
    import wandb as library

    def open_run(name: str) -> Writer:
        run = library.init(project=out.name, name=name, dir=str(out), reinit="create_new")
        run.define_metric("*", step_metric="update")  # its own steps may not go back, and errors on the way come last

        def close(config: Mapping[str, Any], summary: Mapping[str, float]) -> None:
            run.config.update(dict(config))
            run.summary.update(dict(summary))
            run.finish()

        return Writer(lambda values, step: run.log({**values, "update": step}), close)

    return open_run


def mlflow(out: pathlib.Path) -> Tracker:
    """Runs of the experiment that is called like the folder, on the server that MLFLOW_TRACKING_URI names."""
    from mlflow import MlflowClient

    client = MlflowClient()
    there = client.get_experiment_by_name(out.name)
    experiment = there.experiment_id if there else client.create_experiment(out.name)

    def open_run(name: str) -> Writer:
        run = client.create_run(experiment, run_name=name).info.run_id

        def write(values: Mapping[str, float], step: int) -> None:
            for key, value in values.items():
                client.log_metric(run, key, value, step=step)

        def close(config: Mapping[str, Any], summary: Mapping[str, float]) -> None:
            for key, value in config.items():
                client.log_param(run, key, value)
            write(summary, 0)
            client.set_terminated(run)

        return Writer(write, close)

    return open_run


TRACKERS: dict[str, Callable[[pathlib.Path], Tracker]] = {"tensorboard": tensorboard, "wandb": wandb, "mlflow": mlflow}


@contextlib.contextmanager
def tracked(report: Report, name: Name | None, out: pathlib.Path) -> Iterator[Callable[[Any], None]]:
    """A report that tells a tracker, too, inside the `with`; None: the same report.

    Each run that is made now is a run there, with its rate, loss and speed, the errors on the way and those at the end,
    and its configuration. Runs that were on record before are not told again. A record by itself ends the run of the
    folder, and goes to the tracker alone.

    Raises:
      ValueError: before anything is told, if the tracker cannot be reached. Where it fails later, a message says so and
        it is told no more.
    """
    if name is None:
        yield report
        return
    begun = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        open_run = TRACKERS[name](out)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # each has its own
        raise ValueError(f"track must be a tracker that can be reached, got {name}: {_line(error)}") from None
    writers: dict[str, Writer] = {}

    def writer(run: str) -> Writer:
        if run not in writers:
            writers[run] = open_run(run)
        return writers[run]

    def tell(run: str, status: Status | None, record: Record | None) -> None:
        if status is not None:
            values = {"rate": status.rate, "loss": status.loss, "images_per_second": status.images_per_second}
            writer(run).write(values, status.completed)
        if record is not None and record["finished"] >= begun:
            _end(writer(run), record)
            del writers[run]

    failed = False

    def show(event: str | Status | Overall | Record) -> None:
        nonlocal failed
        if not isinstance(event, dict):
            report(event)
        if not failed:
            try:
                tell(*_read(event, out.name))
            except Exception as error:  # training goes on without it
                failed = True
                report(f"track: {name} is told no more: {_line(error)}")

    try:
        yield show
    finally:
        with contextlib.suppress(Exception):
            for left in writers.values():
                left.close({}, {})


def _read(event: str | Status | Overall | Record, name: str) -> tuple[str, Status | None, Record | None]:
    """The run that an event is of, how far it is, and its record."""
    if isinstance(event, Overall):
        return event.run, event.latest, event.record
    return name, event if isinstance(event, Status) else None, event if isinstance(event, dict) else None


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _end(writer: Writer, record: Record) -> None:
    """Writes what a record has beyond the progress."""
    on_the_way = record.get("evaluations", {})
    for step, error in zip(on_the_way.get("steps", ()), on_the_way.get("errors", ()), strict=True):
        if error is not None:
            writer.write({f"{on_the_way['split']}_error": error}, step)
    measured = ("test_error", "test_loss", "holdout_error", "holdout_loss", "train_loss", "seconds")
    summary = {name: record[name] for name in measured if record.get(name) is not None}
    writer.close({**record["config"], "run": record["run"], "diverged_at": record["diverged_at"]}, summary)
