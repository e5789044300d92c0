import itertools
import os
import pathlib
import re
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from lrsched.analysis import drawing

FIGURES = """
import sys
import numpy as np
from lrsched.analysis.ensemble import figures as ensemble
from lrsched.analysis.range_test import figures as range_test
from lrsched.analysis.range_test.curves import Curves
from lrsched.analysis.search import figures as search
from lrsched.analysis.study import figures as study
from lrsched.analysis.study.cells import Cell

assert "matplotlib" not in sys.modules
x = np.linspace(0.1, 1.0, 20)
point = {"error": 0.1, "nll": 0.3}
record = {
    "growing": {"forward": [point, point], "backward": None, "weights": None},
    "rows": [],
    "reliability": {"one": {"examples": [1, 2], "confidence": [0.3, 0.8], "accuracy": [0.2, 0.9]}},
}
same = (0.1, (0.1,), "only one", {0: 0.1}, 0, (), 1, 0.1, None, None)
cells = [Cell("rex", "5%", 2.0, *same), Cell("rex", "9%", 4.0, *same)]
figures = {
    "errors": lambda path: study.draw_error_over_budget(cells, path),
    "one_budget": lambda path: study.draw_error_over_budget(cells[:1], path),
    "schedules": lambda path: study.draw_schedules({"rex": (x, x, x)}, path),
    "range_test": lambda path: range_test.draw_loss_over_rate(Curves(x, x[None]), {}, path),
    "losses": lambda path: study.draw_losses({"rex": (x, x[None])}, path),
    "run": lambda path: study.draw_run(x, x, x, x, path),
    "best": lambda path: search.draw_best_so_far({"tpe": [0.1, 0.2]}, path),
    "growing": lambda path: ensemble.draw_growing(record, path),
    "reliability": lambda path: ensemble.draw_reliability(record, path),
}
for name in sys.argv[1].split(","):
    figures[name](sys.argv[2] + "/" + name + ".svg")
"""
ALL = "errors,one_budget,schedules,range_test,losses,run,best,growing,reliability"
ODD = (
    "text.usetex: True\nfont.family: No Such Font\nsavefig.format: pdf\nsvg.fonttype: path\nbackend: no_such_backend\n"
)
ODD += "axes.facecolor: red\nfont.size: 40\nnot.a.setting: 1\naxes.prop_cycle: broken\n"


def draw(out: pathlib.Path, cwd: pathlib.Path, names: str = ALL, **environment: str) -> dict[str, bytes]:
    out.mkdir()
    command = [sys.executable, "-c", FIGURES, names, str(out)]
    clean = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "MATPLOTLIBRC")}
    subprocess.run(command, cwd=cwd, env={**clean, **environment}, check=True, capture_output=True, timeout=300)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a user without settings gets."""
    folder = tmp_path_factory.mktemp("figures")
    return draw(folder / "plain", folder)


@pytest.mark.slow
def test_figures_of_a_notebook_without_its_backend_installed_are_the_same(
    plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    assert sorted(plain) == sorted(f"{name}.svg" for name in ALL.split(","))
    # Jupyter, Colab and Kaggle export this to the commands that a cell begins with "!"
    inline = draw(tmp_path / "inline", tmp_path, MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert inline == plain


@pytest.mark.slow
@pytest.mark.parametrize("where", ["folder", "variable", "config", "latin1", "missing", "unwritable"])
def test_figures_do_not_follow_the_settings_of_the_user(
    where: str, plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    environment = {}
    if where in ("folder", "latin1"):
        (cwd / "matplotlibrc").write_bytes(ODD.encode() + (b"# \xe9\n" if where == "latin1" else b""))
    elif where == "variable":
        (tmp_path / "rc").write_text(ODD)
        environment = {"MATPLOTLIBRC": str(tmp_path / "rc"), "MPLBACKEND": "QtAgg"}
    elif where == "config":
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "matplotlibrc").write_text(ODD)
        environment = {"MPLCONFIGDIR": str(tmp_path / "config")}
    elif where == "missing":
        environment = {"MATPLOTLIBRC": "no/such/file", "HOME": "/no/such/home"}
    else:
        environment = {"MPLCONFIGDIR": "/dev/null/config"}
    found = draw(tmp_path / "out", cwd, "errors,schedules", **environment)
    assert found == {name: plain[name] for name in ("errors.svg", "schedules.svg")}


@pytest.mark.slow
def test_import_leaves_the_environment_and_a_valid_backend_to_others(tmp_path: pathlib.Path) -> None:
    code = """
import os
from lrsched.analysis import drawing
os.environ |= {"MPLBACKEND": "pdf", "MATPLOTLIBRC": "rc"}
with drawing.styled():
    pass
from matplotlib import rcParams
print(os.environ["MPLBACKEND"], os.environ["MATPLOTLIBRC"], rcParams["backend"], rcParams["font.size"])
"""
    (tmp_path / "rc").write_text("font.size: 17")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pdf", "rc", "pdf", "17.0"]


def test_look_of_a_common_schedule_does_not_depend_on_the_others() -> None:
    for labels in itertools.permutations(["rex", "linear", "polynomial", "mine"], 3):
        found = drawing.looks(labels)
        assert list(found) == list(labels)
        assert all(found[label] == drawing.looks([label])[label] for label in labels)


def test_look_does_not_depend_on_the_order() -> None:
    labels = ["linear@50-75", "rex:d=0.9", "rex", "onecycle:variant=torch", "b", "a"]
    assert drawing.looks(labels) == drawing.looks(labels[::-1])


@pytest.mark.parametrize(
    "labels",
    [
        ["rex", "linear", "cosine", "step", "exponential", "onecycle:variant=rex_paper", "constant"],
        [f"linear@{rate}" for rate in ("50-75", "33-66", "25-50-75", "10-10", "5-25", "1-100", "7st")],
        [f"onecycle:variant={name}" for name in ("geron", "nachiket", "torch", "fastai", "rex_paper")]
        + ["onecycle", "rex"],
        list(drawing.COMMON),
    ],
)
def test_colours_of_the_schedules_of_a_study_differ(labels: list[str]) -> None:
    assert len({look["color"] for look in drawing.looks(labels).values()}) == len(labels)


def test_looks_of_many_schedules_differ() -> None:
    found = drawing.looks([f"schedule {i}" for i in range(40)])
    assert len({(look["color"], look["linestyle"]) for look in found.values()}) == 40


def test_text_of_a_figure_is_text_in_a_font_that_any_reader_has(tmp_path: pathlib.Path) -> None:
    with drawing.styled():
        figure = Figure()
        figure.add_subplot().set_title("a title")
        drawing.save(figure, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert ">a title</text>" in text
    families = set(re.findall(r"font-family: ([^;\"]*)", text))
    assert families == {"'DejaVu Sans', 'Verdana', 'Arial', 'Helvetica', sans-serif"}


def test_figure_that_fails_leaves_what_was_there(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.svg").write_text("before")

    def torn(self: Figure, path: pathlib.Path, **_: object) -> None:
        path.write_text("<svg")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", torn)
    with pytest.raises(OSError, match="no space left"):
        drawing.save(Figure(), tmp_path / "a.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_text() == "before"
