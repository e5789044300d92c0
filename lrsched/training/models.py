"""The CIFAR ResNets of He et al. (6n + 2 layers), a small one for small images, and two plain networks beside them."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lrsched.training import batches, devices, layers, losses

BLOCKS = {  # name -> n, the blocks in each of the three stages; 6n + 2 layers
    "resnet8": 1,
    "resnet20": 3,
    "resnet32": 5,
    "resnet38": 6,
    "resnet44": 7,
    "resnet56": 9,
    "resnet110": 18,
}
NAMES = (*BLOCKS, "cnn", "mlp")
_WIDTHS = (16, 32, 64)
_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def _conv(features: int, *, plain: bool, stride: int = 1, use_bias: bool = False) -> nn.Module:
    if not plain:
        return layers.Conv(features, stride, _he_normal, use_bias)
    return nn.Conv(features, (3, 3), strides=stride, padding=1, use_bias=use_bias, kernel_init=_he_normal)


def _norm(*, plain: bool, train: bool, axis_name: str | None) -> nn.Module:
    if not plain:
        return layers.BatchNorm(not train, axis_name)
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, axis_name=axis_name)


def _outputs(x: Float[Array, "batch features"], classes: int) -> losses.Outputs:
    if classes:
        return nn.Dense(classes, kernel_init=_he_normal)(x)
    return nn.Dense(1, kernel_init=_he_normal)(x)[:, 0]


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
    def __call__(self, x: Float[Array, "batch h w c"], *, train: bool) -> losses.Outputs:
        norm = _norm(plain=self.plain, train=train, axis_name=self.axis_name)
        x = nn.relu(norm(_conv(_WIDTHS[0], plain=self.plain)(x)))
        for stage, features in enumerate(_WIDTHS):
            for block in range(self.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = Block(features, stride, self.axis_name, self.plain)(x, train=train)
        return _outputs(x.mean((1, 2)), self.classes)


class CNN(nn.Module):
    """Twice a 3 x 3 convolution (32, 64 channels) and a 2 x 2 maximum, then 128 dense units; ReLU and biases.

    Zero padding, no dropout, no BatchNorm (so `axis_name` is without effect). It is of the usual kind for MNIST and its
    like, and no article's own.
    """

    classes: int
    axis_name: str | None = None
    plain: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w c"], *, train: bool) -> losses.Outputs:
        for features in (32, 64):
            x = nn.relu(_conv(features, plain=self.plain, use_bias=True)(x))
            x = layers.halved(x)
        x = nn.relu(nn.Dense(128, kernel_init=_he_normal)(x.reshape(len(x), -1)))
        return _outputs(x, self.classes)


class MLP(nn.Module):
    """Two layers of 64 units with ReLU, for rows of numbers; images become rows. Only `classes` has an effect."""

    classes: int
    axis_name: str | None = None
    plain: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, " batch *shape"], *, train: bool) -> losses.Outputs:
        x = x.reshape(len(x), -1)
        for _ in range(2):
            x = nn.relu(nn.Dense(64, kernel_init=_he_normal)(x))
        return _outputs(x, self.classes)


Model = ResNet | CNN | MLP


def check(name: str, *, tabular: bool) -> None:
    """Raises a ValueError if `name` is none of NAMES, or takes no rows of numbers where the data is `tabular`."""
    if name not in NAMES:
        raise ValueError(f"model must be one of {', '.join(NAMES)}, got {name!r}.")
    if tabular and name != "mlp":
        raise ValueError(f"model must be mlp for tabular data, got {name!r}.")


def build(name: str, *, classes: int, axis_name: str | None = None, plain: bool | None = None) -> Model:
    """The network called `name`, one of NAMES.

    Args:
      name: resnet8, resnet20, ... resnet110, cnn or mlp.
      classes: number of outputs; at least 2, or 0 for a regression: one output, without an axis of its own.
      axis_name: mapped axis over which BatchNorm shares its statistics (`train.AXIS`); None: each device its own.
      plain: Flax's own convolution and BatchNorm instead of the forms for CPUs (`layers`), which have the same
        parameters; None: where JAX does not run on a CPU, or LRSCHED_PLAIN is set (`devices.plain`).
    Raises:
      ValueError: for an unknown name or too few classes.
    Source:
      He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385, section 4.2.
    """
    check(name, tabular=False)
    if classes != 0 and classes < 2:
        raise ValueError(f"classes must be at least 2, or 0 for a regression, got {classes}.")
    if plain is None:
        plain = devices.plain() or jax.default_backend() != "cpu"
    if name in BLOCKS:
        return ResNet(BLOCKS[name], classes, axis_name, plain)
    return (CNN if name == "cnn" else MLP)(classes, axis_name, plain)


def initial_variables(model: Model, *, image_shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Fresh {"params", "batch_stats"} as NumPy arrays; the same seed gives the same bits on every machine.

    A model without BatchNorm has the `batch_stats` {}.

    Kernels are He-normal (normal, standard deviation sqrt(2 / fan_in)), scales and variances 1, biases and means 0: the
    distribution of `model.init`, drawn by NumPy because compiling model.init takes XLA:CPU 12 s for ResNet-20.

    Args:
      image_shape: of one example: height, width, channels, height and width at least 4; or the number of features.
    Raises:
      ValueError: for a smaller image.
    """
    if len(image_shape) == 3 and min(image_shape[:2]) < 4:
        raise ValueError(f"image_shape must have height and width of at least 4, got {image_shape}.")
    rng = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], shape: tuple[int, ...]) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            fan_in = math.prod(shape[:-1])
            return rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan_in))
        return np.full(shape, {"scale": 1, "var": 1, "bias": 0, "mean": 0}[name], np.float32)

    shapes = _shapes(model, tuple(image_shape))
    drawn = jax.tree_util.tree_map_with_path(lambda path, leaf: draw(path, leaf.shape), shapes)
    return {"batch_stats": {}, **drawn}


@functools.cache
@devices.pinned()
def _shapes(model: Model, image_shape: tuple[int, ...]) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(functools.partial(model.init, train=False), batches.run_key(0), image)
