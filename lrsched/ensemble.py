"""Snapshot ensembles: the members that runs kept, combined in every way, with what each way costs."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import tyro

from lrsched import members as networks
from lrsched.analysis import calibration, ensemble_plots, ensemble_scores, ensemble_tables
from lrsched.analysis.ensemble_scores import Combined, Labels, Predicted
from lrsched.folder import located, thinned
from lrsched.members import Network
from lrsched.task import Task, task
from lrsched.training import devices as machine
from lrsched.training import provenance, train


@dataclasses.dataclass(frozen=True)
class EnsembleConfig:
    """Snapshot ensembles of one run or of several: errors, losses and calibration, and what they cost.

    Attributes:
      runs: folders of runs, whose members are taken, or FOLDER@STEP: what a run was after so many updates.
      members: of each folder: all, last:N, or every:N (counted back from the last).
      baselines: to compare with, each NAME=FOLDER[@STEP][,FOLDER[@STEP]...]: a network, or the mean of several; without
        a step a run's last state.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      weight_averages: average the weights as well (soups), and look for barriers between members.
      batches: of training images, for the batch statistics of averaged weights and for the loss on a barrier's way.
      points: at which the loss is taken on the line between two members, both ends among them.
      bins: of the calibration error.
      out: folder of record, tables and figures; None: ensemble in the folder of the first run.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    members: str = "all"
    baselines: tuple[str, ...] = ()
    data_dir: str | None = None
    weight_averages: bool = True
    batches: int = 50
    points: int = 5
    bins: int = calibration.BINS
    out: str | None = None


class Outcome(NamedTuple):
    """What an ensemble came to: its record, its tables as text, and the files written."""

    record: dict[str, Any]
    text: str
    files: list[pathlib.Path]


Row = dict[str, Any]


def check(config: EnsembleConfig) -> dict[str, list[str]]:
    """The words of each baseline, by its name.

    Raises:
      ValueError: for words that cannot be followed.
    """
    if not config.runs:
        raise ValueError("runs must name at least one folder, got none.")
    thinned(config.members, [])
    for name, least in {"batches": 1, "points": 3, "bins": 1}.items():
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(config, name)}.")
    if _out(config).exists() and not _out(config).is_dir():
        raise ValueError(f"out must be a folder, got the file {_out(config)}.")
    named: dict[str, list[str]] = {}
    for baseline in config.baselines:
        name, _, words = baseline.partition("=")
        if not name or not all(words.split(",")):
            raise ValueError(f"baselines must be NAME=FOLDER[@STEP][,FOLDER...], got {baseline!r}.")
        if name in named:
            raise ValueError(f"baselines must have names of their own, got {name} twice.")
        named[name] = words.split(",")
    return named


