"""A small batch against all examples in one, at a rate that is too high: NaN, and the range test that warned of it.

Claim     An MLP on a small table of numbers diverges at rate 1 with batch 32 and with the whole training set at once;
          the range test says so before any run, the run's record says so after it, and at the rate that the range test
          suggests both train. What decides is the rate: at 0.02 to 0.5 both ended, the large batch the worse.
Source    Brandon Morris's article on cyclical rates and super-convergence, which saw NaN with batch 2048 on Boston
          housing: more than the set has, so a batch of everything. Diabetes (scikit-learn) stands in for Boston by
          default; for that one, and why it is not, see `lrsched data prepare boston`.
Command   python experiments/large_batch.py [--data boston --data-dir FOLDER] [--rate 1]
Time      half a minute.
Expected  for each batch size the warning for the rate, a run at it that diverged, and one at the suggested rate.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

import jax

from lrsched import cli
from lrsched.runs import ramps
from lrsched.runs import run as runs
from lrsched.runs.config import RunConfig
from lrsched.runs.task import load, resolve
from lrsched.training import devices

RULE = "minimum_tenth"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="diabetes", choices=["diabetes", "boston"])
    parser.add_argument("--data-dir")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--updates", type=int, default=200)
    args = parser.parse_args(words)
    devices.prepare()
    examples = len(load(RunConfig(data=args.data, model="mlp"), data_dir=args.data_dir).data.train)
    for batch_size in (32, examples - examples % jax.local_device_count()):  # that can be shared out
        per_epoch = -(-examples // batch_size)
        config = RunConfig(
            data=args.data,
            model="mlp",
            schedule="onecycle",
            peak_value=args.rate,
            batch_size=batch_size,
            budget=f"{args.updates / per_epoch}ep",
        )
        print(f"batch size {batch_size} of {examples}, peak rate {args.rate:g}")
        ramp = ramps.Ramp(init_value=1e-3, end_value=10.0, beta=0.5)
        task = load(config, data_dir=args.data_dir)
        found = ramps.measure(ramps.prepare(task, ramp, momentum=0.9), report=print)
        print(f"  the range test says: {found.verdict(args.rate) or 'nothing against it'}")
        rate = found.suggestions[RULE].value
        for peak in [args.rate, *([] if rate is None else [float(f"{rate:.2g}")])]:
            run = resolve(dataclasses.replace(config, peak_value=peak), data_dir=args.data_dir)
            record = runs.record_of(runs.train(run))
            end = f"test error {100 * (record['test_error'] or 0):.1f} % of the variance"
            if record["diverged_at"] is not None:
                end = f"diverged at update {record['diverged_at']} of {record['total_steps']}"
            print(f"  a run at rate {peak:g}: {end}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
