"""From the arguments of the command line to a command and its configuration; a mistake becomes one line."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import io
import json
import pathlib
import re
import tomllib
import typing
from collections.abc import Collection
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import tyro

import lrsched
from lrsched import files
from lrsched.schedules.values import perhaps

_FOLDER = pathlib.Path(__file__).parent / "commands"
_GROUPS = {"Recipe": "network"}  # class whose fields stand together in the help -> title
_WRITTEN = frozenset({"sha256", "runs", "selection_runs"})  # what a study adds to its file of options
_CONFIG = (tyro.conf.OmitArgPrefixes,)
_DESCRIPTION = "Learning-rate schedules compared under a budget."


class Command(NamedTuple):
    """A command's name, module and configuration."""

    name: str
    module: ModuleType
    config: Any


def commands() -> dict[str, str]:
    """Every command and what it does: the files in `commands`, and their first lines. Imports none of them."""
    paths = sorted(_FOLDER.glob("[a-z]*.py"))
    return {path.stem.replace("_", "-"): ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" for path in paths}


def parse(arguments: list[str]) -> Command:
    """The command that the arguments ask for; of `--help` and its like, the answer is printed.

    Raises:
      ValueError: with one line, if they ask for none.
      SystemExit: after `--help`, `--version` or a shell completion.
    """
    name, *rest = arguments or ["--help"]
    if name == "--version":
        print(f"lrsched {lrsched.__version__}")
        raise SystemExit(0)
    known = commands()
    if name in known:
        module = _load(name)
        view = _view(_config_class(module))
        if path := _option("file", rest) if any(field.name == "file" for field in dataclasses.fields(view)) else None:
            given = {word[2:].partition("=")[0].replace("-", "_") for word in rest if word.startswith("--")}
            rest = [*read_options(path, _config_class(module), given), *rest]  # of one given twice the last counts
        return Command(name, module, _parse(view, f"lrsched {name}", rest))
    if not name.startswith("-"):
        raise ValueError(f"command must be one of {', '.join(known)}, got {name!r}.{perhaps(name, known)}")
    if name.startswith("--tyro-"):
        _parse(_union({each: _view(_config_class(_load(each))) for each in known}), "lrsched", arguments)
    else:  # `--help`, or no command
        _parse(_union(dict.fromkeys(known, _Nothing)), "lrsched", arguments or ["--help"])
    raise ValueError(f"command must be one of {', '.join(known)}, got {name!r}.")


@dataclasses.dataclass(frozen=True)
class _Nothing:
    """A command that is only named."""


def _option(name: str, arguments: list[str]) -> str | None:
    """What follows the last --name among the arguments."""
    found = None
    for word, after in zip(arguments, [*arguments[1:], None], strict=False):  # of no word none is the last
        if word == f"--{name}":
            found = after
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found


_PAIRS = (("peak_values", "shared_rate"), ("weight_decay", "weight_decays"), ("momentum", "momenta"))
_INSTEAD = dict(_PAIRS) | {other: one for one, other in _PAIRS}  # an option -> the one in whose place it may be given


def read_options(path: str, config: type, given: Collection[str] = ()) -> list[str]:
    """A TOML or JSON file of options by their names, as words of the command line.

    true is --name, false --no-name, null (JSON) leaves the option out, a list is several words.

    Args:
      config: the command's, in which an option whose default is empty may be an empty list.
      given: options beside the file; one in whose place another was given is left out.
    Raises:
      ValueError: naming the file, if it is neither, or not there, or a list is empty.
    """
    try:
        text = files.read_text(path)
        document = tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f"file must be TOML (.toml) or JSON that can be read, got {path}: {error}.") from None
    if not isinstance(document, dict):
        raise ValueError(f"file must hold options by their names, got {path}: no JSON object.")
    words = list[str]()
    needed = {field.name for field in dataclasses.fields(config) if field.default != ()}
    for name, value in document.items():
        if _INSTEAD.get(name.replace("-", "_")) in given:
            continue
        if value == [] and name.replace("-", "_") in needed:
            raise ValueError(f"{name} must have a value, got an empty list in {path}.")
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value not in (None, []) and name not in _WRITTEN:
            several = value if isinstance(value, list) else [value]
            words += [f"--{flag}", *(json.dumps(one) if isinstance(one, dict) else str(one) for one in several)]
    return words


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"lrsched.commands.{name.replace('-', '_')}")


