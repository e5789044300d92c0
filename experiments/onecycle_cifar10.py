"""1cycle at the rate that the range test suggests, against the best constant rate and the best step schedule.

Claim     Within six epochs of CIFAR-10, 1cycle at a rate read off one range test is at least as good as a constant rate
          and a step schedule whose rates were chosen by whole runs on held-out data.
Source    Smith, arXiv:1803.09820, and "1Cycle with TensorFlow and Keras": ResNet, CIFAR-10, batch 512. Their rule is
          taken: one decade below the rate at which the smoothed loss is lowest. They train 95 epochs; six is what a CPU
          can do.
Command   python experiments/onecycle_cifar10.py --data-dir FOLDER [--out runs/onecycle_cifar10]
Time      82 epochs: two and a half hours on two CPU cores. What is on record is not made again.
Expected  a table of three schedules, n = 3, the constant's and the step schedule's rates chosen out of 0.1, 0.3 and 1
          on 10 % of the training set held out (seed 0), test errors used once.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from lrsched import cli, display, files
from lrsched.commands import range_test
from lrsched.commands._study_results import write_results
from lrsched.commands.range_test import RangeTestConfig
from lrsched.runs import many, studies
from lrsched.runs.config import RunConfig
from lrsched.runs.ramps import Ramp
from lrsched.training import devices

ONECYCLE, RULE = "onecycle", "minimum_tenth"
RIVALS = ("constant", "step")


def suggested(config: RunConfig, ramp: Ramp, *, data_dir: str | None, out: pathlib.Path) -> float:
    """The rate of the rule in the range test of these runs, which is made once."""
    out = out / "range_test"
    path = out / "record.json"
    words: dict[str, Any] = {**config.recipe(), "holdout_fraction": config.holdout_fraction, "data_dir": data_dir}
    asked = RangeTestConfig(**words, ramp=ramp, out=str(out))
    if not path.exists():
        range_test.run(asked, print)
    record = json.loads(files.read_text(path))
    wanted = json.loads(json.dumps({**dataclasses.asdict(asked), "batch_size": config.written_out().batch_size}))
    there = record["config"]
    if there["ramp"]["beta"] is None:  # the record of version 0.1.0, whose default is told by its curves
        there["ramp"]["beta"] = record["curves"]["beta"]
    if any(there.get(name) != wanted[name] for name in wanted.keys() - {"data_dir", "out"}):
        raise SystemExit(f"{out} must hold the range test asked for, got another one: name another folder with --out")
    return float(f"{record['suggestions'][RULE]['value']:.2g}")


def best_rate(records: Sequence[dict[str, Any]], schedule: str) -> float:
    """The peak rate with the lowest held-out error of a schedule's runs; the lower one of equal ones.

    Raises:
      SystemExit: if all of them diverged.
    """
    rows = [record for record in records if record["label"] == schedule]
    errors = {row["config"]["peak_value"]: row["holdout_error"] for row in rows if row["diverged_at"] is None}
    if not errors:
        raise SystemExit(f"{schedule}: one of the rates must train, got runs that diverged for each: name others")
    return min(sorted(errors), key=errors.__getitem__)


def train(todo: Sequence[RunConfig], out: pathlib.Path, *, data_dir: str | None) -> list[dict[str, Any]]:
    """The records of these runs, one after another; those on record in the folder are not made again."""
    resolved = many.resolve_all(todo, data_dir=data_dir, count=1)
    with display.progress(out.name) as report:
        return many.train_all(resolved, out, count=1, report=report)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--epochs", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--length", default="100", help="of the range test, in updates or epochs (1ep)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/onecycle_cifar10"))
    args = parser.parse_args(words)
    devices.prepare()
    common = RunConfig(
        data=args.data,
        model=args.model,
        batch_size=args.batch_size,
        max_epochs=args.epochs,
        holdout_fraction=0.1,
    )

    def at(schedule: str, rate: float, seed: int) -> RunConfig:
        return dataclasses.replace(common, schedule=schedule, peak_value=rate, seed=seed)

    def made(todo: Sequence[RunConfig]) -> list[dict[str, Any]]:
        return train(todo, args.out, data_dir=args.data_dir)

    ramp = Ramp(length=args.length, seeds=args.seeds, beta=0.98)  # fastai's, as the articles have it
    rate = suggested(common, ramp, data_dir=args.data_dir, out=args.out)
    made([at(ONECYCLE, rate, 0)])
    choice = made([at(schedule, peak, 0) for schedule in RIVALS for peak in args.rates])
    rates = {ONECYCLE: rate, **{schedule: best_rate(choice, schedule) for schedule in RIVALS}}
    made([at(schedule, peak, seed) for seed in range(args.seeds) for schedule, peak in rates.items()])
    text, files = write_results(studies.load(args.out), args.out)
    print(text)
    print("written:", *files, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
