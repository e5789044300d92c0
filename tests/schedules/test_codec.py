"""Schedules by JSON, and their classes called directly: nothing gets past the checks of the factories."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lrsched as ls
from lrsched.schedules import core, language, profiles, registry
from lrsched.schedules.entered import Held
from lrsched.schedules.progress import Ratio
from lrsched.schedules.sampling import EverySteps

#: What no field of any schedule expects, or only some; as JSON, so that NaN and 1e400 may be among them.
NASTY = (
    *("null", "true", "false", '""', '"0.1"', '"rex"', '"5%"', '"rest"', "[]", "[0]", "[1, 0.5]", "[[1, 1]]", "{}"),
    *("0", "1", "-1", "2", "7", "0.5", "1.5", "-0.1", "1e-320", "1e39", "1e400", "-1e400", "NaN", "Infinity", "1e-5"),
    *(str(2**31 - 1), str(2**31), str(2**64), "1" + "0" * 400, "100", '{"kind": "Rest"}', '{"kind": "EveryStep"}'),
    *('{"kind": "Linear"}', '{"kind": "Rex", "d": 1.0}', '{"kind": "Ratio", "numerator": 1, "denominator": 0}'),
    *('{"kind": "Ratio", "numerator": 3, "denominator": 2}', '{"kind": "EverySteps", "steps": 0}'),
    ls.to_json(ls.linear(0.1, total_steps=3)),
)
WORDS = (
    *registry.SCHEDULES,
    "rex@50-75",
    "linear@7st",
    "linear@10-10",
    "delayed:profile=tanh",
    "growth:profile=step,mirror=value",
    "onecycle:variant=torch,peak_position=20st",
    "sgdr:cycle_lengths=3/5/7,warmup=2",
)
MADE = {
    **{words: registry.build(language.parse(words), 0.1, total_steps=60) for words in WORDS},
    "halving": ls.onecycle_momentum(total_steps=60),
    "product": ls.product(ls.rex(0.1, total_steps=60), ls.step(1.0, total_steps=60)),
    "clip": ls.clip(ls.linear(0.1, total_steps=60), minimum=0.01, maximum=0.05),
    "truncated": ls.truncated(ls.linear(0.1, total_steps=100), 60),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value, each field of an object and each part of a list stand."""
    yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, (*path, key))


def altered(value: Any, path: tuple[Any, ...], mark: object) -> Any:
    if not path:
        return mark
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = altered(value[path[0]], path[1:], mark)
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_altered_field_is_refused_or_makes_a_whole_schedule(name: str) -> None:
    found = json.loads(ls.to_json(MADE[name]))
    for path in places(found):
        frame = json.dumps(altered(found, path, "@@"))
        for nasty in NASTY:
            text = frame.replace('"@@"', nasty)
            try:
                schedule = ls.from_json(text)
            except ValueError as error:
                assert "\n" not in str(error), text  # noqa: PT017
                continue
            steps = np.unique(np.linspace(0, schedule.total_steps - 1, 100).astype(np.int64))
            table = schedule.table(steps)
            assert np.isfinite(table).all(), text
            assert (table >= 0).all(), text
            assert ls.from_json(ls.to_json(schedule)) == schedule


@pytest.mark.parametrize("name", MADE)
def test_missing_and_extra_fields_are_refused(name: str) -> None:
    found = json.loads(ls.to_json(MADE[name]))
    for field in found:
        less = {key: value for key, value in found.items() if key != field}
        with pytest.raises(ValueError, match="^kind must be one of" if field == "kind" else "must have the fields"):
            ls.from_json(json.dumps(less))
    with pytest.raises(ValueError, match="must have the fields"):
        ls.from_json(json.dumps({**found, "extra": 1}))


def rest(*durations: Any) -> dict[str, Any]:
    """Three constant segments of these durations in 10 steps."""
    found = json.loads(ls.to_json(ls.sequence([ls.constant(0.1, total_steps=n) for n in (3, 3, 4)])))
    return {**found, "durations": list(durations)}


