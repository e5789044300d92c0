"""Many runs: schedules x budgets x seeds at rates chosen with other seeds, then a table and figures."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from lrsched import files
from lrsched.analysis.study.cells import Cell, gather
from lrsched.commands import Outcome
from lrsched.commands._study_results import write_results
from lrsched.runs import engines, many, speeds, studies, tracking, trunks
from lrsched.runs.config import Recipe, RunConfig, Words
from lrsched.runs.report import Record, Report, ignore
from lrsched.runs.studies import Grid, Place, Setting
from lrsched.runs.task import Run
from lrsched.schedules import language
from lrsched.schedules.durations import budget_length
from lrsched.training import devices

_MOST_EXTENSIONS = 6  # of a cell's rates by --extend-grid, each by the step between the outermost two


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(Recipe):
    """A study: every schedule under every budget, at the rate that is best for it, with fresh seeds.

    Of several peak rates (weight decays, momenta) each schedule and budget takes the best on held-out data, with
    selection seeds. Other seeds then train at it on the whole training set, and are tested once.

    Example: lrsched study --schedules rex linear warmup:5%+cosine --budgets 10% 100% --seeds 5

    Attributes:
      schedules: words, as in: rex linear rex:d=0.9 linear@50-75 step:fractions=0.3/0.6/0.8,factor=0.2
        warmup:5%+cosine; JSON; from Python schedules already made, each scaled to the peak values by its highest rate.
      budgets: percentages of max_epochs (5%), epochs (15ep or 15), updates (200st) or examples (50000ex).
      max_epochs: epochs of a budget of 100 %.
      seeds: a number of seeds (5), which begin behind those that choose, or the seeds (3 4 5, 10-19).
      peak_values: peak learning rates to choose from.
      weight_decays: weight decays to choose from; where it is left out, weight_decay alone.
      momenta: momenta to choose from, as of momentum; where it is left out, momentum alone.
      shared_rate: the one peak rate of every schedule, in place of peak_values: no rate is tuned to a schedule.
      selection_seeds: seeds that choose, as of seeds.
      holdout_fraction: part of the training set kept for choosing; None: 0.1 if there is anything to choose, else 0.
      extend_grid: where the best rate is the lowest or highest tried, go on by the same factor until it is not, by six
        rates at most.
      question: what the study is to answer; the report quotes it.
      reference: label of the schedule that all others are compared with; None: all pairs are compared.
      no_worse_than: percentage points of error that do not count: each schedule is tested for being no worse than the
        reference by more than that.
      evaluate_every: how often the error is measured on the way: updates (200), epochs (1ep), a share of each run
        (10%); on held-out data in runs that have some, as those that choose do, else on the test set.
      part: as in 3/16, the third of sixteen parts, for array jobs; they may share `out`, or be merged later.
      dry_run: train nothing; say how many runs and updates there would be, and how long one worker takes.
      file: a TOML or JSON file with the names of these options, such as the study.json of another study; options given
        beside it count more.
      track: tensorboard, wandb or mlflow, each an extra, which is told of the progress as well.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      workers: runs made at once, in processes that share out a CPU's cores, elsewhere one per device. None: as many as
        there are cores (and memory for them) or devices, but one where little is left to train; 1: one after another,
        each over all devices. The number changes the order of summation in a run, and so its last digits; the records
        hold it.
      share_trunks: make the updates that runs have in common (the same rates from the first update on) once; the
        records are the same without.
      engine: what makes the runs.
      out: folder of records, table and figures; None: runs/DATA-MODEL. A second start there makes only the runs that
        are missing; the table is of the runs asked for.
    """

    schedules: tuple[Words, ...] = (
        "rex",
        "linear",
        "cosine",
        "step",
        "exponential",
        "onecycle:variant=rex_paper",
    )
    budgets: tuple[str, ...] = ("5%", "25%", "100%")
    max_epochs: float = RunConfig.max_epochs
    seeds: tuple[str, ...] = ("3",)
    peak_values: tuple[float, ...] = (0.03, 0.1, 0.3)
    weight_decays: tuple[float, ...] = ()
    momenta: tuple[str, ...] = ()
    shared_rate: float | None = None
    selection_seeds: tuple[str, ...] = ("2",)
    holdout_fraction: float | None = None
    extend_grid: bool = False
    question: str | None = None
    reference: str | None = None
    no_worse_than: float | None = None
    evaluate_every: str | None = None
    part: str | None = None
    dry_run: bool = False
    file: str | None = None
    track: tracking.Name | None = None
    data_dir: str | None = None
    workers: int | None = None
    share_trunks: bool = True
    engine: engines.Engine = engines.LOCAL
    out: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What is asked for, every default written out; not where and how it is made."""
        full = dataclasses.replace(self.written_out(), momentum=self.momentum)
        names = {field.name for field in dataclasses.fields(full)} - studies.CIRCUMSTANCES
        found = {name: getattr(full, name) for name in names}
        found["schedules"] = tuple(language.parse(words) for words in self.schedules)
        grid = make_grid(self)
        found["seeds"] = studies.list_seeds(grid.seeds)
        if grid.chooses:
            found["selection_seeds"] = studies.list_seeds(grid.selection_seeds)
            found["holdout_fraction"] = grid.holdout_fraction
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _reference(words: Any) -> str | None:
    """The label of a schedule; None if it is none."""
    try:
        return language.label(words)
    except ValueError:
        return None


