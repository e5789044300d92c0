"""Snapshot ensembles: the members that runs kept, combined in every way, with what each way costs."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import tyro

from lrsched import files
from lrsched.analysis.ensemble import calibration, figures, scores, table
from lrsched.analysis.ensemble.scores import Combined, Labels, Predicted
from lrsched.commands import Outcome
from lrsched.runs import merged, networks
from lrsched.runs.evaluator import Averages, average_weights, evaluator
from lrsched.runs.folder import parse_location, read_config, select_members
from lrsched.runs.networks import Network
from lrsched.runs.records import Beginning
from lrsched.runs.report import Report, ignore
from lrsched.runs.task import Task, devices_to_evaluate, load
from lrsched.training import devices, provenance


@dataclasses.dataclass(frozen=True)
class EnsembleConfig:
    """Snapshot ensembles from one run or several: their errors, losses and calibration, and what they cost.

    Example: lrsched ensemble runs/sgdr --members last:3

    Example: lrsched ensemble runs/trunk@123 runs/trunk@164 runs/trunk@205 --merge linear rex

    Attributes:
      runs: folders of runs, whose members are taken, or FOLDER@STEP: what a run was after so many updates.
      members: of each folder: whole, those of whole cycles; of these last:N, or every:N (counted back from the last);
        or all, with those of cycles that were cut, which are otherwise rows of their own and in no mean.
      baselines: to compare with, each NAME=FOLDER[@STEP][,FOLDER[@STEP]...]: a network, or the mean of several; without
        a step a run's last state. A NAME given again adds to it; a folder with a comma in its name is taken whole.
      data_dir: folder of prepared data sets (else TFDS_DATA_DIR, else TFDS's own); digits and diabetes need none.
      merge: profiles of decays, such as rex or one_minus_sqrt: the members, states of one run with a constant rate at
        equal distances, are averaged with the weights that stand for each of them (`lrsched.merge_weights`). A baseline
        of the same name must be that decay trained, and is held against it.
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
    merge: tuple[str, ...] = ()
    data_dir: str | None = None
    weight_averages: bool = True
    batches: int = 50
    points: int = 5
    bins: int = calibration.BINS
    out: str | None = None


Row = dict[str, Any]


def _check(config: EnsembleConfig) -> dict[str, list[str]]:
    """The locations of each baseline, by its name.

    Raises:
      ValueError: for arguments that cannot be followed.
    """
    if not config.runs:
        raise ValueError("runs must name at least one folder, got none.")
    for location in config.runs:
        _expand("runs", location)
    select_members(config.members, [])
    for name, least in {"batches": 1, "points": 3, "bins": 1}.items():
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(config, name)}.")
    if _out(config).exists() and not _out(config).is_dir():
        raise ValueError(f"out must be a folder, got the file {_out(config)}.")
    named: dict[str, list[str]] = {}
    for baseline in config.baselines:
        name, _, locations = baseline.partition("=")
        if not name or not all(locations.split(",")):
            raise ValueError(f"baselines must be NAME=FOLDER[@STEP][,FOLDER...], got {baseline!r}.")
        files.local_folder("baselines", locations)  # first, so that a URL is refused by this name
        whole = os.path.isdir(files.local_folder("baselines", parse_location(locations)[0]))
        each = [locations] if whole else locations.split(",")
        named.setdefault(name, []).extend(_expand("baselines", location) for location in each)
    return named


def _expand(name: str, location: str) -> str:
    """FOLDER or FOLDER@STEP with ~ expanded."""
    files.local_folder(name, location)  # which refuses a URL by this name
    folder, step = parse_location(location)
    return f"{files.local_folder(name, folder)}" + ("" if step is None else f"@{step}")


@dataclasses.dataclass(frozen=True, eq=False)
class _Gathered:
    """The networks of an ensemble, and what is compared with it."""

    task: Task
    members: list[Network]
    aside: list[Network]  # of cycles that were cut
    baselines: dict[str, list[Network]]
    labels: Labels

    @property
    def everyone(self) -> dict[str, Network]:
        """Each network once, by its digest."""
        there = [*self.members, *self.aside, *itertools.chain(*self.baselines.values())]
        return {network.digest: network for network in there}


