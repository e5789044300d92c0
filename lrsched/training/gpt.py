"""A small decoder-only transformer for bytes."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Shaped

Hidden = Float[Array, "batch length width"]

_EMBEDDING = 0.02  # standard deviation of embeddings: logits near 0, so that an untrained model's loss is near log 256


def _dense(features: int, name: str, *, scale: float = 1.0) -> nn.Module:
    return nn.Dense(features, use_bias=False, name=name, kernel_init=nn.initializers.variance_scaling(
        scale, "fan_in", "normal"))  # fmt: skip


_embed = functools.partial(nn.Embed, embedding_init=nn.initializers.normal(_EMBEDDING))
_norm = functools.partial(nn.LayerNorm, use_bias=False)


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): heads see a byte's own place and what is before it."""

    heads: int
    scale: float

    @nn.compact
    def __call__(self, x: Hidden) -> Hidden:
        batch, length, width = x.shape
        qkv = _dense(3 * width, "qkv")(_norm()(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        seen = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True)
        x = x + _dense(width, "attended", scale=self.scale)(seen.reshape(x.shape))
        wide = nn.gelu(_dense(4 * width, "up")(_norm()(x)))
        return x + _dense(width, "down", scale=self.scale)(wide)


class GPT(nn.Module):
    """Pre-norm transformer with learned positions; the embedding of bytes is the matrix of the outputs too.

    It is given whole windows and returns the logits of each of their bytes, from those before it in the window alone;
    of the first, from a byte 0. No biases, no dropout, no statistics (so `axis_name` and `plain` are without effect).

    Source:
      Radford et al., 2019 (GPT-2), section 2.3: norm first, a last norm, projections into the residual stream smaller
      by 1 / sqrt(2 layers). Here other kernels have the standard deviation 1 / sqrt(fan_in) in place of 0.02.
    """

    layers: int
    width: int
    heads: int
    classes: int
    axis_name: str | None = None
    plain: bool = False

    @nn.compact
    def __call__(self, x: Shaped[Array, "batch length"], *, train: bool) -> Float[Array, "batch length classes"]:
        tokens: Int32[Array, "batch length"] = x.astype(jnp.int32)
        before = jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)))
        embed = _embed(self.classes, self.width, name="bytes")
        places = _embed(x.shape[1], self.width, name="positions")(jnp.arange(x.shape[1], dtype=jnp.int32))
        hidden = embed(before) + places[None]
        for _ in range(self.layers):
            hidden = Layer(self.heads, 1 / (2 * self.layers))(hidden)
        return embed.attend(_norm()(hidden))

    @nn.nowrap
    def deviation(self, path: tuple[str, ...], shape: tuple[int, ...]) -> float:
        """Standard deviation of the initial weights at a path, as the initialisers above have it."""
        if path[-1] == "embedding":
            return _EMBEDDING
        scale = 1 / (2 * self.layers) if path[-2] in ("attended", "down") else 1.0
        return math.sqrt(scale / math.prod(shape[:-1]))
