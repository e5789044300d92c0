"""Super-convergence in small: 1cycle for N epochs against steps for N and for 8 N, on all images and on 10,000.

Claim     One cycle with a large rate comes, in an eighth of the updates, to a lower error than a step schedule, and the
          more so the fewer images there are.
Source    Smith, Topin, arXiv:1708.07120, and the logs that they published with it: ResNet-56, CIFAR-10, batch 1000 over
          8 GPUs, weight decay 1e-4, a triangle 0.1 - 3 - 0.1 in 10,000 updates, momentum 0.9, against 0.35 with a tenth
          at 50,000 and 70,000 of 80,000. Here N = 3 epochs, ResNet-20, batch 128; 1cycle as in Smith's later paper,
          momentum included, at a tenth of the rate where a range test's smoothed loss is lowest; steps at 1/2 and 3/4.
          Their images were mirrored, here they are shifted as well; which 10,000 they took is not known.
Command   python experiments/super_convergence.py --data-dir FOLDER [--scale paper] [--dry-run]
          python experiments/super_convergence.py --gather FOLDER, which writes the table of the runs on record
Time      62 epochs of 50,000 images: two hours on two CPU cores. What is on record is not made again.
          The rates of the steps are chosen by one seed on 10 % of the training images, by runs of N epochs; the long
          runs take that rate over, which may not be their best: --choose-long chooses theirs by long runs, in 78 epochs
          more. Fresh seeds then train on all training images, and are tested once: three, of the long runs one. With
          10,000 images an epoch has a fifth of the updates; --few-short 15ep --few-long 120ep gives both sets the same
          number, as the paper's scale does, in 41 epochs of 50,000 more.
Expected  final test errors in the logs, single runs: 7.56 % for the cycle, 9.68 % for the steps, with ResNet-20 9.58
          and 11.36 %; with 10,000 images (ResNet-56 alone) 19.41 and 28.80 %. The steps there are a weak rival: others
          came to 6.5 % in 100 epochs at 0.1, batch 64.
          Here 27.2 % for the cycle and 33.8 % for steps of 3 epochs (n = 3), 12.5 % for those of 24 (n = 1); with
          10,000 images 55.1, 55.6 and 28.8 %.
"""

import argparse
import dataclasses
import math
import pathlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from entries import minus
from onecycle_cifar10 import best_rate, suggested, train

from lrsched import cli, files
from lrsched.analysis import drawing, markdown
from lrsched.analysis.study.cells import Cell, gather
from lrsched.runs import many, records
from lrsched.runs.config import RunConfig
from lrsched.runs.ramps import Ramp
from lrsched.schedules import language
from lrsched.training import data as datasets
from lrsched.training import devices, splits

OPTIONS = {  # options of this script
    "cpu": """--cycle onecycle --steps step --rates 0.03 0.1 0.3 --short 3ep --long 24ep
        --model resnet20 --batch-size 128 --out runs/super_convergence""",
    "paper": """--cycle clr:half_cycle=50%,initial_fraction=0.0333333 --cycle-rate 3
        --steps step:fractions=0.625/0.875 --rates 0.35 --short 10000st --long 80000st
        --model resnet56 --batch-size 1000 --out runs/super_convergence_paper""",
}
CHOOSES = 0  # the seed; those behind it are fresh
HOLDOUT = 0.1  # of the training set, where rates are chosen
SUBSET_SEED = 10
PARTS = ("all", "few")  # folders
# Final test error in % in the logs, by network: of the cycle, of the steps at eight times its length.
PRINTED = {
    "resnet20": {"all": (9.58, 11.36)},
    "resnet56": {"all": (7.56, 9.68), "few": (19.41, 28.80)},
}
PRINTED_UPDATES = (10_000, 80_000)
TICKS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)  # of the figure, in updates

Place = tuple[str, str]  # a schedule's words (of a record, its label) and a budget


def subset(name: str, examples: int, data_dir: Any = None) -> datasets.Dataset:
    """A data set with so many of its training examples, always the same ones, as many of each class as can be."""
    whole = datasets.load(name, data_dir=data_dir)
    _, part = splits.divide(whole.train, examples / len(whole.train), SUBSET_SEED)
    return dataclasses.replace(whole, train=part)


def ten_thousand(data_dir: Any = None) -> datasets.Dataset:
    """CIFAR-10 with 1,000 training images of each class; `--data super_convergence.ten_thousand`."""
    return subset("cifar10", 10_000, data_dir)


