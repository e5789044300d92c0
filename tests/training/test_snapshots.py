"""States on disk: every bit back, or a line that says what is damaged; nothing here trains."""

import errno
import gc
import itertools
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import jax
import numpy as np
import orbax.checkpoint
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from lrsched.training import checkpoints, models, optim, provenance, snapshots, train, trees

TREE = {"step": np.int32(3), "params": {"kernel": np.arange(600, dtype=np.float32).reshape(20, 30)}, "none": ()}
FACTS = {"config": {"seed": 3, "rate": 0.1}, "losses": [1e-300, 2.5], "name": "é"}


def _tree(step: int) -> dict[str, Any]:
    values = np.random.default_rng(step).normal(size=(20, 30)).astype(np.float32)
    return {"step": np.int32(step), "params": {"kernel": values}, "none": ()}


def _save(folder: pathlib.Path, *steps: int, **words: Any) -> None:
    with snapshots.open_store(folder, **words) as store:
        for step in steps:
            store.save(step, _tree(step), {"after": step})


def _assert_same(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert isinstance(x, np.ndarray)
        assert (x.dtype, x.shape, x.tobytes()) == (np.asarray(y).dtype, np.shape(y), np.asarray(y).tobytes())


def _python(code: str, *words: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_state_of_training_comes_back_to_the_bit(tmp_path: pathlib.Path, name: str) -> None:
    model = models.build("resnet8", classes=3)
    state = train.initial_state(model, optim.Optimizer(name=name), image_shape=(8, 8, 1), seed=0)
    rng = np.random.default_rng(0)
    random = jax.tree.map(lambda leaf: np.frombuffer(rng.bytes(leaf.nbytes), leaf.dtype).reshape(leaf.shape), state)
    with snapshots.open_store(tmp_path) as store:
        store.save(7, random, FACTS)
        store.save_member(7, random.variables, FACTS)
        found, lines = store.newest(state)
    assert lines == []
    for saved in (found, snapshots.load(tmp_path, 7, state)):
        assert saved is not None
        assert (saved.step, saved.facts, type(saved.tree)) == (7, FACTS, train.State)
        _assert_same(saved.tree, random)  # NaNs of every kind among them
    _assert_same(snapshots.load_member(tmp_path, 7, state.variables).tree, random.variables)


def test_arrays_changed_after_a_save_are_saved_as_they_were(tmp_path: pathlib.Path) -> None:
    tree = _tree(1)
    with snapshots.open_store(tmp_path) as store:
        store.save(1, tree, {})
        tree["params"]["kernel"][:] = 0
    _assert_same(snapshots.load(tmp_path, 1, TREE).tree, _tree(1))


def test_nothing_saved_is_said(tmp_path: pathlib.Path) -> None:
    with snapshots.open_store(tmp_path / "run") as store:
        assert store.newest(TREE) == (None, [])
    assert snapshots.steps(tmp_path / "elsewhere") == []
    with pytest.raises(ValueError, match=r"^step must be one saved in .*resume \(none\), got 3\.$"):
        snapshots.load(tmp_path / "run", 3, TREE)
    _save(tmp_path / "run", 1, 2)
    with pytest.raises(ValueError, match=r"resume \(1, 2\), got 3\.$"):
        snapshots.load(tmp_path / "run", 3, TREE)


def test_the_latest_and_the_kept_stay(tmp_path: pathlib.Path) -> None:
    _save(tmp_path, 1, 2, 3, 4, 5, keep_steps=(2,))
    assert snapshots.steps(tmp_path) == [2, 4, 5]
    _save(tmp_path, 6, keep_steps=(2,), latest=1)
    assert snapshots.steps(tmp_path) == [2, 6]
    with pytest.raises(ValueError, match=r"^latest must be at least 1, got 0\.$"):
        snapshots.open_store(tmp_path, latest=0)


def test_members_all_stay(tmp_path: pathlib.Path) -> None:
    for steps in ((1, 2, 3), (4, 5)):
        with snapshots.open_store(tmp_path, latest=1) as store:
            for step in steps:
                store.save_member(step, _tree(step), {})
    assert snapshots.member_steps(tmp_path) == [1, 2, 3, 4, 5]
    _assert_same(snapshots.load_member(tmp_path, 2, TREE).tree, _tree(2))


def _files(folder: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _largest(folder: pathlib.Path) -> pathlib.Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def _flip(path: pathlib.Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)


def _flip_values(folder: pathlib.Path) -> None:
    path = _largest(folder)
    _flip(path, path.stat().st_size // 2)


def _flip_facts(folder: pathlib.Path) -> None:
    path = folder / "_CHECKPOINT_METADATA"
    _flip(path, path.read_bytes().index(b'"after": ') + 9)  # a digit: JSON as before


def _truncate(folder: pathlib.Path) -> None:
    path = _largest(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _rename(folder: pathlib.Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("1"), folder)  # whole, but of another step


DAMAGES = {
    "flipped byte of values": _flip_values,
    "flipped byte of facts": _flip_facts,
    "truncated values": _truncate,
    "truncated words": lambda folder: (folder / "_CHECKPOINT_METADATA").write_bytes(b'{"item'),
    "no values": lambda folder: _largest(folder).unlink(),
    "no words": lambda folder: (folder / "_CHECKPOINT_METADATA").unlink(),
    "no tree": lambda folder: (folder / "state" / "_METADATA").unlink(),
    "no arrays": lambda folder: shutil.rmtree(folder / "state"),
    "nothing": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
    "another step": _rename,
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_state_is_passed_over_and_saved_again(tmp_path: pathlib.Path, damage: str) -> None:
    _save(tmp_path, 1, 2)
    DAMAGES[damage](tmp_path / "resume" / "2")
    with pytest.raises(ValueError, match=r"^the state after update 2 must be whole, got .+$") as error:
        snapshots.load(tmp_path, 2, TREE)
    assert "\n" not in str(error.value)
    with snapshots.open_store(tmp_path) as store:
        saved, lines = store.newest(TREE)
        assert saved is not None
        assert saved.step == 1
        _assert_same(saved.tree, _tree(1))
        assert len(lines) == 1
        assert lines[0].startswith("the state after update 2 is damaged (")
        assert lines[0].endswith("): resuming from 1")
        assert snapshots.steps(tmp_path) == [1]
        store.save(2, _tree(2), {"after": 2})
    _assert_same(snapshots.load(tmp_path, 2, TREE).tree, _tree(2))


def test_all_states_damaged_starts_anew(tmp_path: pathlib.Path) -> None:
    _save(tmp_path, 1, 2)
    for step in (1, 2):
        _flip_values(tmp_path / "resume" / str(step))
    with snapshots.open_store(tmp_path) as store:
        saved, lines = store.newest(TREE)
    assert saved is None
    assert [line[:24] for line in lines] == ["the state after update 2", "the state after update 1"]
    assert all(line.endswith("starting over") for line in lines)


def test_sound_step_is_not_saved_twice_and_a_damaged_one_is(tmp_path: pathlib.Path) -> None:
    with snapshots.open_store(tmp_path) as store:
        for save, load, kind in (
            (store.save, snapshots.load, "resume"),
            (store.save_member, snapshots.load_member, "members"),
        ):
            for tree in (1, 2):
                save(5, _tree(tree), {})
            store.newest(TREE)  # waits
            _assert_same(load(tmp_path, 5, TREE).tree, _tree(1))
            _flip_values(tmp_path / kind / "5")
            save(5, _tree(2), {})
            store.newest(TREE)
            _assert_same(load(tmp_path, 5, TREE).tree, _tree(2))


def test_wrong_like_is_refused_and_removes_nothing(tmp_path: pathlib.Path) -> None:
    _save(tmp_path, 1, 2)
    kernel = TREE["params"]["kernel"]
    wrong = {
        r"like's params/kernel must be float32 \(20, 30\), as saved, got float32 \(30, 20\)\.": {
            **TREE,
            "params": {"kernel": kernel.T},
        },
        r"like's step must be int32 \(\), as saved, got float32 \(\)\.": {**TREE, "step": np.float32(0)},
        r"like must have the leaves that were saved, got more, which was not\.": {**TREE, "more": kernel},
        r"like must have the leaves that were saved, got none at step\.": {"params": TREE["params"]},
    }
    with snapshots.open_store(tmp_path) as store:
        for message, like in wrong.items():
            with pytest.raises(ValueError, match=f"^{message}$"):
                store.newest(like)
            with pytest.raises(ValueError, match=f"^{message}$"):
                snapshots.load(tmp_path, 2, like)
    assert snapshots.steps(tmp_path) == [1, 2]


def test_facts_that_are_not_json_are_refused(tmp_path: pathlib.Path) -> None:
    with snapshots.open_store(tmp_path) as store, pytest.raises(ValueError, match=r"^facts must be JSON, got: .*\.$"):
        store.save(1, TREE, {"loss": np.float32(1)})


@pytest.mark.slow
def test_second_store_is_refused_until_the_first_is_closed(tmp_path: pathlib.Path) -> None:
    code = """
        import sys
        from lrsched.training import snapshots
        try:
            snapshots.open_store(sys.argv[1])
        except BlockingIOError as error:
            print(error)
    """
    refusal = f"{tmp_path} must be written by one process at a time, got a second one."
    with snapshots.open_store(tmp_path):
        with pytest.raises(BlockingIOError, match="must be written by one process at a time, got a second one"):
            snapshots.open_store(tmp_path)
        out, err = _python(code, tmp_path).communicate()
        assert (out.strip(), err) == (refusal, "")
    store = snapshots.open_store(tmp_path)
    store.close()
    store.close()


def test_folder_that_cannot_be_made_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^folder must be one that can be written, got .*: Not a directory\.$"):
        snapshots.open_store(tmp_path / "file" / "run")


@pytest.mark.slow
def test_killed_process_leaves_the_newest_committed_state(tmp_path: pathlib.Path) -> None:
    code = """
        import sys
        import numpy as np
        from lrsched.training import snapshots
        first = max(snapshots.steps(sys.argv[1]), default=0)
        with snapshots.open_store(sys.argv[1]) as store:
            for step in range(first + 1, 10**6):
                values = np.random.default_rng(step).normal(size=(20, 30)).astype(np.float32)
                tree = {"step": np.int32(step), "params": {"kernel": values}, "none": ()}
                store.save(step, tree, {})
                print(step, flush=True)
    """
    rng = np.random.default_rng(0)
    for _ in range(5):
        process = _python(code, tmp_path)
        assert process.stdout is not None
        begun = [int(process.stdout.readline()) for _ in range(4)]
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with snapshots.open_store(tmp_path) as store:
            saved, lines = store.newest(TREE)
        assert [path.name for path in (tmp_path / "resume").iterdir() if not path.name.isdecimal()] == []
        assert saved is not None
        assert lines == []
        assert saved.step >= begun[-1] - 1  # the one before was waited for
        _assert_same(saved.tree, _tree(saved.step))


@pytest.mark.slow
def test_full_disk_is_said_in_one_line_and_costs_no_earlier_state(tmp_path: pathlib.Path) -> None:
    code = """
        import resource, signal, sys
        import numpy as np
        from lrsched.training import snapshots
        folder = sys.argv[1]
        small, big = {"a": np.ones(9, np.float32)}, {"a": np.random.default_rng(0).bytes(10**6)}
        big = {"a": np.frombuffer(big["a"], np.uint8)}
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = snapshots.open_store(folder)
        store.save(1, small, {}, wait=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, resource.RLIM_INFINITY))
        for act in (lambda: store.save(2, big, {}, wait=True), lambda: store.save_member(2, big, {})):
            try:
                act()
            except OSError as error:
                print(error)
        try:  # which of the two says it depends on how far Orbax's threads have come
            store.save(3, big, {})
            store.close()
        except OSError as error:
            print(error)
        store.close()
        with snapshots.open_store(folder) as store:
            saved, lines = store.newest(small)
            print(saved.step, float(saved.tree["a"].sum()), lines)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            store.save(2, big, {})
        print(snapshots.steps(folder), snapshots.member_steps(folder))
    """
    out, err = _python(code, tmp_path).communicate()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 5
    for line, noun, place in zip(
        lines, ("state after update 2", "member after update 2", "state after update 3"),
        ("resume/2", "members/2", "resume/3"), strict=False,
    ):  # fmt: skip
        assert line.startswith(f"the {noun} must be written to {tmp_path / place}, got ")
    assert lines[3:] == ["1 9.0 []", "[1, 2] []"]


@pytest.mark.parametrize("kind", ["resume", "members"])
def test_what_killed_and_failed_saves_left_is_gone_before_the_next_save(kind: str, tmp_path: pathlib.Path) -> None:
    def leave(step: int) -> pathlib.Path:
        left = tmp_path / kind / f"{step}.orbax-checkpoint-tmp"
        (left / "state").mkdir(parents=True)
        return left

    def fail(*_: Any, **__: Any) -> None:
        left.append(leave(2))
        raise OSError(errno.EIO, "Input/output error")

    left = [leave(step) for step in range(100, 110)]
    with snapshots.open_store(tmp_path) as store:
        assert not any(path.exists() for path in left)
        writer = store._writers[kind]
        writer.save = writer.save_async = fail
        with pytest.raises(OSError, match="after update 1 must be written to .*, got .*Input/output error"):
            store.save(1, _tree(1), FACTS) if kind == "resume" else store.save_member(1, _tree(1), FACTS)
        assert not any(path.exists() for path in left)
        store.save(1, _tree(1), FACTS)
        store.save_member(1, _tree(1), FACTS)
    assert (snapshots.steps(tmp_path), snapshots.member_steps(tmp_path)) == ([1], [1])


def test_reading_needs_no_lock_and_leaves_the_terminal_alone(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with snapshots.open_store(tmp_path) as store:
        store.save(1, _tree(1), {}, wait=True)
        _assert_same(snapshots.load(tmp_path, 1, TREE).tree, _tree(1))
        store.save_member(1, _tree(1), {})
        _flip_values(tmp_path / "resume" / "1")
        store.newest(TREE)
    assert capfd.readouterr() == ("", "")


def test_error_of_reading_that_passes_is_no_damage(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    _save(tmp_path, 10)
    monkeypatch.setattr(checkpoints.orbax(), "load", busy)
    with pytest.raises(OSError, match="Too many open files"), snapshots.open_store(tmp_path) as store:
        store.newest(_tree(10))
    monkeypatch.undo()
    with snapshots.open_store(tmp_path) as store:
        saved, said = store.newest(_tree(10))
    assert saved is not None
    assert said == []


@pytest.mark.slow
def test_damage_is_raised_and_not_logged(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    _save(tmp_path, 1)
    _flip(tmp_path / "resume" / "1" / "state" / "manifest.ocdbt", 20)
    for _ in range(20):
        with pytest.raises(ValueError, match="after update 1 must be whole"):
            snapshots.load(tmp_path, 1, TREE)
    gc.collect()  # what asyncio says of tasks, it says when they go
    assert caplog.records == []


@pytest.mark.parametrize(("here", "there"), [(1, 2), (2, 1), (2, 4), (4, 2)])
def test_number_of_devices_leaves_no_trace(tmp_path: pathlib.Path, here: int, there: int) -> None:
    def put(tree: Any, devices: int) -> Any:
        mesh = Mesh(np.array(jax.devices()[:devices]), ("device",))
        return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))

    with snapshots.open_store(tmp_path) as store:
        store.save(1, put(_tree(1), here), {})
        saved, _ = store.newest(put(TREE, there))
    assert saved is not None
    _assert_same(saved.tree, _tree(1))
    _assert_same(jax.device_get(put(saved.tree, there)), _tree(1))


@pytest.mark.slow
def test_member_is_read_by_orbax_alone_and_used(tmp_path: pathlib.Path) -> None:
    model = models.build("resnet8", classes=3)
    variables = models.initial_variables(model, image_shape=(8, 8, 1), seed=0)
    with snapshots.open_store(tmp_path) as store:
        store.save_member(5, variables, FACTS)
    path = (tmp_path / "members" / "5").absolute()
    for member in (ocp.load(path), orbax.checkpoint.PyTreeCheckpointer().restore(path / "state")):
        assert member.keys() == {"params", "batch_stats"}
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(member), variables)
        images = jax.numpy.zeros((2, 8, 8, 1), np.float32)
        assert model.apply(member, images, train=False).shape == (2, 3)


@pytest.mark.parametrize("name", ["sgd", "adam", "schedule_free_sgd"])
def test_state_is_nested_by_names_on_disk(name: str, tmp_path: pathlib.Path) -> None:
    model = models.build("mlp", classes=3)
    state = train.initial_state(model, optim.Optimizer(name=name), image_shape=(4,), seed=0)
    with snapshots.open_store(tmp_path) as store:
        store.save(1, state, {})
    found = ocp.load((tmp_path / "resume" / "1").absolute())
    assert {"step", "params", "opt_state"} <= found.keys()
    np.testing.assert_array_equal(found["params"]["Dense_0"]["kernel"], state.params["Dense_0"]["kernel"])


def _packed_as_in_0_1_0(step: int, tree: Any, facts: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What version 0.1.0 gave to Orbax: leaves by their paths in one flat dict."""
    paths = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
    leaves = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in paths}
    words = np.frombuffer(json.dumps([step, facts], sort_keys=True).encode(), np.uint8)
    return leaves, {"digest": provenance.digest({"leaves": leaves, "words": words}), "facts": facts}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_folder_of_version_0_1_0_is_read(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.build("resnet8", classes=3)
    state = train.initial_state(model, optim.Optimizer(name=name), image_shape=(8, 8, 1), seed=0)
    with monkeypatch.context() as patch, snapshots.open_store(tmp_path) as store:
        patch.setattr(trees, "pack", _packed_as_in_0_1_0)
        store.save(7, state, FACTS)
        store.save_member(7, state.variables, FACTS)
    with snapshots.open_store(tmp_path) as store:
        found, lines = store.newest(state)
    assert found is not None
    assert lines == []
    _assert_same(found.tree, state)
    member = snapshots.load_member(tmp_path, 7, state.variables)
    assert member.facts == FACTS
    _assert_same(member.tree, state.variables)


@pytest.mark.slow
def test_of_60_changed_bytes_none_changes_a_tree_and_none_is_a_traceback(tmp_path: pathlib.Path) -> None:
    _save(tmp_path / "whole", 1, 2)
    with snapshots.open_store(tmp_path / "whole") as store:
        store.save_member(2, _tree(2), FACTS)
    rng, noticed = np.random.default_rng(0), 0
    for trial in range(60):
        folder = tmp_path / "copy"
        shutil.copytree(tmp_path / "whole", folder)
        kind = ("resume", "members")[trial % 2]
        files = [path for path in (folder / kind / "2").rglob("*") if path.is_file() and path.stat().st_size]
        path = files[rng.integers(len(files))]
        content = bytearray(path.read_bytes())
        content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        if kind == "members":
            try:
                _assert_same(snapshots.load_member(folder, 2, _tree(2)).tree, _tree(2))
            except ValueError:
                noticed += 1
        else:
            with snapshots.open_store(folder) as store:
                saved, lines = store.newest(_tree(0))
            assert saved is not None
            _assert_same(saved.tree, _tree(saved.step))
            assert (saved.step == 2) == (not lines)
            noticed += bool(lines)
        shutil.rmtree(folder)
    assert noticed > 15  # the others were in what Orbax writes and does not read


@pytest.mark.slow
@pytest.mark.parametrize("hour", [3600.0, -3600.0])
@pytest.mark.parametrize("after", [5, 15, 25, 40])
def test_clock_that_is_set_while_a_state_is_saved_changes_nothing(
    after: int, hour: float, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, looks = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: right() + (hour if next(looks) >= after else 0.0))
    _save(tmp_path, 1, 2)
    monkeypatch.undo()
    assert next(looks) > after
    assert snapshots.steps(tmp_path) == [1, 2]
    _assert_same(snapshots.load(tmp_path, 2, _tree(0)).tree, _tree(2))


def test_member_of_a_model_without_batch_statistics_has_none(tmp_path: pathlib.Path) -> None:
    variables = models.initial_variables(models.build("mlp", classes=3), image_shape=(4,), seed=0)
    with snapshots.open_store(tmp_path) as store:
        store.save_member(5, variables, {})
    assert ocp.load((tmp_path / "members" / "5").absolute())["batch_stats"] == {}
    _assert_same(snapshots.load_member(tmp_path, 5, variables).tree, variables)


def test_name_that_separates_names_is_refused(tmp_path: pathlib.Path) -> None:
    with (
        snapshots.open_store(tmp_path) as store,
        pytest.raises(ValueError, match="names of leaves must be without '/'"),
    ):
        store.save_member(5, {"a/b": np.ones(2)}, {})
    assert snapshots.member_steps(tmp_path) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_state_that_a_kill_left_over_is_removed_if_the_latest_are_sound(damaged: bool, tmp_path: pathlib.Path) -> None:
    _save(tmp_path, 1, 2, 3, 4, latest=4)
    if damaged:
        _damage(tmp_path / "resume" / "4")
    with snapshots.open_store(tmp_path, keep_steps=[1]):
        pass
    assert snapshots.steps(tmp_path) == ([1, 2, 3, 4] if damaged else [1, 3, 4])


def _damage(step: pathlib.Path) -> None:
    data = max((path for path in step.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
