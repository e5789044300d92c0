"""The public loss curves, and what laws fitted to some of them say of the others; `theory.py` has the claim."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

import lrsched as ls
from lrsched.analysis import markdown
from lrsched.forecast import fits
from lrsched.forecast.curves import Curve

Record = dict[str, Any]
# Luo et al., arXiv:2503.12811, and its code: three sizes (millions of parameters), nine schedules, warmup of 2,160
# updates to 3e-4, measured every 128.
SIZES = (25, 100, 400)
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
PREDICTED = ("cosine_72000", "constant_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18")
PEAK, LAST, WARMUP = 3e-4, 3e-5, 2160
NAMES = ("L0", "A", "alpha", "B", "C", "beta", "gamma")
PUBLISHED = {  # parameters of the multi-power law in the authors' files
    25: (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
    100: (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    400: (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
}
# The runs of Schaipp et al.: 124 M parameters, 50,000 updates, 300 of warmup, then held, then linear towards 0.
UPDATES, FITTED_COOLDOWN = 50_000, 0.2


def rates_of(name: str) -> np.ndarray:
    """The rates of a file of Luo et al., by its name."""
    kind, *numbers = name.split("_")
    total = 16_000 if kind == "wsdcon" else int(numbers[-1])
    step = np.arange(total)
    if kind == "cosine":
        z = np.clip((step - WARMUP) / (total - WARMUP), 0.0, 1.0)
        rates = LAST + (PEAK - LAST) * (1 + np.cos(np.pi * z)) / 2
    elif kind == "wsdcon":
        rates = np.where(step < 8000, PEAK, int(numbers[0]) * 1e-5)
    elif kind == "constant":
        rates = np.full(total, PEAK)
    else:
        z = np.clip((step - int(numbers[0])) / (total - int(numbers[0])), 0.0, 1.0)
        rates = PEAK * (LAST / PEAK) ** z if kind == "wsd" else PEAK + (LAST - PEAK) * z
    rates[:WARMUP] = np.linspace(0.0, PEAK, WARMUP)
    return rates


def read(folder: pathlib.Path, size: int, name: str) -> Curve:
    """A file of Luo et al.; its `step` is the update that had just been made, counted from 0."""
    with (folder / "multi_power_law" / f"csv_{size}" / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = np.array([int(row["step"]) + 1 for row in rows])
    return Curve(name, rates_of(name), steps, np.array([float(row["loss"]) for row in rows]))


def published(size: int) -> fits.FittedLaw:
    """The multi-power law with the authors' parameters."""
    return fits.FittedLaw("multi_power", dict(zip(NAMES, PUBLISHED[size], strict=True)))


def score(law: fits.FittedLaw, curves: Sequence[Curve]) -> dict[str, float]:
    """Means over the curves of: mean error, root mean square, largest relative error; the order at the end."""
    errors = [np.abs(law.predict(curve.rates, curve.steps) - curve.losses) for curve in curves]
    ends = [(float(law.predict(curve.rates, curve.steps[-1:])[0]), float(curve.losses[-1])) for curve in curves]
    return {
        "mae": float(np.mean([error.mean() for error in errors])),
        "rmse": float(np.mean([np.sqrt(np.square(error).mean()) for error in errors])),
        "worst": float(np.mean([(error / curve.losses).max() for error, curve in zip(errors, curves, strict=True)])),
        "end": float(np.mean([abs(predicted - measured) for predicted, measured in ends])),
        "spearman": float(stats.spearmanr(*zip(*ends, strict=True))[0]),
    }


def fit_curves(folder: pathlib.Path) -> list[Record]:
    """Each law fitted to three curves of each size, and its errors on the other six."""
    found = []
    for size in SIZES:
        fitted, others = ([read(folder, size, name) for name in names] for names in (FITTED, PREDICTED))
        laws = {"multi_power, published parameters": published(size)}
        laws |= {name: fits.fit_law(fitted, name) for name in fits.LAWS if name != "convex_end"}
        for name, law in laws.items():
            scores = {"mae_fitted": score(law, fitted)["mae"], **score(law, others)}
            numbers = {key: float(f"{value:.6g}") for key, value in scores.items()}
            parameters = {key: float(f"{value:.6g}") for key, value in law.parameters.items()}
            found.append({"size": size, "law": name, "parameters": parameters, **numbers})
    return found


