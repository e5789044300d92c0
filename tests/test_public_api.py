"""The public surface: what is in it, and that its words are whole and its examples true."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import lrsched
from lrsched import profiles, sampling

PLACES = {"lrsched": lrsched, "profiles": profiles, "sampling": sampling}
CALLABLES = [("lrsched", name) for name in lrsched.__all__ if inspect.isfunction(getattr(lrsched, name))] + [
    (place, name)
    for place in ("profiles", "sampling")
    for name, value in vars(PLACES[place]).items()
    if (inspect.isfunction(value) or (inspect.isclass(value) and name.islower()))
    and value.__module__ == PLACES[place].__name__
    and not name.startswith("_")
]


def test_all_is_sorted_and_there() -> None:
    assert lrsched.__all__ == sorted(lrsched.__all__)
    assert all(hasattr(lrsched, name) for name in lrsched.__all__)


@pytest.mark.parametrize(("place", "name"), CALLABLES)
def test_docstring_has_every_section(place: str, name: str) -> None:
    function = getattr(PLACES[place], name)
    doc = inspect.getdoc(function) or ""
    wanted = ["Args"] * bool(inspect.signature(function).parameters)
    if function.__module__.startswith("lrsched.schedules") and place == "lrsched":
        wanted += ["Returns", "Example"]
    assert [section for section in wanted if f"{section}:\n" not in doc] == []


@pytest.mark.parametrize(("place", "name"), CALLABLES)
def test_docstring_names_every_argument(place: str, name: str) -> None:
    function = getattr(PLACES[place], name)
    doc = inspect.getdoc(function) or ""
    assert [arg for arg in inspect.signature(function).parameters if f"  {arg}: " not in doc] == []


@pytest.mark.parametrize("module", sorted(m.name for m in pkgutil.walk_packages(lrsched.__path__, "lrsched.")))
def test_examples_are_true(module: str) -> None:
    where = importlib.import_module(module)
    result = doctest.testmod(where, globs={**vars(lrsched), **vars(where)})
    assert result.failed == 0
