"""Order and alteration of the images are functions of (key, step) and of nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrsched.training import batches

KEY = jax.random.key(7)


def _order(epoch: int, examples: int = 10, key: jax.Array = KEY) -> np.ndarray:
    return np.asarray(batches.epoch_order(key, jnp.int32(epoch), examples))


def test_epoch_order_is_a_permutation() -> None:
    assert sorted(_order(0)) == list(range(10))


def test_epoch_order_changes_with_epoch_and_key_alone() -> None:
    assert not np.array_equal(_order(0), _order(1))
    assert not np.array_equal(_order(0), _order(0, key=jax.random.key(8)))
    np.testing.assert_array_equal(_order(1), _order(1))


@pytest.mark.parametrize(("examples", "steps"), [(9, 3), (10, 4), (12, 4), (3, 1)])
def test_steps_per_epoch_rounds_up(examples: int, steps: int) -> None:
    assert batches.steps_per_epoch(examples, 3) == steps


@pytest.mark.parametrize("step", [0, 4])  # the first update of the first and of the second epoch
def test_positions_last_batch_filled_from_the_start_of_its_order(step: int) -> None:
    order = jnp.asarray(_order(0))  # 10 examples, batches of 3: 4 updates, the last with 1 of its own
    seen = [np.asarray(batches.positions(order, jnp.int32(step + i), 3)) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(seen), [*order, *order[:2]])


def _images(count: int, size: int = 5) -> np.ndarray:
    """All pixels of an image differ and none is 0, so that a crop tells where it came from."""
    one = np.arange(1, size * size * 2 + 1, dtype=np.uint8).reshape(size, size, 2)
    return np.stack([one] * count)


def _augment(images: np.ndarray, *, step: int = 0, pad: int = 1, flip: bool = True) -> np.ndarray:
    count = len(images)
    return np.asarray(
        batches.augment(
            jnp.asarray(images), key=KEY, step=jnp.int32(step), first=jnp.int32(0), batch_size=count, pad=pad, flip=flip
        )
    )


def _crops(image: np.ndarray, pad: int) -> dict[tuple[int, int, bool], np.ndarray]:
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    h, w = image.shape[:2]
    crops = {(i, j, False): padded[i : i + h, j : j + w] for i in range(2 * pad + 1) for j in range(2 * pad + 1)}
    return crops | {(i, j, True): crop[:, ::-1] for (i, j, _), crop in crops.items()}


@pytest.mark.slow
def test_augment_makes_every_crop_of_the_black_padded_image_equally_often() -> None:
    images = _images(1800)
    crops = _crops(images[0], pad=1)
    counts = dict.fromkeys(crops, 0)
    for image in _augment(images):
        (found,) = [where for where, crop in crops.items() if np.array_equal(image, crop)]
        counts[found] += 1
    # 18 outcomes, 100 expected of each: binomial standard deviation 9.7
    assert all(50 < count < 150 for count in counts.values()), counts


def test_augment_without_pad_and_flip_changes_nothing() -> None:
    np.testing.assert_array_equal(_augment(_images(8), pad=0, flip=False), _images(8))


def test_augment_without_flip_never_mirrors() -> None:
    crops = [crop for (_, _, mirrored), crop in _crops(_images(1)[0], pad=1).items() if not mirrored]
    assert all(any(np.array_equal(image, crop) for crop in crops) for image in _augment(_images(64), flip=False))


def test_augment_differs_between_steps() -> None:
    assert not np.array_equal(_augment(_images(8), step=0), _augment(_images(8), step=1))


def test_augment_parts_see_the_pixels_of_the_whole_batch() -> None:
    images = _images(8)
    parts = [
        batches.augment(
            jnp.asarray(images[first : first + 4]),
            key=KEY,
            step=jnp.int32(3),
            first=jnp.int32(first),
            batch_size=8,
            pad=1,
            flip=True,
        )
        for first in (0, 4)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), _augment(images, step=3))


def test_normalise_per_channel() -> None:
    images = np.array([0, 255, 51, 102], np.uint8).reshape(1, 1, 2, 2)
    out = batches.normalise(
        jnp.asarray(images), jnp.array([0.5, 0.25], jnp.float32), jnp.array([0.5, 2.0], jnp.float32)
    )
    assert out.dtype == jnp.float32
    expected = [(0 - 0.5) / 0.5, (1 - 0.25) / 2, (0.2 - 0.5) / 0.5, (0.4 - 0.25) / 2]
    np.testing.assert_allclose(out.ravel(), expected, rtol=1e-6)


def test_normalise_per_feature() -> None:
    rows = jnp.array([[1.0, 10.0], [5.0, -10.0]])
    out = batches.normalise(rows, jnp.array([3.0, 10.0]), jnp.array([2.0, 5.0]))
    np.testing.assert_allclose(out, [[-1, 0], [1, -4]], rtol=1e-6)
