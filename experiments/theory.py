"""How far the bound and the laws of `lrsched.forecast` are to be trusted: held against published numbers.

Claim     With all schedules at linear decay's best rate the last-iterate bound orders the REX paper's table 2 with rank
          correlations of 0.84 to 0.94. Laws fitted to three loss curves predict six others to a few thousandths.
Source    The bound: Schaipp et al., arXiv:2501.18965. Errors: Chen, Wolfe, Kyrillidis, arXiv:2107.04197, tables 2 and
          4-9 (lrsched/analysis/study/paper_numbers.csv). Loss curves: Luo et al., arXiv:2503.12811, MIT, and the runs
          of Schaipp et al. and Haegele et al. (cooldown_grid/runs.csv), MIT; neither is part of this repository.
          Chosen with the tables in view, so exploratory: the step profile of table 2, whose constant the paper does not
          give, is read as exp(-5 p). Batch sizes are those of the authors' DEMON (arXiv:1910.04952), which has the same
          rows: 128 on CIFAR, 100 on MNIST, 64 on STL-10.
Command   python experiments/theory.py --curves FOLDER --out results/theory
Time      one minute on two CPU cores.
Expected  Spearman at linear's best rate .925 .943 .836 (ResNet-20; 15, 75, 300 epochs), .917 .926 .931 (ResNet-38).
"""

from __future__ import annotations

import argparse
import csv
import importlib.resources
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import theory_laws
from scipy import stats

import lrsched as ls
from lrsched import files
from lrsched.analysis import drawing, markdown
from lrsched.runs.records import Beginning

