"""Converts trees of arrays to nested dicts for disk and back, with a digest."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lrsched.training import provenance

SEPARATOR = "/"  # between the names on the way to a leaf


def pack(step: int, tree: Any, facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tree as nested dicts, and the metadata stored beside it: its digest and the facts.

    Fields of NamedTuples are keyed by name, entries of tuples by position. A node without leaves is left out, except
    at the top level: a model without BatchNorm has an empty batch_stats.

    Raises:
      ValueError: if facts are not JSON, or a name contains SEPARATOR.
    """
    try:
        facts = json.loads(json.dumps(dict(facts)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts must be JSON, got: {error}.") from None
    leaves = name_leaves(tree)
    nested: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *way, last = name.split(SEPARATOR)
        node = nested
        for part in way:
            node = node.setdefault(part, {})
        node[last] = leaf
    if isinstance(tree, Mapping):
        nested = {str(name): nested.get(str(name), {}) for name in tree}
    return nested, {"digest": digest(step, leaves, facts), "facts": facts}


def digest(step: int, leaves: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> str:
    """SHA-256 over step, facts and leaves."""
    words = json.dumps([step, facts], sort_keys=True).encode()
    return provenance.digest({"leaves": leaves, "words": np.frombuffer(words, np.uint8)})


def name_leaves(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree, keyed by path, as in params/Dense_0/kernel."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(tree)):
        names = [jax.tree_util.keystr((part,), simple=True) for part in path]
        if wrong := [name for name in names if SEPARATOR in name]:
            raise ValueError(f"names of leaves must be without {SEPARATOR!r}, got {wrong[0]!r}.")
        leaves[SEPARATOR.join(names)] = np.asarray(leaf)
    return leaves


def fit(leaves: Mapping[str, np.ndarray], like: Any) -> Any:
    """Puts named leaves into the structure of `like`.

    Raises:
      ValueError: naming the first leaf that is missing from either, or differs in shape or type.
    """
    wanted: dict[str, Any] = name_leaves(like)
    if leaves and not leaves.keys() & wanted.keys():  # version 0.1.0 named them by their paths in a flat dict
        wanted = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(like)}
    for name, leaf in wanted.items():
        if name not in leaves:
            raise ValueError(f"like must have the leaves that were saved, got {name}, which was not.")
        right, got = (f"{array.dtype} {tuple(array.shape)}" for array in (leaves[name], leaf))
        if right != got:
            raise ValueError(f"like's {name} must be {right}, as saved, got {got}.")
    if missing := sorted(leaves.keys() - wanted.keys()):
        raise ValueError(f"like must have the leaves that were saved, got none at {missing[0]}.")
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in wanted])
