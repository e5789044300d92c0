"""The results of a search: the command of its choice, its tables and its figures."""

from __future__ import annotations

import functools
import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from lrsched import files
from lrsched.analysis.range_test import figures as range_figures
from lrsched.analysis.range_test import regret
from lrsched.analysis.search import figures, table
from lrsched.analysis.search.table import Part, Tried
from lrsched.range_test import RangeTest
from lrsched.runs import ramps
from lrsched.runs.config import RunConfig
from lrsched.schedules import language


def write_results(document: Mapping[str, Any], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The tables of a search (returned as text and written) and its figures, from record.json."""
    parts = [_part(each) for each in document["parts"]]
    lines = [table.format_summary(parts)]
    lines.append(f"Chosen: `{command(document['chosen'])}`.")
    if document["rule"] is not None:
        lines += table.explain_rates(parts)
    tested = {seed: error for seed, error in document["test_errors"].items() if error is not None}
    if tested:
        shown = ", ".join(f"{100 * error:.2f} (seed {seed})" for seed, error in tested.items())
        lines.append(f"Test error of these runs in %, used for no choice: {shown}.")
    lines.append("")
    lines += [_regret(part, document["curves"]) for part in parts if part.question == "peak rate"]
    lines += [table.format_part(part) for part in parts]
    if document["rule"] is not None and parts[-1].question != "peak rate":
        lines.append(
            "Errors are mean ± sd (n seeds). In the tables after the peak rate's, rate: the chosen one, scaled as the "
            "setting's own range test suggests; epochs: those of equal time, where batch sizes are compared.\n"
        )
    text = "\n".join(lines)
    files.write_text(out / "table.md", text)
    drawn = {f"{part.question.replace(' ', '_')}.svg": functools.partial(figures.draw_answer, part) for part in parts}
    if begun := document["curves"].get("peak rate"):
        found = ramps.from_json(begun["as begun"])
        if np.isfinite(found.curves.values).any():
            draw_ramps = functools.partial(range_figures.draw_loss_over_rate, found.curves, found.suggestions)
            drawn["range_test.svg"] = draw_ramps
    for name, draw in drawn.items():
        draw(path=out / name)
    return text, [out / "table.md", *(out / name for name in drawn)]


def command(chosen: Mapping[str, Any]) -> str:
    """How to make the chosen run, without its seed: what a search looks at, and what else is not as by default."""
    searched = ("peak_value", "weight_decay", "momentum", "batch_size")
    always = ("data", "model", "optimizer", "schedule", "max_epochs", *searched)
    usual = RunConfig(data=chosen["data"], optimizer=chosen["optimizer"]).as_json()
    parts = ["lrsched", "train"]
    for name in [*always, *sorted(chosen.keys() - {*always, "seed"})]:
        value = language.write(chosen[name]) if name == "schedule" else chosen[name]
        if value is not None and (name in always or value != usual.get(name)):
            parts.append(f"--{'no-' if value is False else ''}{name.replace('_', '-')}")
            parts += [] if isinstance(value, bool) else [str(value)]
    return shlex.join(parts)


def _part(document: Mapping[str, Any]) -> Part:
    tried = [
        Tried(**{**each, "errors": {int(seed): error for seed, error in each["errors"].items()}})
        for each in document["tried"]
    ]
    return Part(document["question"], tuple(tried), document.get("resolution"))


def suggested_rates(found: RangeTest) -> dict[str, float]:
    """Rule -> rate as it is tried."""
    return {rule: round_rate(one.value) for rule, one in found.suggestions.items() if one.value is not None}


def _regret(part: Part, curves: Mapping[str, Any]) -> str:
    """What following each rule of the range test cost, as a table; nothing if no rule suggested a rate."""
    errors = {tried.rate: tried.errors for tried in part.tried}
    suggested = suggested_rates(ramps.from_json(curves[part.question]["as begun"]))
    followed = {rule: (rate, errors[rate]) for rule, rate in suggested.items()}
    rows = regret.measure_regret(errors, followed, resolution=part.resolution)
    return regret.format_markdown(rows) if rows else ""


def round_rate(rate: float) -> float:
    """Two digits: a range test knows no more."""
    return float(f"{rate:.2g}")
