"""Writes hf_timm.json: what transformers' get_scheduler, in three releases, and timm's schedulers return at every step.

    for version in 4.48.3 4.57.6 5.24.0; do
      python3 -m venv env && env/bin/pip install torch numpy transformers==$version
      env/bin/python tests/conformance/record_hf_timm.py transformers
    done
    env/bin/pip install timm && env/bin/python tests/conformance/record_hf_timm.py timm

Run once; each run replaces what the file holds of that library and release. Arguments are drawn from a seeded
generator, as in record.py, whose trajectories cover the plain cases: here are those by epoch, with the warmup laid over
the decay, by create_scheduler_v2, with types of warmup, restarts between two steps, and the releases' differences.
"""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import sys
import types
from collections.abc import Iterator

import numpy as np
import record
from record import Draw, Record

FILE = pathlib.Path(__file__).with_name("hf_timm.json")


def transformers_records(draw: Draw, release: str) -> Iterator[Record]:
    lr, warm, rest = draw.rate(), draw.steps(0, 12), draw.steps(20, 60)
    both = {"num_warmup_steps": warm, "num_training_steps": warm + rest}
    low = {"min_lr": lr / 20} if draw.of(True, False) else {"min_lr_rate": draw.of(0.1, 0.02)}
    old = {
        "num_stable_steps": draw.steps(0, 15),
        "num_decay_steps": draw.steps(1, 15),
        "min_lr_ratio": draw.of(0.0, 0.1),
    }
    kinds = ("linear", "cosine", "1-sqrt")
    wsd = {"num_decay_steps": draw.steps(1, 10), "min_lr_ratio": draw.of(0.0, 0.1), "decay_type": draw.of(*kinds),
           "warmup_type": draw.of(*kinds)}  # fmt: skip
    if draw.of(True, False):
        wsd["num_stable_steps"] = draw.steps(0, 15)
    more: list[tuple[str, Record]] = [
        ("constant", {}),
        ("constant_with_warmup", {}),
        ("linear", {}),
        ("cosine", {}),
        ("cosine_with_restarts", {"num_cycles": draw.of(2, 3, 4, 7)}),
        ("polynomial", {"lr_end": lr / 100, "power": draw.of(0.5, 1.0, 3.0)}),
        ("inverse_sqrt", {}),
        ("cosine_with_min_lr", low),
        ("warmup_stable_decay", old if release < "4.49" else wsd),
    ]
    if release >= "4.5":
        more.append(("cosine_warmup_with_min_lr", {**low, "warmup_lr_rate": draw.of(None, 0.1, 0.25)}))
    for name, specific in more:
        arguments = {**both, "scheduler_specific_kwargs": specific}
        values = record.transformers_values(name, lr, arguments, warm + rest)
        yield {"library": "transformers", "name": name, "lr": lr, "arguments": arguments, "values": values}


def warmup_records(draw: Draw, release: str) -> Iterator[Record]:
    """How many steps TrainingArguments makes of its words for a warmup."""
    own = record.module("transformers.training_args").TrainingArguments.get_warmup_steps
    total = draw.steps(1, 4000)
    words: Record = {"warmup_steps": draw.of(0, 1, 30), "warmup_ratio": draw.real(0.0, 1.0, 2)}
    if release >= "5":
        words = {"warmup_steps": draw.of(0, 1, 30, 2.5, draw.real(0.0, 1.0, 2), draw.real(0.0, 1.0, 3))}
    values = [float(own(types.SimpleNamespace(**words), total))]
    yield {"library": "transformers", "name": "warmup", "arguments": {**words, "total": total}, "values": values}


