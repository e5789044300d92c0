"""The words that schedules are asked for in, and what else is taken where words are."""

import json
from collections.abc import Callable

import numpy as np
import pytest

import lrsched as ls
from lrsched.schedules import language, registry

COMPOSED = (
    "warmup:5%+cosine",
    "warmup:100st+constant+linear:20%",
    "warmup:2ep,init_value=0.001+rex:d=0.9@50-75",
    "rex:0.5+linear:100,peak_value=0.02+constant:1ep",
    "step:50%,fractions=0.3/0.6+exponential_decay:rest,decay_rate=1e-3",
    "sgdr:90%,first_cycle=1ep+constant",
)


@pytest.mark.parametrize("words", COMPOSED)
def test_label_of_composed_words_says_the_same(words: str) -> None:
    full = language.parse(words)
    assert language.parse(language.label(full)) == full == language.parse(json.dumps(full))
    assert language.label(language.label(words)) == language.label(words)


def test_warmup_and_cosine_are_the_sequence_of_both() -> None:
    composed = ls.plan("warmup:5%+cosine", ls.Budget(3, 100), peak_value=0.1)
    made = ls.sequence([ls.warmup(0.1, total_steps=15), ls.cosine(0.1, total_steps=285)])
    np.testing.assert_array_equal(composed.lr.table(), made.table())
    assert composed.cycle_ends == (300,)


def test_segments_take_steps_percentages_epochs_and_the_rest() -> None:
    plan = ls.plan("warmup:2ep+constant:30st+constant:peak_value=0.2+linear:20%", ls.Budget(10, 10), peak_value=0.1)
    table = plan.lr.table()
    np.testing.assert_allclose(table[[0, 10, 20, 49, 50, 79, 80, 90]], [0, 0.05, 0.1, 0.1, 0.2, 0.2, 0.1, 0.05])


def test_sampling_holds_in_its_own_segment() -> None:
    table = ls.plan("warmup:50%+linear:50%@50-75", 200, peak_value=1.0).lr.table()
    np.testing.assert_allclose(table[[99, 100, 149, 150, 174, 175, 199]], [0.99, 1, 1, 0.5, 0.5, 0.25, 0.25])


def test_ramp_hold_power_and_line_are_sayable_as_parts_of_one_peak() -> None:
    # modded-nanogpt's four phases: up, the peak, a power of 0.6 down to a part of it, and a line from there to 0
    words = "warmup:2%+constant:48%+polynomial:40%,power=0.6,end_value=20%+linear:10%,peak_value=20%"
    for peak in (0.1, 0.5):
        table = ls.plan(words, 100, peak_value=peak).lr.table() / peak
        np.testing.assert_allclose(table[[0, 1, 2, 49, 50]], [0, 0.5, 1, 1, 1])
        np.testing.assert_allclose(table[[70, 89]], [0.2 + 0.8 * 0.5**0.6, 0.2 + 0.8 * (1 / 40) ** 0.6])
        np.testing.assert_allclose(table[[90, 95, 99]], [0.2, 0.1, 0.02])
    assert language.label(language.label(words)) == language.label(words)


def test_part_of_a_peak_needs_one() -> None:
    with pytest.raises(ValueError, match="peak_value must be given once"):
        ls.plan("rex:50%,peak_value=0.1+linear:peak_value=20%", 100)
    with pytest.raises(ValueError, match=r"peak_value must be a rate, or a percentage of the peak \(10%\), got 'high'"):
        ls.plan("rex:50%+linear:peak_value=high", 100, peak_value=0.1)


def test_peak_of_json_is_that_of_segments_without_one() -> None:
    segments = [{"schedule": "warmup", "duration": "5%"}, {"schedule": "rex", "peak_value": 0.3}]
    full = language.parse({"sequence": segments, "peak_value": 0.1})
    assert [segment["peak_value"] for segment in full["sequence"]] == [0.1, 0.3]
    with pytest.raises(ValueError, match="peak_value must be given once"):
        ls.plan(full, 100, peak_value=0.2)
    with pytest.raises(ValueError, match="peak_value must be given once"):
        ls.plan("warmup:5%+rex:peak_value=0.1", 100)


