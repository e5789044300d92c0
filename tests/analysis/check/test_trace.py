"""How exactly a column of numbers was written."""

import numpy as np
import pytest

from lrsched.analysis.check.trace import make_trace, precision


@pytest.mark.parametrize(
    ("texts", "half", "written"),
    [
        (["0.1000", "0.0500", "0.0001"], [5e-5, 5e-5, 5e-5], "to 4 decimals"),
        (["0.1", "0.09", "0.08", "0.07"], [5e-3] * 4, "to 2 decimals"),
        (["1.000e-01", "5.12e-02", "1.0e-05"], [5e-5, 5e-6, 5e-9], "to 4 digits"),
        (["0.1", "0.01", "0.001"], [5e-4, 5e-5, 5e-6], "to 3 digits"),
        (["0.1", "0.099987654321"], [0.0, 0.0], "in full"),
        (["0.1", "0.1"], [0.0, 0.0], "as 0.1 each"),
        (["0.512345", "0.0912345", "0.0812345", "0.0712345"], [5e-7, 5e-8, 5e-8, 5e-8], "to 6 digits"),
        (["0.0", "0.123456", "12.3456"], [0.0, 5e-7, 5e-5], "to 6 digits"),
    ],
)
def test_precision_is_that_of_the_whole_column(texts: list[str], half: list[float], written: str) -> None:
    found, words = precision(texts)
    np.testing.assert_allclose(found, half, rtol=1e-9)
    assert words == written


def test_tolerance_is_at_least_the_rounding_of_float32() -> None:
    trace = make_trace(None, [0.1, 0.2], ["0.1000000000001", "0.2"])
    assert trace.tolerance.tolist() == pytest.approx([2e-7, 2e-7])


def test_rounding_of_float32_is_added_to_that_of_the_digits() -> None:
    rates = np.linspace(0.1, 0.4, 2000)
    texts = [f"{rate:.6g}" for rate in rates.astype(np.float32)]
    trace = make_trace(None, [float(text) for text in texts], texts)
    off = np.abs(trace.rates - rates)
    assert (off > 5.005e-7).any()
    assert (off <= trace.tolerance).all()


@pytest.mark.parametrize(("first", "known"), [(0, 0), (1, 1), (10, None)])
def test_first_step_is_known_where_it_is_0_or_1(first: int, known: int | None) -> None:
    assert make_trace(np.arange(3) + first, [0.1, 0.2, 0.3]).first_step == known
