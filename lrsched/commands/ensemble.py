"""Snapshot ensembles: the members that runs kept, combined in every way, with what each way costs."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import os
import pathlib
import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import tyro

from lrsched import files
from lrsched.analysis.ensemble import calibration, figures, table
from lrsched.analysis.ensemble import scores as ensemble_scores
from lrsched.analysis.ensemble.scores import Combined, Labels, Predicted
from lrsched.runs import networks
from lrsched.runs.folder import located, thinned
from lrsched.runs.networks import Network
from lrsched.runs.task import Task, task
from lrsched.training import devices as machine
from lrsched.training import provenance, train


@dataclasses.dataclass(frozen=True)
class EnsembleConfig:
    """Snapshot ensembles of one run or of several: errors, losses and calibration, and what they cost.

    Attributes:
      runs: folders of runs, whose members are taken, or FOLDER@STEP: what a run was after so many updates.
      members: of each folder: whole, those of whole cycles; of these last:N, or every:N (counted back from the last);
        or all, with that of a last cycle that the budget cut, which else is a row of its own and in no mean.
      baselines: to compare with, each NAME=FOLDER[@STEP][,FOLDER[@STEP]...]: a network, or the mean of several; without
        a step a run's last state. A NAME given again adds to it; a folder with a comma in its name is taken whole.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      weight_averages: average the weights as well (soups), and look for barriers between members; only where all are
        of one run or of runs that left one another.
      batches: of training images, for the batch statistics of averaged weights and for the loss on a barrier's way.
      points: at which the loss is taken on the line between two members, both ends among them.
      bins: of the calibration error.
      out: folder of record, tables and figures; None: ensemble in the folder of the first run.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    members: str = "whole"
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
    for word in config.runs:
        _local("runs", word)
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
        files.local_folder("baselines", words)  # before `located`, so that a URL is refused by this name
        whole = os.path.isdir(files.local_folder("baselines", located(words)[0]))
        each = [words] if whole else words.split(",")
        named.setdefault(name, []).extend(_local("baselines", word) for word in each)
    return named


