"""Models that are asked for by a dotted path: how they are called, trained and refused."""

import pathlib
import subprocess
import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched.runs.config import Recipe
from lrsched.runs.task import load
from lrsched.training import batches, foreign, models, optim, predict, provenance, train

SHAPE, CLASSES, EXAMPLES = (6, 6, 1), 3, 24


class Net(nn.Module):
    """With everything: BatchNorm of a momentum of its own, dropout, `train` and `axis_name`."""

    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        x = nn.Conv(4, (3, 3))(x)
        x = nn.BatchNorm(not train, momentum=0.7, axis_name=self.axis_name)(x)
        x = nn.relu(x).reshape(len(x), -1)
        return nn.Dense(self.classes)(nn.Dropout(0.5, deterministic=not train)(x))


class Plain(nn.Module):
    """With nothing: its first argument is the number of outputs."""

    outputs: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(self.outputs)(x.reshape(len(x), -1))


class Other(nn.Module):
    """Goes wrong in the way that is asked for."""

    classes: int
    wrong: str = ""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        if self.wrong == "raises":
            raise KeyError("some\nkey")
        if self.wrong == "counts":
            self.variable("counts", "n", jnp.zeros, ())
        kind = jnp.bfloat16 if self.wrong == "params" else jnp.float32
        x = nn.Dense(self.classes, param_dtype=kind)(x.reshape(len(x), -1).astype(kind)).astype(jnp.float32)
        return {"shape": x[:1], "dtype": x.astype(jnp.bfloat16), "tuple": (x, x)}.get(self.wrong, x)


def with_num_classes(*, num_classes: int) -> nn.Module:
    return Plain(num_classes)


def ten(classes: int) -> nn.Module:
    return Plain(10)


def with_keywords(**kwargs: int) -> nn.Module:
    return Plain(kwargs["classes"])


def without_parameters() -> nn.Module:
    return Plain(3)


def raising(classes: int) -> nn.Module:
    raise RuntimeError("no weights\nhere")


def raises_inside(classes: int) -> nn.Module:
    return Other(classes, "raises")


def counts(classes: int) -> nn.Module:
    return Other(classes, "counts")


def wrong_params(classes: int) -> nn.Module:
    return Other(classes, "params")


def wrong_shape(classes: int) -> nn.Module:
    return Other(classes, "shape")


def wrong_dtype(classes: int) -> nn.Module:
    return Other(classes, "dtype")


def wrong_tuple(classes: int) -> nn.Module:
    return Other(classes, "tuple")


def no_module(classes: int) -> int:
    return classes


INSTANCE, NUMBER = Plain(3), 3


def path(name: str) -> str:
    return f"{__name__}.{name}"


def split(devices: int = 1) -> train.Data:
    rng = np.random.default_rng(0)
    labels = (np.arange(EXAMPLES) % CLASSES).astype(np.int32)
    images = rng.integers(0, 80, (EXAMPLES, *SHAPE), np.uint8) + 80 * labels.astype(np.uint8)[:, None, None, None]
    return train.put(images, labels, mean=[0.5], std=[0.3], devices=jax.local_devices()[:devices])


def updates(model: Any, state: train.State, count: int, *, devices: int = 1, seed: int = 0) -> train.State:
    words = {"model": model, "optimizer": optim.Optimizer(), "data": split(devices), "batch_size": 8, "seed": seed}
    numbers = {"rates": np.full(count, 0.05), "momenta": np.full(count, 0.9), "weight_decay": 0.0}
    *_, (last, _) = train.updates(state, pad=1, flip=True, **numbers, **words)
    return jax.device_get(last)


def start(model: Any, seed: int = 0) -> train.State:
    return train.initial_state(model, optim.Optimizer(), image_shape=SHAPE, seed=seed)


def build(name: str, **words: Any) -> Any:
    return models.build(path(name), classes=CLASSES, image_shape=SHAPE, **words)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Net", "Plain", "with_num_classes", "with_keywords"])
def test_module_of_the_users_is_trained_and_evaluated(name: str) -> None:
    model = build(name)
    before = train.evaluate(start(model).variables, model=model, data=split(), batch_size=7)
    state = updates(model, start(model), 30)
    after = train.evaluate(state.variables, model=model, data=split(), batch_size=7)
    assert after.loss < before.loss
    assert after.examples == EXAMPLES


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_resume_is_exact_with_dropout(devices: int) -> None:
    model = build("Net", axis_name=train.AXIS)
    through = updates(model, start(model), 7, devices=devices)
    rest = updates(model, updates(model, start(model), 3, devices=devices), 7, devices=devices)
    assert provenance.digest(rest) == provenance.digest(through)


