import pytest

from lrsched.analysis.study.cells import gather


def test_cells_one_rate(record):
    # By hand: errors 0.1, 0.2, 0.3 have mean 0.2 and sd 0.1; t(0.975, 2) = 4.302653 (tables), so the interval's half
    # width is 4.302653 * 0.1 / sqrt(3) = 0.24841379.
    (cell,) = gather([record(seed=seed, test_error=error) for seed, error in [(2, 0.3), (0, 0.1), (1, 0.2)]])
    assert (cell.label, cell.budget, cell.epochs, cell.peak_value) == ("rex", "5%", 2.0, 0.1)
    assert (cell.rates_tried, cell.chosen_on, cell.n, cell.diverged, cell.missing_seeds) == (
        (0.1,),
        "only one",
        3,
        0,
        (),
    )
    assert list(cell.errors.items()) == [(0, 0.1), (1, 0.2), (2, 0.3)]
    assert (cell.mean, cell.sd) == (pytest.approx(0.2, rel=1e-12), pytest.approx(0.1, rel=1e-12))
    assert cell.interval == (pytest.approx(0.2 - 0.24841379, rel=1e-6), pytest.approx(0.2 + 0.24841379, rel=1e-6))


def test_cells_rate_chosen_on_held_out_not_on_test(record):
    runs = [(0.1, 0.30, 0.10), (0.3, 0.20, 0.25), (1.0, 0.40, 0.05)]  # rate, held-out error, test error
    (cell,) = gather([record(peak_value=r, holdout_error=h, test_error=t) for r, h, t in runs])
    assert (cell.peak_value, cell.mean, cell.chosen_on) == (0.3, 0.25, "held-out")
    assert cell.rates_tried == (0.1, 0.3, 1.0)


def test_cells_rate_chosen_for_each_budget(record):
    runs = [("5%", 0.1, 0.3), ("5%", 1.0, 0.2), ("25%", 0.1, 0.1), ("25%", 1.0, 0.2)]
    records = [record(budget=b, peak_value=r, holdout_error=h) for b, r, h in runs]
    assert {cell.budget: cell.peak_value for cell in gather(records)} == {"5%": 1.0, "25%": 0.1}


def test_cells_diverged_run_counts_as_error_one_in_the_choice(record):
    # Rate 0.3: (0.1 + 1) / 2 = 0.55 is worse than 0.5, though its one finished run is the best there is.
    records = [
        record(peak_value=0.1, seed=0, holdout_error=0.5),
        record(peak_value=0.1, seed=1, holdout_error=0.5),
        record(peak_value=0.3, seed=0, holdout_error=0.1),
        record(peak_value=0.3, seed=1, diverged_at=0),
    ]
    (cell,) = gather(records)
    assert cell.peak_value == 0.1


def test_cells_equal_rates_take_the_lowest(record):
    (cell,) = gather([record(peak_value=rate, holdout_error=0.2) for rate in (0.3, 0.1, 1.0)])
    assert cell.peak_value == 0.1


def test_cells_rates_compared_over_shared_seeds(record):
    # Over seed 0 alone 0.1 wins; its hard seed 1 was not run at 0.3.
    runs = [(0.1, 0, 0.2), (0.1, 1, 0.9), (0.3, 0, 0.3)]
    (cell,) = gather([record(peak_value=r, seed=s, holdout_error=h) for r, s, h in runs])
    assert (cell.peak_value, cell.missing_seeds) == (0.1, (1,))


def test_cells_several_rates_without_held_out_error(record):
    with pytest.raises(
        ValueError, match="holdout_error must be there to choose among several peak values, got null: rex"
    ):
        gather([record(peak_value=0.1), record(peak_value=0.3)])


def test_cells_rates_without_a_shared_seed(record):
    records = [record(peak_value=0.1, seed=0, holdout_error=0.2), record(peak_value=0.3, seed=1, holdout_error=0.2)]
    with pytest.raises(ValueError, match=r"the rates of rex at 5% must share a seed"):
        gather(records)


def test_cells_every_run_diverged(record):
    (cell,) = gather([record(seed=seed, diverged_at=seed) for seed in range(2)])
    assert (cell.diverged, cell.n, cell.mean, cell.sd, cell.interval, cell.errors) == (2, 0, None, None, None, {})


def test_cells_some_runs_diverged(record):
    (cell,) = gather([record(seed=0, test_error=0.2), record(seed=1, diverged_at=7)])
    assert (cell.diverged, cell.n, cell.mean, cell.missing_seeds) == (1, 1, 0.2, ())


def test_cells_missing_seed_is_named(record):
    records = [record(seed=0), record(seed=1), record("linear", seed=0)]
    assert [cell.missing_seeds for cell in gather(records)] == [(), (1,)]


def test_cells_same_run_twice(record):
    with pytest.raises(ValueError, match=r"recorded once, got twice: rex at 5%, peak_value 0.1, seed 0\.$"):
        gather([record(), record()])


def test_cells_records_of_two_studies(record):
    with pytest.raises(ValueError, match=r"model must be the same in all records, got 'resnet8', 'resnet20'\.$"):
        gather([record(), record(seed=1, model="resnet20")])


def test_cells_run_without_error_that_did_not_diverge(record):
    with pytest.raises(ValueError, match="test_error must be a number unless the run diverged"):
        gather([record(test_error=None)])


def test_cells_no_records():
    assert gather([]) == []
