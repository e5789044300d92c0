"""Every command and snippet of the README, of the command line's manual and of the page on choosing is run."""

import importlib
import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from helpers import run_snippet

import lrsched
from lrsched import cli, parsing
from lrsched.training import prepare

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = {
    "readme": ROOT / "README.md",
    "manual": ROOT / "lrsched" / "commands" / "README.md",
    "choosing": ROOT / "lrsched" / "docs" / "choosing.md",
}
TEXTS = {name: path.read_text("utf-8") for name, path in DOCUMENTS.items()}


class Block(NamedTuple):
    """A line of the shell or a snippet of Python, and the document that has it."""

    document: str
    kind: str
    text: str


def read_blocks(document: str) -> list[Block]:
    """In order."""
    blocks = []
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", TEXTS[document], flags=re.DOTALL | re.MULTILINE):
        lines = [line for line in text.splitlines() if line and not line.startswith("#")] if kind == "sh" else [text]
        blocks += [Block(document, kind, each) for each in lines]
    return blocks


BLOCKS = [block for document in DOCUMENTS for block in read_blocks(document)]
SHELL = list(dict.fromkeys(block.text for block in BLOCKS if block.kind == "sh"))
FOREIGN = [line for line in SHELL if "my_package" in line or "path/to" in line]
PLAIN = [line for line in SHELL if "lrsched -" in line]
ENGINES = [line for line in SHELL if "--engine" in line]
HOSTS = [line for line in SHELL if "--coordinator" in line]
NOT_HERE = [*FOREIGN, *ENGINES, *HOSTS]
STUDIES = [line for line in SHELL if "lrsched study" in line and "--part" not in line and line not in NOT_HERE]
ALONE = list({line.split("lrsched ", 1)[1]: line for line in STUDIES}.values())  # each once, whatever is before it
ON_PREPARED_DATA = [line for line in STUDIES if "--data-dir" in line]
WITHOUT_TRAINING = ("lrsched schedules", "lrsched rank", "lrsched check")
ON_RESULTS = [line for line in SHELL if "lrsched forecast" in line]  # in the folder of the checkout
IN_ORDER = (
    "lrsched train",
    "lrsched ensemble",
    "--part",
    "lrsched merge",
    "lrsched report",
)  # each needs what those before it have written


def words(line: str) -> list[str]:
    """What follows `lrsched` in a line of the shell."""
    return shlex.split(line.split("lrsched ", 1)[1], comments=True)


def small(line: str) -> list[str]:
    """The same, of the model that is compiled and trained fastest where the line trains one of images."""
    trains = words(line)[0] in ("study", "train", "range-test", "search", "tune")
    return [*words(line), "--model", "mlp"] if trains and "--model gpt" not in line else words(line)


def lines_of(*parts: str) -> list[str]:
    return [line for line in SHELL if any(part in line for part in parts)]


def is_in_order(block: Block) -> bool:
    if block.kind == "sh":
        return any(part in block.text for part in IN_ORDER) and block.text not in NOT_HERE
    return "runs/" in block.text


def test_readme_has_the_two_commands() -> None:
    lines = [block.text for block in BLOCKS if block.document == "readme"]
    assert "pip install uv && uv run lrsched study" in lines
    assert "pip install uv && uv run pytest" in lines
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text()


def test_readme_is_short() -> None:
    assert len(TEXTS["readme"].split()) <= 950


def test_every_line_of_the_shell_is_one_that_is_tested_here() -> None:
    tested = [*NOT_HERE, *PLAIN, *STUDIES, *ON_RESULTS, *lines_of(*WITHOUT_TRAINING, "lrsched data", *IN_ORDER, *SHORT)]
    installs = lines_of("uv run pytest", "-m venv", "pip install ")
    assert [line for line in SHELL if line not in {*tested, *installs}] == []
    assert {block.kind for block in BLOCKS} == {"sh", "python"}


TYPED = [line for line in SHELL if re.search(r"(^|\s)lrsched [a-z]", line) and "lrsched data" not in line]


