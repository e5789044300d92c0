"""Traces of rates in the files that people have: CSV, JSON, Hugging Face's, TensorBoard's, a run's of this library."""

from __future__ import annotations

import json
import math
import pathlib
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lrsched import files
from lrsched.analysis.check.trace import NUMBER, Trace, make_trace
from lrsched.commands import _loss_curves
from lrsched.runs import records

RATES = ("lr", "learning_rate", "learningrate", "rate", "lr_0", "lr0", "lr/pg0", "lr/group_0")
STEPS = ("global_step", "step", "update", "updates", "iteration", "iter", "it", "iter_num", "num_updates", "_step")
LARGEST_EVENT = 2**28  # bytes; a length beyond it is that of a damaged file
APPLIED_WITHIN = 1e-5  # relative: what float32 leaves of a schedule's rates, and more
DAMAGED = "must be an event file of TensorBoard's, got one that is damaged."


class Found(NamedTuple):
    """A trace and what its file says of the run.

    Attributes:
      words: JSON of the run's schedule; None: the file does not name it.
      steps_per_epoch: None: the file does not say.
      columns: those that were read, for people.
      trainer: whether transformers' Trainer wrote it.
    """

    trace: Trace
    words: dict[str, Any] | None = None
    steps_per_epoch: int | None = None
    columns: str = ""
    trainer: bool = False


def read(path: str, *, rate_column: str | None = None, step_column: str | None = None,
         first_step: int | None = None) -> Found:  # fmt: skip
    """The trace in a file or folder.

    Args:
      path: CSV, JSON lines, JSON, an event file of TensorBoard or a folder of them, or the folder of one run.
      rate_column: the column, key or tag of the rates; None: one of the usual names.
      step_column: likewise of the steps; None: one of the usual names, and without one the lines are counted from 0.
      first_step: what the run calls its first update.
    Raises:
      ValueError: with one line that names the file, if no trace can be read from it.
    """
    place = files.local_folder("trace", path)
    if not place.exists():
        raise ValueError(f"trace must be a file or folder that is there, got {place}.")
    try:
        if (place / "records.jsonl").is_file():
            return _run(place)
        if place.is_dir() or "tfevents" in place.name:
            return Found(_events(place, rate_column, first_step))
        text = files.read_text(place)
        known: dict[str, Any] = {}
        if text.lstrip()[:1] in ("{", "["):
            rows, known = _json(text)
        elif NUMBER.fullmatch("".join(text.strip().splitlines()[:1])):
            rows = text.split()  # the rates alone, one in a line
        else:
            rows = files.read_csv(text, _delimiter(text))
        hugging_face = {"first_step": 1, "total_steps": known.get("max_steps")} if known else {}
        given = {"first_step": first_step} if first_step is not None else {}
        trace, columns = _of_rows(rows, rate_column, step_column, {**hugging_face, **given})
        return Found(trace, columns=columns, trainer=bool(known))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _json(text: str) -> tuple[list[Any], dict[str, Any]]:
    """(rows, what Hugging Face's trainer_state.json says beside them); numbers stay as they are written."""
    try:
        whole = _loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [_loads(line) for line in lines], {}
        except ValueError as error:
            raise ValueError(f"must hold JSON, whole or in each line, got {error}.") from None
    if isinstance(whole, dict) and isinstance(whole.get("log_history"), list):
        budget = str(whole.get("max_steps"))
        return whole["log_history"], {"max_steps": int(budget) if budget.isdigit() and int(budget) else None}
    if isinstance(whole, dict) and whole and all(isinstance(column, list) for column in whole.values()):
        if len(lengths := {len(column) for column in whole.values()}) > 1:
            raise ValueError(f"must hold columns of one length, got {', '.join(map(str, sorted(lengths)))}.")
        return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)], {}
    return (whole if isinstance(whole, list) else [whole]), {}


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError:
        raise ValueError("brackets that are nested too deeply") from None


def _of_rows(
    rows: Sequence[Any], rate_column: str | None, step_column: str | None, known: Mapping[str, Any]
) -> tuple[Trace, str]:
    """A trace of rows with columns, or of the rates alone, and which columns: rows without a rate, as of evaluations,
    are left out."""
    if rows and all(isinstance(row, str) for row in rows):
        rows = [{"lr": row} for row in rows]
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(
            "must hold rows with a rate each, got none." if not rows else "must hold rows of JSON objects."
        )
    columns = list(dict.fromkeys(str(name) for row in rows for name in row))
    rate = _column("rate", columns, rate_column, RATES)
    step = _column("step", columns, step_column, STEPS, needed=False)
    if step is None and (epoch := [name for name in columns if name.strip().lower() in ("epoch", "epochs")]):
        raise ValueError(f"must have a column of updates (step; else --step-column), got {rate} over {epoch[0]}.")
    kept = [row for row in rows if row.get(rate) not in (None, "")]
    texts = [str(row[rate]) for row in kept]
    steps = None if step is None else np.array([_number(step, row.get(step)) for row in kept])
    over = f"{rate} over {step}" if step is not None else f"{rate}, a line for each update"
    return make_trace(steps, [_number(rate, text) for text in texts], texts, **known), over


