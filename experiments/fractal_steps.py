"""Fractal steps: Chebyshev steps in four orders on quadratics, and a block of eight repeated on a small network.

Claim     One pass of T Chebyshev steps contracts a quadratic by 2 r^T / (1 + r^(2T)), r = (sqrt k - 1) / (sqrt k + 1),
          in any order; in the fractal order no suffix expands, and the prefixes stay below k, while they grow
          exponentially with T in descending order, as the suffixes do in ascending order. A network can be trained
          with a repeated block of 8, although single steps of it are too large to be stable at a constant rate.
Source    Agarwal, Goel, Zhang, ICML 2021, arXiv:2103.01338; its figure 6 is ResNet-18 on CIFAR-10, batch 8192, T = 8
          repeated. The bounds are derived in fractal_bounds.py, whose constants need not be the paper's. Chosen here:
          everything else of the networks; plain gradient descent, which the theorem is about.
Command   python experiments/fractal_steps.py [--scale paper --data-dir FOLDER] [--dry-run] [--out runs/fractal_steps]
Time      cpu: 244 runs of an MLP on the digits, 24,400 updates, and the quadratics: 80 seconds of one core. paper:
          ResNet-20, the nearest here to ResNet-18; 195,200 updates of 8,192 images, for a GPU.
Expected  the contraction to 1e-12; for T = 64, k = 1000 a largest prefix of 868 (fractal) against 5e30 (descending);
          n = 10: fractal is not told apart from a constant rate, 3.9 against 3.3 % and 1.6 against 1.8 %.
"""

import argparse
import itertools
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import fractal_bounds
from entries import minus, name_best, spread

import lrsched
from lrsched import files
from lrsched.analysis import drawing, markdown, statistics
from lrsched.runs import many
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.report import ignore
from lrsched.runs.task import resolve
from lrsched.training import devices

KAPPAS = (10.0, 100.0, 1000.0)
STEPS = (8, 16, 32, 64, 128, 256, 512)
SHOWN = (8, 64, 512)  # of them, in the table
ARMS = {
    "fractal": "fractal",
    "descending": "fractal:order=descending",
    "ascending": "fractal:order=ascending",
    "constant": "constant",
}
MATCHED = "constant, fractal's mean rate"
HOLDOUT = 0.1  # of the training set, where rates are chosen
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {"data": "digits", "model": "mlp", "batch_size": 360, "augment": False, "weight_decay": 0.0},
    "paper": {"data": "cifar10", "model": "resnet20", "batch_size": 8192},
}
BUDGETS = {"cpu": (40, 160), "paper": (400, 1200)}  # updates: blocks of 8, whole
RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # the highest of the schedule


def mean_factor() -> float:
    """The mean rate of a block over its highest."""
    eta = lrsched.chebyshev_steps(0.1, 1.0, 8)
    return float(eta.mean() / eta.max())


def train(args: argparse.Namespace, schedule: str, rate: float, seed: int, updates: int, holdout: float) -> Any:
    """The record of one run, which is not made again if it is there."""
    config = RunConfig(
        schedule=schedule,
        peak_value=rate,
        seed=seed,
        momentum=f"{args.momentum:g}",
        budget=f"{updates}st",
        max_epochs=1e6,  # no limit
        holdout_fraction=holdout,
        **SETTINGS[args.scale],
    )
    todo = many.resolve_all([config], data_dir=args.data_dir, count=1)
    (record,) = many.train_all(todo, args.out / "runs", count=1, report=ignore)
    return record


def choose(args: argparse.Namespace, schedule: str, updates: int) -> tuple[float, list[dict[str, Any]]]:
    """The rate of the least mean held-out loss, and those of all; None where a run diverged."""
    tried = []
    for rate in args.rates:
        found = [train(args, schedule, rate, seed, updates, HOLDOUT)["holdout_loss"] for seed in args.selection_seeds]
        tried.append({"rate": rate, "loss": None if None in found else statistics.mean(found)})
    known = [one for one in tried if one["loss"] is not None]
    if not known:
        raise ValueError(f"rates must have one at which {schedule} does not diverge, got {args.rates}.")
    return min(known, key=lambda one: one["loss"])["rate"], tried


