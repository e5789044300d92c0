"""What to cite: the sources of what a schedule, a plan or words are made of, as the docstrings name them."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lrsched.schedules import codec, language, profiles, registry, sampling
from lrsched.schedules.combine import Sequence
from lrsched.schedules.core import Decay, Schedule, decay
from lrsched.schedules.families.inverse import InverseSqrt
from lrsched.schedules.families.rising import Growth, Rise
from lrsched.schedules.plans import Plan
from lrsched.schedules.references import Reference, as_bibtex, as_text, named_in
from lrsched.schedules.shapes import Delayed, KDecay, Profile

#: The classes of the schedules that one name, or a few names with one source, make.
_MADE_BY = {
    "Averaging": "swa",
    "ExpHyperbolic": "exp_hyperbolic",
    "ExponentialDecay": "exponential_decay",
    "Halving": "onecycle",
    "Hyperbolic": "hyperbolic",
    "InverseTime": "inverse_time",
    "Phases": "onecycle",
    "PiecewiseConstant": "piecewise_constant",
    "PiecewiseInterpolate": "piecewise_interpolate",
    "PowerLaw": "power",
    "Repeated": "fractal",
    "Restarts": "sgdr",
    "Snapshots": "snapshot_cosine",
    "Triangles": "clr",
    "Valleys": "fge",
}
_PROFILES_MADE: dict[type, Any] = {profiles.Step: profiles.step, Delayed: profiles.delayed, KDecay: profiles.k_decay}


def cite(what: Any, *, bibtex: bool = False) -> str:
    """Cites the sources of what a schedule is made of, each once: family, profile, sampling rate, warmup.

    Words and plans know the name that was asked for (`knee`); a schedule made by a call knows its formula alone, and
    where two names have one formula the more general one's source is given.

    Args:
      what: a schedule, a plan (its momentum's sources too), or words such as "warmup:5%+rex@50-75".
      bibtex: whether as entries of BibTeX.
    Returns:
      text, a line a source (authors, title, venue, year, arXiv number); "" where there is none, as for a function.
    Raises:
      ValueError: for words that name no schedule, or what is none of these.
    Example:
      >>> print(cite(rex(0.1, total_steps=100)))
      John Chen, Cameron Wolfe, Anastasios Kyrillidis. REX: Revisiting Budgeted Training with an Improved Schedule. \
Machine Learning and Systems, 2022. arXiv:2107.04197
      >>> cite("warmup:5%+rex@50-75", bibtex=True).count("@")   # Goyal et al., and Chen et al. once
      2

    Source:
      This library's table of references; diffrax's `citation` has the idea.
    """
    return format_references(references_of(what), bibtex=bibtex)


def format_references(found: list[Reference], *, bibtex: bool = False) -> str:
    """References as text, a line each, or as BibTeX."""
    return ("\n\n" if bibtex else "\n").join(map(as_bibtex if bibtex else as_text, found))


def references_of(what: Any) -> list[Reference]:
    """The references behind a schedule, a plan or words, each once, in the order of their parts."""
    sources = _of_plan(what) if isinstance(what, Plan) else _of_words(what)
    return list(dict.fromkeys(each for source in sources for each in named_in(source)))


def source_of(documented: Any) -> str:
    """What the docstring of a schedule's factory, or of a profile, says of its source, on one line."""
    _, _, source = (inspect.getdoc(documented) or "").partition("Source:")
    return " ".join(source.split())


def _of_plan(plan: Plan) -> Iterator[str]:
    said = json.loads(plan.words)
    yield from _of_words(plan.lr) if "function" in said["lr"] else _of_words(said["lr"])
    if said["momentum"].get("schedule") != "constant":
        yield from _of_words(said["momentum"], registry.MOMENTA)


def _of_words(words: Any, kind: Mapping[str, Callable[..., Schedule]] = registry.SCHEDULES) -> Iterator[str]:
    if isinstance(words, Schedule):
        yield from _of_value(words)
        return
    full = language.parse(words, kind=kind)
    if "kind" in full:
        yield from _of_value(codec.from_document(full))
        return
    for one in full.get("sequence", [full]):
        yield source_of(registry.factory(one["schedule"], kind))
        for name in ("profile", "shape"):
            if one.get(name) in profiles.PROFILES and one["schedule"] != "warmup":
                yield _of_profile(profiles.PROFILES[one[name]])
        if one.get("sampling", "every") not in ("every", "inclusive"):
            yield source_of(decay)


def _of_value(value: Any) -> Iterator[str]:
    """The sources of a schedule value, from the outside in."""
    name = type(value).__name__
    if isinstance(value, Growth | Rise):
        rises = isinstance(value, Growth) and isinstance(value.profile, profiles.Linear | profiles.Exponential)
        if not isinstance(value.profile, profiles.Constant):
            yield source_of(registry.SCHEDULES["warmup" if rises else "growth"])
            yield "" if rises else _of_profile(value.profile)
    elif isinstance(value, Decay):
        yield _of_profile(value.profile)
    elif isinstance(value, Sequence):
        form = _form(value)
        yield source_of(registry.SCHEDULES[form]) if form in registry.SCHEDULES else ""
    elif isinstance(value, InverseSqrt):
        own = "noam" if value.first else "inverse_sqrt" if value.timescale == value.warmup else "rsqrt"
        yield source_of(registry.SCHEDULES[own])
    elif name in _MADE_BY:
        yield source_of(registry.SCHEDULES[_MADE_BY[name]])
    if isinstance(getattr(value, "sampling", None), sampling.At | sampling.Every | sampling.EverySteps):
        yield source_of(decay)
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        for each in part if isinstance(part, tuple) else (part,):
            if isinstance(each, Schedule):
                yield from _of_value(each)


def _of_profile(profile: Profile) -> str:
    """The source of a profile and of the one within it."""
    inner = getattr(profile, "profile", None)
    own = source_of(_PROFILES_MADE.get(type(profile), type(profile)))
    return own if inner is None else f"{own} {_of_profile(inner)}"


def _form(value: Sequence) -> str | None:
    """The family that segments in this order are: a hold between a warmup and a decay, or holds and decays in turn."""
    kinds = [
        "hold" if isinstance(each, Growth) and isinstance(each.profile, profiles.Constant) else type(each).__name__
        for each in value.segments
    ]
    inner = [_form(each) for each in value.segments if isinstance(each, Sequence)]
    if len(inner) == len(kinds) > 1 and set(inner) <= {"wsd", "cycle"}:
        return "wsd_s"
    if kinds == ["hold", "Decay"]:
        return "cycle"
    return {("Growth", "hold", "Decay"): "wsd", ("Growth", "Rise", "hold", "Decay"): "infinite"}.get(tuple(kinds))
