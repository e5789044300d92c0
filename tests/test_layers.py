"""The house: which part of the package may import which."""

import ast
import pathlib
import subprocess
import sys

import pytest

import lrsched

PACKAGE = pathlib.Path(lrsched.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
WINGS = {"schedules": {"schedules"}, "training": {"training", "schedules"}, "analysis": {"analysis"}}
HALL = {"task", "run", "folder", "study", "spread", "ensemble", "members", "catalogue", "cli"}
HALL |= {"progress_bars", "finder", "sweep", "measured", "search", "tune"}
HALL |= {"records", "interrupts", "saving", "claims", "many", "search_results", "cycles"}
FOUNDATION = {"files"}  # which every part may use, and which uses none


def imported(path: pathlib.Path) -> set[str]:
    """The modules a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", [p for p in FILES if p.parent != PACKAGE], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_wing_imports_only_what_it_may(path: pathlib.Path) -> None:
    allowed = WINGS[path.relative_to(PACKAGE).parts[0]]
    own = {name.split(".")[1] for name in imported(path) if name.startswith("lrsched.")}
    assert own <= allowed | FOUNDATION


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_file_is_short(path: pathlib.Path) -> None:
    assert len(path.read_text().splitlines()) <= 350  # about 300


def test_hall_is_the_only_place_outside_the_wings() -> None:
    assert {p.stem for p in FILES if p.parent == PACKAGE} == HALL | FOUNDATION | {"__init__"}


@pytest.mark.parametrize("name", sorted(FOUNDATION))
def test_foundation_imports_nothing_of_the_package(name: str) -> None:
    assert not any(each.startswith("lrsched") for each in imported(PACKAGE / f"{name}.py"))


@pytest.mark.parametrize(
    ("word", "home"),
    [
        ("pmap", {"training/train.py"}),
        ("tensorflow_datasets", {"training/prepare.py", "training/prepared.py", "training/tf_free.py"}),
    ],
)
def test_what_has_one_home_is_used_nowhere_else(word: str, home: set[str]) -> None:
    users = {str(path.relative_to(PACKAGE)) for path in FILES if word in used(path)}
    assert users
    assert users <= home


def used(path: pathlib.Path) -> set[str]:
    """Attributes and modules in use; a docstring may speak of what it likes."""
    tree = ast.parse(path.read_text())
    return imported(path) | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_import_of_the_library_needs_jax_and_optax_alone() -> None:
    heavy = ("flax", "tensorflow_datasets", "orbax", "matplotlib", "sklearn", "scipy.stats", "rich", "tyro", "PIL")
    code = f"import sys, lrsched; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_matplotlib_is_imported_where_figures_get_their_style_alone() -> None:
    users = {
        str(path.relative_to(PACKAGE)) for path in FILES if any(n.startswith("matplotlib") for n in imported(path))
    }
    assert users == {"analysis/drawing.py"}
