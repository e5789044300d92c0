"""How long `lrsched study` takes to its first record and to its end, beside another version's, cold and warm.

Claim     A study has its first record several seconds earlier than with version 0.1.0, and ends earlier by as much.
          results/speed.md has the times of the default study as it then was: 108 runs in one stage with both versions;
          the 54 runs below were not timed beside 0.1.0.
Source    None; the first command of the README is a study.
Command   python experiments/bench/bench_start.py [--other PATH_TO_ANOTHER_lrsched] [--rounds 3]
          The study is what both versions understand alike: 54 runs at one rate, unless --study has other arguments.
Time      two minutes a round with --other.
Expected  medians of rounds taken in turns, so that what else the machine does meets both versions.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

SAME = ["--peak-values", "0.1"]  # with the defaults of either version 54 runs, in one stage


class Times(NamedTuple):
    """Seconds from the command to its first record and to its end."""

    first: float
    end: float


def measure(command: str, cache: str, arguments: Sequence[str]) -> Times:
    """Runs a study in an empty folder, with its caches in `cache`."""
    environment = {**os.environ, "LRSCHED_CACHE": cache, "PYTHONUNBUFFERED": "1"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)  # which would be warm
    with tempfile.TemporaryDirectory() as out:
        begun, first = time.perf_counter(), 0.0
        line = [command, "study", "--out", out, *arguments]
        said = pathlib.Path(out, "stderr")  # a terminal would be shown a bar and no lines
        with (
            said.open("w") as errors,
            subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
        ):
            assert process.stdout is not None
            for text in process.stdout:
                if not first and text.startswith("["):
                    first = time.perf_counter() - begun
        if process.returncode or not first:
            reason = (said.read_text().strip().splitlines() or ["nothing"])[-1]
            raise SystemExit(f"{command} study must end with status 0 and tell of its runs, got {reason}")
        return Times(first, time.perf_counter() - begun)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--other", help="the program `lrsched` of another version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--study", nargs=argparse.REMAINDER, default=SAME, help="arguments of the study, to the end")
    args = parser.parse_args(arguments)
    commands = {"this": str(pathlib.Path(sys.executable).parent / "lrsched")}
    commands |= {"other": args.other} if args.other else {}
    times: dict[tuple[str, str], list[Times]] = {}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as caches:
            for state in ("cold", "warm"):
                for name, command in commands.items():
                    cache = os.path.join(caches, name)
                    times.setdefault((state, name), []).append(measure(command, cache, args.study))
    print("cache  version  first record, s          end, s")
    for (state, name), each in times.items():
        parts = []
        for values in zip(*each, strict=True):
            parts.append(f"{statistics.median(values):5.1f} ({min(values):.1f} to {max(values):.1f})")
        print(f"{state:6s} {name:8s} {parts[0]:24s} {parts[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
