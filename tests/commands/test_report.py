import csv
import dataclasses
import json
import pathlib
import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from lrsched import parsing
from lrsched.analysis.report.document import Document, Lines, Part
from lrsched.analysis.report.latex import PREAMBLE
from lrsched.commands import _report_parts, report, study
from lrsched.commands.range_test import RangeTestConfig
from lrsched.commands.report import ReportConfig
from lrsched.commands.search import SearchConfig
from lrsched.commands.tune import TuneConfig
from lrsched.runs import studies
from lrsched.runs.config import SHORT, RunConfig
from lrsched.runs.ramps import Ramp
from lrsched.training import provenance

RESULTS = pathlib.Path(__file__).parent.parent.parent / "results"
NAMES = ("digits_study", "onecycle_cifar10", "onecycle_cifar10/range_test", "digits_search", "cifar10_snapshots")


def command(part: Part) -> list[str]:
    """The last line of what makes a result again, as the shell splits it."""
    (lines,) = [block.lines for section in part.sections for block in section.blocks if isinstance(block, Lines)]
    return shlex.split(lines[-1])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, pathlib.Path]:
    """Five results, of every kind that is there, in every form."""
    out = tmp_path_factory.mktemp("report")
    folders = tuple(str(RESULTS / name) for name in NAMES)
    paths = {"out": out / "page.html", "markdown": out / "text.md", "latex": out / "tables.tex", "csv": out / "csv"}
    asked = {name: str(path) for name, path in paths.items()}
    return report.run(ReportConfig(folders=folders, title="A <title>", **asked)).result, out


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A study of four runs that choose and four with fresh seeds."""
    folder = tmp_path_factory.mktemp("study")
    words = {"question": "Is rex | better?", "evaluate_every": "2st", "reference": "linear", "no_worse_than": 5.0}
    config = study.StudyConfig(
        schedules=("rex", "linear"),
        budgets=("4st",),
        seeds=("2",),
        selection_seeds=("1",),
        model="cnn",
        workers=1,
        out=str(folder),
        **words,  # type: ignore[arg-type]
    )
    study.run(config)
    return folder


@pytest.mark.slow
def test_page_of_all_kinds_of_results_is_whole_and_moderate(written: tuple[Document, pathlib.Path]) -> None:
    document, out = written
    page = (out / "page.html").read_text(encoding="utf-8")
    assert page.endswith("</html>\n")
    assert len(page) < 2_000_000
    assert "<h1>A &lt;title&gt;</h1>" in page
    assert [part.title.split(":")[0] for part in document.parts] == [
        *("Six schedules under three budgets", "Three schedules under one budget", "Range test", "Search", "Ensemble"),
        "All studies together",
    ]
    for part in document.parts[:-1]:
        titles = [section.title for section in part.sections]
        assert {"Results", "Provenance", "To repeat it"} <= set(titles)


@pytest.mark.slow
def test_numbers_are_those_of_the_records(written: tuple[Document, pathlib.Path]) -> None:
    study_rows = studies.load(RESULTS / "digits_study")
    rows = [*study_rows.records, *study_rows.selection]
    with (written[1] / "csv" / "1-runs.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["run"]: row for row in csv.DictReader(file)}
    assert listed.keys() == {row["run"] for row in rows}
    for row in rows:
        assert float(listed[row["run"]]["test error, %"]) == pytest.approx(100 * row["test_error"], rel=1e-8)


@pytest.mark.slow
def test_tables_of_a_record_are_those_beside_it(written: tuple[Document, pathlib.Path]) -> None:
    text = (written[1] / "text.md").read_text(encoding="utf-8")
    for name in NAMES[2:]:
        rows = [line for line in (RESULTS / name / "table.md").read_text().splitlines() if line.startswith("| ")]
        assert set(rows[2:]) <= {*text.splitlines(), "|  | updates"}


@pytest.mark.slow
def test_study_of_version_0_1_0_is_repeated_by_its_own_command(written: tuple[Document, pathlib.Path]) -> None:
    words = " ".join(command(written[0].parts[1]))
    assert words.startswith("lrsched study --data cifar10")
    assert words.endswith("--seeds 3 --peak-values 0.1 0.3 0.45 1")  # as they were counted then


@pytest.mark.slow
def test_study_is_repeated_by_what_was_asked_for(written: tuple[Document, pathlib.Path]) -> None:
    _, *words = command(written[0].parts[0])
    asked = studies.load(RESULTS / "digits_study").asked
    assert json.loads(json.dumps(parsing.parse(words).config.as_json())) == asked


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[2:])
def test_command_of_a_result_is_that_of_its_record(written: tuple[Document, pathlib.Path], name: str) -> None:
    asked = json.loads((RESULTS / name / "record.json").read_text(encoding="utf-8"))["config"]
    parsed = dataclasses.asdict(parsing.parse(command(written[0].parts[NAMES.index(name)])[1:]).config)
    given = json.loads(json.dumps(parsed))
    asked, given = ({**each, **each.pop("config", {})} for each in (asked, given))
    usual = {"batch_size", "weight_decay_mode", "momentum", "image_size", "evaluate_every"}  # may be written out
    for field in (asked.keys() & given.keys()) - usual - {"out", "data_dir", "config", "ramp"}:
        assert asked[field] == given[field], field


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("search", SearchConfig()),
        ("search", SearchConfig(config=RunConfig(schedule="rex", max_epochs=8.0))),
        ("search", SearchConfig(config=dataclasses.replace(SHORT, optimizer="adamw", seed=3), bisections=2)),
        ("tune", TuneConfig(config=RunConfig(schedule="onecycle", max_epochs=8.0, holdout_fraction=0.2))),
        ("range-test", RangeTestConfig(ramp=Ramp(length="50", seeds=2), model="mlp", peak_values=(1.0,))),
    ],
)
def test_command_of_a_record_asks_for_what_it_was_asked(name: str, config: Any) -> None:
    asked = json.loads(json.dumps(provenance.config_fields(config)))
    line = _report_parts._commands([], name, type(config), asked)[-1]
    assert parsing.parse(shlex.split(line)[1:]).config == config


@pytest.mark.slow
def test_report_of_fresh_seeds_quotes_what_was_asked(small: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = tmp_path / "report.md"
    report.run(ReportConfig(folders=(str(small),), markdown=str(text)))
    assert (small / "report.html").exists()
    found = text.read_text(encoding="utf-8")
    assert r"> Is rex \| better?" in found
    assert "chosen on held-out data with 1 seed (0)" in found
    assert "2 fresh seeds (1, 2)" in found
    assert "Each schedule against `linear`, which was named as the reference" in found
    assert "less than 5 points higher" in found
    page = (small / "report.html").read_text(encoding="utf-8")
    assert "Test error over updates at 4st" in page


@pytest.mark.slow
def test_command_of_a_study_asks_for_the_same_study(small: pathlib.Path) -> None:
    again = parsing.parse(command(report.build([small]).parts[0])[1:]).config
    asked = json.loads((small / "study.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(again.as_json())).items() <= asked.items()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX: apt-get install texlive-latex-recommended")
@pytest.mark.slow
def test_latex_compiles(written: tuple[Document, pathlib.Path], tmp_path: pathlib.Path) -> None:
    shutil.copy(written[1] / "tables.tex", tmp_path)
    whole = f"\\documentclass{{article}}\n{PREAMBLE}\n\\begin{{document}}\n\\input{{tables}}\n\\end{{document}}\n"
    (tmp_path / "paper.tex").write_text(whole, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ((), "folders must name at least one, got none"),
        (("a", "./a"), "folders must differ from each other, got a, ./a"),
        (("gs://bucket/x",), "folders must be a local folder, got the URL"),
        (("nowhere",), "nowhere must be the folder of a study"),
    ],
)
def test_folders_that_hold_no_result_are_refused(
    folders: tuple[str, ...], message: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        report.run(ReportConfig(folders=folders))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"out": "STUDY/records.jsonl"}, "out must be a file that ends in .html, got "),
        ({"out": "rep.txt"}, "out must be a file that ends in .html, got rep.txt"),
        ({"markdown": "page.html"}, "out, markdown must differ from each other, got page.html, page.html"),
        (
            {"latex": "both.md", "markdown": "./both.md"},
            "out, markdown, latex must differ from each other, got page.html,",
        ),
        ({"markdown": "STUDY/table.md"}, "markdown must be no file of the results, got "),
        ({"markdown": "d.md"}, "markdown must be a file, got d.md"),
        ({"csv": "run.sh"}, "csv must be a folder, got run.sh"),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_any_is(
    asked: dict[str, str], message: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.md").mkdir()
    (tmp_path / "run.sh").touch()
    study = RESULTS / "gpt_study"
    before = {path: path.read_bytes() for path in study.iterdir()}
    paths = {name: path.replace("STUDY", str(study)) for name, path in asked.items()}
    with pytest.raises(ValueError, match=re.escape(message)):
        report.run(ReportConfig(folders=(str(study),), **{"out": "page.html", **paths}))
    assert {path.name for path in tmp_path.iterdir()} == {"d.md", "run.sh"}
    assert {path: path.read_bytes() for path in study.iterdir()} == before


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"sha256": "00", "parts": []}', '{"parts": []}'])
def test_record_that_is_none_is_refused(text: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "record.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{tmp_path}.* must"):
        report.run(ReportConfig(folders=(str(tmp_path),)))
    assert not (tmp_path / "report.html").exists()
