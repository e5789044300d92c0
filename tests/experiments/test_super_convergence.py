"""1cycle against steps for as long and for eight times as long: subsets, rates, and the table of made-up records."""

import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest
import super_convergence
from super_convergence import PARTS, arms, choosing, fresh, parse

from lrsched.runs import records
from lrsched.runs.config import RunConfig
from lrsched.training import data as datasets

SMALL = """
    --data digits --few small_digits.few --model mlp --batch-size 32 --rates 0.01 0.1
    --short 6st --long 48st --seeds 2 --length 20
"""


@pytest.fixture
def small(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words with the digits, and 500 of them, in place of CIFAR-10."""
    module = "import super_convergence\n\n\ndef few():\n    return super_convergence.subset('digits', 500)\n"
    (tmp_path / "small_digits.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    return [*SMALL.split(), "--out", str(tmp_path / "out")]


def test_subset_has_as_many_of_each_class_and_is_always_the_same(small: list[str]) -> None:
    whole, part = datasets.load("digits"), datasets.load("small_digits.few")
    shares = np.bincount(part.train.labels) / np.bincount(whole.train.labels)
    assert len(part.train) == pytest.approx(500, abs=5)
    assert shares == pytest.approx(np.full(10, 500 / len(whole.train)), abs=0.005)
    assert part.digest == datasets.load("small_digits.few").digest != whole.digest
    assert (part.test.images == whole.test.images).all()
    there = {image.tobytes() for image in whole.train.images}
    assert {image.tobytes() for image in part.train.images} <= there
    held = datasets.load("small_digits.few", holdout_fraction=0.1)
    assert held.holdout is not None
    assert len(held.holdout) + len(held.train) == len(part.train)


def test_subset_of_cifar_10_is_of_ten_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(10), 5000)
    images = np.zeros((len(labels), 1, 1, 3), np.uint8)
    images[::2] = 1  # a channel must vary
    monkeypatch.setattr(datasets, "load", lambda name, data_dir: datasets.dataset((images, labels), (images, labels)))
    part = super_convergence.ten_thousand()
    assert np.bincount(part.train.labels).tolist() == [1000] * 10


@pytest.mark.parametrize("part", PARTS)
def test_rates_are_chosen_on_held_out_data_by_a_seed_that_is_not_fresh(part: str) -> None:
    args = parse([])
    places = arms(args, part)
    tried = choosing(args, part)
    made = fresh(args, part, dict.fromkeys(places[1:], 0.1))
    assert {run.seed for run in tried}.isdisjoint(run.seed for run in made)
    assert {(run.budget, run.holdout_fraction) for run in tried} == {("3ep", 0.1)}
    assert [(run.schedule, run.budget, run.seed) for run in made] == [
        *(("onecycle", "3ep", seed) for seed in (1, 2, 3)),
        *(("step", "3ep", seed) for seed in (1, 2, 3)),
        ("step", "24ep", 1),
    ]
    assert {run.holdout_fraction for run in made} == {0.0}


def test_papers_scale_has_its_updates_and_rates_and_chooses_nothing() -> None:
    args = parse(["--scale", "paper"])
    for part in PARTS:
        _, cycle, short, long = arms(args, part)
        assert not choosing(args, part)
        made = fresh(args, part, {cycle: args.cycle_rate, short: args.rates[0], long: args.rates[0]})
        assert {(run.model, run.batch_size, run.weight_decay) for run in made} == {("resnet56", 1000, 1e-4)}
        assert {(run.budget, run.peak_value) for run in made} == {("10000st", 3), ("10000st", 0.35), ("80000st", 0.35)}


def test_fewer_images_may_have_budgets_of_their_own() -> None:
    args = parse(["--few-short", "15ep", "--few-long", "120ep"])
    budgets = [[place[1] for place in arms(args, part)[1:]] for part in PARTS]
    assert budgets == [["3ep", "3ep", "24ep"], ["15ep", "15ep", "120ep"]]


def row(label: str, budget: str, rate: float, seed: int, error: float | None, model: str = "mlp") -> dict[str, Any]:
    """A record with what is asked of every one, and what the table reads of it."""
    words: dict[str, Any] = {"schedule": label, "budget": budget, "peak_value": rate, "seed": seed}
    config = RunConfig(data="digits", model=model, **words).as_json()
    epochs, none = float(budget.removesuffix("ep")), dict.fromkeys(records._ALWAYS)
    return {
        **none,
        "run": records.identify(config, data_digest="abc", origin=None, devices=1),
        "label": label,
        "seed": seed,
        "config": config,
        "device": {},
        "epochs": epochs,
        "total_steps": int(1000 * epochs),
        "data": {"train": 1438, "test": 10_000, "digest": "abc"},
        "diverged_at": 7 if error is None else None,
        "test_error": error,
        "holdout_error": None,
    }


def write(folder: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    for one in rows:
        records.append(folder / "records.jsonl", one)


def finals(long: list[float | None], model: str = "mlp") -> list[dict[str, Any]]:
    return [
        *(row("onecycle", "3ep", 0.4, seed, error, model) for seed, error in ((1, 0.2), (2, 0.22))),
        *(row("step", "3ep", 0.1, seed, error, model) for seed, error in ((1, 0.3), (2, 0.3))),
        *(row("step", "24ep", 0.1, seed, error, model) for seed, error in enumerate(long, start=1)),
    ]


def figure_words(folder: pathlib.Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", (folder / "super_convergence.svg").read_text())


def test_table_has_means_differences_by_seed_and_printed_numbers(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "all", finals([0.25]))
    write(tmp_path / "all" / "selection", [row("step", "3ep", rate, 0, 0.3) for rate in (0.03, 0.1)])
    text = super_convergence.write_results(tmp_path, tmp_path)
    lines = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| 1,438")]
    # sd of 20 and 22: sqrt(2); the difference is that of seed 1 alone, 20 - 25 and 30 - 25 points.
    assert lines == [
        ["1,438", "`onecycle` @ 0.4", "3", "3,000", "21.00 ± 1.41 (2)", "-5.00", "7.56 (ResNet-56)"],
        ["1,438", "`step` @ 0.1", "3", "3,000", "30.00 ± 0.00 (2)", "5.00", ""],
        ["1,438", "`step` @ 0.1", "24", "24,000", "25.00 (1)", "-", "9.68 (ResNet-56)"],
    ]
    assert "for 3ep is 0.1 of 0.03, 0.1, an edge of them" in text
    assert "The steps for 24ep took it over" in text
    assert "The cycle minus the steps of its own length: -9.00 [-21.71, 3.71] points." in text  # -10 and -8
    assert text == (tmp_path / "table.md").read_text()
    words = figure_words(tmp_path)
    assert [word for word in words if "step" in word or "onecycle" in word] == [
        "onecycle, printed",
        "step, printed",
        "onecycle",
        "step",
    ]
    assert "1,438 images; printed: ResNet-56" in words


def test_printed_numbers_of_the_network_that_was_trained_come_first(tmp_path: pathlib.Path) -> None:
    for part in PARTS:
        write(tmp_path / part, finals([0.25], model="resnet20"))
    lines = super_convergence.write_results(tmp_path, tmp_path).splitlines()
    printed = [line[2:-2].split(" | ")[-1] for line in lines if line.startswith("| 1,438")]
    assert printed[::3] == ["9.58, 7.56 (ResNet-56)", "19.41 (ResNet-56)"]
    assert printed[2::3] == ["11.36, 9.68 (ResNet-56)", "28.80 (ResNet-56)"]
    assert "1,438 images; printed: ResNet-20" in figure_words(tmp_path)


def test_table_of_a_study_under_way_speaks_of_what_is_on_record(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "all", finals([0.25])[:2])  # the cycle's runs come first
    write(tmp_path / "few", finals([0.25])[:4])
    write(tmp_path / "all" / "selection", [row("step", "3ep", rate, 0, 0.3) for rate in (0.03, 0.1)])
    text = super_convergence.write_results(tmp_path, tmp_path)
    assert "21.00 ± 1.41 (2)" in text
    assert "for 3ep" not in text
    assert {"onecycle", "step"} <= set(figure_words(tmp_path))
    few = [line[2:-2].split(" | ")[3:] for line in text.splitlines() if line.startswith("| 1,438")][1:]
    assert few == [["3,000", "21.00 ± 1.41 (2)", "", ""], ["3,000", "30.00 ± 0.00 (2)", "", ""]]


def test_long_run_that_diverged_has_no_mean_and_nothing_is_held_against_it(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "few", finals([None]))
    text = super_convergence.write_results(tmp_path, tmp_path)
    assert "| 24,000 | diverged 1/1 |  | 28.80 (ResNet-56) |" in text
    assert "| 21.00 ± 1.41 (2) |  | 19.41 (ResNet-56) |" in text


def test_ledger_with_two_rates_of_a_place_is_refused(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "all", [*finals([0.25]), row("step", "3ep", 0.3, 3, 0.4)])
    with pytest.raises(ValueError, match=r"step at 3ep must have one rate in a folder, got \[0.1, 0.3\]"):
        super_convergence.write_results(tmp_path, tmp_path)


def test_no_table_is_made_of_no_records_or_altered_ones(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="must have runs on record in all or few, got none"):
        super_convergence.write_results(tmp_path, tmp_path)
    altered = row("step", "3ep", 0.1, 1, 0.3)
    altered["config"]["peak_value"] = 0.2
    write(tmp_path / "all", [*finals([0.25]), altered])
    with pytest.raises(ValueError, match="records must be as they were written"):
        super_convergence.write_results(tmp_path, tmp_path)
    assert not (tmp_path / "table.md").exists()


def test_dry_run_counts_runs_and_updates_and_trains_nothing(
    small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert super_convergence.main([*small, "--dry-run"]) == 0
    said = capsys.readouterr().out
    for part in PARTS:
        assert f"{part}: 2 runs to choose rates, 12 updates." in said
        assert f"{part}: 5 runs with fresh seeds, 72 updates." in said  # 2 * 6 + 2 * 6 + 48
    assert "In all 168 updates" in said
    assert not pathlib.Path(small[-1]).exists()


@pytest.mark.slow
def test_papers_scale_passes_a_dry_run(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--scale",
        "paper",
        "--data",
        "digits",
        "--few",
        "small_digits.few",
        "--model",
        "mlp",
        "--batch-size",
        "32",
        "--dry-run",
    ]
    assert super_convergence.main(words) == 0
    assert "In all 280,000 updates; range tests: none." in capsys.readouterr().out  # 2 * (3 * 10k + 3 * 10k + 80k)


@pytest.mark.slow
def test_both_data_sets_are_trained_and_nothing_is_made_twice(small: list[str], tmp_path: pathlib.Path) -> None:
    assert super_convergence.main(small) == 0
    out = tmp_path / "out"
    ledgers = [out / part / name for part in PARTS for name in ("records.jsonl", "selection/records.jsonl")]
    before = [path.read_bytes() for path in ledgers]
    found = [records.read(out / part / "records.jsonl").rows for part in PARTS]
    digests = [{each["data"]["digest"] for each in rows} for rows in found]
    assert [len(each) for each in digests] == [1, 1]
    assert digests[0] != digests[1]
    for part in PARTS:
        suggestion = json.loads((out / part / "range_test" / "record.json").read_text())["suggestions"]["minimum_tenth"]
        rows = records.read(out / part / "records.jsonl").rows
        rates = {each["config"]["peak_value"] for each in rows if each["label"] == "onecycle"}
        assert rates == {float(f"{suggestion['value']:.2g}")}
        tried = records.read(out / part / "selection" / "records.jsonl").rows
        best = min(tried, key=lambda each: (each["holdout_error"], each["config"]["peak_value"]))
        steps = {each["config"]["peak_value"] for each in rows if each["label"] == "step"}
        assert steps == {best["config"]["peak_value"]}
    text = (out / "table.md").read_text()
    assert super_convergence.main(small) == 0
    assert [path.read_bytes() for path in ledgers] == before
    assert super_convergence.main(["--gather", str(out)]) == 0
    assert (out / "table.md").read_text() == text
