"""Fractal steps: the Chebyshev theorem on quadratics, exactly, and the block of eight repeated on a small network.

Claim     Chebyshev steps contract every quadratic with curvatures in [m, M] by 1 / C_T((M + m) / (M - m)) in T updates,
          C_T the Chebyshev polynomial, in any order; in fractal order what lies between stays bounded: forward by
          (kappa - 1) / 2^min(bits(t)) * prod 2 / (1 + C_(2^j)) over the other bits j of t, and backward (what noise in
          an update is multiplied by) by prod 2 / (1 + C_(2^j)) over all bits j of the updates left, never above 1.
Source    Agarwal, Goel, Zhang, ICML 2021, arXiv:2103.01338; ResNet-18 on CIFAR-10, batch 8192, eight steps repeated as
          multiples of a base rate. The two bounds are written down without the paper's text at hand. The second
          follows thus: neighbours in fractal order have nodes +-x, which C_2 maps to one node of the order of half
          the length; so an aligned block of n = 2^j steps multiplies by (C_n(z) - c) / (C_n(theta) - c), c a node of
          the order of T / n, z in [-1, 1]; the blocks of a suffix have c <= 0, where this is at most
          2 / (1 + C_n(theta)). Both are held against the maximum of every prefix and suffix, which is found by search
          between roots, where the logarithm of a product is concave.
Command   python experiments/fractal_steps.py [--out runs/fractal_steps]
          python experiments/fractal_steps.py --network [--scale paper] [--data-dir FOLDER] [--dry-run]
Time      the quadratics a minute, the network (ResNet-8 on the digits) five minutes on two CPU cores.
Expected  equal contraction in all orders; the largest prefix near kappa - 1 and no suffix above 1 in fractal order; no
          order that begins or ends with the large steps is bounded in both.
"""

import argparse
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scales

from lrsched import chebyshev_steps, files
from lrsched.analysis import drawing, markdown
from lrsched.runs.config import RunConfig
from lrsched.runs.records import Beginning
from lrsched.runs.task import resolve
from lrsched.training import devices

NETWORK = """--schedules fractal constant --momentum 0 --budgets 100% --peak-values 0.03 0.1 0.3 1 3
    --selection-seeds 0-0 --reference constant"""
SCALES = {
    "cpu": f"""{NETWORK} --data digits --model resnet8 --batch-size 256 --max-epochs 30 --seeds 1-10 --workers 2
        --out runs/fractal_steps/network""",
    "paper": f"""{NETWORK} --data cifar10 --model resnet20 --batch-size 8192 --max-epochs 100 --seeds 1-3
        --out runs/fractal_steps_paper""",
}
ORDERS = ("fractal", "descending", "ascending", "random")
SIZES = ((10, 8), (10, 32), (100, 32), (100, 64), (1000, 64), (1000, 128))  # kappa, T
DIMENSIONS = 64  # of the quadratic that float32 is tried on


def make_steps(kappa: float, steps: int, order: str) -> np.ndarray:
    """Chebyshev steps for curvatures in [1 / kappa, 1]; random: shuffled, with seed 0."""
    if order == "random":
        return np.random.default_rng(0).permutation(chebyshev_steps(1 / kappa, 1.0, steps, order="descending"))
    return np.asarray(chebyshev_steps(1 / kappa, 1.0, steps, order=order))


def largest(eta: np.ndarray, kappa: float) -> float:
    """The maximum of |prod_i (1 - eta_i x)| over x in [1 / kappa, 1].

    Between two roots 1 / eta_i the logarithm of the product is concave: a golden-section search in all at once.
    """
    roots = np.sort(np.clip(1 / eta, 1 / kappa, 1.0))
    low, high = np.concatenate([[1 / kappa], roots]), np.concatenate([roots, [1.0]])
    ratio = (math.sqrt(5) - 1) / 2
    with np.errstate(divide="ignore"):
        for _ in range(80):
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            rises = _log_product(eta, left) < _log_product(eta, right)
            low, high = np.where(rises, left, low), np.where(rises, high, right)
        return float(np.exp(_log_product(eta, (low + high) / 2).max()))


def _log_product(eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.abs(1 - np.outer(eta, x))).sum(axis=0))


def chebyshev(degree: int, kappa: float) -> float:
    """C_degree((M + m) / (M - m)), of which the theorem's bounds are made."""
    return math.cosh(degree * math.acosh((kappa + 1) / (kappa - 1)))


def bits(number: int) -> list[int]:
    """Which powers of two a number is the sum of."""
    return [j for j in range(number.bit_length()) if number >> j & 1]


def suffix_bound(left: int, kappa: float) -> float:
    """Of the product of the last updates of a fractal pass, so many."""
    return math.prod(2 / (1 + chebyshev(2**j, kappa)) for j in bits(left))


def prefix_bound(made: int, kappa: float) -> float:
    """Of the product of the first updates of a fractal pass, so many."""
    first, *others = bits(made)
    return (kappa - 1) / 2**first * math.prod(2 / (1 + chebyshev(2**j, kappa)) for j in others)


def descend(eta: np.ndarray, kappa: float) -> float | None:
    """The worst norm that gradient descent in float32 leaves of a unit vector along an axis; None: it overflowed."""
    basis, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSIONS, DIMENSIONS)))
    hessian = (basis * np.linspace(1 / kappa, 1, DIMENSIONS)) @ basis.T
    state, matrix = np.eye(DIMENSIONS, dtype=np.float32), hessian.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for each in eta.astype(np.float32):
            state = state - each * (matrix @ state)
        worst = float(np.linalg.norm(state, axis=0).max())
    return worst if math.isfinite(worst) else None


def measure(kappa: int, steps: int, order: str) -> dict[str, Any]:
    """What one order does to quadratics: each prefix and suffix at its worst curvature."""
    eta = make_steps(kappa, steps, order)
    prefixes = [largest(eta[:made], kappa) for made in range(1, steps)]
    suffixes = [largest(eta[steps - left :], kappa) for left in range(1, steps)]
    found: dict[str, Any] = {
        "kappa": kappa,
        "steps": steps,
        "order": order,
        "contraction": largest(eta, kappa),
        "prefix": max(prefixes),
        "suffix": max(suffixes),
        "noise": 1 + sum(each**2 for each in suffixes),
        "float32": descend(eta, kappa),
    }
    if order == "fractal":
        found["prefix_over_bound"] = max(
            each / prefix_bound(made, kappa) for made, each in enumerate(prefixes, start=1)
        )
        found["suffix_over_bound"] = max(
            each / suffix_bound(left, kappa) for left, each in enumerate(suffixes, start=1)
        )
    return found


def write_results(record: Mapping[str, Any], out: pathlib.Path) -> str:
    """The table (returned and written) and the figure of record.json."""
    head = ["kappa", "T", "order", "contraction", "theorem", "largest prefix", "largest suffix", "noise", "float32"]
    rows = [[*head, "prefix / bound", "suffix / bound"]]
    for one in record["fractal_steps"]:
        numbers = [one["contraction"], 1 / chebyshev(one["steps"], one["kappa"])]
        numbers += [one[name] for name in ("prefix", "suffix", "noise")]
        bounds = [one.get(f"{name}_over_bound") for name in ("prefix", "suffix")]
        cells = [f"{value:.4g}" for value in numbers]
        cells += ["overflow" if one["float32"] is None else f"{one['float32']:.4g}"]
        cells += ["" if value is None else f"{value:.4f}" for value in bounds]
        rows.append([str(one["kappa"]), str(one["steps"]), one["order"], *cells])
    text = (
        f"{markdown.table(rows, align='rrl' + 'r' * (len(rows[0]) - 3))}\n"
        "Gradient descent on quadratics with curvatures in [1 / kappa, 1], T Chebyshev steps in four orders; every "
        "number is at the worst curvature. Contraction: what all T updates leave; theorem: 1 / C_T((kappa + 1) / "
        "(kappa - 1)). Prefix and suffix: the largest product of the first or last updates, of any number below T; "
        "noise: the sum over the updates of the squared largest product of those behind it, for unit noise in each. "
        f"float32: what is left of a unit vector in {DIMENSIONS} dimensions by float32 arithmetic, in a rotated basis. "
        "Bound: of fractal order, the largest of the T - 1 ratios to the theorem's bounds, which hold where it is at "
        "most 1.\n"
    )
    files.write_text(out / "table.md", text)
    draw(record, out / "fractal_steps.svg")
    return text


def draw(record: Mapping[str, Any], path: pathlib.Path) -> None:
    """The largest prefix and suffix of each order over kappa and T."""
    rows = record["fractal_steps"]
    names = list(dict.fromkeys(f"{one['kappa']}, {one['steps']}" for one in rows))
    with drawing.figure(path, (7.2, 3.6)) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (field, title) in zip(panels, {"prefix": "prefix", "suffix": "suffix"}.items(), strict=True):
            for i, order in enumerate(ORDERS):
                values = [one[field] for one in rows if one["order"] == order]
                axes.plot(range(len(values)), values, label=order, **drawing.look(i))
            axes.set_yscale("log")
            axes.set_xticks(range(len(names)), names, rotation=30)
            axes.set_xlabel("kappa, T")
            axes.set_ylabel(f"largest {title}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def main(words: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["--network"] or "--scale" in words:
        return scales.study(__doc__, SCALES, [word for word in words if word != "--network"])
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fractal_steps"))
    args = parser.parse_args(words)
    devices.prepare()
    beginning = Beginning()
    found = [measure(kappa, steps, order) for kappa, steps in SIZES for order in ORDERS]
    record = {"fractal_steps": found, **beginning.provenance(resolve(RunConfig()).task.data)}
    files.write_json(args.out / "record.json", record, indent=1)
    print(write_results(record, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
