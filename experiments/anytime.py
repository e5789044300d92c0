"""The anytime picture: test error at every budget, and the updates that all budgets together cost.

Claim     Who wants a network at several budgets need not train one from the beginning for each. Held against a run per
          budget with a rate of its own: a constant trunk with a cooldown at each budget, a cyclic run read where its
          cycles end, a schedule-free optimiser, and the constant trunk itself, averaged. All weights are measured with
          BatchNorm's statistics re-estimated: averages need that, and it alone changes the error of a short run.
Source    Haegele et al., arXiv:2405.18392 (trunk and cooldown); Loshchilov, Hutter, arXiv:1608.03983 (SGDR, T_mult 2);
          Defazio et al., arXiv:2405.15682 (schedule-free); Kaddour, arXiv:2209.14981 (LAWA, the mean of the latest
          checkpoints). Exponential averaging (EMA) with its bias taken out as Adam does.
Command   python experiments/anytime.py [--out runs/anytime]
Time      60,000 updates of ResNet-8 on the digits: 15 minutes on two busy CPU cores.
Expected  n = 5; areas of 2.6 to 3.1 % for EMA, LAWA, cooldowns, schedule-free and fresh runs, none of them separated;
          3.8 % for SGDR, 5.1 % for the constant rate. 675 updates a seed (cooldowns 771) against 1,170.
"""

import argparse
import collections
import dataclasses
import functools
import math
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from averages import estimated, exponential_mean
from entries import minus, spread

from lrsched import cli, files
from lrsched.analysis import drawing, markdown, pairs, statistics
from lrsched.runs import run as runs
from lrsched.runs import trunks
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.task import resolve
from lrsched.training import devices, provenance, soups

BUDGETS = (1, 3, 7, 15)  # epochs: where cycles of 1, 2, 4 and 8 end
RATES = (0.01, 0.03, 0.1, 0.3)
LAWA_CHECKPOINTS, LAWA_PER_EPOCH = 6, 4
HOLDOUT = 0.1  # of the training set, where rates are chosen
FRESH = "fresh linear run per budget"

Errors = list[float]  # one a budget


class Way(NamedTuple):
    """How networks are had at all budgets.

    Attributes:
      measured: which weights and statistics, of `follow`.
      one_run: of the longest budget, read on its way; else a run a budget.
      own_rates: each budget has its own.
    """

    schedule: str
    measured: str = "estimated"
    rates: tuple[float, ...] = RATES
    optimizer: Any = "sgd"
    one_run: bool = True
    own_rates: bool = False


WAYS = {
    FRESH: Way("linear", one_run=False, own_rates=True),
    "constant trunk, cooldowns (WSD)": Way("wsd:warmup=0", one_run=False),
    "one cyclic run (SGDR)": Way("sgdr:first_cycle=1ep,cycle_mult=2"),
    "schedule-free SGD": Way("constant", "running", (0.1, 0.3, 1.0, 3.0), "schedule_free_sgd"),  # it estimates its own
    "constant": Way("constant"),
    "constant, EMA": Way("constant", "ema"),
    "constant, LAWA": Way("constant", "lawa"),
}


def configs(way: Way, rates: Sequence[float], seed: int, holdout: float, budgets: Sequence[int]) -> list[RunConfig]:
    """The runs of one way with one seed: one, or one a budget.

    Args:
      rates: one a budget.
    """
    longest = RunConfig(
        schedule=way.schedule,
        optimizer=way.optimizer,
        peak_value=rates[-1],
        seed=seed,
        holdout_fraction=holdout,
        max_epochs=max(budgets),
        budget=f"{max(budgets)}ep",
    )
    if way.one_run:
        return [longest]
    return [
        dataclasses.replace(longest, budget=f"{budget}ep", peak_value=rate)
        for budget, rate in zip(budgets, rates, strict=True)
    ]


