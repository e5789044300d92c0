"""Writes torch_edges.json: PyTorch's schedulers at the edges of their arguments, and several of them in a row.

    python3 -m venv env && env/bin/pip install torch==2.13.0
    env/bin/python tests/conformance/record_torch_edges.py

Run once, like record.py. Beside arguments and values the file holds what an object keeps of its arguments, so that the
tests can read such an object without PyTorch.
"""

from __future__ import annotations

import collections
import importlib
import importlib.metadata
import json
import pathlib
from typing import Any

FILE = pathlib.Path(__file__).with_name("torch_edges.json")
STEPS = 40
LR = 0.4
Case = tuple[str, dict[str, Any]]

ONECYCLE = {"max_lr": 1.0, "final_div_factor": 10.0}
CYCLIC = {"base_lr": 0.1, "max_lr": 1.0}
SINGLE: list[Case] = [
    *(
        ("OneCycleLR", {**ONECYCLE, "total_steps": total, "pct_start": share, "three_phase": three, **more})
        for total in (1, 2, 5, 20)
        for share in (0.0, 0.3, 0.5, 0.55, 0.6, 1.0)
        for three in (False, True)
        for more in ({}, {"anneal_strategy": "linear"})
        if share * total != 1 and (total in (2, 20) or not more)  # PyTorch divides by zero
    ),
    ("OneCycleLR", {**ONECYCLE, "epochs": 4, "steps_per_epoch": 5}),
    *(
        ("CyclicLR", {**CYCLIC, "step_size_up": size, "mode": mode, "gamma": gamma})
        for size in (0.5, 1.5, 2.25, 3.0, 7 / 3)
        for mode, gamma in (("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.9), ("exp_range", 1.02))
    ),
    *(("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": mult, "eta_min": 2.0}) for mult in (1, 2)),
    *(("CosineAnnealingLR", {"T_max": length, "eta_min": 2.0}) for length in (40, 40.0, 45.5)),
    *(("StepLR", {"step_size": size, "gamma": 0.5}) for size in (0.5, 1.0, 2.5, 3.0, 0.1)),
    ("MultiStepLR", {"milestones": [0, 3.0, 3, 50], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 1e-3}),
    *(
        (name, {**more, "total_iters": length})
        for name, more in (("LinearLR", {"end_factor": 0.1}), ("ConstantLR", {"factor": 0.5}), ("PolynomialLR", {}))
        for length in (-1, 0, 0.5, 1, 2.0, 2.5, 7.75)
    ),
]
SEQUENTIAL: list[tuple[list[Case], list[int]]] = [
    ([("LinearLR", {"start_factor": 0.1, "total_iters": 5}), ("CosineAnnealingLR", {"T_max": 35})], [5]),
    ([("ConstantLR", {"factor": 0.1, "total_iters": 9}), ("ExponentialLR", {"gamma": 0.9})], [4]),
    ([("ExponentialLR", {"gamma": 0.9}), ("StepLR", {"step_size": 3, "gamma": 0.5}),
      ("PolynomialLR", {"total_iters": 8, "power": 2.0})], [10, 20]),
    ([("StepLR", {"step_size": 3}), ("ConstantLR", {}), ("MultiStepLR", {"milestones": [2, 5]})], [7, 7]),
    ([("StepLR", {"step_size": 3}), ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2})], [0]),
    ([("CyclicLR", {**CYCLIC, "step_size_up": 3}), ("OneCycleLR", {**ONECYCLE, "total_steps": 33})], [8]),
]  # fmt: skip
CHAINED: list[list[Case]] = [
    [("ConstantLR", {"factor": 0.1, "total_iters": 4}), ("ExponentialLR", {"gamma": 0.9})],
    [("LinearLR", {}), ("MultiStepLR", {"milestones": [6, 20]}), ("PolynomialLR", {"total_iters": 30})],
    [("CosineAnnealingLR", {"T_max": 40}), ("StepLR", {"step_size": 9, "gamma": 0.5})],
]
KEPT = ("factor", "total_iters", "T_max", "eta_min", "T_0", "T_mult", "mode", "gamma", "start_factor", "end_factor",
        "total_steps", "power", "step_size", "total_size", "step_ratio", "base_lrs", "max_lrs", "_scale_fn_custom",
        "_schedule_phases", "_anneal_func_type", "cycle_momentum", "_milestones")  # fmt: skip


def made(cases: list[Case], milestones: list[int] | None, kind: str) -> Any:
    """The scheduler of these arguments; of several cases in a SequentialLR or a ChainedScheduler."""
    torch = importlib.import_module("torch")
    schedulers = importlib.import_module("torch.optim.lr_scheduler")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    parts = [getattr(schedulers, name)(optimizer, **arguments) for name, arguments in cases]
    if kind == "SequentialLR":
        return schedulers.SequentialLR(optimizer, parts, milestones)
    return schedulers.ChainedScheduler(parts) if kind == "ChainedScheduler" else parts[0]


def kept(scheduler: Any) -> dict[str, Any]:
    """What the object keeps of its arguments, itself and in the optimiser's groups."""
    found = {key: value for key, value in scheduler.__dict__.items() if key in KEPT}
    if isinstance(getattr(scheduler, "milestones", None), collections.Counter):
        found["milestones"] = sorted(scheduler.milestones.elements())
    if hasattr(scheduler, "_schedulers"):
        found["_schedulers"] = [kept(part) for part in scheduler._schedulers]
    keys = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
    groups = [{key: group[key] for key in keys if key in group} for group in scheduler.optimizer.param_groups]
    return {"class": type(scheduler).__name__, "groups": groups, **found}


def record(cases: list[Case], milestones: list[int] | None, kind: str) -> dict[str, Any]:
    scheduler = made(cases, milestones, kind)
    object_ = kept(scheduler)
    group, values = scheduler.optimizer.param_groups[0], []
    steps = cases[0][1].get("total_steps", 20) if kind == "OneCycleLR" else STEPS
    for step in range(steps):
        if step:
            scheduler.optimizer.step()
            scheduler.step()
        values.append((group["lr"], group["momentum"]))
    rates, momenta = ([float(f"{value:.9g}") for value in column] for column in zip(*values, strict=True))
    return {"name": kind, "cases": cases, "milestones": milestones, "object": object_, "values": rates,
            "momentum": momenta}  # fmt: skip


def main() -> None:
    found = [record([case], None, case[0]) for case in SINGLE]
    found += [record(cases, milestones, "SequentialLR") for cases, milestones in SEQUENTIAL]
    found += [record(cases, None, "ChainedScheduler") for cases in CHAINED]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in found)
    version = json.dumps(importlib.metadata.version("torch"))
    FILE.write_text(f'{{"torch": {version}, "lr": {LR}, "trajectories": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
