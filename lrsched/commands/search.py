"""Smith's disciplined search: the rate by range tests and short runs, then weight decay, momentum and batch size."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

from lrsched import files
from lrsched.analysis import statistics
from lrsched.analysis.range_test.ramp import check_rate
from lrsched.analysis.search import table
from lrsched.analysis.search.table import Part, Tried
from lrsched.commands import Outcome
from lrsched.commands._search_results import round_rate, suggested_rates, write_results
from lrsched.range_test import RangeTest
from lrsched.runs import many, ramps, speeds, workers
from lrsched.runs.config import SHORT, RunConfig
from lrsched.runs.ramps import Ramp
from lrsched.runs.records import Beginning
from lrsched.runs.report import Record, Report, ignore
from lrsched.runs.task import resolve
from lrsched.schedules import language, registry
from lrsched.schedules.core import Schedule
from lrsched.schedules.families.onecycle import paired_momentum
from lrsched.training import devices, provenance

Question = Literal["rate", "weight_decay", "momentum", "batch_size"]


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """Smith's disciplined search: one question after another, each answered by short runs, each building on the last.

    The rate: a range test, then runs at what each of its rules suggests and over a grid, which shows what each rule is
    worth here. The weight decay: short runs for each, then for values half way, in their logarithm, between the best
    and its better neighbour. The momentum: constants against cycles. The batch size: epochs scaled by the measured
    speed, so that all train for the same time. From the second question on, what was chosen so far is among what is
    tried. If the rate was asked first, every other setting has its own range test, too: its rate is the chosen one
    times what the best rule's suggestion has changed by. Held-out errors alone choose; the test error is shown of the
    last choice alone.

    Example: lrsched search --data digits --questions rate weight_decay

    Attributes:
      config: of the short runs. Its peak_value is what the grid multiplies, its seed the first one.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      ramp: of the range tests.
      runs_each: runs of each setting, with seeds one after another.
      questions: what is searched, in this order.
      grid: multiples of peak_value that the rules' rates are held against.
      weight_decays: values before bisection.
      bisections: how many more values, at most.
      momenta: constants (0.9), or ranges (0.95-0.85) that are cycled against the rate, where the schedule is onecycle.
        A range test has the momentum that the run has at its peak rate.
      batch_sizes: to compare; none given: half, the same, twice and four times the batch_size.
      workers: as in lrsched study.
      out: folder of records, tables and figures; None: runs/search-DATA-MODEL. A second start resumes there.
    """

    config: RunConfig = SHORT
    data_dir: str | None = None
    ramp: Ramp = dataclasses.field(default_factory=Ramp)
    runs_each: int = 3
    questions: tuple[Question, ...] = ("rate", "weight_decay", "momentum", "batch_size")
    grid: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    weight_decays: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 0.0)
    bisections: int = 1
    momenta: tuple[str, ...] = ("0.85", "0.9", "0.95", "0.95-0.85", "0.95-0.8", "0.99-0.9")
    batch_sizes: tuple[int, ...] = ()
    workers: int | None = None
    out: str | None = None


Setting = tuple[str, RunConfig]  # its name, and its first run
Place = tuple[str, str]  # of a range test's curves: question, setting
_BEGUN = "as begun"  # the setting that a question starts from


@dataclasses.dataclass
class _Search:
    """A search under way, and what it has learned."""

    config: SearchConfig
    out: pathlib.Path
    report: Report
    rule: str | None = None  # the best of the range test's rules
    speeds: dict[str, float] | None = None  # images per second of each batch size
    curves: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)  # of range tests, by Place

    def train(self, todo: Sequence[RunConfig]) -> list[Record]:
        """The records of these runs, which share their folder with those of all questions."""
        config = self.config
        settings = len(config.grid) + len(config.weight_decays) + config.bisections + len(config.momenta) + 4
        resolved = many.resolve_all(todo, data_dir=config.data_dir, count=config.workers)
        begun = resolve(config.config, data_dir=config.data_dir)
        updates = settings * config.runs_each * begun.total_steps
        return many.train_all(resolved, self.out, count=config.workers, report=self.report, updates=updates)

    def seeds(self, first: RunConfig) -> list[RunConfig]:
        return [_at(first, seed=self.config.config.seed + i) for i in range(self.config.runs_each)]

    def range_test(self, one: RunConfig, place: Place) -> RangeTest:
        """The range test at a run's settings; its momentum is the one at the run's peak rate."""
        found = ramps.measure(_ramps(self.config, one), out=self.out, report=self.report)
        self.curves.setdefault(place[0], {})[place[1]] = found.curves.as_json()
        return found

    def at_own_rate(self, chosen: RunConfig, one: RunConfig, place: Place) -> RunConfig:
        """The run at the chosen rate times what the best rule's suggestion changes by; without a rule, as it is."""
        if self.rule is None:
            return one
        before, after = self.range_test(chosen, (place[0], _BEGUN)), self.range_test(one, place)
        was, now = (found.suggestions[self.rule].value for found in (before, after))
        return one if was is None or now is None else _at(one, peak_value=round_rate(chosen.peak_value * now / was))

    def compare(self, question: str, settings: Sequence[Setting]) -> tuple[Part, RunConfig]:
        """The part, and the best setting's run."""
        each = self.config.runs_each
        records = self.train([one for _, first in settings for one in self.seeds(first)])
        tried = []
        for i, (name, first) in enumerate(settings):
            rows = records[i * each : (i + 1) * each]
            errors = {row["seed"]: row["holdout_error"] for row in rows}
            tried.append(Tried(name, first.peak_value, rows[0]["epochs"], errors))
        examples = {row["data"]["holdout"] for row in records}
        known = [error for one in tried for error in one.known.values()]
        resolution = statistics.find_resolution(known, examples.pop()) if len(examples) == 1 else None
        part = Part(question, tuple(tried), resolution)
        return part, settings[part.best][1]


