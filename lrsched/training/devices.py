"""Settings that must precede JAX's start, and a description of the machine for records."""

import contextlib
import ctypes
import importlib.util
import mmap
import os
import pathlib
import sys
from collections.abc import Iterator

import jax
from jax._src import compilation_cache
from jax._src.xla_bridge import backends_are_initialized  # no public spelling; initialising to ask would defeat it

from lrsched import files

# What each gains is in results/speed.md (jax 0.10.2).
_CPU_FLAGS = {
    # YNNPACK for convolutions, matrix products and sums.
    "--xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE",
    # Optimisation barriers (in `layers`) stay until fusion has been decided.
    "--xla_disable_hlo_passes": "cse_barrier_expander",
}
# glibc: one arena, no mapping of its own for a large block, nothing handed back. mallopt's numbers are in malloc.h.
_MALLOC = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1)}
_memory_kept = False


def plain() -> bool:
    """Whether LRSCHED_PLAIN asks for stock JAX and Flax, without what makes them faster on CPUs."""
    return os.environ.get("LRSCHED_PLAIN", "0") not in ("", "0")


@contextlib.contextmanager
def pin_settings() -> Iterator[None]:
    """Sets JAX's defaults, inside the `with`, for all settings that would change a run's numbers or end it.

    A run is float32 throughout, its draws are those of partitionable threefry (`batches.run_key` pins their kind), and
    a loss that is not finite is a result, whatever JAX_ENABLE_X64, JAX_THREEFRY_PARTITIONABLE, JAX_DEBUG_NANS and
    their kin say in the user's environment.
    """
    with (
        jax.enable_x64(False),
        jax.threefry_partitionable(True),
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.disable_jit(False),
        jax.transfer_guard("allow"),
    ):
        yield


def start() -> None:
    """Starts JAX.

    Raises:
      ValueError: if it cannot be started, as with a JAX_PLATFORMS that is not there.
    """
    try:
        jax.local_devices()
    except (AssertionError, RuntimeError) as error:
        asked = os.environ.get("JAX_PLATFORMS")
        hint = f"JAX_PLATFORMS must name a platform of this machine, got {asked!r}" if asked else "JAX must start"
        raise ValueError(f"{hint}: {' '.join(str(error).split()) or type(error).__name__}") from error


def prepare(*, cache_dir: str | os.PathLike[str] | None = None) -> None:
    """Sets XLA's flags, the process's memory and JAX's persistent compilation cache; call it once, before using JAX.

    The user's own settings win: a flag already in XLA_FLAGS stays as it is, MALLOC_... variables and GLIBC_TUNABLES
    govern the memory, and JAX_COMPILATION_CACHE_DIR the cache. JAX reads flags when it starts, so afterwards they are
    left alone. With LRSCHED_PLAIN=1 only the cache is set.

    The memory: XLA:CPU allocates the working memory of a step (0.3 GB for ResNet-20 at batch 128) at each step, and
    glibc returns it after each, so the system zeroes every page again (results/speed.md). Here the whole process is
    told to keep its memory.

    Args:
      cache_dir: folder of the compilation cache. None: $LRSCHED_CACHE/xla, else $XDG_CACHE_HOME/lrsched/xla, else
        ~/.cache/lrsched/xla.
    """
    if not plain():
        _keep_memory()
        for flag, value in _CPU_FLAGS.items():
            flags = os.environ.get("XLA_FLAGS", "")
            if not backends_are_initialized() and flag not in flags and _jaxlib_knows(flag.removeprefix("--")):
                os.environ["XLA_FLAGS"] = f"{flags} {flag}={value}".strip()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir or cache_folder() / "xla"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # JAX's default of 1 s would leave out the small programs, which together cost a start some seconds.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    # Programs are kept with zlib, whose checksum notices a damaged one: zstd, which JAX prefers where it is installed,
    # writes none, and a changed byte would be another program.
    for better in ("zstd", "zstandard"):
        if hasattr(compilation_cache, better):
            setattr(compilation_cache, better, None)


def describe() -> dict[str, object]:
    """The devices and flags in force, as plain JSON values for a run's record. Starts JAX if it has not started."""
    device = jax.local_devices()[0]
    return {
        "platform": device.platform,
        "device_kind": device.device_kind,
        "local_devices": jax.local_device_count(),
        "processes": jax.process_count(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "memory_kept": _memory_kept,
        "matmul_precision": jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]  # None: the backend's
        "plain": plain(),
    }


def _keep_memory() -> None:
    global _memory_kept
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    asked = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if mallopt is not None and not asked:
        _memory_kept = all(mallopt(number, value) == 1 for number, value in _MALLOC.values())


def cache_folder() -> pathlib.Path:
    """$LRSCHED_CACHE, else lrsched in the user's cache: compiled programs, decoded images, predictions."""
    if folder := os.environ.get("LRSCHED_CACHE"):
        return files.local_folder("LRSCHED_CACHE", folder)
    return files.local_folder("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "lrsched"


def _jaxlib_knows(flag: str) -> bool:
    """Whether the installed XLA has `flag`: its name stands in the library. An unknown flag would abort the process."""
    spec = importlib.util.find_spec("jaxlib")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for library in pathlib.Path(folder).glob("libjax_common*"):
            with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content.find(flag.encode()) >= 0:  # 10 ms when it is there, 0.2 s when not
                    return True
    return False
