"""The tables: an entry is all it takes to add a data set, a model or an optimiser."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

from lrsched.schedules import language
from lrsched.training import data, models, names, nets, optim, splits, train


class Tiny(nets.MLP):
    """An MLP under another name."""


def read_squares(name: str, root: pathlib.Path) -> splits.Raw:
    """Dark and bright squares of 4 x 4 pixels."""
    labels = np.arange(40, dtype=np.int32) % 2
    images = np.where(labels[:, None, None, None] == 1, 200, 50).repeat(16).reshape(40, 4, 4, 1).astype(np.uint8)
    return splits.Raw("1.0.0", 2, (images, labels))


def lion(momentum: Float[Array, ""]) -> list[optax.GradientTransformation]:
    return [optax.scale_by_lion(b1=0.9, b2=0.99)]


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    source = names.Source(read=f"{__name__}.read_squares", prepare=None, batch_size=8)
    monkeypatch.setitem(names.SOURCES, "squares", source)
    monkeypatch.setitem(names.MODELS, "tiny", names.Model(make=f"{__name__}.Tiny", tabular=True))
    monkeypatch.setitem(optim.OPTIMIZERS, "lion", optim.Kind(direction=lion))


@pytest.mark.usefixtures("added")
def test_entries_that_are_added_train() -> None:
    dataset = data.load("squares", holdout_fraction=0.25)
    shape = dataset.train.images.shape[1:]
    model, optimizer = models.build("tiny", classes=2, image_shape=shape), optim.Optimizer("lion")
    assert (type(model), data.usual_batch_size("squares"), len(dataset.test)) == (Tiny, 8, 8)
    placed = train.put(*dataclasses.astuple(dataset.train), mean=dataset.mean, std=dataset.std)
    state = train.initial_state(model, optimizer, image_shape=shape, seed=0)
    words = {"model": model, "optimizer": optimizer, "data": placed, "batch_size": 8, "seed": 0, "weight_decay": 0.0}
    rates, momenta = np.full(20, 0.003), np.full(20, 0.9)
    losses = [float(m.loss) for _, m in train.updates(state, rates=rates, momenta=momenta, pad=0, flip=False, **words)]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.usefixtures("added")
def test_entries_that_are_added_are_in_messages_and_help() -> None:
    with pytest.raises(ValueError, match=r"^data must be one of digits, .*, squares, a folder .*'square'\. Perhaps"):
        data.load("square")
    with pytest.raises(ValueError, match=r"^model must be one of resnet8, .*, tiny or .* meant tiny\?$"):
        models.build("tyny", classes=2)
    with pytest.raises(ValueError, match=r"^optimizer must be one of sgd, .*, lion, got 'lyon'\. .* lion\?$"):
        optim.Optimizer("lyon")
    assert "squares" in names.describe_data()
    assert "8 for squares" in names.describe_batch_size()
    assert "tiny" in names.describe_models()


@pytest.mark.slow
def test_tables_need_neither_flax_nor_data_libraries() -> None:
    heavy = ("flax", "tensorflow_datasets", "orbax", "sklearn", "PIL", "scipy")
    code = f"""
import sys
from lrsched.training import data, models, optim, predict, prepare, snapshots, train
data.load("digits"), data.load("diabetes")
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_package.nets.Net", r"\(ModuleNotFoundError: No module named 'no_such_package'\)\.$"),
        (f"{__name__}.Tyny", rf"\({__name__} has no Tyny\)\. Perhaps you meant Tiny\?$"),
    ],
)
def test_load_of_a_path_that_is_not_there(path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^model must be importable, got {path} {reason}"):
        names.load("model", path)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.b", True), ("resnet8", False), ("a..b", False), (".b", False), ("a/b.c", False)]
)
def test_is_path(name: str, expected: bool) -> None:
    assert names.is_path(name) == expected


def test_module_that_ends_the_program_is_one_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without_a_guard.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"model must be importable, got without_a_guard\.Net \(SystemExit: 0\)"):
        names.load("model", "without_a_guard.Net")
    with pytest.raises(ValueError, match=r"schedule without_a_guard\.mine must be importable, got SystemExit: 0"):
        language.parse("without_a_guard.mine")