def run(config: SearchConfig, report: Report = ignore) -> Outcome:
    """Makes the range tests and runs that are not on record yet, then the tables; its result is the chosen run.

    Raises:
      ValueError: before anything is written, for arguments that cannot be followed; later, if no setting trains.
    """
    devices.prepare()
    devices.start()
    beginning = Beginning()
    _check(config)
    begun = config.config
    out = files.out_folder(config.out, f"runs/search-{begun.data}-{begun.model}")
    files.check_writable("out", out)
    search, chosen, parts = _Search(config, out, report), begun, []
    for question in config.questions:
        part, chosen = _ANSWERS[question](search, chosen)
        parts.append(part)
        report(table.format_part(part))
    final = search.train(search.seeds(chosen))
    task = resolve(chosen, data_dir=config.data_dir).task
    document = {
        "config": provenance.config_fields(config),
        "parts": [dataclasses.asdict(part) for part in parts],
        "chosen": chosen.as_json(),
        "test_errors": {str(record["seed"]): record["test_error"] for record in final},
        "rule": search.rule,
        "speeds": search.speeds,
        "curves": search.curves,
        **beginning.provenance(task.data, devices=len(task.devices)),
    }
    files.write_json(out / "record.json", document)
    text, written = write_results(files.read_json(out / "record.json"), out)
    return Outcome(chosen, text, [out / "records.jsonl", out / "record.json", *written])


def _check(config: SearchConfig) -> None:
    """Raises the ValueError that anything in it deserves which cannot be searched."""
    begun = config.config
    if not begun.holdout_fraction:
        raise ValueError("holdout_fraction must be above 0: settings are compared on held-out data, got 0.")
    if not 1 <= config.runs_each <= many.MOST_RUNS:
        allowed = "at least 1" if config.runs_each < 1 else f"at most {many.MOST_RUNS:,}"
        raise ValueError(f"runs_each must be {allowed}, got {config.runs_each}.")
    if config.bisections < 0:
        raise ValueError(f"bisections must be at least 0, got {config.bisections}.")
    if not config.questions or len(set(config.questions)) < len(config.questions):
        raise ValueError(f"questions must differ and name at least one, got {', '.join(config.questions) or 'none'}.")
    if any(not (math.isfinite(multiple) and multiple > 0) for multiple in config.grid):
        raise ValueError(f"grid must hold multiples above 0, got {', '.join(map(str, config.grid))}.")
    if config.ramp.quantity == "holdout_accuracy":
        raise ValueError("quantity must be train_loss or holdout_loss: Smith's bounds give a cycle, not one rate.")
    if "batch_size" in config.questions and not begun.budget.endswith("%"):
        raise ValueError(f"budget must be a percentage: max_epochs is scaled to equal time, got {begun.budget}.")
    workers.choose(asked=config.workers, left=1, updates=0)  # says what is wrong with the number
    tried = [begun, _at(begun, seed=begun.seed + config.runs_each - 1)]
    if "rate" in config.questions:
        ramps.check_numbers(config.ramp)
        _ramps(config, begun)
        for multiple in config.grid:
            check_rate("peak_value times each of grid", multiple * begun.peak_value)
    if "momentum" in config.questions:
        tried += [_with_momentum(begun, words) for words in config.momenta]
    if "weight_decay" in config.questions:
        tried += [_at(begun, weight_decay=decay) for decay in config.weight_decays]
    if "batch_size" in config.questions:
        tried += [_at(begun, batch_size=size) for size in config.batch_sizes]
    for one in tried:
        resolve(one, data_dir=config.data_dir)


def _ramps(config: SearchConfig, one: RunConfig) -> ramps.Ramps:
    run = resolve(one, data_dir=config.data_dir)
    return ramps.prepare(run.task, config.ramp, momentum=ramps.momentum_at_peak(run.plan))


