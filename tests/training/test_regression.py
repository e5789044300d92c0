"""Numbers predicted from rows of a table, through training, evaluation and a whole run; and the networks without
batch statistics."""

import functools
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched import files
from lrsched.runs import identity, networks, run
from lrsched.runs.config import RunConfig
from lrsched.runs.task import resolve
from lrsched.training import data as datasets
from lrsched.training import models, optim, predict, snapshots, train

RNG = np.random.default_rng(0)
ROWS = RNG.normal(5, 2, (20, 3)).astype(np.float32)
TARGETS = RNG.standard_normal(20, np.float32)
MEAN, STD = (5.0, 5.0, 4.0), (2.0, 2.0, 1.0)
MODEL = models.build("mlp", classes=0)
RATES, MOMENTA = np.full(10, 0.02, np.float32), np.full(10, 0.9, np.float32)


@functools.cache
def _data(devices: int = 1, examples: int = 20) -> train.Data:
    return train.put(ROWS[:examples], TARGETS[:examples], mean=MEAN, std=STD, devices=jax.devices()[:devices])


def _start(model: models.Model = MODEL) -> train.State:
    return train.initial_state(model, optim.Optimizer(), image_shape=(3,), seed=0)


def _trained(data: train.Data, batch_size: int, updates: int = 10) -> tuple[train.State, list[Any]]:
    words: dict[str, Any] = {"model": MODEL, "optimizer": optim.Optimizer(), "data": data, "batch_size": batch_size}
    numbers: dict[str, Any] = {"rates": RATES[:updates], "momenta": MOMENTA[:updates], "weight_decay": 0.0, "seed": 5}
    made = [jax.device_get(each) for each in train.updates(_start(), **words, **numbers, pad=0, flip=False)]
    return made[-1][0], [metrics for _, metrics in made]


def _outputs(params: Any) -> Any:
    x = jnp.asarray((ROWS - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32))
    for name in ("Dense_0", "Dense_1"):
        x = jnp.maximum(x @ params[name]["kernel"] + params[name]["bias"][None], 0)
    return (x @ params["Dense_2"]["kernel"])[:, 0] + params["Dense_2"]["bias"]


def test_one_update_equals_the_same_written_by_hand() -> None:
    start = _start().params

    def loss_of(params: Any) -> Any:
        return ((_outputs(params) - TARGETS) ** 2).mean()

    loss, gradients = jax.jit(jax.value_and_grad(loss_of))(start)
    state, (metrics,) = _trained(_data(), 20, updates=1)  # the whole table, whatever its order
    np.testing.assert_allclose([metrics.loss, 1 - metrics.accuracy], loss, rtol=1e-5)
    expected = jax.tree.map(lambda w, g: w - 0.02 * np.asarray(g), start, gradients)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.params, expected)


@pytest.mark.parametrize("devices", [2, 4])
def test_devices_give_the_same_losses_as_one(devices: int) -> None:
    (_, alone), (_, spread) = (_trained(_data(count), 8) for count in (1, devices))
    # float32 sums in another order, over ten updates
    np.testing.assert_allclose([m.loss for m in spread], [m.loss for m in alone], rtol=1e-4)
    np.testing.assert_allclose([m.accuracy for m in spread], [m.accuracy for m in alone], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("examples", "devices"), [(3, 1), (19, 1), (19, 2), (3, 4)])
def test_evaluate_counts_every_row_once(examples: int, devices: int) -> None:
    found = train.evaluate(_start().variables, model=MODEL, data=_data(devices, examples), batch_size=8)
    squares = np.square(np.asarray(_outputs(_start().params), np.float64) - TARGETS)[:examples]
    assert found.examples == examples
    np.testing.assert_allclose([found.loss, 1 - found.accuracy], squares.mean(), rtol=1e-5)


def test_outputs_are_each_row_once_and_in_order() -> None:
    found = predict.logits(_start().variables, model=MODEL, data=_data(4), batch_size=8)
    np.testing.assert_allclose(found, _outputs(_start().params), rtol=1e-4, atol=1e-5)


def _record(config: RunConfig) -> Any:
    return run.record_of(run.train(resolve(config, devices=tuple(jax.devices()[:1]))))


@pytest.mark.slow
def test_diabetes_is_learned_about_as_well_as_by_a_line() -> None:
    config = RunConfig(data="diabetes", model="mlp", max_epochs=10, peak_value=0.003, schedule="rex")
    record = _record(config)
    # Least squares leaves 0.48 of the variance of this test set unexplained, the training set's mean 0.89.
    assert 0.4 < record["test_error"] < 0.58
    assert record["test_error"] == pytest.approx(record["test_loss"], rel=1e-5)


@pytest.mark.slow
def test_digits_are_learned_by_the_cnn() -> None:
    config = RunConfig(model="cnn", max_epochs=3, peak_value=0.01)
    record = _record(config)
    assert record["test_error"] < 0.2  # 0.9 by chance


@pytest.mark.parametrize(("batch_size", "diverged_at"), [(32, range(1, 12)), (354, range(1, 2))])
def test_run_that_overflows_has_diverged(batch_size: int, diverged_at: range) -> None:
    # A batch of the whole set makes a single update, whose loss is finite: the evaluation sees what came of it.
    config = RunConfig(data="diabetes", model="mlp", max_epochs=1, peak_value=1e30, batch_size=batch_size)
    record = _record(config)
    assert record["diverged_at"] in diverged_at
    assert (record["test_error"], record["test_loss"], record["params_digest"]) == (None, None, None)


@pytest.mark.parametrize("name", ["resnet8", "cnn"])
def test_task_of_a_model_of_images_on_a_table_reads_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", None)
    with pytest.raises(ValueError, match=rf"^model must be mlp for tabular data, got '{name}'\.$"):
        resolve(RunConfig(data="diabetes", model=name))


def test_ensemble_of_regressions_is_refused(tmp_path: pathlib.Path) -> None:
    known = identity.identify(resolve(RunConfig(data="diabetes", model="mlp", batch_size=32)))
    files.write_json(tmp_path / "run.json", {**known, "members": "all", "keep": []})
    with pytest.raises(ValueError, match=r"^data must have classes, whose probabilities are combined, got diabetes\.$"):
        networks.check_alike([str(tmp_path), str(tmp_path)])


def test_state_without_batch_statistics_is_saved_and_loaded(tmp_path: pathlib.Path) -> None:
    state = _start()
    with snapshots.open_store(tmp_path) as store:
        store.save(3, state, {})
        store.save_member(3, state.variables, {})
    for saved in (snapshots.load(tmp_path, 3, state), snapshots.load_member(tmp_path, 3, state.variables)):
        like = state if isinstance(saved.tree, train.State) else state.variables
        jax.tree.map(np.testing.assert_array_equal, saved.tree, like)
        assert jax.tree.structure(saved.tree) == jax.tree.structure(like)


def test_statistics_of_a_model_without_any_are_none() -> None:
    assert predict.estimate_statistics(_start().variables, model=MODEL, data=_data(), batch_size=8, batches=2) == {}


def test_batch_size_of_a_table_is_that_of_the_digits_if_none_is_given() -> None:
    names = ("digits", "diabetes", "boston", "mnist")
    assert [RunConfig(data=name).written_out().batch_size for name in names] == [32, 32, 32, 128]
    assert math.ceil(354 / 32) == resolve(RunConfig(data="diabetes", model="mlp")).task.steps_per_epoch
