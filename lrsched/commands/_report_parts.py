"""What a folder holds, as a part of a report: a study, or a result with a record of its own."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import pathlib
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lrsched import files
from lrsched.analysis.markdown import escape
from lrsched.analysis.report import provenance
from lrsched.analysis.report.document import Block, Figure, Lines, Part, Section
from lrsched.analysis.report.saved import read_markdown
from lrsched.analysis.report.study import Findings, describe_study
from lrsched.analysis.search.table import Found
from lrsched.analysis.study import ledger
from lrsched.analysis.study.cells import gather
from lrsched.analysis.study.comparisons import compare_cells
from lrsched.commands import _search_results, _study_results, ensemble, range_test, search, study, tune
from lrsched.runs import studies
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record
from lrsched.schedules import citations, language, references


@dataclasses.dataclass(frozen=True)
class Kind:
    """A result that has a record of its own.

    Attributes:
      title: what it is.
      question: that it answers.
      answers: how the lines begin that answer it.
      titles: head of a table's first column -> title of the table.
      name: of the command.
      config: the command's arguments.
      write: makes its table and figures in a folder.
    """

    title: str
    question: str
    answers: tuple[str, ...]
    titles: Mapping[str, str]
    name: str
    config: type
    write: Callable[[Any, pathlib.Path], object]


def _write_tune(record: Record, out: pathlib.Path) -> object:
    def by_seed(errors: Record) -> Record:
        return {int(seed): error for seed, error in errors.items()}  # type: ignore[misc]

    found = [
        Found(**{**one, "holdout": by_seed(one["holdout"]), "test": by_seed(one["test"])}) for one in record["found"]
    ]
    return tune.write_results(found, out)


#: A field that the records of one kind alone have -> the kind.
KINDS = {
    "parts": Kind(
        title="Search",
        question="Which rate, weight decay, momentum and batch size are to be used?",
        answers=("Chosen:", "Test error"),
        titles={"question": "What to use, and why", "rule": "What following each rule of the range test cost"},
        name="search",
        config=search.SearchConfig,
        write=_search_results.write_results,
    ),
    "growing": Kind(
        title="Ensemble",
        question="What is averaging these networks worth?",
        answers=("The error of", "By calibrated NLL"),
        titles={"": "Each network, and each way of combining the members", "members": "With more and more members"},
        name="ensemble",
        config=ensemble.EnsembleConfig,
        write=ensemble.write_results,
    ),
    "suggestions": Kind(
        title="Range test",
        question="Which peak rate is to be used?",
        answers=("Use", "warning"),
        titles={"rule": "What each rule suggests"},
        name="range-test",
        config=range_test.RangeTestConfig,
        write=range_test.write_results,
    ),
    "found": Kind(
        title="Tune",
        question="Which of Optuna's samplers finds the best setting?",
        answers=(),
        titles={"sampler": "The samplers side by side"},
        name="tune",
        config=tune.TuneConfig,
        write=_write_tune,
    ),
}


def read_folder(folder: pathlib.Path) -> tuple[Findings | None, Part]:
    """The part of a report that tells of a folder, and if it is of a study, what was found there.

    Raises:
      ValueError: if it holds no result, or one that was altered.
    """
    if not (folder / "record.json").exists():
        found = read_study(folder)
        return found, describe_study(found)
    record = _read_record(folder / "record.json")
    kinds = [kind for field, kind in KINDS.items() if field in record]
    if len(kinds) != 1:
        raise ValueError(f"{folder} must hold a study or a result of another command, got neither.")
    try:
        return None, _describe_record(kinds[0], record, folder)
    except KeyError as error:
        raise ValueError(
            f"{folder} must hold a whole record of lrsched {kinds[0].name}, got one without {error}."
        ) from None


def _read_record(path: pathlib.Path) -> Record:
    """A record, which from version 0.2.0 on is sealed."""
    try:
        record = json.loads(files.read_text(path))
    except (RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} must be JSON, got {error}.") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path} must be a JSON object, got {type(record).__name__}.")
    return files.read_json(path) if "sha256" in record else record


def read_study(folder: pathlib.Path) -> Findings:
    """What is in the folder of a study.

    Raises:
      ValueError: if there is no record of a run that its table is of.
    """
    saved = studies.load_whole(folder)
    rows, asked = saved.records, saved.asked
    if not rows:
        raise ValueError(f"{folder} must have a run on record that its table is of, got none.")
    cells = gather(rows, saved.selection)
    question = _study_results.read_question(saved, cells)
    compared = compare_cells(cells, **question)
    config = rows[0]["config"]
    labels, budgets = (list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in ("label", "budget"))
    title = f"{count(len(labels), 'schedule')} under {count(len(budgets), 'budget').lower()}"
    alone = not any(record["origin"] for record in rows)  # no study makes a run that began from another one's state
    commands = _commands([*saved.selection, *rows], "study", study.StudyConfig, asked or _ask(rows)) if alone else ()
    return Findings(
        title=f"{title}: {escape(config['model'])} on {escape(config['data'])}",
        records=rows,
        selection=saved.selection,
        asked={**asked, "reference": question["reference"]},
        missing=saved.missing,
        cells=cells,
        comparisons=compared,
        entries=ledger.ledger(rows, cells),
        losses=_study_results.losses(rows, cells),
        evaluations=_study_results.evaluations(rows, cells),
        schedules=_study_results.curves(rows),
        commands=commands,
        measure=_study_results.measure(rows),
        sources=_sources(rows),
    )


def _sources(rows: Sequence[Record]) -> tuple[str, ...]:
    """The references of the schedules of some runs, each once."""
    words = {record["label"]: record["config"]["schedule"] for record in rows}
    ours = [one for one in words.values() if not language.is_foreign(one)]
    found = dict.fromkeys(each for one in ours for each in citations.references_of(one))
    return tuple(map(references.as_text, found))


_NUMBERS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"]


def count(number: int, noun: str) -> str:
    """A number in words with its noun, as a title begins."""
    word = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f"{word} {noun}{'' if number == 1 else 's'}"


def _describe_record(kind: Kind, record: Record, folder: pathlib.Path) -> Part:
    """The tables that the command writes, and its figures, which are drawn on white."""
    with tempfile.TemporaryDirectory() as there:
        out = pathlib.Path(there)
        kind.write(record, out)
        table = files.read_text(out / "table.md")
        figures = [_embed(path, kind.title) for path in sorted(out.glob("*.svg"))]
    blocks = read_markdown(table, name="table", titles=kind.titles)
    found = tuple(block for block in blocks if isinstance(block, str) and block.startswith(kind.answers))
    results = tuple(block for block in blocks if block not in found)
    config = record.get("config", {})
    name = {**config, **config.get("config", {}), **record.get("task", {})}
    provenances: tuple[Block, ...] = (provenance.describe([record]),)
    commands = _commands([record], kind.name, kind.config, config)
    return Part(
        title=f"{kind.title}: {escape(str(name.get('model')))} on {escape(str(name.get('data')))}",
        question=kind.question,
        counts=(),
        found=found,
        sections=(
            Section("Results", results),
            *([Section("Figures", tuple(figures))] if figures else []),
            Section("Provenance", provenances),
            Section("To repeat it", (Lines(commands),)),
        ),
    )


def _embed(path: pathlib.Path, title: str) -> Figure:
    name = path.stem.replace("_", " ")
    said = html.escape(f"{title}, {name}; the numbers are in the tables")
    data = base64.b64encode(path.read_bytes()).decode()
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{said}">'
    plate = f'<div class="plate" role="region" tabindex="0" aria-label="{html.escape(name)}">{image}</div>'
    return Figure(f"{name.capitalize()}.", plate)


_ALWAYS = frozenset({"data", "model", "schedules", "budgets", "seeds", "peak_values"})  # defaults may change
_NOT_ASKED = frozenset({"data_dir", "out", "part", "dry_run", "file", "track"})  # where and how, not what


def _commands(made: Sequence[Record], name: str, config: type, asked: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines that make a result again: the commit, if all of it is of one, and the command."""
    commits = {str(record.get("commit")) for record in made}
    lines = [f"git checkout {commits.pop()} && uv sync"] if len(commits) == 1 and "None" not in commits else []
    lines = [line.replace("+ &&", " &&") for line in lines]
    return (*lines, shlex.join(["lrsched", name, *_arguments(asked, config)]))


