"""The house: arrows run downwards only, files and functions are short, and what has a home stays there."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

import lrsched

PACKAGE = pathlib.Path(lrsched.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Each storey may import those that stand behind the arrows, and itself. `files` is the ground that all stand on.
ARROWS = """
cli > display api > parsing > commands > runs > range_test > analysis schedules training forecast
training > schedules
schedules > files
analysis > files
forecast > files
"""


def storey(module: str) -> str:
    """The part of the package that a module is of, as in lrsched.runs.many -> runs."""
    return module.split(".")[1] if "." in module else module


def below() -> dict[str, set[str]]:
    """Storey -> those it may import, read off the arrows."""
    found: dict[str, set[str]] = {}
    for line in ARROWS.strip().splitlines():
        steps = [step.split() for step in line.split(" > ")]
        for i, names in enumerate(steps):
            for name in names:
                found.setdefault(name, set()).update(*steps[i + 1 :])
    for lower in found.values():
        lower.add("files")
    return found


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


def used(path: pathlib.Path) -> set[str]:
    """Attributes and modules in use; a docstring may speak of what it likes."""
    tree = ast.parse(path.read_text())
    return imported(path) | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def short(path: pathlib.Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=short)
def test_imports_run_downwards(path: pathlib.Path) -> None:
    where = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if where in ("__init__", "__main__"):
        return
    there = {storey(name) for name in imported(path) if name.startswith("lrsched.")} - {"__version__"}
    assert there <= below().get(where, {"files"}) | {where}


@pytest.mark.parametrize("path", FILES, ids=short)
def test_files_and_functions_are_short(path: pathlib.Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 330
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_every_command_is_a_file_of_its_own() -> None:
    for path in (PACKAGE / "commands").glob("[a-z]*.py"):
        names = {
            node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
        assert {"run", f"{path.stem.title().replace('_', '')}Config"} <= names, path.name


@pytest.mark.parametrize(
    ("word", "home"),
    [
        ("pmap", {"training/train.py"}),
        ("tensorflow_datasets", {"training/prepare.py", "training/prepared.py", "training/tf_free.py"}),
        ("orbax.checkpoint.v1", {"training/checkpoints.py"}),
    ],
)
def test_what_has_one_home_is_used_nowhere_else(word: str, home: set[str]) -> None:
    users = {short(path) for path in FILES if word in used(path)}
    assert users
    assert users <= home


@pytest.mark.slow
def test_import_of_the_library_needs_jax_and_optax_alone() -> None:
    heavy = ("flax", "tensorflow_datasets", "orbax", "matplotlib", "sklearn", "scipy.stats", "rich", "tyro", "PIL")
    code = f"import sys, lrsched; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
