"""Tables for a terminal: aligned columns, as many side by side as fit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

WIDEST = 120  # however wide the terminal is


def terminal_width(default: int) -> int:
    """Columns of the terminal, at most 120; `default` if there is none."""
    return min(shutil.get_terminal_size((default, 24)).columns, WIDEST)


def lay_out(left: Sequence[str], columns: Sequence[Sequence[str]], width: int) -> list[str]:
    """The lines of a table: the columns that fit beside the left one; below an empty line, the others likewise."""
    widths = [max(map(len, column)) for column in (left, *columns)]
    fit = next((n for n in range(len(columns), 1, -1) if sum(widths[: n + 1]) + 2 * n <= width), 1)
    rows = zip(left, *columns[:fit], strict=True)
    lines = ["  ".join(text.ljust(size) for text, size in zip(row, widths, strict=False)).rstrip() for row in rows]
    return lines if fit >= len(columns) else [*lines, "", *lay_out(left, columns[fit:], width)]
