"""Seven schedules under all six budgets of the REX paper, in small: ranks, Top-1 and Top-3 shares beside its table 1.

Claim     REX is most often the best schedule, and nearly always among the best three, most of all under low budgets.
Source    Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197, table 1, over its 28 experiments: 1, 5, 10, 25, 50 and
          100 % of the epochs, rates tuned for each schedule and budget, ranks by the mean of 3 trials.
Command   python experiments/all_budgets.py --scale digits | fashion_mnist | paper [--data-dir FOLDER] [--dry-run]
          python experiments/all_budgets.py --gather FOLDER, which holds the folders of both
Time      digits (ResNet-8, 20 epochs, 10 seeds) a quarter of an hour, Fashion-MNIST (MLP, 10 epochs, 5 seeds) half an
          hour on two CPU cores. The paper's scale is the Adam half of its table 4 for RN20-CIFAR10.
Expected  Top-1 and Top-3 shares in % over all budgets: rex 70 and 92, linear 11 and 70, cosine 6 and 64, onecycle 13
          and 45, step 5 and 25, exponential 5 and 11, constant 1 and 5.
"""

import pathlib
import sys
from collections.abc import Sequence

import scales

from lrsched import files
from lrsched.analysis import markdown
from lrsched.analysis.study.cells import Cell, gather
from lrsched.analysis.study.ranks import Interval, Standing, rank_cells
from lrsched.runs import studies

COMMON = """--schedules rex linear cosine step exponential onecycle:variant=rex_paper constant
    --budgets 1% 5% 10% 25% 50% 100%"""
SCALES = {
    "digits": f"""{COMMON} --data digits --model resnet8 --max-epochs 20 --peak-values 0.03 0.1 0.3
        --selection-seeds 0-0 --seeds 1-10 --workers 2 --out runs/all_budgets/digits""",
    "fashion_mnist": f"""{COMMON} --data fashion_mnist --model mlp --no-augment --max-epochs 10
        --peak-values 0.03 0.1 0.3 --selection-seeds 0-0 --seeds 1-5 --workers 2
        --out runs/all_budgets/fashion_mnist""",
    "paper": f"""{COMMON} --data cifar10 --model resnet20 --optimizer adam --batch-size 128 --max-epochs 300
        --peak-values 0.0001 0.0003 0.001 0.003 0.01 --selection-seeds 0-0 --seeds 1-3
        --out runs/all_budgets/rn20_adam""",
}
STUDIES = {"digits": "ResNet-8 on the digits", "fashion_mnist": "an MLP on Fashion-MNIST"}  # in one table of standings
LOW = 25  # % of the epochs: budgets below it are the paper's low ones
# Top-1 and Top-3 in %, low budgets, high ones, all: table 1.
PRINTED = {
    "rex": ((73, 95), (67, 88), (70, 92)),
    "linear": ((10, 78), (12, 62), (11, 70)),
    "cosine": ((2, 66), (10, 62), (6, 64)),
    "onecycle:variant=rex_paper": ((15, 49), (12, 40), (13, 45)),
    "step": ((2, 12), (7, 38), (5, 25)),
    "exponential": ((5, 7), (5, 14), (5, 11)),
    "constant": ((0, 0), (2, 10), (1, 5)),
}


def write_standings(folder: pathlib.Path, out: pathlib.Path) -> str:
    """The table of ranks over all settings of the studies in a folder: returned, and written to out/table.md."""
    cells, of = [], []
    for name, network in STUDIES.items():
        study = studies.load(folder / name)
        cells.append(gather(study.records, study.selection))
        of.append(f"{network}, {len({row['seed'] for row in study.records})} seeds")
    parts = [
        ("all budgets", 2, cells),
        (f"below {LOW} %", 0, [_part(each, low=True) for each in cells]),
        (f"{LOW} % and more", 1, [_part(each, low=False) for each in cells]),
    ]
    text = "\n".join(_tabulate(name, column, rank_cells(each)) for name, column, each in parts)
    text += (
        f"\nA setting is a budget of one study ({'; '.join(of)}; "
        "rates chosen on held-out data by a seed of its own). Ranks are by mean test error; those that tie share a "
        "place. Brackets: 95 % intervals by bootstrap over the settings; those of one study share its data and seeds. "
        "Printed: table 1 of the REX paper, over 28 experiments of its own; its step is the better one of step and "
        "plateau.\n"
    )
    files.write_text(out / "table.md", text)
    return text


def _part(cells: Sequence[Cell], *, low: bool) -> list[Cell]:
    return [cell for cell in cells if (float(cell.budget.rstrip("%")) < LOW) == low]


def _tabulate(name: str, column: int, standings: Sequence[Standing]) -> str:
    rows = [[f"{name}, {standings[0].settings} settings", "mean rank", "Top-1 %", "printed", "Top-3 %", "printed"]]
    for one in standings:
        first, third = PRINTED[one.label][column]
        rank = f"{one.mean_rank:.2f}{_bounds(one.rank_interval, 1, 2)}"
        shares = [
            f"{100 * share:.0f}{_bounds(interval, 100, 0)}"
            for share, interval in ((one.top_1, one.top_1_interval), (one.top_3, one.top_3_interval))
        ]
        rows.append([markdown.code(one.label), rank, shares[0], str(first), shares[1], str(third)])
    return markdown.table(rows, align="lrrrrr")


def _bounds(interval: Interval | None, scale: float, digits: int) -> str:
    if interval is None:
        return ""
    return f" [{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]"


def main(words: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["--gather"]:
        folder = pathlib.Path(*words[1:])
        print(write_standings(folder, folder))
        return 0
    return scales.study(__doc__, SCALES, words)


if __name__ == "__main__":
    sys.exit(main())
