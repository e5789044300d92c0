"""Every form of the update against the formula it is named after, with numbers that change at every step."""

import itertools
from typing import Any, get_args

import jax
import numpy as np
import optax
import pytest

from lrsched.runs import task as tasks
from lrsched.training import nets, optim, train

RATES = np.array([0, 0.1, 0.02, 0.3, 0.05, 0.2, 0.01, 0.15, 0.08, 0.004], np.float32)
MOMENTA = np.array([0.9, 0.5, 0.95, 0.8, 0, 0.9, 0.85, 0.3, 0.99, 0.7], np.float32)
DECAY = np.float32(0.01)
RNG = np.random.default_rng(0)
WEIGHTS = {"a": RNG.normal(size=(3, 2)).astype(np.float32), "b": RNG.normal(size=4).astype(np.float32)}
GRADIENTS = [jax.tree.map(lambda w: RNG.normal(size=w.shape).astype(np.float32), WEIGHTS) for _ in RATES]
NAMES = tuple(optim.OPTIMIZERS)
SCHEDULE_FREE = ("schedule_free_sgd", "schedule_free_adamw")


def _forms() -> list[optim.Optimizer]:
    """Every optimiser there is."""
    found = []
    for words in itertools.product(NAMES, get_args(optim.MomentumForm), get_args(optim.WeightDecayMode)):
        try:
            found.append(optim.Optimizer(*words))
        except ValueError:
            continue
    return found


FORMS = _forms()


def _zero(optimizer: optim.Optimizer) -> optax.GradientTransformation:
    zero = np.float32(0)
    return optim.transformation(optimizer, rate=zero, momentum=zero, weight_decay=zero)


def _ours(optimizer: optim.Optimizer, rates: np.ndarray, momenta: np.ndarray, decay: np.ndarray) -> Any:
    """Parameters after every update, compiled once, and those to predict with."""
    traces = []

    @jax.jit
    def update(g: Any, state: Any, w: Any, rate: Any, momentum: Any, decay: Any) -> Any:
        traces.append(rate)
        tx = optim.transformation(optimizer, rate=rate, momentum=momentum, weight_decay=decay)
        changes, state = tx.update(g, state, w)
        return optax.apply_updates(w, changes), state

    w, state = WEIGHTS, _zero(optimizer).init(WEIGHTS)
    for g, rate, momentum in zip(GRADIENTS, rates, momenta, strict=True):
        w, state = update(g, state, w, rate, momentum, decay)
    assert len(traces) == 1
    return w, optim.prediction_params(optimizer, state, w)


