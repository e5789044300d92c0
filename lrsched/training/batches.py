"""Data order and augmentation: pure functions of (key, step), run on the device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, UInt8

# Pixels in [0, 255]; or rows of a table; or windows of a text.
Images = UInt8[Array, "batch h w c"] | Float[Array, "batch features"] | UInt8[Array, "batch length"]
_ORDER, _AUGMENT, _DROPOUT = 0, 1, 2  # folded into the run's key, so that the kinds of draws are independent
AXIS = "device"  # the mapped axis of an update


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """ceil(examples / batch_size); `positions` says how the last batch is filled."""
    return -(-examples // batch_size)


def run_key(seed: int) -> Key[Array, ""]:
    """The random key of a run: `jax.random.key(seed)` under JAX's default settings.

    JAX_DEFAULT_PRNG_IMPL and JAX_RANDOM_SEED_OFFSET, which would change the draws, have no effect.

    Args:
      seed: from 0 to 2**32 - 1.
    """
    halves: Any = np.array([0, seed], np.uint32)  # jnp.array would be compiled
    return jax.random.wrap_key_data(halves, impl="threefry2x32")


def epoch_order(key: Key[Array, ""], epoch: Int32[Array, ""], examples: int) -> Int32[Array, " examples"]:
    """The order of an epoch (counted from 0): a permutation of the examples."""
    key = jax.random.fold_in(jax.random.fold_in(key, _ORDER), epoch)
    return jax.random.permutation(key, jnp.arange(examples, dtype=jnp.int32))


def dropout_key(key: Key[Array, ""], step: Int32[Array, ""] | int, *, device: int | None = None) -> Key[Array, ""]:
    """The key of the draws that a model makes in training: a function of the run's key, the update and the device.

    Args:
      device: index of the device; None: the one that runs this, under the mapped axis.
    """
    key = jax.random.fold_in(jax.random.fold_in(key, _DROPOUT), step)
    return jax.random.fold_in(key, jax.lax.axis_index(AXIS) if device is None else device)


def positions(order: Int32[Array, " examples"], step: Int32[Array, ""], batch_size: int) -> Int32[Array, " batch"]:
    """The examples of update `step`, given the order of its epoch.

    The last batch of an epoch is filled from the start of the same order, so every batch has batch_size examples, and
    those few are seen twice in the epoch.
    """
    (examples,) = order.shape
    first = step % steps_per_epoch(examples, batch_size) * batch_size
    return order[(first + jnp.arange(batch_size, dtype=jnp.int32)) % examples]


def augment(
    images: UInt8[Array, "some h w c"],
    *,
    key: Key[Array, ""],
    step: Int32[Array, ""],
    first: Int32[Array, ""],
    batch_size: int,
    pad: int,
    flip: bool,
) -> UInt8[Array, "some h w c"]:
    """Zero-pads by `pad` pixels, crops at random, mirrors half of the images.

    Zeros are added to the raw pixels (black), as torchvision's transforms do and the papers' PyTorch recipes with them;
    He et al. padded after subtracting the mean. Draws are made for the whole batch, so the pixels do not depend on
    the number of devices.

    Args:
      images: rows first .. first + some - 1 of the batch of update `step`, which has batch_size rows.
      pad: pixels on each side; 0: no crop.
      flip: mirror left and right with probability 1/2.
    """
    key = jax.random.fold_in(jax.random.fold_in(key, _AUGMENT), step)
    choices = jnp.array([[2 * pad + 1, 2 * pad + 1, 2]], jnp.int32)  # row, column, mirrored
    draws = jax.random.randint(key, (batch_size, 3), 0, choices)
    draws = jax.lax.dynamic_slice_in_dim(draws, first, len(images))
    if pad:
        shape = images.shape[1:]
        padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        images = jax.vmap(lambda image, row, column: jax.lax.dynamic_slice(image, (row, column, 0), shape))(
            padded, draws[:, 0], draws[:, 1]
        )
    if flip:
        images = jnp.where(draws[:, 2, None, None, None] == 1, images[:, :, ::-1], images)
    return images


def normalise(
    images: Images, mean: Float[Array, " c"], std: Float[Array, " c"]
) -> Float[Array, " batch *shape"] | UInt8[Array, "batch length"]:
    """float32: (images / 255 - mean) / std per channel, or (features - mean) / std per feature; bytes as they are."""
    if images.dtype == jnp.uint8 and images.ndim == 2:
        return images
    if images.dtype == jnp.uint8:
        return (images.astype(jnp.float32) / 255 - mean[None, None, None]) / std[None, None, None]
    return (images - mean[None]) / std[None]
