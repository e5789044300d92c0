"""Updates and evaluation on one device or several: the only `pmap` of the project.

The state never has a device axis: it goes in and comes out replicated (`in_axes=None`, `out_axes=None`); what is mapped
is the device's part of the batch. Rate, momentum, weight decay, seed and data are inputs of the compiled step, so one
compilation serves every schedule, budget, rate and seed of a study.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32, Key

from lrsched.training import batches, hosts, losses, models, optim
from lrsched.training.devices import pin_settings
from lrsched.training.placement import AXIS, Data, check_division, device_index, devices_of, replicated
from lrsched.training.placement import device_count as device_count  # beside what works on the data
from lrsched.training.placement import put as put

_traces = 0


class State(NamedTuple):
    """Everything that training changes. Leaves are NumPy or JAX arrays without a device axis."""

    step: Any  # int32 scalar: updates made
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What the model needs to predict."""
        return {"params": self.params, "batch_stats": self.batch_stats}


class Metrics(NamedTuple):
    """Metrics of one update: float32 scalars on the device, over its whole batch, before the update."""

    loss: Any  # mean
    accuracy: Any  # mean score (`losses.of_each`)
    rate: Any  # as applied
    momentum: Any  # as applied


class Evaluation(NamedTuple):
    """Mean loss and score (`losses.of_each`) over all examples of a split, each counted once.

    Classes: cross entropy, and the part that is right. Regression: squared error in units of the training targets'
    variance, and the fraction of variance explained, 1 - loss, so that the error 1 - accuracy is the loss.
    """

    loss: float
    accuracy: float
    examples: int


@pin_settings()
def initial_state(model: models.Model, optimizer: optim.Optimizer, *, image_shape: tuple[int, ...], seed: int) -> State:
    """The state before the first update, as NumPy arrays."""
    variables = models.initial_variables(model, image_shape=image_shape, seed=seed)
    opt_state = jax.device_get(_initial_opt_state(optimizer)(variables["params"]))
    return State(np.int32(0), variables["params"], variables["batch_stats"], opt_state)


@functools.cache
def _initial_opt_state(optimizer: optim.Optimizer) -> Any:
    """params -> the optimiser's state, compiled as one program: each of Optax's arrays would be one of its own."""
    zero = np.float32(0)
    return jax.jit(optim.transformation(optimizer, rate=zero, momentum=zero, weight_decay=zero).init)


def updates(
    state: State,
    *,
    model: models.Model,
    optimizer: optim.Optimizer,
    data: Data,
    batch_size: int,
    seed: int,
    rates: Float[np.ndarray, " total_steps"],
    momenta: Float[np.ndarray, " total_steps"],
    weight_decay: float,
    pad: int,
    flip: bool,
) -> Iterator[tuple[State, Metrics]]:
    """Makes updates state.step .. total_steps - 1 and yields the state and the metrics after each.

    Data order and augmentation depend on (seed, step) alone, so training resumes exactly from any state on CPUs (on
    GPUs with XLA's --xla_gpu_deterministic_ops=true). Nothing waits for the device: the metrics are not yet computed
    (JAX dispatches asynchronously), so fetch many at once. `state` stays valid; a yielded state is valid until the
    next update, which reuses its memory: copy what you keep (`jax.device_get`).

    Args:
      batch_size: examples of an update, over all devices.
      rates, momenta: of every update from 0; applied as float32.
      weight_decay: coefficient, applied as float32.
      pad, flip: augmentation (`batches.augment`); 0 and False: none.
    Raises:
      ValueError: if the batch does not divide over the devices or is larger than the data, or if the model's axis_name
        is not AXIS.
    """
    devices, examples = devices_of(data), len(data.labels)
    if not 1 <= batch_size <= examples:
        raise ValueError(f"batch_size must be from 1 to {examples} (the training examples), got {batch_size}.")
    check_division(batch_size, devices)
    if model.axis_name not in (None, AXIS):
        raise ValueError(f"axis_name must be None or {AXIS!r}, got {model.axis_name!r}.")
    step = _train_step(model, optimizer, batch_size, pad, flip, devices)
    numbers = np.stack([rates, momenta], axis=1).astype(np.float32)
    return _run(step, state, data, numbers, seed=seed, batch_size=batch_size, weight_decay=weight_decay)


