"""Every command and snippet of the README is run."""

import itertools
import pathlib
import re
import shlex

import pytest

from lrsched import cli
from lrsched.training import prepare

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
SHELL = [
    line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line and not line.startswith("#")
]
STUDIES = [line for line in SHELL if "lrsched study" in line]
ON_PREPARED_DATA = [line for line in STUDIES if "--data-dir" in line]


def words(line: str) -> list[str]:
    """What follows `lrsched` in a line of the shell."""
    return shlex.split(line.split("lrsched ", 1)[1], comments=True)


def test_readme_has_the_two_commands() -> None:
    assert "pip install uv && uv run lrsched study" in SHELL
    assert "pip install uv && uv run pytest" in SHELL
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text()


def test_every_line_of_the_shell_is_one_that_is_tested_here() -> None:
    known = (
        "lrsched study",
        "lrsched schedules",
        "lrsched data",
        "lrsched train",
        "lrsched ensemble",
        "lrsched range-test",
        "lrsched search",
        "lrsched tune",
        "uv run pytest",
        "-m venv",
        "pip install --require-hashes",
        "pip install --no-deps",
    )
    assert [line for line in SHELL if not any(part in line for part in known)] == []


@pytest.mark.parametrize("line", [line for line in STUDIES if line not in ON_PREPARED_DATA])
def test_study_commands_run(line: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--max-epochs", "0.1", "--seeds", "1", "--out", str(tmp_path / "out")]  # the last of equal options wins
    assert cli.main([*words(line), *short]) == 0
    assert " in %, mean ± sd (n seeds)" in capsys.readouterr().out


@pytest.mark.parametrize("line", ON_PREPARED_DATA)
def test_study_commands_on_prepared_data_reach_the_data(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words(line), "--data-dir", "no/such/folder"]) == 2
    assert "the folder no/such/folder does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("line", [line for line in SHELL if "lrsched schedules" in line])
def test_schedules_commands_run(
    line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words(line)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in SHELL if "lrsched data" in line])
def test_data_commands_are_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(prepare, "prepare", lambda name, **where: asked.append((name, where)))
    assert cli.main(words(line)) == 0
    given = dict(itertools.pairwise(words(line)))
    where = {"data_dir": given.get("--data-dir"), "source": given.get("--from")}
    assert asked == ([] if "list" in line else [(given["prepare"], where)])


def test_train_and_ensemble_commands_run_one_after_another(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for line in SHELL if "lrsched train" in line or "lrsched ensemble" in line]
    assert len(lines) >= 5
    for line in lines:
        assert cli.main(words(line)) == 0, capsys.readouterr().err
        assert "error" in capsys.readouterr().out


QUICK = "--max-epochs 0.1 --runs-each 1 --workers 1"
SMALL = {
    "range-test": "--length 20 --seeds 2",
    "search": f"{QUICK} --length 20 --seeds 1 --grid 1 --batch-sizes 64",
    "tune": f"{QUICK} --trials 2",
}


@pytest.mark.parametrize("line", [line for line in SHELL if any(f"lrsched {name} " in line for name in SMALL)])
def test_searching_commands_run(
    line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words(line), *SMALL[words(line)[0]].split()]) == 0, capsys.readouterr().err
    assert "written:" in capsys.readouterr().out
    assert list(tmp_path.glob("runs/*/*.md"))


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_snippets_run(code: str) -> None:
    names: dict[str, object] = {}
    import jax

    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        exec(compile(code, "README.md", "exec"), names)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


def test_table_is_the_one_of_the_results() -> None:
    assert (ROOT / "results" / "digits_study" / "table.md").read_text().strip() in README


def test_requirements_are_pinned_by_hash_and_name_no_host() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    project = (ROOT / "pyproject.toml").read_text()
    direct = re.findall(r'^  "([A-Za-z0-9_-]+)[>=]', project, flags=re.MULTILINE)
    pinned = {entry.split("==")[0].split("[")[0].lower().replace("_", "-") for entry in entries}
    assert {name.lower().replace("_", "-") for name in direct} <= pinned
