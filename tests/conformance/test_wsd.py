"""The page WSD.md: its rows, and the words that make every stack's schedule here."""

import pathlib

import numpy as np
import pytest
import wsd
import wsd_rates as rates
from wsd_rates import REFERENCE, Setting

import lrsched
from lrsched.schedules import language, registry

PAGE = pathlib.Path(__file__).with_name("WSD.md").read_text()


def made(words: str, total_steps: int) -> np.ndarray:
    return registry.build(language.parse(words), 1.0, total_steps=total_steps).table()


def test_rows_of_the_page_are_those_of_its_stacks() -> None:
    found = [block.strip() for block in PAGE.split("\n\n") if block.startswith("|")]
    assert found == [table.strip() for table in wsd.tables()]


@pytest.mark.parametrize("stack", wsd.STACKS, ids=lambda stack: stack.name)
def test_words_of_the_page_make_the_rate_of_every_update(stack: wsd.Stack) -> None:
    far = {}
    for s in stack.settings():
        theirs = np.array([stack.at(k, s) for k in range(s.total)])
        worst = np.max(np.abs(made(stack.words(s), s.total) - theirs) / np.maximum(theirs, 1e-6))
        if worst > 1e-6:
            far[s] = (worst, stack.words(s))
    assert far == {}
    assert len(stack.settings()) >= 5


@pytest.mark.parametrize("stack", [each for each in wsd.STACKS if isinstance(each.rate, tuple)], ids=lambda s: s.name)
def test_formula_of_recorded_stack_is_that_of_megatron_but_for_its_warmup(stack: wsd.Stack) -> None:
    for s in stack.settings():
        theirs = [stack.at(k, s) for k in range(s.warmup, s.total)]
        assert theirs == pytest.approx([rates.megatron(k, s) for k in range(s.warmup, s.total)], rel=1e-8)


@pytest.mark.parametrize("s", wsd.SETTINGS, ids=str)
def test_importers_make_the_recorded_schedules(s: Setting) -> None:
    for stack in wsd.STACKS:
        for shape, ours in stack.shapes.items() if isinstance(stack.rate, tuple) else ():
            library, version = stack.rate
            if library == "transformers":
                decay = (
                    {"decay_type": shape} if version > "4.49" else {"num_stable_steps": s.total - s.warmup - s.decay}
                )
                schedule = lrsched.from_hf(
                    "warmup_stable_decay", lr=1.0, num_warmup_steps=s.warmup, num_training_steps=s.total,
                    scheduler_specific_kwargs={"num_decay_steps": s.decay, "min_lr_ratio": s.end, **decay},
                    version=version,
                )  # fmt: skip
            elif library == "timm":
                schedule = lrsched.from_timm(
                    "WSDLRScheduler", lr=1.0, t_initial=s.total - s.warmup, decay_t=s.decay, lr_min=s.end,
                    warmup_t=s.warmup, decay_fn=shape.partition(",")[0], decay_power=2.0, decay_ratio=0.5,
                    t_in_epochs=False,
                )  # fmt: skip
            else:
                continue
            theirs = [stack.at(k, s._replace(shape=ours)) for k in range(s.total + wsd.BEYOND + 1)]
            table = schedule.table(np.arange(s.total + wsd.BEYOND + 1))
            np.testing.assert_allclose(table, theirs, rtol=1e-6, atol=1e-12)


def test_inv_of_levanter_gives_the_first_update_of_its_decay_the_rate_of_the_second() -> None:
    s = REFERENCE
    theirs = [rates.levanter(k, s._replace(shape="linear")) for k in range(s.total - s.decay)]
    theirs += [1 / ((1 / s.end - 1) * max(j, 1) / s.decay + 1) for j in range(s.decay)]
    ours = made("wsd_s:cycle_lengths=100%,warmup=10st,cooldown=20st,end_value=10%", s.total)
    assert np.flatnonzero(np.abs(ours - theirs) > 1e-6).tolist() == [80]
    assert theirs[80] == theirs[81] == pytest.approx(ours[81])


def test_maxtext_goes_on_at_zero() -> None:
    words = "warmup:10st+constant+linear:20st,end_value=10%@inclusive+constant:5st,peak_value=0"
    assert f"`{words}`" in PAGE
    theirs = [rates.maxtext(k, REFERENCE) for k in range(REFERENCE.total + wsd.BEYOND)]
    np.testing.assert_allclose(made(words, 105), theirs, rtol=1e-6, atol=0)


def test_warmup_and_decay_that_overlap_jump_elsewhere_and_are_refused_here() -> None:
    s = Setting(10, 6, 8)
    for theirs in (rates.megatron, rates.olmo, rates.nanochat):
        table = [theirs(k, s) for k in range(s.total)]
        assert min(np.diff(table)) < -0.3
    with pytest.raises(ValueError, match="must fit into total_steps = 10, got"):
        made(rates.plain_words(s), s.total)


@pytest.mark.parametrize("version", ["4.57", "5"])
@pytest.mark.parametrize("warmup_type", ["linear", "cosine", "1-sqrt"])
def test_warmup_of_transformers_may_have_the_shape_of_a_decay(version: str, warmup_type: str) -> None:
    words = {"num_decay_steps": 20, "decay_type": "linear", "warmup_type": warmup_type}
    table = lrsched.from_hf(
        "warmup_stable_decay", lr=1.0, num_warmup_steps=10, num_training_steps=100, scheduler_specific_kwargs=words,
        version=version,
    ).table()  # fmt: skip
    assert (table[0], table[10]) == (0.0, 1.0)
    assert table[5] == pytest.approx(0.5 if warmup_type != "1-sqrt" else 1 - 0.5**0.5)
