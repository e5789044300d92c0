"""What stands under results/ is what its records say."""

import json
import pathlib
import re

import pytest

from lrsched.commands import ensemble, search, study
from lrsched.commands import range_test as sweep
from lrsched.runs import records

RESULTS = pathlib.Path(__file__).parent.parent / "results"
STUDIES = sorted(path.parent for path in RESULTS.glob("*/records.jsonl") if (path.parent / "schedules.svg").exists())
RUNS = sorted(RESULTS.rglob("records.jsonl"))
ENSEMBLES = sorted(path.parent for path in RESULTS.rglob("record.json") if (path.parent / "growing.svg").exists())
SEARCHES = sorted(path.parent for path in RESULTS.rglob("search.json"))
RANGE_TESTS = sorted(path.parent for path in RESULTS.rglob("range_test.json"))


def texts(svg: pathlib.Path) -> list[str]:
    """The words of a figure, which do not change with the version that draws it."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text())


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_table_and_figures_are_rebuilt_from_the_records(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    study.write_results(records.read(folder / "records.jsonl").rows, tmp_path)
    assert (folder / "table.md").read_text() == (tmp_path / "table.md").read_text()
    assert (folder / "losses.svg").exists() == (tmp_path / "losses.svg").exists()
    losses = ["losses.svg"] if (folder / "losses.svg").exists() else []
    for figure in ("error_over_budget.svg", "schedules.svg", *losses):
        assert texts(folder / figure)
        assert texts(folder / figure) == texts(tmp_path / figure)


@pytest.mark.parametrize("folder", ENSEMBLES, ids=lambda folder: folder.name)
def test_table_and_figures_are_rebuilt_from_the_record(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    ensemble.write_results(record, tmp_path)
    assert (folder / "table.md").read_text() == (tmp_path / "table.md").read_text()
    for figure in ("growing.svg", "reliability.svg"):
        assert texts(folder / figure)
        assert texts(folder / figure) == texts(tmp_path / figure)
    assert re.fullmatch("[0-9a-f]{40}", record["commit"])
    runs = {row["run"] for path in folder.rglob("records.jsonl") for row in records.read(path).rows}
    networks = [*record["members"], *(network for those in record["baselines"].values() for network in those)]
    assert {network["run"] for network in networks} == runs  # whose records stand beside it


@pytest.mark.parametrize("folder", SEARCHES, ids=lambda folder: folder.name)
def test_tables_of_a_search_are_rebuilt_and_are_of_its_records(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    document = json.loads((folder / "search.json").read_text())
    search.write_results(document, tmp_path)
    assert (folder / "search.md").read_text() == (tmp_path / "search.md").read_text()
    assert re.fullmatch("[0-9a-f]{40}", document["commit"])
    errors = {row["holdout_error"] for row in records.read(folder / "records.jsonl").rows}
    assert {error for part in document["parts"] for one in part["tried"] for error in one["errors"].values()} <= errors


@pytest.mark.parametrize("folder", RANGE_TESTS, ids=lambda folder: folder.name)
def test_table_and_figure_of_a_range_test_are_rebuilt(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    record = json.loads((folder / "range_test.json").read_text())
    sweep.write_results(record, tmp_path)
    assert (folder / "range_test.md").read_text() == (tmp_path / "range_test.md").read_text()
    assert texts(folder / "range_test.svg")
    assert texts(folder / "range_test.svg") == texts(tmp_path / "range_test.svg")
    assert re.fullmatch("[0-9a-f]{40}", record["commit"])


def test_onecycle_ran_at_the_rate_of_its_range_test() -> None:
    folder = RESULTS / "onecycle_cifar10"
    found = json.loads((folder / "range_test.json").read_text())["suggestions"]["minimum_tenth"]["value"]
    rows = records.read(folder / "records.jsonl").rows
    rates = {row["config"]["peak_value"] for row in rows if row["label"] == "onecycle"}
    assert rates == {float(f"{found:.2g}")}


@pytest.mark.parametrize("path", RUNS, ids=lambda path: str(path.parent.relative_to(RESULTS)))
def test_records_have_their_provenance(path: pathlib.Path) -> None:
    for line in path.read_text().splitlines():
        record = json.loads(line)
        assert re.fullmatch("[0-9a-f]{40}", record["commit"])  # a commit, with nothing changed beside it
        assert record["applied_rate_max_rel_error"] < 1e-6
        assert record["diverged_at"] is not None or re.fullmatch("[0-9a-f]{64}", record["params_digest"])
        assert record["device"]
        assert record["versions"]
        assert record["seconds"] > 0


@pytest.mark.parametrize("folder", STUDIES + ENSEMBLES + SEARCHES, ids=lambda folder: folder.name)
def test_index_names_every_study(folder: pathlib.Path) -> None:
    table = "search.md" if folder in SEARCHES else "table.md"
    assert f"]({folder.name}/{table})" in (RESULTS / "README.md").read_text()


def test_there_are_results() -> None:
    assert all([STUDIES, RUNS, ENSEMBLES, SEARCHES, RANGE_TESTS])
