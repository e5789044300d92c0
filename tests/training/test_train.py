"""Training on 8x8 images: exact where the claim is exact, within float32 summation error across devices."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lrsched.training import batches, models, nets, optim, train

SHAPE = (8, 8, 1)
BATCH = 8
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, *SHAPE)).astype(np.uint8)  # 20 examples: 3 updates an epoch, the last filled up
LABELS = RNG.integers(0, 3, 20).astype(np.int32)
MEAN, STD = (0.4,), (0.3,)
MODEL = models.build("resnet8", classes=3)
SYNCHRONISED = models.build("resnet8", classes=3, axis_name=train.AXIS)
RATES = np.linspace(0.1, 0.01, 10, dtype=np.float32)
MOMENTA = np.linspace(0.8, 0.95, 10, dtype=np.float32)


@functools.cache
def _data(devices: int = 1, examples: int = 20) -> train.Data:
    return train.put(IMAGES[:examples], LABELS[:examples], mean=MEAN, std=STD, devices=jax.devices()[:devices])


def _start(seed: int = 0, model: nets.ResNet = MODEL) -> train.State:
    return train.initial_state(model, optim.Optimizer(), image_shape=SHAPE, seed=seed)


def _updates(state: train.State, data: train.Data | None = None, **changes: Any) -> Any:
    words: dict[str, Any] = {
        "model": MODEL,
        "optimizer": optim.Optimizer(),
        "data": data or _data(),
        "batch_size": BATCH,
        "seed": 5,
        "rates": RATES,
        "momenta": MOMENTA,
        "weight_decay": 1e-3,
        "pad": 1,
        "flip": True,
    }
    return train.updates(state, **(words | changes))


def _trained(state: train.State, data: train.Data | None = None, **changes: Any) -> tuple[train.State, list[Any]]:
    metrics, end = [], state
    for end, m in _updates(state, data, **changes):  # noqa: B007
        metrics.append(m)
    return jax.device_get(end), jax.device_get(metrics)


def _normalised(images: np.ndarray) -> jax.Array:
    return jnp.asarray((images / np.float32(255) - np.float32(0.4)) / np.float32(0.3))


def _assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


SETTINGS = {
    "PRNG": lambda: jax.default_prng_impl("rbg"),
    "x64": lambda: jax.enable_x64(True),
    "partitionable": lambda: jax.threefry_partitionable(False),
    "seed offset": lambda: random_seed_offset(7),
    "NaN": lambda: jax.debug_nans(True),
    "no jit": lambda: jax.disable_jit(True),
    "transfer guard": lambda: jax.transfer_guard("disallow"),
    "promotion": lambda: jax.numpy_dtype_promotion("standard"),
}


@contextlib.contextmanager
def random_seed_offset(offset: int) -> Iterator[None]:
    jax.config.update("jax_random_seed_offset", offset)
    try:
        yield
    finally:
        jax.config.update("jax_random_seed_offset", 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_user_do_not_reach_a_run(name: str) -> None:
    expected, metrics = _trained(_start())
    with SETTINGS[name]():
        state = train.initial_state(MODEL, optim.Optimizer(), image_shape=SHAPE, seed=0)
        data = train.put(IMAGES, LABELS, mean=MEAN, std=STD, devices=jax.devices()[:1])
        got, seen = _trained(state, data)
        evaluated = train.evaluate(got.variables, model=MODEL, data=data, batch_size=8)
    _assert_same(got, expected)
    _assert_same(seen, metrics)
    assert evaluated == train.evaluate(expected.variables, model=MODEL, data=_data(), batch_size=8)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_a_result_whatever_the_user_debugs() -> None:
    with jax.debug_nans(True):
        _, metrics = _trained(_start(), rates=np.full(10, 1e30, np.float32))
    assert not np.isfinite(metrics[-1].loss)


def test_key_of_a_run_is_that_of_its_seed() -> None:
    for seed in (0, 1, 2**31 - 1):
        assert jax.random.key_data(batches.run_key(seed)).tolist() == jax.random.key_data(jax.random.key(seed)).tolist()


def test_one_update_equals_the_same_written_by_hand() -> None:
    start = _start()
    key = jax.random.key(5)
    rows = batches.positions(batches.epoch_order(key, jnp.int32(0), 20), jnp.int32(0), BATCH)
    images = batches.augment(
        jnp.asarray(IMAGES)[rows], key=key, step=jnp.int32(0), first=jnp.int32(0), batch_size=BATCH, pad=1, flip=True
    )
    x, y = _normalised(np.asarray(images)), LABELS[rows]

    @jax.jit
    def loss_of(params: Any) -> Any:
        logits, _ = MODEL.apply({**start.variables, "params": params}, x, train=True, mutable=["batch_stats"])
        log_probs = logits - jax.nn.logsumexp(logits, axis=1, keepdims=True)
        return -log_probs[np.arange(BATCH), y].mean(), logits

    (loss, logits), gradients = jax.value_and_grad(loss_of, has_aux=True)(start.params)
    # the first update of SGD: momentum is still zero, coupled decay adds 1e-3 * w to the gradient
    expected = jax.tree.map(lambda w, g: w - 0.1 * (np.asarray(g) + 1e-3 * w), start.params, gradients)
    state, (metrics,) = _trained(start, rates=RATES[:1], momenta=MOMENTA[:1])
    assert state.step == 1
    np.testing.assert_allclose(metrics.loss, loss, rtol=1e-5)
    assert metrics.accuracy == np.mean(np.argmax(logits, 1) == y)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.params, expected)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_devices_with_shared_batch_norm_give_the_same_losses(devices: int) -> None:
    _, alone = _trained(_start(), _data(1), model=SYNCHRONISED)
    _, spread = _trained(_start(), _data(devices), model=SYNCHRONISED)
    # float32 sums in another order, amplified by ten updates at rates up to 0.1
    np.testing.assert_allclose([m.loss for m in spread], [m.loss for m in alone], rtol=2e-3)
    np.testing.assert_allclose(spread[0].loss, alone[0].loss, rtol=1e-6)


def test_devices_with_their_own_batch_norm_agree_on_one_state() -> None:
    for state, _ in _updates(_start(), _data(2), rates=RATES[:3], momenta=MOMENTA[:3]):  # noqa: B007
        pass
    for leaf in jax.tree.leaves(state):
        assert leaf.is_fully_replicated
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)


def test_updates_move_nothing_between_devices() -> None:
    steps = _updates(_start(), _data(2), rates=RATES[:3], momenta=MOMENTA[:3])
    next(steps)
    with jax.transfer_guard_device_to_device("disallow"):
        assert len(list(steps)) == 2


def test_same_seed_twice_bitwise_the_same() -> None:
    _assert_same(_trained(_start()), _trained(_start()))


def test_another_seed_takes_another_order() -> None:
    assert _trained(_start())[1][0].loss != _trained(_start(), seed=6)[1][0].loss


@pytest.mark.parametrize("completed", [3, 4])  # between two epochs, and within one
def test_resumed_run_bitwise_the_same(completed: int) -> None:
    whole, metrics = _trained(_start())
    half = next(jax.device_get(s) for s, _ in _updates(_start()) if int(s.step) == completed)
    resumed, rest = _trained(half)
    _assert_same(resumed, whole)
    _assert_same(rest, metrics[completed:])


def test_updates_leave_the_given_state_alone() -> None:
    start = jax.device_put(_start())
    _trained(start, rates=RATES[:2], momenta=MOMENTA[:2])
    _assert_same(start, _start())


def test_applied_numbers_are_those_given() -> None:
    _, metrics = _trained(_start())
    np.testing.assert_array_equal([m.rate for m in metrics], RATES)
    np.testing.assert_array_equal([m.momentum for m in metrics], MOMENTA)


def test_step_compiled_once_for_all_rates_seeds_and_budgets() -> None:
    _trained(_start())
    before = train.compiled_steps()
    for total_steps in (1, 2, 7):
        for seed in (0, 1):
            _trained(
                _start(seed),
                model=models.build("resnet8", classes=3),  # an equal model, not the same one
                optimizer=optim.Optimizer(),
                seed=seed,
                rates=np.full(total_steps, 0.01 * (seed + 1)),  # float64, as a table may come
                momenta=np.zeros(total_steps, np.float32),
                weight_decay=seed * 0.1,
            )
    assert train.compiled_steps() == before >= 1


@functools.cache
def _losses_and_hits() -> tuple[np.ndarray, np.ndarray]:
    """Of every example, all evaluated at once."""
    logits = jax.jit(functools.partial(MODEL.apply, train=False))(_start().variables, _normalised(IMAGES))
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, LABELS)
    return np.asarray(losses, np.float64), np.asarray(logits).argmax(1) == LABELS


@pytest.mark.slow
@pytest.mark.parametrize(("examples", "devices"), [(3, 1), (16, 1), (19, 1), (19, 2), (3, 4)])
def test_evaluate_counts_every_example_once(examples: int, devices: int) -> None:
    result = train.evaluate(_start().variables, model=MODEL, data=_data(devices, examples), batch_size=BATCH)
    losses, hits = _losses_and_hits()
    assert (result.accuracy, result.examples) == (hits[:examples].mean(), examples)
    assert result.loss == pytest.approx(losses[:examples].mean(), rel=1e-5)


def test_evaluate_takes_a_state_from_the_devices() -> None:
    for state, _ in _updates(_start(), rates=RATES[:1], momenta=MOMENTA[:1]):
        on_devices = train.evaluate(state.variables, model=MODEL, data=_data(), batch_size=BATCH)
        fetched = jax.device_get(state.variables)
    assert on_devices == train.evaluate(fetched, model=MODEL, data=_data(), batch_size=BATCH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 21}, r"batch_size must be from 1 to 20 \(the training examples\), got 21"),
        ({"batch_size": 0}, "batch_size must be from 1 to 20"),
        ({"batch_size": 7}, "batch_size must be a multiple of the 2 devices, got 7"),
        ({"model": models.build("resnet8", classes=3, axis_name="batch")}, "axis_name must be None or 'device'"),
    ],
)
def test_updates_wrong_words_raise_at_the_call(changes: dict[str, Any], message: str) -> None:
    before = train.compiled_steps()
    with pytest.raises(ValueError, match=message):
        _updates(_start(), _data(2), **changes)
    assert train.compiled_steps() == before


def test_evaluate_batch_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 4 devices, got 6"):
        train.evaluate(_start().variables, model=MODEL, data=_data(4), batch_size=6)