def test_dropout_differs_from_update_to_update_device_to_device_and_seed_to_seed() -> None:
    keys = [
        batches.dropout_key(batches.run_key(seed), step, device=device)
        for seed, step, device in [(0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]
    ]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 4


@pytest.mark.slow
def test_dropout_is_in_effect_and_equal_updates_are_equal() -> None:
    model = build("Net")
    one, same = (updates(model, start(model), 1) for _ in range(2))
    assert provenance.digest(one) == provenance.digest(same)
    plain = model.module.apply  # without dropout the update would be another
    key = {"dropout": batches.dropout_key(batches.run_key(0), 0, device=0)}
    images = jnp.ones((2, *SHAPE))
    dropped = plain(one.variables, images, train=True, mutable=["batch_stats"], rngs=key)[0]
    other = {"dropout": batches.dropout_key(batches.run_key(0), 1, device=0)}
    again = plain(one.variables, images, train=True, mutable=["batch_stats"], rngs=other)[0]
    assert not np.allclose(dropped, again)


class Dropping(nn.Module):
    """With dropout alone."""

    classes: int

    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        return nn.Dense(self.classes)(nn.Dropout(0.5, deterministic=not train)(x.reshape(len(x), -1)))


@pytest.mark.parametrize("devices", [1, 2])
def test_each_update_on_each_device_drops_by_its_own_key(devices: int) -> None:
    """All examples are equal and the rate is 0: only what is dropped tells the losses apart."""
    model, count = build("Dropping"), 3
    images, labels = np.full((EXAMPLES, *SHAPE), 200, np.uint8), np.ones(EXAMPLES, np.int32)
    data = train.put(images, labels, mean=[0.5], std=[0.3], devices=jax.local_devices()[:devices])
    state, none = start(model, 4), np.zeros(count)
    steps = train.updates(
        state, model=model, optimizer=optim.Optimizer(), data=data, batch_size=8, seed=4, rates=none, momenta=none,
        weight_decay=0.0, pad=0, flip=False,
    )  # fmt: skip
    found = [float(metrics.loss) for _, metrics in steps]
    batch = jnp.full((8 // devices, *SHAPE), (200 / 255 - 0.5) / 0.3, jnp.float32)
    expected = []
    for step in range(count):
        each = []
        for device in range(devices):
            key = batches.dropout_key(batches.run_key(4), step, device=device)
            outputs = model.module.apply({"params": state.params}, batch, train=True, rngs={"dropout": key})
            each.append(-jax.nn.log_softmax(outputs)[:, 1].mean())
        expected.append(float(np.mean(each)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(set(found)) == count


def test_initial_variables_are_those_of_the_modules_own_init() -> None:
    model = build("Plain")
    drawn = models.initial_variables(model, image_shape=SHAPE, seed=5)
    own = Plain(CLASSES).init({"params": batches.run_key(5)}, jnp.zeros((2, *SHAPE)))
    np.testing.assert_allclose(drawn["params"]["Dense_0"]["kernel"], own["params"]["Dense_0"]["kernel"], rtol=1e-6)
    assert drawn["batch_stats"] == {}
    other = models.initial_variables(model, image_shape=SHAPE, seed=6)
    assert not np.array_equal(drawn["params"]["Dense_0"]["kernel"], other["params"]["Dense_0"]["kernel"])


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_statistics_are_estimated_whatever_the_modules_momentum(devices: int) -> None:
    model = build("Net")
    variables, data = start(model).variables, split(devices)
    found = predict.estimate_statistics(variables, model=model, data=data, batch_size=24, batches=1)
    images = batches.normalise(data.images, data.mean, data.std)
    kernel = variables["params"]["Conv_0"]
    activations = nn.Conv(4, (3, 3)).apply({"params": kernel}, images)
    mean, var = activations.mean((0, 1, 2)), activations.var((0, 1, 2))
    np.testing.assert_allclose(found["BatchNorm_0"]["mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["BatchNorm_0"]["var"], var, rtol=1e-4)


def test_regression_takes_one_output_and_loses_its_axis() -> None:
    model = models.build(path("Plain"), classes=0, image_shape=(5,))
    variables = models.initial_variables(model, image_shape=(5,), seed=0)
    assert model.apply(variables, jnp.ones((4, 5)), train=False).shape == (4,)
    with pytest.raises(ValueError, match=r"must return float32 logits of shape \(2,\) .* got float32 of \(2, 10\)"):
        models.build(path("ten"), classes=0, image_shape=(5,))


def test_equal_paths_give_equal_models() -> None:
    assert build("Net") == build("Net")
    assert hash(build("Net")) == hash(build("Net"))
    assert build("Net") != build("Plain")


def test_identity_names_module_and_parameters() -> None:
    assert models.identity(models.build("resnet8", classes=10), image_shape=SHAPE) is None
    found = models.identity(build("Net"), image_shape=SHAPE)
    assert found is not None
    assert found["model"] == path("Net")
    assert "classes = 3" in found["module"]
    assert models.identity(build("Net", axis_name=train.AXIS), image_shape=SHAPE)["params"] == found["params"]
    larger = models.identity(models.build(path("Net"), classes=4), image_shape=SHAPE)
    assert larger["params"] != found["params"]


@pytest.mark.slow
def test_identity_is_the_same_in_another_process(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own_net.py").write_text(
        "import flax.linen as nn\n"
        "class Net(nn.Module):\n"
        "    classes: int\n"
        "    activation: object = nn.relu\n"  # whose repr has an address
        "    kernel_init: object = nn.initializers.lecun_normal()\n"
        "    @nn.compact\n"
        "    def __call__(self, x):\n"
        "        return nn.Dense(self.classes)(self.activation(x))\n"
    )
    code = (
        "from lrsched.training import models\n"
        "print(models.identity(models.build('own_net.Net', classes=3), image_shape=(4,)))"
    )
    words = {"capture_output": True, "text": True, "check": True, "cwd": tmp_path}
    one, other = (subprocess.run([sys.executable, "-c", code], **words).stdout for _ in range(2))
    assert one == other
    assert "0x" not in one


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("INSTANCE", r"^model must be a Flax module class or a function that returns a module, got a Plain: "),
        ("NUMBER", r"^model must be a Flax module class or a function that returns a module, got a int: "),
        ("without_parameters", r" must take the number of outputs as `classes`, got the signature \(\)"),
        ("raising", r" must return a Flax module, got RuntimeError: no weights here\.$"),
        ("no_module", r" must return a Flax module, got a int\.$"),
        ("raises_inside", r" must take examples of shape \(6, 6, 1\) as float32, got KeyError: "),
        ("counts", r" must have no variables but params and batch_stats, got counts\.$"),
        ("wrong_params", r" must have float32 variables, got bfloat16 in params/Dense_0/bias\.$"),
        ("wrong_shape", r" must return float32 logits of shape \(2, 3\) .* got float32 of \(1, 3\)\.$"),
        ("wrong_dtype", r" must return float32 logits of shape \(2, 3\) .* got bfloat16 of \(2, 3\)\.$"),
        ("wrong_tuple", r" must return float32 logits of shape \(2, 3\) .* got a tuple\.$"),
    ],
)
def test_what_cannot_be_trained_is_one_line(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build(name)
    assert "\n" not in str(caught.value)


def test_describe_leaves_out_addresses() -> None:
    assert "0x" not in foreign.describe(object())


class Otherwise(nn.Module):
    """Is told under another name whether it is trained."""

    classes: int

    @nn.compact
    def __call__(self, x: Any, training: bool = False) -> Any:
        return nn.Dense(self.classes)(nn.Dropout(0.5, deterministic=not training)(x.reshape(len(x), -1)))


class Untold(nn.Module):
    """Has batch statistics, and is told nothing."""

    classes: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(self.classes)(nn.BatchNorm(use_running_average=True)(x.reshape(len(x), -1)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Otherwise", "must be told whether it is trained by `train`, got a module with training"),
        ("Untold", "must take `train`, as it has batch statistics"),
    ],
)
def test_module_that_would_never_be_trained_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(Recipe(model=f"{__name__}.{name}"))


def test_statistics_over_all_devices_need_the_name_of_the_axis() -> None:
    with pytest.raises(ValueError, match=r"Plain must take axis_name for sync_batch_norm"):
        load(Recipe(model=f"{__name__}.Plain", sync_batch_norm=True))


class Frozen(nn.Module):
    """One BatchNorm that never moves, and one behind it that does."""

    classes: int

    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        x = nn.BatchNorm(use_running_average=True)(x.reshape(len(x), -1))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(x)
        return nn.Dense(self.classes)(x)


def test_statistics_that_training_leaves_alone_are_kept() -> None:
    model = build("Frozen")
    variables: Any = start(model).variables
    frozen = jax.tree.map(lambda leaf: leaf + 0.5, variables["batch_stats"]["BatchNorm_0"])
    variables = {**variables, "batch_stats": {**variables["batch_stats"], "BatchNorm_0": frozen}}
    data = split()
    found = predict.estimate_statistics(variables, model=model, data=data, batch_size=24, batches=1)
    jax.tree.map(np.testing.assert_array_equal, found["BatchNorm_0"], frozen)
    images = np.asarray(batches.normalise(data.images, data.mean, data.std)).reshape(EXAMPLES, -1)
    before = (images - np.asarray(frozen["mean"])) / np.sqrt(np.asarray(frozen["var"]) + 1e-5)
    np.testing.assert_allclose(found["BatchNorm_1"]["mean"], before.mean(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["BatchNorm_1"]["var"], before.var(0), rtol=1e-3, atol=1e-4)