@pin_settings()
def evaluate(variables: Mapping[str, Any], *, model: models.Model, data: Data, batch_size: int) -> Evaluation:
    """Mean loss and score over a split: batches padded and masked, counts of correct ones added up as integers.

    Args:
      variables: {"params", "batch_stats"}, from `State.variables` or a snapshot.
      batch_size: examples at once, over all devices; may exceed the split.
    Raises:
      ValueError: if the batch does not divide over the devices.
    """
    devices, examples = devices_of(data), len(data.labels)
    check_division(batch_size, devices)
    step, variables = (
        _reading_step(_sums, None, model, batch_size, devices),
        jax.device_put(variables, replicated(devices)),
    )
    index = device_index(devices)
    sums = jax.device_get(_one_by_one(step, variables, data, range(0, examples, batch_size), index))
    loss = sum(float(loss) for loss, _ in sums)
    return Evaluation(loss / examples, sum(score.item() for _, score in sums) / examples, examples)


def _one_by_one(step: Any, variables: Any, data: Data, starts: Iterable[int], index: Any) -> list[Any]:
    """The step's results for batches that begin at `starts`.

    Batches that do not depend on each other may reach several devices in another order on each, and where the devices
    are virtual ones that share a few cores, they then wait for each other's sums for good.
    """
    results = []
    for start in starts:
        results.append(step(variables, data, np.int32(start), index))
        if index.size > 1 or hosts.several():
            jax.block_until_ready(results[-1])
    return results


def compiled_steps() -> int:
    """The number of train steps traced so far by this process: one per model, optimiser, batch size and data shape."""
    return _traces


