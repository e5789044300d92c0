"""Runs that share their first updates, trained once: a study like the REX paper's table 2, over four budgets.

Claim     Held at its first sample, a schedule is a constant rate for a quarter to a half of its budget, whatever its
          profile and its budget: so over a third of such a study need not be made again, and every record comes to the
          same bits.
Source    Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197, table 2, of which linear, REX and the steep profile
          (here exp(-5p)) at 50-75, 33-66, 25-50-75 and every iteration, all at one rate; cosine and step are added.
          Trunks are this library's.
Command   python experiments/shared_trunks.py [--out runs/shared_trunks]
Time      160 runs of ResNet-8 on the digits, half of them with what they share made once: 5 minutes on two CPU cores.
Expected  80 of 80 records equal; of the updates 42 % spared at 50-75, 31 % at 33-66, 23 % at 25-50-75, 38 % in a study
          of these three, and 4 % at every update, where only step is held.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lrsched import cli, display, files
from lrsched.analysis import markdown
from lrsched.runs import many, trunks
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.run import CIRCUMSTANCES
from lrsched.runs.task import Run
from lrsched.training import devices

PROFILES = ("linear", "rex", "exponential:gamma=-5", "cosine", "step")
SAMPLINGS = ("50-75", "33-66", "25-50-75", "every")
BUDGETS = ("10%", "25%", "50%", "100%")


def configs(samplings: Sequence[str], **words: Any) -> list[RunConfig]:
    """Every profile at these sampling rates, under every budget."""
    return [
        RunConfig(schedule=f"{profile}@{sampling}", budget=budget, **words)
        for budget in BUDGETS
        for sampling in samplings
        for profile in PROFILES
    ]


def count(runs: Sequence[Run]) -> dict[str, int]:
    """Runs, their updates, and those that need not be made a second time."""
    spared = sum(junction.spared for junction in trunks.find(runs))
    return {"runs": len(runs), "updates": sum(run.total_steps for run in runs), "spared": spared}


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The fields in which two records of one run differ, beside their circumstances."""
    return sorted(
        name for name in (first.keys() | second.keys()) - CIRCUMSTANCES if first.get(name) != second.get(name)
    )


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) of record.json."""
    rows = [["sampling rates", "runs", "updates", "not made a second time", "share"]]
    studies = record["shared_trunks"].items()
    for name, found in sorted(studies, key=lambda item: (item[1]["runs"], -item[1]["spared"])):
        share = f"{100 * found['spared'] / found['updates']:.1f} %"
        rows.append([name, *(f"{found[field]:,}" for field in ("runs", "updates", "spared")), share])
    runs = record["runs"]
    spared, updates = (sum(run[field] for run in runs) for field in ("shared_steps", "total_steps"))
    equal = sum(not run["differs"] for run in runs)
    digests = sum(run["params_digest"] == run["separate_digest"] for run in runs)
    profiles, budgets = ", ".join(PROFILES), ", ".join(BUDGETS)
    text = (
        f"{markdown.table(rows, align='lrrrr')}\n"
        f"{profiles}, each under {budgets} of {record['max_epochs']:g} epochs, at one rate and with one seed. Each row "
        "is a study of its own.\n\n"
        f"The last study was trained twice, with what its runs share made once and without: {updates - spared:,} of "
        f"{updates:,} updates were made, {100 * spared / updates:.1f} % fewer. {equal} of {len(runs)} records are the "
        f"same in all that is no circumstance, {digests} of {len(runs)} digests of the weights are equal.\n"
    )
    files.write_text(out / "table.md", text)
    return text


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-epochs", type=float, default=8.0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/shared_trunks"))
    args = parser.parse_args(words)
    devices.prepare()
    beginning = Beginning()

    def resolved(samplings: Sequence[str]) -> list[Run]:
        return many.resolve_all(configs(samplings, max_epochs=args.max_epochs), data_dir=None, count=1)

    studies = {**{name: (name,) for name in SAMPLINGS}, "the first three": SAMPLINGS[:3], "all four": SAMPLINGS}
    counts = {name: count(resolved(samplings)) for name, samplings in studies.items()}
    todo = resolved(SAMPLINGS)
    made = {}
    for name, share in (("separate", False), ("shared", True)):
        out = args.out / "separate" if name == "separate" else args.out
        with display.progress(name) as report:
            made[name] = many.train_all(todo, out, count=1, report=report, share_trunks=share)
    record = {
        "shared_trunks": counts,
        "max_epochs": args.max_epochs,
        "runs": [
            {
                **{field: shared[field] for field in ("run", "label", "total_steps", "params_digest")},
                "shared_steps": shared.get("trunk", {"step": 0})["step"],
                "separate_digest": separate["params_digest"],
                "differs": differing(shared, separate),
            }
            for shared, separate in zip(made["shared"], made["separate"], strict=True)
        ],
        **beginning.provenance(todo[0].task.data),
    }
    files.write_json(args.out / "record.json", record, indent=1)
    print(write_results(record, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
