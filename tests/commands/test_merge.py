"""Several folders become one study."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from lrsched import files
from lrsched.commands import merge, report, study
from lrsched.commands.merge import MergeConfig
from lrsched.commands.study import StudyConfig
from lrsched.runs import studies
from lrsched.runs.studies import SavedStudy

RESULTS = pathlib.Path(__file__).parents[2] / "results"

SHARED: dict[str, Any] = {
    "schedules": ("rex", "linear"), "budgets": ("6st",), "seeds": ("2",), "selection_seeds": ("1",), "batch_size": 40,
    "workers": 1, "model": "mlp",
}  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A study whole, and in two parts."""
    out = tmp_path_factory.mktemp("parts")
    for name, part in (("whole", None), ("one", "1/2"), ("two", "2/2")):
        study.run(StudyConfig(**SHARED, part=part, out=str(out / name)))
    return out


def merged(parts: pathlib.Path, *names: str, out: pathlib.Path) -> SavedStudy:
    merge.run(MergeConfig(tuple(str(parts / name) for name in names), str(out)))
    return studies.load(out)


@pytest.mark.slow
def test_parts_are_merged_into_the_whole(parts: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = MergeConfig((str(parts / "one"), str(parts / "two")), str(tmp_path / "all"))
    assert {pathlib.Path(path).name for path in merge.run(config).files} == {
        path.name for path in (tmp_path / "all").rglob("*") if path.is_file()
    }
    found, whole = studies.load(tmp_path / "all"), studies.load(parts / "whole")
    for got, due in ((found.records, whole.records), (found.selection, whole.selection)):
        assert [row["run"] for row in got] == [row["run"] for row in due]
        assert [row["params_digest"] for row in got] == [row["params_digest"] for row in due]
    assert studies.same(found.asked, whole.asked)
    assert (tmp_path / "all" / "table.md").read_bytes() == (parts / "whole" / "table.md").read_bytes()


@pytest.mark.slow
def test_folders_may_be_below_the_home(
    parts: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(parts))
    merge.run(MergeConfig(("~/one", "~/two"), str(tmp_path / "all")))
    assert (tmp_path / "all" / "table.md").read_bytes() == (parts / "whole" / "table.md").read_bytes()


@pytest.mark.slow
def test_run_that_two_folders_have_is_there_once(parts: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = merged(parts, "whole", "one", out=tmp_path / "all")
    assert [row["run"] for row in found.records] == [row["run"] for row in studies.load(parts / "whole").records]


def write(folder: pathlib.Path, **asked: Any) -> pathlib.Path:
    """A study without runs."""
    files.write_json(folder / "study.json", {"schedules": ["rex"], "runs": [], "selection_runs": [], **asked})
    return folder


@pytest.mark.slow
def test_other_numbers_of_the_same_run_are_refused(parts: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "study.json").write_bytes((parts / "one" / "study.json").read_bytes())
    (row, *_) = studies.load(parts / "one").records
    (tmp_path / "one" / "records.jsonl").write_text(files.seal({**row, "test_loss": 0.125}) + "\n")
    with pytest.raises(ValueError, match=rf"test_loss of run {row['run']} .* got {row['test_loss']} and 0.125"):
        merge.run(MergeConfig((str(parts / "one"), str(tmp_path / "one")), str(tmp_path / "all")))
    assert not (tmp_path / "all").exists()


def test_studies_that_ask_for_different_things_are_refused(tmp_path: pathlib.Path) -> None:
    one, two = write(tmp_path / "one", model="cnn"), write(tmp_path / "two", model="mlp")
    with pytest.raises(ValueError, match="model must be the same in .*one and .*two, got 'cnn' and 'mlp'"):
        merge.run(MergeConfig((str(one), str(two)), str(tmp_path / "all")))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (["3-3"], ["3", "4"], ["3", "4"]),
        (["4-4"], ["3-3"], ["3", "4"]),
        (["3-3"], ["3-3"], ["3-3"]),
        (["2", "3"], ["10-12"], ["2", "3", "10", "11", "12"]),
    ],
)
def test_united_seeds_are_read_as_those_of_both(one: list[str], other: list[str], both: list[str]) -> None:
    asked = [{"seeds": seeds, "schedules": ["rex"]} for seeds in (one, other)]
    found = merge._merge_asked({str(i): document for i, document in enumerate(asked)})
    assert found["seeds"] == both
    assert set(studies.read_seeds(both, "seeds")) == {
        *studies.read_seeds(one, "seeds"),
        *studies.read_seeds(other, "seeds"),
    }


