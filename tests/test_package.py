"""The wheel in a fresh environment and an empty folder, where no repository is near."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

import lrsched

ROOT = pathlib.Path(__file__).parent.parent
UV = shutil.which("uv")
INSTALL = ("pip", "install", "-q", "--compile-bytecode")  # once, as pip does, and not at every start below


def run(*command: str, cwd: pathlib.Path, fails: bool = False) -> str:
    own = ("XLA_FLAGS", "JAX_PLATFORMS", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    assert citation is not None
    assert project["version"] == lrsched.__version__ == citation[1]
    assert f"## {lrsched.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """An environment with the wheel and what it needs, and the wheel."""
    if UV is None:
        pytest.skip("needs uv, which builds the wheel and the environment")
    folder = tmp_path_factory.mktemp("package")
    run(UV, "build", "-q", "--wheel", "--out-dir", str(folder), str(ROOT), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run(UV, "venv", "-q", "--python", sys.executable, str(folder / "env"), cwd=folder)
    python = folder / "env" / "bin" / "python"
    run(UV, *INSTALL, "--python", str(python), str(wheel), cwd=folder)
    return python, wheel


@pytest.mark.slow
def test_core_is_at_most_twenty_packages_and_shows_schedules(
    installed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    python, wheel = installed
    with zipfile.ZipFile(wheel) as content:
        assert {"lrsched/docs/recipes.md", "lrsched/commands/README.md"} <= set(content.namelist())
    command = str(python.parent / "lrsched")
    packages = run(str(UV), "pip", "list", "--python", str(python), cwd=tmp_path).splitlines()[2:]
    assert len(packages) - 1 <= 20
    assert run(command, "--version", cwd=tmp_path).strip() == f"lrsched {lrsched.__version__}"
    assert "REX: holds the rate up early" in run(command, "schedules", "rex", cwd=tmp_path)
    assert "best rate" in run(command, "rank", "rex", "linear", cwd=tmp_path)
    assert "demon" in run(str(python), "-m", "lrsched", "schedules", cwd=tmp_path)
    assert "usage: lrsched" in run(command, cwd=tmp_path)
    test = "lrsched.range_test(lambda x, _, rate: (x - rate * x, x * x), 1.0, [0] * 100)"
    assert "rate" in run(str(python), "-W", "error", "-c", f"import lrsched; print({test}.advice())", cwd=tmp_path)
    for line in ("study", "train", "range-test", "search", "tune", "ensemble x", "data list", "forecast x"):
        said = run(command, *line.split(), cwd=tmp_path, fails=True)
        assert re.fullmatch(r"lrsched: \w+ is not installed, which this needs: pip install 'lrsched\[\w+\]'\n", said)
    assert list(tmp_path.iterdir()) == []
    assert "3 pages beside it" in run(command, "schedules", "rex", "--html", "site", cwd=tmp_path)  # those that ship


@pytest.mark.slow
def test_wheel_with_the_extra_trains_in_an_empty_folder(
    installed: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    python, wheel = installed
    command = str(python.parent / "lrsched")
    run(str(UV), *INSTALL, "--python", str(python), f"{wheel}[train]", cwd=tmp_path)
    run(command, "study", "--schedules", "rex", "--budgets", "5%", "--seeds", "1", "--out", "runs/one", cwd=tmp_path)
    assert {"records.jsonl", "table.md", "losses.svg"} <= {path.name for path in (tmp_path / "runs" / "one").iterdir()}
    page = run(command, "schedules", "--html", "page.html", cwd=tmp_path)
    assert page.strip().endswith("page.html")
