"""Figures as SVG that takes its colours and the size of its letters from the page: light, dark, wide and narrow.

The other figures of this package are files, drawn by Matplotlib on white.
"""

from __future__ import annotations

import functools
import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lrsched.analysis.drawing import Look

WIDTH, HEIGHT = 520, 290  # of a figure, in its own units; a page shows it a little larger or smaller
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 48  # room around the axes, also for the larger letters of a narrow page
TOLERANCE = 0.15  # of a unit: how far a line that is drawn may lie from its points
DASHES = {"--": "6 3", ":": "1.5 3", "-.": "7 3 1.5 3"}


class Line(NamedTuple):
    """A line: its look, its points, and what lies around them: bars at each point, or a band."""

    look: Look
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    band: bool = False


class Axis(NamedTuple):
    """An axis from low to high, with the text of its ticks."""

    label: str
    low: float
    high: float
    ticks: Mapping[float, str]
    log: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        """Where values lie, from 0 to 1."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        return np.asarray(((np.log(values) if self.log else np.asarray(values, float)) - low) / (high - low))


def fit_axis(label: str, values: np.ndarray, *, log: bool = False, floor: float | None = None) -> Axis:
    """An axis that holds all finite values, with up to seven round ticks.

    Args:
      label: what it measures.
      values: at least one finite; logarithmic only if none is 0 or below, and some are not alike.
      log: whether a logarithmic axis is wanted.
      floor: a value that it must reach down to, of a linear one.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if log and low > 0 and high > low * 1.05:
        low, high = low / (high / low) ** 0.04, high * (high / low) ** 0.04
        return Axis(label, low, high, _log_ticks(low, high), log=True)
    low = low if floor is None else min(low, floor)
    if low == high:
        return Axis(label, low - (abs(low) or 1.0), low + (abs(low) or 1.0), {low: f"{low:.6g}"})
    span = high - low
    low, high = (low if low == floor else low - 0.04 * span), high + 0.04 * span
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(many for many in (1, 2, 5, 10) if span / (step * many) <= 5)
    first = math.ceil(low / step - 1e-9)
    ticks = [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return Axis(label, low, high, {tick: f"{tick:.6g}" for tick in ticks})


def _log_ticks(low: float, high: float) -> dict[float, str]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,):
        found = [part * 10.0**decade for decade in decades for part in parts if low <= part * 10.0**decade <= high]
        if len(found) <= 7:
            break
    if len(found) < 2:
        found = [low * (high / low) ** part for part in (0.05, 0.5, 0.95)]
        return {tick: f"{tick:.4g}" for tick in found}
    return {
        tick: f"{tick:.2g}" if 0.001 <= tick < 100 else f"{tick:.0e}" if tick < 1 else f"{tick:.0f}" for tick in found
    }


def draw_lines(lines: Sequence[Line], x: Axis, y: Axis, *, name: str) -> str:
    """Lines over a pair of axes.

    Args:
      lines: points that are not finite are gaps.
      x, y: the axes.
      name: what the figure shows, for those who do not see it.
    """
    across = lambda values: LEFT + (WIDTH - LEFT - RIGHT) * x.place(values)  # noqa: E731
    down = lambda values: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y.place(values)  # noqa: E731
    foot = HEIGHT - BOTTOM
    parts = []
    for tick, text in y.ticks.items():
        at = float(down(np.array(tick)))
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="end" x="{LEFT - 7}" y="{at + 4:.1f}">{html.escape(text)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {foot}H{WIDTH - RIGHT}"/>')
    for tick, text in x.ticks.items():
        at = float(across(np.array(tick)))
        parts.append(f'<path class="axis" d="M{at:.1f} {foot}v4"/>')
        parts.append(f'<text class="middle" x="{at:.1f}" y="{foot + 18}">{html.escape(text)}</text>')
    parts.append(f'<text class="label" x="0" y="13">{html.escape(y.label)}</text>')
    parts.append(f'<text class="label end" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}">{html.escape(x.label)}</text>')
    parts += [_draw_line(line, across, down) for line in lines]
    return _svg(WIDTH, HEIGHT, name, "".join(parts))


Place = Callable[[np.ndarray], np.ndarray]


def _draw_line(line: Line, across: Place, down: Place) -> str:
    x, y = across(line.x), down(line.y)
    parts = []
    if line.low is not None and line.high is not None:
        low, high = down(line.low), down(line.high)
        if line.band:
            known = np.isfinite(low) & np.isfinite(high)
            if known.sum() > 1:
                there, back = _path(x[known], high[known]), _path(x[known][::-1], low[known][::-1])
                parts.append(f'<path class="band" d="{there}L{back[1:]}Z"/>')
        else:
            known = np.isfinite(low) & np.isfinite(high) & (np.abs(high - low) > 0.2)
            bars = "".join(
                f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x[known], low[known], high[known], strict=True)
            )
            parts.append(f'<path class="bar" d="{bars}"/>' if bars else "")
    dashes = DASHES.get(line.look["linestyle"])
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    parts.append(f'<path class="line"{dash} d="{_path(x, y)}"/>')
    if not line.band:
        marks = "".join(mark(line.look["marker"], a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b))
        parts.append(f'<path class="mark" d="{marks}"/>')
    return f'<g class="own" style="{_ink(line.look)}">{"".join(parts)}</g>'


