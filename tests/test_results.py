"""What stands under results/ is what its records say."""

import csv
import json
import math
import pathlib
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import all_budgets
import anytime
import budgeted_training
import check_faults
import clr_anytime
import decay_after
import fractal_steps
import laws_on_gpt
import numpy as np
import pytest
import shared_trunks
import snapshot_cycles
import super_convergence
import theory

import lrsched.analysis.study
from lrsched.commands import _search_results, _study_results, ensemble, range_test
from lrsched.runs import records, studies
from lrsched.runs.task import RunConfig

RESULTS = pathlib.Path(__file__).parent.parent / "results"
REQUIREMENTS = (RESULTS.parent / "requirements.txt").read_text()
PAPERS = pathlib.Path(lrsched.analysis.study.__file__).parent / "paper_numbers.csv"
FOLDERS = sorted(path.parent for path in RESULTS.rglob("table.md"))
RUNS = sorted(RESULTS.rglob("records.jsonl"))
# A field that the records of one kind alone have -> what makes table and figures of them.
KINDS = {
    "parts": _search_results.write_results,
    "growing": ensemble.write_results,
    "rankings": theory.write_results,
    "suggestions": range_test.write_results,
    "shared_trunks": shared_trunks.write_results,
    "anytime": anytime.write_results,
    "decay_after": decay_after.write_results,
    "laws_on": laws_on_gpt.write_results,
    "checked_traces": check_faults.write_results,
    "quadratics": fractal_steps.write_results,
    "snapshot_cycles": snapshot_cycles.write_results,
}
# Folder of a study -> what writes more tables and figures of its records.
BESIDE = {"clr_fashion_mnist": clr_anytime.write_more}
# Folder without records -> what makes its table of those of other folders.
GATHERED = {
    "all_budgets": lambda out: all_budgets.write_standings(RESULTS / "all_budgets", out),
    "budgeted_training": lambda out: budgeted_training.write_results(RESULTS, out),
    "super_convergence": lambda out: super_convergence.write_results(RESULTS / "super_convergence", out),
}
IDS: dict[str, list[str]] = json.loads((pathlib.Path(__file__).parent / "run_ids.json").read_text())


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(RESULTS))


def read(folder: pathlib.Path) -> dict[str, Any]:
    """The record of a search, an ensemble, a range test or theory; nothing of a study, which has those of its runs."""
    path = folder / "record.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def rebuild(folder: pathlib.Path, out: pathlib.Path) -> None:
    if gathered := GATHERED.get(name(folder)):
        gathered(out)
        return
    record = read(folder)
    if not record:
        study = studies.load(folder)
        _study_results.write_results(study, out)
        if more := BESIDE.get(name(folder)):
            more(study, out)
        return
    (write,) = (write for field, write in KINDS.items() if field in record)
    write(record, out)


