"""Convolution and batch normalisation with their gradients written out, in the forms that XLA:CPU runs fastest.

Parameters, names and results (to float32 summation) are those of Flax's `Conv` and `BatchNorm`, which stay the choice
on accelerators. What each form gains is in results/speed.md.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

Images = Float[Any, "batch h w c"]  # of NumPy or JAX, as everywhere below
Kernel = Float[Any, "3 3 c features"]
Channels = Float[Any, " c"]

EPSILON, MOMENTUM = 1e-5, 0.9  # of BatchNorm
_SMALL = 4  # pixels of an output for which a product over patches is faster than XLA:CPU's convolution
_PART_IMAGES, _PART_PIXELS, _PARTS = 16, 4096, 16  # of a kernel's gradient: at least, at least, at most
_LAYOUT = ("NHWC", "HWIO", "NHWC")

# Without it XLA fuses normalisation and ReLU into each of their readers, and computes them again in each; it takes
# effect with the flag that `devices.prepare` sets.
_apart = jax.lax.optimization_barrier


class Conv(nn.Module):
    """3 x 3 convolution, zero-padded by one pixel; the drop-in for `nn.Conv`."""

    features: int
    stride: int
    kernel_init: Any
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: Images) -> Float[Any, "batch h2 w2 features"]:
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        height, width = (-(-side // self.stride) for side in x.shape[1:3])
        form = _over_patches if height * width <= _SMALL else convolution
        y = form(x, kernel, self.stride)
        return y + _wide(self.param("bias", nn.initializers.zeros, y.shape[-1:])) if self.use_bias else y


class BatchNorm(nn.Module):
    """Batch normalisation over all but the last axis; the drop-in for `nn.BatchNorm(momentum=0.9, epsilon=1e-5)`.

    Attributes:
      use_running_average: take the running statistics and leave them alone, as in prediction.
      axis_name: mapped axis over which the batch's statistics are shared; None: each device its own.
    """

    use_running_average: bool
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Images) -> Images:
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        if self.use_running_average:
            factor = jax.lax.rsqrt(running_var.value + EPSILON) * scale
            return (x - _wide(running_mean.value)) * _wide(factor) + _wide(bias)
        y, mean, var = normalise(x, scale, bias, self.axis_name)
        if not self.is_initializing():
            running_mean.value = MOMENTUM * running_mean.value + (1 - MOMENTUM) * mean
            running_var.value = MOMENTUM * running_var.value + (1 - MOMENTUM) * var
        return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution(x: Images, kernel: Kernel, stride: int) -> Float[Any, "batch h2 w2 features"]:
    """y[n, i, j, f] = sum over u, v, c of x[n, s i + u - 1, s j + v - 1, c] kernel[u, v, c, f], s = stride.

    The kernel's gradient is the sum of those of parts of the batch: on XLA:CPU a part that fits into a core's cache
    takes half the time.
    """
    return _convolve(_apart(x), _apart(kernel), stride)


def _convolution_forward(x: Images, kernel: Kernel, stride: int) -> tuple[Any, Any]:
    x = _apart(x)
    return _apart(_convolve(x, kernel, stride)), (x, kernel)


def _convolution_backward(stride: int, kept: Any, dy: Any) -> tuple[Any, Any]:
    x, kernel = kept
    dy = _apart(dy)
    (dx,) = jax.linear_transpose(lambda x: _convolve(x, kernel, stride), x)(dy)
    pixels = x.shape[1] * x.shape[2]
    part = max(_PART_IMAGES, _PART_PIXELS // pixels, -(-len(x) // _PARTS))
    parts = [
        jax.linear_transpose(functools.partial(_convolve, x[first : first + part], stride=stride), kernel)(
            dy[first : first + part]
        )[0]
        for first in range(0, len(x), part)
    ]
    return _apart(dx), _apart(functools.reduce(jnp.add, parts))


convolution.defvjp(_convolution_forward, _convolution_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
    x: Images, scale: Channels, bias: Channels, axis_name: str | None
) -> tuple[Images, Channels, Channels]:  # fmt: skip
    """y = (x - mean) / sqrt(var + 1e-5) * scale + bias, with the batch's own mean and (biased) variance.

    Returns:
      y, mean, var. No gradient flows through the returned mean and var: they are for the running averages.
    Source:
      Ioffe, Szegedy, ICML 2015, arXiv:1502.03167, algorithm 1; the gradient is theirs, with sums over x in place of
      sums over the normalised x.
    """
    return _normalise_forward(x, scale, bias, axis_name)[0]


def _normalise_forward(x: Images, scale: Channels, bias: Channels, axis_name: str | None) -> tuple[Any, Any]:
    mean, square = _means(axis_name, x, x * x)
    var = jnp.maximum(square - mean * mean, 0)
    inverse = jax.lax.rsqrt(var + EPSILON)
    y = (x - _wide(mean)) * _wide(inverse * scale) + _wide(bias)
    return (y, mean, var), (x, mean, inverse, scale)


def _normalise_backward(axis_name: str | None, kept: Any, gradients: Any) -> tuple[Any, Any, Any]:
    x, mean, inverse, scale = kept
    dy, _, _ = gradients
    own, own_x = _means(None, dy, dy * x)
    count = x.size // x.shape[-1]
    dscale, dbias = inverse * (own_x - mean * own) * count, own * count
    both, both_x = (own, own_x) if axis_name is None else jax.lax.pmean((own, own_x), axis_name)
    slope = inverse * inverse * (both_x - mean * both)  # mean of dy * normalised x, over the standard deviation
    factor = scale * inverse
    dx = _wide(factor) * dy - _wide(factor * slope) * x + _wide(factor * (slope * mean - both))
    return dx, dscale, dbias


normalise.defvjp(_normalise_forward, _normalise_backward)


def max_pool(x: Images) -> Float[Any, "batch h2 w2 c"]:
    """The largest of each 2 x 2 pixels; an odd last row or column is left out, as by `nn.max_pool(x, (2, 2), (2, 2))`.

    Elementwise maxima, because the gradient of XLA's window reduction is slow on CPUs: an update of the small CNN would
    take twice as long. Equal pixels share the gradient.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(x[:, :, 0:width:2], x[:, :, 1:width:2])


def _convolve(x: Images, kernel: Kernel, stride: int) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=_LAYOUT)


def _over_patches(x: Images, kernel: Kernel, stride: int) -> Any:
    """The same convolution as one matrix product: rows of 3 x 3 patches times the kernel."""
    _, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = jnp.concatenate(
        [x[:, i : i + height : stride, j : j + width : stride] for i in range(3) for j in range(3)], axis=-1
    )
    y = patches.reshape(-1, 9 * channels) @ kernel.reshape(9 * channels, -1)
    return y.reshape(*patches.shape[:3], -1)


def _means(axis_name: str | None, *arrays: Images) -> Any:
    """The mean of each over all but the last axis, and over the devices of a mapped axis."""
    means = [x.sum((0, 1, 2)) / (x.size // x.shape[-1]) for x in arrays]
    return means if axis_name is None else jax.lax.pmean(means, axis_name)


def _wide(channels: Channels) -> Float[Any, "1 1 1 c"]:
    return channels[None, None, None]
