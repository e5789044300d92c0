"""The tables under results/, read where what is said of them is checked."""

import pathlib
import re

RESULTS = pathlib.Path(__file__).parent.parent / "results"


def table(folder: str, number: int = 0, file: str = "table.md") -> list[dict[str, str]]:
    """A table of a result: its rows by the names of the columns."""
    text = (RESULTS / folder / file).read_text("utf-8")
    lines = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)[number].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def number(cell: str) -> float:
    """The first number of a cell: a mean."""
    return float(re.search(r"-?\d+\.?\d*", cell.replace(",", ""))[0])  # type: ignore[index]


def interval(cell: str) -> tuple[float, float]:
    """The bounds in its brackets."""
    low, high = re.search(r"\[(\S+), (\S+)\]", cell).groups()  # type: ignore[union-attr]
    return float(low), float(high)


def means(folder: str, key: str, column: str, file: str = "table.md") -> dict[str, float]:
    return {row[key].strip("`*"): number(row[column]) for row in table(folder, file=file) if row[column]}