def _by_hand(optimizer: optim.Optimizer, w: np.ndarray, gradients: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The docstrings' formulas in float64: parameters, and those to predict with."""
    w = w.astype(np.float64)
    name, decay = optimizer.name, float(DECAY)
    m, x, z = np.zeros_like(w), w, w
    s = np.full_like(w, 0.1 if name == "adagrad" else 0.0)
    weights: list[float] = []
    steps = zip(gradients, RATES.astype(float), MOMENTA.astype(float), strict=True)
    for k, (g, rate, b) in enumerate(steps, start=1):
        before = w
        if optimizer.weight_decay_mode == "coupled":
            g = g + decay * w
        if name in ("adam", "adamw"):
            m, s = b * m + (1 - b) * g, 0.999 * s + 0.001 * g**2
            w = w - rate * (m / (1 - b**k)) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
        elif name in SCHEDULE_FREE:
            if name == "schedule_free_adamw":
                s = 0.999 * s + 0.001 * g**2
                g = g / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
            weights.append(max(RATES[:k].astype(float)) ** 2)
            c = weights[-1] / sum(weights) if sum(weights) else 0.0
            z = z - rate * (g + decay * w * (optimizer.weight_decay_mode == "decoupled"))
            x = (1 - c) * x + c * z
            w = b * x + (1 - b) * z
            continue
        elif optimizer.momentum_form == "optax":
            if name == "adagrad":
                s = s + g**2
                g = g / np.sqrt(s + 1e-7)
            elif name == "rmsprop":
                s = 0.9 * s + 0.1 * g**2
                g = g / np.sqrt(s + 1e-8)
            m = b * m + g
            w = w - rate * (g + b * m if name == "nesterov" else m)
        else:
            old, m = m, b * m + rate * g
            w = w - ((1 + b) * m - b * old if name == "nesterov" else m)
        if optimizer.weight_decay_mode == "decoupled":
            w = w - rate * decay * before
    return w, x if name in SCHEDULE_FREE else w


@pytest.mark.parametrize("optimizer", FORMS, ids=lambda o: f"{o.name}-{o.momentum_form}-{o.weight_decay_mode}")
def test_update_follows_its_formula_with_changing_numbers(optimizer: optim.Optimizer) -> None:
    ours, evaluated = _ours(optimizer, RATES, MOMENTA, DECAY)
    atol = 2e-5 if "adam" in optimizer.name else 1e-6  # float32 against float64; 1 - 0.999^k has five digits in float32
    for name, w in WEIGHTS.items():
        expected, average = _by_hand(optimizer, w, [g[name] for g in GRADIENTS])
        np.testing.assert_allclose(ours[name], expected, rtol=2e-5, atol=atol)
        np.testing.assert_allclose(evaluated[name], average, rtol=2e-5, atol=atol)


def test_every_name_has_a_form_and_only_two_have_the_caffe_form() -> None:
    assert {o.name for o in FORMS} == set(NAMES)
    assert {o.name for o in FORMS if o.momentum_form == "caffe"} == {"sgd", "nesterov"}
    assert [o.name for o in FORMS if o.name.endswith("adamw")] == ["adamw", "schedule_free_adamw"]  # decoupled only


@pytest.mark.parametrize(
    ("form", "w"),
    [  # w = 0, gradient 1, momentum 0.9, rates 0.1 then 0.01
        ("optax", -0.119),  # v = 1, 1.9:   -0.1 * 1 - 0.01 * 1.9
        ("caffe", -0.200),  # v = 0.1, 0.9 * 0.1 + 0.01 = 0.1:   -0.1 - 0.1
    ],
)
def test_momentum_forms_differ_when_the_rate_falls(form: Any, w: float) -> None:
    optimizer, weight, one = optim.Optimizer("sgd", form), np.float32(0), np.float32(1)
    state = None
    for rate in np.array([0.1, 0.01], np.float32):
        tx = optim.transformation(optimizer, rate=rate, momentum=np.float32(0.9), weight_decay=np.float32(0))
        change, state = tx.update(one, state or tx.init(weight), weight)
        weight = weight + change
    np.testing.assert_allclose(weight, w, rtol=1e-6)


def _peers() -> list[Any]:
    sgd, adam, free = optax.sgd, optax.adam, optax.contrib
    return [
        ("nesterov", None, 0.0, 0.9, sgd(0.1, momentum=0.9, nesterov=True)),
        ("adagrad", None, 0.0, 0.0, optax.adagrad(0.1)),
        ("rmsprop", None, 0.0, 0.0, optax.rmsprop(0.1)),
        ("rmsprop", None, 0.0, 0.9, optax.rmsprop(0.1, momentum=0.9)),
        ("adam", None, 0.0, 0.9, adam(0.1, b1=0.9)),
        ("adam", "decoupled", 0.01, 0.9, optax.adamw(0.1, b1=0.9, weight_decay=0.01)),
        ("adamw", None, 0.01, 0.9, optax.adamw(0.1, b1=0.9, weight_decay=0.01)),
        ("schedule_free_sgd", None, 0.01, 0.9, free.schedule_free_sgd(0.1, b1=0.9, weight_decay=0.01)),
        ("schedule_free_adamw", None, 0.01, 0.9, free.schedule_free_adamw(0.1, b1=0.9, weight_decay=0.01)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode", "decay", "momentum", "peer"), _peers())
def test_update_equals_optax_with_constant_numbers(
    name: str, mode: str | None, decay: float, momentum: float, peer: Any
) -> None:
    count = len(GRADIENTS)
    rates, momenta = np.full(count, 0.1, np.float32), np.full(count, momentum, np.float32)
    ours, evaluated = _ours(optim.Optimizer(name, "optax", mode), rates, momenta, np.float32(decay))
    w, state = WEIGHTS, peer.init(WEIGHTS)
    with jax.numpy_dtype_promotion("standard"):
        for g in GRADIENTS:
            changes, state = peer.update(g, state, w)
            w = optax.apply_updates(w, changes)
        average = optax.contrib.schedule_free_eval_params(state, w) if name in SCHEDULE_FREE else w
    for got, expected in ((ours, w), (evaluated, average)):  # theirs divides rounding by b1
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected)


def test_schedule_free_average_on_a_parabola() -> None:
    optimizer, y = optim.Optimizer("schedule_free_sgd"), np.float32(1)
    rate, momentum, zero = np.float32(0.5), np.float32(0.9), np.float32(0)
    tx = optim.transformation(optimizer, rate=rate, momentum=momentum, weight_decay=zero)
    state, averages = tx.init(y), []
    for _ in range(5):
        change, state = tx.update(y, state, y)  # of y^2 / 2
        y = y + change
        averages.append(optim.prediction_params(optimizer, state, y))
    # z = 0.5; x = z. y = 0.5: z = 0.25, x = (0.5 + 0.25) / 2. y = 0.3625: z = 0.06875, x = (2 * 0.375 + z) / 3. ...
    np.testing.assert_allclose(averages, [0.5, 0.375, 0.27291667, 0.1903125, 0.12419687], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_evaluated_params_before_the_first_update(name: str) -> None:
    optimizer = optim.Optimizer(name)
    evaluated = optim.prediction_params(optimizer, _zero(optimizer).init(WEIGHTS), WEIGHTS)
    jax.tree.map(np.testing.assert_array_equal, evaluated, WEIGHTS)


def test_schedule_free_weighs_updates_by_the_square_of_the_largest_rate_so_far() -> None:
    optimizer, y, one, zero = optim.Optimizer("schedule_free_sgd"), np.float32(0), np.float32(1), np.float32(0)
    state = _zero(optimizer).init(y)
    for rate in np.array([1, 2, 1], np.float32):  # z = -1, -3, -4 with weights 1, 4, 4
        tx = optim.transformation(optimizer, rate=rate, momentum=zero, weight_decay=zero)
        change, state = tx.update(one, state, y)
        y = y + change
    np.testing.assert_allclose(optim.prediction_params(optimizer, state, y), -(1 + 12 + 16) / 9, rtol=1e-6)


@pytest.mark.parametrize("optimizer", FORMS, ids=str)
def test_state_structure_does_not_depend_on_the_numbers(optimizer: optim.Optimizer) -> None:
    def structure(number: float) -> Any:
        value = np.float32(number)
        state = optim.transformation(optimizer, rate=value, momentum=value, weight_decay=value).init(WEIGHTS)
        return jax.tree.structure(state), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state)]

    assert structure(0.0) == structure(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_trains_on_two_devices(name: str) -> None:
    model, optimizer = nets.ResNet(blocks=0, classes=2), optim.Optimizer(name)  # the smallest there is
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), dtype=np.uint8)
    labels = (images.mean((1, 2, 3)) > 127).astype(np.int32)
    data = train.put(images, labels, mean=[0.5], std=[0.25], devices=jax.local_devices()[:2])
    state = train.initial_state(model, optimizer, image_shape=(4, 4, 1), seed=0)
    steps = train.updates(
        state,
        model=model,
        optimizer=optimizer,
        data=data,
        batch_size=8,
        seed=0,
        rates=np.linspace(0, 0.05, 30),
        momenta=np.linspace(0.9, 0, 30),
        weight_decay=1e-4,
        pad=0,
        flip=False,
    )
    made = train.compiled_steps()
    trained = list(steps)
    state, losses = trained[-1][0], [float(metrics.loss) for _, metrics in trained]
    assert train.compiled_steps() == made + 1
    assert losses[-1] < 0.9 * losses[0]
    evaluated = optim.prediction_params(optimizer, state.opt_state, state.params)
    assert (evaluated is state.params) == (name not in SCHEDULE_FREE)
    assert (
        train.evaluate({**state.variables, "params": evaluated}, model=model, data=data, batch_size=8).loss < losses[0]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": "lion"}, f"optimizer must be one of {', '.join(NAMES)}, got 'lion'"),
        ({"momentum_form": "torch"}, "momentum_form must be one of optax, caffe, got 'torch'"),
        ({"weight_decay_mode": "l2"}, "weight_decay_mode must be one of coupled, decoupled, got 'l2'"),
        ({"name": "adam", "momentum_form": "caffe"}, "momentum_form must be 'optax' for adam, got 'caffe'"),
        ({"name": "rmsprop", "momentum_form": "caffe"}, "momentum_form must be 'optax' for rmsprop, got 'caffe'"),
        (
            {"name": "adamw", "weight_decay_mode": "coupled"},
            "weight_decay_mode must be 'decoupled' for adamw, got 'coupled'",
        ),
    ],
)
def test_optimizer_unknown_word(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optim.Optimizer(**words)


@pytest.mark.parametrize(
    ("name", "mode"), [(name, "decoupled" if name.endswith("adamw") else "coupled") for name in NAMES]
)
def test_run_without_a_weight_decay_mode_is_the_run_with_the_usual_one(name: Any, mode: Any) -> None:
    unsaid, said = tasks.RunConfig(optimizer=name), tasks.RunConfig(optimizer=name, weight_decay_mode=mode)
    assert unsaid.as_json() == said.as_json()
    assert said.as_json()["weight_decay_mode"] == mode
    assert tasks.resolve(unsaid).id == tasks.resolve(said).id
    assert tasks.resolve(unsaid).task.optimizer == tasks.resolve(said).task.optimizer