@pytest.mark.parametrize("line", TYPED)
def test_commands_are_understood_as_they_are_typed(line: str) -> None:
    """Without the options that make them short elsewhere: `lrsched study` has none at all."""
    assert parsing.parse(words(line)).name == words(line)[0]


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in ALONE if line not in ON_PREPARED_DATA])
def test_study_commands_run(line: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--max-epochs", "0.1", "--seeds", "1", "--selection-seeds", "1"]  # the last of equal options wins
    short += ["--out", str(tmp_path / "out")]
    assert cli.main([*small(line), *short]) == 0
    assert " in %, mean ± sd (n seeds)" in capsys.readouterr().out


@pytest.mark.parametrize("line", ENGINES)
def test_study_commands_on_each_engine_are_understood(line: str) -> None:
    """(`tests/runs/test_engines.py` trains on each of them.)"""
    config = parsing.parse(words(line)).config
    config.engine.check()
    assert config.engine.name in ("local", "ray", "slurm")
    assert f"--engine {config.engine.name}" in line


@pytest.mark.parametrize("line", HOSTS)
def test_commands_of_several_hosts_are_understood(line: str) -> None:
    config = parsing.parse(words(line)).config
    assert config.hosts.coordinator in ("host0:7711", "auto")


@pytest.mark.parametrize("line", ON_PREPARED_DATA)
def test_study_commands_on_prepared_data_reach_the_data(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words(line), "--data-dir", "no/such/folder"]) == 2
    assert "the folder no/such/folder does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("line", lines_of(*WITHOUT_TRAINING))
