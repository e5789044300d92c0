"""What a whole study costs: by worker processes, against JAX as it comes, and against a loop that compiles each run.

Claim     digits: a study of small runs is quicker than with JAX as it comes, and quicker still spread over the cores.
          cifar: runs spread over the cores make more images per second together than one run makes by itself.
          compile_once: a step whose rate is an input is compiled once for all schedules, budgets and seeds; in the loop
          one writes with optax.sgd(schedule) it is compiled for each run, or, if its steps are kept, each schedule and
          budget.
Command   python experiments/bench/bench_study.py [--quick] [--only digits cifar compile_once] [--data-dir FOLDER]
Time      half an hour on two CPU cores, --quick ten minutes.
Expected  On CPUs of two or more cores workers_2_over_plain and workers_2_over_workers_1 above 1; one train step
          compiled by ours, and ours_over_optax_per_run well above 1; losses that differ by rounding, which grows
          over a run. Only on a machine that does nothing else: cpus_used_by_others says whether it was so.

Each contender is a process of its own, one at a time; a round is each of them once, the order rotated from round to
round. A study's seconds are those of its command from start to exit, its compilation cache empty: imports, data,
compiling, training, evaluation, table, figures. Those of compile_once are of the runs alone, without such a cache. A
ratio is the median of the rounds' ratios, its interval a 95 % bootstrap.
"""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from bench_step import QUIET, Json, positive, ratio
from bench_step_flax import TrainState
from bench_step_worker import machine_seconds

from lrsched.commands.study import StudyConfig, make_grid
from lrsched.runs import records
from lrsched.runs import run as runs
from lrsched.runs import task as tasks
from lrsched.runs.config import RunConfig
from lrsched.training import batches, data, devices, provenance, train