Record = dict[str, Any]
PER_EPOCH = {"cifar10": 391, "cifar100": 391, "mnist": 600, "stl10": 79}  # batches of 128, 100 and 64
SETTINGS = [(f"RN{depth}-CIFAR10-SGDM", epochs) for depth in (20, 38) for epochs in (15, 75, 300)]
ORDERS = {  # of rates whose peak is 1, and linear's best rate: what they are ordered by, least first
    "bound, all at linear's best rate": lambda shape, rate: ls.bound(shape * rate).value,
    "bound, all at half of it": lambda shape, rate: ls.bound(shape * rate / 2).value,
    "bound, all at twice it": lambda shape, rate: ls.bound(shape * rate * 2).value,
    "bound, each at its own best rate": lambda shape, rate: ls.bound(shape).tuned,
    "baseline: area under the rates, lower first": lambda shape, rate: shape.mean(),
    "baseline: mean of the last 1 %, lower first": lambda shape, rate: shape[-max(len(shape) // 100, 1) :].mean(),
}
FACTORIES: dict[str, Callable[..., ls.Schedule]] = {
    "rex": ls.rex,
    "linear": ls.linear,
    "cosine": ls.cosine,
    "step": ls.step,
    "exponential": ls.exponential,
    "onecycle": lambda peak, total_steps: ls.onecycle(peak, total_steps=total_steps, variant="rex_paper"),
    "none": ls.constant,
}


def paper_rows(table: str) -> list[dict[str, str]]:
    """The REX paper's rows of a table."""
    text = importlib.resources.files("lrsched.analysis.study").joinpath("paper_numbers.csv").read_text("utf-8")
    return [
        row for row in csv.DictReader(text.splitlines()) if row["paper"].startswith("REX") and row["table"] == table
    ]


def shape_of(profile: str, sampling: str, total_steps: int) -> np.ndarray:
    """Rates with peak 1 of a cell of table 2."""
    made = ls.profiles.exponential(-5.0) if profile == "step" else ls.profiles.named(profile)
    at = ls.sampling.named("every" if sampling == "every iter" else sampling)
    return ls.decay(1.0, profile=made, sampling=at, total_steps=total_steps).table()


def rank_table_2() -> list[Record]:
    """For each network and number of epochs: every cell, and the rank correlations with its test error."""
    rows = paper_rows("Table 2")
    found = []
    for setting, epochs in SETTINGS:
        cells = [row for row in rows if row["setting"] == setting and float(row["epochs"]) == epochs]
        total = epochs * PER_EPOCH["cifar10"]
        rate = float(ls.best_rate(ls.linear(1.0, total_steps=total)))
        shapes = [shape_of(cell["schedule"], cell["sampling"], total) for cell in cells]
        errors = [float(cell["mean"]) for cell in cells]
        keys = {name: [float(order(shape, rate)) for shape in shapes] for name, order in ORDERS.items()}
        spearman = {name: round(float(stats.spearmanr(key, errors)[0]), 6) for name, key in keys.items()}
        first = next(iter(keys.values()))
        points = [
            [f"{cell['schedule']}@{cell['sampling']}", error, round(value, 6)]
            for cell, error, value in zip(cells, errors, first, strict=True)
        ]
        found.append({"setting": setting, "epochs": epochs, "cells": points, "spearman": spearman})
    return found


def rank_tables_4_to_9() -> Record:
    """Over 48 columns: the paper's order against theory's, each schedule at its own best rate."""
    columns: dict[tuple[str, float], list[dict[str, str]]] = {}
    for row in paper_rows("Tables 4-9"):
        columns.setdefault((row["setting"], float(row["budget_pct"])), []).append(row)
    taus: dict[float, list[float]] = {}
    counts = {"columns": len(columns), "won_by_linear_or_rex": 0, "rex_below_linear": 0, "linear_first_in_theory": 0}
    for (_, budget), rows in columns.items():
        errors = {row["schedule"]: float(row["mean"]) for row in rows}
        total = round(float(rows[0]["epochs"]) * PER_EPOCH[rows[0]["dataset"]])
        tuned = {
            name: float(ls.bound(FACTORIES[name](1.0, total_steps=total)).tuned) for name in errors if name in FACTORIES
        }
        names = sorted(tuned)
        tau = stats.kendalltau([tuned[name] for name in names], [errors[name] for name in names])[0]
        taus.setdefault(budget, []).append(float(tau))
        counts["won_by_linear_or_rex"] += min(errors, key=errors.__getitem__) in ("linear", "rex")
        counts["rex_below_linear"] += errors["rex"] < errors["linear"]
        counts["linear_first_in_theory"] += min(tuned, key=tuned.__getitem__) == "linear"
    return {**counts, "kendall": {f"{budget:g}": round(float(np.mean(taus[budget])), 6) for budget in sorted(taus)}}


def measure(curves: pathlib.Path | None) -> Record:
    """All that the tables are made of; without the public curves, the first two parts."""
    beginning = Beginning()
    found: Record = {"rankings": rank_table_2(), "columns": rank_tables_4_to_9()}
    if curves is not None:
        found |= {"laws": theory_laws.fit_curves(curves), "cooldown": theory_laws.fit_cooldowns(curves)}
    return {**found, **beginning.provenance()}


def write_results(record: Record, out: files.Path) -> tuple[str, list[pathlib.Path]]:
    """Writes table.md and rankings.svg; the text of the table, and the files."""
    out = pathlib.Path(out)
    text = render(record)
    files.write_text(out / "table.md", text)
    draw(record["rankings"], out / "rankings.svg")
    return text, [out / "table.md", out / "rankings.svg"]


def render(record: Record) -> str:
    """The tables in Markdown."""
    rankings, columns = record["rankings"], record["columns"]
    heads = [f"{one['setting'].split('-')[0]}, {one['epochs']} epochs" for one in rankings]
    rows = [["ordered by", *heads]]
    rows += [[name, *(f"{one['spearman'][name]:.3f}" for one in rankings)] for name in ORDERS]
    first = (
        "Spearman's rank correlation with the test errors of table 2 of the REX paper, 21 cells each (three profiles, "
        "seven sampling rates):"
    )
    second = (
        f"Tables 4-9 of the paper, {columns['columns']} columns, each schedule at its own best rate: theory puts "
        f"linear first in {columns['linear_first_in_theory']}; the paper's winner is linear or REX in "
        f"{columns['won_by_linear_or_rex']}; REX is below linear in {columns['rex_below_linear']}. Mean of Kendall's "
        "tau over the settings, by budget:"
    )
    taus = sorted(columns["kendall"].items(), key=lambda item: float(item[0]))
    parts = [
        first,
        markdown.table(rows, align="l" + "r" * len(heads)),
        second,
        markdown.table(
            [[f"{budget} %" for budget, _ in taus], [f"{tau:.2f}" for _, tau in taus]], align="r" * len(taus)
        ),
    ]
    if "laws" in record:
        parts += [theory_laws.render_laws(record["laws"]), theory_laws.render_cooldown(record["cooldown"])]
    return "\n".join(f"{part.strip()}\n" for part in parts)


def draw(rankings: Sequence[Record], path: files.Path) -> None:
    """Test error over the bound, a panel for each setting of table 2."""
    with drawing.figure(path, (9.0, 5.4)) as figure:
        panels = figure.subplots(2, 3).ravel()
        for axes, one in zip(panels, rankings, strict=True):
            for i, profile in enumerate(("rex", "linear", "step")):
                points = [(x, y) for label, y, x in one["cells"] if label.startswith(f"{profile}@")]
                name = "step, read as exp(-5 p)" if profile == "step" else profile
                look = {**drawing.look(i), "linestyle": "none"}
                axes.plot(*zip(*points, strict=True), **look, label=name)
            rho = one["spearman"][next(iter(ORDERS))]
            axes.set_title(f"{one['setting'].split('-')[0]}, {one['epochs']} epochs: Spearman {rho:.3f}", fontsize=9)
            axes.set_xlabel("bound at linear's best rate")
            axes.set_ylabel("test error in %")
        panels[0].legend()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--curves", type=pathlib.Path, help="folder with multi_power_law/ and cooldown_grid/")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/theory"))
    args = parser.parse_args(words)
    record = measure(args.curves)
    files.write_json(args.out / "record.json", record, indent=1)
    text, written = write_results(record, args.out)
    print(text)
    print("written:", args.out / "record.json", *written, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
