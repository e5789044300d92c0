"""The tables of an ensemble's record: what each way of combining is worth, what it costs, and how sure that is."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lrsched.analysis import statistics
from lrsched.analysis.markdown import escaped
from lrsched.analysis.tables import side_by_side

Record = Mapping[str, Any]

HEAD = ("", "updates", "error %", "NLL", "Brier", "ECE %", "T", "NLL at T", "Brier at T", "ECE % at T")
NAME = 40  # columns of a name on a terminal
GROWING = ("forward", "backward", "weights")


def markdown(record: Record) -> str:
    """The tables in Markdown, with what their numbers are and what can be said from them.

    Args:
      record: as `lrsched.ensemble.ensemble` returns it, or as JSON gives it back.
    Returns:
      the text, ending in a newline.
    """
    blocks = []
    for rows in (_rows(record), _growing(record)):
        rows = [[escaped(text) for text in row] for row in rows]
        lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
        blocks.append("\n".join(f"| {' | '.join(row)} |" for row in lines))
    return "\n\n".join([*blocks, *map(escaped, _sentences(record))]) + "\n"


def terminal(record: Record) -> str:
    """The same as aligned plain text; arguments and result as in `markdown`.

    It is as wide as the terminal, at most 120 columns, and 80 where there is none. Columns that do not fit stand in a
    second table below the first, and so on.
    """
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    blocks = []
    for rows in (_rows(record), _growing(record)):
        names = [" ".join(row[0].split()) for row in rows]
        left = [name if len(name) <= NAME else f"{name[: NAME - 3]}..." for name in names]
        columns = list(zip(*(row[1:] for row in rows), strict=True))
        widths = [max(map(len, column)) for column in columns]
        padded = [[text.rjust(size) for text in column] for column, size in zip(columns, widths, strict=True)]
        blocks.append("\n".join(side_by_side(left, padded, width)))
    words = [textwrap.fill(" ".join(sentence.split()), width) for sentence in _sentences(record)]
    return "\n\n".join(blocks) + "\n\n" + "\n".join(words) + "\n"


def verdict(comparison: Record) -> str:
    """Whether the first's error is below the second's, in one sentence that says how sure that is and on how much."""
    first, second, n = comparison["first"], comparison["second"], comparison["examples"]
    low, high = comparison["interval"]
    low, high = 100 * low, 100 * high
    counts = f"{comparison['only_first_right']} right by it alone, {comparison['only_second_right']} by the other alone"
    test = f"McNemar's exact test, p = {comparison['p']:.2g}; {counts}; n = {n}, one test set"
    middle = f"{100 * comparison['difference']:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}; {test})."
    if comparison["p"] < 1 - statistics.LEVEL:
        return f"The error of the {first} is {'below' if high < 0 else 'above'} that of {second}: {middle}"
    return f"The error of the {first} is not separated from that of {second}: {middle}"


def counted(count: int, noun: str) -> str:
    """As in "1 member" and "2 members"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _rows(record: Record) -> list[list[str]]:
    rows = [list(HEAD)]
    for row in record["rows"]:
        calibrated = ["-"] * 4
        if not row.get("temperature_determined", row["temperature"] is not None):  # not in records of version 0.1.0
            calibrated[0] = "-" if row["temperature"] is None else "not determined"
        else:
            calibrated = [f"{row['temperature']:.3f}", *_scores(row, "calibrated_")]
        which = f", {row['networks'][0].rpartition('/')[2]}" if row["kind"] in ("member", "cut") else ""
        rows.append([row["name"] + which, str(row["updates"]), _percent(row["error"]), *_scores(row), *calibrated])
    return rows


def _scores(row: Record, prefix: str = "") -> list[str]:
    nll, brier, ece = (row[prefix + name] for name in ("nll", "brier", "ece"))
    return [f"{nll:.4f}", f"{brier:.4f}", _percent(ece)]


def _growing(record: Record) -> list[list[str]]:
    curves = {name: curve for name in GROWING if (curve := record["growing"][name])}
    rows = [["members", *(head for name in curves for head in (f"{name}: updates", "error %", "NLL"))]]
    for i in range(len(record["members"])):
        points = [curve[i] for curve in curves.values()]
        texts = [text for p in points for text in (str(p["updates"]), _percent(p["error"]), f"{p['nll']:.4f}")]
        rows.append([str(i + 1), *texts])
    return rows


def _sentences(record: Record) -> list[str]:
    count, data = len(record["members"]), record["data"]
    images = counted(data["test"], "test image") + (f", {data['holdout']} held out" if data["holdout"] else "")
    numbers = (
        "Updates: all that had to be made, each run's counted once. T: temperature fitted on held-out data. "
        f"ECE: {record['config']['bins']} bins."
    )
    about = f"{data['name']}, {record['task']['model']}, {counted(count, 'member')}; {images}. {numbers}"
    curves = "Of that many members: forward, the first; backward, the last"
    curves += "; weights, the first ones' mean weights." if record["growing"]["weights"] else "."
    says = [about, curves, *record["notes"], *_undetermined(record["rows"]), _between_members(record)]
    barriers = record["barriers"]
    if barriers:
        heights = ", ".join(f"{b['between'][0] + 1}-{b['between'][1] + 1}: {b['barrier']:.3f}" for b in barriers)
        says.append(
            f"Barriers between neighbours, in nats of training loss on the line between their weights ({heights})."
        )
    for found in record["deep_ensemble_equivalents"]:
        runs, name = found["runs"], found["baseline"]
        if not found.get("determined", True):
            says.append(
                f"How many of the {runs} runs of the baseline {name} the ensemble is worth is not determined: it takes "
                "the NLL at fitted temperatures, and not all of them are determined."
            )
            continue
        worth = "more than all" if found["value"] is None else f"as much as {found['value']:.2f} of the"
        if found.get("below_one"):
            worth = "less than one of the"
        says.append(f"By calibrated NLL the ensemble is worth {worth} {runs} runs of the baseline {name} (averaged).")
    return [*says, *(verdict(comparison) for comparison in record["comparisons"])]


def _undetermined(rows: Sequence[Record]) -> list[str]:
    """What follows where held-out data do not determine a temperature."""
    names = [row["name"] for row in rows if row["temperature"] is not None and not row.get("temperature_determined", 1)]
    why = "on the held-out images the NLL falls on and on towards a bound (as where all of them are right) or is flat"
    return [f"Temperature not determined, so T = 1 and nothing calibrated: {', '.join(names)}; {why}."] if names else []


def _between_members(record: Record) -> str:
    count = len(record["members"])
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    apart = sum(record["disagreement"][i][j] for i, j in pairs) / len(pairs)
    kl = sum(record["pairwise_kl"][i][j] for i, j in pairs) / len(pairs)
    return (
        f"Two members disagree on {_percent(apart)} % of the test images and are {kl:.3f} nats apart (means over "
        f"pairs); averaging gains {record['ambiguity']:.4f} in Brier score over the mean member (ambiguity)."
    )


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
