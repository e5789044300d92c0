"""Predictions, kept ones, and batch statistics for averaged weights, on 8x8 images."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched.training import batches, models, predict, provenance, train

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (22, 8, 8, 1)).astype(np.uint8)  # 22: neither 8 nor 4 divides it
LABELS = RNG.integers(0, 3, 22).astype(np.int32)
MODEL = models.build("resnet8", classes=3)
VARIABLES = models.initial_variables(MODEL, image_shape=(8, 8, 1), seed=0)


@functools.cache
def _data(devices: int = 1) -> train.Data:
    return train.put(IMAGES, LABELS, mean=(0.4,), std=(0.3,), devices=jax.devices()[:devices])


def _normalised(images: np.ndarray) -> jax.Array:
    return batches.normalise(jnp.asarray(images), jnp.asarray([0.4]), jnp.asarray([0.3]))


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "batch_size"), [(1, 8), (1, 64), (4, 8)])
def test_logits_are_each_example_once_and_in_order(devices: int, batch_size: int) -> None:
    expected = MODEL.apply(VARIABLES, _normalised(IMAGES), train=False)
    found = predict.logits(VARIABLES, model=MODEL, data=_data(devices), batch_size=batch_size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_logits_agree_with_evaluation() -> None:
    found = predict.logits(VARIABLES, model=MODEL, data=_data(), batch_size=8)
    evaluated = train.evaluate(VARIABLES, model=MODEL, data=_data(), batch_size=8)
    assert evaluated.accuracy == np.mean(found.argmax(1) == LABELS)


def _convolved(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """3 x 3, zero-padded, by NumPy alone."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [n, h, w, c, u, v]
    return np.einsum("nhwcuv,uvcf->nhwf", windows, kernel)


@pytest.mark.parametrize("devices", [1, 4])
def test_estimated_statistics_of_the_first_layer_equal_those_of_numpy(devices: int) -> None:
    found = predict.estimate_statistics(VARIABLES, model=MODEL, data=_data(devices), batch_size=8, batches=5)
    (conv,) = (name for name in VARIABLES["params"] if name.startswith("Conv"))
    (norm,) = (name for name in found if name.startswith("BatchNorm"))
    images = (IMAGES[:16].astype(np.float64) / 255 - 0.4) / 0.3  # two whole batches; the last six images are none
    activations = [_convolved(part, VARIABLES["params"][conv]["kernel"]) for part in np.split(images, 2)]
    means, variances = ([f(part, (0, 1, 2)) for part in activations] for f in (np.mean, np.var))
    np.testing.assert_allclose(found[norm]["mean"], np.mean(means, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[norm]["var"], np.mean(variances, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("devices", [1, 4])
def test_statistics_are_estimated_on_images_altered_as_in_training(devices: int) -> None:
    words: dict[str, Any] = {"model": MODEL, "batch_size": 8, "batches": 2}
    found = predict.estimate_statistics(VARIABLES, data=_data(devices), **words, pad=2, flip=True)
    draw: dict[str, Any] = {"key": jax.random.key(0), "first": jnp.int32(0), "batch_size": 8, "pad": 2, "flip": True}
    parts = [np.asarray(batches.augment(jnp.asarray(IMAGES[i * 8 :][:8]), step=jnp.int32(i), **draw)) for i in range(2)]
    altered = train.put(np.concatenate(parts), LABELS[:16], mean=[0.4], std=[0.3], devices=jax.devices()[:1])
    wanted = predict.estimate_statistics(VARIABLES, data=altered, **words)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, wanted)
    plain = predict.estimate_statistics(VARIABLES, data=_data(devices), **words)
    assert provenance.digest(plain) != provenance.digest(found)


@pytest.mark.parametrize(
    "setting", [lambda: jax.threefry_partitionable(False), lambda: jax.enable_x64(True)], ids=["partitionable", "x64"]
)
def test_settings_of_the_user_do_not_reach_estimated_statistics(setting: Any) -> None:
    words: dict[str, Any] = {"model": MODEL, "data": _data(), "batch_size": 8, "batches": 2, "pad": 2, "flip": True}
    expected = predict.estimate_statistics(VARIABLES, **words)
    with setting():
        found = predict.estimate_statistics(VARIABLES, **words)
    assert provenance.digest(found) == provenance.digest(expected)


def test_reestimation_leaves_what_it_is_given_alone() -> None:
    given: Any = jax.device_put(VARIABLES, jax.devices()[0])
    before = provenance.digest(given)
    found = predict.estimate_statistics(given, model=MODEL, data=_data(), batch_size=8, batches=2)
    assert provenance.digest(given) == before
    assert provenance.digest(VARIABLES) == before
    assert jax.tree.structure(found) == jax.tree.structure(given["batch_stats"])
    assert provenance.digest(found) != provenance.digest(given["batch_stats"])


def test_reestimation_does_not_depend_on_the_statistics_given() -> None:
    other = {**VARIABLES, "batch_stats": jax.tree.map(lambda leaf: leaf + np.float32(7), VARIABLES["batch_stats"])}
    one, two = (
        predict.estimate_statistics(v, model=MODEL, data=_data(), batch_size=8, batches=2) for v in (VARIABLES, other)
    )
    assert provenance.digest(one) == provenance.digest(two)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"batches": 0}, "batches must be at least 1, got 0"),
        ({"batch_size": 23}, "batch_size must be from 1 to 22"),
    ],
)
def test_reestimation_refuses(words: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        predict.estimate_statistics(VARIABLES, model=MODEL, data=_data(), **{"batch_size": 8, "batches": 2, **words})


def test_predictions_are_kept_and_damaged_ones_made_anew(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path))
    array = RNG.normal(size=(5, 3)).astype(np.float32)
    calls: list[int] = []

    def compute() -> np.ndarray:
        calls.append(1)
        return array

    assert predict.load_or_compute("key", compute)[1] is False
    kept, was_there = predict.load_or_compute("key", compute)
    assert was_there
    np.testing.assert_array_equal(kept, array)
    (path,) = predict.folder().iterdir()
    np.testing.assert_array_equal(np.load(path), array)
    content = path.read_bytes()
    flipped = bytes(
        [*content[:140], content[140] ^ 1, *content[141:]]
    )  # in the numbers, which np.load takes as they are
    for damaged in (flipped, content[:-1], b""):
        path.write_bytes(damaged)
        assert predict.load_or_compute("key", compute)[1] is False
        assert path.read_bytes() == content
    assert predict.load_or_compute("another key", compute)[1] is False
    assert len(calls) == 5


def test_cache_that_cannot_be_written_is_no_error(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path / "file"))
    assert predict.load_or_compute("key", lambda: np.zeros((1, 2), np.float32))[1] is False


def test_load_or_compute_without_a_key_caches_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("LRSCHED_CACHE", str(tmp_path))
    for _ in range(2):
        assert predict.load_or_compute(None, lambda: np.zeros((1, 2), np.float32))[1] is False
    assert list(tmp_path.iterdir()) == []
