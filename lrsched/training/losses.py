"""Loss and score of each example; the type of the labels decides which."""

from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

# Logits, of a text for each byte; or of a regression, a number.
Outputs = Float[Array, "batch classes"] | Float[Array, " batch"] | Float[Array, "batch length classes"]
Labels = Int[Any, " batch"] | Float[Any, " batch"] | UInt8[Any, "batch length"]


def of_each(
    outputs: Outputs, labels: Labels
) -> tuple[Float[Array, " batch"], Bool[Array, " batch"] | Float[Array, " batch"]]:
    """Loss and score of each example.

    Classes (whole numbers): loss = -log softmax(outputs)[label], in nats; score = whether the largest output is the
    label's. The mean score is the accuracy.

    Text (bytes): the means of both over the bytes of a window, so loss / log 2 is in bits per byte.

    Regression (floats): loss = (output - label)^2, score = 1 - loss. Labels are standardised by the training set's mean
    and variance (`data.load`), so the mean loss is the squared error in units of that variance, and the mean score the
    fraction of variance explained: 1 for a perfect fit, 0 on the training set for predicting its mean everywhere,
    below 0 for worse. It is R^2 except that the reference is the training set's variance in every split.
    """
    if labels.ndim == 2:
        labels = labels.astype(jnp.int32)
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
        right = outputs.argmax(2).astype(jnp.int32) == labels
        return losses.mean(1), right.astype(jnp.float32).mean(1)
    if jnp.issubdtype(labels.dtype, jnp.integer):
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
        return losses, outputs.argmax(1).astype(jnp.int32) == labels
    squares = jnp.square(outputs - labels)
    return squares, 1 - squares
