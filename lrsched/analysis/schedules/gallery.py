"""One HTML page with every schedule on it: self-contained, readable without JavaScript, searchable with it."""

from __future__ import annotations

import html
import importlib.resources
import json
import re
import urllib.parse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched.analysis import drawing

WIDTH, RATE_HEIGHT, MOMENTUM_TOP, MOMENTUM_HEIGHT, HEIGHT = 300, 110, 130, 28, 170  # of a drawing, in its own units
ROUNDING = 1e-9  # a momentum that changes by no more is one that stays
MARGIN = 34  # left of it, for the numbers of its axes


class Argument(NamedTuple):
    """An argument of a schedule: its default as Python writes it ("" if it must be given), and what it is."""

    name: str
    default: str
    meaning: str


class Card(NamedTuple):
    """What the page says about one schedule, and its curves: rate and momentum of every update of one budget."""

    name: str
    summary: str
    formula: str
    notes: str  # remarks on the formula; may be ""
    returns: str
    source: str
    arguments: tuple[Argument, ...]
    python: str
    json: str
    rate: np.ndarray
    momentum: np.ndarray
    references: tuple[str, ...] = ()  # its sources in full, a line each


def render_page(cards: Sequence[Card], navigation: str = "") -> str:
    """The page: a search, two schedules laid over each other, and a card per schedule.

    Args:
      cards: with names that differ; their curves have one length.
      navigation: HTML at the top of the page.
    Returns:
      HTML that loads nothing; the same text from the same cards. A source that several cards share is written on the
      first of them, to which the others link.
    Raises:
      ValueError: if there are no cards, names repeat, or curves differ in length.
    """
    if not cards:
        raise ValueError("cards must hold at least one schedule, got none.")
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        raise ValueError(f"cards must have names that differ, got {', '.join(names)}.")
    lengths = {len(curve) for card in cards for curve in (card.rate, card.momentum)}
    if len(lengths) > 1:
        raise ValueError(f"cards must have curves of one length, got {', '.join(map(str, sorted(lengths)))}.")
    first: dict[str, str] = {}
    for card in cards:
        first.setdefault(card.source, card.name)
    data = {card.name: {"rate": _round(card.rate), "momentum": _round(card.momentum)} for card in cards}
    template = (
        importlib.resources.files("lrsched.analysis.schedules").joinpath("gallery.html").read_text(encoding="utf-8")
    )
    parts = {
        "NAVIGATION": navigation,
        "COUNT": str(len(cards)),
        "STEPS": str(lengths.pop()),
        "OPTIONS": "".join(f"<option>{html.escape(name)}</option>" for name in names),
        "REFERENCES": _render_references(cards),
        "CARDS": "\n".join(_render_card(card, first[card.source]) for card in cards),
        "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),  # no way out of the script element
    }
    for name, text in parts.items():
        template = template.replace(f"<!--{name}-->", text)
    return template


def _render_references(cards: Sequence[Card]) -> str:
    """The sources of all cards, each once, in the order of the alphabet; nothing if no card has one."""
    found = sorted({each for card in cards for each in card.references})
    items = "".join(f"<li>{_with_link(html.escape(each))}</li>" for each in found)
    return f'<section id="references"><h2>References</h2><ul>{items}</ul></section>' if items else ""