def train_networks(args: argparse.Namespace, updates: int) -> dict[str, Any]:
    """Every arm under one budget: its rate, chosen with seeds of its own, and its test errors with fresh ones."""
    chosen, held = dict[str, float](), dict[str, Any]()
    for name, schedule in ARMS.items():
        chosen[name], held[name] = choose(args, schedule, updates)
    chosen[MATCHED] = chosen["fractal"] * mean_factor()
    arms = {}
    for name, rate in chosen.items():
        made = {seed: train(args, ARMS.get(name, "constant"), rate, seed, updates, 0.0) for seed in args.seeds}
        arms[name] = {
            "rate": rate,
            **({"held_out": held[name]} if name in held else {}),
            "seeds": {
                str(seed): {"error": one["test_error"], "loss": one["test_loss"], "digest": one["params_digest"]}
                for seed, one in made.items()
            },
        }
        print(f"{updates} updates, {name} at {rate:g}: {_cell(arms[name], 'error')} %", flush=True)
    return {"updates": updates, "arms": arms}


def values(arm: Mapping[str, Any], field: str) -> dict[int, float]:
    """Seed -> what it came to; infinite where it diverged."""
    return {int(seed): math.inf if one[field] is None else one[field] for seed, one in arm["seeds"].items()}


def _cell(arm: Mapping[str, Any], field: str) -> str:
    found = values(arm, field)
    diverged = sum(map(math.isinf, found.values()))
    if diverged:
        return markdown.diverged(diverged, len(found))
    if field == "error":
        return spread(found.values())
    sd = statistics.sd(list(found.values()))
    return f"{statistics.mean(list(found.values())):.4f}" + ("" if sd is None else f" ± {sd:.4f}")


def count(args: argparse.Namespace) -> str:
    """What would be trained.

    Raises:
      ValueError: if a schedule has no rates under a budget.
    """
    for schedule, rate, updates in itertools.product(ARMS.values(), args.rates, args.budgets):
        lrsched.plan(schedule, updates, peak_value=rate).table()
    each = len(ARMS) * len(args.rates) * len(args.selection_seeds) + (len(ARMS) + 1) * len(args.seeds)
    total, size = each * sum(args.budgets), SETTINGS[args.scale]["batch_size"]
    return f"{each * len(args.budgets):,} runs, {total:,} updates of {size:,} examples; nothing was trained"


def write_power(log: float | None) -> str:
    """10**log in few characters; None is an overflow."""
    if log is None:
        return "overflow"
    if -2 < log < 5:
        return f"{10**log:.3g}" if log < 3 else f"{10**log:,.0f}"
    exponent = math.floor(log)
    digit = f"{10 ** (log - exponent):.1f}"
    return f"1.0e{exponent + 1}" if digit == "10.0" else f"{digit}e{exponent}"


