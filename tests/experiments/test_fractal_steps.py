"""The Chebyshev theorem held against products found by search."""

import json
import math
import pathlib

import fractal_steps
import numpy as np
import pytest
from fractal_steps import bits, chebyshev, largest, prefix_bound, suffix_bound


def test_largest_product_is_that_worked_out_by_hand() -> None:
    # 1 - 2 x on [1 / 4, 1] is largest at its ends: 1 / 2 and 1.
    assert largest(np.array([2.0]), 4) == pytest.approx(1.0, rel=1e-12)
    # (1 - x)(1 - 2 x) = 1 - 3 x + 2 x^2 on [1 / 4, 1]: 3 / 8 at 1 / 4; between the roots -1 / 8, at 3 / 4.
    assert largest(np.array([1.0, 2.0]), 4) == pytest.approx(3 / 8, rel=1e-12)
    # on [2 / 3, 1] what is left is the hill between the roots
    assert largest(np.array([1.0, 2.0]), 1.5) == pytest.approx(1 / 8, rel=1e-12)


def test_search_finds_what_a_fine_grid_finds() -> None:
    eta = fractal_steps.make_steps(50, 16, "random")[:11]
    grid = np.abs(np.prod(1 - np.outer(eta, np.linspace(1 / 50, 1, 200_001)), axis=0)).max()
    assert largest(eta, 50) == pytest.approx(grid, rel=1e-6)
    assert largest(eta, 50) >= grid * (1 - 1e-12)


@pytest.mark.parametrize("order", fractal_steps.ORDERS)
@pytest.mark.parametrize(("kappa", "steps"), [(10, 8), (100, 32)])
def test_pass_contracts_as_the_theorem_says_in_any_order(kappa: int, steps: int, order: str) -> None:
    eta = fractal_steps.make_steps(kappa, steps, order)
    assert largest(eta, kappa) == pytest.approx(1 / chebyshev(steps, kappa), rel=1e-9)


@pytest.mark.parametrize(("kappa", "steps"), [(5, 64), (100, 32), (1000, 16)])
def test_bounds_hold_for_every_prefix_and_suffix_in_fractal_order_and_not_in_another(kappa: int, steps: int) -> None:
    def ratios(order: str) -> tuple[float, float]:
        eta = fractal_steps.make_steps(kappa, steps, order)
        each = range(1, steps)
        forward = max(largest(eta[:made], kappa) / prefix_bound(made, kappa) for made in each)
        return forward, max(largest(eta[steps - left :], kappa) / suffix_bound(left, kappa) for left in each)

    assert max(ratios("fractal")) <= 1 + 1e-9
    assert ratios("descending")[0] > 1
    assert ratios("ascending")[1] > 1


def test_bounds_are_made_of_the_bits() -> None:
    assert [bits(each) for each in (1, 6, 13)] == [[0], [1, 2], [0, 2, 3]]
    theta = 11 / 9  # of kappa 10
    assert chebyshev(2, 10) == pytest.approx(2 * theta**2 - 1, rel=1e-12)
    assert suffix_bound(2, 10) == pytest.approx(2 / (2 * theta**2), rel=1e-12)
    assert prefix_bound(3, 10) == pytest.approx(9 * 2 / (2 * theta**2), rel=1e-12)


def test_script_writes_record_table_and_figure(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fractal_steps, "SIZES", ((10, 8), (1000, 64)))
    assert fractal_steps.main(["--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    rows = {(one["kappa"], one["order"]): one for one in record["fractal_steps"]}
    assert rows[1000, "descending"]["float32"] is None  # it overflows
    assert rows[1000, "fractal"]["float32"] < 1 / chebyshev(64, 1000) + 1e-3
    noise = 1 + math.fsum(
        largest(fractal_steps.make_steps(10, 8, "ascending")[8 - left :], 10) ** 2 for left in range(1, 8)
    )
    assert rows[10, "ascending"]["noise"] == pytest.approx(noise, rel=1e-12)
    assert (tmp_path / "table.md").read_text() == fractal_steps.write_results(record, tmp_path / "again")
