"""Cyclical rates against a fixed and an exponential one: errors at any time, and updates to a given error.

Claim     A triangular policy reaches a fixed rate's final error in fewer updates, and needs no decay to end as well;
          triangular2 and exp_range end better than triangular.
Source    Smith, WACV 2017, arXiv:1506.01186, table 1: CIFAR-10, Caffe's quick net, batch 100, accuracies after 70,000
          updates fixed 81.4, after 25,000 triangular2 81.4, decay 78.5, after 70,000 exp 79.1, after 42,000 exp_range
          82.2. Bounds from a range test (0.001 to 0.006, halves of 2,000 updates there), half cycles of 2 to 10 epochs,
          3 cycles at least. Here between a quarter of a peak chosen on held-out data and it; three cycles, whose halves
          are shorter than an epoch. exp_range shrinks over the run as his does in 42,000 updates, to 0.08; its lower
          bound stays, as in his code. At the paper's scale halves, bounds' ratio and gamma are his, in 18 whole cycles;
          the peak is chosen all the same, for our `cnn` is near to Caffe's quick net, not equal to it.
Command   python experiments/clr_anytime.py [--scale paper] --data-dir FOLDER [--dry-run]
          python experiments/clr_anytime.py --gather FOLDER, which writes the second table of a study (reaching.md)
Time      a quarter of an hour on two CPU cores for an MLP on Fashion-MNIST.
Expected  errors at the end; by --gather anytime error (mean over the updates), errors on the way, updates to errors,
          mean and sd over fresh seeds.
"""

import math
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import scales
from entries import minus, name_best, spread

from lrsched import files
from lrsched.analysis import drawing, markdown, statistics
from lrsched.analysis.study.cells import gather
from lrsched.runs import studies
from lrsched.runs.studies import SavedStudy

EPOCHS, UPDATES = 5, 2345  # of the CPU's scale
GAMMA = 0.99994  # his
SHRINKS_TO = GAMMA**42_000


def words(gamma: float, form: str = "") -> str:
    """The five schedules; triangular2 halves at every cycle. form: of the cycles, as in `,half_cycle=2ep`."""
    plain = f"clr:{form.lstrip(',')}" if form else "clr"
    return f"{plain} clr:mode=triangular2{form} clr:mode=exp_range,gamma={gamma:.6f}{form} constant exponential"


SCALES = {
    "cpu": f"""--data fashion_mnist --model mlp --no-augment --batch-size 128 --max-epochs {EPOCHS} --budgets 100%
        --schedules {words(SHRINKS_TO ** (1 / UPDATES))} --peak-values 0.01 0.03 0.1 0.3 --selection-seeds 0-0
        --seeds 1-5 --evaluate-every 2% --reference constant --workers 2 --out runs/clr_anytime""",
    "paper": f"""--data cifar10 --model cnn --no-augment --batch-size 100 --max-epochs 144 --budgets 100%
        --schedules {words(GAMMA, ",half_cycle=2000st,initial_fraction=0.166667")}
        --peak-values 0.001 0.003 0.006 0.01 0.03 0.1 --selection-seeds 0-0 --seeds 1-3 --evaluate-every 2%
        --reference constant --out runs/clr_anytime_paper""",
}
FIXED = "constant"
SHARES = (0.1, 0.25, 0.5, 1.0)  # of the run
ERRORS = {"fashion_mnist": (0.2, 0.15, 0.125)}  # to be reached; the fixed rate's last mean is another
PRINTED = {  # in table 1: error in %, after so many updates
    "clr:mode=triangular2": "18.6 after 25,000",
    "clr:mode=exp_range": "17.8 after 42,000",
    "constant": "18.6 after 70,000",
    "exponential": "20.9 after 70,000",
}

Ways = dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]  # label -> seed -> updates, errors


def read(study: SavedStudy) -> Ways:
    """The errors on the way of each schedule's fresh seeds, at its chosen rate.

    Raises:
      ValueError: if a run diverged, which has no errors from there on.
    """
    gone = [f"{row['label']} seed {row['seed']}" for row in study.records if row["diverged_at"] is not None]
    if gone:
        raise ValueError(f"runs must all have ended, got some that diverged: {', '.join(gone)}.")
    ways: Ways = {}
    for row in study.records:
        found = row["evaluations"]
        ways.setdefault(row["label"], {})[row["seed"]] = (np.asarray(found["steps"]), np.asarray(found["errors"]))
    return ways


def anytime_error(steps: np.ndarray, errors: np.ndarray) -> float:
    """Mean error over the updates from the first evaluation on, linear between evaluations."""
    return float(np.trapezoid(errors, steps) / (steps[-1] - steps[0]))


