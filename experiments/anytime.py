"""The anytime picture: test error at every budget, and the updates that all budgets together cost.

Claim     Who wants a network at several budgets need not train one from the beginning for each. Held against a run per
          budget with a rate of its own: a constant trunk with a cooldown at each budget, a cyclic run read where its
          cycles end, a schedule-free optimiser, and the constant trunk itself, averaged.
Source    Haegele et al., arXiv:2405.18392 (trunk and cooldown); Loshchilov, Hutter, arXiv:1608.03983 (SGDR, T_mult 2);
          Defazio et al., arXiv:2405.15682 (schedule-free); Kaddour, arXiv:2209.14981 (LAWA, the mean of the latest
          checkpoints). Exponential averaging (EMA) with its bias taken out as Adam does.
Command   python experiments/anytime.py [--out runs/anytime]
Time      40,000 updates of ResNet-8 on the digits: 10 minutes on two CPU cores. Runs on record are not made again.
Expected  n = 5; area 2.6 to 3.0 % for the averages (EMA, LAWA), schedule-free and fresh runs, not separated; 3.6 % for
          the cooldowns, 4.4 % for SGDR, 6.7 % for the constant rate as it is. 675 to 771 updates a seed against 1,170.
"""

import argparse
import collections
import dataclasses
import math
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrsched import display, files
from lrsched.analysis import drawing, markdown, pairs, statistics
from lrsched.runs import many
from lrsched.runs import run as runs
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.report import Record
from lrsched.runs.task import Task, resolve
from lrsched.training import devices, predict, provenance, soups

BUDGETS = (1, 3, 7, 15)  # epochs: where cycles of 1, 2, 4 and 8 end
RATES = (0.01, 0.03, 0.1, 0.3)
EMA_DECAY = 0.98  # a mean over about the last epoch
LAWA_CHECKPOINTS, LAWA_PER_EPOCH = 6, 4
FRESH = "fresh linear run per budget"
AVERAGES = {"raw": "constant, as it is", "ema": "constant, EMA", "lawa": "constant, LAWA"}

HOLDOUT = 0.1  # of the training set, where rates are chosen

Errors = list[float]  # one a budget
Train = Callable[[Mapping[Any, list[RunConfig]], pathlib.Path], dict[Any, list[Record]]]


class Way(NamedTuple):
    """How networks are had at all budgets, but for those that average."""

    schedule: str
    rates: tuple[float, ...] = RATES
    optimizer: Any = "sgd"
    read_on_the_way: bool = False  # one run, of the longest budget


WAYS = {
    FRESH: Way("linear"),
    "constant trunk, cooldowns (WSD)": Way("wsd:warmup=0"),
    "one cyclic run (SGDR)": Way("sgdr:first_cycle=1ep,cycle_mult=2", read_on_the_way=True),
    "schedule-free SGD": Way("constant", (0.1, 0.3, 1.0, 3.0), "schedule_free_sgd", read_on_the_way=True),
}


def configs(way: Way, rate: float, seed: int, holdout_fraction: float, budgets: Sequence[int]) -> list[RunConfig]:
    """The runs of one way at one rate and with one seed."""
    longest = RunConfig(
        schedule=way.schedule,
        optimizer=way.optimizer,
        peak_value=rate,
        seed=seed,
        holdout_fraction=holdout_fraction,
        max_epochs=max(budgets),
        budget=f"{max(budgets)}ep",
        evaluate_every="1ep" if way.read_on_the_way else None,
    )
    if way.read_on_the_way:
        return [longest]
    return [dataclasses.replace(longest, budget=f"{budget}ep") for budget in budgets]


def read(records: Sequence[Record], part: str, budgets: Sequence[int]) -> Errors:
    """The errors of one way, rate and seed; infinite where a run diverged."""
    if any(record["diverged_at"] is not None for record in records):
        return [math.inf] * len(budgets)
    if len(records) == len(budgets) > 1:
        return [record[f"{part}_error"] for record in records]
    (record,) = records
    found = dict(zip(record["evaluations"]["steps"], record["evaluations"]["errors"], strict=True))
    return [found[budget * record["steps_per_epoch"]] for budget in budgets]


