"""Markdown: tables, and names and sentences in which nothing becomes a cell's end, a tag or code."""

from __future__ import annotations

import re
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], *, align: str | None = None) -> str:
    """A table whose first row is its head; ends in a newline.

    Args:
      rows: at least one, all of one length, of cells that are Markdown already (`code`, `escape`).
      align: a letter a column, "l" or "r"; None: all to the left.
    Raises:
      ValueError: if the rows differ in length, or `align` does.
    Example:
      >>> print(table([["rule", "rate"], ["valley", "0.1"]], align="lr"), end="")
      | rule | rate |
      | --- | ---: |
      | valley | 0.1 |

    """
    columns = len(rows[0])
    align = "l" * columns if align is None else align
    lengths = {len(align), *map(len, rows)}
    if lengths != {columns}:
        raise ValueError(f"rows must have {columns} cells each, as the head has, got lengths {sorted(lengths)}.")
    rule = [{"l": "---", "r": "---:"}[side] for side in align]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], rule, *rows[1:]))


def code(text: str) -> str:
    """A label as code in a cell of a table, where a | would end the cell and a backtick the code."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}".replace("|", "\\|")


def escape(text: str) -> str:
    r"""Text on one line that reads as it is.

    Example:
      >>> print(escape("a|b\n<i> `c`"))
      a\|b &lt;i> \`c\`
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("`", "\\`")


def diverged(count: int, total: int) -> str:
    """The entry of runs some of which diverged: "diverged 1/3"."""
    return f"diverged {count}/{total}"


def plural(count: int, noun: str) -> str:
    """A number with its noun: "1 member", "2 members"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
