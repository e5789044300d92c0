"""`lrsched check` as a person types it: what agrees, what parts and why, every kind of file, and bad input."""

import functools
import json
import os
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import numpy as np
import optax
import pytest

import lrsched as ls
from lrsched import cli, files
from lrsched.commands import _nearest, _traces
from lrsched.commands.check import CheckConfig, run

WORDS, TOTAL, PEAK = "warmup:50st+cosine", 600, 0.1
K = np.arange(TOTAL)
CONFORMANCE = pathlib.Path(__file__).parents[1] / "conformance"


@functools.cache
def schedule(words: str, total: int) -> ls.Schedule:
    return ls.plan(words, total, peak_value=PEAK).lr


def at(updates: Any, words: str = WORDS, total: int = TOTAL) -> np.ndarray:
    return schedule(words, total).table(np.asarray(updates))


def write(path: pathlib.Path, rates: Any, steps: Any = None, form: str = "") -> str:
    steps = range(len(rates)) if steps is None else steps
    lines = [f"{step},{float(rate):{form}}" for step, rate in zip(steps, rates, strict=True)]
    path.write_text("\n".join(["step,lr", *lines]))
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert cli.main(["check", *words]) == status
    found = capsys.readouterr()
    return " ".join((found.err if status == 2 else found.out).split())


