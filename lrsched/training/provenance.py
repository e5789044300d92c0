"""Provenance of a number: digest of the weights, versions of the libraries, commit."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax
import numpy as np


def digest(tree: Any) -> str:
    """SHA-256 over the leaves of a tree of arrays in the order of their keys: bytes, shape and type of each."""
    sha = hashlib.sha256()
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
    for key, leaf in sorted((jax.tree_util.keystr(path), leaf) for path, leaf in leaves):
        sha.update(f"{key} {leaf.dtype} {leaf.shape}\n".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that affect the numbers."""
    libraries = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets", "scikit-learn")
    names = ("lrsched", *libraries)
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


@functools.cache
def commit() -> str | None:
    """The commit of this code when first called, with "+" if files differ from it; None outside a checkout."""
    try:
        _git("ls-files", "--error-unmatch", "__init__.py")  # an installed copy is not the checkout it may lie in
        head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", ".")
        return head.decode().strip() + ("+" if changed.strip() else "")
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def code() -> str | None:
    """Git's id of this package, and if files differ from it eight digits more: equal codes, equal files.

    Unlike `commit` it stays where a commit changes other parts of the repository. None outside a checkout.
    """
    made = commit()
    if made is None:
        return None
    try:
        made = _git("rev-parse", "HEAD:./").decode().strip() + ("+" if made.endswith("+") else "")
        if not made.endswith("+"):
            return made
        sha = hashlib.sha256(_git("diff", "--no-ext-diff", "HEAD", "--", "."))
        for name in sorted(_git("ls-files", "-z", "--others", "--exclude-standard", "--", ".").split(b"\0")):
            path = _folder() / os.fsdecode(name)
            sha.update(name + (path.read_bytes() if path.is_file() else b""))
    except (OSError, subprocess.SubprocessError):
        return made
    return made + sha.hexdigest()[:8]


def _folder() -> pathlib.Path:
    return pathlib.Path(__file__).parent.parent


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(_folder()), *words], capture_output=True, check=True, timeout=10).stdout


def config_fields(config: Any) -> dict[str, Any]:
    """The fields of a configuration for a record, without the folders it reads and writes, which differ by machine."""
    return {**dataclasses.asdict(config), "data_dir": None, "out": None}
