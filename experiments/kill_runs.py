"""Kills a run at random moments until it is done, many times over, and compares what it came to.

Claim     A run that is killed (SIGKILL) anywhere and begun again comes to the parameters, members, record and ensemble
          table of one that was never stopped, bit for bit.
Command   python experiments/kill_runs.py [--kills 100] [--seed 0] [--json -]
Time      six seconds a kill on two CPU cores.
Expected  "equal": true, and where the kills fell: starting, training, saving (a save was under way), evaluating or
          writing.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from lrsched import records
from lrsched import run as runs
from lrsched.training import devices

TRAIN = (
    "train --data digits --model resnet8 --schedule sgdr --max-epochs 3 --seed 0 --holdout-fraction 0.1 --save-every 3"
)
ENSEMBLE = ("ensemble", "--batches", "4", "--points", "3")


def command(words: list[str]) -> subprocess.Popen[str]:
    """Begins it, with a cache of predictions beside the run's folder: none is taken from another run."""
    folder = pathlib.Path(words[words.index("--out") + 1] if "--out" in words else words[-1])
    compiled = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(devices.cache_folder() / "xla")
    environment = {**os.environ, "LRSCHED_CACHE": str(folder.parent), "JAX_COMPILATION_CACHE_DIR": compiled}
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-m", "lrsched.cli", *words], env=environment, **pipe)


def until(process: subprocess.Popen[str], seconds: float | None) -> tuple[bool, float, list[str]]:
    """Whether it ended by itself within so many seconds of its first line; seconds from there; its lines."""
    assert process.stdout
    lines: list[str] = []
    first = threading.Event()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            first.set()
        first.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    first.wait()
    begun = time.perf_counter()
    try:
        process.wait(seconds)
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
        process.kill()
        process.wait()
    reader.join()
    process.stdout.close()
    return ended, time.perf_counter() - begun, lines


def whole(words: list[str]) -> float:
    """Makes it without a kill; the seconds from its first line to its end."""
    process = command(words)
    _, seconds, lines = until(process, None)
    if process.returncode:
        raise RuntimeError("".join(lines))
    return seconds


def phase(folder: pathlib.Path, lines: list[str], total: int) -> str:
    """Where a kill fell, as far as the folder tells."""
    if not lines:
        return "starting"
    if list(folder.rglob("*tmp*")):
        return "saving"
    return "evaluating or writing" if (folder / "resume" / str(total)).exists() else "training"


def numbers(folder: pathlib.Path) -> dict[str, Any]:
    """What may not differ: the record without its circumstances, the ensemble's table."""
    (record,) = records.read(folder / "records.jsonl").rows
    table = folder / "ensemble" / "table.md"
    kept = {name: value for name, value in record.items() if name not in runs.CIRCUMSTANCES}
    return {**kept, "table": table.read_text() if table.exists() else None}


def killed(words: list[str], folder: pathlib.Path, seconds: float, rng: random.Random, left: int) -> list[str]:
    """Begins it again and again until it ends by itself; where at most `left` kills fell."""
    fell: list[str] = []
    while True:
        process = command(words)
        wait = rng.uniform(0, seconds) if len(fell) < left else None
        if len(fell) < left and rng.random() < 0.1:  # before it says anything
            time.sleep(rng.uniform(0, 5))
            process.kill()
        ended, _, lines = until(process, wait)
        if ended and process.returncode == 0:
            return fell
        if ended and process.returncode > 0:
            raise RuntimeError("".join(lines))
        fell.append(phase(folder, lines, TOTAL))


TOTAL = 3 * 41  # updates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", metavar="PATH", help="- for standard output")
    args = parser.parse_args()
    rng, fell, differ = random.Random(args.seed), list[str](), list[str]()
    with tempfile.TemporaryDirectory() as name:
        reference = pathlib.Path(name, "whole", "run")  # the table names the last folder
        train, ensemble = [*TRAIN.split(), "--out"], [*ENSEMBLE]
        spent = whole([*train, str(reference)])
        spent_on_ensemble = whole([*ensemble, str(reference)])
        runs_made = 0
        while len(fell) < args.kills:
            folder = pathlib.Path(name, f"killed{runs_made}", "run")
            runs_made += 1
            fell += killed([*train, str(folder)], folder, spent, rng, args.kills - len(fell))
            if len(fell) < args.kills:
                words = [*ensemble, str(folder)]
                fell += [f"ensemble: {at}" for at in killed(words, folder, spent_on_ensemble, rng, 1)]
            else:
                whole([*ensemble, str(folder)])
            expected, got = numbers(reference), numbers(folder)
            differ += [key for key in expected if expected[key] != got.get(key)]
    said = {
        "kills": len(fell),
        "runs": runs_made,
        "fell": dict(collections.Counter(fell)),
        "differ": sorted(set(differ)),
        "equal": not differ,
    }
    if args.json:
        target = sys.stdout if args.json == "-" else open(args.json, "w")  # noqa: SIM115
        print(json.dumps(said), file=target)
    else:
        print(*(f"{key}: {value}" for key, value in said.items()), sep="\n")
    return 0 if said["equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