def tabulate_quadratics(record: Mapping[str, Any]) -> str:
    """The table of orders on quadratics, and what is said of it."""
    entries = record["quadratics"]
    head = ["k", "T", "order", "whole", "largest prefix", "largest suffix", "noise variance", "float32", "float64"]
    rows = [head]
    for entry in sorted(entries, key=lambda one: (one["kappa"], one["steps"])):
        for order in fractal_bounds.ORDERS if entry["steps"] in SHOWN else ():
            found = entry["orders"][order]
            cells = [
                write_power(found[name]) for name in ("whole", "prefix", "suffix", "noise", *fractal_bounds.FLOATS)
            ]
            if order == "fractal":
                for i, name in enumerate(("prefix", "suffix", "noise"), start=1):
                    cells[i] += f" (<= {write_power(entry['bounds'][name])})"
            rows.append([f"{entry['kappa']:g}", f"{entry['steps']}", order, *cells])
    apart = max(abs(one["orders"][order]["whole"] - one["contraction"]) for one in entries for order in one["orders"])
    closest = max(one["closest"] for one in entries)
    first = sum(one["orders"]["fractal"]["after"] == 1 for one in entries)
    return (
        f"{markdown.table(rows, align='rrl' + 'r' * 6)}\n"
        "Chebyshev steps for curvatures from 1 / k to 1. Whole: the norm of all T steps' product; prefix and suffix: "
        "the largest norm of the product of the first or last 1 to T steps; noise variance: what variance 1 added "
        "after every step ends as; (<= the bound of the fractal order, derived in `experiments/fractal_bounds.py`). "
        "float32, float64: relative error after one pass of gradient descent on a dense quadratic of "
        f"{fractal_bounds.DIMENSIONS} dimensions. Random: one permutation.\n\n"
        f"The norm of the whole differs from 2 r^T / (1 + r^(2T)) by at most {math.expm1(apart * math.log(10)):.0e} of "
        f"it, for T of {', '.join(map(str, sorted({one['steps'] for one in entries})))}. No prefix or suffix of the "
        f"fractal order is above its bound by more than {max(0.0, math.expm1(closest * math.log(10))):.0e} of it. Its "
        f"largest prefix is the first step alone in {first} of {len(entries)} cases.\n"
    )


def tabulate_networks(record: Mapping[str, Any]) -> str:
    """The table of networks, and which arms are told apart."""
    rows = [["updates", "schedule", "highest rate", "mean rate", "error, %", "minus constant", "NLL"]]
    apart = []
    for each in record["networks"]:
        arms = each["arms"]
        errors = {name: values(arm, "error") for name, arm in arms.items()}
        for name in (*ARMS, MATCHED):
            arm = arms[name]
            tried = [one["rate"] for one in arm.get("held_out", [])]
            rate = f"{arm['rate']:.3g}" + "*" * (arm["rate"] in (tried and (min(tried), max(tried))))
            mean = arm["rate"] * (1 if name.startswith("constant") else mean_factor())
            gone = any("diverged" in _cell(each, "error") for each in (arm, arms["constant"]))
            less = "-" if gone else minus(errors[name], errors["constant"])
            cells = [_cell(arm, "error"), less, _cell(arm, "loss")]
            rows.append([f"{each['updates']}", name, rate, f"{mean:.3g}", *cells])
        apart += [f"{each['updates']} updates. {_separate(each, 'error')} {_separate(each, 'loss')} {_say_held(arms)}"]
    setting = record["setting"]
    return (
        f"{markdown.table(rows, align='rl' + 'r' * 5)}\n"
        f"Test error and loss in nats, mean ± sd over {len(record['seeds'])} seeds, of {setting['model']} on "
        f"{setting['data']}, batch size {setting['batch_size']}, momentum {record['momentum']:g}. Blocks of T = 8 for "
        "curvatures from 0.1 to 1, repeated, in three orders. The highest rate has the least held-out loss of "
        f"{', '.join(f'{rate:g}' for rate in record['rates'])} (seeds {', '.join(map(str, record['selection_seeds']))};"
        " * the lowest or highest of them). Differences with their 95 % intervals, paired by seed, each by itself.\n\n"
        + "\n\n".join(apart)
        + "\n"
    )


def _say_held(arms: Mapping[str, Any]) -> str:
    """What a constant rate comes to at the highest rate of the fractal block."""
    rate = arms["fractal"]["rate"]
    fractal, constant = (
        next(one["loss"] for one in arms[name]["held_out"] if one["rate"] == rate) for name in ("fractal", "constant")
    )
    what = "a run diverged" if constant is None else f"it was {constant:.3g}"
    return f"At its rate, {rate:g}, fractal's held-out loss was {fractal:.3g}; at that rate held constant {what}."


