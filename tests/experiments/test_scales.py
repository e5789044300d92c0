"""Studies of papers' tables at two scales."""

import importlib
import pathlib
import re
import shlex

import pytest
import scales

from lrsched import cli, parsing
from lrsched.commands.study import StudyConfig, make_grid

EXPERIMENTS = pathlib.Path(scales.__file__).parent
SCRIPTS = sorted(path.stem for path in EXPERIMENTS.glob("*.py") if "\nSCALES = " in path.read_text())
#: A network and data that are here, in place of those that are not, and fewer runs.
SMALL = "--data digits --model mlp --batch-size 32 --budgets 100% --max-epochs 9 --seeds 5-6"


def config(script: str, scale: str, *more: str) -> StudyConfig:
    words = importlib.import_module(script).SCALES[scale]
    found = parsing.parse(["study", *shlex.split(words), *more]).config
    assert isinstance(found, StudyConfig)
    return found


def test_there_are_scripts_with_scales() -> None:
    assert "rex_table4" in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_scales_are_studies_and_the_papers_own_is_the_larger(script: str) -> None:
    module = importlib.import_module(script)
    assert "paper" in module.SCALES
    assert len(module.SCALES) > 1
    size = {}
    for scale in module.SCALES:
        study = config(script, scale)
        grid = make_grid(study)
        runs = [*grid.tried(), *grid.fresh({})]
        size[scale] = study.max_epochs * len(runs)
        assert re.search("--scale .*paper", module.__doc__)
    assert size["paper"] == max(size.values())


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_papers_scale_passes_a_dry_run(script: str, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    module = importlib.import_module(script)
    words = ["--scale", "paper", *SMALL.split(), "--dry-run", "--out", str(tmp_path / "out")]
    assert module.main(words) == 0
    grid = make_grid(config(script, "paper", *SMALL.split()))
    said = capsys.readouterr().out
    assert f"{len(grid.fresh({})):,} runs with fresh seeds" in said
    assert not (tmp_path / "out").exists()


def test_scale_and_options_are_told_apart() -> None:
    words = {"cpu": "", "paper": ""}
    assert scales.choose("A study.", words, ["--seeds", "3", "--scale", "paper"]) == ("paper", ["--seeds", "3"])
    assert scales.choose("A study.", words, []) == ("cpu", [])
    with pytest.raises(SystemExit):
        scales.choose("A study.", words, ["--scale", "moon"])


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.py")), ids=lambda path: path.stem)
def test_mistake_given_to_a_script_is_one_line(path: pathlib.Path) -> None:
    """Those with `main` end by the command line's own guard, but for those that take numbers and do not resume."""
    text = path.read_text()
    if "def main(" not in text or path.stem.startswith(("kill_", "check_faults", "fractal_steps", "theory")):
        return
    assert "sys.exit(cli.guarded(main))" in text or (
        "sys.exit(main())" in text and ("scales.study(" in text or "cli.main(" in text)
    )


def test_guard_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def mistaken() -> int:
        raise ValueError("data must be\n  there, got none.")

    assert cli.guarded(mistaken) == 2
    assert capsys.readouterr().err == "lrsched: data must be there, got none.\n"
    assert cli.guarded(lambda: 3) == 3
