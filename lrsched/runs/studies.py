"""A study: what is trained to choose, what is trained with fresh seeds at the choice, and the folder that has both.

OUT/study.json               what was asked for, every default written out, and the ids of its runs
OUT/selection/records.jsonl  the runs that choose: every setting, on held-out data
OUT/records.jsonl            the runs at the chosen setting, on the whole training set, tested once
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from lrsched import files
from lrsched.runs import claims, records
from lrsched.runs.config import RunConfig
from lrsched.runs.report import Record
from lrsched.schedules import language

Place = tuple[str, str]  # a schedule's label and a budget
_RUNS = ("runs", "selection_runs")  # of study.json: ids
# Fields of a study that say where and how it is made, not what it is: study.json has none of them.
CIRCUMSTANCES = frozenset({"data_dir", "workers", "out", "part", "dry_run", "file", "share_trunks", "track", "engine"})


class Setting(NamedTuple):
    """What may be chosen for a schedule under a budget."""

    peak_value: float
    weight_decay: float
    momentum: str | None


@dataclasses.dataclass(frozen=True)
class Grid:
    """The runs of a study.

    Attributes:
      cells: a run for each schedule under each budget; what it has of a `Setting`, and its seed, are not used.
      settings: that each of them may be trained at.
      selection_seeds: of the runs that choose a setting for each cell; none if there is one setting.
      seeds: of the runs at the chosen one.
      holdout_fraction: of the runs that choose.
      part: (i, n): only the i-th of n parts: every n-th cell, or where nothing is chosen every n-th run.
    """

    cells: tuple[RunConfig, ...]
    settings: tuple[Setting, ...]
    selection_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    holdout_fraction: float
    part: tuple[int, int] = (1, 1)

    @property
    def chooses(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.settings) > 1

    def tried(self, more: Mapping[Place, Sequence[Setting]] | None = None) -> list[RunConfig]:
        """The runs that choose, seed by seed, so that a study cut short is a smaller one.

        Args:
          more: settings beyond those of the grid, by cell.
        """
        if not self.chooses:
            return []
        return [
            dataclasses.replace(cell, **setting._asdict(), seed=seed, holdout_fraction=self.holdout_fraction)
            for seed in self.selection_seeds
            for cell in self._mine(self.cells)
            for setting in (*self.settings, *(more or {}).get(place(cell), ()))
        ]

    def fresh(self, chosen: Mapping[Place, Setting]) -> list[RunConfig]:
        """The runs at the chosen settings, or at the only one, likewise seed by seed."""
        cells = self._mine(self.cells) if self.chooses else self.cells
        made = [
            dataclasses.replace(cell, **chosen.get(place(cell), self.settings[0])._asdict(), seed=seed)
            for seed in self.seeds
            for cell in cells
        ]
        return made if self.chooses else list(self._mine(made))

    def _mine(self, all_: Sequence[RunConfig]) -> Sequence[RunConfig]:
        return all_[self.part[0] - 1 :: self.part[1]]


def place(config: RunConfig) -> Place:
    """The cell of a run: its schedule's label and its budget."""
    return language.label(config.schedule), config.budget


def read_seeds(words: Any, name: str, *, after: Collection[int] = ()) -> tuple[int, ...]:
    """Seeds: a number of them (5), or those that are listed (3 4 5, 10-19).

    Args:
      words: a number, or a sequence of numbers and ranges, as text or not.
      name: of the option, for messages.
      after: seeds that are taken. A number of seeds begins behind the highest of them.
    Raises:
      ValueError: if it says anything else, or a seed twice, or one that is taken.
    Example:
      >>> read_seeds(3, "seeds"), read_seeds(["3"], "seeds", after=[0]), read_seeds(["4", "10-12"], "seeds")
      ((0, 1, 2), (1, 2, 3), (4, 10, 11, 12))
    """
    several = [words] if isinstance(words, int | str) else list(words)
    texts = [str(word).strip() for word in several]
    found = [re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", text) for text in texts]
    if not texts or not all(found):
        raise ValueError(f"{name} must be a number of seeds (5), or seeds (3 4 5, 10-19), got {' '.join(texts)!r}.")
    ranges = [(int(one[1]), int(one[2] or one[1])) for one in found if one]
    a_number = len(texts) == 1 and "-" not in texts[0]
    if a_number:
        first = max(after, default=-1) + 1
        ranges = [(first, first + ranges[0][0] - 1)]
    count = sum(last - first + 1 for first, last in ranges)
    falling = [] if a_number else [text for text, (first, last) in zip(texts, ranges, strict=True) if first > last]
    if falling:
        raise ValueError(f"{name} must have ranges that rise (10-19), got {falling[0]}.")
    if not 1 <= count <= 100_000:
        raise ValueError(f"{name} must be from 1 to 100,000 of them, got {count:,}.")
    seeds = tuple(seed for first, last in ranges for seed in range(first, last + 1))
    if len(set(seeds)) < count:
        raise ValueError(f"{name} must differ from each other, got {' '.join(texts)!r}.")
    if taken := sorted(set(seeds) & set(after)):
        raise ValueError(f"{name} must be fresh: {taken[0]} is among those that choose, got {' '.join(texts)!r}.")
    return seeds


def list_seeds(seeds: Sequence[int]) -> list[str]:
    """Seeds as they are listed on the command line: the same ones whatever else is asked for."""
    return [f"{seed}-{seed}" if len(seeds) == 1 else str(seed) for seed in seeds]


def read_part(text: str | None) -> tuple[int, int]:
    """Which part of a study: "3/16" is the third of sixteen; None: the whole.

    Raises:
      ValueError: if it says anything else.
    Example:
      >>> read_part("3/16"), read_part(None)
      ((3, 16), (1, 1))
    """
    if text is None:
        return 1, 1
    found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"part must be as in 3/16, the third of sixteen, got {text!r}.")
    return int(found[1]), int(found[2])