PARTS, CONTENDERS = ("digits", "cifar", "compile_once"), ("optax_per_run", "optax_per_schedule", "ours")
OPTAX: dict[str, Callable[[float, int], Any]] = {  # our words -> the same rates, as a user of Optax has them
    "rex": lambda peak, total: lambda t: peak * (1 - t / total) / (1 - t / total / 2),
    "linear": lambda peak, total: optax.linear_schedule(peak, 0.0, total),
    "cosine": optax.cosine_decay_schedule,
    "step": lambda peak, total: optax.piecewise_constant_schedule(peak, {-(-total // 2): 0.1, -(-3 * total // 4): 0.1}),
    "exponential": lambda peak, total: optax.exponential_decay(peak, total, math.exp(-3)),
    "onecycle:variant=optax_cosine": lambda peak, total: optax.cosine_onecycle_schedule(total, peak),
}
HEADER = "{:20s} runs  updates  seconds  images/s  one run's  steps compiled  programs"
TAIL, _traced = 16, 0  # losses whose mean is a record's train_loss; train steps of `make_train_step`


@contextlib.contextmanager
def timed() -> Iterator[Json]:
    """Fills in the seconds that what is inside took, and the CPU seconds that other processes used meanwhile."""

    def elsewhere() -> float:
        own = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
        return machine_seconds() - sum(used.ru_utime + used.ru_stime for used in own)

    turn: Json = {}
    others, begun = elsewhere(), perf_counter()
    yield turn
    turn |= {"seconds": perf_counter() - begun, "others_seconds": max(0.0, elsewhere() - others)}


def said_by(words: list[str], environment: dict[str, str]) -> str:
    """What a Python process printed; RuntimeError with its last words if it failed."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"a contender ended with {done.returncode}"])[-1])
    return done.stdout


def study(name: str, words: list[str]) -> Json:
    """One `lrsched study`, from start to exit, and what its records add up to."""
    workers, plain = ("1", "1") if name == "plain" else (name.removeprefix("workers_"), "0")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"LRSCHED_PLAIN": plain, "JAX_COMPILATION_CACHE_DIR": f"{folder}/xla"}
        with timed() as turn:
            said_by(["-m", "lrsched.cli", "study", *words, "--workers", workers, "--out", folder], environment)
        ledgers = [pathlib.Path(folder, name) for name in ("selection/records.jsonl", "records.jsonl")]
        return turn | sums([row for path in ledgers if path.exists() for row in records.read(path).rows])


def sums(records: list[Json]) -> Json:
    """What the records of a study add up to; a run that diverged has made the updates up to its bad loss."""
    ends = [(r["total_steps"], r["diverged_at"]) for r in records]
    return {
        "runs": len(records),
        "updates": sum(total if end is None else min(end + 1, total) for total, end in ends),
        "batch_size": records[0]["config"]["batch_size"],
        "run_images_per_s": statistics.median(r["images_per_second"] for r in records),
        "train_steps_compiled": max(r["compiles"] for r in records),  # in one process
        "device": records[0]["device"],
    }


def digits(args: argparse.Namespace) -> Json:
    words = ["--data", "digits", *(("--seeds", "1", "--max-epochs", "2") if args.quick else ())]
    return compared(in_turns(("plain", "workers_1", "workers_2"), lambda name: study(name, words), rounds=args.rounds))


def cifar(args: argparse.Namespace) -> Json | None:
    """None if CIFAR-10 is not prepared."""
    try:
        data.load("cifar10", data_dir=args.data_dir)  # which decodes it once for all
    except ValueError as error:
        print(f"cifar is left out: {error}", file=sys.stderr)
        return None
    words = ["--data", "cifar10", "--model", "resnet20", "--peak-values", "0.1", "--schedules", "rex", "linear"]
    words += [] if args.quick else ["cosine"]
    words += ["--seeds=1", "--budgets", "0.05ep"] if args.quick else ["--seeds=2", "--budgets", "0.1ep", "0.2ep"]
    words += ["--data-dir", args.data_dir] if args.data_dir else []
    found = compared(in_turns(("workers_1", "workers_2"), lambda name: study(name, words), rounds=args.rounds))
    for row in (rows := found["contenders"]).values():
        row["images_per_s_over_single_run"] = row["images_per_s"] / rows["workers_1"]["run_images_per_s"]
    return found


def compile_once(args: argparse.Namespace) -> Json:
    size, names = ("quick", ("optax_per_run", "ours")) if args.quick else ("full", CONTENDERS)
    schedules = args.schedules or list(OPTAX)[: 2 if args.quick else None]

    def turn(name: str) -> Json:
        return json.loads(said_by([__file__, "contender", name, size, *schedules], {}).splitlines()[-1])

    found = compared(in_turns(names, turn, rounds=args.rounds))
    losses = {name: row.pop("train_losses") for name, row in found["contenders"].items()}
    for name, row in found["contenders"].items():
        row["largest_train_loss_difference"] = float(np.abs(np.subtract(losses[name], losses["ours"])).max())
    return found


def in_turns(names: tuple[str, ...], turn: Callable[[str], Json], *, rounds: int) -> dict[str, list[Json]]:
    """Every contender once a round, each first in its turn."""
    found: dict[str, list[Json]] = {name: [] for name in names}
    for k in range(rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            print(f"round {k + 1} of {rounds}: {name}", file=sys.stderr)
            found[name].append(turn(name))
    return found


def compared(turns: dict[str, list[Json]]) -> Json:
    """Each contender's first round, with medians over all, and how many times as quick as the earlier ones it is."""
    if len({each[0]["runs"] for each in turns.values()}) > 1:
        raise RuntimeError("the contenders must make as many runs, got another number from one of them.")
    rows: Json = {}
    for name, each in turns.items():
        seconds, others = ([turn[key] for turn in each] for key in ("seconds", "others_seconds"))
        rows[name] = {key: value for key, value in each[0].items() if key != "others_seconds"} | {
            "seconds": statistics.median(seconds),
            "round_seconds": seconds,
            "images_per_s": statistics.median(t["updates"] * t["batch_size"] / t["seconds"] for t in each),
            "cpus_used_by_others": sum(others) / sum(seconds),
        }
        if "run_images_per_s" in each[0]:
            rows[name]["run_images_per_s"] = statistics.median(turn["run_images_per_s"] for turn in each)
    ratios = {f"{b}_over_{a}": ratio(turns[b], turns[a]) for a, b in itertools.combinations(turns, 2)}
    return {"contenders": rows, "ratios": ratios}


def contender(name: str, size: str, *schedules: str) -> Json:
    """In a process of its own: all runs of compile_once, by our step or by the user's loop, and what was compiled."""
    compiled: list[float] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration_secs)

    devices.prepare()
    jax.config.update("jax_enable_compilation_cache", False)
    jax.monitoring.register_event_duration_secs_listener(listen)
    make = functools.cache(make_train_step) if name == "optax_per_schedule" else make_train_step
    words = StudyConfig(schedules=schedules, peak_values=(0.1,), momentum="0.9")  # digits: updates of few milliseconds
    few = dataclasses.replace(words, seeds=("0-0",), budgets=("5%", "10%"))
    todo = make_grid(words if size == "full" else few).fresh({})
    with timed() as turn:
        losses = [our_run(config) if name == "ours" else user_run(config, make) for config in todo]
    return turn | {
        "runs": len(todo),
        "updates": sum(tasks.resolve(config).total_steps for config in todo),
        "batch_size": todo[0].written_out().batch_size,
        "train_steps_compiled": train.compiled_steps() if name == "ours" else _traced,
        "compilations": len(compiled),
        "compile_seconds": sum(compiled),
        "train_losses": losses,
        "device": devices.describe(),
    }


def our_run(config: RunConfig) -> float:
    """The training loss of a run by our step."""
    return float(runs.record_of(runs.train(tasks.resolve(config)))["train_loss"])


def make_train_step(config: RunConfig, total_steps: int) -> tuple[Any, Any]:
    """The user's: the schedule is a constant of the jitted step."""
    schedule = OPTAX[str(config.schedule)](config.peak_value, total_steps)
    sgd = optax.sgd(schedule, momentum=float(config.momentum or 0))
    task = tasks.load(config)
    batch_size, pad = task.batch_size, task.data.pad

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state: TrainState, split: train.Data, order: jax.Array, key: jax.Array) -> tuple[TrainState, Any]:
        global _traced
        _traced += 1
        rows, first = batches.positions(order, state.step, batch_size), jnp.int32(0)
        cut = {"step": state.step, "first": first, "batch_size": batch_size, "pad": pad, "flip": False}
        images = batches.normalise(batches.augment(split.images[rows], key=key, **cut), split.mean, split.std)

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, changed = state.apply_fn(variables, images, train=True, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, split.labels[rows]).mean(), changed

        (loss, changed), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        return state.apply_gradients(grads=grads, batch_stats=changed["batch_stats"]), loss

    return optax.chain(optax.add_decayed_weights(config.weight_decay), sgd), train_step


epoch_order = jax.jit(batches.epoch_order, static_argnums=2)


def user_run(config: RunConfig, make: Callable[..., tuple[Any, Any]]) -> float:
    """The same run by the user's loop. Data, its order, network, first weights and evaluation are ours."""
    run = tasks.resolve(config)
    shared, total_steps = run.task, run.total_steps
    shape: Any = shared.data.train.images.shape[1:]
    start = train.initial_state(shared.model, shared.optimizer, image_shape=shape, seed=config.seed)
    tx, train_step = make(dataclasses.replace(config, seed=0), total_steps)
    state = TrainState.create(apply_fn=shared.model.apply, params=start.params, tx=tx, batch_stats=start.batch_stats)
    split = train.Data(*map(jnp.asarray, jax.device_get(shared.train)))  # placed as JAX places things by itself
    key, examples, losses = jax.random.key(config.seed), len(split.labels), []
    for k in range(total_steps):
        epoch, position = divmod(k, batches.steps_per_epoch(examples, shared.batch_size))
        if position == 0:
            order = epoch_order(key, np.int32(epoch), examples)
        state, loss = train_step(state, split, order, key)
        losses.append(loss)
    trained = {"params": state.params, "batch_stats": state.batch_stats}
    train.evaluate(trained, model=shared.model, data=shared.test, batch_size=256)
    return float(np.mean(jax.device_get(losses[-TAIL:])))


def table(result: Json) -> list[str]:
    """For people."""
    lines = []
    for part, found in ((part, result[part]) for part in PARTS if result[part]):
        lines.append(HEADER.format(part))
        for name, row in found["contenders"].items():
            rate, programs = row.get("run_images_per_s"), row.get("compilations", "")
            numbers = f"{row['seconds']:8.1f} {row['images_per_s']:9.0f} {f'{rate:.0f}' if rate else '':>10s}"
            compiled = f"{row['train_steps_compiled']:15d} {programs:>9}".rstrip()
            lines.append(f"  {name:18s} {row['runs']:5d} {row['updates']:8d} {numbers} {compiled}")
            if row["cpus_used_by_others"] > QUIET:
                lines.append(f"    Other processes used {row['cpus_used_by_others']:.1f} CPUs meanwhile.")
        for name, each in found["ratios"].items():
            lines.append("  {}: {:.2f} ({:.2f} to {:.2f})".format(name, each["median"], *each["interval_95"]))
        for name, row in found["contenders"].items():
            if over := row.get("images_per_s_over_single_run"):
                lines.append(f"  {name}: {over:.2f} times a single run's images per second")
    return lines


def main() -> int:
    if sys.argv[1:2] == ["contender"]:
        print(json.dumps(contender(*sys.argv[2:])))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of smaller studies")
    parser.add_argument("--json", metavar="PATH", help="write the result there; - prints it, and the table on stderr")
    parser.add_argument("--rounds", type=positive, help="of every part; 2, or 1 with --quick")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--data-dir", help="where CIFAR-10 is prepared; without it TFDS's own")
    parser.add_argument("--schedules", nargs="+", choices=tuple(OPTAX), help="of compile_once; all, or 2 with --quick")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 2)
    try:
        result: Json = {part: globals()[part](args) if part in args.only else None for part in PARTS}
    except (ValueError, RuntimeError) as error:
        print(f"bench_study: {error}", file=sys.stderr)
        return 1
    result |= {"rounds": args.rounds, "cpus": os.cpu_count(), "versions": provenance.versions()}
    result |= {"quick": args.quick, "commit": provenance.commit()}
    print(*table(result), sep="\n", file=sys.stderr if args.json == "-" else sys.stdout)
    if args.json == "-":
        print(json.dumps(result))
    elif args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