def _check_alternatives(study: StudyConfig) -> None:
    """Raises ValueError if two options say the same thing, one of which would not count."""
    usual = StudyConfig()
    for one, other in ("peak_values", "shared_rate"), ("weight_decay", "weight_decays"), ("momentum", "momenta"):
        there = getattr(study, other)
        given = there is not None if other == "shared_rate" else len(there) > 0
        plain, default = getattr(study, one), getattr(usual, one)
        if given and (tuple(plain) if one == "peak_values" else plain) != default:
            raise ValueError(f"{one} must be left out where there is {other}, got {plain} beside it.")


def make_grid(study: StudyConfig) -> Grid:
    """The runs of a study.

    Raises:
      ValueError: if a list is empty or repeats itself, there are too many runs, seeds are no seeds, or something would
        be chosen without held-out data.
    """
    _check_alternatives(study)
    rates = (study.shared_rate,) if study.shared_rate is not None else study.peak_values
    decays, momenta = study.weight_decays or (study.weight_decay,), study.momenta or (study.momentum,)
    budget: Callable[[str], Any] = lambda text: budget_length(text, max_epochs=study.max_epochs)  # noqa: E731
    spellings: dict[str, tuple[Sequence[Any], Callable[[Any], Any]]] = {
        "schedules": (study.schedules, language.label),
        "budgets": (study.budgets, budget),
        "peak_values": (rates, float),
        "weight_decays": (decays, float),
        "momenta": (momenta, str),
    }
    for name, (values, same) in spellings.items():
        if not values:
            raise ValueError(f"{name} must name at least one, got none.")
        if len({same(value) for value in values}) < len(values):
            raise ValueError(f"{name} must differ from each other, got {', '.join(map(str, values))}.")
    labels = [language.label(words) for words in study.schedules]
    if study.reference is not None and _reference(study.reference) not in labels:
        raise ValueError(f"reference must be one of the schedules ({', '.join(labels)}), got {study.reference}.")
    if study.no_worse_than is not None and not study.no_worse_than > 0:
        raise ValueError(f"no_worse_than must be above 0, got {study.no_worse_than:g}.")
    if study.extend_grid and len(rates) < 2:
        raise ValueError("extend_grid must be left out where there is one peak rate: two tell the step to the next.")
    settings = tuple(Setting(*each) for each in itertools.product(map(float, rates), map(float, decays), momenta))
    choosing = studies.read_seeds(study.selection_seeds, "selection_seeds") if len(settings) > 1 else ()
    seeds = studies.read_seeds(study.seeds, "seeds", after=choosing)
    count = len(study.budgets) * len(study.schedules) * (len(settings) * len(choosing) + len(seeds))
    if count > many.MOST_RUNS:
        raise ValueError(f"a study must have at most {many.MOST_RUNS:,} runs, got {count:,}.")
    held_out = (0.1 if choosing else 0.0) if study.holdout_fraction is None else study.holdout_fraction
    if choosing and not held_out:
        raise ValueError("holdout_fraction must be above 0 where settings are chosen: it is done on it, got 0.")
    cells = _cells(study, 0.0 if choosing else held_out)
    grid = Grid(cells, settings, choosing, seeds, held_out, studies.read_part(study.part))
    parts = len(cells) if choosing else len(cells) * len(seeds)
    if grid.part[1] > parts:
        raise ValueError(f"part must be one of at most {parts} (schedules x budgets), got {study.part}.")
    return grid


def _cells(study: StudyConfig, holdout_fraction: float) -> tuple[RunConfig, ...]:
    shared: dict[str, Any] = {"max_epochs": study.max_epochs, "evaluate_every": study.evaluate_every}
    shared |= {**study.recipe(), "holdout_fraction": holdout_fraction}
    return tuple(
        RunConfig(**shared, schedule=schedule, budget=budget)
        for budget in study.budgets
        for schedule in study.schedules
    )


