import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsched.analysis import drawing
from lrsched.analysis.report import chart
from lrsched.analysis.report.chart import Axis, Line

LOOK = drawing.looks(["rex"])["rex"]
X = chart.fit_axis("epochs", np.array([1.0, 100.0]), log=True)
Y = chart.fit_axis("error", np.array([0.0, 10.0]), floor=0.0)


def drawn(*lines: Line, x: Axis = X, y: Axis = Y, name: str = "n") -> ElementTree.Element:
    return ElementTree.fromstring(chart.draw_lines(lines, x, y, name=name))


def path(root: ElementTree.Element, kind: str) -> str:
    return "".join(element.get("d", "") for element in root.iter("path") if element.get("class") == kind)


def test_ticks_between_round_ones_say_where_they_are() -> None:
    axis = chart.fit_axis("error", np.array([12.1, 12.8]), log=True)
    assert axis.log
    assert len(axis.ticks) == 3
    assert [float(text) for text in axis.ticks.values()] == pytest.approx(list(axis.ticks), rel=1e-3)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.booleans())
def test_axis_holds_its_values_with_few_ticks(low: float, high: float, log: bool) -> None:
    axis = chart.fit_axis("a", np.array([low, high]), log=log)
    assert axis.low <= min(low, high) <= max(low, high) <= axis.high
    assert (2 if high != low else 1) <= len(axis.ticks) <= 8
    assert all(axis.low <= tick <= axis.high * (1 + 1e-9) for tick in axis.ticks)


@pytest.mark.parametrize("values", [[0.0, 1.0], [3.0, 3.0], [3.0, math.nan, 3.05]])
def test_axis_is_linear_where_no_logarithm_would_show_anything(values: list[float]) -> None:
    assert not chart.fit_axis("a", np.array(values), log=True).log


def test_line_goes_through_its_points() -> None:
    y = np.array([10.0, 2.0, 0.0])
    points = re.findall(r"[\d.]+ [\d.]+", path(drawn(Line(LOOK, np.array([1.0, 10.0, 100.0]), y)), "line"))
    across, down = zip(*(map(float, point.split()) for point in points), strict=True)
    left, middle, right = across
    assert middle == pytest.approx((left + right) / 2, abs=0.1)  # 10 is half way from 1 to 100 on a logarithmic axis
    assert down[0] < down[1] < down[2] == chart.HEIGHT - chart.BOTTOM


def test_line_has_a_gap_where_a_value_is_missing() -> None:
    y = np.array([1.0, math.nan, 2.0])
    root = drawn(Line(LOOK, np.array([1.0, 10.0, 100.0]), y))
    assert path(root, "line").count("M") == 2
    assert path(root, "mark").count("Z") == 2


def test_long_line_keeps_its_shape_in_few_points() -> None:
    x = np.linspace(0, 1, 5000)
    rate = np.where(x < 0.5, 1.0, 0.1)
    svg = chart.draw_schedule("step", x, rate, np.full(5000, 0.9), LOOK)
    (line,) = re.findall(r'class="line" d="([^"]*)"', svg)
    assert line.count(" ") == 4  # its two ends, and the two ends of its jump


def test_momentum_is_drawn_where_it_moves() -> None:
    x = np.linspace(0, 1, 50)
    still, moving = (
        chart.draw_schedule("s", x, 1 - x, momentum, LOOK) for momentum in (np.full(50, 0.9), 0.95 - 0.1 * x)
    )
    assert "momentum" not in still
    assert "momentum 0.85 to 0.95" in moving


def test_drawing_has_a_name_and_no_text_leaves_its_place() -> None:
    evil = '"><script>x</script>&'
    root = drawn(x=X._replace(label=evil, ticks={10.0: evil}), name=evil)
    assert root.get("aria-label") == evil
    assert not list(root.iter("script"))
    assert [text.text for text in root.iter("text")].count(evil) == 2


@pytest.mark.parametrize("colour", [*drawing.COLOURS, *drawing.MORE_COLOURS])
def test_every_colour_stands_out_on_a_dark_page(colour: str) -> None:
    (found,) = re.findall("--dark:(#[0-9a-f]{6})", chart.draw_key({**LOOK, "color": colour}, marked=False))
    channels = [int(found[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert (luminance + 0.05) / (0.00802 + 0.05) >= 3  # of graphics: WCAG 2.2, 1.4.11; #161616 has 0.00802


def test_interval_beyond_the_scale_ends_at_its_edge() -> None:
    svg = chart.draw_interval(0.0, -5.0, 0.5, (-1.0, 1.0))
    (bar,) = re.findall(r'class="bar" d="M([\d.]+) 9H([\d.]+)"', svg)
    assert bar == ("6.0", "96.0")
