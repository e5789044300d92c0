import numpy as np
import pytest

from lrsched.analysis.schedules.terminal import draw

STEPS = np.arange(300)
LINEAR = 0.1 * (1 - STEPS / 300)
STILL = np.full(300, 0.9)


def panel(text, title="rate"):
    """The rows between a panel's title and its axis, without their margin."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == title) + 1
    end = next(i for i, line in enumerate(lines) if i > start and line.strip().startswith("+"))
    return [line.partition("|")[2] for line in lines[start:end]]


def test_linear_is_a_diagonal():
    rows = panel(draw({"linear": LINEAR}, {"linear": STILL}, width=81))
    middles = [np.mean([x for x, c in enumerate(row) if c != " "]) for row in rows]
    assert np.allclose(np.diff(middles), 70 / len(rows), atol=1.5)  # 70 columns; the ends are half a row
    assert all(row.strip() for row in rows)


def test_axes_name_their_ends():
    lines = draw({"linear": LINEAR}, {"linear": STILL}).splitlines()
    assert lines[0] == "linear"
    assert lines[2].startswith("       0.1|")
    assert lines[15].startswith("         0|")
    assert lines[-2].split() == ["0", "step", "299"]


@pytest.mark.parametrize("steps", [1, 2, 7, 139, 10_000])
@pytest.mark.parametrize("width", [40, 81])
def test_lines_keep_the_width_at_any_length(width, steps):
    curve = np.linspace(1.0, 0.5, steps)
    text = draw({"a": curve, "b": curve}, {"a": curve, "b": curve[::-1].copy()}, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert panel(text)[0].strip()


def test_jump_is_joined():
    rows = panel(draw({"step": np.where(STEPS < 150, 1.0, 0.0)}, {"step": STILL}, width=81))
    assert [x for x, c in enumerate(rows[5]) if c != " "] == [35]  # half of 70 columns


def test_several_curves_have_letters_on_them():
    text = draw({"linear": LINEAR, "constant": np.full(300, 0.1)}, {"linear": STILL, "constant": STILL})
    assert text.splitlines()[:2] == ["A linear", "B constant"]
    rows = panel(text)
    assert "B" in rows[0]
    assert "A" in "".join(rows[1:])
    assert not any("B" in row for row in rows[1:])


def test_momentum_that_moves_is_drawn():
    text = draw({"a": LINEAR, "b": LINEAR}, {"a": STILL, "b": 0.95 - 0.1 * STEPS / 299}, width=60)
    assert text.splitlines()[-1] == "momentum 0.9 throughout: a"
    assert len(panel(text, "momentum")) == 5
    assert "0.95|" in text
    assert "0.85|" in text
    assert not any("A" in row for row in panel(text, "momentum"))


def test_momentum_that_stays_is_named():
    text = draw({"a": LINEAR, "b": LINEAR}, {"a": STILL, "b": STILL})
    assert text.splitlines()[-1] == "momentum 0.9 throughout"


def test_rate_of_zero_throughout():
    assert panel(draw({"none": np.zeros(300)}, {"none": STILL}))[-1].strip()


def test_colour_is_written_only_if_asked_for():
    plain, bright = (draw({"a": LINEAR}, {"a": STILL}, colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert bright.replace("\x1b[34m", "").replace("\x1b[0m", "") == plain


@pytest.mark.parametrize(
    ("rates", "width", "message"),
    [({}, 80, "rates must hold at least one curve, got none"), ({"a": LINEAR}, 39, "at least 40 columns, got 39")],
)
def test_nothing_to_draw_or_no_room(rates, width, message):
    with pytest.raises(ValueError, match=message):
        draw(rates, {"a": STILL}, width=width)