def timm_values(scheduler: object, optimizer: object, steps: int, updates: int, by_epoch: bool) -> list[float]:
    """Rates of an ordinary loop over updates: step at the beginning of an epoch, step_update at each update."""
    values = []
    for update in range(steps):
        if by_epoch and update % updates == 0:
            scheduler.step(update // updates)
        if not by_epoch:
            scheduler.step_update(update)
        values.append(optimizer.param_groups[0]["lr"])
    return values


def timm_records(draw: Draw, release: str) -> Iterator[Record]:
    schedulers = record.module("timm.scheduler")
    lr, updates, by_epoch = draw.rate(), draw.steps(2, 4), draw.of(True, False)
    warm = {"warmup_t": draw.steps(0, 4), "warmup_lr_init": lr / 100}
    cycles = {"t_initial": draw.steps(5, 10), "lr_min": lr / draw.of(50, 1000), "cycle_mul": draw.of(1.0, 2.0),
              "cycle_limit": draw.steps(1, 2), "cycle_decay": draw.of(1.0, 0.5)}  # fmt: skip
    steps = {"decay_rate": draw.real(0.1, 0.9), "warmup_prefix": draw.of(True, False)}
    classes: list[tuple[str, Record]] = [
        ("CosineLRScheduler", cycles),
        ("TanhLRScheduler", {**cycles, "lb": draw.of(-7.0, -5.0)}),
        ("PolyLRScheduler", {**cycles, "power": draw.of(0.5, 0.9, 2.0)}),
        ("StepLRScheduler", {"decay_t": draw.of(3, 2.4, 7), **steps}),
        ("MultiStepLRScheduler", {"decay_t": draw.ascending(2, 20), **steps}),
        ("WSDLRScheduler", {"t_initial": 15, "decay_t": draw.steps(2, 15), "lr_min": lr / 100,
                            "decay_fn": draw.of("linear", "1-sqrt", "cosine", "power"),
                            "decay_power": draw.of(0.5, 2.0)}),
        ("WSDLRScheduler", {"t_initial": 15, "decay_t": draw.steps(2, 15), "stable_fn": "rsqrt",
                            "stable_timescale": 6}),
    ]  # fmt: skip
    for name, own in classes:
        arguments = {**own, **warm, "t_in_epochs": by_epoch}
        optimizer = record.sgd(lr)
        scheduler = getattr(schedulers, name)(optimizer, **arguments)
        values = timm_values(scheduler, optimizer, 60, updates, by_epoch)
        given = {**arguments, "updates_per_epoch": updates}
        yield {"library": "timm", "name": name, "lr": lr, "arguments": given, "values": values}
    for sched in ("constant", "cosine", "multistep", "poly", "rsqrt", "step", "tanh", "wsd"):
        arguments = {"num_epochs": draw.steps(8, 12), "warmup_epochs": draw.steps(1, 3), "warmup_lr": lr / 100,
                     "warmup_prefix": draw.of(True, False), "cooldown_epochs": draw.of(0, 2),
                     "step_on_epochs": by_epoch, "updates_per_epoch": updates, "cycle_limit": draw.of(1, 2),
                     "decay_rate": draw.of(0.5, 0.9),
                     "min_lr": 0.0 if sched == "rsqrt" else lr / 50, "decay_milestones": [3, 6]}  # fmt: skip
        if sched == "step":
            arguments["decay_epochs"] = draw.of(2.4, 3)
        optimizer = record.sgd(lr)
        scheduler, epochs = schedulers.create_scheduler_v2(optimizer, sched, **arguments)
        values = timm_values(scheduler, optimizer, epochs * updates, updates, by_epoch)
        yield {"library": "timm", "name": sched, "lr": lr, "arguments": arguments, "values": values}


def main(library: str) -> None:
    release = importlib.metadata.version(library)
    draw = Draw(np.random.default_rng([7, *library.encode(), *release.encode()]))
    recorder = transformers_records if library == "transformers" else timm_records
    found = [each for _ in range(6) for each in recorder(draw, release)]
    if library == "transformers":
        found += [each for _ in range(20) for each in warmup_records(draw, release)]
    for each in found:
        each["version"] = release
        each["values"] = [float(f"{value:.9g}") for value in each["values"]]
    kept = json.loads(FILE.read_text()) if FILE.exists() else []
    kept = [each for each in kept if (each["library"], each["version"]) != (library, release)] + found
    kept.sort(key=lambda each: (each["library"], each["version"]))
    FILE.write_text("[\n" + ",\n".join(json.dumps(each, separators=(",", ":")) for each in kept) + "\n]\n")
    sys.stdout.write(f"{library} {release}: {len(found)} of {len(kept)}, {FILE.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main(sys.argv[1])
