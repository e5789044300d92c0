"""When do snapshots help? Six equal cycles of one run against one cosine of the same cost, and six short runs.

Claim     Snapshots of equal cycles, whose members are about equally good, have a lower error and NLL together than the
          last of them, and than one cosine run of the same number of updates. Independent runs differ more from each
          other than snapshots do, but each of them has a sixth of the updates.
Source    Huang et al., Snapshot Ensembles, ICLR 2017, arXiv:1704.00109: ResNet-110, batch 64, 200 epochs, 5 cycles. It
          compares with one run of steps and with snapshots of one cycle; the last epochs of one run are SGDR's control
          (Loshchilov, Hutter, arXiv:1608.03983, table 2).
Command   python experiments/snapshot_cycles.py --scale digits | fashion_mnist | paper [--data-dir FOLDER] [--dry-run]
Time      digits 10 minutes, Fashion-MNIST about an hour and a half on two CPU cores. What is on record is not made
          again; once the rates are chosen, other processes may make other --seeds in the same folder, and one with all
          of them gathers.
Expected  error, NLL and calibration of each way, mean and sd over seeds, differences from one cosine run, and how far
          members disagree. Each way has its own rate, that of the least NLL on held-out data of a seed of its own; of
          the short runs, that of one of them.
"""

import argparse
import dataclasses
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from entries import minus, name_best, spread

from lrsched import cli, files
from lrsched.analysis import drawing, markdown, statistics
from lrsched.commands import ensemble, train
from lrsched.commands.ensemble import EnsembleConfig
from lrsched.commands.train import TrainConfig
from lrsched.runs import records
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.task import resolve
from lrsched.training import devices

HOLDOUT = 0.1  # of the training set: rates are chosen on it, and temperatures fitted
SELECTION_SEED = 1000
SNAPSHOTS, COSINE, EPOCHS, SHORT = "snapshots", "one cosine run", "its last epochs", "independent short runs"
LAST, MEMBER, ONE_SHORT = "last snapshot", "mean snapshot", "mean short run"
WAYS = (COSINE, SNAPSHOTS, EPOCHS, SHORT, LAST, MEMBER, ONE_SHORT)
# Errors in % of table 1: ResNet-110, CIFAR-10; snapshots at first rates of 0.1 and 0.2.
PRINTED = {COSINE: "5.52", SNAPSHOTS: "5.73, 5.32", EPOCHS: "5.49", SHORT: "7.35"}
FIELDS = ("error", "nll", "calibrated_nll", "ece")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained: `epochs` in all, in `cycles` cycles or short runs of equal length."""

    data: str
    model: str
    epochs: int
    cycles: int
    seeds: tuple[int, ...]
    rates: tuple[float, ...] = (0.03, 0.1, 0.3)
    batch_size: int | None = None
    weight_decay: float = RunConfig.weight_decay
    optimizer: str = RunConfig.optimizer

    def config(self, schedule: str, rate: float, seed: int, *, short: bool = False) -> RunConfig:
        """A run of the whole length, or of a cycle's."""
        return RunConfig(
            data=self.data,
            model=self.model,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            optimizer=self.optimizer,
            schedule=schedule,
            peak_value=rate,
            max_epochs=self.epochs,
            budget=f"{self.epochs // self.cycles if short else self.epochs}ep",
            holdout_fraction=HOLDOUT,
            seed=seed,
        )

    def runs(self, rates: Mapping[str, float], seed: int) -> dict[str, RunConfig]:
        """Name -> run, of one seed."""
        shorts = {
            f"short{i}": self.config("cosine", rates[SHORT], self.cycles * seed + i, short=True)
            for i in range(self.cycles)
        }
        snapshots = self.config(f"snapshot_cosine:cycles={self.cycles}", rates[SNAPSHOTS], seed)
        return {"snapshots": snapshots, "cosine": self.config("cosine", rates[COSINE], seed), **shorts}


SETTINGS = {
    "digits": Setting("digits", "resnet8", epochs=24, cycles=6, seeds=tuple(range(10))),
    "fashion_mnist": Setting("fashion_mnist", "cnn", epochs=12, cycles=6, seeds=(0, 1, 2), rates=(0.01, 0.03, 0.1)),
    "paper": Setting(
        "cifar10",  # or --data cifar100
        "resnet110",
        epochs=200,
        cycles=5,
        seeds=(0, 1, 2),
        rates=(0.1, 0.2),
        batch_size=64,
        weight_decay=1e-4,
        optimizer="nesterov",
    ),
}


