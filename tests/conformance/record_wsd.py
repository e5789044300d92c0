"""Writes wsd.json: what the WSD of transformers, timm and pytorch-scheduler returns, five updates past its end too.

    python3 -m venv env && env/bin/pip install torch numpy timm pytorch-scheduler
    for library in timm pytorch-scheduler; do env/bin/python tests/conformance/record_wsd.py $library; done
    for version in 4.48.3 4.57.6 5.24.0; do
      env/bin/pip install transformers==$version && env/bin/python tests/conformance/record_wsd.py transformers
    done

Each run replaces what the file holds of that library and release. The settings and shapes are those of wsd.py.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys

import record
import wsd
from wsd import BEYOND, FILE, Setting


def transformers_values(s: Setting, shape: str) -> list[float]:
    typed = importlib.metadata.version("transformers") >= "4.49"
    specific = {"num_decay_steps": s.decay, "min_lr_ratio": s.end}
    if typed:
        specific["decay_type"] = shape
    else:
        specific["num_stable_steps"] = s.total - s.warmup - s.decay
    lengths = {"num_warmup_steps": s.warmup, "num_training_steps": s.total}
    arguments = {**lengths, "scheduler_specific_kwargs": specific}
    return record.transformers_values("warmup_stable_decay", 1.0, arguments, s.total + BEYOND + 1)


def timm_values(s: Setting, shape: str) -> list[float]:
    arguments = {"t_initial": s.total - s.warmup, "decay_t": s.decay, "lr_min": s.end, "warmup_t": s.warmup}
    own = {"decay_fn": shape, "decay_power": 2.0, "decay_ratio": 0.5}
    return record.timm_values("WSDLRScheduler", 1.0, {**arguments, **own}, s.total + BEYOND + 1)


def pytorch_scheduler_values(s: Setting, shape: str) -> list[float]:
    optimizer = record.sgd(1.0)
    scheduler = record.module("pytorch_scheduler").WSDScheduler(
        optimizer,
        total_steps=s.total,
        warmup_steps=s.warmup,
        stable_steps=s.total - s.warmup - s.decay,
        min_lr=s.end,
        decay_type=shape,
    )
    values = []
    for _ in range(s.total + BEYOND + 1):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


RECORDERS = {
    "transformers": transformers_values,
    "timm": timm_values,
    "pytorch-scheduler": pytorch_scheduler_values,
}


def main(library: str) -> None:
    release = importlib.metadata.version(library)
    (stack,) = (each for each in wsd.STACKS if each.rate == (library, release))
    kept = [each for each in wsd.RECORDED if each["of"] != [library, release]]
    for setting in stack.settings():
        theirs = next(name for name, ours in stack.shapes.items() if ours == setting.shape)
        values = [float(f"{value:.9g}") for value in RECORDERS[library](setting, theirs.partition(",")[0])]
        kept.append({"of": [library, release], "setting": list(setting), "values": values})
    kept.sort(key=lambda each: each["of"])
    FILE.write_text("[\n" + ",\n".join(json.dumps(each, separators=(",", ":")) for each in kept) + "\n]\n")
    sys.stdout.write(f"{library} {release}: {len(stack.settings())} of {len(kept)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
