"""Decay after the fact: snapshots of one trunk averaged to stand for six decays, beside the six decays trained.

Claim     The weights of `lrsched.merge_weights` make of a constant-rate run's snapshots what a decay over the same
          updates would have come to, to first order. What is beyond the first order is measured here: six decays merged
          from one trunk a seed, six cooldowns trained from that trunk's middle, and the trunk's last state, plain mean
          (LAWA) and exponential average. All have BatchNorm's statistics re-estimated, the trained ones as well.
Source    WSM, arXiv:2507.17634 (language models, no BatchNorm); LAWA: Kaddour, arXiv:2209.14981.
Command   python experiments/decay_after.py [--out runs/decay_after]
Time      Some 30,000 updates of ResNet-8 on the digits: 10 minutes on two CPU cores.
Expected  n = 10: 0.64 to 0.86 % trained, 0.67 to 0.81 % merged, no decay's two separated; 1.59 % at the trunk's end.
"""

import argparse
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from averages import EMA_DECAY, estimated, exponential_mean
from entries import minus, name_best, spread

from lrsched import cli, files
from lrsched.analysis import drawing, markdown, statistics
from lrsched.forecast.merging import merge_weights
from lrsched.runs import run as runs
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.task import Run, resolve
from lrsched.schedules import profiles
from lrsched.training import devices, provenance, soups

DECAYS = ("linear", "cosine", "rex", "one_minus_sqrt", "square", "exponential")
EPOCHS = 12  # of which the second half is the decay
SNAPSHOTS = 18  # in that half
RATES = (0.03, 0.1, 0.3)
HOLDOUT = 0.1  # of the training set, where the rate is chosen
TRAINED, MERGED = "trained", "merged"
LAST, EMA = "last state", f"EMA, decay {EMA_DECAY:g} an update"

Measured = dict[str, dict[str, Any]]  # arm -> "error", "loss" (nats), "digest"


def configure(schedule: str, rate: float, seed: int, holdout: float, epochs: int) -> Run:
    """The trunk, or a run that leaves it in its middle."""
    words: dict[str, Any] = {"max_epochs": epochs, "budget": f"{epochs}ep", "holdout_fraction": holdout}
    return resolve(RunConfig(schedule=schedule, peak_value=rate, seed=seed, **words))


def follow(run: Run, state: Any) -> Iterator[Any]:
    """The states of a run after each of its updates from this one on."""
    rates, momenta = (runs.values(each, run.total_steps) for each in (run.plan.lr, run.plan.momentum))
    for made, _ in run.task.updates(state, seed=run.config.seed, rates=rates, momenta=momenta):
        yield jax.block_until_ready(made)  # several virtual devices may wait for each other's sums for good


class Trunk(NamedTuple):
    """A constant-rate run: its middle and last states, the parameters of the snapshots between, and their EMA."""

    run: Run
    middle: Any
    last: Any
    snapshots: list[Any]
    mean: Any


