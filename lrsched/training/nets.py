"""The CIFAR ResNets of He et al. (6n + 2 layers), a small one for small images, and two plain networks beside them.

`plain` asks for Flax's own convolution and BatchNorm instead of the forms for CPUs (`layers`), which have the same
parameters. `axis_name` is the mapped axis over which BatchNorm shares its statistics; None: each device its own.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from lrsched.training import layers, losses

_WIDTHS = (16, 32, 64)
_he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def _conv(features: int, *, plain: bool, stride: int = 1, use_bias: bool = False) -> nn.Module:
    if not plain:
        return layers.Conv(features, stride, _he_normal, use_bias)
    return nn.Conv(features, (3, 3), strides=stride, padding=1, use_bias=use_bias, kernel_init=_he_normal)


def _norm(*, plain: bool, train: bool, axis_name: str | None) -> nn.Module:
    if not plain:
        return layers.BatchNorm(not train, axis_name)
    return nn.BatchNorm(not train, momentum=layers.MOMENTUM, epsilon=layers.EPSILON, axis_name=axis_name)


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
    """A ResNet of 6 * blocks + 2 layers.

    Source:
      He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385, section 4.2.
    """

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
            x = layers.max_pool(x)
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
