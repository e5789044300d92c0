"""How often `lrsched check` names the right fault: traces drawn with a known fault, and honest ones, from a seed.

Claim     Of the known faults, with arguments, schedules, budgets, sampling and digits drawn at random, the check names
          the right one first almost always, in full or in 5 or 6 digits, and agrees with all honest traces.
Source    The faults are those of lrsched/analysis/check/faults.py, made here from the schedule's own rates. So this
          measures how well they are told apart, not how many of the mistakes that people make are among them.
Command   python experiments/check_faults.py --out results/check_faults
Time      about a minute on one CPU core.
Expected  244 of 252 named first: 126 of 129 in full, 54 of 56 at .6g, 64 of 67 at .4e. All 50 honest ones agree.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

import lrsched as ls
from lrsched import files
from lrsched.analysis import markdown
from lrsched.commands.check import CheckConfig
from lrsched.commands.check import run as check
from lrsched.runs.records import Beginning

Record = dict[str, Any]
HONEST = "none: honest"
WARMED = ("warmup:{warmup}st+cosine", "warmup:{warmup}st+linear", "warmup:{warmup}st+rex")
WORDS = (*WARMED, "wsd:warmup={warmup}", "onecycle", "cosine", "linear:end_value=10%")
EVERY = (1, 1, 1, 5, 10)  # updates from one logged rate to the next
FORMS = ("", "", ".6g", ".4e")  # of which the first is in full
PRINTED = {"in full": ("",), "6 digits (.6g)": (".6g",), "5 digits (.4e)": (".4e",), "all": FORMS}
OUTCOMES = ("named first", "among those named", "other named", "none named", "not noticed")


class Run(NamedTuple):
    """A run and how it logs."""

    words: str
    total_steps: int
    warmup: int  # updates, for schedules that have one
    peak_value: float
    steps_per_epoch: int
    every: int
    form: str

    def at(self, updates: np.ndarray) -> np.ndarray:
        """The schedule's rates; before 0 the first."""
        return made(self.words, self.total_steps, self.peak_value).table(np.maximum(updates, 0))


@functools.lru_cache(8)
def made(words: str, total_steps: int, peak_value: float) -> ls.Schedule:
    return ls.plan(words, total_steps, peak_value=peak_value).lr


Make = Callable[[Run, np.ndarray, np.random.Generator], np.ndarray]