def _with_link(text: str) -> str:
    """A reference whose arXiv number is a link."""
    return re.sub(r"arXiv:(\d{4}\.\d{5})$", r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', text)


def _render_card(card: Card, told_on: str) -> str:
    """One card; `told_on` is the name of the card on which its source is written."""
    words: dict[str, Any] = {key: html.escape(part) for key, part in card._asdict().items() if isinstance(part, str)}
    text = card._replace(**words)
    notes = f'\n<pre class="notes" tabindex="0" aria-label="Notes">{text.notes}</pre>' if text.notes else ""
    source = text.source if told_on == card.name or not card.source else f"Source: that of {_link(told_on)}."
    rows = "".join(
        f"<tr><th scope=row><code>{html.escape(a.name)}</code></th><td>{html.escape(a.default) or 'required'}</td>"
        f"<td>{html.escape(a.meaning)}</td></tr>"
        for a in card.arguments
    )
    colour = drawing.looks([card.name])[card.name]["color"]
    return f"""<article data-name="{text.name}" id="{html.escape(_id(card.name))}" aria-label="{text.name}" \
style="--own: {colour}">
<header><h2>{_link(card.name)}</h2><span class="buttons">\
<button type="button" class="pick" hidden>compare<span class="unseen"> {text.name}</span></button>
<button type="button" class="copy" hidden>copy<span class="unseen"> {text.name}</span></button></span></header>
<p>{text.summary}</p>
{_render_curves(card)}
<pre class="formula">{text.formula}</pre>
<p class="source">{source}</p>
<details><summary>Arguments, Python, JSON<span class="unseen"> of {text.name}</span></summary>
<table><thead><tr><th scope=col>argument</th><th scope=col>default</th><th scope=col>meaning</th></tr></thead>
<tbody>{rows}</tbody></table>
<p>{text.returns}</p>{notes}
<pre class="python" tabindex="0" aria-label="Python">{text.python}</pre>
<pre class="json" tabindex="0" aria-label="JSON">{text.json}</pre></details>
</article>"""


def _id(name: str) -> str:
    return "card-" + "-".join(name.split())


def _link(name: str) -> str:
    return f'<a href="#{urllib.parse.quote(_id(name))}">{html.escape(name)}</a>'


def _render_curves(card: Card) -> str:
    """Rate above, momentum below, each on an axis of its own, as inline SVG."""
    top = float(card.rate.max()) or 1.0
    low, high = float(card.momentum.min()), float(card.momentum.max())
    moves = high - low > ROUNDING
    said = f"from {low:.3g} to {high:.3g}" if moves else f"{high:.3g}"
    ends = (low, high) if moves else (low - 1, high + 1)
    momentum = _trace(card.momentum, MOMENTUM_TOP, MOMENTUM_HEIGHT, *ends)
    rate = _trace(card.rate, 0, RATE_HEIGHT, 0.0, top)
    name = f"{card.name}: rate from {card.rate[0]:.3g} at the first update to {card.rate[-1]:.3g} at the last, "
    name += f"largest {top:.3g}; momentum {said}"
    foot = MOMENTUM_TOP + MOMENTUM_HEIGHT
    left = {6: f"{top:.3g}", RATE_HEIGHT: "0"}
    left |= {MOMENTUM_TOP + 6: f"{high:.3g}", foot: f"{low:.3g}"} if moves else {foot - 11: f"{high:.3g}"}
    numbers = "".join(f'<text class="left" x="-4" y="{y}">{text}</text>' for y, text in left.items())
    box = f"{-MARGIN} -14 {WIDTH + MARGIN + 8} {HEIGHT + 16}"
    return f"""<svg viewBox="{box}" role="img" aria-label="{html.escape(name)}">
<path class="axis" d="M0 0V{RATE_HEIGHT}H{WIDTH}M0 {MOMENTUM_TOP}v{MOMENTUM_HEIGHT}h{WIDTH}"/>
<text x="0" y="-4">rate</text><text x="0" y="{MOMENTUM_TOP - 4}">momentum</text>{numbers}
<text x="0" y="{foot + 11}">0</text><text class="middle" x="{WIDTH / 2:g}" y="{foot + 11}">update</text>\
<text class="left" x="{WIDTH}" y="{foot + 11}">{len(card.rate) - 1}</text>
<polyline class="a" points="{rate}"/><polyline class="b" points="{momentum}"/></svg>"""


def _trace(curve: np.ndarray, y: int, height: int, low: float, high: float) -> str:
    """The curve in the drawing's units, without the points that lie between two equals."""
    across = np.arange(len(curve)) * (WIDTH / max(len(curve) - 1, 1))
    down = np.round(y + height * (high - curve) / (high - low), 1)
    keep = np.ones(len(curve), bool)
    keep[1:-1] = (down[1:-1] != down[:-2]) | (down[1:-1] != down[2:])
    return " ".join(f"{a:.4g},{d:.4g}" for a, d in zip(across[keep], down[keep], strict=True))


def _round(curve: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in curve]
