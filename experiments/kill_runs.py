"""Ends commands at random moments until they are done, many times over, and compares what they come to.

Claim     `study` (two workers), `search`, `tune`, `range-test`, `train` and `ensemble` that are ended anywhere, by
          SIGKILL, SIGTERM or SIGINT, and begun again come to the numbers of those that were left alone, bit for bit.
          No run begins at 0 again that had a saved state, and no process outlives its command.
Command   python experiments/kill_runs.py [--kills 100] [--seed 0] [--commands train ensemble] [--json -]
Time      some ten seconds a kill on two CPU cores.
Expected  "equal": true, "orphans": 0, "begun_again": 0, and where the kills fell. In an earlier version,
          which ended `train` and `ensemble` by SIGKILL alone, those of 25 runs fell 13 times into the start, 19 into
          training, 27 into the saving of a state, 16 into evaluating or writing, and 25 into the ensemble.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from lrsched.runs import records
from lrsched.runs import run as runs
from lrsched.training import devices

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SHORT = "--data digits --model resnet8 --seed 0 --holdout-fraction 0.1"
COMMANDS = {
    "train": f"train {SHORT} --schedule sgdr --max-epochs 6 --save-every 3 --out OUT",
    "study": "study --model mlp --schedules rex linear --budgets 6ep --seeds 2 --peak-values 0.1 0.3 --workers 2"
    " --out OUT",
    "search": f"search {SHORT} --schedule rex --max-epochs 2 --questions rate weight_decay --runs-each 2 --grid 1 3"
    " --bisections 1 --length 60 --workers 1 --out OUT",
    "tune": f"tune {SHORT} --schedule rex --max-epochs 2 --samplers random tpe --trials 3 --runs-each 1 --workers 1"
    " --out OUT",
    "range-test": "range-test --length 200 --seeds 3 --out OUT",
    "ensemble": "ensemble TRAINED --batches 4 --points 3 --out OUT",
}


@dataclasses.dataclass
class Tally:
    """What was seen over all kills."""

    fell: list[str] = dataclasses.field(default_factory=list)
    differ: set[str] = dataclasses.field(default_factory=set)
    orphans: int = 0
    begun_again: int = 0
    finished: int = 0
    tracebacks: list[str] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def begun(words: list[str], log: pathlib.Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A command in a session of its own, with caches beside its folder; and the mark that its processes carry."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    compiled = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(devices.cache_folder() / "xla")
    own = {"LRSCHED_CACHE": str(log.parent), "JAX_COMPILATION_CACHE_DIR": compiled, "LRSCHED_KILL": mark}
    with log.open("ab") as file:
        command = [sys.executable, "-m", "lrsched.cli", *words]
        process = subprocess.Popen(
            command, env={**os.environ, **own}, stdout=file, stderr=file, start_new_session=True
        )  # fmt: skip
        try:
            yield process, mark
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def orphans(mark: str, seconds: float = 15.0) -> int:
    """Processes that carry a mark still, some seconds after their command has ended."""
    until = time.monotonic() + seconds
    while True:
        found = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                found += f"LRSCHED_KILL={mark}".encode() in path.read_bytes()
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def states(out: pathlib.Path) -> dict[str, int]:
    """Run -> the newest state saved of it."""
    found = collections.defaultdict[str, int](int)
    for path in [*out.glob("resume/*"), *out.glob("states/*/resume/*")]:
        if path.name.isdecimal():
            run = "alone" if path.parent.parent == out else path.parent.parent.name
            found[run] = max(found[run], int(path.name))
    return dict(found)


def numbers(name: str, out: pathlib.Path) -> dict[str, Any]:
    """What may not differ."""
    found: dict[str, Any] = {
        row["run"]: {key: value for key, value in row.items() if key not in runs.CIRCUMSTANCES}
        for row in records.read(out / "records.jsonl").rows
    }
    for path in sorted(out.glob("*.md")):
        found[path.name] = path.read_text()
    if name in ("study", "tune", "search") and len(found) < 3:
        raise RuntimeError(f"{out} must hold records and a table")
    return found


def lives(name: str, words: list[str], out: pathlib.Path, seconds: float, rng: random.Random, left: int) -> Tally:
    """Begins a command again and again until it ends by itself, ended by at most `left` signals."""
    tally, log = Tally(), out.parent / "log.txt"
    had = dict[str, int]()
    while True:
        with begun(words, log) as (process, mark):
            status = None
            if len(tally.fell) < left:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(rng.uniform(0, seconds))
            else:
                status = process.wait()
            if status is None:
                number = rng.choice(SIGNALS)
                if number == signal.SIGINT:
                    os.killpg(process.pid, number)  # as a terminal does
                else:
                    process.send_signal(number)
                process.wait(120)
                tally.fell.append(f"{name}: {number.name}, {'saved' if states(out) else 'nothing saved'}")
        tally.orphans += orphans(mark)
        recorded = {row["run"] for row in records.read(out / "records.jsonl").rows}
        for run, step in states(out).items():
            if run not in recorded and not (run == "alone" and recorded):  # it may have ended before the signal came
                had[run] = max(had.get(run, 0), step)
        if status is not None:
            break
    text = log.read_text(errors="replace")
    if "Traceback" in text:
        tally.tracebacks.append(text[text.index("Traceback") :][:2000])
    if status != 0:
        raise RuntimeError(text)
    for row in records.read(out / "records.jsonl").rows:
        step = had.get(row["run"], had.get("alone", 0))
        tally.begun_again += step > 0 and not row.get("resumed_at")
    tally.finished = 1
    return tally


def whole(name: str, words: list[str], out: pathlib.Path) -> tuple[float, dict[str, Any]]:
    """A command left alone: its seconds and its numbers."""
    start = time.perf_counter()
    with begun(words, out.parent / "log.txt") as (process, _):
        if process.wait():
            raise RuntimeError((out.parent / "log.txt").read_text())
    return time.perf_counter() - start, numbers(name, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the signals")
    parser.add_argument("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    parser.add_argument("--json", metavar="PATH", help="- for standard output")
    args = parser.parse_args()
    rng, total = random.Random(args.seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        home = pathlib.Path(name)

        def prepared(command: str, folder: str) -> tuple[list[str], pathlib.Path]:
            out = home / folder / command / "run"  # a table may name the last folder
            out.parent.mkdir(parents=True)
            trained = home / "whole" / "train" / "run"
            places = {"OUT": str(out), "TRAINED": str(trained)}
            return [places.get(word, word) for word in COMMANDS[command].split()], out

        wanted = list(dict.fromkeys([*(["train"] if "ensemble" in args.commands else []), *args.commands]))
        references = {command: whole(command, *prepared(command, "whole")) for command in wanted}
        for life in range(10 * args.kills):
            if len(total.fell) >= args.kills:
                break
            fell = collections.Counter(place.partition(":")[0] for place in total.fell)
            command = min(args.commands, key=fell.__getitem__)  # the one that was ended least
            words, out = prepared(command, f"life{life}")
            seconds, expected = references[command]
            share = -(-args.kills // len(args.commands))
            left = min(rng.randint(1, 4), args.kills - len(total.fell), share)
            tally = lives(command, words, out, seconds, rng, left)
            got = numbers(command, out)
            total.differ |= {
                f"{command}: {key}" for key in expected.keys() | got.keys() if expected.get(key) != got.get(key)
            }
            for field in ("fell", "tracebacks"):
                getattr(total, field).extend(getattr(tally, field))
            for field in ("orphans", "begun_again", "finished"):
                setattr(total, field, getattr(total, field) + getattr(tally, field))
    said = {
        "kills": len(total.fell),
        "finished": total.finished,
        "fell": dict(collections.Counter(total.fell)),
        "differ": sorted(total.differ),
        "equal": not total.differ,
        "orphans": total.orphans,
        "begun_again": total.begun_again,
        "tracebacks": total.tracebacks,
    }
    if args.json:
        target = sys.stdout if args.json == "-" else open(args.json, "w", encoding="utf-8")  # noqa: SIM115
        print(json.dumps(said), file=target)
    else:
        print(*(f"{key}: {value}" for key, value in said.items()), sep="\n")
    return 0 if said["equal"] and not total.orphans and not total.begun_again else 1


if __name__ == "__main__":
    sys.exit(main())
