"""The forms for CPUs against Flax's own: the same trees, values, gradients, running statistics and training."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched.training import layers, models, optim, train


def _normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize("shape", [(3, 8, 8, 2), (2, 2, 2, 4)])
def test_convolution_with_bias_is_flaxs(shape: tuple[int, ...]) -> None:
    theirs, ours = nn.Conv(6, (3, 3), padding=1), layers.Conv(6, 1, nn.initializers.zeros, use_bias=True)
    params = {"kernel": _normal(3, 3, shape[-1], 6, seed=1), "bias": _normal(6, seed=2)}
    got, expected = (conv.apply({"params": params}, _normal(*shape)) for conv in (ours, theirs))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 8, 6, 2), (2, 5, 7, 3)])
def test_max_pool_and_its_gradient_are_flaxs(shape: tuple[int, ...]) -> None:
    x = _normal(*shape)  # no two pixels are equal
    weights = _normal(*layers.max_pool(x).shape, seed=1)
    got, expected = (
        jax.value_and_grad(lambda x, pool=pool: (pool(x) * weights).sum())(x)
        for pool in (layers.max_pool, lambda x: nn.max_pool(x, (2, 2), (2, 2)))
    )
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "shape", [(3, 8, 8, 2), (40, 9, 7, 5), (130, 6, 6, 3), (2, 2, 2, 4), (5, 4, 3, 2), (1, 1, 1, 1)]
)
def test_convolution_and_its_gradients_are_flaxs(shape: tuple[int, ...], stride: int) -> None:
    theirs = nn.Conv(6, (3, 3), strides=stride, padding=1, use_bias=False)
    ours = layers.Conv(6, stride, nn.initializers.zeros)
    x, kernel = _normal(*shape), _normal(3, 3, shape[-1], 6, seed=1)
    weights = _normal(*jax.eval_shape(theirs.apply, {"params": {"kernel": kernel}}, x).shape, seed=2)

    def loss(conv: nn.Module, x: Any, kernel: Any) -> Any:
        return (conv.apply({"params": {"kernel": kernel}}, x) * weights).sum()  # type: ignore[operator]

    got, expected = (
        jax.jit(jax.value_and_grad(functools.partial(loss, conv), argnums=(0, 1)))(x, kernel) for conv in (ours, theirs)
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5 * float(np.abs(b).max()))


@pytest.mark.parametrize("train_mode", [True, False])
@pytest.mark.parametrize("axis_name", [None, "device"])
def test_batch_norm_and_its_gradients_are_flaxs(axis_name: str | None, train_mode: bool) -> None:
    theirs = nn.BatchNorm(not train_mode, momentum=0.9, epsilon=1e-5, axis_name=axis_name)
    ours = layers.BatchNorm(not train_mode, axis_name)
    x = 3 + 2 * _normal(2, 6, 5, 4, 7)  # two devices
    weights = _normal(2, 6, 5, 4, 7, seed=1)
    params = {"scale": 1 + _normal(7, seed=2), "bias": _normal(7, seed=3)}
    stats = {"mean": _normal(7, seed=4), "var": np.abs(_normal(7, seed=5))}

    def both(norm: nn.Module) -> Any:
        def loss(params: Any, x: Any, weights: Any) -> Any:
            variables = {"params": params, "batch_stats": stats}
            y, new = norm.apply(variables, x, mutable=["batch_stats"])  # type: ignore[misc]
            return (y * weights).sum(), new["batch_stats"]

        step = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        return jax.pmap(step, "device", in_axes=(None, 0, 0), devices=jax.local_devices()[:2])(params, x, weights)

    for a, b in zip(jax.tree.leaves(both(ours)), jax.tree.leaves(both(theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["resnet8", "cnn"])
def test_both_forms_have_the_same_variables(name: str) -> None:
    trees = [
        models.initial_variables(
            models.build(name, classes=10, plain=plain), image_shape=(8, 8, 1), seed=3
        ) for plain in (False, True)
    ]  # fmt: skip
    assert jax.tree.structure(trees[0]) == jax.tree.structure(trees[1])
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, trees), strict=True))


def _trained(image_shape: tuple[int, int, int], *, plain: bool, nudged: bool = False) -> np.ndarray:
    """All parameters after twenty updates, in a row; nudged: each was first moved to the next number, up or down."""
    rng, channels = np.random.default_rng(0), image_shape[-1]
    images = rng.integers(0, 256, (64, *image_shape), dtype=np.uint8)
    labels = rng.integers(0, 10, 64).astype(np.int32)
    mean, std = (0.5,) * channels, (0.25,) * channels
    data = train.put(images, labels, mean=mean, std=std, devices=jax.local_devices()[:1])
    model, optimizer = models.build("resnet8", classes=10, plain=plain), optim.Optimizer()
    state = train.initial_state(model, optimizer, image_shape=image_shape, seed=0)
    if nudged:

        def move(leaf: Any) -> np.ndarray:
            ends = np.where(rng.integers(0, 2, leaf.shape), np.inf, -np.inf).astype(np.float32)
            return np.nextafter(np.asarray(leaf, np.float32), ends)

        state = state._replace(params=jax.tree.map(move, state.params))
    steps = train.updates(
        state, model=model, optimizer=optimizer, data=data, batch_size=32, seed=0, rates=np.full(20, 0.01),
        momenta=np.full(20, 0.9), weight_decay=5e-4, pad=1, flip=False,
    )  # fmt: skip
    for state, _ in steps:  # noqa: B007
        pass
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)]).astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (32, 32, 3)])
def test_twenty_updates_lead_to_the_same_parameters(image_shape: tuple[int, int, int]) -> None:
    """As far apart, to a power of ten, as two of Flax's form are, one with parameters a unit in the last place off.

    Rounding grows in training, by how much differs from one CPU to another.
    """
    flax = _trained(image_shape, plain=True)
    apart = np.linalg.norm(_trained(image_shape, plain=False) - flax)
    nudged = np.linalg.norm(_trained(image_shape, plain=True, nudged=True) - flax)
    assert 0 < apart < 10 * nudged
    assert apart < 5e-4 * np.linalg.norm(flax)


def test_plain_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LRSCHED_PLAIN", raising=False)
    assert not models.build("resnet8", classes=10).plain
    monkeypatch.setenv("LRSCHED_PLAIN", "1")
    assert models.build("resnet8", classes=10).plain


def test_statistics_that_are_returned_take_no_gradient() -> None:
    def total(x: Any) -> Any:
        _, mean, var = layers.normalise(x, jnp.ones(3), jnp.zeros(3), None)
        return mean.sum() + var.sum()

    assert not np.any(jax.grad(total)(_normal(2, 4, 4, 3)))
