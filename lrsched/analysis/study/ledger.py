"""The paper ledger: every measured cell beside every printed number of the same setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lrsched.analysis import Record, markdown, statistics
from lrsched.analysis.study import paper
from lrsched.analysis.study.cells import Cell
from lrsched.analysis.study.paper import PaperNumber


@dataclasses.dataclass(frozen=True)
class Entry:
    """A measured cell beside a printed number. Errors are in [0, 1]; what is not known is None.

    Attributes:
      setting: data, model and optimizer.
      mean, sd, n: measured; the mean is None if a run diverged.
      diverged: runs that did.
      printed: the paper's.
      inside: whether the measured mean lies within the printed mean +- 2 standard deviations; None where none is
        printed, or nothing is measured.
      differs: what is not as the paper states it, and what it leaves unsaid.
    """

    label: str
    budget: str
    setting: str
    mean: float | None
    sd: float | None
    n: int
    diverged: int
    printed: PaperNumber
    inside: bool | None
    differs: str


def ledger(records: Sequence[Record], cells: Sequence[Cell]) -> list[Entry]:
    """Every cell that a paper has numbers of, once for each number, in the order of the cells.

    A setting is data, model, optimizer, schedule with its sampling rate, and budget in epochs and as a percentage.
    Batch size, momentum, the choice of rates and the profile (`paper.STEEP`) may differ; `Entry.differs` says so.

    Args:
      records: of the study.
      cells: gathered from them.
    """
    of = {(record["label"], record["config"]["budget"]): record for record in records}
    entries = []
    for cell in cells:
        record = of[cell.label, cell.budget]
        config = record["config"]
        schedule, _, sampling = cell.label.partition("@")
        setting = {name: config[name] for name in ("data", "model", "optimizer")}
        printed = paper.find_errors(
            **setting,
            schedule=schedule,
            sampling=sampling or "every",
            epochs=float(record["epochs"]),
            max_epochs=float(config["max_epochs"]),
        )
        for number in printed:
            mean = None if cell.diverged else cell.mean
            entries.append(
                Entry(
                    label=cell.label,
                    budget=cell.budget,
                    setting=", ".join(setting.values()),
                    mean=mean,
                    sd=cell.sd,
                    n=cell.n,
                    diverged=cell.diverged,
                    printed=number,
                    inside=None if mean is None else lies_inside(mean, number),
                    differs=_describe_difference(config, cell, number),
                )
            )
    return entries


def lies_inside(mean: float, number: PaperNumber) -> bool | None:
    """Whether a mean lies within the printed one +- 2 printed standard deviations; None if none is printed.

    Example:
      >>> [lies_inside(mean, PaperNumber(0.1286, 0.0027, 3, "")) for mean in (0.1340, 0.1341)]
      [True, False]

    """
    if number.std is None:
        return None
    return abs(mean - number.mean) <= 2 * number.std + statistics.ROUNDING


def _describe_difference(config: Record, cell: Cell, number: PaperNumber) -> str:
    stated = []
    if config["batch_size"] != paper.BATCH_SIZE:
        stated.append(f"batch size {config['batch_size']} (there {paper.BATCH_SIZE})")
    schedule = cell.label.partition("@")[0]
    if not paper.momentum_agrees(cell.momentum, schedule):
        there = "cycled" if schedule.startswith("onecycle") else f"{paper.MOMENTUM:g}"
        stated.append(f"momentum {cell.momentum} (there {there})")
    if cell.chosen_on == "only one" and number.tuned:
        stated.append("one rate given (there tuned for each entry)")
    if schedule == paper.STEEP:
        stated.append(f"{schedule} for a steep profile whose constant is not given")
    chosen = {"peak_value": cell.peak_value, "weight_decay": cell.weight_decay}
    unstated = paper.describe_unstated({**config, **chosen}, number)
    sentences = [f"differs: {', '.join(stated)}"] if stated else []
    return "; ".join([*sentences, *([f"not stated there: {unstated}"] if unstated else [])])


def format_markdown(entries: Sequence[Entry]) -> str:
    """The ledger as a table, with what differs below it; one sentence if no number is of a setting measured here."""
    if not entries:
        return "No printed number is of a setting that was measured here.\n"
    notes = list(dict.fromkeys(entry.differs for entry in entries if entry.differs))
    letters = {words: chr(ord("a") + i % 26) * (1 + i // 26) for i, words in enumerate(notes)}
    rows = [["schedule", "budget", "measured, %", "printed, %", "within 2 sd", "set-up", "source"]]
    for entry in entries:
        row = [markdown.code(entry.label), markdown.escape(entry.budget), _measured(entry), _printed(entry.printed)]
        verdict = {True: "yes", False: "no", None: "-"}[entry.inside]
        if entry.inside is False and entry.mean is not None:
            verdict += f" ({100 * (entry.mean - entry.printed.mean):+.2f} points)"
        rows.append([*row, verdict, letters.get(entry.differs, "as stated"), markdown.escape(entry.printed.source)])
    setting = ", ".join(dict.fromkeys(f"{entry.setting}" for entry in entries))
    told = [entry.inside for entry in entries if entry.inside is not None]
    share = (
        f"; {told.count(True)} of {len(told)} measured means lie within the printed mean ± 2 printed sd" if told else ""
    )
    lines = [
        f"{markdown.escape(setting)}. Measured and printed: mean ± sd (runs){share}.",
        *(f"{letter}: {markdown.escape(words)}." for words, letter in letters.items()),
    ]
    return markdown.table(rows, align="llrrlll") + "\n" + "\n\n".join(lines) + "\n"


def _measured(entry: Entry) -> str:
    if entry.mean is None:
        return markdown.diverged(entry.diverged, entry.diverged + entry.n)
    return f"{100 * entry.mean:.2f}" + ("" if entry.sd is None else f" ± {100 * entry.sd:.2f}") + f" ({entry.n})"


def _printed(number: PaperNumber) -> str:
    spread = "" if number.std is None else f" ± {100 * number.std:.2f}"
    return f"{100 * number.mean:.2f}{spread}" + ("" if number.trials is None else f" ({number.trials})")
