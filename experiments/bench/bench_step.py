"""What an update costs: ours, a Flax and Optax loop, and PyTorch, on the same ResNet-20, batch and data, in one run.

Claim     Rates, momenta and decay as inputs of one compiled step cost nothing, and the forms and settings for CPUs make
          an update quicker than in the loop one writes after Flax's examples. How far PyTorch's own kernels are from
          that on this machine is what its rows say.
Command   python experiments/bench/bench_step.py [--data-dir FOLDER] [--quick] [--with ours_constant ours_plain]
          [--roofline]
          PyTorch takes part where it is installed; nothing of lrsched needs it (its CPU build: INSTALL below).
Time      five minutes on two CPU cores, --quick two; --roofline five more, with --quick two.
Expected  on two CPU cores ours_over_flax about 2.2, ours_over_torch about 0.65, ours_over_ours_constant 1 within noise;
          as many parameters everywhere.
          Only on a machine that does nothing else: a second busy process slows PyTorch's threads, which wait for each
          other, by far more than its share. cpus_used_by_others says whether it was so.

Every contender is a process of its own, so flags and threads do not mix. They work in turns: a round is --steps updates
of each, the others waiting, the order rotated from round to round; a ratio is the median of the rounds' ratios, its
interval a 95 % bootstrap. The first step's seconds are those from loaded data to the first loss: build, initialise,
compile, run. Host time is spent before the calls return, data preparation included.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from bench_step_worker import MATRIX, WARM_UP, start, steps_of, stop

from lrsched.training import data, models, provenance

INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
USUAL, EXTRA = ("ours", "flax", "torch", "torch_compile"), ("ours_constant", "ours_plain")
RECIPE = {"peak_value": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "seed": 0}
QUIET = 0.1  # CPUs that others may use meanwhile
Json = dict[str, Any]


def environment(name: str, folder: str, cache_dir: str | None) -> dict[str, str]:
    """The user's, with compilation caches that are empty, or those of cache_dir."""
    # Several processes may share one accelerator, of which JAX would take three quarters for the first.
    found = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.15", **os.environ}
    found.pop("JAX_COMPILATION_CACHE_DIR", None)
    found |= {"LRSCHED_CACHE": f"{folder}/{name}", "TORCHINDUCTOR_CACHE_DIR": f"{cache_dir or folder}/inductor"}
    if name == "ours_plain":
        found["LRSCHED_PLAIN"] = "1"
    return found | ({"JAX_COMPILATION_CACHE_DIR": cache_dir} if cache_dir else {})


def images_and_facts(data_dir: str | None, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Json, str]:
    """CIFAR-10 if it is prepared, else random images of its shape."""
    try:
        found = data.load("cifar10", data_dir=data_dir)
    except ValueError:
        if data_dir:
            raise
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (10_000, 32, 32, 3), np.uint8)
        facts = {"classes": 10, "mean": [0.5] * 3, "std": [0.29] * 3, "pad": 4, "flip": True}
        return images, rng.integers(0, 10, 10_000, np.int32), facts, "random images (CIFAR-10 is not prepared)"
    facts = {key: getattr(found, key) for key in ("classes", "mean", "std", "pad", "flip")}
    return found.train.images, found.train.labels, facts, f"cifar10 {found.version}"


def flops_per_image(blocks: int, *, classes: int = 10, size: int = 32, channels: int = 3) -> int:
    """Of one update: three times the forward pass, two per multiply and add; convolutions and the last layer only."""
    forward, inputs = 2 * 9 * channels * 16 * size**2, 16
    for width in [16] * blocks + [32] * blocks + [64] * blocks:
        size //= width // inputs
        forward += 2 * 9 * (inputs + width) * width * size**2
        inputs = width
    return 3 * (forward + 2 * 64 * classes)


def roofline(folder: str, work: Json, cases: list[tuple[str, int]], *, steps: int, cache_dir: str | None) -> list[Json]:
    """GFLOP/s of our update beside those of a matrix product, by turns."""
    rows = []
    peak, _ = start("matmul", folder, {}, environment("matmul", folder, cache_dir))
    with contextlib.ExitStack() as stack:
        stack.callback(stop, peak)
        for model, batch_size in cases:
            blocks, rounds, products = models.MODELS[model].arguments["blocks"], 5, max(steps, 5)
            changed = {**work, "blocks": blocks, "batch_size": batch_size, "total_steps": WARM_UP + rounds * steps}
            process, said = start("ours", folder, changed, environment("ours", folder, cache_dir))
            stack.callback(stop, process)
            if "error" in said:
                raise RuntimeError(f"ours, {model}, batch {batch_size}: {said['error']}")
            turns = [
                (steps_of(peak, products)["seconds"] / products, steps_of(process, steps)["seconds"] / steps)
                for _ in range(rounds)
            ]
            product, update = np.median(turns, axis=0).tolist()
            done, possible = flops_per_image(blocks) * batch_size / update / 1e9, 2 * MATRIX**3 / product / 1e9
            rows.append(
                {"model": model, "batch_size": batch_size, "ms_per_step": 1e3 * update, "gflops": done}
                | {"matmul_gflops": possible, "fraction_of_matmul": done / possible}
            )
            stop(process)
    return rows