def train_all(
    setting: Setting, runs: Mapping[str, RunConfig], folder: pathlib.Path, data_dir: str | None
) -> dict[str, dict[str, Any]]:
    """Trains those that are not done, each in its folder: their records. The last epochs of `cosine` are kept."""
    found = {}
    for name, config in runs.items():
        keep = [f"{setting.epochs - i}ep" for i in range(1, setting.cycles)] if name == "cosine" else []
        asked = TrainConfig(config=config, data_dir=data_dir, out=str(folder / name), keep=tuple(keep))
        found[name] = train.run(asked).result
        error = found[name]["holdout_error"]
        ended = "diverged" if error is None else f"held-out error {error:.2%}"
        print(f"{folder / name}: {found[name]['label']}, rate {config.peak_value:g}, {ended}")
    return found


def combine(
    setting: Setting, runs: Sequence[str], folder: pathlib.Path, data_dir: str | None, *, baselines: Sequence[str] = ()
) -> dict[str, Any]:
    """The record of an ensemble of these runs."""
    asked = EnsembleConfig(
        runs=tuple(str(folder / name) for name in runs),
        baselines=tuple(baselines),
        data_dir=data_dir,
        weight_averages=False,
        out=str(folder / f"ensemble_{runs[0]}"),
    )
    return dict(ensemble.run(asked).result)


def choose(setting: Setting, out: pathlib.Path, data_dir: str | None) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The rate of each way, by its NLL on held-out data with a seed of its own; and all of these."""
    held = list[dict[str, Any]]()
    for rate in setting.rates:
        folder = out / "selection" / f"{rate:g}"
        runs = setting.runs(dict.fromkeys((SNAPSHOTS, COSINE, SHORT), rate), SELECTION_SEED)
        made = train_all(setting, {name: runs[name] for name in ("snapshots", "cosine", "short0")}, folder, data_dir)
        nll = {COSINE: made["cosine"]["holdout_loss"], SHORT: made["short0"]["holdout_loss"], SNAPSHOTS: None}
        if made["snapshots"]["diverged_at"] is None:
            together = pick(combine(setting, ["snapshots"], folder, data_dir), "mean of probabilities")
            nll[SNAPSHOTS] = together["holdout_nll"]
        held.append({"rate": rate, "nll": nll})
    return best_rates(held), held


def best_rates(held: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of each way the rate with the least NLL; a run that diverged has none."""

    def loss(one: Mapping[str, Any], way: str) -> float:
        return math.inf if one["nll"][way] is None else float(one["nll"][way])

    return {way: min(held, key=lambda one: loss(one, way))["rate"] for way in (SNAPSHOTS, COSINE, SHORT)}


