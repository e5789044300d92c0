"""Learning-rate schedules of the literature as Optax schedules that are data.

    sched = lrsched.rex(0.1, total_steps=1173)      # an Optax schedule
    tx = optax.sgd(sched, momentum=0.9)

The public names are the schedule library, what theory says of a schedule, the LR range test of any training step, and
`check`, `train`, `study` and `load_run`, which need the extra `train`: pip install 'lrsched[train]'.
"""

from lrsched.api import check, load_run, study, train
from lrsched.forecast.bounds import best_rate, bound, rate_ratio
from lrsched.forecast.merging import merge_weights
from lrsched.range_test import range_test
from lrsched.schedules import profiles, sampling
from lrsched.schedules.citations import cite
from lrsched.schedules.codec import from_json, to_json
from lrsched.schedules.combine import clip, jumps, product, sequence
from lrsched.schedules.core import Schedule, decay
from lrsched.schedules.durations import Budget
from lrsched.schedules.entered import after, truncated, whole
from lrsched.schedules.families.cycles import sgdr, snapshot_cosine
from lrsched.schedules.families.cycles_linear import clr, fge, swa
from lrsched.schedules.families.decays import (
    constant,
    cosine,
    exponential,
    k_decay,
    linear,
    mirror_cosine,
    one_minus_sqrt,
    polynomial,
    rex,
    square,
    tanh,
)
from lrsched.schedules.families.fractal import chebyshev_steps, fractal, refined
from lrsched.schedules.families.horizon_free import anytime, exp_hyperbolic, hyperbolic, power
from lrsched.schedules.families.inverse import exponential_decay, inverse_sqrt, inverse_time, noam, rsqrt
from lrsched.schedules.families.onecycle import onecycle, onecycle_momentum
from lrsched.schedules.families.phased import delayed, demon, infinite, knee, slanted_triangular, wsd, wsd_s
from lrsched.schedules.families.piecewise import multi_step, piecewise_constant, piecewise_interpolate, step
from lrsched.schedules.families.plateau import plateau
from lrsched.schedules.families.rising import growth, warmup
from lrsched.schedules.groups import per_label
from lrsched.schedules.interop.from_hf import from_hf
from lrsched.schedules.interop.from_keras import from_keras
from lrsched.schedules.interop.from_optax import from_optax
from lrsched.schedules.interop.from_timm import from_timm
from lrsched.schedules.interop.from_torch import from_torch, from_torch_momentum
from lrsched.schedules.plans import Plan, plan

__version__ = "0.2.0"
__all__ = [
    "Budget",
    "Plan",
    "Schedule",
    "after",
    "anytime",
    "best_rate",
    "bound",
    "chebyshev_steps",
    "check",
    "cite",
    "clip",
    "clr",
    "constant",
    "cosine",
    "decay",
    "delayed",
    "demon",
    "exp_hyperbolic",
    "exponential",
    "exponential_decay",
    "fge",
    "fractal",
    "from_hf",
    "from_json",
    "from_keras",
    "from_optax",
    "from_timm",
    "from_torch",
    "from_torch_momentum",
    "growth",
    "hyperbolic",
    "infinite",
    "inverse_sqrt",
    "inverse_time",
    "jumps",
    "k_decay",
    "knee",
    "linear",
    "load_run",
    "merge_weights",
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
    "power",
    "product",
    "profiles",
    "range_test",
    "rate_ratio",
    "refined",
    "rex",
    "rsqrt",
    "sampling",
    "sequence",
    "sgdr",
    "slanted_triangular",
    "snapshot_cosine",
    "square",
    "step",
    "study",
    "swa",
    "tanh",
    "to_json",
    "train",
    "truncated",
    "warmup",
    "whole",
    "wsd",
    "wsd_s",
]
