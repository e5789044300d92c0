"""`lrsched schedules` as a person types it: the list, drawings, the page, and where two differ."""

import json
import pathlib
import re

import numpy as np
import pytest

import lrsched
from lrsched import cli
from lrsched.commands import schedules as catalogue
from lrsched.commands.schedules import SchedulesConfig
from lrsched.schedules import registry


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert cli.main(["schedules", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_list_names_every_schedule_with_its_line_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    rates, _, momenta = "\n".join(said(capsys)).partition("Of the momentum")
    entries = dict(re.findall(r"^  (\w+) +(\S.*(?:\n {4,}.*)*)", rates, flags=re.MULTILINE))
    assert set(entries) == set(registry.SCHEDULES)
    assert "REX: holds the rate up early" in entries["rex"]
    assert "arXiv:2107.04197" in entries["rex"]
    assert "\n  demon " in momenta


@pytest.mark.parametrize("name", registry.SCHEDULES)
def test_docstring_gives_every_part_of_a_card(name: str) -> None:
    card = catalogue.card(catalogue.draw_up(name, SchedulesConfig()))
    assert all((card.summary, card.formula, card.returns, card.source))
    assert [argument.name for argument in card.arguments if not argument.meaning] == []


@pytest.mark.parametrize("name", [*registry.SCHEDULES, *catalogue.FORMS])
def test_lines_of_a_card_make_its_curves(name: str) -> None:
    card = catalogue.card(catalogue.draw_up(name, SchedulesConfig()))
    made = eval(card.python, {"lrsched": lrsched})
    assert np.array_equal(made.table(), card.rate)
    plan = lrsched.plan(json.loads(card.json), lrsched.Budget(300))
    assert np.array_equal(plan.lr.table(), card.rate)
    assert np.array_equal(plan.momentum.table(), card.momentum)


@pytest.mark.parametrize("name", catalogue.MOMENTA)
def test_lines_of_a_momentum_card_make_its_curve(name: str) -> None:
    card = catalogue.momentum_card(name, SchedulesConfig())
    assert np.array_equal(eval(card.python, {"lrsched": lrsched}).table(), card.momentum)
    plan = lrsched.plan("rex", lrsched.Budget(300), peak_value=0.1, momentum=json.loads(card.json))
    assert np.array_equal(plan.momentum.table(), card.momentum)


@pytest.mark.parametrize("words", ["sgdr:first_cycle=10ep", "rex@epoch", "linear@2ep", "warmup:1ep+rex"])
def test_python_of_a_card_with_epochs_needs_to_know_of_none(words: str) -> None:
    card = catalogue.card(catalogue.draw_up(words, SchedulesConfig(total_steps=300, steps_per_epoch=39)))
    assert np.array_equal(eval(card.python, {"lrsched": lrsched}).table(), card.rate)


def test_python_of_a_card_says_what_is_not_the_default() -> None:
    words = "step:fractions=0.3/0.6,peak_value=1.0@5-25"
    card = catalogue.card(catalogue.draw_up(words, SchedulesConfig()))
    expected = "lrsched.step(1.0, total_steps=300, fractions=(0.3, 0.6), sampling=lrsched.sampling.named('5-25'))"
    assert card.python == expected
    assert np.array_equal(eval(card.python, {"lrsched": lrsched}).table(), card.rate)


def test_arguments_of_a_card_are_the_signature() -> None:
    arguments = catalogue.card(catalogue.draw_up("rex@50-75", SchedulesConfig())).arguments
    assert [(argument.name, argument.default) for argument in arguments] == [
        ("peak_value", ""),
        ("total_steps", ""),
        ("d", "0.5"),
        ("end_value", "0"),
        ("sampling", "None"),
    ]
    assert arguments[3].meaning.startswith("the rate at total_steps")
    assert all(argument.meaning for argument in arguments)


def test_sections_of_a_docstring() -> None:
    doc = """Rex: first.

        lr(t) = 1
          - z.

        Args:
          peak: the rate,
            in two lines.
        Returns:
          float32.
        Example:
          >>> 1
          1

        Source:
          Somebody,
          2021.
        """
    assert catalogue.sections(doc) == {
        "Summary": "Rex: first.",
        "Formula": "lr(t) = 1\n  - z.",
        "Args": "peak: the rate,\n  in two lines.",
        "Returns": "float32.",
        "Example": ">>> 1\n1",
        "Source": "Somebody, 2021.",
    }


def test_words_are_drawn_over_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "rex:d=0.9", "linear@50-75", "--total-steps", "60", "--peak-value", "0.4")
    assert lines[:2] == ["A rex:d=0.9", "B linear@50-75"]
    assert lines[3].strip().startswith("0.4|")
    assert any(line.endswith("step 59") for line in lines)
    assert lines[-1] == "momentum 0.9 throughout"


def test_sampling_holds_for_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "rex", "linear", "--sampling", "50-75")[:2] == ["A rex@50-75", "B linear@50-75"]