class Followed(NamedTuple):
    """A run, measured after some epochs: errors by what was measured, and the digest of its last weights."""

    errors: dict[str, Errors]
    digest: str


@functools.cache
def follow(config: RunConfig, epochs: tuple[int, ...]) -> Followed:
    """Trains a run and measures it after so many epochs, on held-out data where there is any, else on the test set.

    running: the weights with the statistics that training left; of a schedule-free optimiser its average, estimated.
    estimated: the weights with statistics estimated on training data. Of a constant rate also ema and lawa, likewise.
    """
    print(
        f"{config.optimizer} {config.schedule} {config.budget} rate {config.peak_value:g} seed {config.seed}",
        flush=True,
    )
    run = resolve(config)
    task, per_epoch = run.task, run.task.steps_per_epoch
    averages = config.schedule == "constant" and config.optimizer == "sgd"
    rates, momenta = (runs.values(each, run.total_steps) for each in (run.plan.lr, run.plan.momentum))
    mean, latest = None, collections.deque[Any](maxlen=LAWA_CHECKPOINTS)
    errors = collections.defaultdict[str, Errors](list)
    steps = task.updates(run.initial_state(), seed=config.seed, rates=rates, momenta=momenta)
    for completed, (state, _) in enumerate(steps, start=1):
        jax.block_until_ready(state)  # several virtual devices may wait for each other's sums for good
        if averages:
            params = jax.device_get(state.params)
            mean = exponential_mean(mean, params, completed)
            if completed % (per_epoch // LAWA_PER_EPOCH) == 0:
                latest.append(params)
        if completed in {each * per_epoch for each in epochs}:
            measured = {"running": task.variables(state), "estimated": estimated(task, state.params, state)}
            if averages:
                measured["ema"] = estimated(task, mean, state)
                measured["lawa"] = estimated(task, soups.mean_tree(list(latest)), state)
            for name, variables in measured.items():
                found = task.evaluate(variables, task.holdout or task.test)
                errors[name].append(round(1 - found.accuracy, 10))
    return Followed(dict(errors), provenance.digest(state.params))


def measure(
    way: Way, rates: Sequence[float], seed: int, holdout: float, budgets: Sequence[int], measured: str | None = None
) -> Errors:
    """The errors of one way with one seed."""
    made = configs(way, rates, seed, holdout, budgets)
    epochs = [tuple(budgets)] if way.one_run else [(budget,) for budget in budgets]
    followed = [
        follow(config, each).errors[measured or way.measured] for config, each in zip(made, epochs, strict=True)
    ]
    return [error for errors in followed for error in errors]


def count(made: Iterable[RunConfig]) -> int:
    """Updates of these runs, those that they share made once."""
    resolved = [resolve(config) for config in dict.fromkeys(made)]
    return sum(run.total_steps for run in resolved) - sum(one.spared for one in trunks.find(resolved))


def mean_errors(errors: Iterable[Errors]) -> Errors:
    """Means over seeds, a budget each."""
    return [float(each) for each in np.mean(list(errors), axis=0)]


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


def compare(way: Way, args: argparse.Namespace) -> dict[str, Any]:
    """A way's rates, chosen on held-out data with seeds of their own; its test errors with fresh seeds on all data."""
    budgets, chooses = args.budgets, args.selection_seeds
    trials = {rate: [rate] * len(budgets) for rate in way.rates}
    held = {
        rate: mean_errors(measure(way, rates, seed, HOLDOUT, budgets) for seed in chooses)
        for rate, rates in trials.items()
    }
    rates = choose(held, budgets, each=way.own_rates)
    tried = [one for each in trials.values() for seed in chooses for one in configs(way, each, seed, HOLDOUT, budgets)]
    final = {seed: configs(way, rates, seed, 0.0, budgets) for seed in args.seeds}
    errors = {
        kind: {str(seed): measure(way, rates, seed, 0.0, budgets, kind) for seed in args.seeds}
        for kind in {way.measured, "running"}
    }
    return {
        "rates": rates,
        "held_out": [{"rate": rate, "errors": means} for rate, means in held.items()],
        "errors": errors[way.measured],
        "running": errors["running"] if way.measured == "estimated" else None,
        "updates": count(final[args.seeds[0]]),
        "updates_to_choose": count(tried),
        "runs": [
            {"seed": seed, "budget": config.budget, "rate": config.peak_value, "digest": follow(config, each).digest}
            for seed, made in final.items()
            for config, each in zip(made, [tuple(budgets)] if way.one_run else [(b,) for b in budgets], strict=True)
        ],
    }


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figure of record.json."""
    budgets, ways = record["budgets"], record["anytime"]
    areas = {way["name"]: {int(seed): area(each, budgets) for seed, each in way["errors"].items()} for way in ways}
    best = min(areas, key=lambda name: statistics.mean(list(areas[name].values())))
    others = {name: each for name, each in areas.items() if name != best}
    apart = pairs.tell_apart(areas[best], others)
    head = ["way", *(f"{budget} epoch{'s' if budget > 1 else ''}" for budget in budgets)]
    rows = [[*head, "area", "minus fresh", "running statistics", "updates", "to choose the rate", "rate"]]
    for way in ways:
        name = way["name"]
        columns = [*zip(*way["errors"].values(), strict=True), areas[name].values()]
        *cells, height = map(spread, columns)
        height = f"**{height}**" if name == best else height if apart[name] else f"{height} †"
        tried = [one["rate"] for one in way["held_out"]]
        ends = {min(tried), max(tried)}
        rates = ", ".join(f"{rate:g}" + "*" * (rate in ends) for rate in dict.fromkeys(way["rates"]))
        counts = (f"{way[field]:,}" for field in ("updates", "updates_to_choose"))
        running = spread(area(each, budgets) for each in way["running"].values()) if way["running"] else "-"
        rows.append([name, *cells, height, minus(areas[name], areas[FRESH]), running, *counts, rates])
    seeds = len(ways[0]["errors"])
    alike = [name for name in others if not apart[name]]
    against = {name: statistics.compare(areas[name], areas[FRESH]).interval for name in areas if name != FRESH}
    even = [name for name, bounds in against.items() if bounds is None or bounds[0] <= 0 <= bounds[1]]
    text = (
        f"{markdown.table(rows, align='l' + 'r' * (len(rows[0]) - 1))}\n"
        f"Test error in %, mean ± sd over {seeds} fresh seeds. Area: mean height of the error drawn over the logarithm "
        "of the budget. Updates: of one seed, to have a network at every budget, what runs share made once; then those "
        "made with other seeds, on held-out data, to choose the rate. Of a fresh run each budget has its own rate. "
        "All weights have BatchNorm's statistics re-estimated on 50 training batches; running statistics: the area "
        "with those that training left. Minus fresh: difference of the areas with its 95 % interval, paired by seed. "
        "* a chosen rate is the lowest or highest of those tried.\n\n"
        f"Bold: the least area; †: not separated from it (moderated paired t tests at 5 %, one family of all pairs). "
        + (f"Not separated from it: {'; '.join(alike)}." if alike else "All others are separated from it.")
        + " It was taken for being the best of these very seeds, which flatters it.\n\n"
        + f"The interval against fresh runs, not adjusted for their number, holds 0 for: {'; '.join(even) or 'none'}.\n"
    )
    files.write_text(out / "table.md", text)
    draw(record, out / "anytime.svg")
    return text


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
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/anytime"))
    args = parser.parse_args(words)
    devices.prepare()
    beginning = Beginning()
    found = [{"name": name, **compare(way, args)} for name, way in WAYS.items()]
    data = resolve(RunConfig()).task.data
    record = {"anytime": found, "budgets": args.budgets, **beginning.provenance(data)}
    files.write_json(args.out / "record.json", record, indent=1)
    print(write_results(record, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
