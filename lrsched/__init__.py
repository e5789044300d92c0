"""Learning-rate schedules of the literature as Optax schedules that are data.

    sched = lrsched.rex(0.1, total_steps=1173)      # an Optax schedule
    tx = optax.sgd(sched, momentum=0.9)

The public names are the schedule library and the LR range test, which is loaded when it is first used; training and
studies are in submodules.
"""

from lrsched.range_test import range_test
from lrsched.schedules import profiles, sampling
from lrsched.schedules.algebra import clip, jumps, per_label, product, truncated
from lrsched.schedules.budget import Budget
from lrsched.schedules.codec import from_json, to_json
from lrsched.schedules.compose import sequence, warmup
from lrsched.schedules.core import Schedule, decay
from lrsched.schedules.entered import after, whole
from lrsched.schedules.families.cycles import sgdr, snapshot_cosine
from lrsched.schedules.families.cycles_linear import clr, fge, swa
from lrsched.schedules.families.decays import (
    constant,
    cosine,
    exponential,
    linear,
    mirror_cosine,
    one_minus_sqrt,
    polynomial,
    rex,
    square,
    tanh,
)
from lrsched.schedules.families.fractal import chebyshev_steps, fractal, refined
from lrsched.schedules.families.onecycle import onecycle, onecycle_momentum
from lrsched.schedules.families.piecewise import multi_step, piecewise_constant, piecewise_interpolate, step
from lrsched.schedules.families.plateau import plateau
from lrsched.schedules.families.steps import exponential_decay, inverse_sqrt, inverse_time, noam, rsqrt
from lrsched.schedules.families.warm import delayed, demon, growth, infinite, knee, wsd
from lrsched.schedules.interop.from_keras import from_keras
from lrsched.schedules.interop.from_optax import from_optax
from lrsched.schedules.interop.from_torch import from_torch, from_torch_momentum
from lrsched.schedules.plan import Plan, plan

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "Plan",
    "Schedule",
    "after",
    "chebyshev_steps",
    "clip",
    "clr",
    "constant",
    "cosine",
    "decay",
    "delayed",
    "demon",
    "exponential",
    "exponential_decay",
    "fge",
    "fractal",
    "from_json",
    "from_keras",
    "from_optax",
    "from_torch",
    "from_torch_momentum",
    "growth",
    "infinite",
    "inverse_sqrt",
    "inverse_time",
    "jumps",
    "knee",
    "linear",
    "mirror_cosine",
    "multi_step",
    "noam",
    "one_minus_sqrt",
    "onecycle",
    "onecycle_momentum",
    "per_label",
    "piecewise_constant",
    "piecewise_interpolate",
    "plan",
    "plateau",
    "polynomial",
    "product",
    "profiles",
    "range_test",
    "refined",
    "rex",
    "rsqrt",
    "sampling",
    "sequence",
    "sgdr",
    "snapshot_cosine",
    "square",
    "step",
    "swa",
    "tanh",
    "to_json",
    "truncated",
    "warmup",
    "whole",
    "wsd",
]
