"""What laws fitted to two shapes say of six others: on a language model, where the laws were made, and on a ResNet.

Claim     At one peak rate, laws fitted to linear and to a constant rate with a cooldown, under three budgets, predict
          the final held-out loss of six other shapes, and their order. Held against two baselines that need no law:
          "same as linear", and "lower for longer" (a line through the two shapes' losses over the mean rate, at each
          budget). Every shape comes after a warmup over 5 % of its budget.
Source    Tissue et al., arXiv:2408.11029; Luo et al., arXiv:2503.12811; arXiv:2509.19189; Schaipp et al.,
          arXiv:2501.18965: validation losses of transformers, one pass over the text. Nothing is claimed there of
          BatchNorm, augmentation or several epochs.
Command   python experiments/laws_on_gpt.py --data gcide.txt [--model gpt] [--out runs/laws_on_gpt]
          python experiments/laws_on_gpt.py --task resnet8 [--out runs/laws_on_resnet8]
Text      gcide.txt: the first 1,600,000 bytes of Debian's dict-gcide 0.48.5+nmu2 (the GNU Collaborative International
          Dictionary of English): zcat /usr/share/dictd/gcide.dict.dz | head -c 1600000 > gcide.txt
Time      72 runs each: 80 minutes of two busy CPU cores on the text, two on the digits. One pass over
          that text is 682 updates of 16 windows.
Expected  On the text 0.05 to 0.07 nats of error for three laws, 0.13 for "same as linear", 0.09 for "lower for longer";
          on the digits no law is closer than "same as linear" (0.02).
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from lrsched import cli, display, files
from lrsched.analysis import drawing, markdown
from lrsched.commands import _loss_curves
from lrsched.forecast import fits
from lrsched.forecast.curves import Curve
from lrsched.runs import many
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.report import Record
from lrsched.training import devices

WARMUP = "warmup:5%+"
FITTED = ("linear", "constant+linear:20%")
DECAYS = ("cosine", "rex", "exponential", "polynomial:power=2", "step")
OTHERS = (*DECAYS, "constant")
BUDGETS = ("25%", "50%", "100%")
SAME, LOWER = "baseline: same as linear", "baseline: lower for longer"
TASKS: dict[str, dict[str, Any]] = {
    "gpt": {
        "data": "descriptions",
        "model": "gpt",
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "peak_value": 3e-3,
        "max_epochs": 1.0,
        "batch_size": 16,
        "holdout_fraction": 0.03,
    },
    "resnet8": {
        "data": "digits",
        "model": "resnet8",
        "optimizer": "sgd",
        "peak_value": 0.1,
        "max_epochs": 16.0,
        "holdout_fraction": 0.1,
    },
}


def configs(task: Mapping[str, Any], seeds: int) -> list[RunConfig]:
    """Every shape under every budget with every seed; the held-out loss is measured ten times on the way."""
    common = {"evaluate_every": "10%", **task}
    return [
        RunConfig(schedule=WARMUP + shape, budget=budget, seed=seed, **common)
        for budget in BUDGETS
        for shape in FITTED + OTHERS
        for seed in range(seeds)
    ]


def gather(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """The runs by shape and budget, each with all its seeds, in the order of `configs`."""
    cells = {(shape, budget): list[Record]() for budget in BUDGETS for shape in FITTED + OTHERS}
    for record in sorted(records, key=lambda record: int(record["config"]["seed"])):
        cells[record["label"].removeprefix(WARMUP), record["config"]["budget"]].append(record)
    return cells


def curve(name: str, seeds: Sequence[Record]) -> Curve:
    """The mean over the seeds of the held-out loss, on the way and at the end.

    Raises:
      ValueError: if a run diverged.
    """
    if any(record["diverged_at"] is not None for record in seeds):
        budget = seeds[0]["config"]["budget"]
        raise ValueError(f"runs must not diverge, one of {name} at {budget} did: lower the peak rate.")
    each = [
        dict(zip(one["evaluations"]["steps"], one["evaluations"]["losses"], strict=True))
        | {one["total_steps"]: one["holdout_loss"]}
        for one in seeds
    ]
    steps = sorted(each[0])
    losses = [statistics.fmean(losses[step] for losses in each) for step in steps]
    return Curve(name, _loss_curves.rates(seeds[0]), np.array(steps), np.array(losses))


def predict(curves: Mapping[tuple[str, str], Curve]) -> dict[str, Any]:
    """Of each law and baseline, the final losses of all shapes; in place of a law that was refused, why.

    Args:
      curves: by shape and budget.
    """
    fitted = [found for (shape, _), found in curves.items() if shape in FITTED]
    found: dict[str, Any] = {SAME: [float(curves[FITTED[0], budget].losses[-1]) for _, budget in curves], LOWER: []}
    for (_, budget), one in curves.items():
        both = [curves[shape, budget] for shape in FITTED]
        slope, level = np.polyfit([each.rates.mean() for each in both], [each.losses[-1] for each in both], 1)
        found[LOWER].append(float(level + slope * one.rates.mean()))
    for law in fits.LAWS:
        try:
            made = fits.fit_law(fitted, law)
            found[law] = [float(made.predict(each.rates)) for each in curves.values()]
        except ValueError as error:
            found[law] = str(error)
    return found


def score(
    predicted: Sequence[float],
    measured: Sequence[float],
    places: Sequence[tuple[str, str]],
    shapes: Sequence[str] = OTHERS,
) -> dict[str, Any]:
    """Of those shapes, none of them fitted: mean error in nats; and the means over the budgets of the rank correlation
    and of the measured loss of the shape that is predicted to be best, less the best of them.

    Where all predictions of a budget are equal there is no order: both are None.
    """
    errors, ranks, regrets = list[float](), list[float](), list[float]()
    for budget in dict.fromkeys(budget for _, budget in places):
        at = [i for i, (shape, other) in enumerate(places) if other == budget and shape in shapes]
        guess, truth = (np.array([values[i] for i in at]) for values in (predicted, measured))
        errors.append(float(np.abs(guess - truth).mean()))
        if np.ptp(guess) > 0:
            ranks.append(float(stats.spearmanr(guess, truth)[0]))
            regrets.append(float(truth[guess.argmin()] - truth.min()))
    return {
        "mae": statistics.fmean(errors),
        "spearman": statistics.fmean(ranks) if ranks else None,
        "regret": statistics.fmean(regrets) if regrets else None,
    }


def measure(task: Mapping[str, Any], out: pathlib.Path, *, seeds: int, workers: int | None) -> Record:
    """Trains what is not on record yet, and all that the table is made of."""
    devices.prepare()
    beginning = Beginning()
    todo = many.resolve_all(configs(task, seeds), data_dir=None, count=workers)
    with display.progress("laws") as report:
        made = many.train_all(todo, out, count=workers, report=report, share_trunks=True)
    return summarise(made) | beginning.provenance(todo[0].task.data)


def summarise(records: Sequence[Record]) -> Record:
    """What table and figure are made of, from the runs alone."""
    cells = gather(records)
    curves = {place: curve(place[0], seeds) for place, seeds in cells.items()}
    measured = [float(one.losses[-1]) for one in curves.values()]
    losses = [[record["holdout_loss"] for record in seeds] for seeds in cells.values()]
    predicted = predict(curves)
    config = records[0]["config"]
    return {
        "laws_on": {name: config[name] for name in ("data", "model", "peak_value", "max_epochs")}
        | {"seeds": len(losses[0])},
        "places": list(curves),
        "measured": measured,
        "standard_errors": [statistics.stdev(each) / len(each) ** 0.5 for each in losses if len(each) > 1],
        "predicted": predicted,
        "scores": {
            name: score(each, measured, list(curves)) for name, each in predicted.items() if not isinstance(each, str)
        },
    }


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figure of record.json."""
    about, count, spread = record["laws_on"], len(BUDGETS), record["standard_errors"]
    rows = [["predicted by", "mean error, nats", "Spearman", "of decays", "regret, nats"]]
    for name in shown(record):
        found = record["scores"][name]
        decays = score(record["predicted"][name], record["measured"], list(map(tuple, record["places"])), DECAYS)
        numbers = ((found["spearman"], 2), (decays["spearman"], 2), (found["regret"], 4))
        words = ["-" if number is None else f"{number:.{digits}f}" for number, digits in numbers]
        rows.append([markdown.escape(name), f"{found['mae']:.4f}", *words])
    refused = [f"{name}: {why}" for name, why in record["predicted"].items() if isinstance(why, str)]
    text = (
        f"{markdown.table(rows, align='lrrrr')}\n"
        f"{markdown.escape(about['model'])} on {markdown.escape(str(pathlib.Path(about['data']).name))}, peak rate "
        f"{about['peak_value']:g}, {count} budgets of at most {about['max_epochs']:g} epochs, seeds: {about['seeds']}; "
        f"held-out loss. Laws see {' and '.join(FITTED)} alone, and are scored on {', '.join(OTHERS)}, all of them "
        f"after {WARMUP.removesuffix('+')}. Spearman (of all six, and without constant) and regret (the loss of the "
        "shape predicted to be best, less the best) are means over the budgets."
        + (f" A measured mean has a standard error of {statistics.median(spread):.4f} (median).\n" if spread else "\n")
        + "".join(f"\nNot fitted: {markdown.escape(line)}\n" for line in refused)
    )
    files.write_text(out / "table.md", text)
    draw(record, out / "laws.svg")
    return text


