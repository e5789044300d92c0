"""The cells of a study's table, gathered from the records of its runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from lrsched.analysis import Record, statistics

VARIED = frozenset({"schedule", "budget", "peak_value", "weight_decay", "momentum", "seed"})  # within one study
Setting = tuple[float, float, str | None]  # peak value, weight decay, momentum


@dataclasses.dataclass(frozen=True)
class Cell:
    """One schedule under one budget, at the setting chosen for it: an entry of a table. Errors are in [0, 1]."""

    label: str
    budget: str
    epochs: float
    peak_value: float
    rates_tried: tuple[float, ...]
    chosen_on: Literal["held-out", "only one"]
    errors: dict[int, float]  # seed -> test error, of the runs that did not diverge
    diverged: int  # how many runs did
    missing_seeds: tuple[int, ...]  # seeds of the study that this cell lacks, at any rate of those among its records
    n: int  # runs in mean, sd and interval: those that did not diverge
    mean: float | None
    sd: float | None
    interval: tuple[float, float] | None
    resolution: float | None = None  # 1 / n if the errors are shares of n test examples
    weight_decay: float = 0.0
    momentum: str | None = None  # None: the schedule's own
    at_edge: Literal["", "lowest", "highest"] = ""  # of the rates tried, if there were several
    diverged_seeds: tuple[int, ...] = ()
    decays_tried: tuple[float, ...] = ()
    momenta_tried: tuple[str | None, ...] = ()
    selection_seeds: tuple[int, ...] = ()  # that chose, where runs of their own did
    selection_missing: tuple[int, ...] = ()  # those that a setting lacks: the choice did without them


def measure_on_the_way(measure: str, records: Sequence[Record]) -> str:
    """What the errors of a study on the way are: the measure, and where they were taken on held-out data, of that."""
    splits = {record["evaluations"]["split"] for record in records if record.get("evaluations")}
    return measure.replace("test", "held-out", 1) if splits == {"holdout"} else measure


def gather(records: Sequence[Record], selection: Sequence[Record] = ()) -> list[Cell]:
    """Gathers records into a cell per schedule and budget, in the order in which the records first name them.

    Of several settings (peak value, weight decay, momentum) the one with the lowest mean held-out error is chosen, over
    the seeds that all of them have; a run that diverged counts as infinite; of equal ones the lowest peak value (then
    weight decay) is chosen. Test errors choose nothing.

    Args:
      records: of one study: their configs differ only in schedule, budget, peak value, weight decay, momentum and seed.
      selection: the runs that chose, with seeds of their own; then `records` hold runs of the chosen settings alone.
        Empty: the records themselves choose, with the seeds that are reported.
    Raises:
      ValueError: if the records differ in something else, a run is there twice, a choice lacks held-out errors or a
        seed that every setting has, or a run was made at another setting than the selection chose.
    """
    _check_one_study(records)
    _check_one_study(selection)
    _check_one_study([*records[:1], *selection[:1]], but={"holdout_fraction"})
    finals, tried = _group(records), _group(selection)
    seeds = {record["seed"] for record in records}
    if not selection:
        return [_make_cell(place, by_setting, by_setting, seeds) for place, by_setting in finals.items()]
    return [_make_cell(place, runs, tried.get(place, runs), seeds, apart=True) for place, runs in finals.items()]


Place = tuple[str, str]  # label, budget
Runs = dict[Setting, dict[int, Record]]


def _group(records: Sequence[Record]) -> dict[Place, Runs]:
    grouped: dict[Place, Runs] = {}
    for record in records:
        config, seed = record["config"], record["seed"]
        runs = grouped.setdefault((record["label"], config["budget"]), {}).setdefault(_read_setting(config), {})
        if seed in runs:
            raise ValueError(f"each run must be recorded once, got twice: {_describe(record)}, seed {seed}.")
        runs[seed] = record
    return grouped


def _read_setting(config: Record) -> Setting:
    return float(config["peak_value"]), float(config["weight_decay"]), config["momentum"]


def _make_cell(place: Place, finals: Runs, tried: Runs, study_seeds: set[int], *, apart: bool = False) -> Cell:
    """The cell of one schedule and budget.

    Args:
      place: label and budget.
      finals: setting -> seed -> run, whose test errors are reported.
      tried: the same of the runs that choose.
      study_seeds: of all that is reported.
      apart: those that choose are others than those reported.
    """
    chosen, shared = _choose(place, tried)
    if apart and set(finals) != {chosen}:
        other = next(setting for setting in finals if setting != chosen)
        raise ValueError(
            f"{place[0]} at {place[1]} must be run at what was chosen on held-out data, {_name(chosen)}, "
            f"got a run at {_name(other)}."
        )
    runs = finals[chosen]
    rates = tuple(sorted({setting[0] for setting in tried}))
    errors = {seed: _read_test_error(runs[seed]) for seed in sorted(runs) if not _has_diverged(runs[seed])}
    values = list(errors.values())
    edges: dict[float, Literal["lowest", "highest"]] = {rates[0]: "lowest", rates[-1]: "highest"}
    return Cell(
        label=place[0],
        budget=place[1],
        epochs=float(next(iter(runs.values()))["epochs"]),
        peak_value=chosen[0],
        rates_tried=rates,
        chosen_on="held-out" if len(tried) > 1 else "only one",
        errors=errors,
        diverged=len(runs) - len(errors),
        missing_seeds=tuple(sorted(study_seeds - (set(runs) if apart else shared))),
        n=len(values),
        mean=statistics.mean(values) if values else None,
        sd=statistics.sd(values),
        interval=statistics.interval(values),
        resolution=_find_resolution(runs.values(), values),
        weight_decay=chosen[1],
        momentum=chosen[2],
        at_edge=edges.get(chosen[0], "") if len(rates) > 1 else "",
        diverged_seeds=tuple(sorted(set(runs) - set(errors))),
        decays_tried=tuple(sorted({setting[1] for setting in tried})),
        momenta_tried=tuple(sorted({setting[2] for setting in tried}, key=str)),
        selection_seeds=tuple(sorted(shared)) if apart and len(tried) > 1 else (),
        selection_missing=tuple(sorted(set().union(*tried.values()) - shared)) if apart else (),
    )


def _choose(place: Place, tried: Runs) -> tuple[Setting, set[int]]:
    """The setting with the lowest mean held-out error, and the seeds that all settings have."""
    settings = sorted(tried, key=lambda setting: (setting[:2], setting[2] or ""))
    shared = set.intersection(*map(set, tried.values()))
    if len(settings) == 1:
        return settings[0], shared
    if not shared:
        raise ValueError(f"the rates of {place[0]} at {place[1]} must share a seed to be compared, got none.")
    order = sorted(shared)
    means = [statistics.mean([_read_holdout_error(tried[setting][seed]) for seed in order]) for setting in settings]
    return settings[means.index(min(means))], shared


def _name(setting: Setting) -> str:
    momentum = "" if setting[2] is None else f", momentum {setting[2]}"
    return f"peak_value {setting[0]:g}, weight_decay {setting[1]:g}{momentum}"


def _find_resolution(runs: Iterable[Record], errors: Sequence[float]) -> float | None:
    sizes = {(run.get("data") or {}).get("test") for run in runs}
    return statistics.find_resolution(errors, sizes.pop()) if len(sizes) == 1 else None


def _check_one_study(records: Sequence[Record], *, but: AbstractSet[str] = frozenset()) -> None:
    for record in records:
        first, config = records[0]["config"], record["config"]
        for key in sorted((first.keys() | config.keys()) - VARIED - but):
            if first.get(key) != config.get(key):
                raise ValueError(f"{key} must be the same in all records, got {first.get(key)!r}, {config.get(key)!r}.")


def _has_diverged(record: Record) -> bool:
    return record["diverged_at"] is not None


def _read_test_error(record: Record) -> float:
    if record["test_error"] is None:
        raise ValueError(f"test_error must be a number unless the run diverged, got null: {_describe(record)}.")
    return float(record["test_error"])


def _read_holdout_error(record: Record) -> float:
    if _has_diverged(record):
        return math.inf
    if record["holdout_error"] is None:
        raise ValueError(
            f"holdout_error must be there to choose among several peak values, got null: {_describe(record)}."
        )
    return float(record["holdout_error"])


def _describe(record: Record) -> str:
    return f"{record['label']} at {record['config']['budget']}, peak_value {record['config']['peak_value']}"