def measure(names: list[str], folder: str, work: Json, *, rounds: int, steps: int, cache_dir: str | None) -> Json:
    """Of each contender what it said at its start and in each round, or why it could not take part."""
    found: Json = {}
    workers: dict[str, subprocess.Popen[str]] = {}
    with contextlib.ExitStack() as stack:
        for name in names:
            print(f"{name}: first steps", file=sys.stderr)
            process, said = start(name, folder, work, environment(name, folder, cache_dir))
            stack.callback(stop, process)
            found[name] = {**said, "rounds": []}
            if "error" not in said:
                workers[name] = process
            elif not name.startswith("torch"):  # torch_compile needs a C++ compiler
                raise RuntimeError(f"{name}: {said['error']}")
        taking_part = list(workers)
        for k in range(rounds):
            first = k % len(taking_part)
            for name in taking_part[first:] + taking_part[:first]:
                found[name]["rounds"].append(steps_of(workers[name], steps))
    return found


def summary(said: Json, *, batch_size: int, steps: int, cache: str) -> Json:
    """Medians and quartiles over the rounds."""
    if "error" in said:
        return {"images_per_s": None, "error": said["error"]}
    seconds = np.array([turn["seconds"] for turn in said["rounds"]]) / steps
    low, middle, high = np.quantile(batch_size / seconds, (0.25, 0.5, 0.75)).tolist()
    return {
        "images_per_s": middle,
        "images_per_s_quartiles": [low, high],
        "ms_per_step": 1e3 * float(np.median(seconds)),
        "host_ms_per_step": 1e3 * float(np.median([turn["host_seconds"] for turn in said["rounds"]])) / steps,
        "peak_memory_mib": said["rounds"][-1]["peak_mib"],
        "first_step_seconds": said["first_step_seconds"],
        "compilation_cache": cache,
        "cpus_used_by_others": sum(turn["others_seconds"] for turn in said["rounds"]) / float(seconds.sum() * steps),
        "final_loss": said["rounds"][-1]["loss"],
        "round_seconds": [turn["seconds"] for turn in said["rounds"]],
        "parameters": said["parameters"],
        "device": said["device"],
    }


def ratio(mine: list[Json], theirs: list[Json]) -> Json:
    """Our speed over theirs: median over the rounds, and its 95 % bootstrap interval."""
    each = np.array([b["seconds"] / a["seconds"] for a, b in zip(mine, theirs, strict=True)])
    drawn = np.random.default_rng(0).choice(each, (2000, len(each)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975)).tolist()
    return {"median": float(np.median(each)), "interval_95": [low, high], "rounds": len(each)}


