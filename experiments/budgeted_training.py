"""Budgeted training: a step schedule cut off at 1 % or 5 % of its budget, the same converted to it, and linear.

Claim     A schedule that is made for the budget beats one that is broken off, and linear beats the converted step.
Source    Li, Yumer, Ramanan, ICLR 2020, arXiv:1905.04753: 1 to 100 % of the budget, 3 runs; table 3 has ImageNet, COCO,
          Cityscapes and Kinetics, step (converted) beside linear. Their CIFAR-10 table (ResNet-18, 200 epochs, batch
          128, rate 0.1, weight decay 5e-4) could not be had. The step drops to a tenth at 1/2 and at 3/4: cut off
          before its first drop it is the constant rate, whose runs stand for it here, at the rate that is best for
          them; who breaks off a long run has the long run's rate, so this flatters the cut. From 50 % on it is no
          constant rate, so that the paper's scale ends at 25 %. ResNet-20 stands for ResNet-18 there.
Command   python experiments/budgeted_training.py [--scale paper] [--data-dir FOLDER] [--dry-run]
          python experiments/budgeted_training.py --gather FOLDER: of one study, or of several (results)
Time      the digits take a minute; the table is gathered from studies that are there, CIFAR-10's among them.
Expected  converted ahead of cut off, linear ahead of both. Printed (ImageNet, top-1 accuracy): step 20.39 +- 0.29 and
          linear 30.63 +- 0.36 at 1 %; 51.94 +- 0.48 and 57.26 +- 0.24 at 5 %.
"""

import math
import pathlib
import sys
from collections.abc import Mapping, Sequence

import scales
from entries import minus, spread

from lrsched import files
from lrsched.analysis import drawing, markdown, pairs, statistics
from lrsched.analysis.study.cells import Cell, gather
from lrsched.runs import studies

COMMON = "--schedules constant step linear"
SCALES = {
    "cpu": f"""{COMMON} --data digits --model resnet8 --max-epochs 20 --budgets 1% 5% --peak-values 0.03 0.1 0.3
        --selection-seeds 0-0 --seeds 1-10 --out runs/budgeted_training""",
    "paper": f"""{COMMON} --data cifar10 --model resnet20 --batch-size 128 --max-epochs 200 --weight-decay 5e-4
        --budgets 1% 5% 10% 25% --peak-values 0.03 0.1 0.3 --selection-seeds 0-0 --seeds 1-3
        --out runs/budgeted_training_paper""",
}
CUT, CONVERTED, LINEAR = "step, cut off", "step, converted", "linear"
SCHEDULES = {CUT: "constant", CONVERTED: "step", LINEAR: "linear"}
BUDGETS = ("1%", "5%")
STUDIES = {  # folder in results/ -> what it trains
    "rex_table4": "CIFAR-10, ResNet-20, 300 epochs",
    "rex_table2": "CIFAR-10, ResNet-20, 300 epochs, one rate",
    "all_budgets/fashion_mnist": "Fashion-MNIST, MLP, 10 epochs",
    "all_budgets/digits": "digits, ResNet-8, 20 epochs",
}


def write_results(folder: pathlib.Path, out: pathlib.Path) -> str:
    """The table of the studies in a folder that have all three: returned, and written to out/table.md, and a figure."""
    drawn = dict[str, Mapping[str, Cell]]()
    rows = [["setting", "budget", *SCHEDULES, "converted - cut off", "linear - converted", "separated"]]
    for name, words in ({".": ""} if (folder / "records.jsonl").exists() else STUDIES).items():
        if not (folder / name / "records.jsonl").exists():
            continue
        study = studies.load(folder / name)
        config = study.records[0]["config"]
        words = words or f"{config['data']}, {config['model']}, {config['max_epochs']:g} epochs"
        cells = {(cell.label, cell.budget): cell for cell in gather(study.records, study.selection)}
        for budget in BUDGETS if name != "." else dict.fromkeys(of for _, of in cells):
            three = {way: cells[label, budget] for way, label in SCHEDULES.items() if (label, budget) in cells}
            if len(three) == len(SCHEDULES):
                rows.append([words, budget, *_compare(three)])
                drawn[f"{words}, {budget}"] = three
    text = (
        f"{markdown.table(rows, align='ll' + 'r' * (len(rows[0]) - 3) + 'l')}\n"
        "Test error in %, mean ± sd (seeds) @ rate, chosen on held-out data where the study has several; *: the lowest "
        "or highest of those tried. Cut off: the "
        "long step schedule before its first drop, which is the constant rate. Differences in points with their 95 % "
        "intervals, paired by seed. Separated: of the three pairs, by moderated paired t tests at 5 %, one family a "
        "row, not adjusted for the number of rows.\n"
    )
    files.write_text(out / "table.md", text)
    if drawn:
        draw(drawn, out / "budgeted_training.svg")
    return text


def draw(rows: Mapping[str, Mapping[str, Cell]], path: pathlib.Path) -> None:
    """Test errors, a line a row of the table: mean ± sd; a schedule with a diverged run has no point."""
    with drawing.figure(path, (7.2, 0.5 * len(rows) + 1.2)) as figure:
        axes = figure.subplots()
        for i, way in enumerate(SCHEDULES):
            known = [(k, three[way]) for k, three in enumerate(rows.values()) if not three[way].diverged]
            axes.errorbar(
                [100 * (cell.mean or 0) for _, cell in known],
                [k + 0.15 * (i - 1) for k, _ in known],
                xerr=[100 * (cell.sd or 0) for _, cell in known],
                **{**drawing.look(i), "linestyle": "none"},
                label=way,
            )
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        axes.set_xlabel("test error, % (mean ± sd)")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(SCHEDULES))


def _compare(three: Mapping[str, Cell]) -> list[str]:
    """The cells of a row."""
    errors = {way: cell.errors | dict.fromkeys(cell.diverged_seeds, math.inf) for way, cell in three.items()}
    apart = [
        f"{way} from {other}"
        for way, other in ((CONVERTED, CUT), (LINEAR, CUT), (LINEAR, CONVERTED))
        if pairs.tell_apart(errors[way], {name: each for name, each in errors.items() if name != way})[other]
    ]
    means = [
        (markdown.diverged(cell.diverged, len(errors[way])) if cell.diverged else spread(errors[way].values()))
        + f" ({len(errors[way])}) @ {cell.peak_value:g}{'*' * bool(cell.at_edge)}"
        for way, cell in three.items()
    ]
    lowest = min(range(3), key=lambda i: statistics.mean(list(errors[list(SCHEDULES)[i]].values())))
    means[lowest] = f"**{means[lowest]}**"
    differences = [
        "-" if three[first].diverged or three[second].diverged else minus(errors[first], errors[second])
        for first, second in ((CONVERTED, CUT), (LINEAR, CONVERTED))
    ]
    return [*means, *differences, "; ".join(apart) or "none"]


def main(words: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["--gather"]:
        folder = pathlib.Path(*words[1:])
        print(write_results(folder, folder / "budgeted_training"))
        return 0
    return scales.study(__doc__, SCALES, words)


if __name__ == "__main__":
    sys.exit(main())