class Arms(NamedTuple):
    """What is trained on one data set."""

    data: str
    cycle: Place
    short: Place
    long: Place


def arms(args: argparse.Namespace, part: str) -> Arms:
    few = part == "few"
    short, long = (few and args.few_short) or args.short, (few and args.few_long) or args.long
    return Arms(args.few if few else args.data, (args.cycle, short), (args.steps, short), (args.steps, long))


def choosing(args: argparse.Namespace, part: str) -> list[RunConfig]:
    """The runs that choose the rates of the steps; none if one rate is given."""
    data, _, short, long = arms(args, part)
    places = (short, long) if args.choose_long else (short,)
    if len(args.rates) == 1:
        return []
    return [configure(args, data, place, rate, CHOOSES, HOLDOUT) for place in places for rate in args.rates]


def fresh(args: argparse.Namespace, part: str, rates: Mapping[Place, float]) -> list[RunConfig]:
    """The runs with fresh seeds, the long ones last."""
    data, cycle, short, long = arms(args, part)
    counts = {cycle: args.seeds, short: args.seeds, long: args.long_seeds}
    return [
        configure(args, data, place, rates[place], CHOOSES + 1 + i) for place in counts for i in range(counts[place])
    ]


def configure(
    args: argparse.Namespace, data: str, place: Place, rate: float, seed: int, holdout: float = 0.0
) -> RunConfig:
    return RunConfig(
        data=data,
        model=args.model,
        batch_size=args.batch_size,
        weight_decay=1e-4,
        schedule=place[0],
        budget=place[1],
        peak_value=rate,
        seed=seed,
        holdout_fraction=holdout,
    )


def choose(args: argparse.Namespace, part: str, out: pathlib.Path) -> dict[Place, float]:
    """The rate of each place: of the cycle by the range test, of the steps by runs on held-out data."""
    data, cycle, short, long = arms(args, part)
    common = configure(args, data, cycle, 1.0, CHOOSES, HOLDOUT)
    ramp = Ramp(length=args.length, beta=0.98)  # fastai's, as in onecycle_cifar10
    rate = args.cycle_rate or suggested(common, ramp, data_dir=args.data_dir, out=out)
    if len(args.rates) == 1:
        return {cycle: rate, short: args.rates[0], long: args.rates[0]}
    tried = train(choosing(args, part), out / "selection", data_dir=args.data_dir)
    at = {place: [row for row in tried if row["config"]["budget"] == place[1]] for place in (short, long)}
    label = language.label(args.steps)
    best = best_rate(at[short], label)
    return {cycle: rate, short: best, long: best_rate(at[long], label) if at[long] else best}


def estimate(args: argparse.Namespace) -> str:
    """What would be trained, by data set."""
    lines, total = list[str](), 0
    for part in PARTS:
        rates = dict.fromkeys(arms(args, part)[1:], 1.0)  # the number of runs does not depend on them
        for name, todo in (("to choose rates", choosing(args, part)), ("with fresh seeds", fresh(args, part, rates))):
            updates = sum(run.total_steps for run in many.resolve_all(todo, data_dir=args.data_dir, count=1))
            total += updates
            lines.append(f"{part}: {len(todo)} runs {name}, {updates:,} updates.")
    ramps = "none" if args.cycle_rate else f"two, of {Ramp.seeds} ramps of {args.length} each, come to that"
    return "\n".join([*lines, f"In all {total:,} updates; range tests: {ramps}."])


def write_results(folder: pathlib.Path, out: pathlib.Path) -> str:
    """The table of the runs on record under a folder: returned, and written to out/table.md, with a figure beside it.

    Raises:
      ValueError: if there are none or altered ones, or the runs of a schedule and budget have several rates.
    """
    head = ["training images", "schedule @ rate", "epochs", "updates", "test error, %", "minus long steps", "printed"]
    parts = {part: found for part in PARTS if (found := _read(folder / part))}
    rows, notes = [head], list[str]()
    for part, found in parts.items():
        rows += _tabulate(found, part)
        notes.append(_describe(found, folder / part))
    if not notes:
        raise ValueError(f"{folder} must have runs on record in {' or '.join(PARTS)}, got none.")
    text = (
        f"{markdown.table(rows, align='rlrrrrr')}\n"
        "Mean ± sd (fresh seeds), trained on all of these images and tested once; differences in points, paired by "
        "the seeds that both have, with a 95 % interval where there are two or more. Printed: final errors in % of "
        "single runs in Smith and Topin's logs, of the same network where it has no name: batch 1000, weight decay "
        "1e-4, a triangle up to 3 in 10,000 updates (no tail, momentum 0.9) and steps from 0.35 in 80,000.\n\n"
        + "\n\n".join(notes)
        + "\n"
    )
    files.write_text(out / "table.md", text)
    draw(parts, out / "super_convergence.svg")
    return text