def _rate(search: _Search, chosen: RunConfig) -> tuple[Part, RunConfig]:
    suggested = suggested_rates(search.range_test(chosen, ("peak rate", _BEGUN)))
    grid = [round_rate(multiple * chosen.peak_value) for multiple in search.config.grid]
    rules: dict[float, list[str]] = {}
    for rule, rate in suggested.items():
        rules.setdefault(rate, []).append(rule)
    settings = [
        (" ".join([f"{rate:g}", *(f"`{rule}`" for rule in rules.get(rate, []))]), _at(chosen, peak_value=rate))
        for rate in sorted({*suggested.values(), *grid})
    ]
    part, best = search.compare("peak rate", settings)
    if suggested:
        means = {tried.rate: math.inf if tried.mean is None else tried.mean for tried in part.tried}
        search.rule = min(suggested, key=lambda rule: means[suggested[rule]])
    return part, best


def _weight_decay(search: _Search, chosen: RunConfig) -> tuple[Part, RunConfig]:
    tried = {chosen.weight_decay: chosen}
    wanted = list(dict.fromkeys(search.config.weight_decays))
    for halving in range(search.config.bisections + 1):
        for decay in wanted:
            if decay not in tried:
                one, place = _at(chosen, weight_decay=decay), ("weight decay", f"{decay:g}")
                tried[decay] = search.at_own_rate(chosen, one, place)
        order = sorted(tried, reverse=True)
        part, best = search.compare("weight decay", [(f"{decay:g}", tried[decay]) for decay in order])
        middle = table.bisect_exponent({decay: one.mean for decay, one in zip(order, part.tried, strict=True)})
        if halving == search.config.bisections or middle is None or middle in tried:
            break
        wanted = [middle]
    return part, best


def _momentum(search: _Search, chosen: RunConfig) -> tuple[Part, RunConfig]:
    def momentum(one: RunConfig) -> Schedule:
        return resolve(one, data_dir=search.config.data_dir).plan.momentum

    ones = {words: _with_momentum(chosen, words) for words in search.config.momenta}
    seen = {momentum(chosen)}
    name = next((words for words, one in ones.items() if momentum(one) in seen), _BEGUN)
    settings = [(name, chosen)]
    for words, one in ones.items():
        if momentum(one) not in seen:
            seen.add(momentum(one))
            settings.append((words, search.at_own_rate(chosen, one, ("momentum", words))))
    return search.compare("momentum", settings)


def _batch_size(search: _Search, chosen: RunConfig) -> tuple[Part, RunConfig]:
    task = resolve(chosen, data_dir=search.config.data_dir).task
    batch, examples, count = task.batch_size, len(task.data.train), len(task.devices)
    sizes = {*(search.config.batch_sizes or (batch // 2, 2 * batch, 4 * batch)), batch}
    images_per_second: dict[int, float] = {}
    for size in sorted(size for size in sizes if 1 <= size <= examples and size % count == 0):
        task = resolve(_at(chosen, batch_size=size), data_dir=search.config.data_dir).task
        images_per_second[size] = speeds.measure(task, out=search.out, report=search.report)
    settings = []
    for size, speed in images_per_second.items():
        one = chosen
        if size != batch:
            epochs = float(f"{chosen.max_epochs * speed / images_per_second[batch]:.3g}")
            one = _at(chosen, batch_size=size, max_epochs=epochs)
            one = search.at_own_rate(chosen, one, ("batch size", str(size)))
        settings.append((str(size), one))
    search.speeds = {str(size): speed for size, speed in images_per_second.items()}
    return search.compare("batch size", settings)


_ANSWERS: dict[Question, Callable[[_Search, RunConfig], tuple[Part, RunConfig]]] = {
    "rate": _rate,
    "weight_decay": _weight_decay,
    "momentum": _momentum,
    "batch_size": _batch_size,
}


def _with_momentum(one: RunConfig, momentum: str) -> RunConfig:
    """With a constant momentum, or one cycled against the rate as the schedule's own variant does."""
    try:
        high, low = (float(part) for part in momentum.split("-")) if "-" in momentum else (float(momentum), None)
    except ValueError:
        raise ValueError(f"momenta must be numbers (0.9) or ranges (0.95-0.85), got {momentum!r}.") from None
    if low is None:
        return _at(one, momentum=momentum)
    rate = language.parse(one.schedule)
    if registry.name_of(rate) != "onecycle":
        raise ValueError(f"momenta must be numbers where the schedule is {language.label(rate)}, got {momentum!r}.")
    cycle = {**paired_momentum(rate), "max_value": high, "min_value": low}
    return _at(one, momentum=language.label(cycle, kind=registry.MOMENTA))


def _at(one: RunConfig, **changes: Any) -> RunConfig:
    return dataclasses.replace(one, **changes)
