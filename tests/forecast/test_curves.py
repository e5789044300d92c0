"""Loss curves: what they must be, reading them, and the entries that stand for many updates."""

import pathlib

import numpy as np
import pytest

import lrsched as ls
from lrsched.forecast.curves import Curve, read_curve


def write(folder: pathlib.Path, *lines: str) -> pathlib.Path:
    path = folder / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_file_is_read_with_rates_on_lines_between(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, "loss,step,lr,note", ",0,0.1,x", "3.0,4,0.1,", "2.5,8,0.02,", "2.0,10,0.02,")
    curve = read_curve(path)
    assert curve.name == "mine"
    np.testing.assert_allclose(curve.rates, [0.1] * 5 + [0.08, 0.06, 0.04, 0.02, 0.02])
    assert curve.steps.tolist() == [4, 8, 10]
    assert curve.losses.tolist() == [3.0, 2.5, 2.0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["step,loss", "1,2"], "must have the columns step, lr, loss and a line below them, got step, loss"),
        (["step,lr,loss"], "must have the columns step, lr, loss and a line below them, got no line"),
        (["step,lr,loss", "1,a,2", "2,1,1"], "must hold numbers in its column lr"),
        (["step,lr,loss", "2,0.1,2", "1,0.1,2"], "must have a rate in every line and ascending whole steps"),
        (["step,lr,loss", "1.5,0.1,2", "2.7,0.1,2", "4,0.1,2"], "ascending whole steps of 0 to"),
        (["step,lr,loss", "1,0.1,2", ",0.1,2", "4,0.1,2"], "ascending whole steps of 0 to"),
        (["step,lr,loss", "1,,2", "2,0.1,2"], "must have a rate in every line and ascending whole steps"),
        (["step,lr,loss", "1,0.1,", "2,0.1,"], "must have a loss after at least one update, got none"),
        (
            ["step,lr,loss", "1,0.1,2", "2,0.1,inf"],
            "mine must have finite losses above 0, got inf: a run that diverged",
        ),
    ],
)
def test_file_that_holds_no_curve_is_refused(lines: list[str], message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_curve(write(tmp_path, *lines))


@pytest.mark.parametrize(
    ("steps", "losses", "message"),
    [
        ([1, 2], [1.0], r"a must have a step for every loss, got \(2,\) and \(1,\)"),
        ([0, 2], [1.0, 1.0], "a must be measured after 1 to 3 updates, ascending, got 0 to 2"),
        ([1, 4], [1.0, 1.0], "a must be measured after 1 to 3 updates, ascending, got 1 to 4"),
        ([1.0, 2.0], [1.0, 1.0], "a must be measured after 1 to 3 updates"),
    ],
)
def test_measurements_outside_the_run_are_refused(steps: list[int], losses: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curve("a", np.ones(3), np.array(steps), np.array(losses))


def test_blocks_hold_the_area_and_end_where_it_is_measured() -> None:
    rates = np.concatenate([ls.warmup(0.1, total_steps=300).table(), ls.cosine(0.1, total_steps=4700).table()])
    steps = np.array([400, 1111, 5000])
    means, lengths, ends = Curve("a", rates, steps, np.ones(3)).in_blocks()
    assert lengths.sum() == 5000
    assert np.cumsum(lengths)[ends - 1].tolist() == steps.tolist()
    np.testing.assert_allclose(np.cumsum(means * lengths)[ends - 1], np.cumsum(rates)[steps - 1], rtol=1e-12)
    assert np.abs(np.repeat(means, lengths.astype(int)) - rates).max() <= 0.1 / 500
    assert len(means) < 1100


def test_what_is_measured_in_the_warmup_is_left_out() -> None:
    curve = Curve("a", np.array([0.1, 0.2, 0.3, 0.2]), np.array([1, 2, 3, 4]), np.array([4.0, 3, 2, 1]))
    assert curve.warmup == 2
    assert curve.after_warmup().steps.tolist() == [3, 4]