def run(args: argparse.Namespace) -> Json:
    rounds, steps = args.rounds or (5 if args.quick else 15), args.steps or (3 if args.quick else 10)
    names = [name for name in (*USUAL, *args.extra) if name not in args.without]
    notes = []
    if any(name.startswith("torch") for name in names) and find_spec("torch") is None:
        names = [name for name in names if not name.startswith("torch")]
        notes.append(f"PyTorch is not installed, so its rows are left out; its CPU build: {INSTALL}")
    images, labels, facts, data_name = images_and_facts(args.data_dir)
    work = {**RECIPE, **facts, "blocks": models.MODELS[args.model].arguments["blocks"], "batch_size": args.batch_size}
    work["total_steps"] = WARM_UP + rounds * steps
    cache = "warm" if args.cache_dir and any(pathlib.Path(args.cache_dir).glob("*")) else "cold"
    with tempfile.TemporaryDirectory() as folder:
        np.save(pathlib.Path(folder, "images.npy"), images)
        np.save(pathlib.Path(folder, "labels.npy"), labels)
        found = measure(names, folder, work, rounds=rounds, steps=steps, cache_dir=args.cache_dir)
        peaks = None
        if args.roofline:
            cases = [(model, size) for size in (128, 512) for model in ("resnet20", "resnet56")]
            peaks = roofline(
                folder, work, cases[:2] if args.quick else cases, steps=args.steps or 2, cache_dir=args.cache_dir
            )
    rows = {name: summary(said, batch_size=args.batch_size, steps=steps, cache=cache) for name, said in found.items()}
    notes += [f"{name} is left out: {row['error']}" for name, row in rows.items() if "error" in row]
    counts = {name: row["parameters"] for name, row in rows.items() if "error" not in row}
    if len(set(counts.values())) > 1:
        raise RuntimeError(f"the contenders must have as many parameters, got {counts}.")
    if (others := max(row["cpus_used_by_others"] for row in rows.values() if "error" not in row)) > QUIET:
        notes.append(f"Other processes used {others:.1f} CPUs meanwhile: measure again on a quiet machine.")
    ratios = {
        f"ours_over_{name}": ratio(found["ours"]["rounds"], said["rounds"])
        for name, said in found.items()
        if name != "ours" and "error" not in said
    }
    asked = (*USUAL, *args.extra)
    return {
        **{f"{name}_images_per_s": rows.get(name, {}).get("images_per_s") for name in asked},
        **{f"ours_over_{name}": ratios.get(f"ours_over_{name}", {}).get("median") for name in asked[1:]},
        "ratios": ratios,
        "contenders": rows,
        "roofline": peaks,
        "model": args.model,
        "batch_size": args.batch_size,
        "data": data_name,
        "recipe": {**work, "schedule": "one cycle, cosine"},
        "rounds": rounds,
        "steps_per_round": steps,
        "notes": notes,
        "device": rows["ours"]["device"],
        "cpus": os.cpu_count(),
        "versions": provenance.versions() | ({"torch": version("torch")} if find_spec("torch") else {}),
        "commit": provenance.commit(),
    }


def table(result: Json) -> list[str]:
    """For people."""
    size = f"{result['rounds']} rounds of {result['steps_per_round']} updates"
    lines = [
        f"{result['model']}, batch {result['batch_size']}, {result['data']}, {result['cpus']} CPUs, {size}",
        "contender       images/s  (quartiles)       ms/step  host ms  peak MiB  first step s  parameters  ours / it",
    ]
    for name, row in result["contenders"].items():
        if "error" in row:
            continue
        against, (low, high) = result["ratios"].get(f"ours_over_{name}"), row["images_per_s_quartiles"]
        compared = "{:.3f} ({:.3f} to {:.3f})".format(against["median"], *against["interval_95"]) if against else ""
        lines.append(
            f"{name:14s} {row['images_per_s']:9.0f}  {f'({low:.0f} to {high:.0f})':16s} {row['ms_per_step']:8.2f} "
            f"{row['host_ms_per_step']:8.2f} {row['peak_memory_mib']:9.0f} {row['first_step_seconds']:8.1f} "
            f"{row['compilation_cache']:4s} {row['parameters']:11,d}  {compared}".rstrip()
        )
    for row in result["roofline"] or []:
        lines.append(
            f"{row['model']}, batch {row['batch_size']}: {row['ms_per_step']:.1f} ms, {row['gflops']:.1f} GFLOP/s, "
            f"{row['fraction_of_matmul']:.0%} of a {MATRIX} matrix product's {row['matmul_gflops']:.1f}"
        )
    return lines + result["notes"]


def positive(word: str) -> int:
    """For argparse."""
    if (number := int(word)) < 1:
        raise ValueError(word)
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 rounds of 3 updates instead of 15 of 10")
    parser.add_argument("--json", metavar="PATH", help="write the result there; - prints it, and the table on stderr")
    parser.add_argument(
        "--model", choices=tuple(name for name in models.MODELS if name.startswith("resnet")), default="resnet20"
    )
    parser.add_argument("--batch-size", type=positive, default=128)
    parser.add_argument("--rounds", type=positive)
    parser.add_argument("--steps", type=positive, help="updates of each contender in a round")
    parser.add_argument("--with", dest="extra", nargs="+", choices=EXTRA, default=[], help="further contenders")
    parser.add_argument("--without", nargs="+", choices=USUAL[1:], default=[], help="contenders to leave out")
    parser.add_argument("--roofline", action="store_true", help="GFLOP/s against a matrix product's")
    parser.add_argument("--data-dir", help="where CIFAR-10 is prepared; without it TFDS's own, or random images")
    parser.add_argument("--cache-dir", help="compilation cache to use; by default everything is compiled anew")
    args = parser.parse_args()
    try:
        result = run(args)
    except (ValueError, RuntimeError) as error:
        print(f"bench_step: {error}", file=sys.stderr)
        return 1
    print(*table(result), sep="\n", file=sys.stderr if args.json == "-" else sys.stdout)
    if args.json == "-":
        print(json.dumps(result))
    elif args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
