"""Rank: what theory says of schedules before any training: their order, their best rates, and how far to trust it."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any, NamedTuple

import tyro

from lrsched.analysis import columns
from lrsched.commands import Outcome
from lrsched.commands.schedules import SchedulesConfig, draw_up
from lrsched.forecast.bounds import best_rate, bound, rate_ratio
from lrsched.forecast.rates import as_rates
from lrsched.runs.report import Report, ignore
from lrsched.schedules.values import check_number, check_steps

#: Spearman's correlation of the bound with the test errors of the REX paper's table 2, 21 schedules with sampling rates
#: in six settings, (lowest, highest); a test rebuilds them from the paper's numbers.
TRUST = {"shared": (0.84, 0.94), "half": (0.49, 0.74), "twice": (0.33, 0.57), "tuned": (0.64, 0.89)}
BAR = 24  # columns of the longest bar, that of the highest bound
REFERENCE = "linear"


@dataclasses.dataclass(frozen=True)
class RankConfig:
    """Rank: orders schedules by a bound of convex optimisation, before any training.

    The bound is that of SGD's last iterate on a convex function. It is given relative to linear decay's: once with each
    schedule at its own best rate, once with all at linear's best rate. --rate turns ratios into rates to try.

    Example: lrsched rank rex linear cosine wsd step --total-steps 1173

    Attributes:
      words: schedules, as in: rex linear rex:d=0.9 linear@50-75 warmup:5%+cosine.
      total_steps: the budget, in updates.
      steps_per_epoch: updates in an epoch, for words with epochs: sgdr:first_cycle=10ep, rex@epoch.
      rate: the peak rate that was found best for the first schedule; the others' follow from it.
      rate_steps: the updates under which it was found best, if they were others.
    """

    words: tyro.conf.Positional[tuple[str, ...]] = ("rex", "linear", "cosine", "wsd", "step")
    total_steps: int = 1000
    steps_per_epoch: int | None = None
    rate: float | None = None
    rate_steps: int | None = None


class Ranked(NamedTuple):
    """What theory says of one schedule, relative to linear decay over the same updates.

    Attributes:
      label: of the schedule.
      tuned: its bound at its own best rate over linear's at linear's.
      shared: its bound at linear's best rate over linear's there.
      rate: its best peak rate over linear's.
      tried: the peak rate to try, where one is known of the first schedule.
    """

    label: str
    tuned: float
    shared: float
    rate: float
    tried: float | None


def run(config: RankConfig, report: Report = ignore) -> Outcome:
    """Ranks the schedules, best first."""
    rows = rank(config)
    return Outcome(rows, show(rows, config, columns.terminal_width(100)), [])


def rank(config: RankConfig) -> list[Ranked]:
    """The schedules, that with the lowest bound at its own best rate first.

    Raises:
      ValueError: for words that name no schedule, rates that are all 0, or a rate that is none.
    """
    check_steps("total_steps", config.total_steps)
    if not config.words:
        raise ValueError("words must name a schedule at least, as in: lrsched rank rex linear, got none.")
    if config.rate is not None:
        check_number("rate", config.rate, at_least=0.0)
    if config.rate_steps is not None:
        check_steps("rate_steps", config.rate_steps)
        if config.rate is None:
            raise ValueError(f"rate_steps must come with --rate, the rate that was best then, got {config.rate_steps}.")
    linear = _rates(REFERENCE, config, config.total_steps)[1]
    known = config.rate
    if known is not None:
        first = [_rates(config.words[0], config, steps)[1] for steps in (config.total_steps, config.rate_steps)
                 if steps is not None]  # fmt: skip
        known *= float(rate_ratio(linear, first[-1]))
    rows = []
    for words in config.words:
        label, rates = _rates(words, config, config.total_steps)
        ratio = float(rate_ratio(rates, linear))
        shared = bound(rates / rates.max() * float(best_rate(linear))).value
        rows.append(
            Ranked(
                label,
                tuned=float(bound(rates).tuned / bound(linear).tuned),
                shared=float(shared / bound(linear).tuned),
                rate=ratio,
                tried=None if known is None else known * ratio,
            )
        )
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels):
        raise ValueError(f"schedules must differ from each other, got {', '.join(labels)}.")
    return sorted(rows, key=lambda row: row.tuned)


def _rates(words: str, config: RankConfig, total_steps: int) -> tuple[str, Any]:
    """The label of a schedule, and its rates."""
    drawn = draw_up(words, SchedulesConfig(total_steps=total_steps, steps_per_epoch=config.steps_per_epoch))
    return drawn.label, as_rates(drawn.plan.lr)


def show(rows: list[Ranked], config: RankConfig, width: int) -> str:
    """The table, with a bar for how far each bound is above the lowest, and how far to trust it."""
    heads = ["schedule", "bound", "at linear's rate", "best rate"]
    body = [[row.label, f"{row.tuned:.3f}", f"{row.shared:.3f}", f"{row.rate:.2f}"] for row in rows]
    if rows[0].tried is not None:
        heads.append("try")
        for cells, row in zip(body, rows, strict=True):
            cells.append(f"{row.tried:.3g}")
    low, high = rows[0].tuned, rows[-1].tuned
    bars = ["above the lowest", *("#" * round(BAR * (row.tuned - low) / ((high - low) or 1.0)) for row in rows)]
    left, *more = ([head, *column] for head, column in zip(heads, zip(*body, strict=True), strict=True))
    lines = columns.lay_out(left, [*more, bars], width)
    tried = ""
    if config.rate is not None:
        steps = config.rate_steps or config.total_steps
        tried = f" `try`: the peak rate, where {config.words[0]} was best at {config.rate:g} over {steps} updates."
    said = (
        f"Relative to linear decay over {config.total_steps} updates: the bound on the loss at the end for SGD on a "
        f"convex function (arXiv:2501.18965), each at its own best rate and all at linear's, and the best rates.{tried}"
    )
    return "\n".join([*lines, "", *textwrap.wrap(said, width), "", *textwrap.wrap(trust(), width)])


def trust() -> str:
    """How far the order was right where it could be checked."""
    between = {name: f"{low:.2f} to {high:.2f}" for name, (low, high) in TRUST.items()}
    return (
        "How far to trust it: on table 2 of the REX paper (CIFAR-10, two ResNets, 15 to 300 epochs, 21 schedules each) "
        f"the rank correlation of this bound with the test errors is {between['shared']} with all at linear's best "
        f"rate, {between['tuned']} each at its own, {between['half']} at half and {between['twice']} at twice linear's."
        " Near ones it does not tell apart: it always puts linear first, where REX beat linear in 43 of that paper's 48"
        " other settings. Compare them on your task: lrsched study."
    )