def _separate(each: Mapping[str, Any], field: str) -> str:
    """Which arms are separated from the best one, in a sentence."""
    return name_best({name: values(each["arms"][name], field) for name in (*ARMS, MATCHED)}, field)


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figures of record.json."""
    text = f"{tabulate_quadratics(record)}\n{tabulate_networks(record)}"
    files.write_text(out / "table.md", text)
    draw_quadratics(record, out / "quadratics.svg")
    draw_networks(record, out / "networks.svg")
    return text


def draw_quadratics(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """Largest prefix and suffix, and what float32 makes of the pass, over T at the middle condition number."""
    kappas = sorted({one["kappa"] for one in record["quadratics"]})
    kappa = kappas[len(kappas) // 2]
    entries = [one for one in record["quadratics"] if one["kappa"] == kappa]
    steps = [one["steps"] for one in entries]
    titles = {"prefix": "largest prefix", "suffix": "largest suffix", "float32": "error in float32"}
    with drawing.figure(path, (7.2, 3.0)) as figure:
        for axes, (field, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
            for i, order in enumerate(fractal_bounds.ORDERS):
                logs = [one["orders"][order][field] for one in entries]
                logs = [math.nan if log is None else log for log in logs]
                axes.plot(steps, logs, **drawing.look(i), label=order, zorder=3 - i / 4)  # fractal above the others
            if field == "float32":
                whole = [one["contraction"] for one in entries]
                axes.plot(steps, whole, color="grey", linestyle="--", linewidth=1.0, label="contraction")
            axes.set_xscale("log", base=2)
            axes.set_xticks(steps, [str(each) for each in steps])
            axes.minorticks_off()
            axes.set_yscale("symlog", linthresh=1)
            ticks = [-10, -1, 0, 1, 10, 100][0 if field == "float32" else 2 :]
            axes.set_yticks(ticks, [f"{tick}" for tick in ticks])
            axes.set_ylim(bottom=None if field == "float32" else -0.5)
            axes.set_xlabel("T")
            axes.set_title(f"{title}, log10")
        figure.suptitle(f"k = {kappa:g}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)


def draw_networks(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """Held-out loss over the highest rate, a panel for each budget; a run that diverged has no point."""
    budgets = record["networks"]
    with drawing.figure(path, (7.2, 3.2)) as figure:
        for axes, each in zip(figure.subplots(1, len(budgets), squeeze=False)[0], budgets, strict=True):
            for i, name in enumerate(ARMS):
                tried = each["arms"][name]["held_out"]
                loss = [math.nan if one["loss"] is None else one["loss"] for one in tried]
                axes.plot([one["rate"] for one in tried], loss, **drawing.look(i), label=name)
            axes.set_xscale("log", base=2)
            rates = [one["rate"] for one in tried]
            axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
            drawing.use_log_percents(axes, lowest=min(axes.dataLim.intervaly))
            axes.minorticks_off()
            axes.set_xlabel("highest rate")
            axes.set_ylabel("held-out loss, nats")
            axes.set_title(f"{each['updates']} updates")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", choices=list(SETTINGS), default="cpu")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--kappas", type=float, nargs="+", default=list(KAPPAS))
    parser.add_argument("--budgets", type=int, nargs="+", help="updates of a network")
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--selection-seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--dry-run", action="store_true", help="train nothing; say how many updates there would be")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fractal_steps"))
    args = parser.parse_args(words)
    args.budgets = args.budgets or list(BUDGETS[args.scale])
    if args.dry_run:
        print(count(args))
        return 0
    devices.prepare()
    beginning = Beginning()
    record: dict[str, Any] = {
        "quadratics": [one for steps in args.steps for one in fractal_bounds.measure(steps, args.kappas)]
    }
    record["networks"] = [train_networks(args, updates) for updates in args.budgets]
    record |= {name: getattr(args, name) for name in ("momentum", "rates", "seeds", "selection_seeds", "scale")}
    record["setting"] = SETTINGS[args.scale]
    data = resolve(RunConfig(**SETTINGS[args.scale]), data_dir=args.data_dir).task.data
    files.write_json(args.out / "record.json", record | beginning.provenance(data), indent=1)
    print(write_results(record, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
