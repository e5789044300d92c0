"""The command line as a person types it."""

import os
import pathlib
import subprocess
import sys

import pytest

from lrsched import cli

STUDY = ["study", "--schedules", "rex", "--budgets", "1ep", "--seeds", "1", "--peak-values", "0.1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--schedules", "rax"], "schedule must be one of constant, cosine, .* got 'rax'"),
        (["--schedules", "rex:d=2"], "d must be at least 0 and below 1, got 2"),
        (["--schedules"], "schedules must name at least one"),
        (["--schedules", "rex", "rex:d=0.5"], "schedules must differ from each other"),
        (["--budgets", "0%"], "budget must be a percentage of max_epochs .* above 0, got '0%'"),
        (["--max-epochs", "0"], "max_epochs must be above 0, got 0"),
        (["--peak-values", "-0.1"], "peak_value must be at least 0, got -0.1"),
        (["--peak-values", "nan"], "peak_value must be"),
        (["--batch-size", "2000"], r"batch_size must be from 1 to 1\d\d\d \(the training examples\), got 2000"),
        (["--batch-size", "3"], "batch_size must be a multiple of the 4 devices, got 3"),
        (["--seeds", "0"], "seeds must be from 1 to 100,000 of them, got 0"),
        (["--weight-decay", "-1"], "weight_decay must be at least 0, got -1"),
        (["--momentum", "1.5"], "momentum must be at least 0 and below 1, got 1.5"),
        (["--holdout-fraction", "1"], "holdout_fraction"),
        (["--model", "resnet9"], "resnet8, resnet20, .*'resnet9'"),
        (["--data", "cifar11"], "digits, cifar10, .*cifar11"),
        (
            ["--data", "cifar10", "--data-dir", "no/such/folder"],
            "cifar10 .*no/such/folder.*lrsched data prepare cifar10",
        ),
        (["--seeds", "many"], r"seeds must be a number of seeds \(5\), or seeds \(3 4 5, 10-19\), got 'many'"),
        (["--sedes", "3"], "Unrecognized options: --sedes, 3. Perhaps you meant: --seeds$"),
        (["--batchsize", "3", "--foo"], "--foo. Arguments similar to --batchsize: --batch-size"),
    ],
)
def test_wrong_words_end_in_one_line_and_leave_nothing(
    words: list[str], message: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert cli.main([*STUDY, "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert re.search(message, said.err)
    assert not (tmp_path / "out").exists()


def test_folder_that_was_removed_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    assert cli.main(["schedules", "rex"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_empty_list_of_a_file_is_no_default(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.toml"
    for name in ("budgets", "extend_grid", "question"):
        path.write_text(f"{name} = []\n")
        assert cli.main(["study", "--file", str(path), "--dry-run"]) == 2
        assert capsys.readouterr().err.strip() == f"lrsched: {name} must have a value, got an empty list in {path}."
    path.write_text('weight_decays = []\nmodel = "mlp"\n')
    assert cli.main(["study", "--file", str(path), "--dry-run", "--out", str(tmp_path / "out")]) == 0


def test_unwritable_out_ends_in_one_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main([*STUDY, "--out", str(tmp_path / "file" / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_data_list_says_what_is_missing_and_how_to_get_it(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "list", "--data-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("digits")
    assert lines[1].split() == ["cifar10", "-", "not", "prepared"]
    assert "lrsched data prepare cifar10" in lines[-1]


@pytest.mark.slow
def test_piped_study_prints_plain_lines_and_the_table(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "lrsched.cli", *STUDY, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "1 run to train; compiling the first."
    assert lines[1].startswith("[1/1] rex at 1ep, rate 0.1, seed 0: test error ")
    assert lines[2].split() == ["schedule", "1ep"]
    assert (tmp_path / "out" / "table.md").exists()
    assert not any(ord(c) < 32 and c != "\n" for c in done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "gbk", "utf-8"])
def test_what_a_pipe_cannot_show_is_replaced(encoding: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "lrsched.cli", "schedules", "rex", "--total-steps", "20"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "60"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    text = done.stdout.decode(encoding)
    assert "?" not in text
    drawing = [line.partition("|")[2] for line in text.splitlines() if "|" in line]
    assert len(drawing) == 14
    assert set("".join(drawing)) - {" "} == {"*"} or encoding in ("utf-8", "gbk")


@pytest.mark.slow
def test_signs_of_a_table_are_replaced_in_a_pipe_without_them() -> None:
    code = (
        "from lrsched import cli; cli.main(['--help']); print('4.30 \\u00b1 0.20 (3) \\u2020 \\u4e2d\\ud800 \\u2028ff')"
    )
    code = code.replace("cli.main(['--help'])", "cli._replace_what_cannot_be_shown()")
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stdout.decode().strip() == "4.30 +- 0.20 (3) + ?? ?ff"


@pytest.mark.slow
def test_mistakes_are_said_alike_where_boxes_cannot_be_drawn() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "lrsched.cli", "study", "--sedes", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "lrsched: Unrecognized options: --sedes, 3. Perhaps you meant: --seeds"


@pytest.mark.slow
def test_schedules_are_shown_where_nothing_can_be_locked() -> None:
    code = "import sys; sys.modules['fcntl'] = None; from lrsched import cli; sys.exit(cli.main(['schedules', 'rex']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rate" in done.stdout


@pytest.mark.slow
def test_training_whose_output_was_closed_is_no_success(tmp_path: pathlib.Path) -> None:
    words = [sys.executable, "-u", "-m", "lrsched.cli", *STUDY, "--schedules", "rex", "linear", "--out", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 141


@pytest.mark.parametrize("words", [["--help"], ["study", "--help"], ["schedules", "rex"], ["schedules"]])
def test_what_only_shows_imports_nothing_that_trains(words: list[str]) -> None:
    heavy = ("flax", "orbax", "tensorflow_datasets", "sklearn", "matplotlib", "PIL", "scipy.stats")
    code = f"""
import contextlib, sys
from lrsched import cli
with contextlib.suppress(SystemExit):
    cli.main({words!r})
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout
