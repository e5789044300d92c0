"""Places a split on the devices of a run: each device holds all of it.

Where a run is spread over several processes, each places the split on its own devices, and the devices of the run are
those of all of them.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, Int32, UInt8

from lrsched.training import hosts
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
      devices: None: all devices.
    """
    statistics = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    return Data(*jax.device_put((images, labels, *statistics), replicated(tuple(devices or hosts.devices()))))


def devices_of(data: Data) -> tuple[jax.Device, ...]:
    """The devices that share the work, in the order of their parts of a batch."""
    if hosts.several():
        return hosts.devices()
    placement: Any = data.images.sharding
    return tuple(placement.mesh.devices.flat)


def device_count(data: Data) -> int:
    """The number of devices that hold the split and share the work."""
    return len(devices_of(data))


@functools.cache
def _mesh(devices: tuple[jax.Device, ...]) -> Mesh:
    """Of those devices that are this process's: of several processes, pmap takes and gives each one's own part."""
    return Mesh(np.array([each for each in devices if each.process_index == jax.process_index()]), (AXIS,))


def replicated(devices: tuple[jax.Device, ...]) -> NamedSharding:
    """The placement of unmapped inputs that pmap accepts without moving them at each call."""
    return NamedSharding(_mesh(devices), PartitionSpec())


def device_index(devices: tuple[jax.Device, ...]) -> Int32[Array, " devices"]:
    """pmap needs one mapped input."""
    mesh = _mesh(devices)
    return jax.device_put(np.arange(mesh.size, dtype=np.int32), NamedSharding(mesh, PartitionSpec(AXIS)))


def check_division(batch_size: int, devices: tuple[jax.Device, ...]) -> None:
    if batch_size < 1 or batch_size % len(devices):
        raise ValueError(f"batch_size must be a multiple of the {len(devices)} devices, got {batch_size}.")