def _local(name: str, word: str) -> str:
    """FOLDER or FOLDER@STEP with ~ expanded."""
    files.local_folder(name, word)  # which refuses a URL by this name
    folder, step = located(word)
    return f"{files.local_folder(name, folder)}" + ("" if step is None else f"@{step}")


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
    words = [_local("runs", word) for word in config.runs]
    first = networks.check_alike([*words, *itertools.chain(*named.values())])
    shared = task(first, data_dir=config.data_dir)
    there = [network for word in words for network in networks.members(word, config.members, shared)]
    aside = [network for network in there if network.cut and config.members != "all"]
    members = [network for network in there if not network.cut or config.members == "all"]
    _check_members(members, aside)
    baselines = {name: [networks.state(word, shared) for word in those] for name, those in named.items()}
    labels = Labels(shared.data.test.labels, shared.data.holdout.labels if shared.data.holdout else None)
    files.check_writable("out", _out(config))
    at = networks.bench(first, shared, batches=config.batches)

    asked: dict[str, Predicted] = {}
    evaluations = 0
    everyone = {network.digest: network for network in itertools.chain(there, *baselines.values())}
    for number, (digest, network) in enumerate(everyone.items(), start=1):
        asked[digest], made = networks.predicted(at, network.variables)
        evaluations += made
        yield f"{number}/{len(everyone)}  {network.name}  {'evaluated' if made else 'from the cache'}"
    predicted = [asked[network.digest] for network in members]
    others = {name: [asked[network.digest] for network in those] for name, those in baselines.items()}
    averages = networks.Averages({}, [], [], 0)
    averaging = config.weight_averages and networks.share_a_trunk(members)
    if averaging:
        averages = yield from networks.weight_averages(at, members, labels, points=config.points)

    combined = ensemble_scores.combine_all(predicted, labels)
    whole = combined[ensemble_scores.ENSEMBLE].predicted
    beside = {name: Combined(ensemble_scores.average(those)) for name, those in others.items()}
    alone = [Combined(found) for found in predicted]
    apart = [Combined(asked[network.digest]) for network in aside]
    rows = [
        *(_row(f"member {i + 1}", "member", members[i : i + 1], found) for i, found in enumerate(alone)),
        *(_row("cut cycle", "cut", aside[i : i + 1], found) for i, found in enumerate(apart)),
        *(_row(name, "ensemble", members, found) for name, found in combined.items()),
        *(_row(name, "weights", members, found) for name, found in averages.found.items()),
        *(_row(name, "baseline", baselines[name], found) for name, found in beside.items()),
    ]
    everything = [*alone, *apart, *combined.values(), *averages.found.values(), *beside.values()]
    for row, found in zip(rows, everything, strict=True):
        row.update(ensemble_scores.score(found.predicted, labels, bins=config.bins))
    calibrated_nll = rows[len(members) + len(aside)]["calibrated_nll"]
    record = {
        "config": provenance.said(config),
        "task": {"data": first.data, "model": first.model, "holdout_fraction": first.holdout_fraction},
        "members": [_facts(network) for network in members],
        "aside": [_facts(network) for network in aside],
        "baselines": {name: [_facts(network) for network in those] for name, those in baselines.items()},
        "rows": rows,
        "growing": {
            "forward": _growing(predicted, members, labels, "forward"),
            "backward": _growing(predicted, members, labels, "backward"),
            "weights": averages.growing or None,
        },
        **ensemble_scores.measure_diversity(predicted),
        "barriers": averages.barriers or None,
        "deep_ensemble_equivalents": [
            {"baseline": name, **ensemble_scores.count_equivalent_runs(calibrated_nll, others[name], labels)}
            for name, those in baselines.items()
            if labels.held is not None and networks.independent(those)
        ],
        "comparisons": ensemble_scores.compare_all(
            whole, predicted, {name: found.predicted for name, found in beside.items()}, labels
        ),
        "reliability": {
            "last member": ensemble_scores.measure_reliability(predicted[-1], labels, bins=config.bins),
            "ensemble": ensemble_scores.measure_reliability(whole, labels, bins=config.bins),
        },
        "notes": [
            *_notes(config, labels, normalised=bool(members[0].variables["batch_stats"]), averaging=averaging),
            *_cut_notes(members, aside),
        ],
        "evaluations": evaluations + averages.evaluations,  # networks times splits that were not in the cache
        **_provenance(shared),
        "commit": commit,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    path = _out(config) / "record.json"
    files.write_json(path, record, indent=1)
    record = files.read_json(path)
    text, written = write_results(record, path.parent)
    return Outcome(record, text, [path, *written])


def write_results(record: dict[str, Any], out: pathlib.Path) -> tuple[str, list[pathlib.Path]]:
    """The tables (returned as text, written as Markdown) and the figures of a record."""
    document, growing, reliability = out / "table.md", out / "growing.svg", out / "reliability.svg"
    files.write_text(document, table.format_markdown(record))
    figures.draw_growing(record, growing)
    figures.draw_reliability(record, reliability)
    return table.format_terminal(record), [document, growing, reliability]


def _out(config: EnsembleConfig) -> pathlib.Path:
    if config.out is not None:
        return files.local_folder("out", config.out)
    return files.local_folder("runs", located(_local("runs", config.runs[0]))[0]) / "ensemble"


def _check_members(members: Sequence[Network], aside: Sequence[Network]) -> None:
    seen: dict[str, Network] = {}
    for network in [*members, *aside]:
        if network.digest in seen:
            raise ValueError(
                f"runs must give each member once, got equal ones: {seen[network.digest].name} and {network.name}."
            )
        seen[network.digest] = network
    if len(members) < 2:
        got = ", ".join(n.name for n in members) or "none"
        cut = f" beside {', '.join(n.name for n in aside)}, of a cut cycle (--members all takes it)" if aside else ""
        raise ValueError(f"runs must give at least two members, got {got}{cut}.")


def _row(name: str, kind: str, which: Sequence[Network], found: Combined) -> Row:
    """`updates` are all that had to be made, those for members that were then not chosen among them."""
    asked = [network.name for network in which]
    return {"name": name, "kind": kind, "networks": asked, "weights": found.weights, "updates": networks.updates(which)}


def _growing(
    predicted: Sequence[Predicted], members: Sequence[Network], labels: Labels, order: Any
) -> list[Row]:  # fmt: skip
    curve = ensemble_scores.score_growing(predicted, labels, order=order)
    parts = [members[:n] if order == "forward" else members[-n:] for n in range(1, len(members) + 1)]
    return [{**point, "updates": networks.updates(part)} for point, part in zip(curve, parts, strict=True)]


def _notes(config: EnsembleConfig, labels: Labels, *, normalised: bool, averaging: bool = True) -> list[str]:
    notes = []
    if labels.held is None:
        notes.append(
            "The runs have no held-out part (holdout_fraction 0): no temperature is fitted, and nothing that must be "
            "chosen on it is there (weighted mean, greedy choice, greedy soup, deep-ensemble equivalent)."
        )
    else:
        soup = ", greedy choice and greedy soup" if averaging else " and greedy choice"
        notes.append(f"Weighted mean{soup}: chosen on held-out data.")
    if config.weight_averages and not averaging:
        notes.append(
            "No averages of weights (soups) and no barriers: the members are of runs that share no updates, and "
            "weights from different initial ones do not lie in one basin."
        )
    if config.weight_averages and averaging and normalised:
        notes.append("Averaged weights have batch statistics re-estimated on training images, altered as in training.")
    return notes


def _cut_notes(members: Sequence[Network], aside: Sequence[Network]) -> list[str]:
    """Which members end in a cycle that the budget cut."""
    notes = []
    for those, where in (
        (aside, "A row of its own and in no mean (--members all takes it in)"),
        ([network for network in members if network.cut], "In all means"),
    ):
        for network in those:
            rate = network.facts.get("rate")
            at = "" if rate is None else f" at rate {rate:.3g}"
            notes.append(f"{where}: {network.name}, whose cycle the budget cut{at}.")
    return notes


def _facts(network: Network) -> Row:
    facts = {name: network.facts.get(name) for name in ("cycle", "rate", "train_loss")}
    where = {"run": network.run, "folder": network.folder, "step": network.step, "seed": network.config.seed}
    where |= {"cut": True} if network.cut else {}
    return {**where, **facts, "digest": network.digest}


def _provenance(shared: Task) -> Row:
    data = shared.data
    sizes = {"train": len(data.train), "holdout": len(data.holdout or ()), "test": len(data.test)}
    return {
        "data": {"name": data.name, "version": data.version, "digest": data.digest, **sizes},
        "device": {**machine.describe(), "run_devices": train.device_count(shared.test)},
        "versions": provenance.versions(),
    }