def resume(run: Run, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From an update on some updates behind or ahead."""
    start = middle(run, rng)
    by = int(rng.integers(5, start)) * int(rng.choice([-1, 1]))
    return np.where(k < start, run.at(k), run.at(k - by))


def double(run: Run, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two steps an update from an update on."""
    start = middle(run, rng)
    return run.at(np.where(k < start, k, start + 2 * (k - start)))


def other_budget(run: Run, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Made for 0.6 to 2 times the budget."""
    total = max(int(run.total_steps * rng.uniform(0.6, 2)), run.warmup + 9)
    return run._replace(total_steps=total + (total == run.total_steps)).at(k)


def middle(run: Run, rng: np.random.Generator) -> int:
    """An update between the first and the last quarter."""
    return int(rng.integers(run.total_steps // 4, 3 * run.total_steps // 4))


# What happened -> the kind that is to be named, and the rates that it leaves at the updates k.
FAULTS: dict[str, tuple[str, Make]] = {
    "one update early": ("early", lambda run, k, rng: run.at(k + 1)),
    "one update late": ("late", lambda run, k, rng: run.at(k - 1)),
    "2, 4, 8, 1/2 or 1/10 times the peak": ("peak", lambda run, k, rng: run.at(k) * rng.choice([2, 4, 8, 0.5, 0.1])),
    "restarted at each epoch": ("restarted", lambda run, k, rng: run.at(k % run.steps_per_epoch)),
    "stepped once per epoch, the rate right there": ("held", lambda run, k, rng: run.at(k - k % run.steps_per_epoch)),
    "stepped by one once per epoch": ("slow", lambda run, k, rng: run.at(k // run.steps_per_epoch)),
    "stepped 2 to 16 times in each update": ("fast", lambda run, k, rng: run.at(k * int(rng.integers(2, 17)))),
    "resumed some updates behind or ahead": ("resumed", resume),
    "stepped twice in each update after a resume": ("resumed", double),
    "stepped no more from an update on": ("stuck", lambda run, k, rng: run.at(np.minimum(k, middle(run, rng)))),
    "never stepped": ("constant", lambda run, k, rng: np.full(len(k), run.peak_value)),
    "made for 0.6 to 2 times the budget": ("budget", other_budget),
    "warmup begins above 0": (
        "warmup_start",
        lambda run, k, rng: np.where(k < run.warmup, run.peak_value * (k + 1) / run.warmup, run.at(k)),
    ),
    "no warmup": ("no_warmup", lambda run, k, rng: run._replace(words=run.words.split("+")[-1]).at(k)),
}


def draw(what: str, rng: np.random.Generator) -> tuple[Run, np.ndarray, np.ndarray]:
    """A run, the updates that it logs, and their rates with this fault, or with none (`HONEST`), in float32."""
    total = int(rng.integers(200, 3000))
    warmup = int(rng.integers(10, total // 5))
    words = str(rng.choice(WARMED if "warmup" in what else WORDS)).format(warmup=warmup)
    peak = float(f"{10 ** rng.uniform(-4, 0):.3g}")
    epoch = int(rng.integers(20, total // 4))
    run = Run(words, total, warmup, peak, epoch, int(rng.choice(EVERY)), str(rng.choice(FORMS)))
    updates = np.arange(0, total, run.every)
    rates = run.at(updates) if what == HONEST else FAULTS[what][1](run, updates, rng)
    return run, updates, rates.astype(np.float32)


def examine(what: str, seed: int, number: int, folder: pathlib.Path) -> Record:
    """Draws one trace, writes it as CSV, checks it; what was drawn, and the kinds that are named, the likeliest first.

    Args:
      number: of the draw; with the seed and `what` it fixes everything.
    """
    run, updates, rates = draw(what, np.random.default_rng([seed, number]))
    path = folder / "trace.csv"
    lines = [f"{update},{float(rate):{run.form}}" for update, rate in zip(updates, rates, strict=True)]
    path.write_text("\n".join(["step,lr", *lines]))
    config = CheckConfig(
        str(path), run.words, run.total_steps, steps_per_epoch=run.steps_per_epoch, peak_value=run.peak_value
    )
    verdict = check(config).result
    return {
        "what": what,
        "number": number,
        **run._asdict(),
        "agrees": verdict.agrees,
        "named": [reason.kind for reason in verdict.reasons],
    }


def measure(seed: int, of_each: int, honest: int) -> Record:
    """The record of all draws: so many of each fault, and honest ones."""
    beginning = Beginning()
    wanted = [*list(FAULTS) * of_each, *[HONEST] * honest]
    with tempfile.TemporaryDirectory() as folder:
        traces = [examine(what, seed, number, pathlib.Path(folder)) for number, what in enumerate(wanted)]
    return {"checked_traces": traces, "seed": seed, **beginning.provenance()}


def outcome(trace: Mapping[str, Any]) -> str:
    """What became of a fault; one of `OUTCOMES`."""
    kind, named = FAULTS[trace["what"]][0], trace["named"]
    if trace["agrees"]:
        return "not noticed"
    if not named:
        return "none named"
    return "other named" if kind not in named else "named first" if named[0] == kind else "among those named"


def share(count: int, n: int) -> str:
    """A count, and Wilson's 95 % interval of its share."""
    if not n:
        return "0"
    low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
    return f"{count} ({100 * low:.0f} to {100 * high:.0f} %)"


def render(record: Record) -> str:
    """The table in Markdown, a row a fault, and what it is of."""
    traces = record["checked_traces"]
    faulty = [trace for trace in traces if trace["what"] != HONEST]
    rows = [["fault", "kind", "n", *OUTCOMES]]
    for what, (kind, _) in FAULTS.items():
        rows.append([what, markdown.code(kind), *count([trace for trace in faulty if trace["what"] == what])])
    rows.append(["all", "", *count(faulty)])
    printed = [["printed", "honest", "agree", "faulty", *OUTCOMES]]
    for label, forms in PRINTED.items():
        chosen = [trace for trace in traces if trace["form"] in forms]
        honest = [trace["agrees"] for trace in chosen if trace["what"] == HONEST]
        found = count([trace for trace in chosen if trace["what"] != HONEST])
        printed.append([label, f"{len(honest)}", share(sum(honest), len(honest)), *found])
    text = (
        "Counts of traces, with Wilson's 95 % intervals. Schedules (with and without a warmup, 1cycle, WSD), budgets "
        "of 200 to 2,999 updates, peaks of 1e-4 to 1, epochs, and the faults' arguments are drawn from a seed; every, "
        "every 5th or every 10th update is logged, in float32. The check is told schedule, budget, peak and epoch. "
        "Every fault is one that it knows."
    )
    first, second = markdown.table(rows, align="llrrrrrr"), markdown.table(printed, align="lrrrrrrrr")
    return f"{first}\n{second}\n{text}\n"


def count(traces: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many faulty traces, and how many of each outcome."""
    first, *rest = ([outcome(trace) for trace in traces].count(one) for one in OUTCOMES)
    return [f"{len(traces)}", share(first, len(traces)), *map(str, rest)]


def write_results(record: Record, out: files.Path) -> tuple[str, list[pathlib.Path]]:
    """Writes table.md; its text, and the files."""
    path = pathlib.Path(out) / "table.md"
    text = render(record)
    files.write_text(path, text)
    return text, [path]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of-each", type=int, default=18, help="traces of each fault")
    parser.add_argument("--honest", type=int, default=50, help="traces without one")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/check_faults"))
    args = parser.parse_args(words)
    record = measure(args.seed, args.of_each, args.honest)
    files.write_json(args.out / "record.json", record, indent=1)
    print(write_results(record, args.out)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