REST = {"kind": "Rest"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (rest(50, REST, 50), "durations must fit into total_steps = 10, got 100 steps"),
        (rest(3, REST, REST), "one part alone may be without a duration"),
        (rest(3, 3), "durations must be one per segment"),
        (rest(3, 3, 5), "durations must sum to total_steps = 10, got 11"),
        (rest(3, 3, -4), "durations must be at least 0"),
        (rest(3, 3, {"kind": "Ratio", "numerator": 1, "denominator": 0}), "denominator must be at least 1"),
        (rest(3, 3, {"kind": "Ratio", "numerator": 1, "denominator": 70_000}), "denominator must be at most 65536"),
        (rest(3, 3, {"kind": "Ratio", "numerator": 3, "denominator": 2}), "durations must be a fraction of the budget"),
    ],
)
def test_durations_that_make_no_sequence_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        ls.from_json(json.dumps(words))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schedule": ' + "[" * 60_000 + "]" * 60_000 + "}", "^JSON must"),
        ("[" * 500 + "]" * 500, "^JSON must be nested at most 60 deep"),
        ('{"kind": "Linear", "kind": "Cosine"}', "'kind' is given more than once"),
        ('{"kind": "Rex", "d": NaN}', "NaN is no number of JSON"),
        ('{"kind": "Rex", "d": -Infinity}', "-Infinity is no number of JSON"),
        ('{"kind": "Rex", "d": 1e400}', "d must be finite, got inf"),
        ('{"kind": "Rex", "d": ' + "9" * 5000 + "}", "^JSON must"),
        ('{"schedule": "rex", "peak_value": 0.1}', "words have no budget, and lrsched.plan gives them one"),
        ('{"kind": "PlateauState"}', "must have the fields"),
    ],
)
def test_text_that_to_json_never_writes_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        ls.from_json(text)
    assert len(str(refusal.value)) < 300


