"""Optimisers whose rate, momentum and weight decay are inputs of each update, not constants of the program."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import jax
import optax
from jaxtyping import Float

from lrsched.training import names

Scalar = Float[Any, ""]  # float32, of NumPy or traced
MomentumForm = Literal["optax", "caffe"]
WeightDecayMode = Literal["coupled", "decoupled"]
_B2, _EPS = 0.999, 1e-8  # Adam's


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """The form of the update; its numbers come with each update. For gradient g, weight w, momentum m:

    sgd:      v' = m v + g,               w' = w - rate v'     (PyTorch's; the caffe form is below)
    nesterov: v' = m v + g,               w' = w - rate (g + m v')
    adagrad:  s' = s + g^2,               v' = m v + g / sqrt(s' + 1e-7),   w' = w - rate v',   s = 0.1 at first
    rmsprop:  s' = 0.9 s + 0.1 g^2,       v' = m v + g / sqrt(s' + 1e-8),   w' = w - rate v',   s = 0 at first
    adam:     v' = m v + (1 - m) g,       w' = w - rate (v' / (1 - m^k)) / (sqrt(s' / (1 - 0.999^k)) + 1e-8),
              s' = 0.999 s + 0.001 g^2,   k = 1 at the first update and m that of update k (b1); adamw: the same
    schedule_free_*: see `schedule_free`; the momentum is the interpolation, b1.

    So the momentum is applied by each of them. With momentum 0, sgd, adagrad and rmsprop are their papers' plain forms;
    with another one, adagrad and rmsprop have the trace behind the scaling (PyTorch's RMSprop; TensorFlow's, Keras's
    and optax.rmsprop's have the rate inside that trace). The constants are optax's. Others: Adagrad starts from 0 and
    adds its constant to the root in the paper (PyTorch: 1e-10); RMSprop in PyTorch has 0.99 for 0.9, and 1e-8 beside
    the root, where 1e-8 within it is as much as 1e-4 for small gradients; Keras has 1e-7 for both.

    caffe form (sgd and nesterov only): v' = m v + rate g,    w' = w - v'    (nesterov: w' = w - (1 + m) v' + m v)
    The two agree while the rate is constant: the caffe form keeps the rate each gradient came with, so a falling rate
    falls there with a delay.

    Coupled weight decay adds decay * w to g before anything else (L2; PyTorch's SGD, the papers'); decoupled subtracts
    rate * decay * w beside the momentum (SGDW, AdamW; the whole rate, as in PyTorch, where the paper has only the
    schedule's factor). None: decoupled for adamw and schedule_free_adamw, which have no other, else coupled. To
    schedule_free_sgd, which has no trace, both are the same. Every parameter decays.

    Raises:
      ValueError: for a word that is not one of these, or that the named optimiser does not have.
    Source:
      Sutskever et al., ICML 2013; Duchi, Hazan, Singer, JMLR 2011; Hinton, Coursera lecture 6e, 2012; Kingma, Ba,
      arXiv:1412.6980; Loshchilov, Hutter, ICLR 2019, arXiv:1711.05101.
    """

    name: str = "sgd"  # of OPTIMIZERS
    momentum_form: str = "optax"  # of MomentumForm
    weight_decay_mode: str | None = None  # of WeightDecayMode; never None once made

    def __post_init__(self) -> None:
        kind = find(self.name)
        if self.weight_decay_mode is None:
            object.__setattr__(self, "weight_decay_mode", usual_weight_decay_mode(self.name))
        for field, words in (("momentum_form", MomentumForm), ("weight_decay_mode", WeightDecayMode)):
            if (value := getattr(self, field)) not in get_args(words):
                raise ValueError(f"optimizer's {field} must be one of {', '.join(get_args(words))}, got {value!r}.")
        if self.momentum_form != "optax" and not kind.caffe:
            raise ValueError(f"optimizer's momentum_form must be 'optax' for {self.name}, got {self.momentum_form!r}.")
        if self.weight_decay_mode != "decoupled" and kind.decoupled:
            raise ValueError(
                f"optimizer's weight_decay_mode must be 'decoupled' for {self.name}, got {self.weight_decay_mode!r}."
            )


def usual_weight_decay_mode(name: str) -> WeightDecayMode:
    """The weight-decay mode of an optimiser where none is given."""
    return "decoupled" if find(name).decoupled else "coupled"


def find(name: str) -> "Kind":
    """The optimiser of a name.

    Raises:
      ValueError: for an unknown name.
    """
    if name not in OPTIMIZERS:
        raise names.unknown("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]


def transformation(
    optimizer: Optimizer, *, rate: Scalar, momentum: Scalar, weight_decay: Scalar
) -> optax.GradientTransformation:
    """The update of one step, from numbers that may be traced; the state's structure depends on `optimizer` alone.

    Args:
      rate: learning rate of this update.
      momentum: momentum of this update; `Optimizer` says what it is to each.
      weight_decay: coefficient; in the decoupled mode it is multiplied by the rate.
    """
    kind = OPTIMIZERS[optimizer.name]
    if kind.whole:
        return kind.whole(rate=rate, momentum=momentum, weight_decay=weight_decay)
    decay = optax.add_decayed_weights(weight_decay)
    if optimizer.momentum_form == "caffe":
        chain = [optax.scale(rate), *kind.direction(momentum), optax.scale(-1.0)]
        if optimizer.weight_decay_mode == "decoupled":
            chain.insert(2, optax.add_decayed_weights(rate * weight_decay))
    else:
        chain = [*kind.direction(momentum), optax.scale(-rate)]
        if optimizer.weight_decay_mode == "decoupled":
            chain.insert(-1, decay)
    return optax.chain(*([decay] if optimizer.weight_decay_mode == "coupled" else []), *chain)


class ScheduleFree(NamedTuple):
    """State of `schedule_free`. The parameters in training are y; x and z are trees like them."""

    averaged: Any  # x
    inner: Any  # optax.contrib's state, which holds z


def schedule_free(*, adamw: bool, rate: Scalar, momentum: Scalar, weight_decay: Scalar) -> optax.GradientTransformation:
    """Schedule-free SGD or AdamW, for gradients taken at y, under any rate and momentum of each update.

    z' = z - rate (d + decay y),   x' = (1 - c) x + c z',   y' = momentum x' + (1 - momentum) z',
    c = r^2 / (sum of r^2 over all updates so far),   r the largest rate so far;   x = y = z at first.

    d is g, or for AdamW g / (sqrt(s' / (1 - 0.999^k)) + 1e-8), s' = 0.999 s + 0.001 g^2. While all rates were 0, c = 0.
    A warm-up's updates weigh less in x; a rate that falls does not lower the weights. Momentum 0 is averaged SGD.

    It is optax.contrib.schedule_free at x, with an interpolation of its own of 1. That one, given another, gets x back
    from y and z, which needs the momentum that y was mixed with, above 0; here x is in the state, one copy of the
    parameters more, so that the momentum may change, or be 0, and rounding is not divided by it.

    Source:
      Defazio et al., NeurIPS 2024, arXiv:2405.15682; their code has this r (weight_lr_power 2), the paper's
      formula each update's own rate: the same as long as the rate does not fall.
    """
    scaling = [optax.scale_by_rms(decay=_B2, eps=_EPS, eps_in_sqrt=False, bias_correction=True)] if adamw else []

    def at(y: Any) -> optax.GradientTransformation:
        decay = optax.stateless(lambda d, _: jax.tree.map(lambda d, y: d + weight_decay * y, d, y))  # not of x
        base = optax.chain(*scaling, decay, optax.scale(-rate))
        return _promoting(optax.contrib.schedule_free(base, learning_rate=rate, b1=1.0, weight_lr_power=2.0))

    def init(params: Any) -> ScheduleFree:
        return ScheduleFree(jax.tree.map(lambda w: w.copy(), params), at(params).init(params))  # both may be donated

    def update(gradients: Any, state: ScheduleFree, params: Any = None) -> tuple[Any, ScheduleFree]:
        change, inner = at(params).update(gradients, state.inner, state.averaged)
        x = optax.apply_updates(state.averaged, change)
        change = jax.tree.map(lambda x, y, z: momentum * x + (1 - momentum) * z - y, x, params, inner.z)
        return change, ScheduleFree(x, inner)

    return optax.GradientTransformation(init, update)


def prediction_params(optimizer: Optimizer, opt_state: Any, params: Any) -> Any:
    """The parameters to predict with: for schedule-free optimisers the average x, else `params` themselves.

    BatchNorm's statistics were gathered by the network of `params` (y): at x they must be estimated anew
    (`lrsched.training.predict.estimate_statistics`), as the authors say too.

    Args:
      opt_state: the state that `transformation(optimizer, ...)` left after any number of updates, 0 included.
      params: those of training, after as many.
    """
    return opt_state.averaged if OPTIMIZERS[optimizer.name].averaged else params


def _promoting(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Optax raises decays to an integer count: with a traced one that is no strict promotion."""

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        with jax.numpy_dtype_promotion("standard"):
            return inner.update(gradients, state, params)

    return optax.GradientTransformation(inner.init, update)


def _adam(momentum: Scalar) -> list[optax.GradientTransformation]:
    return [_promoting(optax.scale_by_adam(b1=momentum, b2=_B2, eps=_EPS))]


def _adagrad(momentum: Scalar) -> list[optax.GradientTransformation]:
    return [optax.scale_by_rss(initial_accumulator_value=0.1, eps=1e-7), optax.trace(momentum)]


def _rmsprop(momentum: Scalar) -> list[optax.GradientTransformation]:
    return [optax.scale_by_rms(decay=0.9, eps=1e-8), optax.trace(momentum)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """What an optimiser is: the direction of its update, or the whole update.

    Attributes:
      direction: momentum -> the transformations of the gradient that come before the rate.
      whole: (rate, momentum, weight_decay) -> all of the update, in place of `direction`.
      caffe: whether it has the caffe form too; `direction` is then a single trace.
      decoupled: whether its weight decay has no coupled mode.
      averaged: whether the state holds the parameters to predict with, as `averaged`.
    """

    direction: Callable[[Scalar], list[optax.GradientTransformation]] = lambda momentum: []
    whole: Callable[..., optax.GradientTransformation] | None = None
    caffe: bool = False
    decoupled: bool = False
    averaged: bool = False


OPTIMIZERS: dict[str, Kind] = {
    "sgd": Kind(direction=lambda momentum: [optax.trace(momentum)], caffe=True),
    "nesterov": Kind(direction=lambda momentum: [optax.trace(momentum, nesterov=True)], caffe=True),
    "adagrad": Kind(direction=_adagrad),
    "rmsprop": Kind(direction=_rmsprop),
    "adam": Kind(direction=_adam),
    "adamw": Kind(direction=_adam, decoupled=True),
    "schedule_free_sgd": Kind(whole=functools.partial(schedule_free, adamw=False), averaged=True),
    "schedule_free_adamw": Kind(whole=functools.partial(schedule_free, adamw=True), averaged=True, decoupled=True),
}

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(OPTIMIZERS)]  # for the command line
