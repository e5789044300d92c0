"""Smith's disciplined search: the rate by range tests and short runs, then weight decay, momentum and batch size."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Generator, Sequence
from typing import Any, Literal, NamedTuple

import jax

from lrsched import files
from lrsched.analysis import statistics
from lrsched.analysis.range_test.ramp import check_rate
from lrsched.analysis.search import table
from lrsched.analysis.search.table import Part, Tried
from lrsched.commands import range_test as sweep
from lrsched.commands._search_results import rounded, suggested_rates, write_results
from lrsched.commands.range_test import Ramp
from lrsched.runs import many
from lrsched.runs import speeds as measured
from lrsched.runs import task as tasks
from lrsched.runs import workers as spread
from lrsched.runs.task import RunConfig
from lrsched.schedules import plan as plans
from lrsched.schedules import registry
from lrsched.schedules.core import Schedule

Question = Literal["rate", "weight_decay", "momentum", "batch_size"]


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """The disciplined search: one question after another, each answered by short runs and kept for the next one.

    The rate: a range test, then runs at what each of its rules suggests and over a grid, which shows what each rule is
    worth here. The weight decay: short runs for each, then for values half way, in their logarithm, between the best
    and its better neighbour. The momentum: constants against cycles. The batch size: epochs scaled by the measured
    speed, so that all train for the same time. From the second question on, what was chosen so far is among what is
    tried. If the rate was asked first, every other setting has its own range test, too: its rate is the chosen one
    times what the best rule's suggestion has changed by. Held-out errors alone choose; the test error is shown of the
    last choice alone.

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
      workers: as of lrsched study.
      out: folder of records, tables and figures; None: runs/search-DATA-MODEL. A second start goes on there.
    """

    config: RunConfig = dataclasses.field(
        default_factory=lambda: RunConfig(schedule="onecycle", max_epochs=4.0, holdout_fraction=0.1)
    )
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


class Outcome(NamedTuple):
    """What a search came to: the configuration it chose, its tables as text, and the files written."""

    chosen: RunConfig
    text: str
    files: list[pathlib.Path]


Steps = Generator["many.Status | str", None, Any]
Setting = tuple[str, RunConfig]  # in words, and its first run
Place = tuple[str, str]  # of a range test's curves: question, setting


def check(config: SearchConfig) -> pathlib.Path:
    """The folder of a search.

    Raises:
      ValueError: for anything that cannot be searched.
    """
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
    spread.choose(asked=config.workers, left=1, updates=0)  # says what is wrong with the number
    tried = [begun, _at(begun, seed=begun.seed + config.runs_each - 1)]
    if "rate" in config.questions:
        sweep.check(begun, config.ramp, data_dir=config.data_dir)
        for multiple in config.grid:
            check_rate("peak_value times each of grid", multiple * begun.peak_value)
    if "momentum" in config.questions:
        tried += [_with_momentum(begun, words) for words in config.momenta]
    if "weight_decay" in config.questions:
        tried += [_at(begun, weight_decay=decay) for decay in config.weight_decays]
    if "batch_size" in config.questions:
        tried += [_at(begun, batch_size=size) for size in config.batch_sizes]
    for one in tried:
        tasks.check(one, data_dir=config.data_dir)
    return files.local_folder(
        "out", config.out if config.out is not None else f"runs/search-{begun.data}-{begun.model}"
    )


def search(config: SearchConfig) -> Generator[many.Status | str, None, Outcome]:
    """Makes the range tests and runs that are not on record yet, then the tables; yields how it is getting on.

    Raises:
      ValueError: before anything is written, for words that cannot be followed; later, if no setting trains.
    """
    out, chosen = check(config), config.config
    files.check_writable("out", out)
    parts: list[Part] = []
    notes: dict[str, Any] = {"rule": None, "speeds": None, "curves": {}}
    asked = {"rate": _rate, "weight_decay": _weight_decay, "momentum": _momentum, "batch_size": _batch_size}
    for question in config.questions:
        part, chosen = yield from asked[question](config, chosen, out, notes)
        parts.append(part)
        yield table.format_part(part)
    final = yield from _made(config, _seeds(config, chosen), out)
    document = {
        "parts": [dataclasses.asdict(part) for part in parts],
        "chosen": chosen.as_json(),
        "test_errors": {str(record["seed"]): record["test_error"] for record in final},
        **notes,
    }
    measured.write_record(out / "record.json", config, document)
    text, written = write_results(files.read_json(out / "record.json"), out)
    return Outcome(chosen, text, [out / "records.jsonl", out / "record.json", *written])


def _rate(config: SearchConfig, chosen: RunConfig, out: pathlib.Path, notes: dict[str, Any]) -> Steps:
    found = yield from _ramps(config, chosen, out, notes, ("peak rate", "as begun"))
    suggested = suggested_rates(found)
    grid = [rounded(multiple * chosen.peak_value) for multiple in config.grid]
    rules: dict[float, list[str]] = {}
    for rule, rate in suggested.items():
        rules.setdefault(rate, []).append(rule)
    settings = [
        (" ".join([f"{rate:g}", *(f"`{rule}`" for rule in rules.get(rate, []))]), _at(chosen, peak_value=rate))
        for rate in sorted({*suggested.values(), *grid})
    ]
    part, best = yield from _compared(config, "peak rate", settings, out)
    if suggested:
        means = {tried.rate: math.inf if tried.mean is None else tried.mean for tried in part.tried}
        notes["rule"] = min(suggested, key=lambda rule: means[suggested[rule]])
    return part, best


def _weight_decay(config: SearchConfig, chosen: RunConfig, out: pathlib.Path, notes: dict[str, Any]) -> Steps:
    tried = {chosen.weight_decay: chosen}
    wanted = list(dict.fromkeys(config.weight_decays))
    for halved in range(config.bisections + 1):
        for decay in wanted:
            if decay not in tried:
                one, place = _at(chosen, weight_decay=decay), ("weight decay", f"{decay:g}")
                tried[decay] = yield from _at_own_rate(config, chosen, one, out, notes, place)
        order = sorted(tried, reverse=True)
        settings = [(f"{decay:g}", tried[decay]) for decay in order]
        part, best = yield from _compared(config, "weight decay", settings, out)
        middle = table.bisect_exponent({decay: one.mean for decay, one in zip(order, part.tried, strict=True)})
        if halved == config.bisections or middle is None or middle in tried:
            break
        wanted = [middle]
    return part, best


def _momentum(config: SearchConfig, chosen: RunConfig, out: pathlib.Path, notes: dict[str, Any]) -> Steps:
    def followed(one: RunConfig) -> Schedule:
        return tasks.check(one, data_dir=config.data_dir).momentum

    ones = {words: _with_momentum(chosen, words) for words in config.momenta}
    seen = {followed(chosen)}
    name = next((words for words, one in ones.items() if followed(one) in seen), "as begun")
    settings = [(name, chosen)]
    for words, one in ones.items():
        if followed(one) not in seen:
            seen.add(followed(one))
            settings.append((words, (yield from _at_own_rate(config, chosen, one, out, notes, ("momentum", words)))))
    return (yield from _compared(config, "momentum", settings, out))


def _batch_size(config: SearchConfig, chosen: RunConfig, out: pathlib.Path, notes: dict[str, Any]) -> Steps:
    batch, examples = chosen.batch, len(tasks.task(chosen, data_dir=config.data_dir).data.train)
    sizes = {*(config.batch_sizes or (batch // 2, 2 * batch, 4 * batch)), batch}
    count, settings = jax.local_device_count(), []
    speeds: dict[int, float] = {}
    for size in sorted(size for size in sizes if 1 <= size <= examples and size % count == 0):
        speeds[size] = yield from measured.speed(_at(chosen, batch_size=size), data_dir=config.data_dir, out=out)
    for size, speed in speeds.items():
        one = chosen
        if size != batch:
            epochs = float(f"{chosen.max_epochs * speed / speeds[batch]:.3g}")
            one = _at(chosen, batch_size=size, max_epochs=epochs)
            one = yield from _at_own_rate(config, chosen, one, out, notes, ("batch size", str(size)))
        settings.append((str(size), one))
    notes["speeds"] = {str(size): speed for size, speed in speeds.items()}
    return (yield from _compared(config, "batch size", settings, out))


def _at_own_rate(
    config: SearchConfig, chosen: RunConfig, one: RunConfig, out: pathlib.Path, notes: dict[str, Any], place: Place
) -> Steps:
    """The run at the chosen rate times what the best rule's suggestion changes by; without a rule, as it is."""
    rule = notes["rule"]
    if rule is None:
        return one
    before = yield from _ramps(config, chosen, out, notes, (place[0], "as begun"))
    after = yield from _ramps(config, one, out, notes, place)
    was, now = (found.suggestions[rule].value for found in (before, after))
    return one if was is None or now is None else _at(one, peak_value=rounded(chosen.peak_value * now / was))