def test_altered_record_is_refused_by_merge_and_report(tmp_path: pathlib.Path) -> None:
    names = ("one", "two")
    for name in names:
        (tmp_path / name).mkdir()
        lines = (RESULTS / "digits_study" / "records.jsonl").read_text().splitlines(keepends=True)
        if name == "two":
            lines[1] = lines[1].replace('"test_loss": ', '"test_loss": 1', 1)
        (tmp_path / name / "records.jsonl").write_text("".join(lines))
    assert len(studies.load(tmp_path / "two").records) == len(lines) - 1
    with pytest.raises(ValueError, match=r"records.jsonl, line 2, was altered since it was written"):
        merge.run(MergeConfig(tuple(str(tmp_path / name) for name in names), str(tmp_path / "all")))
    with pytest.raises(ValueError, match=r"records.jsonl, line 2, was altered since it was written"):
        report.build([tmp_path / "two"])
    assert not (tmp_path / "all").exists()


def test_altered_record_that_was_made_again_is_no_loss(tmp_path: pathlib.Path) -> None:
    document = json.loads((RESULTS / "rex_table4" / "study.json").read_text()) | {"selection_runs": []}
    lines = (RESULTS / "rex_table4" / "records.jsonl").read_text()
    altered = lines.splitlines()[0].replace('"test_loss": ', '"test_loss": 1', 1)
    for name, text in ("lost", f"{altered}\n{lines.partition(chr(10))[2]}"), ("again", f"{altered}\n{lines}"):
        del document["sha256"]
        files.write_json(tmp_path / name / "study.json", document)
        document = json.loads((tmp_path / name / "study.json").read_text())
        (tmp_path / name / "records.jsonl").write_text(text)
    assert len(studies.load_whole(tmp_path / "again").records) == len(lines.splitlines())
    with pytest.raises(ValueError, match="line 1, was altered"):
        studies.load_whole(tmp_path / "lost")


def test_what_is_united_keeps_its_order(tmp_path: pathlib.Path) -> None:
    documents = {
        "one": {"schedules": [{"schedule": "rex"}], "seeds": ["2", "3"]},
        "two": {"schedules": [{"schedule": "linear"}, {"schedule": "rex"}], "seeds": ["3", "4"]},
    }
    found = merge._merge_asked(documents)
    assert found["schedules"] == [{"schedule": "rex"}, {"schedule": "linear"}]
    assert found["seeds"] == ["2", "3", "4"]


@pytest.mark.parametrize("folders", [(), ("a",), ("a", "a"), ("a", "b", "./a")])
def test_fewer_than_two_folders_or_one_twice_are_refused(folders: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="folders must be at least two, each once, got"):
        merge.run(MergeConfig(folders, str(tmp_path / "all")))


def test_folder_that_has_a_study_is_not_written_over(tmp_path: pathlib.Path) -> None:
    there = write(tmp_path / "one")
    with pytest.raises(ValueError, match="out must be a folder without a study"):
        merge.run(MergeConfig((str(there), str(tmp_path / "two")), str(there)))
    assert json.loads((there / "study.json").read_text())["schedules"] == ["rex"]


@pytest.mark.slow
def test_studies_that_have_no_table_together_are_refused_before_anything_is_written(tmp_path: pathlib.Path) -> None:
    for name, rate in (("one", 0.1), ("two", 0.3)):
        study.run(StudyConfig(**{**SHARED, "peak_values": (rate,), "seeds": ("1",)}, out=str(tmp_path / name)))
    with pytest.raises(ValueError, match="holdout_error must be there to choose"):
        merge.run(MergeConfig((str(tmp_path / "one"), str(tmp_path / "two")), str(tmp_path / "all")))
    assert not (tmp_path / "all").exists()


def test_studies_without_a_run_on_record_are_refused_before_anything_is_written(tmp_path: pathlib.Path) -> None:
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    with pytest.raises(ValueError, match="must have a run on record"):
        merge.run(MergeConfig((str(one), str(two)), str(tmp_path / "all")))
    assert not (tmp_path / "all").exists()


def test_seed_that_would_choose_and_be_reported_is_refused() -> None:
    row = {"run": "a", "seed": 2}
    with pytest.raises(ValueError, match="seeds must choose or be reported, got seed 2 for both"):
        merge._check(SavedStudy([row], [row], {}))