def test_momentum_is_composed_too() -> None:
    momentum = ls.plan(
        "rex", 100, peak_value=0.1, momentum="constant:30%,peak_value=0.85+linear:peak_value=0.95,end_value=0.85"
    ).momentum.table()
    np.testing.assert_allclose(momentum[[0, 29, 30, 65]], [0.85, 0.85, 0.95, 0.9])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("warmup:5%", "name:argument=value"),
        ("warmup:5%+", "segment:duration[+]segment"),
        ("+cosine", "segment:duration[+]segment"),
        ("warmup:5%+nothing", "schedule must be one of"),
        ("warmup:5%,7%+cosine", "name:argument=value"),
        ("warmup:5%,duration=7%+cosine", "given once, got duration again"),
        ("warmup:fast+cosine", "duration must be steps"),
        ("warmup:-5%+cosine", "duration must be at least 0"),
        ("warmup:150%+cosine", "duration must be a fraction of the budget"),
        ("warmup+cosine", "one part alone may be without a duration"),
        ("rex:d=2+cosine:5%", "d must be at least 0 and below 1"),
        ('{"sequence": [{"schedule": "rex"}]}', "sequence must be a list of two schedules or more"),
        ('{"sequence": ["rex", "linear"]}', "sequence must be a list of two schedules or more"),
        ('{"sequence": [{"schedule": "rex"}, {"schedule": "rex"}], "d": 1}', "sequence takes its segments"),
        ('{"sequence": [{"schedule": "rex"}, {"schedule": "rex", "duration": [1]}]}', "duration must be"),
        ('{"schedule": "rex", "schedule": "linear"}', "'schedule' is given more than once"),
        ('{"schedule": ' + "[" * 60_000 + "]" * 60_000 + "}", "schedule must be words or a JSON object"),
    ],
)  # fmt: skip
def test_composed_words_that_say_no_schedule_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        language.parse(words)
    assert "\n" not in str(refusal.value)


def test_durations_that_do_not_fit_are_refused_by_the_plan() -> None:
    with pytest.raises(ValueError, match="durations must fit into total_steps = 50, got 100 steps"):
        ls.plan("warmup:100st+cosine", 50, peak_value=0.1)
    with pytest.raises(ValueError, match="durations must fit into total_steps = 100, got 120 steps"):
        ls.plan("warmup:60%+constant+cosine:60%", 100, peak_value=0.1)


WARM = ls.sequence(
    [ls.warmup(0.1, total_steps=15), ls.cosine(0.1, total_steps=1)], durations=["5%", "rest"], total_steps=300
)


@pytest.mark.parametrize(
    "words", [WARM, ls.to_json(WARM), json.loads(ls.to_json(WARM))], ids=["value", "text", "object"]
)
def test_value_and_its_json_are_taken_where_words_are(words: language.Words) -> None:
    assert language.parse(words) == json.loads(ls.to_json(WARM))
    assert registry.build(language.parse(words), total_steps=600) == WARM.at(600)
    plan = ls.plan(words, 600)
    np.testing.assert_array_equal(plan.lr.table(), WARM.at(600).table())
    assert plan.digest() == ls.plan(WARM, ls.Budget(600)).digest()
    assert language.label(words) == language.label(WARM)
    assert language.label(words).startswith("Sequence(Growth(Linear),Decay(Cosine))#")


def test_labels_tell_values_apart() -> None:
    assert len({language.label(ls.rex(peak, total_steps=10)) for peak in (0.1, 0.2)}) == 2


def test_peak_scales_a_value_by_its_highest_rate() -> None:
    plan = ls.plan(WARM, 600, peak_value=0.4)  # the highest is 0.1, so four times as much throughout
    np.testing.assert_allclose(plan.lr.table(), 4 * WARM.at(600).table(), rtol=1e-12)
    recorded = json.loads(plan.words)["lr"]
    np.testing.assert_array_equal(registry.build(recorded, total_steps=600).table(), plan.lr.table())
    with pytest.raises(ValueError, match="peak_value must be left out for a schedule whose rates are all 0"):
        ls.plan(ls.constant(0.0, total_steps=5), 5, peak_value=0.1)