FAULTS = {
    "early": (at(K + 1), "early by one update, or the next update's rate is logged"),
    "late": (at(np.maximum(K - 1, 0)), "late by one update"),
    "constant": (np.full(TOTAL, PEAK), "constant at 0.1: the schedule is never stepped"),
    "warmup_start": (np.where(K < 50, PEAK * (K + 1) / 50, at(K)), "the warmup begins at 0.002, not at 0"),
    "no_warmup": (at(K, "cosine"), "no warmup"),
    "warmup_length": (at(K, "warmup:80st+cosine"), "the warmup takes 80 updates, not 50"),
    "restarted": (at(K % 100), "restarted every 100 updates"),
    "fast": (at(4 * K), "stepped 4 times in each update, as per micro-batch or per process"),
    "slow": (at(K // 100), "stepped once per epoch, not at every update"),
    "held": (at(K - K % 100), "stepped once per epoch, where it has the right rate"),
    "resumed": (np.where(K < 300, at(K), at(K - 120)), "resumed 120 updates behind from update 300 on"),
    "resumed twice": (np.where(K < 200, at(K), at(K + 200)), "the updates of the resumed run are counted twice"),
    "double": (np.where(K < 300, at(K), at(300 + 2 * (K - 300))), "stepped 2 times in each update from update 300"),
    "stuck": (at(np.minimum(K, 320)), "held from update 320 on"),
    "budget": (at(K, total=480), "made for 480 updates, not 600"),
    "peak": (8 * at(K), "all rates are 8 times those expected"),
    "shape": (at(K, "warmup:50st+linear"), "another schedule: warmup:50st+linear"),
    "decay": (at(K, "warmup:50st+constant:100st+cosine"), "the decay begins at update 150, not 50"),
    "decay, both": (
        at(K, "warmup:50st+constant:100st+cosine:350st+constant:100st,peak_value=0"),
        "the decay begins at update 150, not 50 and ends at update 500, not 600",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_right_reason_is_named_first(name: str, tmp_path: pathlib.Path) -> None:
    rates, reason = FAULTS[name]
    path = write(tmp_path / "trace.csv", rates)
    outcome = run(CheckConfig(path, WORDS, TOTAL, steps_per_epoch=100, peak_value=PEAK))
    assert outcome.status == 1
    text = " ".join(outcome.text.split())
    assert "first differs at update" in text
    first = outcome.result.reasons[0]
    assert reason in first.text
    assert text.partition("reason: " if "reason: " in text else "first: - ")[2].startswith(first.text)
    exact = 1e-5 if first.kind == "decay" else 1e-6  # a moved decay is read between the updates of its own
    assert np.abs(first.rates - rates).max() <= exact * rates.max()


def test_rate_that_rises_again_after_the_end_is_found_out(tmp_path: pathlib.Path) -> None:
    updates = np.arange(800)
    path = write(tmp_path / "trace.csv", at(TOTAL - np.abs(updates - TOTAL)))
    verdict = run(CheckConfig(path, WORDS, TOTAL, peak_value=PEAK)).result
    assert verdict.update == 601
    assert [reason.kind for reason in verdict.reasons] == ["rebound"]


def test_class_named_cosine_that_was_constant_is_found_out(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "trace.csv", np.full(TOTAL, 1e-4))
    text = said(capsys, path, "cosine", status=1)
    assert "first differs at update" in text
    assert "Likeliest reason: constant at 0.0001: the schedule is never stepped, or not used." in text


def test_peak_and_budget_that_the_trace_has_to_give_are_said_to_be_its_own(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, own = write(tmp_path / "trace.csv", at(K)), " (as in the trace)"
    assert f"peak 0.1{own}, 600 updates{own};" in said(capsys, path, WORDS)
    assert f"peak 0.1, 600 updates{own};" in said(capsys, path, WORDS, "--peak-value", "0.1")
    assert f"peak 0.1{own}, 600 updates;" in said(capsys, path, WORDS, "--total-steps", "600")


@pytest.mark.parametrize(
    ("rates", "every", "reason"),
    [
        (at(K + 1), 30, "early by one update, or the next update's rate is logged, with a peak of 0.1"),
        (at(K // 100), 1, "not at every update: time runs 100 times too slowly, with a peak of 0.1"),
    ],
    ids=["early", "slow"],
)
def test_reason_is_found_though_nobody_names_the_peak(
    rates: np.ndarray, every: int, reason: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "trace.csv", rates[::every], K[::every])
    assert reason in said(capsys, path, WORDS, "--total-steps", "600", status=1)


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        (np.where(K < 50, at(K), 0.01 + 0.9 * at(K)), "the decay ends at 0.01, not at 0"),
        (np.where(K < 50, at(K), np.maximum(at(K), 0.01)), "the rate never falls below 0.01"),
    ],
    ids=["end", "floor"],
)
def test_another_end_and_a_floor_are_told_apart(
    rates: np.ndarray, reason: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "trace.csv", rates)
    assert f"Likeliest reason: {reason}." in said(capsys, path, WORDS, "--peak-value", "0.1", status=1)


def test_log_of_an_older_trainer_is_said_to_be_no_fault_of_the_run(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trainer_state.json"
    history = [{"step": int(k + 1), "learning_rate": float(at(k + 1))} for k in K[9::10]]
    path.write_text(json.dumps({"max_steps": TOTAL, "log_history": history}))
    text = said(capsys, str(path), WORDS, "--peak-value", "0.1", status=1)
    assert "early by one update" in text
    assert "before 4.51: there the run followed its schedule." in text


def test_steps_of_updates_are_read_before_the_count_of_log_calls(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wandb.csv"
    lines = [f"{i},{float(at(k))!r},{k}" for i, k in enumerate(K[::10])]
    path.write_text("\n".join(["_step,train/lr,train/global_step", *lines]))
    text = said(capsys, str(path), WORDS, "--total-steps", "600")
    assert "train/lr over train/global_step." in text


def test_rates_alone_in_lines_columns_of_lists_and_lightnings_names_are_read(tmp_path: pathlib.Path) -> None:
    texts = {
        "plain.txt": "\n".join(map(repr, at(K).tolist())),
        "columns.json": json.dumps({"step": K.tolist(), "lr": at(K).tolist()}),
        "lightning.csv": "\n".join(["step,lr-AdamW", *(f"{k},{rate!r}" for k, rate in enumerate(at(K).tolist()))]),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        check_rates(tmp_path / name)


def test_other_way_of_counting_is_said_where_a_trace_leaves_it_open(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "trace.csv", at(K[10:]), K[10:])
    text = said(capsys, path, WORDS, "--total-steps", "600", "--peak-value", "0.1")
    assert "steps counted from 0 (which agrees, and the other does not; --first-step settles it)" in text


@pytest.mark.parametrize(
    ("rates", "schedule", "message"),
    [
        ([0.1], "rex", "schedule must be a schedule"),
        ("abc", ls.rex(0.1, total_steps=2), "rates must be a row of numbers, got str"),
        ({"lr": 0.1}, ls.rex(0.1, total_steps=2), "rates must be a row of numbers, got dict"),
        ([[0.1]], ls.rex(0.1, total_steps=2), r"rates must be a row of numbers, got shape \(1, 1\)"),
    ],
)
def test_check_from_python_refuses_what_is_no_rate_or_schedule(rates: Any, schedule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ls.check(rates, schedule)


def test_tolerance_from_python_is_that_of_rounded_rates() -> None:
    rounded = np.round(at(K), 4)
    assert not ls.check(rounded, schedule(WORDS, TOTAL)).agrees
    assert ls.check(rounded, schedule(WORDS, TOTAL), tolerance=5.1e-5).agrees


def test_trace_without_a_known_reason_has_none(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "trace.csv", np.random.default_rng(0).uniform(0, PEAK, TOTAL))
    text = said(capsys, path, WORDS, "--peak-value", "0.1", status=1)
    assert "None of the known reasons leaves these rates." in text


def torch_traces() -> list[tuple[str, np.ndarray, ls.Schedule]]:
    found = json.loads((CONFORMANCE / "trajectories.json").read_text())["trajectories"]
    rng, traces = np.random.default_rng(0), []
    names = (
        "ExponentialLR",
        "StepLR",
        "MultiStepLR",
        "LinearLR",
        "PolynomialLR",
        "OneCycleLR",
        "CyclicLR",
        "ConstantLR",
    )
    for name in names:
        mine = [one for one in found if (one["library"], one["name"]) == ("torch", name)]
        one = mine[rng.integers(len(mine))]
        rate = {} if name in ("CyclicLR", "OneCycleLR") else {"lr": one["lr"]}
        length = (
            {"total_steps": len(one["values"])}
            if name in ("ExponentialLR", "StepLR", "MultiStepLR", "CyclicLR")
            else {}
        )
        traces.append((name, np.array(one["values"]), ls.from_torch(name, **rate, **length, **one["arguments"])))
    return traces


def live_traces() -> list[tuple[str, np.ndarray, ls.Schedule]]:
    import keras
    import optax

    rng, traces = np.random.default_rng(1), []
    steps = np.arange(120)
    for _ in range(2):
        peak, total, warm = float(rng.uniform(0.01, 1)), int(rng.integers(60, 110)), int(rng.integers(3, 20))
        optaxes: list[tuple[str, dict[str, Any]]] = [
            ("cosine_decay_schedule", {"init_value": peak, "decay_steps": total, "alpha": 0.1}),
            ("linear_schedule", {"init_value": peak, "end_value": 0.001, "transition_steps": total}),
            ("polynomial_schedule", {"init_value": peak, "end_value": 0, "power": 2, "transition_steps": total}),
            ("warmup_cosine_decay_schedule",
             {"init_value": 0.0, "peak_value": peak, "warmup_steps": warm, "decay_steps": total}),
        ]  # fmt: skip
        kerases: list[tuple[str, dict[str, Any]]] = [
            ("CosineDecay", {"initial_learning_rate": peak, "decay_steps": total}),
            ("PolynomialDecay", {"initial_learning_rate": peak, "decay_steps": total, "end_learning_rate": 1e-3}),
        ]
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            for name, given in optaxes:
                rates = jax.vmap(getattr(optax, name)(**given))(steps)
                traces.append((name, np.asarray(rates), ls.from_optax(name, **given)))
            for name, given in kerases:
                rates = jax.vmap(getattr(keras.optimizers.schedules, name)(**given))(steps)
                traces.append((name, np.asarray(rates), ls.from_keras(name, **given)))
    return traces


def test_honest_traces_of_torch_optax_and_keras_agree(tmp_path: pathlib.Path) -> None:
    traces = [*torch_traces(), *live_traces()]
    assert len(traces) >= 20
    for name, rates, ours in traces:
        path = write(tmp_path / "trace.csv", rates)
        outcome = run(CheckConfig(path, ls.to_json(ours), int(ours.total_steps)))
        assert outcome.status == 0, (name, outcome.text)
        assert "\nagrees: the largest difference is" in outcome.text


@pytest.mark.parametrize(("first", "every", "form"), [(0, 10, ".3e"), (10, 10, ".4f"), (0, 7, ".6g"), (5, 1, "")])
def test_sampled_and_rounded_traces_agree(first: int, every: int, form: str, tmp_path: pathlib.Path) -> None:
    kept = K[first::every]
    path = write(tmp_path / "trace.csv", at(kept), kept, form)
    verdict = run(CheckConfig(path, WORDS, TOTAL, peak_value=PEAK)).result
    assert verdict.agrees
    assert verdict.first_step == 0
    path = write(tmp_path / "late.csv", at(np.maximum(kept - 40, 0)), kept, form)
    verdict = run(CheckConfig(path, WORDS, TOTAL, peak_value=PEAK, first_step=0)).result
    assert not verdict.agrees


def test_steps_from_one_are_the_same_updates(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "trace.csv", at(K), K + 1)
    text = said(capsys, path, WORDS, "--peak-value", "0.1")
    assert "steps counted from 1" in text
    assert "agrees: the largest difference is 0" in text


def test_budget_and_peak_that_nobody_names_are_those_of_the_trace(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "trace.csv", at(K[::10]), K[::10])
    outcome = run(CheckConfig(path, WORDS))
    assert outcome.result.agrees
    assert "peak 0.1 (as in the trace), 600 updates (as in the trace)" in outcome.text


def check_rates(path: pathlib.Path, **given: Any) -> None:
    found = _traces.read(str(path), **given).trace
    np.testing.assert_allclose(found.rates, at(found.updates(found.first_step or 0)), rtol=1e-6, atol=1e-8)


def test_every_format_is_read(tmp_path: pathlib.Path) -> None:
    rows = [{"step": int(k), "train/learning_rate": float(at(k))} for k in K[::20]]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"step": 600, "eval_loss": 1.0}])))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.json").write_text(json.dumps(at(K).tolist()))
    (tmp_path / "d.csv").write_text("\n".join(["it;loss;mine", *(f"{k};1;{float(at(k))}" for k in K)]))
    check_rates(tmp_path / "a.jsonl")
    check_rates(tmp_path / "b.json")
    check_rates(tmp_path / "c.json")
    check_rates(tmp_path / "d.csv", rate_column="mine")


def test_state_of_hugging_faces_trainer_is_read_with_its_budget(tmp_path: pathlib.Path) -> None:
    log = [{"step": int(k), "loss": 1.0, "learning_rate": float(at(k - 1))} for k in range(10, TOTAL + 1, 10)]
    state = {"global_step": TOTAL, "max_steps": TOTAL, "log_history": [*log, {"step": TOTAL, "eval_loss": 0.3}]}
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps(state))
    trace = _traces.read(str(path)).trace
    assert (trace.first_step, trace.total_steps, len(trace.rates)) == (1, TOTAL, 60)
    assert run(CheckConfig(str(path), WORDS, peak_value=PEAK)).result.agrees
    for row in log:
        row["learning_rate"] = float(at(row["step"]))
    path.write_text(json.dumps(state))
    verdict = run(CheckConfig(str(path), WORDS, peak_value=PEAK)).result
    assert verdict.reasons[0].text == "early by one update, or the next update's rate is logged"


@pytest.mark.parametrize("words", ["warmup:10%+cosine:90%", "warmup:60st+cosine:90%", "warmup+cosine:90%"])
def test_other_warmup_is_named_where_every_part_has_a_length(
    words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = write(tmp_path / "trace.csv", at(K, "warmup:30st+cosine"))
    found = said(capsys, trace, words, "--total-steps", "600", "--peak-value", "0.1", status=1)
    assert "the warmup takes 30 updates, not 60" in found


def test_stride_of_a_trace_is_said(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "trace.csv", at(K[::2]), K[::2])
    assert "steps 0 to 598, one in every 2, " in said(
        capsys, path, WORDS, "--total-steps", "600", "--peak-value", "0.1"
    )


def test_event_files_of_tensorboard_are_read(tmp_path: pathlib.Path) -> None:
    import tensorboardX

    with tensorboardX.SummaryWriter(str(tmp_path)) as events:
        for k in K[::5]:
            events.add_scalar("train/lr", float(at(k)), int(k))
            events.add_scalar("loss", 1.0, int(k))
    check_rates(tmp_path)
    (file,) = tmp_path.glob("*tfevents*")
    check_rates(file, rate_column="train/lr")
    file.write_bytes(file.read_bytes()[:-7])  # of a run that was killed
    assert len(_traces.read(str(file)).trace.rates) == len(K[::5])


def test_damaged_event_file_is_said_in_one_line(tmp_path: pathlib.Path) -> None:
    content = (5).to_bytes(8, "little") + bytes(4) + b"\xff" * 5 + bytes(4)  # five bytes that are no event
    (tmp_path / "events.out.tfevents.1").write_bytes(content)
    with pytest.raises(ValueError, match=r"must be an event file of TensorBoard's, got one that is damaged\.$"):
        _traces.read(str(tmp_path))


def test_run_of_this_library_is_held_against_its_own_words(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ls.train(schedule="rex", peak_value=0.1, budget="40st", model="mlp", out=str(tmp_path / "run"))
    outcome = run(CheckConfig(str(tmp_path / "run")))
    assert outcome.result.agrees
    assert "rex" in outcome.text
    assert f"within {record['applied_rate_max_rel_error']:.1e}" in outcome.text
    assert run(CheckConfig(str(tmp_path / "run"), "linear")).status == 1
    (tmp_path / "other").mkdir()
    line = files.seal({**record, "applied_rate_max_rel_error": 0.2})
    (tmp_path / "other" / "records.jsonl").write_text(line + "\n")
    assert "up to 2.0e-01 (relative) off them" in said(capsys, str(tmp_path / "other"), status=2)


def test_picture_of_both_is_written(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, plot = write(tmp_path / "trace.csv", at(K + 1)), tmp_path / "both.svg"
    assert f"written: {plot}" in said(capsys, path, WORDS, "--plot", str(plot), status=1)
    assert "early by one update" in plot.read_text()


@pytest.mark.parametrize("words", ["warmup:50st+cosine", "rex:d=0.7"])
def test_nearest_schedule_is_printed_as_words_that_agree(
    words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("polynomial", "rex", "wsd", "onecycle")
    monkeypatch.setattr(_nearest, "MAIN", {name: _nearest.MAIN[name] for name in names})  # a few, for time
    known = {name: make for name, make in _nearest.registry.SCHEDULES.items() if name in (*names, "cosine", "linear")}
    monkeypatch.setattr(_nearest, "candidates", lambda: [*known])
    path = write(tmp_path / "trace.csv", at(np.arange(0, 1173, 10), words, 1173), np.arange(0, 1173, 10))
    text = said(capsys, path)
    command = text.partition("agrees: lrsched ")[2].split()
    assert command == ["check", path, words, "--total-steps", "1173", "--peak-value", "0.1"]
    assert "agrees" in said(capsys, *command[1:])


BAD: dict[str, tuple[str, Sequence[str], str]] = {
    "a file that is not there": ("", ["none.csv"], "trace must be a file or folder that is there, got none.csv"),
    "no rates": ("step,loss\n0,1\n", ["t.csv"], "must have a column of rates .* got step, loss"),
    "two rates": ("step,lr,rate/lr\n0,1,2\n", ["t.csv", "rex", "--rate-column", "mine"], "rate_column must be one of"),
    "columns of two lengths": (
        '{"lr": [0.1, 0.2], "step": [0]}',
        ["t.csv"],
        "must hold columns of one length, got 1, 2",
    ),
    "an empty file": ("", ["t.csv"], "must hold rows with a rate each, got none"),
    "steps that fall": ("step,lr\n0,1\n3,1\n2,1\n", ["t.csv"], "must have steps that increase, got 2 after 3"),
    "half a step": ("step,lr\n0,1\n1.5,1\n", ["t.csv"], "must have whole steps of 0 to 100,000,000, got 1.5"),
    "NaN": ("step,lr\n0,1\n1,nan\n", ["t.csv"], "must hold rates of at least 0, got nan at step 1"),
    "a word": ("step,lr\n0,1\n1,high\n", ["t.csv"], "column lr must hold numbers, got 'high'"),
    "no schedule": ("step,lr\n0,1\n", ["t.csv", "cosin"], "schedule must be one of"),
    "epochs of no length": ("step,lr\n0,1\n", ["t.csv", "rex", "--epochs", "3"], "epochs must come with"),
    "a quotation mark that is not closed": (
        'step,lr\n0,"1\n1,1\n',
        ["t.csv"],
        "t.csv: must be CSV, got unexpected end",
    ),
    "brackets without an end": ("[" * 100_000, ["t.csv"], "must hold JSON, whole or in each line, got brackets that"),
    "a picture of no schedule": ("step,lr\n0,1\n", ["t.csv", "--plot", "a.svg"], "plot must come with the words of"),
    "a peak of no schedule": ("step,lr\n0,1\n", ["t.csv", "--peak-value", "1"], "peak_value must come with the words"),
    "no picture": ("step,lr\n0,1\n", ["t.csv", "rex", "--plot", "a.txt"], "must end in .svg or .png"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_line(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(text)
    assert cli.main(["check", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message.replace(".svg", r"\.svg"), line)


def test_command_of_the_nearest_reads_the_trace_as_it_was_read(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = at(K, "cosine") * (1 + 0.004 * (-1) ** K)
    (tmp_path / "my log.csv").write_text(
        "\n".join(["number,eta", *(f"{k + 1},{rate}" for k, rate in enumerate(rates))])
    )
    options = ["--rate-column", "eta", "--step-column", "number", "--first-step", "1", "--tolerance", "0.001"]
    assert cli.main(["check", str(tmp_path / "my log.csv"), *options]) == 0
    line = capsys.readouterr().out.partition("agrees: ")[2].strip()
    assert cli.main(shlex.split(line)[1:]) == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_mark_and_any_ends_of_lines_are_read(end: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.csv"
    write(path, at(K[::10]), K[::10])
    path.write_bytes(("\ufeff" + path.read_text().replace("\n", end)).encode())
    found = _traces.read(path)
    assert found.columns == "lr over step"
    assert found.trace.steps.tolist() == K[::10].tolist()
    (tmp_path / "rates").write_bytes(end.join(str(rate) for rate in at(K)).encode())
    assert len(_traces.read(tmp_path / "rates").trace.rates) == TOTAL


def test_function_of_a_step_is_held_against_its_own_rates() -> None:
    function = optax.cosine_decay_schedule(0.1, 100)
    s = ls.plan(function, 100).lr
    assert ls.check([float(function(step)) for step in range(100)], s).agrees
    early = ls.check([float(function(step)) for step in range(1, 101)], s)
    assert (early.update, early.reasons[0].kind) == (0, "early")
    assert repr(early) == f"<Verdict: 100 rates, parts at update 0 ({early.reasons[0].text})>"


@pytest.mark.parametrize("rates", [[True, False], [0.1 + 0j, 0.05]])
def test_function_refuses_what_is_no_real_number(rates: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"^rates must be a row of real numbers, got (bool|complex128)\.$"):
        ls.check(rates, ls.cosine(0.1, total_steps=100))


def test_function_holds_numbers_against_a_schedule() -> None:
    assert ls.check(at(K), schedule(WORDS, TOTAL)).agrees
    verdict = ls.check(at(K[::10] // 2), schedule(WORDS, TOTAL), steps=K[::10])
    assert verdict.update == 10
    assert verdict.reasons[0].kind == "slow"


def test_longer_warmup_is_named_where_what_follows_it_does_not_move() -> None:
    reference = ls.plan("warmup:100st+constant", 600, peak_value=0.1).lr
    for steps in (101, 80, 150):
        trace = ls.plan(f"warmup:{steps}st+constant", 600, peak_value=0.1).lr.table()
        (first, *_) = ls.check(trace, reference).reasons
        assert first.text == f"the warmup takes {steps} updates, not 100"
        assert not any(" 0, not at 0" in reason.text for reason in ls.check(trace, reference).reasons)
