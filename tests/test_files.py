"""Files: whole or not at all, UTF-8, sealed, locked."""

import errno
import json
import os
import pathlib
import subprocess
import sys

import pytest

from lrsched import files

DOCUMENT = {"run": "a†b", "loss": 0.1, "rate": [1e-05, 3], "nested": {"x": None}}


@pytest.mark.parametrize("text", ["gs://bucket/x", "s3://b/x", "file:///z", "hdfs:/x", "GS://bucket"])
def test_local_folder_refuses_a_url(text: str) -> None:
    with pytest.raises(ValueError, match="out must be a local folder, got the URL"):
        files.local_folder("out", text)


@pytest.mark.parametrize("text", ["", "a\0b", "~nobody-of-that-name/x"])
def test_local_folder_refuses_what_names_no_folder(text: str) -> None:
    with pytest.raises(ValueError, match="out must"):
        files.local_folder("out", text)


def test_local_folder_expands_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.local_folder("out", "~/x") == tmp_path / "x"
    assert files.local_folder("out", "runs/a:b@1") == pathlib.Path("runs/a:b@1")


def test_check_writable_names_a_file_in_the_way(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ValueError, match="out must be a folder that can be written, got .*x"):
        files.check_writable("out", tmp_path / "x")
    with pytest.raises(ValueError, match="out must be a folder that can be written, got .*x/y"):
        files.check_writable("out", tmp_path / "x" / "y")


def test_what_fails_while_it_is_written_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "table.md"
    files.write_text(path, "old")

    def fail() -> None:
        with files.replacing(path) as beside:
            assert beside.suffix == ".md"
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["table.md"]
    assert files.read_text(path) == "old"


def test_a_written_file_has_the_mode_that_open_would_give(tmp_path: pathlib.Path) -> None:
    files.write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.slow
def test_text_is_utf8_under_an_ascii_locale(tmp_path: pathlib.Path) -> None:
    text = r"'\u2020\xb1'"
    code = f"import sys; from lrsched import files as f; f.write_text(sys.argv[1], {text})"
    code += f"; print(f.read_text(sys.argv[1]) == {text})"
    path = tmp_path / "x"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert path.read_bytes() == b"\xe2\x80\xa0\xc2\xb1"


def test_a_text_that_is_not_utf8_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_bytes(b"a\xff")
    with pytest.raises(ValueError, match="x must be UTF-8, got byte 1"):
        files.read_text(tmp_path / "x")


@pytest.mark.parametrize("indent", [None, 1])
def test_a_sealed_document_comes_back(tmp_path: pathlib.Path, indent: int | None) -> None:
    files.write_json(tmp_path / "x.json", DOCUMENT, indent=indent)
    assert files.read_json(tmp_path / "x.json") == DOCUMENT
    assert {k: v for k, v in json.loads((tmp_path / "x.json").read_text()).items() if k != "sha256"} == DOCUMENT


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_every_changed_byte_of_a_sealed_file_is_noticed(tmp_path: pathlib.Path, indent: int | None, flip: int) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, DOCUMENT, indent=indent)
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])
        with pytest.raises(ValueError, match="x.json must be as it was written"):
            files.read_json(path, unsealed=frozenset(DOCUMENT))


def test_an_old_file_without_a_seal_is_read_if_it_has_the_old_fields_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(DOCUMENT))
    assert files.read_json(path, unsealed=frozenset(DOCUMENT)) == DOCUMENT
    for unsealed in (frozenset(), frozenset({"run"})):
        with pytest.raises(ValueError, match="no SHA-256 of its own"):
            files.read_json(path, unsealed=unsealed)


@pytest.mark.parametrize("content", ["null", "[]", "{}", "", "[" * 5000, '"x"', "\xff"])
def test_what_is_no_document_is_named(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "x.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match="x.json must be as it was written"):
        files.read_json(tmp_path / "x.json")


def test_an_altered_line_is_named_and_the_others_are_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "records.jsonl"
    for run in "abc":
        files.append_line(path, {"run": run})
    good = path.read_bytes()
    second = good.index(b'"b"') + 1
    path.write_bytes(good[:second] + b"c" + good[second + 1 :])
    found = files.read_lines(path)
    assert [row["run"] for row in found.rows] == ["a", "c"]
    assert [line.split(" (")[0] for line in found.damaged] == [f"{path}, line 2, was altered since it was written"]


def test_lines_of_a_file_that_cannot_be_there_are_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file" / "x"):
        assert files.read_lines(path) == ([], [], None)
    with pytest.raises(ValueError, match="must be a file, got a folder"):
        files.read_lines(tmp_path)


def test_appending_cuts_off_a_torn_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "records.jsonl"
    files.append_line(path, {"run": "a"})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    assert files.read_lines(path) == ([{"run": "a"}], [], len(whole))
    files.append_line(path, {"run": "b"})
    assert [row["run"] for row in files.read_lines(path).rows] == ["a", "b"]


def test_a_whole_last_line_without_its_newline_is_kept(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "records.jsonl"
    for run in "ab":
        files.append_line(path, {"run": run})
    path.write_bytes(path.read_bytes()[:-1])
    assert files.read_lines(path) == ([{"run": "a"}, {"run": "b"}], [], None)
    files.append_line(path, {"run": "c"})
    assert [row["run"] for row in files.read_lines(path).rows] == ["a", "b", "c"]


@pytest.mark.parametrize("document", [{"x": float("nan")}, {"x": float("inf")}, {"x": {1, 2}}, {}, {"sha256": 1}])
def test_appending_refuses_what_is_no_document(tmp_path: pathlib.Path, document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a document must"):
        files.append_line(tmp_path / "x", document)
    assert not list(tmp_path.iterdir())


def test_a_lock_is_held_by_one_open_file_at_a_time(tmp_path: pathlib.Path) -> None:
    with files.lock(tmp_path / "lock"), pytest.raises(BlockingIOError):
        files.lock(tmp_path / "lock")
    files.lock(tmp_path / "lock").close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_there_is_a_way(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="its file system has no locks .* LRSCHED_LOCKS=none"):
        files.append_line(tmp_path / "x", {"run": 1})
    monkeypatch.setenv("LRSCHED_LOCKS", "none")
    files.append_line(tmp_path / "x", {"run": 1})
    assert files.read_lines(tmp_path / "x").rows == [{"run": 1}]


def test_a_system_without_fcntl_is_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(OSError, match="cannot be locked on this system"):
        files.lock(tmp_path / "x")