def run(config: StudyConfig, report: Report = ignore) -> Outcome:
    """Trains the runs that are not on record yet, then writes the table and the figures.

    Returns:
      the records of the runs with fresh seeds, in the order of schedules and budgets.
    Raises:
      ValueError: before anything is written, if any run of it cannot be run.
      interrupts.Interrupted: if the process was asked to end, once the runs under way are saved.
    """
    devices.prepare()
    devices.start()
    grid = make_grid(config)
    config.engine.check()
    out = files.out_folder(config.out, f"runs/{config.data}-{config.model}")
    if config.dry_run:
        return Outcome(None, estimate(config, grid), [])

    # What is refused is refused here, at settings that the choice may still change.
    choosing, first = _resolve_all(config, grid.tried()), _resolve_all(config, grid.fresh({}))
    files.check_writable("out", out)
    with tracking.tracked(report, config.track, out) as told:
        ids, chosen = list[str](), dict[Place, Setting]()
        if grid.chooses:
            told(f"choosing: {len(choosing)} runs on held-out data.")
            ids, chosen = _choose(config, grid, out, choosing, told)
        todo = _resolve_all(config, grid.fresh(chosen)) if chosen else first
        named = [each.id for each in todo]
        studies.write(out, config.as_json(), selection=ids, runs=named, part=grid.part[1] > 1)
        _train_all(config, todo, out, told)
    study = studies.load(out)
    text, written = write_results(study, out)
    return Outcome(study.records, text, [out / "study.json", out / "records.jsonl", *written])


def _resolve_all(config: StudyConfig, configs: Sequence[RunConfig]) -> list[Run]:
    count = config.workers if config.engine.name == "local" else None  # the machines of an engine are not this one
    return many.resolve_all(configs, data_dir=config.data_dir, count=count)


def _train_all(config: StudyConfig, todo: Sequence[Run], out: pathlib.Path, report: Report) -> list[Record]:
    how: dict[str, Any] = {"share_trunks": config.share_trunks, "engine": config.engine}
    return many.train_all(todo, out, count=config.workers, report=report, **how)


def _choose(
    config: StudyConfig, grid: Grid, out: pathlib.Path, todo: Sequence[Run], report: Report
) -> tuple[list[str], dict[Place, Setting]]:
    """The ids of the runs that choose, and each cell's choice."""
    more: dict[Place, list[Setting]] = {}
    records = dict[str, Record]()
    while True:
        records |= {record["run"]: record for record in _train_all(config, todo, out / "selection", report)}
        cells = gather(list(records.values()))
        further = {
            where: rate
            for where, rate in (_further(cells) if config.extend_grid else {}).items()
            if len({setting.peak_value for setting in more.get(where, ())}) < _MOST_EXTENSIONS
        }
        if not further:
            return list(records), {(cell.label, cell.budget): _setting(cell) for cell in cells}
        for where, rate in further.items():
            step = [setting._replace(peak_value=rate) for setting in grid.settings]
            more.setdefault(where, []).extend(dict.fromkeys(step))
            report(f"{where[0]} at {where[1]}: the best rate is the last one tried; {rate:g} is tried as well.")
        todo = [each for each in _resolve_all(config, grid.tried(more)) if each.id not in records]


def _setting(cell: Cell) -> Setting:
    return Setting(cell.peak_value, cell.weight_decay, cell.momentum)


def _further(cells: Sequence[Cell]) -> dict[Place, float]:
    """The next rate of each cell whose best one is the lowest or the highest: by the factor of the outermost two."""
    found = {}
    for cell in cells:
        rates = sorted(cell.rates_tried)
        if cell.at_edge and len(rates) > 1:
            edge, inner = (rates[0], rates[1]) if cell.at_edge == "lowest" else (rates[-1], rates[-2])
            found[cell.label, cell.budget] = float(f"{edge * edge / inner:.6g}")
    return found


def estimate(config: StudyConfig, grid: Grid) -> str:
    """What a study would train, and how long one worker takes by the speed of a few updates now."""
    stages = {"to choose the settings": grid.tried(), "with fresh seeds": grid.fresh({})}
    lines, seconds, total, spared = list[str](), 0.0, 0, 0
    for name, configs in stages.items():
        if not configs:
            continue
        todo = many.resolve_all(configs, data_dir=config.data_dir, count=1)
        updates = sum(each.total_steps for each in todo)
        task = todo[0].task
        speeds.probe(task, updates=1)  # compiles
        each_takes = task.batch_size / speeds.probe(task, updates=10)
        shared = sum(junction.spared for junction in trunks.find(todo)) if config.share_trunks else 0
        seconds += (updates - shared) * each_takes
        total += updates
        spared += shared
        lines.append(f"{len(todo):,} runs {name}: {updates:,} updates of {1000 * each_takes:.3g} ms.")
    size, unit = next(
        (size, unit) for size, unit in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= size or size == 1
    )
    once = f", of which {spared:,} need not be made a second time" if spared else ""
    lines.append(f"In all {total:,} updates{once}, about {seconds / size:.2g} {unit} of one worker.")
    return "\n".join(lines)