def draw(parts: Mapping[str, Sequence[dict[str, Any]]], path: pathlib.Path) -> None:
    """Test error over updates, a panel a data set: mean ± sd of the cycle and of the steps; hollow: the logs'."""
    with drawing.figure(path, (7.2, 3.6)) as figure:
        panels = figure.subplots(1, len(parts), squeeze=False)[0]
        for axes, (part, found) in zip(panels, parts.items(), strict=True):
            updates = {(row["label"], row["config"]["budget"]): row["total_steps"] for row in found}
            lowest, (network, values) = math.inf, next(iter(_printed(part, found).items()))
            for i, printed in enumerate(values):  # the cycle, the steps
                cells = [cell for cell in _cells(found) if _is_steps(cell.label) == bool(i)]
                ends = [
                    (updates[c.label, c.budget], 100 * c.mean, 100 * (c.sd or 0)) for c in cells if c.mean is not None
                ]
                if not ends:
                    continue
                x, means, spreads = zip(*ends, strict=True)
                name = cells[0].label
                axes.errorbar(x, means, yerr=spreads, label=name, **drawing.look(i))
                hollow = {**drawing.look(i), "linestyle": "none", "markerfacecolor": "white"}
                axes.plot([PRINTED_UPDATES[i]], [printed], **hollow, label=f"{name}, printed")
                lowest = min(lowest, printed, *means)
            axes.set_xscale("log")
            drawing.use_log_percents(axes, lowest=lowest)
            axes.minorticks_off()
            ticks = [tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
            axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axes.set_title(f"{found[0]['data']['train']:,} images; printed: {_title(network)}")
            axes.set_xlabel("updates")
        panels[0].set_ylabel("test error, %")
        named = {name: line for axes in panels for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=4)


def _read(folder: pathlib.Path) -> list[dict[str, Any]]:
    found = records.read(folder / "records.jsonl")
    if found.damaged:
        raise ValueError(f"records must be as they were written, got others: {found.damaged[0]}")
    return list(found.rows)


def _printed(part: str, found: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """The logs' numbers of the network that was trained, if there are any, and of the logs' own."""
    names = dict.fromkeys((found[0]["config"]["model"], "resnet56"))
    return {name: PRINTED[name][part] for name in names if part in PRINTED.get(name, {})}


def _title(model: str) -> str:
    return model.replace("resnet", "ResNet-")


def _tabulate(found: Sequence[dict[str, Any]], part: str) -> list[list[str]]:
    """The rows of one data set: the cycle, the short steps, the long ones; until all are there, nothing beside them."""
    by_place: dict[Place, list[dict[str, Any]]] = {}
    for row in found:
        by_place.setdefault((row["label"], row["config"]["budget"]), []).append(row)
    for (label, budget), those in by_place.items():
        if len(rates := {row["config"]["peak_value"] for row in those}) > 1:
            raise ValueError(f"{label} at {budget} must have one rate in a folder, got {sorted(rates)}: name another.")
    cells = _cells(found)
    cycle, long = cells[0], cells[-1]
    whole = len(cells) == 3
    printed = _printed(part, found) if whole else {}
    model = found[0]["config"]["model"]
    numbers = {
        place: ", ".join(
            f"{values[i]:.2f}" + ("" if network == model else f" ({_title(network)})")
            for network, values in printed.items()
        )
        for i, place in enumerate((cycle.label, long.budget))
    }
    rows = []
    for cell in cells:
        row = by_place[cell.label, cell.budget][0]
        rows.append(
            [
                f"{row['data']['train']:,}",
                f"{markdown.code(cell.label)} @ {cell.peak_value:g}",
                f"{cell.epochs:g}",
                f"{row['total_steps']:,}",
                _entry(cell),
                minus(cell.errors, long.errors) if whole and cell.errors.keys() & long.errors.keys() else "",
                "".join(words for place, words in numbers.items() if place in (cell.label, cell.budget)),
            ]
        )
    return rows


def _cells(found: Sequence[dict[str, Any]]) -> list[Cell]:
    """The cycle's, the short steps', the long ones'."""
    return sorted(gather(found), key=lambda cell: (_is_steps(cell.label), cell.epochs))


def _is_steps(label: str) -> bool:
    return label.partition(":")[0] == "step"


def _entry(cell: Cell) -> str:
    if cell.diverged or cell.mean is None:
        return markdown.diverged(cell.diverged, cell.diverged + cell.n)
    sd = "" if cell.sd is None else f" ± {100 * cell.sd:.2f}"
    return f"{100 * cell.mean:.2f}{sd} ({cell.n})"


def _describe(found: Sequence[dict[str, Any]], folder: pathlib.Path) -> str:
    """What was trained on, with what, and how the rates were come to, in sentences."""
    data, config = found[0]["data"], found[0]["config"]
    name = config["data"].rpartition(".")[2]
    network = f"{config['model']}, batch {config['batch_size']}, weight decay {config['weight_decay']:g}"
    said = [f"{data['train']:,} images ({markdown.code(name)}, digest {data['digest']}): {network}."]
    if (folder / "range_test" / "record.json").exists():
        said.append("The cycle's rate is a tenth of that of the range test's least smoothed loss.")
    cycle, *steps = _cells(found)
    if steps and steps[0].budget == cycle.budget and cycle.errors.keys() & steps[0].errors.keys():
        said.append(f"The cycle minus the steps of its own length: {minus(cycle.errors, steps[0].errors)} points.")
    tried = _read(folder / "selection")
    budgets = dict.fromkeys(row["config"]["budget"] for row in tried)
    chosen = {budget: rate for budget in budgets if (rate := _rate(found, budget)) is not None}
    for budget, rate in chosen.items():
        rates = sorted({row["config"]["peak_value"] for row in tried if row["config"]["budget"] == budget})
        edge = ", an edge of them" if rate in (rates[0], rates[-1]) else ""
        listed = ", ".join(f"{each:g}" for each in rates)
        said.append(f"The rate of the steps for {budget} is {rate:g} of {listed}{edge}, by one seed's held-out error.")
    others = {row["config"]["budget"] for row in found if _is_steps(row["label"])} - chosen.keys()
    if chosen and others:
        said.append(f"The steps for {', '.join(sorted(others))} took it over; their best rate may be another.")
    return " ".join(said)


def _rate(found: Sequence[dict[str, Any]], budget: str) -> float | None:
    """The rate that the steps ran at; None if none of them is on record."""
    rows = (row["config"] for row in found if _is_steps(row["label"]))
    return next((float(config["peak_value"]) for config in rows if config["budget"] == budget), None)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a scale, and those given beside it, which count more."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--scale", choices=list(OPTIONS), default="cpu")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--few", default="super_convergence.ten_thousand", help="the same with fewer training images")
    parser.add_argument("--data-dir")
    parser.add_argument("--model")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--cycle", help="schedule of the short runs that are to win")
    parser.add_argument("--cycle-rate", type=float, help="its rate, in place of the range test's")
    parser.add_argument("--steps", help="schedule that it is held against")
    parser.add_argument("--rates", type=float, nargs="+", help="of the steps, to choose from")
    parser.add_argument("--short", help="budget, as in 3ep or 1000st")
    parser.add_argument("--long")
    parser.add_argument("--few-short", help="budget with fewer images, where it is another")
    parser.add_argument("--few-long")
    parser.add_argument("--choose-long", action="store_true", help="choose the rate of the long runs by long runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--long-seeds", type=int, default=1)
    parser.add_argument("--length", default="100", help="of the range test, in updates or epochs (1ep)")
    parser.add_argument("--dry-run", action="store_true", help="train nothing; say how many runs there would be")
    parser.add_argument("--gather", type=pathlib.Path, help="a folder of such runs, whose table is written anew")
    parser.add_argument("--out", type=pathlib.Path)
    scale = parser.parse_args(words).scale
    return parser.parse_args([*shlex.split(OPTIONS[scale]), *words])


def main(words: Sequence[str] | None = None) -> int:
    args = parse(sys.argv[1:] if words is None else words)
    if args.gather:
        print(write_results(args.gather, args.gather))
        return 0
    devices.prepare()
    if args.dry_run:
        print(estimate(args))
        return 0
    for part in PARTS:
        rates = choose(args, part, args.out / part)
        train(fresh(args, part, rates), args.out / part, data_dir=args.data_dir)
    print(write_results(args.out, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