def run(config: EnsembleConfig, report: Report = ignore) -> Outcome:
    """Evaluates members, baselines and combinations, and writes the results.

    Predictions are kept in the user's cache by what they depend on: a second start evaluates only what is new, but
    re-estimates the batch statistics of averaged weights and measures the losses on the barriers again.

    Raises:
      ValueError: before anything is evaluated, for arguments that cannot be followed, and networks that do not belong
        together or diverged.
    """
    devices.prepare()
    devices.start()
    beginning = Beginning()
    gathered = _gather(config)
    task, labels = gathered.task, gathered.labels
    weights = merged.weights_of(config.merge, gathered.members, gathered.baselines, task) if config.merge else {}
    files.check_writable("out", _out(config))
    at = evaluator(task, batches=config.batches)
    predictions: dict[str, Predicted] = {}
    evaluations = 0
    for number, (digest, network) in enumerate(gathered.everyone.items(), start=1):
        predictions[digest], made = at.predict(network.variables)
        evaluations += made
        how = "evaluated" if made else "from the cache"
        report(f"{number}/{len(gathered.everyone)}  {network.name}  {how}")
    averages = Averages({}, [], [], 0)
    averaging = config.weight_averages and networks.share_a_trunk(gathered.members)
    if averaging:
        averages = average_weights(at, gathered.members, labels, points=config.points, report=report)
    merges = merged.merge(at, gathered.members, weights, gathered.baselines, labels) if weights else merged.NOTHING
    first = gathered.members[0].config
    normalised = bool(gathered.members[0].variables["batch_stats"])
    document = {
        "config": provenance.config_fields(config),
        "task": {"data": first.data, "model": first.model, "holdout_fraction": first.holdout_fraction},
        **_describe(gathered),
        **_score(gathered, predictions, averages, merges, bins=config.bins),
        "notes": [
            *_notes(config, labels, normalised=normalised, averaging=averaging),
            *_cut_notes(gathered.members, gathered.aside),
            *([merged.NOTE] if weights else []),
        ],
        # Networks times splits that were not in the cache.
        "evaluations": evaluations + averages.evaluations + merges.evaluations,
        **beginning.provenance(task.data, devices=len(task.devices)),
    }
    path = _out(config) / "record.json"
    files.write_json(path, document, indent=1)
    record = files.read_json(path)
    text, written = write_results(record, path.parent)
    return Outcome(record, text, [path, *written])


def _gather(config: EnsembleConfig) -> _Gathered:
    named = _check(config)
    locations = [_expand("runs", location) for location in config.runs]
    first = networks.check_alike([*locations, *itertools.chain(*named.values())])
    everything = [*locations, *itertools.chain(*named.values())]
    fewest = min((devices_to_evaluate(read_config(parse_location(each)[0])) for each in everything), key=len)  # type: ignore[arg-type]
    task = load(first, holdout_fraction=first.holdout_fraction, data_dir=config.data_dir, devices=fewest)
    if task.data.classes == 0:
        raise ValueError(f"data must have classes, whose probabilities are combined, got {first.data}.")
    there = [network for each in locations for network in networks.load_members(each, config.members, task)]
    aside = [network for network in there if network.cut and config.members != "all"]
    members = [network for network in there if not network.cut or config.members == "all"]
    _check_members(members, aside)
    baselines = {name: [networks.load_state(each, task) for each in those] for name, those in named.items()}
    labels = Labels(task.data.test.labels, task.data.holdout.labels if task.data.holdout else None)
    return _Gathered(task, members, aside, baselines, labels)


def _describe(gathered: _Gathered) -> Row:
    """Where each network comes from."""
    return {
        "members": [_facts(network) for network in gathered.members],
        "aside": [_facts(network) for network in gathered.aside],
        "baselines": {name: [_facts(network) for network in those] for name, those in gathered.baselines.items()},
    }