class SavedStudy(NamedTuple):
    """A study on disk.

    Attributes:
      records: of the runs with fresh seeds; of a study of version 0.1.0, of all its runs.
      selection: of the runs that chose; empty if there was nothing to choose, and in a study of version 0.1.0.
      asked: what was asked for; empty in a study of version 0.1.0.
      missing: how many of its runs are not on record.
      damaged: a sentence for each line of its records that was altered, and is not among them.
    """

    records: list[Record]
    selection: list[Record]
    asked: dict[str, Any]
    missing: int = 0
    damaged: tuple[str, ...] = ()


def write(
    out: pathlib.Path, asked: Mapping[str, Any], *, selection: Sequence[str], runs: Sequence[str], part: bool = False
) -> None:
    """Writes study.json: what was asked for and the ids of its runs; of a part beside those that other parts put there.

    Ids of a study that is whole stand for those that were there: data or code of the user's may have changed since.
    """
    asked = json.loads(json.dumps(asked))
    with files.lock(claims.ledger(out), wait=True):
        there = _read(out)
        if part and same(there, asked):
            selection, runs = (
                list(dict.fromkeys([*there.get(name, []), *ids]))
                for name, ids in (("selection_runs", selection), ("runs", runs))
            )
        document = {**asked, "selection_runs": list(selection), "runs": list(runs)}
        files.write_json(out / "study.json", document, indent=2)


def ids(folder: files.Path) -> tuple[list[str], list[str]]:
    """The ids of a study's runs, on record or not: of those that choose, and of the others."""
    document = _read(pathlib.Path(folder))
    return list(document.get("selection_runs", [])), list(document.get("runs", []))


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two documents ask for the same study, whatever runs of it they name."""
    first, second = ({name: value for name, value in each.items() if name not in _RUNS} for each in (one, other))
    return first == second


def _read(folder: pathlib.Path) -> dict[str, Any]:
    try:
        return files.read_json(folder / "study.json")
    except (FileNotFoundError, NotADirectoryError):
        return {}


def load(folder: files.Path) -> SavedStudy:
    """Reads a study: the records of the runs that were asked for last in its folder, in the order of the question.

    Raises:
      ValueError: if the folder holds no records, or study.json was altered.
    """
    folder = pathlib.Path(folder)
    document = _read(folder)
    lines = records.read(folder / "records.jsonl")
    chose = records.read(folder / "selection" / "records.jsonl")
    found, choosing = lines.rows, chose.rows if document else []
    damaged = (*lines.damaged, *chose.damaged)
    asked = {name: value for name, value in document.items() if name not in _RUNS}
    if not document:
        if not found:
            raise ValueError(f"{folder} must be the folder of a study (with records.jsonl), got none.")
        return SavedStudy(_in_order(found, asked), [], asked, damaged=damaged)
    kept, selection = (
        _in_order([row for row in rows if row["run"] in set(document[name])], asked)
        for name, rows in (("runs", found), ("selection_runs", choosing))
    )
    missing = len(document["runs"]) + len(document["selection_runs"]) - len(kept) - len(selection)
    return SavedStudy(kept, selection, asked, missing, damaged)


def load_whole(folder: files.Path) -> SavedStudy:
    """Reads a study of which nothing is lost: a record that was altered has been made again.

    Raises:
      ValueError: as `load` does, and if a record was altered that may be one of the study's.
    """
    study = load(folder)
    if study.damaged and (study.missing or not study.asked):
        raise ValueError(study.damaged[0])
    return study


def _in_order(rows: Sequence[Record], asked: Mapping[str, Any]) -> list[Record]:
    """Once each, as asked for: by schedule and budget; without a question, in the order in which they were started."""
    once = {row["run"]: row for row in rows}.values()
    if not asked:
        return sorted(once, key=lambda row: (row.get("place", -1), row.get("started", "")))
    labels = [language.label(words) for words in asked["schedules"]]

    def rank(row: Record) -> tuple[int, int, int, float]:
        budget = row["config"]["budget"]
        return (
            labels.index(row["label"]) if row["label"] in labels else len(labels),
            asked["budgets"].index(budget) if budget in asked["budgets"] else len(asked["budgets"]),
            row["seed"],
            row["config"]["peak_value"],
        )

    return sorted(once, key=rank)
