"""Where the numbers of a report come from: what was applied, every run, machine, versions, data."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import Any

from lrsched.analysis import Record
from lrsched.analysis.markdown import code, escape, plural
from lrsched.analysis.report.document import Column, Entry, Facts, Table

MOST_ROWS = 1000  # of the table of every run: a larger one would make the page heavy


def describe(documents: Sequence[Record]) -> Facts:
    """Commit, versions, machine, time and data of some runs, or of one result; where they differ, how many had each.

    Args:
      documents: at least one, with what `Beginning.provenance` puts into a record; what one lacks is left out.
    """
    count = len(documents)

    def several(values: Iterable[str]) -> str:
        found = collections.Counter(value for value in values if value)
        if len(found) == 1 and sum(found.values()) == count:
            return next(iter(found))
        return "; ".join(f"{value} ({plural(many, 'run')})" for value, many in found.most_common())

    pairs = {
        "Commit": several(_commit(one) for one in documents),
        "Versions": several(", ".join(f"{k} {v}" for k, v in one.get("versions", {}).items()) for one in documents),
        "Machine": several(_machine(one.get("device") or {}) for one in documents),
        "Data": several(_data(one) for one in documents),
        "Made": _when(documents),
        "Time": _seconds(documents),
        "Origin": several(_origin(one) for one in documents),
    }
    return Facts(tuple((name, text) for name, text in pairs.items() if text))


def _commit(document: Record) -> str:
    commit = document.get("commit") or ""
    return (
        code(commit.removesuffix("+")) + (", with changes beside it" if commit.endswith("+") else "") if commit else ""
    )


def _machine(device: dict[str, Any]) -> str:
    """The kind of device and how many a run had; flags of the compiler as they are."""
    words = [str(device.get("device_kind") or device.get("platform") or "")]
    for name, what in ("run_devices", "device"), ("cpus", "CPU core"), ("processes", "process"), ("workers", "worker"):
        number = device.get(name)
        if number:
            words.append(plural(number, what) if what != "process" or number == 1 else f"{number} processes")
    text = escape(", ".join(word for word in words if word))
    return f"{text}; {code(device['xla_flags'])}" if device.get("xla_flags") else text


def _data(document: Record) -> str:
    data = document.get("data") or ({"digest": document["data_digest"]} if document.get("data_digest") else {})
    if not data:
        return ""
    name = data.get("name") or (document.get("config") or {}).get("data", "")
    parts = {"train": "for training", "holdout": "held out", "test": "for testing"}
    sizes = ", ".join(f"{data[part]:,} {what}" for part, what in parts.items() if data.get(part))
    about = " ".join(filter(None, [str(name), str(data.get("version") or "")]))
    return "; ".join(filter(None, [escape(about), sizes, f"digest {code(str(data.get('digest')))}"]))


def _when(documents: Sequence[Record]) -> str:
    started = sorted(one["started"] for one in documents if one.get("started"))
    ended = sorted(one.get("finished") or one["started"] for one in documents if one.get("started"))
    if not started:
        return ""
    first, last = _minute(started[0]), _minute(ended[-1])
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def _minute(stamp: str) -> str:
    return escape(stamp[:16].replace("T", " "))


def _seconds(documents: Sequence[Record]) -> str:
    known = [float(one["seconds"]) for one in documents if one.get("seconds")]
    return f"{duration(sum(known))} in {plural(len(known), 'run')}" if len(known) > 1 else "".join(map(duration, known))


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _origin(record: Record) -> str:
    origin = record.get("origin")
    if not origin:
        return ""
    verb = {"extend": "extended from", "branch": "branched from"}.get(origin.get("verb"), "from")
    return f"{verb} {code(str(origin['run']))} after {plural(origin['step'], 'update')}"


def updates_made(record: Record) -> int:
    """The updates that a run made itself; one that diverged ended with that of the loss that was not finite."""
    total, bad = int(record["total_steps"]), record["diverged_at"]
    end = total if bad is None else min(int(bad) + 1, total)
    return end - ((record.get("origin") or {}).get("step") or 0)


def audit(records: Sequence[Record]) -> Table:
    """How far the applied rates and momenta were from the tables of the schedules, a row a schedule."""
    rows = []
    for label in dict.fromkeys(record["label"] for record in records):
        own = [record for record in records if record["label"] == label]
        furthest = [_largest(own, f"applied_{what}_max_rel_error") for what in ("rate", "momentum")]
        updates = sum(map(updates_made, own))
        rows.append(
            (
                Entry(code(label), label),
                Entry(str(len(own)), float(len(own))),
                Entry(f"{updates:,}", float(updates)),
                *(Entry("-" if value is None else f"{value:.1e}", value) for value in furthest),
            )
        )
    columns = (
        Column("schedule"),
        Column("runs", "r"),
        Column("updates", "r"),
        Column("rate", "r"),
        Column("momentum", "r"),
    )
    title = "Applied rates and momenta: largest relative difference from the schedule, over all updates of all runs"
    note = "Each update returns the rate and momentum it used; they are compared with the schedule's table in float64. "
    note += "A float32 number is within 6.0e-08 of what it rounds."
    return Table("audit", title, columns, tuple(rows), (note,))


def _largest(records: Sequence[Record], name: str) -> float | None:
    known = [float(record[name]) for record in records if record.get(name) is not None]
    return max(known, default=None)


def list_runs(records: Sequence[Record]) -> Table | None:
    """Every run, a row each; None if they are too many for a page."""
    if len(records) > MOST_ROWS:
        return None
    heads = ("schedule", "budget", "seed", "rate", "held-out error, %", "test error, %", "train loss", "seconds", "run")
    rows = []
    for record in records:
        config = record["config"]
        errors = [record.get(f"{part}_error") for part in ("holdout", "test")]
        end = f"diverged at update {record['diverged_at']}"
        shown = [_percent(error) for error in errors]
        loss = record.get("train_loss")
        rows.append(
            (
                Entry(code(record["label"]), record["label"]),
                Entry(escape(config["budget"]), float(record["epochs"])),
                Entry(str(record["seed"]), float(record["seed"])),
                Entry(f"{config['peak_value']:g}", float(config["peak_value"])),
                shown[0],
                shown[1] if record["diverged_at"] is None else Entry(end, "diverged"),
                Entry("-", None) if loss is None else Entry(f"{loss:.4g}", float(loss)),
                Entry(f"{record['seconds']:.1f}", float(record["seconds"])),
                Entry(code(record["run"])),
            )
        )
    columns = tuple(Column(head, "l" if head in ("schedule", "budget", "run") else "r") for head in heads)
    return Table("runs", "Every run", columns, tuple(rows), folded=True)


def list_sources(sources: Sequence[str]) -> Table | None:
    """The papers and programs that the schedules come from; None if none is known."""
    if not sources:
        return None
    rows = tuple((Entry(escape(source)),) for source in sources)
    return Table("sources", "Where the schedules come from", (Column("source"),), rows)


def _percent(error: float | None) -> Entry:
    return Entry("-") if error is None else Entry(f"{100 * error:.2f}", 100 * float(error))