def _score(
    gathered: _Gathered, predictions: dict[str, Predicted], averages: Averages, merges: merged.Merged, *, bins: int
) -> Row:
    """Every way of combining the members, with its errors and its cost."""
    members, labels = gathered.members, gathered.labels
    predicted = [predictions[network.digest] for network in members]
    others = {name: [predictions[network.digest] for network in those] for name, those in gathered.baselines.items()}
    combined = scores.combine_all(predicted, labels)
    whole = combined[scores.ENSEMBLE].predicted
    beside = {name: Combined(scores.average(those)) for name, those in others.items()}
    each = [
        *((f"member {i + 1}", "member", [one], Combined(predictions[one.digest])) for i, one in enumerate(members)),
        *(("cut cycle", "cut", [one], Combined(predictions[one.digest])) for one in gathered.aside),
        *((name, "ensemble", members, one) for name, one in combined.items()),
        *((name, "weights", members, one) for name, one in averages.combined.items()),
        *merges.rows,
        *((name, "baseline", gathered.baselines[name], one) for name, one in beside.items()),
    ]
    rows = [
        _row(name, kind, those, one) | scores.score(one.predicted, labels, bins=bins) for name, kind, those, one in each
    ]
    calibrated_nll = rows[len(members) + len(gathered.aside)]["calibrated_nll"]
    return {
        "rows": rows,
        "growing": {
            "forward": _growing(predicted, members, labels, "forward"),
            "backward": _growing(predicted, members, labels, "backward"),
            "weights": averages.growing or None,
        },
        **scores.measure_diversity(predicted),
        "barriers": averages.barriers or None,
        "deep_ensemble_equivalents": [
            {"baseline": name, **scores.count_equivalent_runs(calibrated_nll, others[name], labels)}
            for name, those in gathered.baselines.items()
            if labels.held is not None and networks.independent(those)
        ],
        "comparisons": [
            *scores.compare_all(whole, predicted, {name: one.predicted for name, one in beside.items()}, labels),
            *merges.comparisons,
        ],
        "reliability": {
            "last member": scores.measure_reliability(predicted[-1], labels, bins=bins),
            "ensemble": scores.measure_reliability(whole, labels, bins=bins),
        },
    }


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
    return files.local_folder("runs", parse_location(_expand("runs", config.runs[0]))[0]) / "ensemble"


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
        cut = f" beside {', '.join(n.name for n in aside)}, of cut cycles (--members all takes them)" if aside else ""
        raise ValueError(f"runs must give at least two members, got {got}{cut}.")


def _row(name: str, kind: str, which: Sequence[Network], found: Combined) -> Row:
    """`updates` are all that had to be made, those for members that were then not chosen among them."""
    asked = [network.name for network in which]
    return {"name": name, "kind": kind, "networks": asked, "weights": found.weights, "updates": networks.updates(which)}


def _growing(
    predicted: Sequence[Predicted], members: Sequence[Network], labels: Labels, order: Any
) -> list[Row]:  # fmt: skip
    curve = scores.score_growing(predicted, labels, order=order)
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
    """Which members end in a cycle that was cut."""
    notes = []
    for those, where in (
        (aside, "A row of its own and in no mean (--members all takes it in)"),
        ([network for network in members if network.cut], "In all means"),
    ):
        for network in those:
            rate = network.facts.get("rate")
            at = "" if rate is None else f" at rate {rate:.3g}"
            notes.append(f"{where}: {network.name}, whose cycle was cut{at}.")
    return notes


def _facts(network: Network) -> Row:
    facts = {name: network.facts.get(name) for name in ("cycle", "rate", "train_loss")}
    where = {"run": network.run, "folder": network.folder, "step": network.step, "seed": network.config.seed}
    where |= {"cut": True} if network.cut else {}
    return {**where, **facts, "digest": network.digest}
