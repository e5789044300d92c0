"""What is set before JAX starts: the user's own words win, and nothing is touched once it has started."""

import json
import os
import pathlib
import subprocess
import sys
import zlib
from collections.abc import Iterator

import jax
import pytest
from jax._src import compilation_cache

from lrsched.training import devices

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


@pytest.fixture(autouse=True)
def _jax_settings_restored() -> Iterator[None]:
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def _not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "backends_are_initialized", lambda: False)
    monkeypatch.setattr(devices, "_jaxlib_knows", lambda flag: True)


@pytest.mark.usefixtures("_not_started")
def test_flags_added_after_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    devices.prepare()
    assert os.environ["XLA_FLAGS"].startswith("--xla_a=1 --xla")
    assert f" {FLAG}=LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE" in os.environ["XLA_FLAGS"]
    assert " --xla_disable_hlo_passes=cse_barrier_expander" in os.environ["XLA_FLAGS"]


@pytest.mark.usefixtures("_not_started")
def test_flags_kept_when_the_user_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", f"{FLAG}= --xla_disable_hlo_passes=some-pass")
    devices.prepare()
    assert os.environ["XLA_FLAGS"] == f"{FLAG}= --xla_disable_hlo_passes=some-pass"


@pytest.mark.usefixtures("_not_started")
def test_nothing_but_the_cache_is_set_when_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("LRSCHED_PLAIN", "1")
    monkeypatch.setattr(devices, "_keep_memory", lambda: pytest.fail("memory was touched"))
    devices.prepare()
    assert os.environ["XLA_FLAGS"] == ""
    assert devices.describe()["plain"] is True


@pytest.mark.usefixtures("_not_started")
def test_flags_left_out_when_jaxlib_does_not_know_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(devices, "_jaxlib_knows", lambda flag: False)
    devices.prepare()
    assert os.environ["XLA_FLAGS"] == ""


def test_flags_left_alone_once_jax_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    jax.local_devices()
    monkeypatch.setenv("XLA_FLAGS", "")
    devices.prepare()
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.parametrize(
    ("flag", "known"), [("xla_force_host_platform_device_count", True), ("xla_no_such_flag_anywhere", False)]
)
def test_jaxlib_knows_its_own_flags(flag: str, known: bool) -> None:
    assert devices._jaxlib_knows(flag) is known


@pytest.mark.parametrize(
    ("variables", "argument", "expected"),
    [
        ({"HOME": "/h"}, None, "/h/.cache/lrsched/xla"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, None, "/x/lrsched/xla"),
        ({"XDG_CACHE_HOME": "/x", "LRSCHED_CACHE": "/l"}, None, "/l/xla"),
        ({"HOME": "/h", "LRSCHED_CACHE": "~/l"}, None, "/h/l/xla"),
        ({"LRSCHED_CACHE": "/l"}, "/given", "/given"),
    ],
)
def test_cache_folder_order(
    variables: dict[str, str], argument: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JAX_COMPILATION_CACHE_DIR", "LRSCHED_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    devices.prepare(cache_dir=argument)
    assert jax.config.jax_compilation_cache_dir == str(pathlib.Path(expected))


def test_cache_folder_kept_when_jax_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/told")
    devices.prepare(cache_dir="/given")
    assert jax.config.jax_compilation_cache_dir == before  # JAX itself has read the variable when it was imported


@pytest.mark.slow
def test_prepare_in_a_fresh_process_is_accepted_by_xla(tmp_path: pathlib.Path) -> None:
    code = (
        "import json; from lrsched.training import devices; devices.prepare(); "
        "import jax; jax.numpy.ones(3).sum(); print(json.dumps(devices.describe()))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")}
    environment |= {"LRSCHED_CACHE": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    assert facts["xla_flags"].startswith(FLAG)
    assert facts["platform"] == "cpu"
    assert facts["local_devices"] == facts["processes"] == 1
    assert any((tmp_path / "xla").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
@pytest.mark.parametrize(("variable", "kept"), [(None, True), ("MALLOC_ARENA_MAX", False), ("GLIBC_TUNABLES", False)])
def test_memory_of_a_large_block_is_kept_unless_the_user_says_how(variable: str | None, kept: bool) -> None:
    program = """
import ctypes, resource
from lrsched.training import devices
devices.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(ctypes.c_size_t(200_000_000))
    ctypes.memset(block, 1, 200_000_000)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
kept = devices.describe()["memory_kept"]  # which starts JAX: what it takes must not count below
faults()
print(kept, faults() < 100)
"""
    words = {"MALLOC_ARENA_MAX": "2", "GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}
    environment = {name: value for name, value in os.environ.items() if name != "LRSCHED_PLAIN"}
    environment |= {variable: words[variable]} if variable else {}
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.split() == [str(kept), str(kept)]


def test_programs_are_kept_with_a_checksum_where_zstd_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for better in ("zstd", "zstandard"):
        monkeypatch.setattr(compilation_cache, better, object(), raising=False)
    devices.prepare()
    program = bytes(range(256)) * 20
    kept = compilation_cache.compress_executable(program)
    assert zlib.decompress(kept) == program
    for at in range(len(kept)):
        with pytest.raises(zlib.error):
            compilation_cache.decompress_executable(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :])


@pytest.mark.slow
def test_a_platform_that_is_not_there_is_one_line() -> None:
    words = [sys.executable, "-m", "lrsched.cli", "train", "--max-epochs", "0.1"]
    env = {**os.environ, "JAX_PLATFORMS": "nowhere"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lrsched: JAX_PLATFORMS must name a platform of this machine, got 'nowhere'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["LRSCHED_CACHE", "XDG_CACHE_HOME"])
def test_a_cache_at_a_url_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LRSCHED_CACHE", raising=False)
    monkeypatch.setenv(name, "gs://bucket/cache")
    with pytest.raises(ValueError, match=f"{name} must be a local folder"):
        devices.cache_folder()
