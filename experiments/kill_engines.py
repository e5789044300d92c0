"""Kills a study of many short runs on each engine, and compares its records with those of one left alone.

Claim     60 runs of the digits by two workers, whose first process is killed (SIGKILL) and interrupted (SIGINT) and
          one of whose workers is killed, come on the engines local, ray and slurm (its jobs as processes here) to the
          records of a study left alone, each there once.
Command   python experiments/kill_engines.py [--seeds 30] [--engines local ray slurm] [--json -]
Time      ten minutes on two CPU cores, most of it for Slurm's, which begins a process a run.
Expected  "equal": true for each engine, "workers_lost" 1 (local: its command ends, and is begun again), and "resumed":
          runs that went on from a saved state.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from lrsched.runs import records
from lrsched.runs import run as runs

ENGINES = {"local": [], "ray": ["--engine", "ray"], "slurm": ["--engine", "slurm", "--address", "local"]}


def command(seeds: int, out: pathlib.Path, engine: str) -> list[str]:
    words = "study --schedules rex linear --budgets 3ep --shared-rate 0.1 --workers 2"
    first = [sys.executable, "-m", "lrsched.cli", *words.split(), "--seeds", str(seeds), "--out", str(out)]
    return [*first, *ENGINES[engine]]


def rows(out: pathlib.Path) -> list[dict[str, Any]]:
    return records.read(out / "records.jsonl").rows


def holders(out: pathlib.Path) -> list[int]:
    """Processes that have the claim of a run open: its workers."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            names = [os.readlink(each) for each in path.iterdir()]
            if any(name.startswith(f"{out}/states/") and name.endswith("/claim") for name in names):
                found.append(int(path.parent.name))
    return found


def live(words: list[str], log: pathlib.Path, when: Callable[[], bool], end: Callable[[int], None]) -> int:
    """Begins a command, ends it (or one of its workers) once something holds, and waits for its exit status."""
    with log.open("ab") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
        done = False
        while process.poll() is None:
            if not done and when():
                end(process.pid)
                done = True
            time.sleep(0.02)
    return process.returncode


def killed(seeds: int, engine: str, home: pathlib.Path) -> dict[str, Any]:
    """A study that is killed on the way, and what is seen of it."""
    out, log = home / engine, home / f"{engine}.log"
    words, total, statuses = command(seeds, out, engine), 2 * seeds, list[int]()

    def after(share: float) -> Callable[[], bool]:
        return lambda: len(rows(out)) >= share * total and bool(holders(out))

    def kill_a_worker(pid: int) -> None:
        for worker in [each for each in holders(out) if each != pid][:1]:
            os.kill(worker, signal.SIGKILL)

    statuses.append(live(words, log, after(0.2), lambda pid: os.kill(pid, signal.SIGKILL)))
    statuses.append(live(words, log, after(0.5), lambda pid: os.killpg(pid, signal.SIGINT)))
    statuses.append(live(words, log, after(0.7), kill_a_worker))
    if engine == "local":  # ends with its worker
        statuses.append(live(words, log, lambda: False, lambda pid: None))
    text = log.read_text(errors="replace")
    return {
        "statuses": statuses,
        "workers_lost": text.count("lost its worker (") + text.count("workers must live to the end"),
        "resumed": sum(bool(row["resumed_at"]) for row in rows(out)),
        "records": len(rows(out)),
        "tracebacks": text.count("Traceback"),
        "log": [line for line in text.splitlines() if "lrsched:" in line or "lost its" in line],
    }


def numbers(out: pathlib.Path) -> dict[str, Any]:
    """What may not differ, by run; each run once."""
    found = rows(out)
    if len({row["run"] for row in found}) != len(found):
        raise RuntimeError(f"{out} must have each run once")
    return {row["run"]: {key: row[key] for key in row.keys() - runs.CIRCUMSTANCES} for row in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30, help="half as many as runs")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--json", metavar="PATH", help="- for standard output")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = pathlib.Path(name).resolve()
        live(command(args.seeds, home / "whole", "local"), home / "whole.log", lambda: False, lambda pid: None)
        expected, said = numbers(home / "whole"), dict[str, Any]()
        for engine in args.engines:
            seen = killed(args.seeds, engine, home)
            said[engine] = {**seen, "equal": numbers(home / engine) == expected}
            if not args.json:
                print(engine, json.dumps(said[engine], indent=1), flush=True)
    if args.json:
        target = sys.stdout if args.json == "-" else open(args.json, "w", encoding="utf-8")  # noqa: SIM115
        print(json.dumps(said), file=target)
    good = all(each["equal"] and each["records"] == 2 * args.seeds and not each["tracebacks"] for each in said.values())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