def train_trunk(run: Run, *, snapshots: int) -> Trunk:
    """Trains the trunk.

    Raises:
      ValueError: if the snapshots do not divide its second half.
    """
    half = run.total_steps // 2
    if run.total_steps % 2 or half % snapshots:
        raise ValueError(f"snapshots must divide half of {run.total_steps} updates, got {snapshots}.")
    kept, mean, middle, state = list[Any](), None, None, None
    for completed, state in enumerate(follow(run, run.initial_state()), start=1):
        params = jax.device_get(state.params)
        mean = exponential_mean(mean, params, completed)
        if completed == half:
            middle = jax.block_until_ready(jax.tree.map(jnp.copy, state))
        elif completed > half and (completed - half) % (half // snapshots) == 0:
            kept.append(params)
    return Trunk(run, middle, state, kept, mean)


def measure(rate: float, seed: int, *, holdout: float, epochs: int, snapshots: int, decays: Sequence[str]) -> Measured:
    """Every arm of one seed, on held-out data where there is any, else on the test set."""
    trunk = train_trunk(configure("constant", rate, seed, holdout, epochs), snapshots=snapshots)
    task, found = trunk.run.task, Measured()

    def add(name: str, params: Any, state: Any) -> None:
        evaluation = task.evaluate(estimated(task, params, state), task.holdout or task.test)
        error = round(1 - evaluation.accuracy, 10)
        found[name] = {"error": error, "loss": float(evaluation.loss), "digest": provenance.digest(params)}

    for decay in decays:
        run = configure(f"constant+{decay}:50%", rate, seed, holdout, epochs)
        *_, last = follow(run, jax.block_until_ready(jax.tree.map(jnp.copy, trunk.middle)))
        add(f"{TRAINED} {decay}", jax.device_get(last.params), last)
        weights = merge_weights(profiles.named(decay), snapshots=snapshots)
        add(f"{MERGED} {decay}", soups.mean_tree(trunk.snapshots, weights), trunk.last)
    add(LAST, jax.device_get(trunk.last.params), trunk.last)
    add(EMA, trunk.mean, trunk.last)
    print(f"rate {rate:g}, seed {seed}: {found[LAST]['error']:.2%} at the trunk's end", flush=True)
    return found


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """The rate, chosen on held-out data with seeds of its own, and every arm with fresh seeds on the whole set."""
    words: dict[str, Any] = {"epochs": args.epochs, "decays": args.decays}
    held = []
    for rate in args.rates:
        # On held-out data an epoch has another number of updates; the snapshots are not looked at there.
        tried = [measure(rate, seed, holdout=HOLDOUT, snapshots=1, **words) for seed in args.selection_seeds]
        loss = [one[f"{TRAINED} {decay}"]["loss"] for one in tried for decay in args.decays]
        held.append({"rate": rate, "loss": statistics.mean(loss)})
    rate = min(held, key=lambda one: one["loss"])["rate"]
    made = {str(seed): measure(rate, seed, holdout=0.0, snapshots=args.snapshots, **words) for seed in args.seeds}
    return {
        "decay_after": made,
        "decays": list(args.decays),
        "rate": rate,
        "held_out": held,
        "epochs": args.epochs,
        "snapshots": args.snapshots,
    }


def by_seed(record: Mapping[str, Any], arm: str, field: str) -> dict[int, float]:
    """What an arm came to with each seed."""
    return {int(seed): each[arm][field] for seed, each in record["decay_after"].items()}


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figure of record.json."""
    head = ["decay", "trained, error %", "merged, error %", "merged - trained"]
    rows = [[*head, "trained, NLL", "merged, NLL", "merged - trained (0.01 nats)"]]
    for decay in record["decays"]:
        cells = [decay]
        for field in ("error", "loss"):
            trained, merged = (by_seed(record, f"{kind} {decay}", field) for kind in (TRAINED, MERGED))
            cells += [*(_cell(each, field) for each in (trained, merged)), minus(merged, trained)]
        rows.append(cells)
    for arm in (LAST, EMA):
        error, loss = (_cell(by_seed(record, arm, field), field) for field in ("error", "loss"))
        rows.append([arm, "", error, "", "", loss, ""])
    arms = [*(f"{kind} {decay}" for decay in record["decays"] for kind in (TRAINED, MERGED)), LAST, EMA]
    tried = sorted(one["rate"] for one in record["held_out"])
    edge = ", the edge of those tried" if record["rate"] in (tried[0], tried[-1]) else ""
    text = (
        f"{markdown.table(rows, align='l' + 'r' * (len(rows[0]) - 1))}\n"
        f"Test error in % and loss in nats of ResNet-8 on the digits, mean ± sd over {len(record['decay_after'])} "
        f"seeds; {record['epochs']} epochs, of which the decay has the second half; {record['snapshots']} snapshots of "
        f"that half of one trunk at the constant rate {record['rate']:g}{edge} (of "
        f"{', '.join(f'{each:g}' for each in tried)}, the trained decays' least held-out loss, "
        "with none of these seeds). Merged by linear is the snapshots' plain mean, as LAWA has it. Differences with "
        "their 95 % intervals, paired by seed, each by itself. All weights have BatchNorm's statistics "
        "re-estimated on 50 training batches.\n\n"
        + "\n\n".join(
            name_best({arm: by_seed(record, arm, field) for arm in arms}, field) for field in ("loss", "error")
        )
        + "\n"
    )
    files.write_text(out / "table.md", text)
    draw(record, out / "decay_after.svg")
    return text


def _cell(values: Mapping[int, float], field: str) -> str:
    if field == "error":
        return spread(values.values())
    sd = statistics.sd(list(values.values()))
    return f"{statistics.mean(list(values.values())):.4f}" + ("" if sd is None else f" ± {sd:.4f}")


def draw(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """Loss and error of every decay, merged over trained, a point a seed; dashed: the trunk's last state, mean."""
    panels: list[tuple[str, str, Callable[[float], float]]] = [
        ("error", "test error, %", lambda value: 100 * value),
        ("loss", "test loss, nats", lambda value: value),
    ]
    with drawing.figure(path, (7.2, 3.8)) as figure:
        for axes, (field, name, scale) in zip(figure.subplots(1, 2), panels, strict=True):
            ends = list[float]()
            for i, decay in enumerate(record["decays"]):
                trained, merged = (by_seed(record, f"{kind} {decay}", field) for kind in (TRAINED, MERGED))
                x, y = ([scale(each[seed]) for seed in trained] for each in (trained, merged))
                axes.plot(x, y, **{**drawing.look(i), "linestyle": "none"}, label=decay)
                ends += [*x, *y]
            axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="grey", linewidth=0.8)
            last = scale(float(np.mean(list(by_seed(record, LAST, field).values()))))
            axes.axhline(last, color="grey", linestyle="--", linewidth=0.8)
            axes.set_xlabel(f"trained: {name}")
            axes.set_ylabel("merged from the trunk")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=6)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--decays", nargs="+", default=list(DECAYS))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--snapshots", type=int, default=SNAPSHOTS)
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--selection-seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/decay_after"))
    args = parser.parse_args(words)
    devices.prepare()
    beginning = Beginning()
    record = {**compare(args), **beginning.provenance(resolve(RunConfig()).task.data)}
    files.write_json(args.out / "record.json", record, indent=1)
    print(write_results(record, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
