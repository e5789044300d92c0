"""Orders of Chebyshev steps on quadratics, against products computed by hand, and the whole script in a tiny form."""

import json
import math
import pathlib

import fractal_bounds
import fractal_steps
import numpy as np
import pytest

T8 = [0, 7, 3, 4, 1, 6, 2, 5]  # the paper's order of eight, 0-based


@pytest.mark.parametrize("kappa", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("order", fractal_bounds.ORDERS)
def test_whole_is_the_closed_form(order: str, kappa: float) -> None:
    ((prefixes, suffixes, _),) = fractal_bounds.norms(order, 8, [kappa])
    r = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    assert [10 ** prefixes[-1], 10 ** suffixes[-1]] == pytest.approx([2 * r**8 / (1 + r**16)] * 2, rel=1e-12)
    assert fractal_bounds.contraction(8, kappa) == pytest.approx(2 * r**8 / (1 + r**16), rel=1e-12)


def test_two_steps_are_the_products_by_hand() -> None:
    # k = 3: curvatures from 1 to 3 around 2, nodes 2 -+ sqrt(1/2). The large step alone is worst at 3: 3 / 1.2929 - 1;
    # the small one alone at 1: 1 - 1 / 2.7071. Together (2 z^2 - 1) / (2 theta^2 - 1), theta = 2: 1/7.
    ((prefixes, suffixes, noise),) = fractal_bounds.norms("descending", 2, [3.0])
    small = 1 - 1 / (2 + math.sqrt(0.5))
    np.testing.assert_allclose(10**prefixes, [3 / (2 - math.sqrt(0.5)) - 1, 1 / 7], rtol=1e-12)
    np.testing.assert_allclose(10**suffixes, [small, 1 / 7], rtol=1e-12)
    assert 10**noise == pytest.approx(1 + small**2, rel=1e-12)


@pytest.mark.parametrize("kappa", [10.0, 1000.0])
def test_norms_are_those_of_the_steps_themselves(kappa: float) -> None:
    curvatures = np.linspace(1 / kappa, 1, 20_001)
    eta = fractal_steps.lrsched.chebyshev_steps(1 / kappa, 1.0, 8)
    factors = 1 - np.outer(eta, curvatures)
    ((prefixes, suffixes, noise),) = fractal_bounds.norms("fractal", 8, [kappa])
    backwards = np.cumprod(factors[::-1], axis=0)
    np.testing.assert_allclose(10**prefixes, np.abs(np.cumprod(factors, axis=0)).max(axis=1), rtol=2e-3)
    np.testing.assert_allclose(10**suffixes, np.abs(backwards).max(axis=1), rtol=2e-3)
    assert 10**noise == pytest.approx((1 + (backwards[:-1] ** 2).sum(axis=0)).max(), rel=5e-3)


def test_blocks_of_the_fractal_order_share_a_value_of_the_chebyshev_polynomial() -> None:
    phi = fractal_bounds.angles(8)[T8]
    np.testing.assert_allclose(
        np.cos(2 * phi), np.repeat(np.cos(fractal_bounds.angles(4)[[0, 3, 1, 2]]), 2), atol=1e-15
    )
    np.testing.assert_allclose(np.cos(4 * phi), np.repeat(np.cos(fractal_bounds.angles(2)), 4), atol=1e-14)
    assert fractal_bounds.arrange("fractal", 8).tolist() == T8


@pytest.mark.parametrize("kappa", [1.5, 10.0, 1000.0])
@pytest.mark.parametrize("steps", [8, 64])
def test_fractal_prefixes_suffixes_and_noise_are_within_the_bounds(steps: int, kappa: float) -> None:
    ((prefixes, suffixes, noise),) = fractal_bounds.norms("fractal", steps, [kappa])
    lengths = range(1, steps + 1)
    before = np.array([fractal_bounds.bound_prefix(t, steps, kappa) for t in lengths])
    after = np.array([fractal_bounds.bound_suffix(s, kappa) for s in lengths])
    assert (10**prefixes <= before * (1 + 1e-9)).all()
    assert (10**suffixes <= after * (1 + 1e-9)).all()
    assert 10**noise <= fractal_bounds.bound_noise(steps, kappa)
    assert after.max() < 1
    powers = [2**j - 1 for j in range(steps.bit_length())]
    np.testing.assert_allclose(10 ** prefixes[powers], before[powers], rtol=2e-3)


def test_noise_bound_is_the_sum_over_suffixes() -> None:
    squares = [fractal_bounds.bound_suffix(s, 100.0) ** 2 for s in range(64)]
    assert fractal_bounds.bound_noise(64, 100.0) == pytest.approx(sum(squares), rel=1e-12)


def test_gradient_descent_in_float32_blows_up_in_the_bad_orders_alone() -> None:
    found = {order: fractal_bounds.descend(order, 64, 100.0, "float32") for order in fractal_bounds.ORDERS}
    whole = math.log10(fractal_bounds.contraction(64, 100.0))
    assert found["fractal"] is not None
    assert found["fractal"] < whole
    assert min(found["descending"] or math.inf, found["ascending"] or math.inf) > 10
    assert fractal_bounds.descend("descending", 512, 1000.0, "float32") is None


def test_powers_are_written_short() -> None:
    logs = [-145.32, -1.999, math.log10(31.44), math.log10(12_345), 129.161754, 29.99999, None]
    written = ["4.8e-146", "0.01", "31.4", "12,345", "1.5e129", "1.0e30", "overflow"]
    assert [fractal_steps.write_power(log) for log in logs] == written


def test_mean_of_the_block_over_its_highest() -> None:
    eta = 1 / (0.55 - 0.45 * np.cos(np.pi * (np.arange(1, 9) - 0.5) / 8))
    assert fractal_steps.mean_factor() == pytest.approx(eta.mean() / eta[0], rel=1e-12)


def test_dry_run_of_the_papers_scale_counts_and_writes_nothing(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "never"
    assert fractal_steps.main(["--scale", "paper", "--dry-run", "--out", str(out)]) == 0
    # (4 arms x 6 rates x 3 seeds + 5 arms x 10 seeds) x 2 budgets; 122 x (400 + 1200) updates
    assert "244 runs, 195,200 updates of 8,192 examples" in capsys.readouterr().out
    assert not out.exists()
    with pytest.raises(ValueError, match="budget must be at least 1 .*, got 0"):
        fractal_steps.main(["--scale", "paper", "--dry-run", "--budgets", "0"])


@pytest.mark.slow
def test_script_writes_record_table_and_figures(tmp_path: pathlib.Path) -> None:
    words = ["--steps", "8", "16", "--kappas", "10", "--budgets", "8", "--rates", "0.5", "1", "--seeds", "0", "1"]
    assert fractal_steps.main([*words, "--selection-seeds", "100", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    (network,) = record["networks"]
    assert set(network["arms"]) == {*fractal_steps.ARMS, fractal_steps.MATCHED}
    assert len({one["digest"] for arm in network["arms"].values() for one in arm["seeds"].values()}) == 10
    assert (
        network["arms"]["fractal"]["rate"]
        == min(network["arms"]["fractal"]["held_out"], key=lambda one: one["loss"])["rate"]
    )
    text = (tmp_path / "table.md").read_text()
    assert text == fractal_steps.write_results(record, tmp_path / "again")
    assert "mean ± sd over 2 seeds, of mlp on digits, batch size 360, momentum 0" in text
    assert (tmp_path / "quadratics.svg").stat().st_size > 0
    assert (tmp_path / "networks.svg").stat().st_size > 0
