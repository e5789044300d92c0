"""The suite runs on four virtual CPU devices, under strict promotion, with a compilation cache outside the checkout."""

import importlib.metadata
import os
import pathlib
import tempfile

for _name in ("JAX_ENABLE_X64", "JAX_DEBUG_NANS", "LRSCHED_PLAIN", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
    os.environ.pop(_name, None)  # the user's own settings are not what is tested
os.environ["JAX_PLATFORMS"] = "cpu"
# Networks compile in less than half the time, and the small ones of the suite train no slower. A flag that XLA does not
# know ends the process, so the second is for the versions that have it. A level in XLA_FLAGS already is left alone.
_flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=4"]
if "--xla_backend_optimization_level" not in _flags[0]:
    _flags.append("--xla_backend_optimization_level=0")
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        _flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join(_flags).strip()
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
_cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "lrsched" / "tests"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_cache))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
_kept = tempfile.TemporaryDirectory(prefix="lrsched-tests-")
os.environ["LRSCHED_CACHE"] = _kept.name  # predictions that an earlier run of the suite kept would not be made

import hypothesis

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")