def cooldown_rates(fraction: float, peak: float) -> np.ndarray:
    """Warmup over 300 updates, held, and linear towards 0 over the last part."""
    words = ls.wsd(peak, total_steps=UPDATES, warmup=300, cooldown=fraction, shape="linear")
    return words.table()


def cooldown_cells(folder: pathlib.Path) -> dict[tuple[float, float], float]:
    """(cooldown fraction, peak rate) -> final validation loss, the mean of repeats, of the runs that decay."""
    found: dict[tuple[float, float], list[float]] = {}
    with (folder / "cooldown_grid" / "runs.csv").open() as file:
        for row in csv.DictReader(file):
            kind = (row["dataset"], row["parameters"], row["scheduler"], row["decay_type"], row["iterations"])
            if (
                kind == ("slimpajama", "123587328", "wsd", "linear", str(UPDATES))
                and float(row["cooldown_fraction"]) > 0
            ):
                cell = float(row["cooldown_fraction"]), float(row["peak_value"])
                found.setdefault(cell, []).append(float(row["final_val_loss"]))
    return {cell: float(np.mean(losses)) for cell, losses in sorted(found.items())}


def fit_cooldowns(folder: pathlib.Path) -> Record:
    """The convex bound fitted to the five peak rates at one cooldown, and its errors on the other cells."""
    cells = cooldown_cells(folder)
    runs = [
        Curve(f"{fraction:g}", cooldown_rates(fraction, peak), np.array([UPDATES]), np.array([loss]))
        for (fraction, peak), loss in cells.items()
        if fraction == FITTED_COOLDOWN
    ]
    law = fits.fit_law(runs, "convex_end")
    others = {cell: loss for cell, loss in cells.items() if cell[0] != FITTED_COOLDOWN}
    losses = np.array(list(others.values()))
    predicted = np.array([law.predict(cooldown_rates(*cell)) for cell in others])
    mean = np.mean([run.losses[-1] for run in runs])
    return {
        "runs": len(runs),
        "cells": len(others),
        "parameters": {key: float(f"{value:.6g}") for key, value in law.parameters.items()},
        "mae": float(f"{np.abs(predicted - losses).mean():.6g}"),
        "mae_of_the_mean": float(f"{np.abs(mean - losses).mean():.6g}"),
        "spearman": float(f"{stats.spearmanr(predicted, losses)[0]:.6g}"),
        "regret": float(f"{losses[predicted.argmin()] - losses.min():.6g}"),
    }


def render_laws(rows: Sequence[Record]) -> str:
    """What the laws were worth on the curves they had not seen, in Markdown."""
    heads = [
        "model",
        "law",
        "MAE on the fitted",
        "MAE",
        "RMSE",
        "largest relative error",
        "MAE at the end",
        "Spearman at the end",
    ]
    cells = [
        [f"{row['size']} M", markdown.escape(row["law"])]
        + [f"{row[key]:.5f}" for key in ("mae_fitted", "mae", "rmse", "worst", "end")]
        + [f"{row['spearman']:.2f}"]
        for row in rows
    ]
    said = (
        "Loss curves of Luo et al.: each law fitted to three schedules (cosine, constant, one step down) and held "
        "against six others; means over the six, in nats.\n\n"
    )
    return said + markdown.table([heads, *cells], align="llrrrrrr")


def render_cooldown(found: Record) -> str:
    """The convex bound on the grid of cooldowns, in Markdown."""
    return (
        f"The convex bound with three unknowns, fitted to {found['runs']} runs with a cooldown of 20 % at five peak "
        f"rates (124 M, {UPDATES:,} updates), predicts the {found['cells']} cells of other cooldowns with MAE "
        f"{found['mae']:.4f} (their mean alone: {found['mae_of_the_mean']:.4f}), Spearman {found['spearman']:.3f}; the "
        f"cell it picks is {found['regret']:.4f} above the best."
    )