def draw_schedule(name: str, progress: np.ndarray, rate: np.ndarray, momentum: np.ndarray, look: Look) -> str:
    """One schedule over its budget: the rate as a part of its peak above, the momentum below where it moves.

    Args:
      name: of the schedule.
      progress: from 0 to 1.
      rate: over the peak rate.
      momentum: likewise an array of one length with it.
      look: whose colour it has.
    """
    width, height = 240, 96
    top = max(float(rate.max()), 1e-12)
    path = _path(2 + (width - 4) * progress, 6 + (height - 6) * (1 - rate / top))
    said = f"{name}: rate from {rate[0] / top:.3g} of the peak to {rate[-1] / top:.3g} of it"
    low, high = float(momentum.min()), float(momentum.max())
    below, moving = "", high - low > 1e-9
    if moving:
        said += f"; momentum from {momentum[0]:.3g} to {momentum[-1]:.3g}, lowest {low:.3g}, highest {high:.3g}"
        moved = _path(2 + (width - 4) * progress, height + 22 + 26 * (high - momentum) / (high - low))
        below = (
            f'<path class="axis" d="M2 {height + 50}H{width - 2}"/><text x="2" y="{height + 15}">momentum {low:.3g} to '
        )
        below += f'{high:.3g}</text><path class="line thin" d="{moved}"/>'
    axis = f'<path class="axis" d="M2 {height}H{width - 2}"/>'
    drawn = f'<g class="own" style="{_ink(look)}">{axis}<path class="line" d="{path}"/>{below}</g>'
    return _svg(width, height + (54 if moving else 4), said, drawn)


def draw_interval(
    centre: float, low: float | None, high: float | None, ends: tuple[float, float], *, at: float | None = 0.0
) -> str:
    """A mean and its interval on one line, beside which it stands as numbers; all of a table share `ends`."""
    width, height = 132, 18
    values = [ends[0] if value is None else value for value in (centre, low, high, at)]
    middle, left, right, origin = 6 + (width - 12) * np.clip((np.array(values) - ends[0]) / (ends[1] - ends[0]), 0, 1)
    zero = "" if at is None else f'<path class="zero" d="M{origin:.1f} 0V{height}"/>'
    bar = "" if low is None or high is None else f'<path class="bar" d="M{left:.1f} 9H{right:.1f}"/>'
    drawn = f'{zero}{bar}<path class="mark" d="{mark("o", float(middle), 9.0)}"/>'
    return f'<svg class="interval" viewBox="0 0 {width} {height}" aria-hidden="true">{drawn}</svg>'