def _run(
    step: Any, state: State, data: Data, numbers: np.ndarray, *, seed: int, batch_size: int, weight_decay: float
) -> Iterator[tuple[State, Metrics]]:
    devices, examples = devices_of(data), len(data.labels)
    per_epoch = batches.steps_per_epoch(examples, batch_size)
    with pin_settings():
        index = device_index(devices)
        key = batches.run_key(seed)
        state = jax.device_put(state, replicated(devices), may_alias=False)  # the step takes its memory
        fixed = jax.device_put((key, np.float32(weight_decay)), replicated(devices))
    order = None
    for k in range(int(state.step), len(numbers)):
        with pin_settings():  # not around the loop: the caller runs between two updates
            if order is None or k % per_epoch == 0:
                order = jax.device_put(_epoch_order(key, np.int32(k // per_epoch), examples), replicated(devices))
            state, metrics = step(state, data, order, *fixed, numbers[k], index)
        yield state, metrics


def _update(
    state: State,
    data: Data,
    order: Int32[Array, " examples"],
    key: Key[Array, ""],
    weight_decay: Float[Array, ""],
    numbers: Float[Array, "2"],
    _: Int32[Array, ""],
    *,
    model: models.Model,
    optimizer: optim.Optimizer,
    batch_size: int,
    pad: int,
    flip: bool,
    devices: int,
) -> tuple[State, Metrics]:
    """One update, as one device sees it; runs under pmap. `numbers` holds its rate and momentum."""
    global _traces
    _traces += 1
    rate, momentum = numbers
    size = batch_size // devices
    first = jax.lax.axis_index(AXIS) * size
    rows = jax.lax.dynamic_slice_in_dim(batches.positions(order, state.step, batch_size), first, size)
    images, labels = data.images[rows], data.labels[rows]
    if pad or flip:
        images = batches.augment(
            images, key=key, step=state.step, first=first, batch_size=batch_size, pad=pad, flip=flip
        )
    images = batches.normalise(images, data.mean, data.std)

    def loss_and_rest(params: Any) -> tuple[Any, Any]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        options = {"mutable": ["batch_stats"], **models.dropout_rngs(model, key, state.step)}
        outputs, new = model.apply(variables, images, train=True, **options)
        each, scores = losses.of_each(outputs, labels)
        return each.mean(), (scores.astype(jnp.float32).mean(), new["batch_stats"])

    (loss, (accuracy, batch_stats)), gradients = jax.value_and_grad(loss_and_rest, has_aux=True)(state.params)
    gradients, loss, accuracy = jax.lax.pmean((gradients, loss, accuracy), AXIS)
    if model.axis_name is None:
        batch_stats = jax.lax.pmean(batch_stats, AXIS)
    tx = optim.transformation(optimizer, rate=rate, momentum=momentum, weight_decay=weight_decay)
    changes, opt_state = tx.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, changes)
    return State(state.step + 1, params, batch_stats, opt_state), Metrics(loss, accuracy, rate, momentum)


def _sums(
    variables: Mapping[str, Any],
    data: Data,
    start: Int32[Array, ""],
    _: Int32[Array, ""],
    *,
    model: models.Model,
    size: int,
) -> tuple[Float[Array, ""], Int32[Array, ""] | Float[Array, ""]]:
    """Loss and score (as an integer, if it counts) summed over rows start .., as far as there are any; under pmap."""
    images, labels, valid = _rows(data, start, size)
    each, scores = losses.of_each(model.apply(variables, images, train=False), labels)
    sums = jnp.where(valid, each, 0).sum(), jnp.where(valid, scores, jnp.zeros_like(scores)).sum()
    return jax.lax.psum(sums, AXIS)


def _outputs(
    variables: Any, data: Data, start: Int32[Array, ""], _: Int32[Array, ""], *, model: models.Model, size: int
) -> losses.Outputs:
    return model.apply(variables, _rows(data, start, size)[0], train=False)


def _move(
    variables: Any, data: Data, start: Int32[Array, ""], _: Int32[Array, ""], *, model: models.Model, size: int
) -> Any:
    options = {"mutable": ["batch_stats"], **models.dropout_rngs(model, batches.run_key(0), start)}
    moved = model.apply(variables, _rows(data, start, size)[0], train=True, **options)[1]["batch_stats"]
    return moved if model.axis_name else jax.lax.pmean(moved, AXIS)


def _rows(data: Data, start: Int32[Array, ""], size: int) -> tuple[Any, Any, Any]:
    """This device's part of the batch whose first row is `start`: images, labels, and which of them are there.

    Rows beyond the end are the last one again.
    """
    rows = start + jax.lax.axis_index(AXIS) * size + jnp.arange(size, dtype=jnp.int32)
    valid, rows = rows < len(data.labels), jnp.minimum(rows, len(data.labels) - 1)
    return batches.normalise(data.images[rows], data.mean, data.std), data.labels[rows], valid


@functools.cache
def _train_step(
    model: models.Model,
    optimizer: optim.Optimizer,
    batch_size: int,
    pad: int,
    flip: bool,
    devices: tuple[jax.Device, ...],
) -> Any:
    step = functools.partial(
        _update,
        model=model,
        optimizer=optimizer,
        batch_size=batch_size,
        pad=pad,
        flip=flip,
        devices=len(devices),
    )
    return jax.pmap(step, AXIS, in_axes=(None,) * 6 + (0,), out_axes=None, devices=devices, donate_argnums=0)


_epoch_order = jax.jit(batches.epoch_order, static_argnums=2)


@pin_settings()
def predictions(
    variables: Mapping[str, Any], *, model: models.Model, data: Data, batch_size: int
) -> list[Float[Array, "device batch *classes"]]:
    """Outputs for a split, batch by batch in its order, not yet computed; the last batch is filled up."""
    devices, examples = devices_of(data), len(data.labels)
    check_division(batch_size, devices)
    step, index = _reading_step(_outputs, 0, model, batch_size, devices), device_index(devices)
    variables = jax.device_put(variables, replicated(devices))
    return [step(variables, data, np.int32(i), index) for i in range(0, examples, batch_size)]


@pin_settings()
def move_statistics(
    variables: Mapping[str, Any], *, model: models.Model, data: Data, batch_size: int, batches: int
) -> list[Any]:
    """`batch_stats` after one batch in training mode, for each of the first `batches` whole ones of a split.

    BatchNorm's statistics are those of the whole batch, over however many devices; of a model of the user's without
    `axis_name`, the mean over the devices of those of each.
    """
    devices = devices_of(data)
    check_division(batch_size, devices)
    step = _reading_step(_move, None, models.share_statistics(model, AXIS), batch_size, devices)
    variables, index = jax.device_put(variables, replicated(devices)), device_index(devices)
    return _one_by_one(step, variables, data, range(0, batches * batch_size, batch_size), index)


@functools.cache
def _reading_step(
    function: Any, out_axes: int | None, model: models.Model, batch_size: int, devices: tuple[jax.Device, ...]
) -> Any:
    mapped = functools.partial(function, model=model, size=batch_size // len(devices))
    return jax.pmap(mapped, AXIS, in_axes=(None, None, None, 0), out_axes=out_axes, devices=devices)