def ensemble(config: EnsembleConfig) -> Generator[str, None, Outcome]:
    """Evaluates members, baselines and combinations, and writes the results; yields how it is getting on.

    Predictions are kept in the user's cache by what they depend on: a second start evaluates only what is new, but
    re-estimates the batch statistics of averaged weights and takes the losses on a barrier's way again.

    Raises:
      ValueError: before anything is evaluated, for words that cannot be followed, and networks that do not belong
        together or diverged.
    """
    started, begun = datetime.datetime.now(datetime.UTC), time.perf_counter()
    commit = provenance.commit()  # of the code as it is now, not when the record is written
    named = check(config)
    first = networks.check_alike([*config.runs, *itertools.chain(*named.values())])
    shared = task(first, data_dir=config.data_dir)
    members = [network for word in config.runs for network in networks.members(word, config.members, shared)]
    _check_members(members)
    baselines = {name: [networks.state(word, shared) for word in words] for name, words in named.items()}
    labels = Labels(shared.data.test.labels, shared.data.holdout.labels if shared.data.holdout else None)
    at = networks.bench(first, shared, batches=config.batches)

    asked: dict[str, Predicted] = {}
    evaluations = 0
    everyone = {network.digest: network for network in itertools.chain(members, *baselines.values())}
    for number, (digest, network) in enumerate(everyone.items(), start=1):
        asked[digest], made = networks.predicted(at, network.variables)
        evaluations += made
        yield f"{number}/{len(everyone)}  {network.name}  {'evaluated' if made else 'from the cache'}"
    predicted = [asked[network.digest] for network in members]
    others = {name: [asked[network.digest] for network in those] for name, those in baselines.items()}
    averages = networks.Averages({}, [], [], 0)
    if config.weight_averages:
        averages = yield from networks.weight_averages(at, members, labels, points=config.points)

    combined = ensemble_scores.combinations(predicted, labels)
    whole = combined[ensemble_scores.ENSEMBLE].predicted
    beside = {name: Combined(ensemble_scores.averaged(those)) for name, those in others.items()}
    alone = [Combined(found) for found in predicted]
    rows = [
        *(_row(f"member {i + 1}", "member", members[i : i + 1], found) for i, found in enumerate(alone)),
        *(_row(name, "ensemble", members, found) for name, found in combined.items()),
        *(_row(name, "weights", members, found) for name, found in averages.found.items()),
        *(_row(name, "baseline", baselines[name], found) for name, found in beside.items()),
    ]
    for row, found in zip(rows, [*alone, *combined.values(), *averages.found.values(), *beside.values()], strict=True):
        row.update(ensemble_scores.scored(found.predicted, labels, bins=config.bins))
    calibrated_nll = rows[len(members)]["calibrated_nll"]
    record = {
        "config": provenance.said(config),
        "task": {"data": first.data, "model": first.model, "holdout_fraction": first.holdout_fraction},
        "members": [_facts(network) for network in members],
        "baselines": {name: [_facts(network) for network in those] for name, those in baselines.items()},
        "rows": rows,
        "growing": {
            "forward": _growing(predicted, members, labels, "forward"),
            "backward": _growing(predicted, members, labels, "backward"),
            "weights": averages.growing or None,
        },
        **ensemble_scores.diversity(predicted),
        "barriers": averages.barriers or None,
        "deep_ensemble_equivalents": [
            {"baseline": name, **ensemble_scores.equivalent(calibrated_nll, others[name], labels)}
            for name, those in baselines.items()
            if labels.held is not None and networks.independent(those)
        ],
        "comparisons": ensemble_scores.comparisons(
            whole, predicted, {name: found.predicted for name, found in beside.items()}, labels
        ),
        "reliability": {
            "last member": ensemble_scores.reliability(predicted[-1], labels, bins=config.bins),
            "ensemble": ensemble_scores.reliability(whole, labels, bins=config.bins),
        },
        "notes": _notes(config, labels, normalised=bool(members[0].variables["batch_stats"])),
        "evaluations": evaluations + averages.evaluations,  # networks times splits that were not in the cache
        **_provenance(shared),
        "commit": commit,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    out = _out(config)
    out.mkdir(parents=True, exist_ok=True)
    words = json.dumps(record, sort_keys=True, indent=1, allow_nan=False)
    _atomically(out / "record.json", lambda path: path.write_text(words + "\n"))
    text, files = write_results(json.loads(words), out)
    return Outcome(json.loads(words), text, [out / "record.json", *files])


def write_results(record: dict[str, Any], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The tables (returned as text, written as Markdown) and the figures of a record."""
    table, growing, reliability = out / "table.md", out / "growing.svg", out / "reliability.svg"
    _atomically(table, lambda path: path.write_text(ensemble_tables.markdown(record)))
    _atomically(growing, lambda path: ensemble_plots.growing(record, path))
    _atomically(reliability, lambda path: ensemble_plots.reliability(record, path))
    return ensemble_tables.terminal(record), [table, growing, reliability]


def _out(config: EnsembleConfig) -> pathlib.Path:
    return pathlib.Path(config.out or pathlib.Path(located(config.runs[0])[0], "ensemble"))


def _check_members(members: Sequence[Network]) -> None:
    seen: dict[str, Network] = {}
    for network in members:
        if network.digest in seen:
            raise ValueError(
                f"runs must give each member once, got equal ones: {seen[network.digest].name} and {network.name}."
            )
        seen[network.digest] = network
    if len(members) < 2:
        raise ValueError(f"runs must give at least two members, got {', '.join(n.name for n in members)}.")


def _row(name: str, kind: str, which: Sequence[Network], found: Combined) -> Row:
    """`updates` are all that had to be made, those for members that were then not chosen among them."""
    asked = [network.name for network in which]
    return {"name": name, "kind": kind, "networks": asked, "weights": found.weights, "updates": networks.updates(which)}


def _growing(
    predicted: Sequence[Predicted], members: Sequence[Network], labels: Labels, order: Any
) -> list[Row]:  # fmt: skip
    curve = ensemble_scores.growing(predicted, labels, order=order)
    parts = [members[:n] if order == "forward" else members[-n:] for n in range(1, len(members) + 1)]
    return [{**point, "updates": networks.updates(part)} for point, part in zip(curve, parts, strict=True)]


def _notes(config: EnsembleConfig, labels: Labels, *, normalised: bool) -> list[str]:
    notes = []
    if labels.held is None:
        notes.append(
            "The runs have no held-out part (holdout_fraction 0): no temperature is fitted, and nothing that must be "
            "chosen on it is there (weighted mean, greedy choice, greedy soup, deep-ensemble equivalent)."
        )
    else:
        notes.append("Weighted mean, greedy choice and greedy soup: chosen on held-out data.")
    if config.weight_averages and normalised:
        notes.append("Averaged weights have batch statistics re-estimated on training images, altered as in training.")
    return notes


def _facts(network: Network) -> Row:
    facts = {name: network.facts.get(name) for name in ("cycle", "rate", "train_loss")}
    where = {"run": network.run, "folder": network.folder, "step": network.step, "seed": network.config.seed}
    return {**where, **facts, "digest": network.digest}


def _provenance(shared: Task) -> Row:
    data = shared.data
    sizes = {"train": len(data.train), "holdout": len(data.holdout or ()), "test": len(data.test)}
    return {
        "data": {"name": data.name, "version": data.version, "digest": data.digest, **sizes},
        "device": {**machine.describe(), "run_devices": train.device_count(shared.test)},
        "versions": provenance.versions(),
    }


def _atomically(path: pathlib.Path, write: Callable[[pathlib.Path], Any]) -> None:
    """Writes the whole file or nothing."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")  # with the same ending, which figures go by
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