def draw_ranks(
    means: Sequence[tuple[str, float]], groups: Sequence[Sequence[str]], looks: Mapping[str, Look], *, name: str
) -> str:
    """Mean ranks, a row each from the best, and at the right a bar over the rows of each group.

    Args:
      means: label and mean rank, in order.
      groups: labels that stand one below the other.
      looks: of each label.
      name: what the figure shows.
    """
    count, height, right = len(means), 34, WIDTH - 16 - 11 * len(groups)

    def place(value: float | int) -> float:
        return 8 + (right - 16) * (value - 1) / max(count - 1, 1)

    foot = 26 + height * count
    parts = [f'<path class="axis" d="M8 {foot}H{right - 8}"/>']
    for tick in range(1, count + 1):
        parts.append(f'<path class="axis" d="M{place(tick):.1f} {foot}v4"/>')
        parts.append(f'<text class="middle" x="{place(tick):.1f}" y="{foot + 20}">{tick}</text>')
    rows = {label: 30 + height * i for i, (label, _) in enumerate(means)}
    for label, mean in means:
        y, at = rows[label], place(mean)
        dot = mark(looks[label]["marker"], at, float(y), 4.0)
        parts.append(f'<path class="grid" d="M8 {y}H{right - 8}"/>')
        parts.append(f'<text class="label" x="8" y="{y - 8}">{html.escape(label)}</text>')
        parts.append(f'<g class="own" style="{_ink(looks[label])}"><path class="mark" d="{dot}"/></g>')
    for i, group in enumerate(groups):
        parts.append(f'<path class="group" d="M{right + 11 * (i + 1)} {rows[group[0]] - 5}V{rows[group[-1]] + 5}"/>')
    return _svg(WIDTH, foot + 26, name, "".join(parts))


def draw_key(look: Look, *, marked: bool) -> str:
    """What a line looks like, for a legend."""
    dashes = DASHES.get(look["linestyle"])
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    dot = f'<path class="mark" d="{mark(look["marker"], 13.0, 6.0)}"/>' if marked else ""
    drawn = f'<g class="own" style="{_ink(look)}"><path class="line"{dash} d="M1 6H25"/>{dot}</g>'
    return f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{drawn}</svg>'


def mark(kind: str, x: float, y: float, r: float = 3.4) -> str:
    """The path of a marker around a point."""
    if kind == "o":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    turns = {"s": (4, 45), "D": (4, 0), "^": (3, -90), "v": (3, 90), "P": (4, 45), "X": (4, 0)}
    corners, turn = turns.get(kind, (6, 0))
    angles = [math.radians(turn + 360 * i / corners) for i in range(corners)]
    if kind in ("P", "X"):  # a cross with arms
        angles = [math.radians(turn + 45 + 90 * i + aside) for i in range(4) for aside in (-16, 16)]
        points = []
        for i, angle in enumerate(angles):
            points.append((1.25 * r * math.cos(angle), 1.25 * r * math.sin(angle)))
            if i % 2:
                inner = math.radians(turn + 90 + 90 * (i // 2))
                points.append((0.45 * r * math.cos(inner), 0.45 * r * math.sin(inner)))
    else:
        points = [(1.25 * r * math.cos(angle), 1.25 * r * math.sin(angle)) for angle in angles]
    return "M" + "L".join(f"{x + a:.1f} {y + b:.1f}" for a, b in points) + "Z"


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """A path through the points that matter, with a gap at each that is not finite."""
    pieces = []
    known = np.isfinite(x) & np.isfinite(y)
    for piece in np.split(np.arange(len(x)), np.flatnonzero(np.diff(known)) + 1):
        if len(piece) and known[piece[0]]:
            kept = piece[_keep(x[piece], y[piece])]
            pieces.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x[kept], y[kept], strict=True)))
    return "".join(pieces)


def _keep(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The points of a line that lie off the chord of their neighbours (Douglas and Peucker, 1973)."""
    keep = np.zeros(len(x), bool)
    keep[[0, -1]] = True
    todo = [(0, len(x) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        dx, dy = x[last] - x[first], y[last] - y[first]
        inner = slice(first + 1, last)
        length = math.hypot(dx, dy)
        if length:
            away = np.abs(dx * (y[inner] - y[first]) - dy * (x[inner] - x[first])) / length
        else:
            away = np.hypot(x[inner] - x[first], y[inner] - y[first])
        most = int(away.argmax())
        if away[most] > TOLERANCE:
            middle = first + 1 + most
            keep[middle] = True
            todo += [(first, middle), (middle, last)]
    return np.flatnonzero(keep)


def _svg(width: int, height: int, name: str, drawn: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(name)}">{drawn}</svg>'


@functools.cache
def _on_dark(colour: str) -> str:
    """A colour mixed with white until it stands out from a dark page (contrast 3.6 with #161616)."""
    own = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    for part in np.linspace(0.0, 0.6, 13):
        mixed = own + part * (1 - own)
        linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
        if float(linear @ [0.2126, 0.7152, 0.0722]) > 3.6 * 0.058 - 0.05:  # relative luminance, WCAG 2.2
            break
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in mixed)


def _ink(look: Look) -> str:
    return f"--own:{look['color']};--dark:{_on_dark(look['color'])}"
