"""What an ensemble's record holds, and its tables, from predictions made up here."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from lrsched.analysis import drawing
from lrsched.analysis.ensemble import calibration, figures, scores, table
from lrsched.analysis.ensemble.scores import Labels, Predicted

RNG = np.random.default_rng(0)
LABELS = Labels(RNG.integers(0, 3, 60), RNG.integers(0, 3, 40))


def _predicted(skill: float, *, held: bool = True) -> Predicted:
    assert LABELS.held is not None

    def logits(labels: np.ndarray) -> np.ndarray:
        return RNG.normal(size=(len(labels), 3)) + skill * np.eye(3)[labels]

    return Predicted(logits(LABELS.test), logits(LABELS.held) if held else None)


def _right(right: list[bool], labels: Labels) -> Predicted:
    """Predictions of class 0 that are right (the labels are all 0) or not."""
    return Predicted(np.array([[1.0, 0.0] if one else [0.0, 1.0] for one in right]), None)


def test_compared_is_mcnemars_exact_test_by_hand() -> None:
    labels = Labels(np.zeros(10, np.int64), None)
    first = _right([True] * 8 + [False] * 2, labels)
    second = _right([False] * 6 + [True] * 3 + [False], labels)
    found = scores.compare(first, second, labels)
    assert (found["only_first_right"], found["only_second_right"], found["examples"]) == (6, 1, 10)
    assert found["difference"] == pytest.approx(0.2 - 0.7)
    assert found["p"] == pytest.approx(2 * (1 + 7) / 2**7)  # both tails of a binomial(7, 1/2): at most one
    low, high = found["interval"]
    assert -0.7 <= low < found["difference"] < high
    assert high > 0  # p is above 5 %


def test_compared_interval_leaves_out_0_where_p_is_below_5_percent() -> None:
    labels = Labels(np.zeros(40, np.int64), None)
    for first_alone in range(13):
        first = _right([True] * first_alone + [False] * (12 - first_alone) + [True] * 28, labels)
        second = _right([False] * first_alone + [True] * (12 - first_alone) + [True] * 28, labels)
        found = scores.compare(first, second, labels)
        low, high = found["interval"]
        assert (found["p"] < 0.05) == (low > 0 or high < 0)


def test_compared_with_itself_tells_nothing_apart() -> None:
    one = _predicted(1.0)
    found = scores.compare(one, one, LABELS)
    assert (found["difference"], found["interval"], found["p"]) == (0.0, [0.0, 0.0], 1.0)


def test_scored_fits_its_temperature_on_held_out_data_alone() -> None:
    one = _predicted(2.0)
    row = scores.score(one, LABELS, bins=10)
    assert LABELS.held is not None
    assert one.held is not None
    temperature = calibration.fit_temperature(one.held, LABELS.held)
    assert row["temperature"] == temperature
    assert row["calibrated_nll"] == calibration.nll(one.test / temperature, LABELS.test)
    assert row["ece"] == calibration.ece(calibration.probabilities(one.test), LABELS.test, bins=10)
    without = scores.score(one._replace(held=None), LABELS, bins=10)
    assert without["temperature"] is without["calibrated_nll"] is without["holdout_error"] is None
    assert without["nll"] == row["nll"]


def _certain() -> Predicted:
    """Right on all held-out data, and not on all of the test set."""
    one = _predicted(1.0)
    assert LABELS.held is not None
    return one._replace(held=5.0 * np.eye(3)[LABELS.held])


def test_scored_at_a_temperature_that_is_not_determined_has_no_calibrated_numbers() -> None:
    row = scores.score(_certain(), LABELS, bins=10)
    assert (row["temperature"], row["temperature_determined"]) == (1.0, False)
    assert row["calibrated_nll"] is row["calibrated_brier"] is row["calibrated_ece"] is None
    assert row["holdout_error"] == 0.0
    curve = scores.score_growing([_certain(), _certain()], LABELS, order="backward")
    assert [point["calibrated_nll"] for point in curve] == [None, None]
    assert scores.score(_predicted(2.0), LABELS, bins=10)["temperature_determined"]


def test_equivalent_is_not_determined_without_all_temperatures() -> None:
    runs = [_predicted(1.5) for _ in range(3)]
    for found in (
        scores.count_equivalent_runs(None, runs, LABELS),
        scores.count_equivalent_runs(0.5, [*runs, _certain()], LABELS),
    ):
        assert not found["determined"]
        assert found["value"] is found["curve"] is found["below_one"] is None
    assert scores.count_equivalent_runs(0.5, runs, LABELS)["determined"]


def test_combinations_have_weights_that_held_out_data_chose() -> None:
    members = [_predicted(3.0), _predicted(-3.0)]  # the second is wrong
    found = scores.combine_all(members, LABELS)
    assert list(found) == [scores.ENSEMBLE, "mean of logits", "weighted mean", "greedy choice"]
    for name in ("weighted mean", "greedy choice"):
        assert found[name].weights == pytest.approx([1.0, 0.0], abs=0.1)
    assert found["mean of logits"].weights is None
    without = [member._replace(held=None) for member in members]
    assert list(scores.combine_all(without, LABELS)) == list(found)[:2]


def test_equivalent_of_the_runs_themselves_is_their_number_or_less() -> None:
    runs = [_predicted(1.5) for _ in range(3)]
    whole = scores.score(scores.average(runs), LABELS, bins=15)
    found = scores.count_equivalent_runs(whole["calibrated_nll"], runs, LABELS)
    alone = [scores.score(run, LABELS, bins=15)["calibrated_nll"] for run in runs]
    assert found["curve"][0] == pytest.approx(np.mean(alone))
    assert found["curve"][2] == pytest.approx(whole["calibrated_nll"])
    assert scores.count_equivalent_runs(0.0, runs, LABELS)["value"] is None
    assert [scores.count_equivalent_runs(nll, runs, LABELS)["below_one"] for nll in (0.0, 9.9)] == [False, True]


def _record(**changes: Any) -> dict[str, Any]:
    members = [_predicted(1.0), _predicted(2.0)]
    rows = [
        {"name": f"member {i}", "kind": "member", "networks": [f"runs/a@{i}0"], "updates": 10 * i}
        | scores.score(one, LABELS, bins=15)
        for i, one in enumerate(members, start=1)
    ]
    curve = [{**p, "updates": 10} for p in scores.score_growing(members, LABELS, order="forward")]
    record = {
        "config": {"bins": 15},
        "task": {"model": "resnet8"},
        "data": {"name": "digits", "test": 60, "holdout": 40},
        "members": [{}, {}],
        "rows": rows,
        "growing": {"forward": curve, "backward": curve, "weights": None},
        **scores.measure_diversity(members),
        "barriers": [{"between": [0, 1], "barrier": 1.25}],
        "deep_ensemble_equivalents": [
            {"baseline": "deep", "runs": 4, "value": None},
            {"baseline": "two", "runs": 2, "value": 1.5},
            {"baseline": "better", "runs": 3, "value": 1.0, "below_one": True},
        ],
        "comparisons": scores.compare_all(scores.average(members), members, {}, LABELS),
        "notes": ["A note."],
    }
    return {**record, **changes}


def test_tables_hold_every_row_and_survive_json() -> None:
    record = _record()
    again = json.loads(json.dumps(record))
    text, markdown = table.format_terminal(record), table.format_markdown(record)
    assert text == table.format_terminal(again)
    assert markdown == table.format_markdown(again)
    lines = markdown.splitlines()
    assert lines[2].startswith("| member 1, a@10 | 10 | ")
    assert len({line.count("|") for line in lines[:4]}) == 1
    for words in (
        "worth more than all 4 runs",
        "as much as 1.50 of the 2 runs",
        "less than one of the 3 runs",
        "1-2: 1.250",
        "A note.",
        "n = 60",
    ):
        assert words in " ".join(text.split())
        assert words in markdown


@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_terminal_table_is_no_wider_than_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    record = _record()
    record["rows"][0]["name"] = "a_baseline_with_a_name" * 5
    record["growing"]["weights"] = record["growing"]["forward"]
    text = table.format_terminal(record)
    assert max(map(len, text.splitlines())) <= min(int(columns), 120)
    assert "a_baseline_with_a_namea_baseline_with..." in text
    for head in table.HEAD:
        assert head in text


def test_names_in_markdown_stay_names() -> None:
    record = _record(comparisons=[{**_record()["comparisons"][0], "second": "a|b<script>\n`c`"}])
    record["rows"].append({**record["rows"][0], "kind": "baseline", "name": "a|b<script>\n`c`"})
    lines = table.format_markdown(record).splitlines()
    assert lines[4].startswith(r"| a\|b&lt;script> \`c\` | ")
    assert lines[4].count("|") - lines[4].count(r"\|") == lines[0].count("|")
    assert "<script>" not in "".join(lines)
    assert r"that of a\|b&lt;script> \`c\`: " in lines[-1]


def test_legend_of_reliability_covers_no_point(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(drawing, "save", lambda figure, path: drawn.append(figure))
    read = {"examples": [1, 1], "confidence": [0.02, 0.98], "accuracy": [1.0, 0.0]}
    figures.draw_reliability({"reliability": {"last member": read, "ensemble": read}}, tmp_path / "a.svg")
    (figure,) = drawn
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 1e-6
    assert axes.get_legend().get_window_extent().y1 <= figure.bbox.y1


def test_table_of_temperatures_that_are_not_determined_says_so() -> None:
    record = _record(deep_ensemble_equivalents=[{"baseline": "deep", "runs": 4, "determined": False, "value": None}])
    record["rows"][1] |= scores.score(_certain(), LABELS, bins=15)
    markdown, text = table.format_markdown(record), " ".join(table.format_terminal(record).split())
    assert markdown.splitlines()[3].endswith("| not determined | - | - | - |")
    for words in (
        "Temperature not determined, so T = 1 and nothing calibrated: member 2;",
        "How many of the 4 runs of the baseline deep the ensemble is worth is not determined",
    ):
        assert words in markdown
        assert words in text
    assert "worth more than all" not in markdown


def test_table_without_temperatures_says_nothing_of_them() -> None:
    record = _record()
    for row in record["rows"]:
        row |= {"temperature": None, "temperature_determined": False}
    assert table.format_markdown(record).splitlines()[2].endswith("| - | - | - | - |")


@pytest.mark.parametrize(
    ("p", "interval", "words"),
    [
        (0.01, [-0.05, -0.01], "The error of the ensemble is below that of one: -3.00 points"),
        (0.01, [0.01, 0.05], "The error of the ensemble is above that of one: +3.00 points"),
        (0.2, [-0.05, 0.01], "The error of the ensemble is not separated from that of one: -3.00 points"),
    ],
)
def test_verdict_follows_from_its_test(p: float, interval: list[float], words: str) -> None:
    difference = 0.03 if interval[0] > 0 else -0.03
    counts = {"examples": 500, "only_first_right": 3, "only_second_right": 18}
    found = table.judge(
        {"first": "ensemble", "second": "one", "difference": difference, "interval": interval, "p": p, **counts}
    )
    assert found.startswith(words)
    assert "n = 500" in found
    assert f"({100 * interval[0]:+.2f} to" not in found
    assert f"95 % interval {100 * interval[0]:+.2f} to {100 * interval[1]:+.2f}" in found
