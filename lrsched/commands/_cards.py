"""A schedule's card: its docstring in parts, its curves, and the code that makes it."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lrsched.analysis.schedules import gallery
from lrsched.schedules import language, registry
from lrsched.schedules.citations import references_of
from lrsched.schedules.codec import from_json, to_json
from lrsched.schedules.combine import sequence
from lrsched.schedules.core import Schedule
from lrsched.schedules.plans import Plan
from lrsched.schedules.references import as_text


class Drawn(NamedTuple):
    """A schedule bound to its budget: its label, its words as JSON would hold them, and what a run of it follows."""

    label: str
    words: dict[str, Any]
    plan: Plan


def sections(doc: str) -> dict[str, str]:
    """The parts of a docstring: Summary, Formula, and each section by its name; Source on one line."""
    summary, _, rest = inspect.cleandoc(doc).partition("\n")
    formula, *parts = re.split(r"^(Args|Returns|Raises|Example|Source):\n", rest, flags=re.MULTILINE)
    found = {name: textwrap.dedent(text).strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
    source = " ".join(found.get("Source", "").split())
    return {"Summary": summary, "Formula": formula.strip(), "Args": "", "Returns": "", **found, "Source": source}


def card(drawn: Drawn, kind: Mapping[str, Callable[..., Schedule]] = registry.SCHEDULES) -> gallery.Card:
    """The card of a schedule."""
    factory = _factory(drawn.words, kind)
    parts = sections(factory.__doc__ or "")
    meanings = dict(re.findall(r"^(\w+): (.*(?:\n +.*)*)", parts["Args"], flags=re.MULTILINE))
    formula, _, notes = parts["Formula"].partition("\n\n")
    parameters = inspect.signature(factory).parameters
    table = drawn.plan.table()
    return gallery.Card(
        name=drawn.label,
        summary=parts["Summary"],
        formula=re.sub(r"\n *(?!\w+\(t\) = )", " ", formula),  # the page breaks lines by itself
        notes=notes,
        returns=" ".join(parts["Returns"].split()),
        source=parts["Source"],
        references=tuple(map(as_text, references_of(drawn.words if kind is registry.SCHEDULES else drawn.plan))),
        arguments=tuple(
            gallery.Argument(
                parameter.name,
                _default(parameter),
                " ".join(meanings.get(parameter.name, "").split()),
            )
            for parameter in parameters.values()
        ),
        python=_python(drawn, factory),
        json=json.dumps(drawn.words),
        rate=table["lr"],
        momentum=table["momentum"],
    )


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return ""
    return f"{parameter.default:.6g}" if isinstance(parameter.default, float) else repr(parameter.default)


def _factory(words: Mapping[str, Any], kind: Mapping[str, Callable[..., Schedule]]) -> Callable[..., Schedule]:
    """What makes the schedule of these words, and whose docstring tells of it."""
    name = registry.name_of(words)
    if name is not None:
        return registry.factory(name, kind)
    return sequence if "sequence" in words else from_json


def _python(drawn: Drawn, factory: Callable[..., Schedule]) -> str:
    """The call that makes the schedule, with the arguments that are not their defaults."""
    written = json.dumps({**drawn.words, "sampling": str(drawn.words.get("sampling")).replace("epoch", "1ep")})
    sized = re.search(r'\d(ep|ex)"', written)  # by an epoch or a batch that the call would not know
    if factory in (sequence, from_json) or language.is_foreign(drawn.words) or sized:
        return f"lrsched.from_json({to_json(drawn.plan.lr)!r})"
    parameters = inspect.signature(factory).parameters
    first, *_ = parameters
    arguments = [repr(drawn.words[first])] if drawn.words[first] != parameters[first].default else []
    arguments += [f"total_steps={drawn.plan.total_steps}"]
    for name, value in drawn.words.items():
        value = tuple(value) if isinstance(value, list) else value
        if name == "sampling" and value != "every":
            arguments.append(f"sampling=lrsched.sampling.named({value!r})")
        elif name not in ("schedule", "sampling", first) and value != parameters[name].default:
            arguments.append(f"{name}={value!r}")
    return f"lrsched.{factory.__name__}({', '.join(arguments)})"


def describe(one: gallery.Card, width: int) -> str:
    """A card as text: what the schedule is, its formula, its arguments with defaults and meaning, its source."""
    lines = [one.name, *textwrap.wrap(one.summary, width), ""]
    lines += [textwrap.indent(one.formula, "  "), ""] if one.formula else []
    lines += [*textwrap.wrap(" ".join(one.notes.split()), width), ""] if one.notes else []
    names = {argument.name: f"{argument.name}={argument.default}" if argument.default else argument.name
             for argument in one.arguments}  # fmt: skip
    left = min(max(map(len, names.values()), default=0), 34) + 4
    for argument in one.arguments:
        name, meaning = names[argument.name], textwrap.wrap(argument.meaning, max(width - left, 30)) or [""]
        if len(name) > left - 4:
            lines.append(f"  {name}")
            name = ""
        lines.append(f"  {name:{left - 2}}{meaning[0]}".rstrip())
        lines += [" " * left + more for more in meaning[1:]]
    if one.source:
        lines += ["", *textwrap.wrap(f"Source: {one.source}", width)]
    return "\n".join(lines)
