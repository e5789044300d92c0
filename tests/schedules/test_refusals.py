"""What budgets, names and JSON refuse, each in one line."""

import json

import pytest

import lrsched
from lrsched import profiles, sampling

LINEAR = json.loads(lrsched.to_json(lrsched.linear(0.1, total_steps=10)))


@pytest.mark.parametrize("words", [5, ["50-75"], None, "x%", "st"])
def test_sampling_refuses_what_is_no_name(words: object) -> None:
    with pytest.raises(ValueError, match="sampling must be one of 50-75, .*, got"):
        sampling.named(words)


@pytest.mark.parametrize("profile", [3, ["rex"], None, "mine", profiles.rex, profiles.Rex])
def test_profile_refuses_what_is_no_name(profile: object) -> None:
    with pytest.raises(ValueError, match="profile must be one of constant, .*, got"):
        profiles.named(profile)


def test_growth_refuses_what_is_no_profile() -> None:
    with pytest.raises(ValueError, match="profile must be one of constant, .*, got 5"):
        lrsched.growth(0.1, total_steps=10, profile=5)


@pytest.mark.parametrize("text", [None, 3, "nope", "{", "[" * 100_000, '"words"', "[1, 2]"])
def test_from_json_refuses_what_to_json_never_writes(text: object) -> None:
    with pytest.raises(ValueError, match="^JSON must") as refusal:
        lrsched.from_json(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", [["a"], None, 3, {"kind": "Linear"}])
def test_from_json_refuses_a_kind_that_is_no_name(kind: object) -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        lrsched.from_json(json.dumps({"kind": kind}))


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
        lrsched.from_json(json.dumps({**LINEAR, **fields}))
