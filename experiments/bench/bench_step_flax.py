"""The Flax contender of bench_step.py: the loop one writes after Flax's examples, with Flax Linen and Optax alone.

A TrainState, one jitted step that takes over its memory, batches made by NumPy on the host while the device computes,
Optax's own one-cycle schedule inside the optimiser, and a loss that is only looked at when somebody asks.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

he_normal = nn.initializers.he_normal()


class TrainState(train_state.TrainState):
    batch_stats: Any


class ResidualBlock(nn.Module):
    features: int
    strides: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(self.norm()(self.conv(self.features, strides=self.strides)(x)))
        y = self.norm()(self.conv(self.features)(y))
        if x.shape != y.shape:  # option A: every second pixel, and zeros for the new channels
            x = x[:, :: self.strides, :: self.strides]
            x = jnp.pad(x, [(0, 0)] * 3 + [(0, y.shape[-1] - x.shape[-1])])
        return nn.relu(x + y)


class ResNet(nn.Module):
    blocks: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        conv = functools.partial(nn.Conv, kernel_size=(3, 3), padding=1, use_bias=False, kernel_init=he_normal)
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        x = nn.relu(norm(name="norm_first")(conv(16, name="conv_first")(x)))
        for stage in range(3):
            for block in range(self.blocks):
                x = ResidualBlock(16 * 2**stage, 2 if stage and not block else 1, conv, norm)(x)
        return nn.Dense(self.classes, kernel_init=he_normal)(x.mean(axis=(1, 2)))


def create_state(
    model: ResNet, tx: optax.GradientTransformation, *, image_shape: tuple[int, ...], seed: int
) -> TrainState:
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(seed), jnp.zeros((1, *image_shape)))
    return TrainState.create(
        apply_fn=model.apply, params=variables["params"], batch_stats=variables["batch_stats"], tx=tx
    )


@functools.partial(jax.jit, donate_argnums=0)
def train_step(
    state: TrainState, images: jax.Array, labels: jax.Array, mean: jax.Array, std: jax.Array
) -> tuple[TrainState, dict[str, jax.Array]]:
    x = (images.astype(jnp.float32) / 255 - mean) / std

    def loss_fn(params: Any) -> tuple[jax.Array, Any]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, changed = state.apply_fn(variables, x, mutable=["batch_stats"])
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (logits, changed["batch_stats"])

    (loss, (logits, batch_stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    state = state.apply_gradients(grads=grads, batch_stats=batch_stats)
    return state, {"loss": loss, "accuracy": jnp.mean(logits.argmax(-1) == labels)}


def batches(
    images: np.ndarray, labels: np.ndarray, *, batch_size: int, pad: int, flip: bool, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled each epoch, the rest dropped; each image padded with zeros, cropped and mirrored at random."""
    rng = np.random.default_rng(seed)
    height, width = images.shape[1:3]
    while True:
        order = rng.permutation(len(images))
        for first in range(0, len(images) - batch_size + 1, batch_size):
            rows = order[first : first + batch_size]
            padded = np.pad(images[rows], ((0, 0), (pad, pad), (pad, pad), (0, 0)))
            tops, lefts = rng.integers(0, 2 * pad + 1, (2, batch_size))
            mirrored = flip & (rng.random(batch_size) < 0.5)
            batch = np.empty_like(images, shape=(batch_size, *images.shape[1:]))
            for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
                crop = padded[i, top : top + height, left : left + width]
                batch[i] = crop[:, ::-1] if mirrored[i] else crop
            yield batch, labels[rows]


def optimizer(*, peak_value: float, total_steps: int, momentum: float, weight_decay: float) -> Any:
    schedule = optax.cosine_onecycle_schedule(total_steps, peak_value)
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule, momentum=momentum))


def contender(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    blocks: int,
    classes: int,
    mean: list[float],
    std: list[float],
    batch_size: int,
    total_steps: int,
    peak_value: float,
    momentum: float,
    weight_decay: float,
    pad: int,
    flip: bool,
    seed: int,
) -> tuple[int, Iterator[jax.Array]]:
    """The number of parameters, and an iterator that makes one update per item and yields its loss, in the making."""
    tx = optimizer(peak_value=peak_value, total_steps=total_steps, momentum=momentum, weight_decay=weight_decay)
    state = create_state(ResNet(blocks, classes), tx, image_shape=images.shape[1:], seed=seed)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    statistics = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)

    def losses(state: TrainState) -> Iterator[jax.Array]:
        feed = batches(images, labels, batch_size=batch_size, pad=pad, flip=flip, seed=seed)
        for _ in range(total_steps):
            state, metrics = train_step(state, *next(feed), *statistics)
            yield metrics["loss"]

    return parameters, losses(state)