def texts(svg: pathlib.Path) -> list[str]:
    """The words of a figure."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text())


def coordinates(svg: pathlib.Path) -> np.ndarray:
    """Where all that is drawn lies, in points."""
    drawn = re.findall(r' (?:d|points|transform|x|y|width|height|cx|cy|r)="([^"]*)"', svg.read_text())
    return np.array([float(number) for text in drawn for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)])


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_tables_figures_and_comparisons_are_rebuilt_from_the_records(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    rebuild(folder, tmp_path)
    tables = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    assert tables == sorted(path.name for path in tmp_path.glob("*.md"))
    for table in tables:
        assert (folder / table).read_bytes() == (tmp_path / table).read_bytes()
    figures = sorted(path.name for path in folder.glob("*.svg"))
    assert figures == sorted(path.name for path in tmp_path.glob("*.svg"))
    for figure in figures:
        assert texts(folder / figure)
        assert texts(folder / figure) == texts(tmp_path / figure)
        if f"\nmatplotlib=={version('matplotlib')} " in REQUIREMENTS:  # others lay a figure out some points apart
            there, here = coordinates(folder / figure), coordinates(tmp_path / figure)
            assert len(there) == len(here) > 0
            np.testing.assert_allclose(here, there, rtol=0, atol=0.01)
    if (folder / "comparisons.csv").exists():
        assert_same_comparisons(folder / "comparisons.csv", tmp_path / "comparisons.csv")


def assert_same_comparisons(old: pathlib.Path, new: pathlib.Path) -> None:
    rows = (csv.DictReader(path.read_text().splitlines()) for path in (old, new))
    for there, here in zip(*rows, strict=True):
        assert there.keys() == here.keys()
        for column, text in there.items():
            same = isclose(text, here[column]) if re.fullmatch(r"-?[\d.e-]+", text) else text == here[column]
            assert same, (there["first"], there["second"], column)


def isclose(one: str, other: str) -> bool:
    return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if read(folder)], ids=name)
def test_record_is_of_a_commit_and_of_the_runs_beside_it(folder: pathlib.Path) -> None:
    record = read(folder)
    rows = [row for path in folder.rglob("records.jsonl") for row in records.read(path).rows]
    assert re.fullmatch("[0-9a-f]{40}", record["commit"])
    if "parts" in record:
        tried = [setting for part in record["parts"] for setting in part["tried"]]
        assert {error for one in tried for error in one["errors"].values()} <= {row["holdout_error"] for row in rows}
    if "members" in record:
        networks = [*record["members"], *(network for those in record["baselines"].values() for network in those)]
        assert {network["run"] for network in networks} == {row["run"] for row in rows}


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if "laws_on" in read(folder)], ids=name)
def test_laws_are_held_against_the_runs_beside_them(folder: pathlib.Path) -> None:
    record, cells = read(folder), laws_on_gpt.gather(records.read(folder / "records.jsonl").rows)
    assert [list(place) for place in cells] == record["places"]
    ends = [laws_on_gpt.curve(shape, seeds).losses[-1] for (shape, _), seeds in cells.items()]
    assert ends == pytest.approx(record["measured"], rel=1e-12)
    for law, predicted in record["predicted"].items():
        for name, value in laws_on_gpt.score(predicted, ends, list(cells)).items():
            kept = record["scores"][law][name]
            assert value == (None if kept is None else pytest.approx(kept, rel=1e-9)), (law, name)


def test_runs_that_shared_trunks_came_to_the_weights_of_those_that_did_not() -> None:
    folder = RESULTS / "shared_trunks"
    shared, separate = (records.read(place / "records.jsonl").rows for place in (folder, folder / "separate"))
    digests = [{row["run"]: row["params_digest"] for row in rows} for rows in (shared, separate)]
    assert digests[0] == digests[1] == {row["run"]: row["params_digest"] for row in read(folder)["runs"]}
    spared = sum(row.get("trunk", {"step": 0})["step"] for row in shared)
    assert spared == sum(row["shared_steps"] for row in read(folder)["runs"]) > 0


def test_onecycle_ran_at_the_rate_of_its_range_test() -> None:
    folder = RESULTS / "onecycle_cifar10"
    found = read(folder / "range_test")["suggestions"]["minimum_tenth"]["value"]
    rows = records.read(folder / "records.jsonl").rows
    rates = {row["config"]["peak_value"] for row in rows if row["label"] == "onecycle"}
    assert rates == {float(f"{found:.2g}")}


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_ids_of_runs_follow_from_their_configurations_as_ever(path: pathlib.Path) -> None:
    rows = records.read(path).rows
    for row in rows:
        identity = {"data_digest": row["data"]["digest"], "origin": row["origin"], "devices": 1}
        assert RunConfig(**row["config"]).as_json() == row["config"]
        assert records.identify(RunConfig(**row["config"]).as_json(), **identity) == row["run"]
    assert [row["run"] for row in rows] == IDS[name(path.parent)]


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_records_have_their_provenance(path: pathlib.Path) -> None:
    assert not records.read(path).damaged
    for record in records.read(path).rows:
        assert re.fullmatch("[0-9a-f]{40}", record["commit"])  # a commit, with nothing changed beside it
        assert record["applied_rate_max_rel_error"] < 1e-6
        assert record["diverged_at"] is not None or re.fullmatch("[0-9a-f]{64}", record["params_digest"])
        assert record["device"]
        assert record["versions"]
        assert record["seconds"] > 0


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_index_names_every_table_once(folder: pathlib.Path) -> None:
    assert (RESULTS / "README.md").read_text().count(f"]({name(folder)}/table.md)") == 1


def found(folders: Iterable[pathlib.Path]) -> set[float]:
    """Every number in the tables of those folders; a fraction in a CSV file as percent, too, 0.01 nats as nats."""
    there = set()
    for folder in folders:
        for path in (*folder.glob("*.csv"), *folder.glob("*.md")):
            if path.name == "README.md":
                continue
            text = path.read_text()
            scales = (1, 100) if path.suffix == ".csv" else (1, 0.01) if "0.01 nats" in text else (1,)
            text = text.replace(",", " " if path.suffix == ".csv" else "")
            numbers = re.findall(r"(?<![\w.])-\d+\.?\d*|\d+\.?\d*", text)  # 10-20 are two above 0
            there |= {float(number) * scale for number in numbers for scale in scales}
    return there


def decimals(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])-\d+\.\d+|(?<![\w.])\d+\.\d+", text)


def assert_all_stand(numbers: Iterable[str], there: Iterable[float]) -> None:
    """Rounded to the digits that they are said with; without a sign it is a difference whichever way."""
    rounded = {digits: {round(one, digits) for one in there} for digits in range(9)}
    amiss = []
    for each in numbers:
        known, value = rounded[len(each.partition(".")[2])], float(each)
        if value not in known and (each.startswith("-") or -value not in known):
            amiss.append(each)
    assert amiss == []


def settings(value: Any) -> Iterator[float]:
    """The numbers of a configuration, those in its words (15ep) as well."""
    if isinstance(value, str):
        yield from map(float, re.findall(r"\d+\.?\d*", value))
    elif isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from settings(each)


def set_up(folders: Iterable[pathlib.Path]) -> set[float]:
    """The numbers of the settings of the runs in those folders: configurations without seeds, images, updates."""
    there = set[float]()
    for folder in folders:
        for row in [row for path in folder.rglob("records.jsonl") for row in records.read(path).rows]:
            config = {name: value for name, value in row["config"].items() if name != "seed"}
            sizes = [row["data"][name] for name in ("train", "holdout", "test") if name in row["data"]]
            there |= set(settings([config, sizes, row["total_steps"], row["epochs"]]))
        there |= set(settings(read(folder).get("setting", {})))
    return there


# Whole numbers of the index that are counts over a table, or a paper's.
COUNTED = {
    "digits_study": {"7"},  # rates at the edge of the grid
    "cifar10_snapshots": {"7", "200"},  # epochs at the end of a cycle, and in the papers
    "anytime_digits": {"2", "143"},  # seeds that chose, on so many images
    "forecast_gpt": {"18"},  # cells that were foretold
    "forecast_resnet": {"18"},
    "rex_table2_resnet38": {"21"},  # entries of the paper's table
    "snapshot_cycles/fashion_mnist": {"40"},  # epochs of a cycle in the paper
}
ROWS = [line for line in (RESULTS / "README.md").read_text().splitlines() if line.startswith("| [")]


@pytest.mark.parametrize("line", ROWS, ids=lambda line: line[3:].partition("]")[0])
def test_numbers_of_the_index_stand_in_the_tables_that_they_are_of(line: str) -> None:
    """Those with a decimal point, and those of the answer, rounded, in the tables; other whole ones there as they are,
    or in the settings."""
    folders = {RESULTS / path for path in re.findall(r"\]\(([^)]+)/\w+\.md\)", line)}
    _, _, question, answer, *more = line.replace(",", "").split("|")
    there, known = found(folders), set_up(folders)
    for folder in folders:
        known |= {float(number) for number in COUNTED.get(name(folder), ())}
    assert_all_stand(decimals(" ".join([answer, *more])), there)
    assert_all_stand(whole_numbers(answer), there | known)
    others = {float(number) for number in whole_numbers(" ".join([question, *more]))}
    assert others <= {number for number in there | known if number == int(number)}


def whole_numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.-])\d+(?![\w.]*\w)", text)


NOTES = [path.parent for path in sorted(RESULTS.rglob("README.md")) if path.parent != RESULTS]
# What notes say beside their results: numbers of a paper or of another folder, the size of a text, chance.
OTHERS = {
    "budgeted_training": {"79.61", "69.37", "48.06", "42.74", "-10.24", "-5.32"},
    "forecast_gpt": {"0.2", "1.6"},
    "forecast_resnet": {"0.26", "0.29"},
    "onecycle_cifar10": {"92.0", "89.1"},
    "rex_table2_resnet38": {"12.86", "11.30", "16.95"},
}


@pytest.mark.parametrize("folder", NOTES, ids=name)
def test_numbers_of_notes_stand_in_tables_or_records(folder: pathlib.Path) -> None:
    """Those with a decimal point, rounded: in tables of the folder, or among errors (in %) and losses of its runs, or
    the means that laws were held against."""
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    rows = [row for place in places for row in records.read(place / "records.jsonl").rows]
    there = found(places) | {row[field] for row in rows for field in ("test_loss", "holdout_loss") if row.get(field)}
    there |= set(read(folder).get("measured", ()))
    there |= {100 * row[field] for row in rows for field in ("test_error", "holdout_error") if row.get(field)}
    text = re.sub(r"^```.*?^```|`[^`]*`", "", (folder / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    assert_all_stand(set(decimals(text.replace(",", ""))) - OTHERS.get(name(folder), set()), there)


def test_every_kind_is_among_the_results() -> None:
    fields = [record.keys() & KINDS.keys() for record in map(read, FOLDERS)]
    assert set().union(*fields) == KINDS.keys()
    assert set() in fields  # a study
