import dataclasses
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from lrsched.training import provenance


def test_digest_depends_on_names_values_shapes_and_types() -> None:
    trees = [
        {"a": np.zeros(2, np.float32)},
        {"b": np.zeros(2, np.float32)},
        {"a": np.ones(2, np.float32)},
        {"a": np.zeros((2, 1), np.float32)},
        {"a": np.zeros(2, np.int32)},
    ]
    assert len({provenance.digest(tree) for tree in trees}) == len(trees)
    assert provenance.digest({"b": np.ones(1), "a": np.zeros(1)}) == provenance.digest(
        {"a": np.zeros(1), "b": np.ones(1)}
    )


def test_versions_are_those_in_use() -> None:
    versions = provenance.versions()
    assert versions["jax"] == jax.__version__
    assert versions["python"] == sys.version.split()[0]


def test_commit_is_the_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    where = pathlib.Path(provenance.__file__).parent
    done = subprocess.run(["git", "-C", str(where), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        assert provenance.commit.__wrapped__() is None
    else:
        assert (provenance.commit.__wrapped__() or "").rstrip("+") == done.stdout.strip()


def test_commit_of_a_changed_checkout_has_a_plus(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        author = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *author, *words], check=True, capture_output=True)

    package = tmp_path / "lrsched"
    (package / "training").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(provenance, "__file__", str(package / "training" / "provenance.py"))
    assert not provenance.commit.__wrapped__().endswith("+")
    monkeypatch.setattr(provenance, "commit", provenance.commit.__wrapped__)
    code = provenance.code.__wrapped__
    tree = code()
    assert re.fullmatch("[0-9a-f]{40}", tree)
    (tmp_path / "notes.md").write_text("of the repository, not of the package")
    git("add", ".")
    git("commit", "-m", "two")
    assert code() == tree
    seen = set()
    for name, text in ("__init__", "changed = True"), ("__init__", "changed = 2"), ("new", "a = 1"), ("new", "a = 2"):
        (package / f"{name}.py").write_text(text)
        assert provenance.commit().endswith("+")
        assert re.fullmatch(re.escape(tree) + r"\+[0-9a-f]{8}", code())
        seen.add(code())
    assert len(seen) == 4
    (package / ".#task.py").symlink_to("nobody@nowhere:1")  # as an editor locks a file
    (package / "odd name.py").write_bytes(b"\xe9")
    assert re.fullmatch(re.escape(tree) + r"\+[0-9a-f]{8}", code())


def test_commit_without_git_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.commit.__wrapped__() is None


def test_record_says_the_configuration_but_no_folder() -> None:
    @dataclasses.dataclass(frozen=True)
    class Config:
        data_dir: str | None
        rate: float
        out: str | None

    config = Config("/home/somebody/data", 0.1, "/home/somebody/runs")
    assert provenance.config_fields(config) == {"data_dir": None, "rate": 0.1, "out": None}