def _ramps(config: SearchConfig, one: RunConfig, out: pathlib.Path, notes: dict[str, Any], place: Place) -> Steps:
    same = _at(one, peak_value=config.ramp.end_value, max_epochs=config.config.max_epochs)  # without effect on a ramp
    found = yield from sweep.swept(same, config.ramp, data_dir=config.data_dir, out=out)
    notes["curves"].setdefault(place[0], {})[place[1]] = found.curves.as_json()
    return found


def _compared(config: SearchConfig, question: str, settings: Sequence[Setting], out: pathlib.Path) -> Steps:
    """The part, and the best setting's run."""
    todo = [one for _, first in settings for one in _seeds(config, first)]
    records = yield from _made(config, todo, out)
    tried = []
    for i, (words, first) in enumerate(settings):
        rows = records[i * config.runs_each : (i + 1) * config.runs_each]
        errors = {row["seed"]: row["holdout_error"] for row in rows}
        tried.append(Tried(words, first.peak_value, rows[0]["epochs"], errors))
    examples = {row["data"]["holdout"] for row in records}
    known = [error for one in tried for error in one.known.values()]
    resolution = statistics.find_resolution(known, examples.pop()) if len(examples) == 1 else None
    part = Part(question, tuple(tried), resolution)
    return part, settings[part.best][1]


