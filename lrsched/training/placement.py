"""Places a split on the devices of a run: each device holds all of it."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, Int32, UInt8

from lrsched.training.batches import AXIS
from lrsched.training.devices import pin_settings
from lrsched.training.splits import Images, Labels


class Data(NamedTuple):
    """A split on the devices, whole on each, from `put`."""

    images: UInt8[Array, "examples h w c"] | Float32[Array, "examples features"] | UInt8[Array, "examples length"]
    labels: Int32[Array, " examples"] | Float32[Array, " examples"] | UInt8[Array, "examples length"]
    mean: Float[Array, " c"]
    std: Float[Array, " c"]


@pin_settings()
def put(
    images: Images,
    labels: Labels,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    devices: Sequence[jax.Device] | None = None,
) -> Data:
    """Copies a split to every device; `updates` and `evaluate` run on the devices of their data.

    Args:
      mean, std: per channel, of images / 255; or per feature; empty for a text.
      devices: None: all local devices.
    """
    statistics = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    return Data(*jax.device_put((images, labels, *statistics), replicated(tuple(devices or jax.local_devices()))))


def devices_of(data: Data) -> tuple[jax.Device, ...]:
    placement: Any = data.images.sharding
    return tuple(placement.mesh.devices.flat)


def device_count(data: Data) -> int:
    """The number of devices that hold the split and share the work."""
    return len(devices_of(data))


@functools.cache
def _mesh(devices: tuple[jax.Device, ...]) -> Mesh:
    return Mesh(np.array(devices), (AXIS,))


def replicated(devices: tuple[jax.Device, ...]) -> NamedSharding:
    """The placement of unmapped inputs that pmap accepts without moving them at each call."""
    return NamedSharding(_mesh(devices), PartitionSpec())


def device_index(devices: tuple[jax.Device, ...]) -> Int32[Array, " devices"]:
    """pmap needs one mapped input."""
    return jax.device_put(np.arange(len(devices), dtype=np.int32), NamedSharding(_mesh(devices), PartitionSpec(AXIS)))


def check_division(batch_size: int, devices: tuple[jax.Device, ...]) -> None:
    if batch_size < 1 or batch_size % len(devices):
        raise ValueError(f"batch_size must be a multiple of the {len(devices)} devices, got {batch_size}.")
