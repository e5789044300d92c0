"""Rate, weight decay and momentum at once, by Optuna's samplers side by side: grid, random, TPE."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lrsched import files
from lrsched.analysis.search import figures, table
from lrsched.analysis.search.table import Found
from lrsched.commands import Outcome
from lrsched.runs import many, workers
from lrsched.runs.config import SHORT, RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.report import Record, Report, ignore
from lrsched.runs.task import Run, resolve
from lrsched.training import devices, provenance

Sampler = Literal["grid", "random", "tpe"]
Space = tuple[float, float]
Point = Mapping[str, float]  # axis -> value


@dataclasses.dataclass(frozen=True)
class TuneConfig:
    """Optuna's samplers side by side: each makes as many trials, which are short runs; its best one is run again.

    What a trial draws depends on its number alone, and with TPE on the errors of the trials before it. So a search that
    was cut off draws the same trials again, and those on record are not trained twice. Several processes may share a
    folder.

    Example: lrsched tune --data digits --trials 27

    Attributes:
      config: of the runs. Its peak_value is what `rates` multiplies; its seed is that of the trials.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      samplers: grid (as many points to a side as the trials allow), random, tpe (Optuna's default).
      trials: of each sampler.
      rates: lowest and highest multiple of peak_value; searched in its logarithm.
      weight_decays: lowest and highest, above 0; searched in its logarithm.
      momenta: lowest and highest, below 1; constant through a run.
      runs_each: runs of each sampler's best, with seeds that no trial had: the best of many trials was partly lucky.
      workers: as in lrsched study. TPE's trials are made one after another.
      out: folder of records, table and figure; None: runs/tune-DATA-MODEL.
    """

    config: RunConfig = SHORT
    data_dir: str | None = None
    samplers: tuple[Sampler, ...] = ("grid", "random", "tpe")
    trials: int = 27
    rates: Space = (0.1, 100.0)
    weight_decays: Space = (1e-5, 1e-2)
    momenta: Space = (0.8, 0.98)
    runs_each: int = 3
    workers: int | None = None
    out: str | None = None


def _check(config: TuneConfig) -> Run:
    """The run in the middle of the search.

    Raises:
      ValueError: for anything that cannot be searched, and if Optuna is not installed.
    """
    if not config.samplers or len(set(config.samplers)) < len(config.samplers):
        raise ValueError(f"samplers must differ and name at least one, got {', '.join(config.samplers) or 'none'}.")
    for name, least in {"trials": 1, "runs_each": 1}.items():
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(config, name)}.")
    if len(config.samplers) * (config.trials + config.runs_each) > many.MOST_RUNS:
        count = len(config.samplers) * (config.trials + config.runs_each)
        raise ValueError(f"trials and runs_each must come to at most {many.MOST_RUNS:,} runs, got {count:,}.")
    for name, top in {"rates": math.inf, "weight_decays": math.inf, "momenta": 0.99995}.items():
        low, high = getattr(config, name)
        if not 0 < low < high < top:
            raise ValueError(f"{name} must be two numbers, 0 < low < high < {top:g}, got {low:g} and {high:g}.")
    for name, searched in {"weight_decay": "weight_decays", "momentum": "momenta"}.items():
        if (given := getattr(config.config, name)) != getattr(SHORT, name):
            raise ValueError(f"{name} must be left out, {searched} are searched instead, got {given}.")
    if not config.config.holdout_fraction:
        raise ValueError("holdout_fraction must be above 0: trials are compared on held-out data, got 0.")
    workers.choose(asked=config.workers, left=1, updates=0)  # says what is wrong with the number
    try:
        import optuna
    except ImportError:
        raise ValueError("tune needs Optuna, which is not installed: pip install 'lrsched[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not (math.isfinite(config.config.peak_value) and config.config.peak_value > 0):
        raise ValueError(f"peak_value must be above 0: rates are multiples of it, got {config.config.peak_value:g}.")
    return resolve(config.config, data_dir=config.data_dir)


def run(config: TuneConfig, report: Report = ignore) -> Outcome:
    """Makes the trials that are left, runs each sampler's best again, then writes the table and the figure.

    Raises:
      ValueError: before anything is written, for arguments that cannot be followed; later, if no trial trains.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    devices.prepare()
    devices.start()
    beginning, middle = Beginning(), _check(config)
    out = files.out_folder(config.out, f"runs/tune-{config.config.data}-{config.config.model}")
    updates = len(config.samplers) * (config.trials + config.runs_each) * middle.total_steps

    def train(todo: Sequence[RunConfig]) -> list[Record]:
        """The records of these runs, which share their folder with those of all trials."""
        resolved = many.resolve_all(todo, data_dir=config.data_dir, count=config.workers)
        return many.train_all(resolved, out, count=config.workers, report=report, updates=updates)

    found = []
    for sampler in config.samplers:
        values, best = _sample(config, sampler, train, report)
        again = [dataclasses.replace(best, seed=config.config.seed + 1 + i) for i in range(config.runs_each)]
        records = train(again)
        setting = {"rate": best.peak_value, "weight decay": best.weight_decay, "momentum": float(best.momentum or 0)}
        errors = {name: {r["seed"]: r[f"{name}_error"] for r in records} for name in ("holdout", "test")}
        found.append(Found(sampler, values, setting, errors["holdout"], errors["test"]))
    document = {
        "config": provenance.config_fields(config),
        "found": [dataclasses.asdict(one) for one in found],
        **beginning.provenance(middle.task.data, devices=len(middle.task.devices)),
    }
    files.write_json(out / "record.json", document)
    text, written = write_results(found, out)
    return Outcome(found, text, [out / "records.jsonl", out / "record.json", *written])


def write_results(found: list[Found], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The table (returned as text and written) and the figure."""
    text, figure = table.format_samplers(found), out / "best_so_far.svg"
    files.write_text(out / "table.md", text)
    figures.draw_best_so_far({one.sampler: one.values for one in found}, figure)
    return text, [out / "table.md", figure]


def _sample(
    config: TuneConfig, sampler: Sampler, train: Callable[[Sequence[RunConfig]], list[Record]], report: Report
) -> tuple[tuple[float | None, ...], RunConfig]:
    """The held-out error of each of a sampler's trials (None: diverged), and the best one's run."""
    points = _grid(config) if sampler == "grid" else []
    wanted = len(points) or config.trials
    drawn, errors = list(points), list[float]()
    if sampler == "random":
        drawn = [_draw(config, sampler, [], number) for number in range(wanted)]
    while len(errors) < wanted:
        if sampler == "tpe":
            drawn.append(_draw(config, sampler, list(zip(drawn, errors, strict=True)), len(errors)))
        todo = [_run_of(config, point) for point in drawn[len(errors) :]]
        for one, record in zip(todo, train(todo), strict=True):
            error = record["holdout_error"]
            errors.append(math.inf if error is None else error)
            where = f"rate {one.peak_value:g}, weight_decay {one.weight_decay:g}, momentum {one.momentum}"
            end = "diverged" if error is None else f"held-out error {100 * error:.4g} %"
            report(f"[{len(errors)}/{wanted}] {sampler} trial {len(errors) - 1}, {where}: {end}")
    best = min(range(wanted), key=errors.__getitem__)
    if not math.isfinite(errors[best]):
        raise ValueError(f"{sampler}: at least one trial must train, got {wanted} that diverged.")
    values = tuple(error if math.isfinite(error) else None for error in errors)
    return values, _run_of(config, drawn[best])


def _draw(config: TuneConfig, sampler: Sampler, before: Sequence[tuple[Point, float]], number: int) -> Point:
    """What a sampler draws for a trial, given those before it: a function of these and the trial's number alone."""
    import optuna

    space = _space(config)
    axes: dict[str, Any] = {
        axis: optuna.distributions.FloatDistribution(low, high, log=log) for axis, (low, high, log) in space.items()
    }
    study = optuna.create_study(sampler=_sampler(sampler, config.config.seed + number))
    for point, error in before:
        study.add_trial(optuna.trial.create_trial(params=dict(point), distributions=axes, value=error))
    trial = study.ask()
    return {axis: trial.suggest_float(axis, low, high, log=log) for axis, (low, high, log) in space.items()}


def _space(config: TuneConfig) -> dict[str, tuple[float, float, bool]]:
    """Axis -> lowest, highest, whether in its logarithm."""
    low, high = (multiple * config.config.peak_value for multiple in config.rates)
    return {
        "rate": (low, high, True),
        "weight_decay": (*config.weight_decays, True),
        "momentum": (*config.momenta, False),
    }


def _sampler(name: Sampler, seed: int) -> Any:
    """Of a grid one that is never asked: its points are given."""
    import optuna

    if name == "tpe":
        other = seed + 1_000_000  # its first draws are random, too: not those of the random sampler
        return optuna.samplers.TPESampler(seed=other, constant_liar=False)  # trials that have not ended say nothing
    return optuna.samplers.RandomSampler(seed=seed)


def _grid(config: TuneConfig) -> list[Point]:
    """Its points in random order, as the trials of the other samplers come."""
    counts = zip(_space(config).items(), sides(config.trials), strict=True)
    axes = {axis: _points(*bounds, count=count) for (axis, bounds), count in counts}
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return [points[i] for i in np.random.default_rng(config.config.seed).permutation(len(points))]


def sides(trials: int) -> tuple[int, int, int]:
    """Points of a grid's axes (rate, weight decay, momentum): as many as fit into so many trials, the rate's first.

    Example:
      >>> sides(27), sides(12), sides(1)
      ((3, 3, 3), (3, 2, 2), (1, 1, 1))

    """
    points = [1, 1, 1]
    while True:
        for axis in sorted(range(3), key=lambda i: points[i]):
            more = [count + (i == axis) for i, count in enumerate(points)]
            if math.prod(more) <= trials:
                points = more
                break
        else:
            return points[0], points[1], points[2]


def _points(low: float, high: float, log: bool, *, count: int) -> list[float]:
    parts = [(i + 0.5) / count for i in range(count)]  # the middles of equal parts
    if log:
        return [low * (high / low) ** part for part in parts]
    return [low + (high - low) * part for part in parts]


def _run_of(config: TuneConfig, point: Point) -> RunConfig:
    rate, decay, momentum = (float(f"{point[axis]:.4g}") for axis in ("rate", "weight_decay", "momentum"))
    return dataclasses.replace(config.config, peak_value=rate, weight_decay=decay, momentum=f"{momentum:g}")