def _config_class(module: ModuleType) -> Any:
    stem = module.__name__.rpartition(".")[2]
    return getattr(module, f"{stem.title().replace('_', '')}Config")


def _union(classes: dict[str, Any]) -> Any:
    known = commands()
    described = [
        Annotated[each, tyro.conf.subcommand(name, description=known[name].partition("\n")[0])]
        for name, each in classes.items()
    ]
    return functools.reduce(lambda one, other: one | other, described)


def _parse(what: Any, prog: str, arguments: list[str]) -> Any:
    """The configuration that tyro parses from the arguments."""
    error = io.StringIO()
    try:
        with contextlib.redirect_stderr(error):
            description = _DESCRIPTION if prog == "lrsched" else None
            parsed = tyro.cli(what, prog=prog, args=arguments, config=_CONFIG, description=description)
    except SystemExit as end:
        if not end.code:
            raise
        raise ValueError(_one_line(error.getvalue())) from None
    return _plain(parsed)


def _view(cls: Any) -> Any:
    """A class like this one, for tyro: the fields of a base class in `_GROUPS` become a group of their own."""
    hints = typing.get_type_hints(cls, include_extras=True)
    base = next((each for each in cls.__mro__[1:] if each.__name__ in _GROUPS), None)
    grouped = {field.name for field in dataclasses.fields(base)} if base else set()
    fields: list[Any] = []
    for field in dataclasses.fields(cls):
        if field.name in grouped:
            continue
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            make: Any = field.default_factory
            default = make() if field.default is dataclasses.MISSING else field.default
            view = _view(hint)
            fields.append((field.name, view, dataclasses.field(default=_viewed(default, view))))
        else:
            fields.append((field.name, hint, dataclasses.field(default=field.default)))
    if base:
        default = base(**{name: cls.__dataclass_fields__[name].default for name in grouped})
        fields.append((_GROUPS[base.__name__], base, dataclasses.field(default=default)))
    made: Any = dataclasses.make_dataclass(cls.__name__, fields, frozen=True, kw_only=True)
    made.__doc__ = cls.__doc__
    made.of = cls
    return made


def _viewed(value: Any, view: Any) -> Any:
    """A value as its view."""
    if not hasattr(view, "of"):
        return value
    arguments = {}
    for field in dataclasses.fields(view):
        if field.name in _GROUPS.values() and not hasattr(value, field.name):
            group: Any = field.type
            names = [each.name for each in dataclasses.fields(group)]
            arguments[field.name] = group(**{name: getattr(value, name) for name in names})
        else:
            arguments[field.name] = _viewed(getattr(value, field.name), field.type)
    return view(**arguments)


def _plain(view: Any) -> Any:
    """The value that a view shows."""
    of = getattr(view, "of", None)
    if of is None:
        return view
    arguments = {}
    for field in dataclasses.fields(view):
        value = getattr(view, field.name)
        if field.name in _GROUPS.values():
            arguments.update({each.name: getattr(value, each.name) for each in dataclasses.fields(value)})
        else:
            arguments[field.name] = _plain(value)
    return of(**arguments)


def _one_line(box: str) -> str:
    """tyro's boxed error as one line: what is wrong, then what may have been meant."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)  # the colours of a terminal
    lines = [line.strip("│ ") for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    parts: list[list[str]] = [[]]
    for line in filter(None, lines):
        if set(line) <= {"─", "-"}:
            parts.append([])
        else:
            parts[-1].append(line)
    wrong, *more = parts if "╭" in text else parts[1:] or parts  # without boxes the title is a part
    sentences = [" ".join(wrong)]
    for part in more:
        head, names = part[:1], [re.split("[ ,]", line)[0] for line in part[1:] if line.startswith("--")]
        if head and head[0].startswith(("Perhaps you meant", "Arguments similar")):
            sentences.append(f"{head[0]} {', '.join(dict.fromkeys(names))}")
        elif head and head[0].startswith("Available subcommands"):
            sentences.append(" ".join(part))
    return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence) or text
