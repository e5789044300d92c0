"""The tables of an ensemble's record: what each way of combining is worth, what it costs, and how sure that is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from lrsched.analysis import Record, columns, markdown, statistics
from lrsched.analysis.markdown import escape, plural

HEAD = ("", "updates", "error %", "NLL", "Brier", "ECE %", "T", "NLL at T", "Brier at T", "ECE % at T")
NAME = 40  # columns of a name on a terminal
GROWING = ("forward", "backward", "weights")


def format_markdown(record: Record) -> str:
    """The tables in Markdown, with what their numbers are and what can be said from them.

    Args:
      record: an ensemble's, or as JSON gives it back.
    Returns:
      the text, ending in a newline.
    """
    blocks = []
    for rows in (_tabulate_rows(record), _tabulate_growing(record)):
        cells = [[escape(text) for text in row] for row in rows]
        blocks.append(markdown.table(cells, align="l" + "r" * (len(rows[0]) - 1)).removesuffix("\n"))
    return "\n\n".join([*blocks, *map(escape, _describe(record))]) + "\n"


def format_terminal(record: Record) -> str:
    """The same as aligned plain text; arguments and result as in `format_markdown`.

    It is as wide as the terminal, at most 120 columns, and 80 where there is none. Columns that do not fit stand in a
    second table below the first, and so on.
    """
    width = columns.terminal_width(default=80)
    blocks = []
    for rows in (_tabulate_rows(record), _tabulate_growing(record)):
        names = [" ".join(row[0].split()) for row in rows]
        left = [name if len(name) <= NAME else f"{name[: NAME - 3]}..." for name in names]
        right = []
        for column in zip(*(row[1:] for row in rows), strict=True):
            size = max(map(len, column))
            right.append([text.rjust(size) for text in column])
        blocks.append("\n".join(columns.lay_out(left, right, width)))
    words = [textwrap.fill(" ".join(sentence.split()), width) for sentence in _describe(record)]
    return "\n\n".join(blocks) + "\n\n" + "\n".join(words) + "\n"


def judge(comparison: Record) -> str:
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


def _tabulate_rows(record: Record) -> list[list[str]]:
    rows = [list(HEAD)]
    for row in record["rows"]:
        calibrated = ["-"] * 4
        if not row.get("temperature_determined", row["temperature"] is not None):  # not in records of version 0.1.0
            calibrated[0] = "-" if row["temperature"] is None else "not determined"
        else:
            calibrated = [f"{row['temperature']:.3f}", *_format_scores(row, "calibrated_")]
        which = f", {row['networks'][0].rpartition('/')[2]}" if row["kind"] in ("member", "cut") else ""
        rows.append(
            [row["name"] + which, str(row["updates"]), _format_percent(row["error"]), *_format_scores(row), *calibrated]
        )
    return rows


def _format_scores(row: Record, prefix: str = "") -> list[str]:
    nll, brier, ece = (row[prefix + name] for name in ("nll", "brier", "ece"))
    return [f"{nll:.4f}", f"{brier:.4f}", _format_percent(ece)]


def _tabulate_growing(record: Record) -> list[list[str]]:
    curves = {name: curve for name in GROWING if (curve := record["growing"][name])}
    rows = [["members", *(head for name in curves for head in (f"{name}: updates", "error %", "NLL"))]]
    for i in range(len(record["members"])):
        points = [curve[i] for curve in curves.values()]
        texts = [text for p in points for text in (str(p["updates"]), _format_percent(p["error"]), f"{p['nll']:.4f}")]
        rows.append([str(i + 1), *texts])
    return rows


def _describe(record: Record) -> list[str]:
    count, data = len(record["members"]), record["data"]
    images = plural(data["test"], "test image") + (f", {data['holdout']} held out" if data["holdout"] else "")
    numbers = (
        "Updates: all that had to be made, each run's counted once. T: temperature fitted on held-out data. "
        f"ECE: {record['config']['bins']} bins."
    )
    about = f"{data['name']}, {record['task']['model']}, {plural(count, 'member')}; {images}. {numbers}"
    curves = "Of that many members: forward, the first; backward, the last"
    curves += "; weights, the first ones' mean weights." if record["growing"]["weights"] else "."
    says = [about, curves, *record["notes"], *_name_undetermined(record["rows"]), _describe_diversity(record)]
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
    return [*says, *(judge(comparison) for comparison in record["comparisons"])]


def _name_undetermined(rows: Sequence[Record]) -> list[str]:
    """What follows where held-out data do not determine a temperature."""
    names = [row["name"] for row in rows if row["temperature"] is not None and not row.get("temperature_determined", 1)]
    why = "on the held-out images the NLL falls on and on towards a bound (as where all of them are right) or is flat"
    return [f"Temperature not determined, so T = 1 and nothing calibrated: {', '.join(names)}; {why}."] if names else []


def _describe_diversity(record: Record) -> str:
    count = len(record["members"])
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    apart = sum(record["disagreement"][i][j] for i, j in pairs) / len(pairs)
    kl = sum(record["pairwise_kl"][i][j] for i, j in pairs) / len(pairs)
    return (
        f"Two members disagree on {_format_percent(apart)} % of the test images and are {kl:.3f} nats apart "
        "(means over pairs); averaging gains "
        f"{record['ambiguity']:.4f} in Brier score over the mean member (ambiguity)."
    )


def _format_percent(value: float) -> str:
    return f"{100 * value:.2f}"