def first_below(steps: np.ndarray, errors: np.ndarray, error: float) -> float:
    """Updates at the first evaluation with at most this error; infinite if there is none."""
    there = steps[errors <= error]
    return float(there[0]) if len(there) else math.inf


def write_more(study: SavedStudy, out: pathlib.Path) -> str:
    """The table of errors on the way and of updates to errors (returned, and written to out/reaching.md)."""
    ways = read(study)
    cells = gather(study.records, study.selection)
    rates = {cell.label: cell.peak_value for cell in cells}
    edges = [f"{cell.label} {cell.peak_value:g} ({cell.at_edge})" for cell in cells if cell.at_edge]
    total = max(int(steps[-1]) for steps, _ in ways[FIXED].values())
    anytime = {label: {seed: anytime_error(*way) for seed, way in seeds.items()} for label, seeds in ways.items()}
    last = statistics.mean([float(errors[-1]) for _, errors in ways[FIXED].values()])
    goals = [*ERRORS.get(study.records[0]["config"]["data"], ()), last]
    head = ["schedule", *(f"at {share:.0%}" for share in SHARES), "anytime error", "minus fixed"]
    rows = [[*head, *(f"updates to {100 * goal:.4g} %" for goal in goals), "printed, %"]]
    for label, seeds in ways.items():
        on_the_way = [spread(float(np.interp(share * total, *way)) for way in seeds.values()) for share in SHARES]
        area = [spread(anytime[label].values()), minus(anytime[label], anytime[FIXED])]
        printed = PRINTED.get(label.partition(",")[0], "")
        rows.append([f"{markdown.code(label)} @ {rates[label]:g}", *on_the_way, *area, *_reach(seeds, goals), printed])
    text = (
        f"{markdown.table(rows, align='l' + 'r' * (len(rows[0]) - 1))}\n"
        f"Test error in % after shares of {total:,} updates, and its mean over the updates from the first evaluation "
        f"on (anytime error), mean ± sd over {len(ways[FIXED])} fresh seeds; minus fixed with a 95 % interval, paired "
        "by seed, each by itself. Updates to an error: median (least to most) over the seeds, at the evaluations "
        "(every fiftieth of the run); not reached: by less than half of them. The last of these errors is the fixed "
        f"rate's mean at its end. Rates at the edge of those tried: {', '.join(edges) or 'none'}. Printed: single "
        "numbers of Smith's table 1, of other images and another network, so that the order alone can be compared; his "
        "triangular2 was three stages set by hand.\n\n"
        f"{name_best(anytime, 'anytime error')}\n\n"
        f"{name_best({label: _ends(seeds) for label, seeds in ways.items()}, 'error at the end')}\n"
    )
    files.write_text(out / "reaching.md", text)
    draw(ways, out / "reaching.svg")
    return text


def _ends(seeds: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, float]:
    return {seed: float(errors[-1]) for seed, (_, errors) in seeds.items()}


def _reach(seeds: Mapping[int, tuple[np.ndarray, np.ndarray]], goals: Sequence[float]) -> list[str]:
    """Updates to each error, of a schedule: the median over all seeds, and the least and most."""
    cells = []
    for goal in goals:
        reached = sorted(first_below(*way, goal) for way in seeds.values())
        middle = reached[(len(reached) - 1) // 2]  # the lower one of two, so that an infinite one is not averaged
        there = sum(math.isfinite(steps) for steps in reached)
        if not math.isfinite(middle):
            cells.append(f"not reached ({there} of {len(reached)})")
        elif there < len(reached):
            cells.append(f"{middle:,.0f} ({reached[0]:,.0f} to never)")
        else:
            cells.append(f"{middle:,.0f} ({reached[0]:,.0f} to {reached[-1]:,.0f})")
    return cells


def draw(ways: Ways, path: pathlib.Path) -> None:
    """The least error so far over the updates, mean over seeds."""
    with drawing.figure(path, (6.4, 3.8)) as figure:
        axes = figure.subplots()
        for i, (label, seeds) in enumerate(ways.items()):
            steps = next(iter(seeds.values()))[0]
            best = 100 * np.mean([np.minimum.accumulate(errors) for _, errors in seeds.values()], axis=0)
            axes.plot(steps, best, label=label, **{**drawing.look(i), "marker": ""})
        last = 100 * np.mean([errors[-1] for _, errors in ways[FIXED].values()])
        axes.set_ylim(top=max(20, 1.5 * last))  # what lies above is the first twentieth of the run
        axes.set_xlabel("updates")
        axes.set_ylabel("least test error so far, %")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def main(words: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["--gather"]:
        folder = pathlib.Path(*words[1:])
        print(write_more(studies.load(folder), folder))
        return 0
    return scales.study(__doc__, SCALES, words)


if __name__ == "__main__":
    sys.exit(main())