def _number(column: str, text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        raise ValueError(f"column {column} must hold numbers, got {text!r}.") from None


def _column(kind: str, columns: Sequence[str], asked: str | None, usual: Sequence[str], *, needed: bool = True) -> Any:
    """The column that was asked for, or the one with a usual name, also behind a slash as in train/lr."""
    if asked is not None:
        if asked not in columns:
            raise ValueError(f"{kind}_column must be one of {', '.join(columns)}, got {asked!r}.")
        return asked
    by_name = {name: re.sub(r"[\s-]+", "_", name.strip().lower()) for name in columns}
    forms = [(re.escape(one), rf".*[/. ]{re.escape(one)}") for one in usual]
    patterns = [pattern for pair in forms for pattern in pair] + ([r"lr[-_/].*"] if needed else [])
    for pattern in patterns:
        found = [column for column, name in by_name.items() if re.fullmatch(pattern, name)]
        if len(found) > 1 and needed:
            raise ValueError(f"--{kind}-column must say which of {', '.join(found)} is the {kind}, got none.")
        if found:
            return found[0]
    if needed:
        raise ValueError(
            f"must have a column of rates (lr, learning_rate; else --rate-column), got {', '.join(columns)}."
        )
    return None


def _run(folder: pathlib.Path) -> Found:
    """The trace of a run of this library: its schedule's rates, from which those applied differ as its record says.

    Of a run that began from another one's state it is that of its own updates; a branch counts them from there.
    """
    rows = records.read(folder / "records.jsonl").rows
    if len(rows) != 1:
        raise ValueError(f"must hold the record of one run, got {len(rows)}.")
    (record,) = rows
    rates, origin = _loss_curves.rates(record), record.get("origin") or {}
    first = origin["step"] if origin.get("verb") == "extend" else 0  # before it another run applied its own rates
    trace = make_trace(np.arange(first, len(rates)), rates[first:], first_step=0, total_steps=len(rates))
    off = record["applied_rate_max_rel_error"]
    if not off <= APPLIED_WITHIN:
        raise ValueError(f"must have applied its schedule's rates, got a run up to {off:.1e} (relative) off them.")
    trace = trace._replace(written=f"which the run applied within {off:.1e} (relative)")
    return Found(trace, record["plan"]["lr"], record["steps_per_epoch"])


def _events(place: pathlib.Path, tag: str | None, first_step: int | None) -> Trace:
    """A trace of TensorBoard's event files, in the order of their names."""
    paths = sorted(place.glob("*tfevents*")) if place.is_dir() else [place]
    if not paths:
        raise ValueError("must hold an event file of TensorBoard's or the record of a run, got neither.")
    scalars: dict[str, list[tuple[int, float]]] = {}
    for path in paths:
        for name, step, value in _scalars(path.read_bytes()):
            scalars.setdefault(name, []).append((step, value))
    if not scalars:
        raise ValueError("must hold scalars, got none.")
    steps, rates = zip(*scalars[_column("rate", list(scalars), tag, RATES)], strict=True)
    return make_trace(steps, rates, first_step=first_step)


def _scalars(content: bytes) -> Iterator[tuple[str, int, float]]:
    """(tag, step, value) of every scalar, float32, of an event file."""
    from tensorboardX.proto.event_pb2 import Event

    framed = _framed(content)
    from google.protobuf.message import DecodeError  # which tensorboardX brings; where both lack, it is the one to name

    try:
        events = [Event.FromString(record) for record in framed]
    except DecodeError:
        raise ValueError(DAMAGED) from None
    for event in events:
        for value in event.summary.value:
            if value.HasField("simple_value"):
                yield value.tag, event.step, value.simple_value
            elif value.HasField("tensor") and not value.tensor.tensor_shape.dim:  # of TensorFlow 2's scalars
                packed = value.tensor.tensor_content
                number = (
                    struct.unpack("<f", packed)[0] if len(packed) == 4 else next(iter(value.tensor.float_val), math.nan)
                )
                if not math.isnan(number) or value.tensor.float_val:
                    yield value.tag, event.step, number


def _framed(content: bytes) -> Iterable[bytes]:
    """The records of a TFRecord file: each its length (8 bytes), a checksum (4), the bytes, a checksum (4).

    A last record that is not whole, as of a run that was killed, is left out.
    """
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        if length > LARGEST_EVENT:
            raise ValueError(DAMAGED)
        if at + 16 + length > len(content):
            return
        yield content[at + 12 : at + 12 + length]
        at += 16 + length
