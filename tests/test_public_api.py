"""The public surface: what is in it, and that its words are whole and its examples true."""

import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import lrsched
from lrsched import api, profiles, sampling
from lrsched.commands.study import StudyConfig
from lrsched.commands.train import TrainConfig

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
    lines = re.findall(r"^  (\w+(?:, \w+)*): ", doc, flags=re.MULTILINE)
    documented = {name for line in lines for name in line.split(", ")}
    assert inspect.signature(function).parameters.keys() <= documented


@pytest.mark.parametrize("module", sorted(m.name for m in pkgutil.walk_packages(lrsched.__path__, "lrsched.")))
def test_examples_are_true(module: str) -> None:
    where = importlib.import_module(module)
    result = doctest.testmod(where, globs={**vars(lrsched), **vars(where)})
    assert result.failed == 0


def test_one_word_or_number_stands_for_a_list_of_it() -> None:
    """A text was a list of its characters: budgets="15" trained 1 and 5 epochs."""
    single = api._with_lists(StudyConfig, {"schedules": "rex", "budgets": "15", "peak_values": 0.1, "seeds": 3})
    assert single == {"schedules": ("rex",), "budgets": ("15",), "peak_values": (0.1,), "seeds": ("3",)}
    rex = lrsched.rex(0.1, total_steps=10)
    assert api._with_lists(StudyConfig, {"schedules": rex, "model": "mlp"}) == {"schedules": (rex,), "model": "mlp"}
    several = {"schedules": [{"schedule": "rex"}], "budgets": ["5%", 3]}
    assert api._with_lists(StudyConfig, several) == {"schedules": ({"schedule": "rex"},), "budgets": ("5%", "3")}
    assert api._with_lists(TrainConfig, {"keep": np.int64(12)}) == {"keep": ("12",)}
    assert api._with_lists(TrainConfig, {"keep": (12, 0.5, "50%"), "out": "a"}) == {
        "keep": ("12", "0.5", "50%"),
        "out": "a",
    }