def _arguments(asked: Mapping[str, Any], config: type, usually: Any = None) -> list[str]:
    """The options of a command that differ from what it does without them.

    Args:
      usually: a configuration that has the defaults; None: those of the class.
    """
    positional: list[str] = []
    options: list[str] = []
    usual: dict[str, Any] = {}
    if "data" in asked and "optimizer" in asked:
        like = usually if isinstance(usually, RunConfig) else RunConfig()
        usual = dataclasses.replace(like, data=asked["data"], optimizer=asked["optimizer"]).as_json()
        del usual["data"], usual["optimizer"]
    for field in dataclasses.fields(config):
        if field.name in _NOT_ASKED or asked.get(field.name, []) == []:
            continue
        value, default = asked[field.name], _default(field) if usually is None else getattr(usually, field.name)
        if dataclasses.is_dataclass(default):
            options += _arguments(value, type(default), default) if value != dataclasses.asdict(default) else []  # type: ignore[arg-type]
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            positional += [str(each) for each in value]
        elif field.name in _ALWAYS or not (_alike(value, default) or _alike(value, usual.get(field.name, default))):
            flag = field.name.replace("_", "-")
            options += [f"--no-{flag}"] if value is False else [f"--{flag}", *_words(field.name, value)]
    return [*positional, *options]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _alike(value: Any, default: Any) -> bool:
    plain = [json.loads(json.dumps(one, default=str)) for one in (value, default)]
    return bool(plain[0] == plain[1])


def _words(name: str, value: Any) -> list[str]:
    if value is True:
        return []
    if isinstance(value, list | tuple):
        return [word for each in value for word in _words(name, each)]
    if name in ("schedule", "schedules"):
        return [language.write(value)]
    return [f"{value:.17g}" if isinstance(value, float) and value == round(value) else str(value)]


def _ask(rows: Sequence[Record]) -> dict[str, Any]:
    """What a study without study.json was asked for, as far as its records tell."""
    config = rows[0]["config"]
    seeds = sorted({record["seed"] for record in rows})
    rates = sorted({record["config"]["peak_value"] for record in rows})
    asked = {name: value for name, value in config.items() if name not in ("schedule", "seed", "budget", "peak_value")}
    several = {
        "schedules": [record["config"]["schedule"] for record in {record["label"]: record for record in rows}.values()],
        "budgets": list(dict.fromkeys(record["config"]["budget"] for record in rows)),
        "seeds": len(seeds) if seeds == list(range(len(seeds))) else studies.list_seeds(seeds),
        "peak_values": rates,
    }
    if config["holdout_fraction"] == (0.1 if len(rates) > 1 else 0.0):
        del asked["holdout_fraction"]
    return {**asked, **several}
