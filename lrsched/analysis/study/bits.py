"""The table of a text's study beside that of its errors: bits per byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lrsched.analysis import columns, markdown
from lrsched.analysis.study.cells import Cell

MEASURE = "test error (1 - next-byte accuracy)"
_HEAD = "Bits per byte of the test part (the loss in nats over ln 2), mean ± sd (seeds), at the same rates."


def tables(records: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> tuple[str, str]:
    """Bits per byte of each cell's runs that did not diverge, as Markdown and as aligned text.

    Args:
      records: of one study of a text.
      cells: theirs (`cells.gather`), whose chosen settings they are of.
    """
    budgets = list(dict.fromkeys(cell.budget for cell in sorted(cells, key=lambda cell: cell.epochs)))
    at = {(cell.label, cell.budget): _entry(records, cell) for cell in cells}
    labels = list(dict.fromkeys(cell.label for cell in cells))
    rows = [[at.get((label, budget), "-") for budget in budgets] for label in labels]
    marked = [[markdown.code(label), *row] for label, row in zip(labels, rows, strict=True)]
    whole = markdown.table([["schedule", *map(markdown.escape, budgets)], *marked])
    right = [[budget, *column] for budget, column in zip(budgets, zip(*rows, strict=True), strict=True)]
    plain = columns.lay_out(["schedule", *labels], right, columns.terminal_width(default=120))
    return f"{_HEAD}\n\n{whole}\n", "\n".join([_HEAD, "", *plain]) + "\n"


def _entry(records: Sequence[Mapping[str, Any]], cell: Cell) -> str:
    found = [
        record["test_bits_per_byte"]
        for record in records
        if (record["label"], record["config"]["budget"]) == (cell.label, cell.budget)
        and (record["config"]["peak_value"], record["config"]["weight_decay"]) == (cell.peak_value, cell.weight_decay)
        and record["config"]["momentum"] == cell.momentum
        and record["test_bits_per_byte"] is not None
    ]
    if not found:
        return "-"
    spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
    return f"{np.mean(found):.3f}{spread} ({len(found)})"