def shown(record: Mapping[str, Any]) -> list[str]:
    """The laws that were fitted, and the baselines, in the order in which they are shown."""
    return [name for name in (*fits.LAWS, SAME, LOWER) if name in record["scores"]]


def draw(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """Predicted over measured loss of the six shapes, a panel for each law and baseline."""
    names = shown(record)
    at = [i for i, (shape, _) in enumerate(record["places"]) if shape in OTHERS]
    measured = [record["measured"][i] for i in at]
    with drawing.figure(path, (9.0, 5.4)) as figure:
        panels = figure.subplots(2, -(-len(names) // 2), squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            for k, budget in enumerate(BUDGETS):
                some = [i for i in at if record["places"][i][1] == budget]
                points = [(record["measured"][i], record["predicted"][name][i]) for i in some]
                axes.plot(*zip(*points, strict=True), **{**drawing.look(k), "linestyle": "none"}, label=budget)
            axes.plot([min(measured), max(measured)], [min(measured), max(measured)], color="grey", linewidth=0.8)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("measured loss, nats")
            axes.set_ylabel("predicted")
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        panels[0].legend()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="gpt")
    parser.add_argument("--data", help="a text file (.txt), or another data set that the model takes")
    parser.add_argument("--model", help="another model, such as gpt-1m")
    parser.add_argument("--peak-value", type=float)
    parser.add_argument("--max-epochs", type=float, help="epochs of the longest budget; 1 is one pass over the text")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args(words)
    given = {name: getattr(args, name) for name in ("data", "model", "peak_value", "max_epochs", "batch_size")}
    task = {**TASKS[args.task], **{name: value for name, value in given.items() if value is not None}}
    out = args.out or pathlib.Path(f"runs/laws_on_{args.task}")
    record = measure(task, out, seeds=args.seeds, workers=args.workers)
    files.write_json(out / "record.json", record, indent=1)
    print(write_results(record, out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