def test_shape_of_a_warmup_leaves_older_words_as_they_were() -> None:
    assert language.parse("warmup") == {"schedule": "warmup", "init_value": 0.0, "sampling": "every"}
    assert language.parse("warmup:shape=exponential,init_value=1e-3")["shape"] == "exponential"


@pytest.mark.parametrize(
    "wrapped", [lambda made: made, lambda made: ls.product(made, 0.5), lambda made: ls.clip(made, maximum=1.0)]
)
def test_made_sequence_in_steps_moves_to_any_budget_as_words_do(wrapped: Callable[[ls.Schedule], ls.Schedule]) -> None:
    made = wrapped(ls.sequence([ls.warmup(0.1, total_steps=15), ls.cosine(0.1, total_steps=285)]))
    for total in (17, 44, 300, 1000):
        lr = ls.plan(ls.to_json(made), total, peak_value=0.2).lr
        np.testing.assert_allclose(lr.table(), ls.plan("warmup:15st+cosine", total, peak_value=0.2).lr.table())


def test_made_sequence_that_a_budget_cannot_hold_is_refused() -> None:
    made = ls.sequence([ls.warmup(0.1, total_steps=15), ls.cosine(0.1, total_steps=285)])
    with pytest.raises(ValueError, match="durations must fit into total_steps = 10, got 15"):
        ls.plan(made, 10)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rex:d=0.5,d=0.9", "schedule arguments must be given once, got d again"),
        ('{"schedule": ["rex"]}', "schedule must be one of"),
        ("wsd:warmup=-5st", "must be at least 0, got -5|must be at least 0 and .* got -5"),
    ],
)
def test_words_that_would_be_misread_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language.parse(words)


def test_staircase_takes_true_and_false() -> None:
    for words, value in (("true", True), ("false", False)):
        assert language.parse(f"exponential_decay:staircase={words}")["staircase"] is value


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("rex", "rex"),
        ("rex:d=0.5", "rex"),
        ("rex:d=0.9@50-75", "rex:d=0.9@50-75"),
        ("step:fractions=0.5/0.75", "step"),
        ("step:factor=0.2,fractions=0.3/0.6", "step:fractions=0.3/0.6,factor=0.2"),
        ('{"schedule": "linear", "sampling": "10-10"}', "linear@10-10"),
        ("linear@every", "linear"),
        ("step:fractions=0.5", "step:fractions=0.5"),
        ("inverse_time:transition_steps=1", "inverse_time"),
        ("inverse_time:transition_steps=1.0", "inverse_time:transition_steps=1.0"),  # the whole budget, not a step
        ("polynomial:power=1", "polynomial"),
        ("multi_step:boundaries=0.5/1", "multi_step:boundaries=0.5/1"),
        ("exponential_decay:staircase=true", "exponential_decay:staircase=true"),
    ],
)
def test_label_is_the_shortest_words(words: str, label: str) -> None:
    assert language.label(words) == label


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("foo", "schedule must be one of constant, cosine, .* got 'foo'"),
        ("", "schedule must be one of"),
        ("rex:d", "name:argument=value"),
        ("rex:", "name:argument=value@sampling"),
        ("rex@", "name:argument=value@sampling"),
        ("linear:sampling=50-75@5-25", "sampling again"),
        ("rex:q=1", "rex takes peak_value, d, end_value, sampling, got 'q'"),
        ("rex:d=1", "d must be at least 0 and below 1, got 1"),
        ("rex:d=half", "d must be one number, got 'half'"),
        ("rex@77", "sampling must be one of"),
        ("onecycle:variant=mine", "variant must be one of smith, .* got 'mine'"),
        ("step:fractions=2", "fractions must be a fraction of the budget"),
        ("{", "schedule must be words or a JSON object: JSON must be"),
    ],
)
def test_wrong_words_are_refused_with_what_is_allowed(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language.parse(words)


def test_numpy_numbers_in_words_become_plain_ones() -> None:
    words = {"schedule": "snapshot_cosine", "cycles": np.int64(5)}
    plan = ls.plan(words, ls.Budget(10), peak_value=np.float32(0.5))
    assert json.loads(plan.words)["lr"]["cycles"] == 5
    with pytest.raises(ValueError, match="profile must be a number, a word or a list of them"):
        language.parse({"schedule": "delayed", "profile": ls.profiles.rex()})
