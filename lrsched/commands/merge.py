"""One study out of the records of several folders: parts of it, or more seeds, made on several machines."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tyro

from lrsched import files
from lrsched.analysis.study.cells import gather
from lrsched.commands import Outcome
from lrsched.commands._study_results import write_results
from lrsched.runs import run as runs
from lrsched.runs import studies
from lrsched.runs.report import Record, Report, ignore
from lrsched.runs.studies import SavedStudy

# Fields of a study of which the parts may have some each.
_UNITED = ("schedules", "budgets", "peak_values", "weight_decays", "momenta")
_SEEDS = ("seeds", "selection_seeds")


@dataclasses.dataclass(frozen=True)
class MergeConfig:
    """Puts the records of several studies together, a run that several have once, and writes the table of all.

    Example: lrsched merge machine1/study machine2/study --out runs/whole

    Attributes:
      folders: of studies (lrsched study), two or more.
      out: folder of the whole; it must hold no records.
    """

    folders: tyro.conf.Positional[tuple[str, ...]]
    out: str


def run(config: MergeConfig, report: Report = ignore) -> Outcome:
    """Writes the merged study.

    Raises:
      ValueError: before anything is written, if there are fewer than two folders, they ask for different things, the
        same run has different numbers in two of them, or `out` holds records.
    """
    if len({pathlib.Path(folder).resolve() for folder in config.folders}) < max(2, len(config.folders)):
        raise ValueError(f"folders must be at least two, each once, got {', '.join(config.folders) or 'none'}.")
    out = files.local_folder("out", config.out)
    if (out / "records.jsonl").exists() or (out / "study.json").exists():
        raise ValueError(f"out must be a folder without a study, got {out}.")
    folders = [files.local_folder("folders", name) for name in config.folders]
    parts = {name: studies.load_whole(folder) for name, folder in zip(config.folders, folders, strict=True)}
    merged = merge(parts)
    _check(merged)
    files.check_writable("out", out)
    sources = list[pathlib.Path]()
    for name, rows in (("records.jsonl", merged.records), ("selection/records.jsonl", merged.selection)):
        if rows:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            files.write_text(out / name, "".join(files.seal(row) + "\n" for row in rows))
            sources.append(out / name)
    if merged.asked:
        selection, ids = (
            list(dict.fromkeys(run for folder in folders for run in studies.ids(folder)[i])) for i in (0, 1)
        )
        studies.write(out, merged.asked, selection=selection, runs=ids)
        sources.append(out / "study.json")
    before = sum(len(part.records) + len(part.selection) for part in parts.values())
    after = len(merged.records) + len(merged.selection)
    report(
        f"{after} runs of {before} in {len(parts)} folders"
        + (": the others are there twice." if after < before else ".")
    )
    study = studies.load(out)
    text, written = write_results(study, out)
    return Outcome(study.records, text, [*sources, *written])


def _check(merged: SavedStudy) -> None:
    """Raises ValueError if there is no table of the merged study."""
    if not merged.records:
        raise ValueError("folders must have a run on record that the table is of, got none in all of them.")
    choosing = {row["seed"] for row in merged.selection}
    if both := sorted(choosing & {row["seed"] for row in merged.records if merged.selection}):
        raise ValueError(f"seeds must choose or be reported, got seed {both[0]} for both in the folders together.")
    gather(merged.records, merged.selection)


def merge(parts: Mapping[str, SavedStudy]) -> SavedStudy:
    """The studies of several folders as one.

    Raises:
      ValueError: if they ask for different things, or the same run has different numbers in two of them.
    """
    asked = [part.asked for part in parts.values()]
    if any(asked) and not all(asked):
        old = next(name for name, part in parts.items() if not part.asked)
        raise ValueError(f"folders must all have a study.json, or none of them, got none in {old}.")
    return SavedStudy(
        _unite({name: part.records for name, part in parts.items()}),
        _unite({name: part.selection for name, part in parts.items()}),
        _merge_asked(dict(zip(parts, asked, strict=True))) if all(asked) else {},
    )


def _unite(rows_of: Mapping[str, Sequence[Record]]) -> list[Record]:
    """Every run once."""
    found: dict[str, tuple[str, Record]] = {}
    for folder, rows in rows_of.items():
        for row in rows:
            there, had = found.setdefault(row["run"], (folder, row))
            if wrong := next(_differences(had, row), None):
                name = f"{row['label']} at {row['config']['budget']}, rate {row['config']['peak_value']:g}"
                raise ValueError(
                    f"{wrong} of run {row['run']} ({name}, seed {row['seed']}) must be the same in {there} and"
                    f" {folder}, got {had.get(wrong)} and {row.get(wrong)}."
                )
    return [row for _, row in found.values()]


def _differences(one: Record, other: Record) -> Iterator[str]:
    """The numbers that two records of a run differ in."""
    names = sorted((one.keys() | other.keys()) - runs.CIRCUMSTANCES - {"trunk", "evaluations"})
    return (name for name in names if one.get(name) != other.get(name))


def _merge_asked(asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = asked.items()
    merged = dict(first[1])
    for folder, document in others:
        for name in sorted(merged.keys() | document.keys()):
            had, has = merged.get(name), document.get(name)
            if name in _SEEDS and had != has and isinstance(had, list) and isinstance(has, list):
                both = {*studies.read_seeds(had, name), *studies.read_seeds(has, name)}
                merged[name] = studies.list_seeds(sorted(both))
            elif name in _UNITED and isinstance(had, list) and isinstance(has, list):
                known = {json.dumps(each, sort_keys=True) for each in had}
                merged[name] = [*had, *(each for each in has if json.dumps(each, sort_keys=True) not in known)]
            elif had != has:
                raise ValueError(f"{name} must be the same in {first[0]} and {folder}, got {had!r} and {has!r}.")
    return merged
