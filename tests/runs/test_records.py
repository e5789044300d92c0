"""Records on disk: sealed, and of the run that they name."""

import json
import pathlib
import random

import pytest

from lrsched import files
from lrsched.runs import records
from lrsched.runs import run as runs
from lrsched.runs.task import RunConfig


@pytest.fixture(scope="module")
def record() -> runs.Record:
    return runs.finish(runs.run(RunConfig(max_epochs=0.1)))  # type: ignore[arg-type]


def test_an_appended_record_is_read_and_found(record: runs.Record, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "records.jsonl"
    assert records.read(path).rows == []
    assert records.find(path, record["run"]) is None
    records.append(path, record)
    assert records.read(path) == files.Lines([record], [], None)
    assert records.find(path, record["run"]) == record
    assert records.find(path, "0" * 16) is None


def test_300_changed_bytes_are_all_noticed(record: runs.Record, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "records.jsonl"
    for _ in range(3):
        records.append(path, record)
    good, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        at = rng.randrange(len(good))
        path.write_bytes(good[:at] + bytes([good[at] ^ rng.randrange(1, 256)]) + good[at + 1 :])
        found = records.read(path)
        assert len(found.rows) < 3
        assert all(row == record for row in found.rows)
        assert found.damaged or found.torn_at is not None
        assert all(str(path) in line for line in found.damaged)


def unsealed(record: runs.Record) -> runs.Record:
    """As version 0.1.0 wrote it."""
    return {name: value for name, value in record.items() if name not in ("place", "changes", "resumed_at")}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "budget"), "110%"),
        (("config", "peak_value"), 0),
        (("config", "seed"), 1),
        (("data", "digest"), "0"),
        (("origin",), {"run": "0"}),
        (("run",), "0" * 16),
        (("run",), []),
        (("config",), None),
        (("device",), []),
        (("more",), 1),
    ],
)
def test_a_line_without_a_seal_is_used_only_if_its_id_follows_from_it(
    place: tuple[str, ...], value: object, record: runs.Record, tmp_path: pathlib.Path
) -> None:
    path, old = tmp_path / "records.jsonl", json.loads(json.dumps(unsealed(record)))
    path.write_text(json.dumps(old) + "\n")
    assert records.read(path).rows == [old]
    inside = old
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    path.write_text(json.dumps(old) + "\n")
    found = records.read(path)
    assert found.rows == []
    assert len(found.damaged) == 1


def test_a_line_without_a_field_is_not_used(record: runs.Record, tmp_path: pathlib.Path) -> None:
    old = unsealed(record)
    del old["test_error"]
    (tmp_path / "records.jsonl").write_text(json.dumps(old) + "\n")
    assert "has no test_error" in records.read(tmp_path / "records.jsonl").damaged[0]


def test_several_devices_are_another_run_than_one() -> None:
    ids = {records.identify({}, data_digest="0", origin=None, devices=n) for n in (1, 2, 4)}
    assert len(ids) == 3


def test_append_refuses_what_is_not_finite(record: runs.Record, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        records.append(tmp_path / "records.jsonl", {**record, "test_error": float("nan")})
    assert not (tmp_path / "records.jsonl").exists()
