"""The CIFAR ResNets of He et al. (6n + 2 layers), and a small one for small images."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lrsched.training import devices, layers

BLOCKS = {  # name -> n, the blocks in each of the three stages; 6n + 2 layers
    "resnet8": 1,
    "resnet20": 3,
    "resnet32": 5,
    "resnet38": 6,
    "resnet44": 7,
    "resnet56": 9,
    "resnet110": 18,
}
_WIDTHS = (16, 32, 64)
_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def _conv(features: int, *, plain: bool, stride: int = 1) -> nn.Module:
    if not plain:
        return layers.Conv(features, stride, _he_normal)
    return nn.Conv(features, (3, 3), strides=stride, padding=1, use_bias=False, kernel_init=_he_normal)


def _norm(*, plain: bool, train: bool, axis_name: str | None) -> nn.Module:
    if not plain:
        return layers.BatchNorm(not train, axis_name)
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, axis_name=axis_name)


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters (He et al.'s option A: every second pixel, zero channels)."""

    features: int
    stride: int = 1
    axis_name: str | None = None
    plain: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w c"], *, train: bool) -> Float[Array, "batch h2 w2 features"]:
        conv = functools.partial(_conv, self.features, plain=self.plain)
        norm = functools.partial(_norm, plain=self.plain, train=train, axis_name=self.axis_name)
        y = nn.relu(norm()(conv(stride=self.stride)(x)))
        y = norm()(conv()(y))
        shortcut = x[:, :: self.stride, :: self.stride]
        shortcut = jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])))
        return nn.relu(shortcut + y)


class ResNet(nn.Module):
    """A ResNet of 6 * blocks + 2 layers; `build` makes one by name."""

    blocks: int
    classes: int
    axis_name: str | None = None
    plain: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w c"], *, train: bool) -> Float[Array, "batch classes"]:
        norm = _norm(plain=self.plain, train=train, axis_name=self.axis_name)
        x = nn.relu(norm(_conv(_WIDTHS[0], plain=self.plain)(x)))
        for stage, features in enumerate(_WIDTHS):
            for block in range(self.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = Block(features, stride, self.axis_name, self.plain)(x, train=train)
        return nn.Dense(self.classes, kernel_init=_he_normal)(x.mean((1, 2)))


def build(name: str, *, classes: int, axis_name: str | None = None, plain: bool | None = None) -> ResNet:
    """The network called `name`, a key of BLOCKS.

    Args:
      name: resnet8, resnet20, ... resnet110.
      classes: number of outputs; at least 2.
      axis_name: mapped axis over which BatchNorm shares its statistics (`train.AXIS`); None: each device its own.
      plain: Flax's own convolution and BatchNorm instead of the forms for CPUs (`layers`), which have the same
        parameters; None: where JAX does not run on a CPU, or LRSCHED_PLAIN is set (`devices.plain`).
    Raises:
      ValueError: for an unknown name or too few classes.
    Source:
      He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385, section 4.2.
    """
    if name not in BLOCKS:
        raise ValueError(f"model must be one of {', '.join(BLOCKS)}, got {name!r}.")
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}.")
    if plain is None:
        plain = devices.plain() or jax.default_backend() != "cpu"
    return ResNet(BLOCKS[name], classes, axis_name, plain)


def initial_variables(model: ResNet, *, image_shape: tuple[int, int, int], seed: int) -> dict[str, Any]:
    """Fresh {"params", "batch_stats"} as NumPy arrays; the same seed gives the same bits on every machine.

    Kernels are He-normal (normal, standard deviation sqrt(2 / fan_in)), scales and variances 1, biases and means 0: the
    distribution of `model.init`, drawn by NumPy because compiling model.init takes XLA:CPU 12 s for ResNet-20.

    Args:
      image_shape: height, width, channels; height and width at least 4.
    Raises:
      ValueError: for a smaller image.
    """
    if min(image_shape[:2]) < 4:
        raise ValueError(f"image_shape must have height and width of at least 4, got {image_shape}.")
    rng = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], shape: tuple[int, ...]) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            fan_in = math.prod(shape[:-1])
            return rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan_in))
        return np.full(shape, {"scale": 1, "var": 1, "bias": 0, "mean": 0}[name], np.float32)

    shapes = _shapes(model, tuple(image_shape))
    return jax.tree_util.tree_map_with_path(lambda path, leaf: draw(path, leaf.shape), shapes)


@functools.cache
def _shapes(model: ResNet, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), image)
