"""Tables and text that stand in a folder as Markdown, read back into the blocks of a report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from lrsched.analysis.report.document import Block, Column, Table, entries

_RULE = re.compile(r"\|( :?-+:? \|)+$")


def read_markdown(text: str, *, name: str, titles: Mapping[str, str]) -> list[Block]:
    """The blocks of what this package wrote as Markdown: tables, and of all else a paragraph a line.

    Args:
      text: as `markdown.table` and sentences make it.
      name: of the tables: name, name_2, ...
      titles: head of a table's first column -> title of the table; without one it is what the column holds.
    """
    blocks: list[Block] = []
    count = 0
    for lines in _groups(text):
        if len(lines) > 1 and _RULE.match(lines[1]):
            head, rule, *rows = map(_cells, lines)
            title = titles.get(head[0], f"By {head[0]}")
            head[0] = head[0] or "what"
            count += 1
            columns = tuple(Column(text, _side(dashes)) for text, dashes in zip(head, rule, strict=True))
            each = tuple(entries(row) for row in rows)
            blocks.append(Table(name if count == 1 else f"{name}_{count}", title, columns, each))
        else:
            blocks += lines
    return blocks


def _side(dashes: str) -> Literal["l", "r"]:
    return "r" if dashes.endswith(":") else "l"


def _groups(text: str) -> Iterator[list[str]]:
    """The lines of each table together, and every other line by itself."""
    table: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        if table:
            yield table
            table = []
        if line.strip():
            yield [line.strip()]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
