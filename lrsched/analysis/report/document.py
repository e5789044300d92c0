"""What a report consists of. All text is Markdown on one line (`words`); each writer turns it into its own form."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from lrsched.analysis.drawing import Look
from lrsched.analysis.report import words


class Entry(NamedTuple):
    """An entry of a table.

    Attributes:
      text: what is read.
      value: what the column is sorted by, and what a CSV holds; None: the text.
      under: a second line, small.
      mark: best of its column, or tied with it.
      drawing: SVG that stands before the text on the page.
    """

    text: str
    value: float | str | None = None
    under: str = ""
    mark: Literal["", "best", "tied"] = ""
    drawing: str = ""


class Column(NamedTuple):
    """The head of a column.

    Attributes:
      head, under: its first line and its second.
      align: the side of its entries.
      minor: left out in LaTeX, where a page is narrow.
    """

    head: str
    align: Literal["l", "r"] = "l"
    under: str = ""
    minor: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its title, and notes below it.

    Attributes:
      name: of its file.
      aside: notes on what LaTeX leaves out: minor columns, drawings.
      folded: opened by a click on the page, and in no paper.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    folded: bool = False


class Key(NamedTuple):
    """A line of a figure's legend."""

    label: str
    look: Look


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure: HTML that draws it, its title, what its lines are, and whether they carry their markers."""

    title: str
    drawing: str
    keys: tuple[Key, ...] = ()
    marked: bool = False


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    pairs: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines to be typed as they are."""

    lines: tuple[str, ...]


Block: TypeAlias = str | Table | Figure | Facts | Lines  # text is a paragraph


@dataclasses.dataclass(frozen=True)
class Section:
    """A title and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Part:
    """What is said of one folder.

    Attributes:
      title: what it is.
      question: as the study has it; "" if it was not.
      counts: a few numbers and what they count.
      found: the answer, a sentence each.
      sections: what it rests on.
    """

    title: str
    question: str
    counts: tuple[tuple[str, str], ...]
    found: tuple[str, ...]
    sections: tuple[Section, ...]

    def tables(self) -> Iterator[Table]:
        """Its tables, from the first to the last."""
        for section in self.sections:
            yield from (block for block in section.blocks if isinstance(block, Table))


@dataclasses.dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    made: str  # when and by what
    parts: tuple[Part, ...]


def entries(row: Sequence[str]) -> tuple[Entry, ...]:
    """Entries that say what they are and no more; a number is sorted as one."""
    return tuple(Entry(text, _number(text)) for text in row)


def _number(text: str) -> float | None:
    found = re.match(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?(?![\w.])", words.plain(text))
    return float(found[0]) if found else None