def area(errors: Iterable[float], budgets: Sequence[int]) -> float:
    """Mean height of the errors drawn over the logarithm of the budget."""
    logs = np.log(np.asarray(budgets, float))
    return float(np.trapezoid(list(errors), logs) / (logs[-1] - logs[0]))


def choose(errors: Mapping[float, Errors], budgets: Sequence[int], *, each: bool) -> list[float]:
    """The rate for each budget: of a way that begins anew for `each` the best there, else that of the least area."""
    if each:
        return [min(sorted(errors), key=lambda rate: errors[rate][place]) for place in range(len(budgets))]
    best = min(sorted(errors), key=lambda rate: area(errors[rate], budgets))
    return [best] * len(budgets)


def constant(rate: float, seed: int, holdout_fraction: float, budgets: Sequence[int]) -> dict[str, Any]:
    """Trains at a constant rate; the errors of the weights, of their EMA and of LAWA at each budget.

    Averages have BatchNorm's statistics re-estimated on training data, which they were never trained with.
    """
    print(f"constant, rate {rate:g}, seed {seed}", flush=True)
    (config,) = configs(Way("constant", read_on_the_way=True), rate, seed, holdout_fraction, budgets)
    run = resolve(config)
    task, per_epoch = run.task, run.task.steps_per_epoch
    split = task.holdout or task.test
    rates, momenta = (runs.values(each, run.total_steps) for each in (run.plan.lr, run.plan.momentum))
    mean, latest = None, collections.deque[Any](maxlen=LAWA_CHECKPOINTS)
    errors: dict[str, Errors] = {name: [] for name in AVERAGES}
    steps = task.updates(run.initial_state(), seed=config.seed, rates=rates, momenta=momenta)
    for completed, (state, _) in enumerate(steps, start=1):
        params = jax.device_get(state.params)
        share = (1 - EMA_DECAY) / (1 - EMA_DECAY**completed)  # the first weight counts as it is
        mean = params if mean is None else soups.interpolate(mean, params, alpha=share)
        if completed % (per_epoch // LAWA_PER_EPOCH) == 0:
            latest.append(params)
        if completed in {budget * per_epoch for budget in budgets}:
            averaged = {"raw": task.variables(state)}
            averaged["ema"] = with_statistics(task, mean, state)
            averaged["lawa"] = with_statistics(task, soups.mean_tree(list(latest)), state)
            for name, variables in averaged.items():
                errors[name].append(round(1 - task.evaluate(variables, split).accuracy, 10))
    digest = provenance.digest(params)
    return {"rate": rate, "seed": seed, "updates": run.total_steps, "errors": errors, "params_digest": digest}


def with_statistics(task: Task, params: Any, state: Any) -> dict[str, Any]:
    """Weights with BatchNorm's statistics estimated for them."""
    variables = {**state.variables, "params": params}
    size = task.batch_size
    words: dict[str, Any] = {"model": task.model, "data": task.train, "batch_size": size, "batches": 50}
    return {**variables, "batch_stats": predict.estimate_statistics(variables, **words, **task.augmentation)}


def made(records: Iterable[Record]) -> int:
    """Updates that were made for these runs, those that they share once."""
    return sum(record["total_steps"] - record.get("trunk", {"step": 0})["step"] for record in records)


class Rated(NamedTuple):
    """How a way fared on held-out data."""

    errors: dict[float, Errors]  # rate -> mean errors over the seeds that choose
    rates: list[float]  # the chosen ones
    updates: int  # made to choose


def rate_ways(args: argparse.Namespace, train: Train) -> dict[str, Rated]:
    """The rates of all ways but the averages."""
    trials = {
        (name, rate, seed): configs(way, rate, seed, HOLDOUT, args.budgets)
        for name, way in WAYS.items()
        for rate in way.rates
        for seed in args.selection_seeds
    }
    found, rated = train(trials, args.out / "selection"), {}
    for name, way in WAYS.items():
        errors = {
            rate: mean_errors(read(found[name, rate, seed], "holdout", args.budgets) for seed in args.selection_seeds)
            for rate in way.rates
        }
        updates = sum(made(rows) for trial, rows in found.items() if trial[0] == name)
        rated[name] = Rated(errors, choose(errors, args.budgets, each=name == FRESH), updates)
    return rated


def rate_averages(args: argparse.Namespace) -> dict[str, Rated]:
    """The rate of each average; all are read off the same runs."""
    tried = {rate: [constant(rate, seed, HOLDOUT, args.budgets) for seed in args.selection_seeds] for rate in RATES}
    updates, rated = sum(row["updates"] for rows in tried.values() for row in rows), {}
    for kind, name in AVERAGES.items():
        errors = {rate: mean_errors(row["errors"][kind] for row in rows) for rate, rows in tried.items()}
        rated[name] = Rated(errors, choose(errors, args.budgets, each=False), updates)
    return rated


def mean_errors(errors: Iterable[Errors]) -> Errors:
    """Means over seeds, a budget each."""
    return [float(each) for each in np.mean(list(errors), axis=0)]


def measure(args: argparse.Namespace, train: Train) -> dict[str, Any]:
    """Rates chosen on held-out data with seeds of their own, then test errors with fresh seeds on all training data."""
    rated = {**rate_ways(args, train), **rate_averages(args)}
    fresh = {
        (name, seed): [
            configs(way, rate, seed, 0.0, args.budgets)[0 if way.read_on_the_way else place]
            for place, rate in enumerate(rated[name].rates[:1] if way.read_on_the_way else rated[name].rates)
        ]
        for name, way in WAYS.items()
        for seed in args.seeds
    }
    found = train(fresh, args.out)
    rates = dict.fromkeys(rated[name].rates[0] for name in AVERAGES.values())
    constants = [constant(rate, seed, 0.0, args.budgets) for rate in rates for seed in args.seeds]
    errors: dict[str, dict[str, Errors]] = {
        name: {str(seed): read(found[name, seed], "test", args.budgets) for seed in args.seeds} for name in WAYS
    }
    updates = {name: made(found[name, args.seeds[0]]) for name in WAYS}
    for kind, name in AVERAGES.items():
        rows = [row for row in constants if row["rate"] == rated[name].rates[0]]
        errors[name] = {str(row["seed"]): row["errors"][kind] for row in rows}
        updates[name] = rows[0]["updates"]
    ways = [
        {
            "name": name,
            "rates": one.rates,
            "held_out": [{"rate": rate, "errors": means} for rate, means in one.errors.items()],
            "errors": errors[name],
            "updates": updates[name],
            "updates_to_choose": one.updates,
        }
        for name, one in rated.items()
    ]
    return {"anytime": ways, "constants": constants, "budgets": list(args.budgets)}


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figure of record.json."""
    budgets, ways = record["budgets"], record["anytime"]
    areas = {way["name"]: {int(seed): area(each, budgets) for seed, each in way["errors"].items()} for way in ways}
    best = min(areas, key=lambda name: statistics.mean(list(areas[name].values())))
    others = {name: each for name, each in areas.items() if name != best}
    apart = pairs.tell_apart(areas[best], others)
    head = ["way", *(f"{budget} epoch{'s' if budget > 1 else ''}" for budget in budgets)]
    rows = [[*head, "area", "minus fresh", "updates", "to choose the rate", "rate"]]
    for way in ways:
        name = way["name"]
        columns = [*zip(*way["errors"].values(), strict=True), areas[name].values()]
        *cells, height = map(spread, columns)
        height = f"**{height}**" if name == best else height if apart[name] else f"{height} †"
        rates = ", ".join(f"{rate:g}" for rate in dict.fromkeys(way["rates"]))
        tried = [one["rate"] for one in way["held_out"]]
        rates += "*" * bool({min(tried), max(tried)} & set(way["rates"]))
        counts = (f"{way[field]:,}" for field in ("updates", "updates_to_choose"))
        rows.append([name, *cells, height, minus(areas[name], areas[FRESH]), *counts, rates])
    seeds = len(ways[0]["errors"])
    alike = [name for name in others if not apart[name]]
    against = {name: statistics.compare(areas[name], areas[FRESH]).interval for name in areas if name != FRESH}
    even = [name for name, bounds in against.items() if bounds is None or bounds[0] <= 0 <= bounds[1]]
    text = (
        f"{markdown.table(rows, align='l' + 'r' * (len(rows[0]) - 1))}\n"
        f"Test error in %, mean ± sd over {seeds} fresh seeds. Area: mean height of the error drawn over the logarithm "
        "of the budget. Updates: of one seed, to have a network at every budget, what runs share made once; then those "
        "made with other seeds, on held-out data, to choose the rate. Of a fresh run each budget has its own rate. "
        "Minus fresh: difference of the areas with its 95 % interval, paired by seed. * a chosen rate is the lowest or "
        "highest of those tried.\n\n"
        f"Bold: the least area; †: not separated from it (moderated paired t tests at 5 %, one family of all pairs). "
        + (f"Not separated from it: {'; '.join(alike)}." if alike else "All others are separated from it.")
        + " It was taken for being the best of these very seeds, which flatters it.\n\n"
        + f"The interval against fresh runs, not adjusted for their number, holds 0 for: {'; '.join(even) or 'none'}.\n"
    )
    files.write_text(out / "table.md", text)
    draw(record, out / "anytime.svg")
    return text


def spread(errors: Iterable[float]) -> str:
    """Mean and sd of errors, in %."""
    values = [100 * error for error in errors]
    sd = statistics.sd(values)
    return f"{statistics.mean(values):.2f}" + ("" if sd is None else f" ± {sd:.2f}")


def minus(first: Mapping[int, float], second: Mapping[int, float]) -> str:
    """The mean difference, in %, and its 95 % interval."""
    if first == second:
        return "-"
    found = statistics.compare(first, second)
    bounds = f" [{', '.join(f'{100 * bound:.2f}' for bound in found.interval)}]" if found.interval else ""
    return f"{100 * found.mean:.2f}{bounds}"


def draw(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """Mean error of each way over the budget; beside it its area, mean and sd, and the updates for all budgets."""
    budgets, ways = record["budgets"], record["anytime"]
    with drawing.figure(path, (7.2, 4.0)) as figure:
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
        lowest = math.inf
        for i, way in enumerate(ways):
            means = [100 * each for each in mean_errors(way["errors"].values())]
            lowest = min(lowest, *means)
            left.plot(budgets, means, label=way["name"], **drawing.look(i))
            heights = [100 * area(each, budgets) for each in way["errors"].values()]
            look = {**drawing.look(i), "linestyle": "none"}
            right.errorbar(statistics.mean(heights), -i, xerr=statistics.sd(heights), **look)
        left.set_xscale("log")
        left.set_xticks(budgets, [str(budget) for budget in budgets])
        left.minorticks_off()
        drawing.use_log_percents(left, lowest=lowest)
        left.set_xlabel("budget, epochs")
        left.set_ylabel("test error, %")
        right.set_yticks([-i for i in range(len(ways))], [f"{way['updates']:,}" for way in ways])
        right.set_xlabel("area, % (mean ± sd)")
        right.set_ylabel("updates for all budgets")
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS), help="epochs; cycles must end there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--selection-seeds", type=int, nargs="+", default=[100, 101])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/anytime"))
    args = parser.parse_args(words)
    devices.prepare()
    beginning = Beginning()

    def train(asked: Mapping[Any, list[RunConfig]], out: pathlib.Path) -> dict[Any, list[Record]]:
        todo = many.resolve_all([one for group in asked.values() for one in group], data_dir=None, count=args.workers)
        with display.progress(out.name) as report:
            records = iter(many.train_all(todo, out, count=args.workers, report=report, share_trunks=True))
        return {name: [next(records) for _ in group] for name, group in asked.items()}

    found = measure(args, train)
    data = resolve(configs(WAYS[FRESH], RATES[0], args.seeds[0], 0.0, args.budgets)[0]).task.data
    record = {**found, **beginning.provenance(data)}
    files.write_json(args.out / "record.json", record, indent=1)
    print(write_results(record, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