def test_commands_without_training_run(
    line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rates = lrsched.plan("warmup:50st+cosine", 300, peak_value=0.1).lr.table()
    (tmp_path / "trace.csv").write_text("\n".join(["step,lr", *(f"{k},{rate}" for k, rate in enumerate(rates))]))
    assert cli.main(words(line)) == 0
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("line", ON_RESULTS)
def test_commands_on_results_run(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(words(line)) == 0, capsys.readouterr().err
    assert "predicted" in capsys.readouterr().out


@pytest.mark.parametrize("line", lines_of("lrsched data"))
def test_data_commands_are_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(prepare, "prepare", lambda name, **where: asked.append((name, where)))
    assert cli.main(words(line)) == 0
    given = dict(itertools.pairwise(words(line)))
    where = {"data_dir": given.get("--data-dir"), "source": given.get("--from")}
    assert asked == ([] if "list" in line else [(given["prepare"], where)])


@pytest.mark.slow
@pytest.mark.parametrize("document", ["readme", "manual"])
def test_what_writes_and_reads_runs_works_one_after_another(
    document: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in BLOCKS if block.document == document and is_in_order(block)]
    assert len(blocks) >= {"readme": 1, "manual": 7}[document]
    for block in blocks:
        if block.kind == "python":
            run_snippet(block.text)
        else:
            assert cli.main(small(block.text)) == 0, capsys.readouterr().err
            assert "written:" in capsys.readouterr().out


QUICK = "--max-epochs 0.1 --runs-each 1 --workers 1"
SHORT = {
    "lrsched range-test": "--length 20 --seeds 2",
    "lrsched search": f"{QUICK} --length 20 --seeds 1 --grid 1 --batch-sizes 64",
    "lrsched tune": f"{QUICK} --trials 2",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", lines_of(*SHORT))
def test_searching_commands_run(
    line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*small(line), *SHORT[f"lrsched {words(line)[0]}"].split()]) == 0, capsys.readouterr().err
    assert "written:" in capsys.readouterr().out
    assert list(tmp_path.glob("runs/*/*.md"))


@pytest.mark.slow
@pytest.mark.parametrize("line", FOREIGN)
def test_commands_with_code_and_images_of_the_users_run(
    line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_package(tmp_path / "my_package")
    write_images(tmp_path / "path" / "to" / "images")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    short = "--max-epochs 0.1 --seeds 1 --peak-values 0.1" if "study" in line else "--max-epochs 1 --model resnet8"
    assert cli.main([*words(line), *short.split(), "--batch-size", "8"]) == 0, capsys.readouterr().err
    assert "error" in capsys.readouterr().out


def write_package(folder: pathlib.Path) -> None:
    """The modules that the documents speak of."""
    folder.mkdir()
    modules = {
        "__init__": "",
        "nets": """
            import flax.linen as nn

            class Small(nn.Module):
                classes: int

                @nn.compact
                def __call__(self, images, *, train):
                    return nn.Dense(self.classes)(nn.relu(nn.Conv(4, (3, 3))(images)).mean((1, 2)))

            def wide_resnet(classes):
                return Small(classes)
            """,
        "data": """
            import numpy as np
            from lrsched.training.data import dataset

            def load():
                images = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
                return dataset((images, np.arange(80) % 4))
            """,
        "schedules": """
            import lrsched as ls

            def mine(peak_value, *, total_steps, cut=0.5, sampling=None):
                return ls.decay(peak_value, profile=ls.profiles.rex(cut), total_steps=total_steps, sampling=sampling)
            """,
    }
    for name, code in modules.items():
        lines = [line.removeprefix(" " * 12) for line in code.splitlines()]
        (folder / f"{name}.py").write_text("\n".join(lines))


def write_images(folder: pathlib.Path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for split, name, number in itertools.product(("train", "test"), ("cat", "dog"), range(8)):
        path = folder / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)


@pytest.mark.slow
@pytest.mark.parametrize("line", PLAIN)
def test_commands_about_the_program_itself_run(line: str, tmp_path: pathlib.Path) -> None:
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    known = {"env": {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}, "cwd": tmp_path, "text": True}
    ended = subprocess.run(line, shell=True, capture_output=True, **known)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout or [file for file in tmp_path.iterdir() if file.stat().st_size]


@pytest.mark.parametrize("code", [block.text for block in BLOCKS if block.kind == "python" and not is_in_order(block)])
def test_snippets_run(code: str) -> None:
    run_snippet(code)


PAGES = DOCUMENTS | {"recipes": ROOT / "lrsched" / "docs" / "recipes.md"}
LINKS = [(name, link) for name, path in PAGES.items() for link in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8"))]


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_links_lead_somewhere(document: str, link: str) -> None:
    if link.startswith("https://"):
        return
    path, _, anchor = link.partition("#")
    target = PAGES[document].parent / path if path else PAGES[document]
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_command_has_a_section_and_a_row() -> None:
    names = parsing.commands()
    assert [name for name in names if f"\n## lrsched {name}\n" not in TEXTS["manual"]] == []
    assert [name for name in names if f"| `lrsched {name}` |" not in TEXTS["readme"]] == []


@pytest.mark.parametrize("name", sorted(parsing.commands()))
def test_example_of_every_help_text_is_understood(name: str) -> None:
    module = importlib.import_module(f"lrsched.commands.{name.replace('-', '_')}")
    doc = getattr(module, f"{name.title().replace('-', '')}Config").__doc__
    examples = re.findall(r"^ *Example: (lrsched .*)$", doc, flags=re.MULTILINE)
    assert examples
    for line in examples:
        assert parsing.parse(words(line)).name == name


def test_files_of_the_manual_are_those_that_the_commands_write() -> None:
    table = TEXTS["manual"].partition("## Files")[2].partition("**Several processes**")[0]
    named = {pathlib.PurePath(name).name for name in re.findall(r"`([\w/]+\.[a-z]+)`", table)}
    source = "".join(path.read_text("utf-8") for path in (ROOT / "lrsched").rglob("*.py"))
    assert len(named) > 15
    assert [name for name in sorted(named) if f'{name}"' not in source] == []


def test_table_is_the_one_of_the_results() -> None:
    rows = (ROOT / "results" / "digits_study" / "table.md").read_text().partition("\n\n")[0]
    assert rows.startswith("| schedule |")
    assert rows in TEXTS["readme"]


def test_requirements_are_pinned_by_hash_and_name_no_host() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    project = (ROOT / "pyproject.toml").read_text()
    direct = re.findall(r'^  "([A-Za-z0-9_-]+)[>=]', project, flags=re.MULTILINE)
    pinned = {entry.split("==")[0].split("[")[0].lower().replace("_", "-") for entry in entries}
    assert {name.lower().replace("_", "-") for name in direct} <= pinned