def test_sampling_of_the_page_is_that_of_all_that_can_be_sampled(tmp_path: pathlib.Path) -> None:
    assert cli.main(["schedules", "--html", str(tmp_path / "page.html"), "--sampling", "50-75"]) == 0
    assert "rex@50-75" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "words", ["rex@epoch", "sgdr:first_cycle=10ep", "rex --momentum sgdr:peak_value=0.9,first_cycle=10ep"]
)
def test_epochs_are_refused_where_none_are_known(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schedules", *words.split()]) == 2
    assert "where no epochs are known" in capsys.readouterr().err


def test_momentum_is_a_number_or_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert "momentum 0.8 throughout" in said(capsys, "onecycle", "--momentum", "0.8")
    assert any(line.strip() == "momentum" for line in said(capsys, "rex", "--momentum", "onecycle"))


def test_drawing_into_a_pipe_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in "".join(said(capsys, "rex", "onecycle"))


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_out_writes_a_picture(name: str, begins: bytes, tmp_path: pathlib.Path, capsys) -> None:
    path = tmp_path / name
    assert said(capsys, "rex", "onecycle", "--out", str(path)) == [f"written: {path}"]
    assert path.read_bytes().startswith(begins)


def test_html_writes_every_schedule_or_those_named(tmp_path: pathlib.Path, capsys) -> None:
    path = tmp_path / "gallery.html"
    everything = [*sorted([*registry.SCHEDULES, *catalogue.FORMS]), "demon"]
    for words, names in ((), everything), (("rex", "rex:d=0.9"), ["rex", "rex:d=0.9"]):
        assert said(capsys, *words, "--html", str(path)) == [f"written: {path}"]
        assert re.findall('<article data-name="(.*?)"', path.read_text()) == names


def test_diff_says_where_two_differ_most(capsys: pytest.CaptureFixture[str]) -> None:
    # 2 w / (1 + w) - w is largest at w = sqrt(2) - 1, so at step 300 (2 - sqrt(2)) = 175.7; w = 124/300 at step 176
    w = 124 / 300
    lines = said(capsys, "diff", "rex", "linear")
    assert lines[0] == "most at step 176 of 300:"
    assert [line.split() for line in lines[1:4]] == [
        ["rex", f"{0.1 * 2 * w / (1 + w):.6g}"],
        ["linear", f"{0.1 * w:.6g}"],
        ["difference", f"{0.1 * (2 * w / (1 + w) - w):.6g}"],
    ]
    assert lines[6].split() == ["linear", f"{0.1 * 301 / 600:.6g}"]  # mean of 1 - t/300, t = 0 .. 299


def test_diff_lists_jumps(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "diff", "step", "rex@10-10", "--total-steps", "100")
    assert lines[-2].split(maxsplit=1) == ["step", "step 50 to 0.01"]
    # f(0.6) = 0.8/1.4, f(0.7) = 0.6/1.3, f(0.8) = 0.4/1.2, f(0.9) = 0.2/1.1; the steps before are below a tenth
    assert lines[-1].split(maxsplit=1)[1] == "step 70 to 0.04615, step 80 to 0.03333, step 90 to 0.01818"


def test_diff_of_equals_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = said(capsys, "diff", "linear", "polynomial")
    assert line == "linear and polynomial have the same rate at every one of 300 updates."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rax"], "schedule must be one of constant, .* got 'rax'"),
        (["rex", "rex:d=0.5"], "schedules must differ from each other, got rex, rex"),
        (["rex", "rex:d=0.5", "--html", "OUT"], "names that differ, got rex, rex"),
        (["rex", "--total-steps", "0"], "total_steps must be at least 1 and at most 1000000 here, got 0"),
        (["--total-steps", "2001", "--html", "OUT"], "total_steps must be at least 1 and at most 2000 here, got 2001"),
        (["exponential:gamma=1000"], "gamma must give rates that float32 holds, got 1000"),
        (["rex@5-25", "--sampling", "50-75"], "sampling must be given once, got 'rex@5-25' and '50-75'"),
        (["rex", "--sampling", "50"], "sampling must be one of"),
        (["rex", "--peak-value", "-1"], "peak_value must be at least 0, got -1"),
        (["rex", "--momentum", "2"], "momentum must be at least 0 and below 1, got 2"),
        (["rex", "--out", "OUT.pdf"], "path must end in .svg or .png"),
        (["--out", "OUT.svg"], "out draws the schedules that are named"),
        (["rex", "--out", "OUT.svg", "--html", "OUT"], "out draws the schedules that are named, without html"),
        (["diff", "rex"], "diff takes two schedules and writes no file, got 'diff rex'"),
        (["diff", "rex", "linear", "--html", "OUT"], "diff takes two schedules and writes no file"),
        (["rex", "--html", "no/such/folder/a.html"], "no/such/folder"),
    ],
)
def test_wrong_words_end_in_one_line_and_write_nothing(
    words: list[str], message: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["schedules", *(word.replace("OUT", str(tmp_path / "out")) for word in words)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert re.search(message, output.err)
    assert list(tmp_path.iterdir()) == []


WARM = lrsched.to_json(lrsched.sequence([lrsched.warmup(0.4, total_steps=15), lrsched.cosine(0.4, total_steps=285)]))


def test_composed_words_and_json_of_a_schedule_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "warmup:5%+cosine", WARM, "--peak-value", "0.2")
    assert lines[0] == "A warmup:5%+cosine"
    assert lines[1].startswith("B Sequence(Growth(Linear),Decay(Cosine))#")
    assert lines[3].strip().startswith("0.4|")  # what is made already keeps its rates
    (same,) = said(capsys, "diff", "warmup:5%+cosine:rest", "warmup:15st+cosine")
    assert same.endswith("have the same rate at every one of 300 updates.")


@pytest.mark.parametrize("words", ["warmup:5%+cosine", "warmup:10st+constant+linear:20%@10-10", WARM])
def test_lines_of_a_composed_card_make_its_curves(words: str, tmp_path: pathlib.Path, capsys) -> None:
    card = catalogue.card(catalogue.draw_up(words, SchedulesConfig()))
    assert np.array_equal(eval(card.python, {"lrsched": lrsched}).table(), card.rate)
    assert np.array_equal(lrsched.plan(json.loads(card.json), 300).lr.table(), card.rate)
    for name in ("page.html", "a.svg"):
        option = "--html" if name.endswith("html") else "--out"
        assert said(capsys, words, option, str(tmp_path / name)) == [f"written: {tmp_path / name}"]


def test_epochs_are_known_by_their_steps(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = catalogue.draw_up("sgdr:first_cycle=2ep", SchedulesConfig(total_steps=70, steps_per_epoch=5))
    assert drawn.plan.cycle_ends == (10, 30, 70)
    held = catalogue.draw_up("linear@epoch", SchedulesConfig(total_steps=30, steps_per_epoch=10)).plan.lr.table()
    np.testing.assert_allclose(held, np.repeat([0.1, 0.2 / 3, 0.1 / 3], 10))
    assert said(capsys, "rex@epoch", "warmup:1ep+cosine", "--steps-per-epoch", "7")[0] == "A rex@epoch"


@pytest.mark.parametrize("total_steps", [1, 7, 100, 299, 1_000_000])
@pytest.mark.parametrize("steps_per_epoch", [1, 3, 98, 391, 999_983])
def test_steps_of_an_epoch_leave_the_budget_as_it_is(total_steps: int, steps_per_epoch: int) -> None:
    config = SchedulesConfig(total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    assert catalogue.draw_up("rex", config).plan.total_steps == total_steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rex", "--steps-per-epoch", "0"], "steps_per_epoch must be at least 1"),
        (["warmup:2ep+cosine"], "where no epochs are known"),
        (["warmup:5%+cosine", "--sampling", "50-75"], "sequence takes its segments and peak_value, got 'sampling'"),
        (["rex:peak_value=99999999999"], "peak_value must be written with a point"),
        (["rex:d=[[["], "d must be|d of Rex must be"),
        (['{"schedule": ' + "[" * 60_000 + "]" * 60_000 + "}"], "schedule must be words or a JSON object"),
        (['{"schedule": [["rex"]]}'], "schedule must be one of"),
        ([WARM.replace("0.4", "NaN")], "NaN is no number of JSON"),
    ],
)
def test_weird_words_end_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schedules", *words]) == 2
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 1
    assert re.search(message, output.err)


def test_cite_gives_each_source_of_what_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "rex", "rex@50-75", "warmup:5%+cosine", "--cite")
    assert [line.rpartition(" ")[2] for line in lines] == ["arXiv:2107.04197", "arXiv:1706.02677", "arXiv:1608.03983"]
    assert said(capsys, "rex", "--cite", "--bibtex")[0] == "@inproceedings{chen2022rex,"


def test_cite_without_names_gives_all_sources(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--cite")
    assert len(set(lines)) == len(lines) > 25
    assert any("arXiv:1910.04952" in line for line in lines)  # Demon, of the momentum


@pytest.mark.parametrize(
    "words", [["rex", "--bibtex"], ["diff", "rex", "linear", "--cite"], ["--cite", "--html", "a.html"]]
)
def test_cite_refuses_what_does_not_go_with_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schedules", *words]) == 2
    assert "cite names schedules" in capsys.readouterr().err