def pick(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A row of an ensemble's record."""
    (row,) = (row for row in record["rows"] if row["name"] == name)
    return dict(row)


def measure(setting: Setting, made: Sequence[str], folder: pathlib.Path, data_dir: str | None) -> dict[str, Any]:
    """Every way's scores with one seed, and the members' diversity."""
    shorts = [name for name in made if name.startswith("short")]
    per_epoch = resolve(setting.config("cosine", 0.1, 0), data_dir=data_dir).task.steps_per_epoch
    steps = [per_epoch * (setting.epochs - i) for i in range(setting.cycles)]
    cosine = folder / "cosine"
    baselines = [
        f"{COSINE}={cosine}",
        f"{EPOCHS}={','.join(f'{cosine}@{step}' for step in reversed(steps))}",
        f"{SHORT}={','.join(str(folder / name) for name in shorts)}",
    ]
    record = combine(setting, ["snapshots"], folder, data_dir, baselines=baselines)
    others = combine(setting, shorts, folder, data_dir)
    members, alone = ([row for row in each["rows"] if row["kind"] == "member"] for each in (record, others))
    rows = {way: pick(record, way) for way in (COSINE, EPOCHS, SHORT)}
    rows |= {SNAPSHOTS: pick(record, "mean of probabilities"), LAST: members[-1]}
    scores = {way: {field: row[field] for field in FIELDS} for way, row in rows.items()}
    scores |= {way: _mean(each) for way, each in {MEMBER: members, ONE_SHORT: alone}.items()}
    return {
        "scores": scores,
        "members": [row["error"] for row in members],
        "growing": {SNAPSHOTS: record["growing"]["backward"], SHORT: others["growing"]["forward"]},
        "disagreement": {SNAPSHOTS: _off_diagonal(record), SHORT: _off_diagonal(others)},
        "ambiguity": {SNAPSHOTS: record["ambiguity"], SHORT: others["ambiguity"]},
    }


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The mean score of several networks; None where one of them has none."""
    return {
        field: None if any(row[field] is None for row in rows) else float(np.mean([row[field] for row in rows]))
        for field in FIELDS
    }


def _off_diagonal(record: Mapping[str, Any]) -> float:
    """Mean disagreement of two members."""
    matrix = np.asarray(record["disagreement"])
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())


def by_seed(record: Mapping[str, Any], way: str, field: str) -> dict[int, float]:
    """What a way came to with each seed."""
    return {int(seed): each["scores"][way][field] for seed, each in record["snapshot_cycles"].items()}


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figure of record.json."""
    setting, seeds = record["setting"], record["snapshot_cycles"]
    rows = [
        ["", "error %", "minus one cosine", "NLL", "minus one cosine (0.01 nats)", "NLL at T", "ECE %", "printed, %"]
    ]
    for way in WAYS:
        error, nll = (by_seed(record, way, field) for field in ("error", "nll"))
        against = {field: by_seed(record, COSINE, field) for field in ("error", "nll")}
        differs = [minus(error, against["error"]), minus(nll, against["nll"])]
        cells = [spread(error.values()), differs[0], _nats(nll), differs[1]]
        cells += [_nats(by_seed(record, way, "calibrated_nll")), spread(by_seed(record, way, "ece").values())]
        rows.append([way, *cells, PRINTED.get(way, "")])
    text = (
        f"{markdown.table(rows, align='l' + 'r' * (len(rows[0]) - 1))}\n"
        f"{setting['data']}, {setting['model']}: {setting['epochs']} epochs in {setting['cycles']} cycles (snapshot "
        f"cosine) against one cosine of as many updates, the mean of its last {setting['cycles']} epochs' predictions, "
        f"and {setting['cycles']} runs of {setting['epochs'] // setting['cycles']} epochs. Test error, loss and "
        f"calibration error, mean ± sd over {len(seeds)} seeds; a way has the mean probabilities of its networks, the "
        "last three rows are single networks. T: the temperature fitted on the tenth of the training set that no run "
        "saw; -: with some seed that tenth has no error that would determine it. Differences with their 95 % "
        f"intervals, paired by seed s (short run i has {setting['cycles']} * s + i), each by itself. Printed: single "
        "numbers of Huang et al., table 1, of another network and other data, so that the order alone can be compared: "
        "ResNet-110 on CIFAR-10, 200 epochs in five cycles from 0.1 and from 0.2; one run with steps, and snapshots of "
        "it at equal distances.\n\n"
        f"{_rates(record)}\n\n{_diversity(record)}\n\n"
        + "\n\n".join(
            name_best({way: by_seed(record, way, field) for way in WAYS}, name)
            for field, name in {"error": "error", "nll": "NLL"}.items()
        )
        + "\n"
    )
    files.write_text(out / "table.md", text)
    draw(record, out / "snapshot_cycles.svg")
    return text


def _nats(values: Mapping[int, float | None]) -> str:
    there = [value for value in values.values() if value is not None]
    sd = statistics.sd(there)
    return f"{statistics.mean(there):.4f}" + (f" ± {sd:.4f}" if sd else "") if len(there) == len(values) else "-"


def _rates(record: Mapping[str, Any]) -> str:
    tried = [one["rate"] for one in record["held_out"]]
    words = [
        f"{way} {rate:g}" + (" (the edge of those tried)" if rate in (min(tried), max(tried)) else "")
        for way in WAYS
        if (rate := record["rates"].get(way)) is not None
    ]
    return (
        f"Rates, of {', '.join(f'{rate:g}' for rate in tried)}, by the least NLL on held-out data with a seed of their "
        f"own (of short runs, that of one): {'; '.join(words)}."
    )


def _diversity(record: Mapping[str, Any]) -> str:
    seeds = record["snapshot_cycles"].values()
    apart, gain = (
        [statistics.mean([each[field][way] for each in seeds]) for way in (SNAPSHOTS, SHORT)]
        for field in ("disagreement", "ambiguity")
    )
    members = np.mean([each["members"] for each in seeds], axis=0)
    return (
        f"Two snapshots disagree on {100 * apart[0]:.2f} % of the test images, two short runs on "
        f"{100 * apart[1]:.2f} %; averaging gains {gain[0]:.4f} and {gain[1]:.4f} in Brier score over the mean member. "
        f"Mean error of the snapshots in order: {', '.join(f'{100 * error:.2f}' for error in members)} %."
    )


def draw(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """Error and NLL of the last 1, 2, .. snapshots and of as many short runs; dashed: one cosine run. Means, sd."""
    panels = {"error": ("test error, %", 100.0), "nll": ("test loss, nats", 1.0)}
    with drawing.figure(path, (7.2, 3.6)) as figure:
        for axes, (field, (name, scale)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for i, way in enumerate((SNAPSHOTS, SHORT)):
                grown = [
                    [point[field] for point in each["growing"][way]] for each in record["snapshot_cycles"].values()
                ]
                values = scale * np.asarray(grown)
                counts = np.arange(1, values.shape[1] + 1)
                sd = values.std(axis=0, ddof=1) if len(values) > 1 else None
                axes.errorbar(counts, values.mean(axis=0), yerr=sd, label=way, **drawing.look(i))
            whole = scale * float(np.mean(list(by_seed(record, COSINE, field).values())))
            axes.axhline(whole, color="grey", linestyle="--", linewidth=0.8, label=COSINE)
            axes.set_xlabel("members")
            axes.set_ylabel(name)
            drawing.use_whole_numbers(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def estimate(setting: Setting, data_dir: str | None) -> str:
    """How much there is to train."""
    per_epoch = resolve(setting.config("cosine", 0.1, 0), data_dir=data_dir).task.steps_per_epoch
    seeds, rates = len(setting.seeds), len(setting.rates)
    epochs = rates * (2 * setting.epochs + setting.epochs // setting.cycles) + 3 * setting.epochs * seeds
    fresh = (2 + setting.cycles) * seeds
    return f"{3 * rates} runs to choose the rates, {fresh} with fresh seeds: {epochs * per_epoch:,} updates."


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", choices=list(SETTINGS), default="digits")
    parser.add_argument("--data", help="in place of the scale's")
    parser.add_argument("--model", help="likewise")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--data-dir")
    parser.add_argument("--dry-run", action="store_true", help="train nothing; say how much there is to train")
    parser.add_argument("--out", type=pathlib.Path, help="default: runs/snapshot_cycles_SCALE")
    args = parser.parse_args(words)
    asked = {name: getattr(args, name) for name in ("data", "model", "epochs", "seeds")}
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in asked.items() if v}
    setting = dataclasses.replace(SETTINGS[args.scale], **given)
    if setting.epochs % setting.cycles:
        raise SystemExit(f"--epochs must be a multiple of the {setting.cycles} cycles, got {setting.epochs}")
    devices.prepare()
    if args.dry_run:
        print(estimate(setting, args.data_dir))
        return 0
    beginning = Beginning()
    out = args.out or pathlib.Path(f"runs/snapshot_cycles_{args.scale}")
    rates, held = choose(setting, out, args.data_dir)
    found = dict[str, Any]()
    for seed in setting.seeds:
        folder = out / f"seed{seed}"
        made = train_all(setting, setting.runs(rates, seed), folder, args.data_dir)
        if gone := [name for name, row in made.items() if row["diverged_at"] is not None]:
            raise SystemExit(
                f"seed {seed}: every run must train, got {', '.join(gone)} diverged: the rates are too high"
            )
        found[str(seed)] = {**measure(setting, list(made), folder, args.data_dir), "runs": {}}
        for name, row in made.items():
            found[str(seed)]["runs"][name] = {"run": row["run"], "digest": row["params_digest"]}
            if records.find(out / "records.jsonl", row["run"]) is None:
                records.append(out / "records.jsonl", row)
    data = resolve(setting.config("cosine", 0.1, 0), data_dir=args.data_dir).task.data
    record = {"snapshot_cycles": found, "setting": dataclasses.asdict(setting), "rates": rates, "held_out": held}
    record |= beginning.provenance(data)
    files.write_json(out / "record.json", record, indent=1)
    print(write_results(record, out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
