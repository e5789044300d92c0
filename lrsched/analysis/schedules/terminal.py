"""Curves in characters: lines of braille dots, with a letter at intervals so that no colour is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a braille cell: left column, right column, downwards
ANSI = ("34", "31", "32", "35", "36", "33")  # blue, red, green, magenta, cyan, yellow
LETTER_EVERY = 12  # columns between two letters of a curve
ROUNDING = 1e-9  # a momentum that changes by no more is one that stays
MARGIN = 10  # columns of the vertical axis


def draw(
    rates: Mapping[str, np.ndarray],
    momenta: Mapping[str, np.ndarray],
    *,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Draws rates, and below them momenta, over the steps of one budget.

    Args:
      rates: label -> the rate of every update, from step 0. Its axis begins at 0.
      momenta: the same labels -> the momentum of every update; one that never changes is written, not drawn.
      width: columns to fill; at least 40.
      colour: whether to write ANSI colours.
    Returns:
      lines of text, the curves no wider than `width`. Of several labels each has a letter, in legend and curve.
    Raises:
      ValueError: if there is nothing to draw, or too little room.
    """
    if not rates:
        raise ValueError("rates must hold at least one curve, got none.")
    if width < 40:
        raise ValueError(f"width must be at least 40 columns, got {width}.")
    labels = list(rates)
    letters = [chr(ord("A") + i % 26) for i in range(len(labels))] if len(labels) > 1 else [""]
    names = [_paint(f"{letters[i]} {label}".strip(), i, colour) for i, label in enumerate(labels)]
    lines = [*names, *_draw_panel("rate", list(rates.values()), letters, width, 14, colour, floor=0.0)]
    moving = [i for i, label in enumerate(labels) if np.ptp(momenta[label]) > ROUNDING]
    if moving:
        panel = [momenta[labels[i]] for i in moving]
        lines += ["", *_draw_panel("momentum", panel, [letters[i] for i in moving], width, 5, colour, numbers=moving)]
    still = {label: f"{momenta[label][0]:g}" for i, label in enumerate(labels) if i not in moving}
    if len(set(still.values())) == 1 and not moving:
        lines += [f"momentum {next(iter(still.values()))} throughout"]
    else:
        lines += [f"momentum {value} throughout: {label}" for label, value in still.items()]
    return "\n".join(lines)


def _draw_panel(
    title: str,
    curves: Sequence[np.ndarray],
    letters: Sequence[str],
    width: int,
    height: int,
    colour: bool,
    *,
    floor: float | None = None,
    numbers: Sequence[int] | None = None,
) -> list[str]:
    """One pair of axes; `numbers` are the curves' places in the order of colours."""
    columns = width - MARGIN - 1
    bottom = min(float(curve.min()) for curve in curves) if floor is None else floor
    top = max(float(curve.max()) for curve in curves)
    top = top if top > bottom else bottom + 1.0
    cells = np.zeros((height, columns), np.int64)
    owner = np.zeros((height, columns), np.int64)
    marks: dict[tuple[int, int], str] = {}
    for i, (curve, letter) in enumerate(zip(curves, letters, strict=True)):
        rows = _find_rows(curve, 2 * columns, 4 * height, bottom, top)
        for x, (high, low) in enumerate(rows):
            for y in range(high, low + 1):
                cells[y // 4, x // 2] |= DOTS[x % 2][y % 4]
                owner[y // 4, x // 2] = i
        first = 2 + i * LETTER_EVERY // len(curves)
        for x in range(first, columns, LETTER_EVERY) if letter else ():
            marks[rows[2 * x][1] // 4, x] = letter
            owner[rows[2 * x][1] // 4, x] = i
    lines = [f"{title:>{MARGIN}}"]
    for y in range(height):
        value = {0: top, height - 1: bottom}.get(y)
        line = f"{'' if value is None else f'{value:.4g}':>{MARGIN}}|"
        for x in range(columns):
            text = marks.get((y, x)) or (chr(0x2800 + cells[y, x]) if cells[y, x] else " ")
            number = owner[y, x] if numbers is None else numbers[owner[y, x]]
            line += text if text == " " else _paint(text, int(number), colour)
        lines.append(line.rstrip())
    last = f"step {len(curves[0]) - 1}"
    return [*lines, f"{'':>{MARGIN}}+{'-' * columns}", f"{'0':>{MARGIN + 2}}{last:>{columns - 1}}"]


def _find_rows(curve: np.ndarray, columns: int, height: int, bottom: float, top: float) -> list[tuple[int, int]]:
    """First and last row of dots, from the top, in each column: joined to the column before, so there are no gaps."""
    y = np.clip(np.rint((top - curve) / (top - bottom) * (height - 1)), 0, height - 1).astype(int)
    edges = np.arange(columns + 1) * len(curve) // columns
    rows: list[tuple[int, int]] = []
    before = int(y[0])
    for start, end in zip(edges, np.maximum(edges[1:], edges[:-1] + 1), strict=False):
        here = y[start:end]
        step = 1 if here[0] > before else -1 if here[0] < before else 0  # the dot next to the one before
        rows.append((int(min(here.min(), before + step)), int(max(here.max(), before + step))))
        before = int(here[-1])
    return rows


def _paint(text: str, number: int, colour: bool) -> str:
    return f"\x1b[{ANSI[number % len(ANSI)]}m{text}\x1b[0m" if colour else text
