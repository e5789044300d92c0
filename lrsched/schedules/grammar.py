"""The words that schedules are asked for in.

Words are `name`, `name:argument=value,argument=value` and `...@sampling`, as in `rex`, `rex:d=0.9`, `linear@50-75`,
`step:fractions=0.3/0.6/0.8,factor=0.2`; or the same as JSON: {"schedule": "rex", "d": 0.9, "sampling": "50-75"}.
A length in steps may be said in epochs where a plan knows them: `sgdr:first_cycle=10ep`.

Schedules one after the other are joined by a plus sign, each with its duration first: `warmup:5%+cosine`,
`warmup:100st+constant+linear:20%,end_value=0.001`. A duration is a percentage, steps, epochs (2ep) or rest; the one
segment without a duration takes the rest. As JSON: {"sequence": [{"schedule": "warmup", "duration": "5%"}, ...]}.

A schedule already made, or the JSON that `to_json` writes of it, is taken wherever words are. It carries its rates:
where a peak is given beside it, all are scaled so that the highest, as it was made, becomes that peak.
"""

from __future__ import annotations

import re
from typing import Any

from lrsched.schedules import codec
from lrsched.schedules.progress import short


def read(words: str) -> dict[str, Any]:
    """The words as the object of JSON that says the same; which schedules there are is not looked at.

    Raises:
      ValueError: if they are not written as words are.
    """
    text = words.strip()
    if text.startswith("{"):
        try:
            return dict(codec.loads(text))
        except ValueError as error:
            raise ValueError(f"schedule must be words or a JSON object: {error}") from None
    parts = re.split(r"\+(?=\s*[A-Za-z_])", text)  # no part begins with a digit, so 1e+3 stays whole
    if text.startswith("+") or text.endswith("+"):
        raise ValueError(f"schedule must be written segment:duration+segment, got {short(words)}.")
    if len(parts) == 1:
        return _read_one(text, words)
    return {"sequence": [_read_one(part.strip(), words, segment=True) for part in parts]}


def _read_one(text: str, words: str, *, segment: bool = False) -> dict[str, Any]:
    """One schedule's words; a segment's may begin with its duration."""
    text, at, rate = text.partition("@")
    name, colon, arguments = text.partition(":")
    if (at and not rate) or (colon and not arguments):
        raise ValueError(f"schedule must be written name:argument=value@sampling, got {short(words)}.")
    given: dict[str, Any] = {"schedule": name}
    for place, argument in enumerate(filter(None, arguments.split(","))):
        key, equals, value = argument.partition("=")
        if not equals and segment and place == 0:
            key, value = "duration", argument
        elif not equals:
            raise ValueError(f"schedule arguments are written name:argument=value, got {short(words)}.")
        if key in given:
            raise ValueError(f"schedule arguments must be given once, got {key} again in {short(words)}.")
        given[key] = _value(value)
    if rate and "sampling" in given:
        raise ValueError(f"schedule arguments must be given once, got sampling again in {short(words)}.")
    if rate:
        given["sampling"] = rate
    return given


def _value(text: str) -> Any:
    if text in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text]
    if "/" in text:
        return [_value(part) for part in text.split("/")]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def said(value: Any) -> str:
    """What `_value` reads."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
