"""The schedules: a list, drawings in the terminal and in files, a page, and where two of them differ."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import rich.console
import tyro

from lrsched import files
from lrsched.analysis.schedules import gallery, terminal
from lrsched.commands import Outcome
from lrsched.commands._cards import Drawn, card, describe, sections
from lrsched.runs.report import Report, ignore
from lrsched.schedules import citations, language, plans, references, registry
from lrsched.schedules.combine import Jump, jumps
from lrsched.schedules.durations import Budget
from lrsched.schedules.families import onecycle
from lrsched.schedules.values import check_steps

#: Forms of the schedules that go by a name of their own: the page shows them as well.
FORMS = (
    "clr:mode=triangular2",
    "clr:mode=exp_range,gamma=0.995",
    "clr:mode=exp_range_text,gamma=0.995",
    "growth:profile=rex",
    "growth:profile=rex,mirror=value",
    *(f"onecycle:variant={variant}" for variant in onecycle.VARIANTS if variant != "smith"),
    "rex:d=0.9",
    "snapshot_cosine:form=zero",
    "wsd:shape=linear",
    "wsd:shape=cosine",
)

#: The schedules that are of the momentum alone.
MOMENTA = {name: made for name, made in registry.MOMENTA.items() if made not in registry.SCHEDULES.values()}


@dataclasses.dataclass(frozen=True)
class SchedulesConfig:
    """Schedules: lists them all, draws those that you name, or says where two differ.

    Without names, the list (with --html, a page of them all, or the documentation). `diff A B` says where two differ
    most.

    Example: lrsched schedules rex linear@50-75 onecycle --total-steps 300

    Attributes:
      words: schedules, as in: rex linear rex:d=0.9 linear@50-75 warmup:5%+cosine; or the word diff and two schedules.
      total_steps: the budget they are drawn under, in updates.
      steps_per_epoch: updates in an epoch, for words with epochs: sgdr:first_cycle=10ep, rex@epoch.
      peak_value: peak rate of those whose words give none; JSON of a schedule already made has its own.
      sampling: sampling rate of them all: every, 50-75, 5-25, a percentage (5%) or steps (7st).
      momentum: a number or a momentum schedule; None: each schedule's own (1cycle's), else 0.9.
      out: a picture to write instead of drawing in the terminal: FILE.png or FILE.svg.
      html: a page to write (FILE.html), with every schedule (or those named) to search and to lay over each other; or a
        folder, for all of the documentation with that page as its front.
      cite: prints the sources of what is named, or of all, each once, in place of drawing.
      bibtex: with --cite: as entries of BibTeX.
    """

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    total_steps: int = 300
    steps_per_epoch: int | None = None
    peak_value: float = 0.1
    sampling: str | None = None
    momentum: str | None = None
    out: str | None = None
    html: str | None = None
    cite: bool = False
    bibtex: bool = False


class Difference(NamedTuple):
    """Where the rates of two schedules differ most, and their means (the area under each, over progress in [0, 1])."""

    step: int
    first: float
    second: float
    first_mean: float
    second_mean: float


def run(config: SchedulesConfig, report: Report = ignore) -> Outcome:
    """Lists, draws or compares schedules, in the width and colours of the terminal."""
    terminal = rich.console.Console()
    colour = terminal.is_terminal and not terminal.no_color
    text = show(config, width=min(terminal.width, 120), colour=colour)
    return Outcome(text, text, [])


def show(config: SchedulesConfig, *, width: int = 80, colour: bool = False) -> str:
    """What `lrsched schedules` prints; a file that was asked for is written.

    Args:
      config: the command.
      width: columns of the terminal.
      colour: whether it shows ANSI colours.
    Returns:
      text without a last line feed.
    Raises:
      ValueError: for words that name no schedule, numbers it refuses, or options that do not go together.
    """
    diff, words = config.words[:1] == ("diff",), config.words
    if diff and (len(words) != 3 or config.out or config.html):
        raise ValueError(f"diff takes two schedules and writes no file, got {' '.join(words)!r}.")
    if config.out and (config.html or not words):
        raise ValueError("out draws the schedules that are named, without html: lrsched schedules rex --out rex.svg.")
    limit = 2_000 if config.html else 1_000_000  # the page holds every number
    if not 1 <= config.total_steps <= limit:
        raise ValueError(f"total_steps must be at least 1 and at most {limit} here, got {config.total_steps}.")
    if config.steps_per_epoch is not None:
        check_steps("steps_per_epoch", config.steps_per_epoch)
    if config.cite or config.bibtex:
        return _cited(config)
    if not words and not config.html:
        return listing(width)
    drawn = [draw_up(one, config) for one in (words[1:] if diff else words or sorted([*registry.SCHEDULES, *FORMS]))]
    if diff:
        return _difference(*drawn)
    if config.html:
        cards = [card(one) for one in drawn]
        if not words:
            cards += [momentum_card(name, config) for name in MOMENTA if name not in registry.SCHEDULES]
        return _page(files.local_folder("html", config.html), cards)
    labels = [one.label for one in drawn]
    if len(set(labels)) < len(labels):
        raise ValueError(f"schedules must differ from each other, got {', '.join(labels)}.")
    if config.out:
        _picture(drawn, config.out)
        return f"written: {config.out}"
    rates, momenta = ({one.label: one.plan.table()[name] for one in drawn} for name in ("lr", "momentum"))
    text = terminal.draw(rates, momenta, width=max(width, 40), colour=colour)
    return text if len(drawn) > 1 else f"{text}\n\n{describe(card(drawn[0]), max(width, 40))}"


def _page(path: pathlib.Path, cards: Sequence[gallery.Card]) -> str:
    """Writes the page of the cards, or in a folder the whole documentation with it as the front."""
    if path.is_dir() or not path.suffix:
        from lrsched.commands import _site  # reads Markdown, which nothing else here does

        count = _site.write_site(path, cards)
        return f"written: {path / 'index.html'} and {count - 1} pages beside it"
    if path.suffix != ".html":
        raise ValueError(f"html must be a page, FILE.html, or a folder, a name without an ending, got {path}.")
    if not path.parent.is_dir():
        raise ValueError(f"html must be a file in a folder that is there, got {path}.")
    files.write_text(path, gallery.render_page(cards))
    return f"written: {path}"


def draw_up(words: str, config: SchedulesConfig) -> Drawn:
    """The schedule of these words under the budget, peak rate, sampling rate and momentum of the command."""
    full = language.parse(words)
    if config.sampling is not None and (config.words or "sampling" in full):
        if full.get("sampling", "every") != "every":
            raise ValueError(f"sampling must be given once, got {words!r} and {config.sampling!r}.")
        full = language.parse({**full, "sampling": config.sampling})
    per_epoch = config.steps_per_epoch
    if per_epoch is None and re.search(r"\bepoch\b|[0-9]ep\b", f"{words} {config.sampling} {config.momentum}"):
        raise ValueError(
            f"schedules must be in updates or parts where no epochs are known (--steps-per-epoch), got {words!r}."
        )
    label = language.label(full)
    if registry.lacks_peak(full):
        full = registry.with_peak(full, config.peak_value)
    budget = Budget.of_steps(config.total_steps, per_epoch or 1)
    momentum: str | float | None = config.momentum
    with contextlib.suppress(ValueError):  # a momentum schedule
        momentum = None if momentum is None else float(momentum)
    return Drawn(label, full, plans.plan(full, budget, momentum=momentum))


def _cited(config: SchedulesConfig) -> str:
    """The sources of the schedules that are named, or of every one there is, with one line for what has none."""
    if not config.cite or config.out or config.html or config.words[:1] == ("diff",):
        raise ValueError(
            "cite names schedules, with --bibtex or without, and nothing else: lrsched schedules rex --cite."
        )
    drawn = [draw_up(words, config).plan for words in config.words or (*registry.SCHEDULES, *FORMS)]
    found = [each for one in drawn for each in citations.references_of(one)]
    if not config.words:
        found += [each for made in MOMENTA.values() for each in references.named_in(citations.source_of(made))]
    return citations.format_references(list(dict.fromkeys(found)), bibtex=config.bibtex) or "no source on record."


def listing(width: int = 80) -> str:
    """Every registered schedule with its one line and its source, then the momentum schedules."""
    lines: list[str] = []
    left = 4 + max(map(len, [*registry.SCHEDULES, *MOMENTA]))
    room = max(width, left + 40) - left
    for title, kind in ("Schedules", registry.SCHEDULES), ("Of the momentum (as may be all above)", MOMENTA):
        lines += [f"{title}:"]
        for name, factory in sorted(kind.items()):
            said = sections(factory.__doc__ or "")
            first, *more = textwrap.wrap(said["Summary"], room)
            lines += [f"  {name:{left - 2}}{first}", *(" " * left + line for line in more)]
            lines += [" " * (left + 2) + line for line in textwrap.wrap(said["Source"], room - 2)]
    return "\n".join([*lines, "", "Draw some: lrsched schedules rex linear@50-75. All on a page: --html FILE.html."])


def momentum_card(name: str, config: SchedulesConfig) -> gallery.Card:
    """The card of a schedule of the momentum, beside a constant rate."""
    words = language.parse(name, kind=registry.MOMENTA)
    budget = Budget(config.total_steps)
    follow = plans.plan("constant", budget, peak_value=config.peak_value, momentum=words)
    return card(Drawn(name, words, follow), MOMENTA)


def difference(first: Drawn, second: Drawn) -> Difference:
    """Where the rates of two schedules under one budget differ most."""
    a, b = first.plan.lr.table(), second.plan.lr.table()
    step = int(np.abs(a - b).argmax())
    return Difference(step, float(a[step]), float(b[step]), float(a.mean()), float(b.mean()))


def _picture(drawn: Sequence[Drawn], path: str) -> None:
    """Rates over their peaks; the momentum too if any of them changes."""
    tables = {one.label: one.plan.table() for one in drawn}
    moves = any(np.ptp(table["momentum"]) > 0 for table in tables.values())
    curves: dict[str, Any] = {}
    for one in drawn:
        table, total = tables[one.label], one.plan.total_steps
        share = np.arange(total) / total, table["lr"] / (one.words.get("peak_value", table["lr"].max()) or 1.0)
        curves[one.label] = (*share, table["momentum"]) if moves else share
    from lrsched.analysis.study.figures import draw_schedules  # Matplotlib is an extra

    draw_schedules(curves, path)


def _difference(first: Drawn, second: Drawn) -> str:
    found = difference(first, second)
    if found.first == found.second:
        return f"{first.label} and {second.label} have the same rate at every one of {first.plan.total_steps} updates."
    wide = max(map(len, (first.label, second.label, "difference")))
    lines = [f"most at step {found.step} of {first.plan.total_steps}:"]
    for name, value in (first.label, found.first), (second.label, found.second):
        lines.append(f"  {name:{wide}}  {value:.6g}")
    lines += [f"  {'difference':{wide}}  {found.first - found.second:.6g}", "mean rate (area over progress):"]
    for name, value in (first.label, found.first_mean), (second.label, found.second_mean):
        lines.append(f"  {name:{wide}}  {value:.6g}")
    lines += [f"  {'difference':{wide}}  {found.first_mean - found.second_mean:.6g}", "jumps of over 10 % of the peak:"]
    for one in (first, second):
        lines.append(f"  {one.label:{wide}}  {_jumps(jumps(one.plan.lr))}")
    return "\n".join(lines)


def _jumps(found: Sequence[Jump]) -> str:
    said = ", ".join(f"step {jump.step} to {jump.after:.4g}" for jump in found[:5])
    return (said or "none") + (f", and {len(found) - 5} more" if len(found) > 5 else "")