def _made(
    config: SearchConfig, todo: Sequence[RunConfig], out: pathlib.Path
) -> Generator[many.Status | str, None, Any]:
    """The records of these runs, which share their folder with those of all questions."""
    settings = len(config.grid) + len(config.weight_decays) + config.bisections + len(config.momenta) + 4
    updates = settings * config.runs_each * tasks.check(config.config, data_dir=config.data_dir).total_steps
    return (
        yield from many.made(todo, data_dir=config.data_dir, out=out, workers=config.workers, updates=updates)
    )  # fmt: skip


def _seeds(config: SearchConfig, first: RunConfig) -> list[RunConfig]:
    return [_at(first, seed=config.config.seed + i) for i in range(config.runs_each)]


def _with_momentum(one: RunConfig, words: str) -> RunConfig:
    """With a constant momentum, or one cycled against the rate as the schedule's own variant does."""
    try:
        high, low = (float(word) for word in words.split("-")) if "-" in words else (float(words), None)
    except ValueError:
        raise ValueError(f"momenta must be numbers (0.9) or ranges (0.95-0.85), got {words!r}.") from None
    if low is None:
        return _at(one, momentum=words)
    rate = registry.parse(one.schedule)
    if registry.name_of(rate) not in registry.PAIRED:
        raise ValueError(f"momenta must be numbers where the schedule is {registry.label(rate)}, got {words!r}.")
    cycle = {**plans.paired(rate), "max_value": high, "min_value": low}
    return _at(one, momentum=registry.label(cycle, kind=registry.MOMENTA))


def _at(one: RunConfig, **changes: Any) -> RunConfig:
    return dataclasses.replace(one, **changes)