def test_rates_beyond_float32_are_refused_whatever_they_come_from() -> None:
    grown = json.loads(ls.to_json(ls.exponential_decay(0.1, total_steps=60, transition_steps=1)))
    with pytest.raises(ValueError, match="decay_rate must give rates that float32 holds, got"):
        ls.from_json(json.dumps({**grown, "log_rate": 20.0}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: profiles.Rex(1.5), "d must be at least 0 and below 1, got 1.5"),
        (lambda: profiles.Polynomial(-1.0), "power must be at least 0"),
        (lambda: profiles.Tanh(-50.0, 3.0), "lower must be at least -40"),
        (lambda: profiles.Step((Ratio(3, 4), Ratio(1, 2))), "fractions must ascend"),
        (lambda: profiles.Delayed(profiles.Linear(), Ratio(1, 1)), "fraction must be below 1"),
        (lambda: EverySteps(0), "steps must be at least 1"),
        (lambda: Ratio(1, 0), "denominator must be at least 1"),
        (lambda: core.Decay(-0.1, 10, profiles.Linear()), "peak_value must be at least 0"),
        (lambda: core.Decay(0.1, 10, "rex"), "profile of Decay must be Profile, got 'rex'"),
        (lambda: core.Decay(0.1, 10, profiles.Linear(), profiles.Linear()), "sampling of Decay must be Sampling"),
        (lambda: core.Decay(1 + 2j, 10, profiles.Linear()), "peak_value must be one number"),
        (lambda: core.Decay(10**400, 10, profiles.Linear()), "peak_value must be a number that float32 holds"),
    ],
)
def test_class_called_directly_is_checked(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert re.fullmatch(r".+ got .+", str(refusal.value))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ls.clip(0.5, maximum=1.0), "schedule must be a schedule, such as rex"),
        (lambda: ls.product("x", 0.5), "schedule must be a schedule, such as rex"),
        (lambda: ls.product(ls.rex(0.1, total_steps=5), "x"), "factor must be one number, got 'x'"),
        (lambda: ls.truncated(0.5, 10), "schedule must be a schedule, such as rex"),
        (lambda: ls.sequence([0.5]), "segments must be schedules, got "),
        (lambda: ls.sequence(0.5), "segments must be schedules, got "),
        (lambda: ls.sequence(ls.rex(0.1, total_steps=5)), "segments must be schedules, got "),
        (
            lambda: ls.sequence([ls.rex(0.1, total_steps=5)], durations=5),
            "durations must be a list, one per segment, got 5",
        ),
        (lambda: ls.per_label(0.5, {"a": 1.0}), "schedule must be a schedule, such as rex"),
        (lambda: ls.per_label(ls.rex(0.1, total_steps=5), 0.5), "multipliers must be given by label with one schedule"),
        (lambda: ls.jumps(0.5), "schedule must be a schedule, such as rex"),
        (lambda: ls.jumps(ls.rex), "schedule must be a schedule, such as rex"),
        (lambda: ls.to_json(0.5), "schedule must be a schedule, such as rex"),
        (lambda: ls.to_json(ls.rex), "schedule must be a schedule, such as rex"),
        (lambda: ls.plan(0.5, 10, peak_value=0.1), "schedule must be words .*, their JSON, or a schedule, got "),
        (lambda: ls.plan(None, 10, peak_value=0.1), "schedule must be words .*, their JSON, or a schedule, got "),
        (lambda: ls.rex(1 + 2j, total_steps=10), "peak_value must be one number, got "),
        (lambda: ls.rex(np.complex64(1), total_steps=10), "peak_value must be one number, got "),
        (lambda: ls.rex(0.1, total_steps=10j), "total_steps must be a whole number of steps, got 10j"),
        (lambda: ls.rex(0.1, total_steps=10, d=1j), "d must be one number, got 1j"),
        (lambda: ls.rex(1e39, total_steps=10), "peak_value must be a number that float32 holds, at most 3.4e38, got "),
        (
            lambda: ls.warmup(10**400, total_steps=10),
            "peak_value must be a number that float32 holds, at most 3.4e38, got ",
        ),
        (lambda: ls.step(0.1, total_steps=10, fractions=(0.5j,)), "fractions must be one number, got 0.5j"),
        (
            lambda: ls.decay(0.1, profile=ls.profiles.exponential(1e6), total_steps=10).table(),
            "values must be finite at every update, got inf",
        ),
        (
            lambda: ls.exponential_decay(0.1, total_steps=10, decay_rate=1e38, transition_steps=1).at(1000).table(),
            r"decay_rate must give rates that float32 holds, got 1e\+38",
        ),
        (
            lambda: ls.sgdr(0.1, total_steps=1000, first_cycle=1, cycle_mult=1, restart_decay=1e30).table(),
            r"restart_decay must give rates that float32 holds, got 1e\+30",
        ),
    ],
)
def test_what_is_no_schedule_or_number_is_refused_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as refusal:
        make()
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 700


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "Nothing"}', "kind must be one of After, At, .*, got 'Nothing'"),
        ('{"kind": "Rex"}', "Rex must have the fields d, got none"),
        ('{"kind": "Rex", "d": 0.5}', "JSON must hold a schedule, got .*Rex"),
        ("3", "JSON must hold a schedule, got 3"),
        ("{", "JSON must be text that to_json wrote, got '{'"),
    ],
)
def test_from_json_refuses_what_is_no_schedule(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        ls.from_json(text)


LINEAR = json.loads(ls.to_json(ls.linear(0.1, total_steps=10)))


@pytest.mark.parametrize("text", [None, 3, "nope", "{", "[" * 100_000, '"words"', "[1, 2]"])
def test_from_json_refuses_what_to_json_never_writes(text: object) -> None:
    with pytest.raises(ValueError, match="^JSON must") as refusal:
        ls.from_json(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", [["a"], None, 3, {"kind": "Linear"}])
def test_from_json_refuses_a_kind_that_is_no_name(kind: object) -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        ls.from_json(json.dumps({"kind": kind}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peak_value": "x"}, "peak_value must be one number, got 'x'"),
        ({"peak_value": [0.1]}, "peak_value must be one number, got"),
        ({"peak_value": True}, "peak_value must be one number, got True"),
        ({"peak_value": {"kind": "Linear"}}, "peak_value must be one number, got"),
        ({"total_steps": -3}, "total_steps must be at least 1"),
        ({"total_steps": 9.5}, "total_steps must be a whole number of steps, got 9.5"),
        ({"profile": None}, "profile of Decay must be Profile, got None"),
        ({"profile": 5}, "profile of Decay must be Profile, got 5"),
        ({"profile": LINEAR}, "profile of Decay must be Profile, got"),
        ({"sampling": None}, "sampling of Decay must be Sampling, got None"),
        ({"sampling": {"kind": "Linear"}}, "sampling of Decay must be Sampling, got"),
    ],
)
def test_from_json_refuses_fields_that_hold_something_else(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.from_json(json.dumps({**LINEAR, **fields}))


#: Every length that a schedule takes, in steps, of 60.
IN_STEPS = (
    "anytime:60st,warmup=10st,timescale=7st",
    "clr:60st,half_cycle=10st",
    "exp_hyperbolic:60st,upper_bound=100st",
    "exponential_decay:60st,transition_steps=7st",
    "fge:60st,cycle=10st",
    "hyperbolic:60st,upper_bound=100st",
    "infinite:60st,warmup=10st,cooldown=10st,anneal=40st",
    "inverse_sqrt:60st,warmup=10st",
    "inverse_time:60st,transition_steps=7.5st",
    "knee:60st,warmup=10st,explore=20st",
    "multi_step:60st,boundaries=20st/50%",
    "noam:60st,warmup=10st",
    "onecycle:60st,variant=optax_linear,peak_position=20st,tail_position=50st",
    "piecewise_constant:60st,boundaries=20st/40st",
    "piecewise_interpolate:60st,boundaries=20st/50%",
    "power:60st,warmup=10st,cooldown=10st",
    "rsqrt:60st,warmup=10st,timescale=7st,cooldown=10st",
    "sgdr:60st,first_cycle=10st,warmup=3st",
    "sgdr:60st,cycle_lengths=10st/20st/30st",
    "slanted_triangular:60st,cut=20st",
    "swa:60st,start=10st,cycle=4st",
    "wsd:60st,warmup=10st,cooldown=50st",
    "wsd_s:60st,cycle_lengths=20st/40st,warmup=10st,cooldown=10st",
)


@pytest.mark.parametrize("words", IN_STEPS)
def test_schedule_with_lengths_in_steps_is_read_back_from_within_a_sequence(words: str) -> None:
    schedule = registry.build(language.parse(f"{words}+linear"), 0.3, total_steps=100)
    assert ls.from_json(ls.to_json(schedule)) == schedule
    moved = ls.truncated(ls.product(schedule.at(200), 0.5), 150)
    assert ls.from_json(ls.to_json(moved)) == moved


def test_every_length_of_a_registered_schedule_is_among_those_read_back() -> None:
    for name, made in registry.SCHEDULES.items():
        for argument in inspect.signature(made).parameters.values():
            if "Number | str" in str(argument.annotation):
                assert any(words.startswith(f"{name}:") and f"{argument.name}=" in words for words in IN_STEPS), name


def test_segment_that_does_not_fit_is_refused_with_the_length_that_it_has() -> None:
    found = json.loads(
        ls.to_json(registry.build(language.parse("wsd:60st,warmup=50st,cooldown=10%+linear"), 0.3, total_steps=100))
    )
    found["durations"][0] = 40
    for document in (found, {"kind": "Truncated", "schedule": found, "total_steps": 70}):
        with pytest.raises(ValueError, match=r"fit into total_steps = 40, got 54 steps: 50 \+ 4\.$"):
            ls.from_json(json.dumps(document))


def test_schedule_that_another_one_cuts_or_holds_is_read_back_with_its_own_budget() -> None:
    thirty, sixty = (
        ls.sequence([ls.warmup(0.1, total_steps=10), ls.linear(0.1, total_steps=n - 10)]) for n in (30, 60)
    )
    for made in (Held(thirty, 4, 100), Held(thirty, 4, 200), ls.truncated(sixty, 30)):
        assert ls.from_json(ls.to_json(made)) == made
