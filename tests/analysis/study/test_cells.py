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


def chosen_by(record, runs, holdout_fraction=0.1):
    """Selection runs (rate, seed, held-out error)."""
    return [
        record(
            peak_value=r,
            seed=s,
            holdout_error=h,
            diverged_at=0 if h is None else None,
            holdout_fraction=holdout_fraction,
        )
        for r, s, h in runs
    ]


def test_cells_selection_chooses_and_the_records_report(record):
    selection = chosen_by(record, [(0.1, 0, 0.3), (0.1, 1, 0.3), (0.3, 0, 0.2), (0.3, 1, 0.2)])
    finals = [record(peak_value=0.3, seed=s, test_error=0.1 + s / 100, holdout_fraction=0.0) for s in (10, 11)]
    (cell,) = gather(finals, selection)
    assert (cell.peak_value, cell.rates_tried, cell.chosen_on) == (0.3, (0.1, 0.3), "held-out")
    assert (cell.errors, cell.selection_seeds) == ({10: pytest.approx(0.2), 11: pytest.approx(0.21)}, (0, 1))
    assert (cell.missing_seeds, cell.selection_missing) == ((), ())


def test_cells_final_at_another_setting_than_chosen(record):
    selection = chosen_by(record, [(0.1, 0, 0.1), (0.3, 0, 0.2)])
    with pytest.raises(
        ValueError,
        match=r"rex at 5% must be run at what was chosen on held-out data, peak_value 0.1, weight_decay 0.0005, "
        r"got a run at peak_value 0.3, weight_decay 0.0005\.$",
    ):
        gather([record(peak_value=0.3, seed=5)], selection)


def test_cells_selection_counts_diverged_as_the_worst_and_names_its_missing_seeds(record):
    selection = chosen_by(record, [(0.1, 0, 0.4), (0.1, 1, 0.4), (0.1, 2, 0.1), (0.3, 0, None), (0.3, 1, 0.1)])
    (cell,) = gather([record(peak_value=0.1, seed=5)], selection)
    assert (cell.peak_value, cell.selection_seeds, cell.selection_missing) == (0.1, (0, 1), (2,))


def test_cells_selection_of_a_schedule_without_finals_is_no_cell(record):
    selection = chosen_by(record, [(0.1, 0, 0.1), (0.3, 0, 0.2)])
    other = [record("linear", peak_value=0.1, seed=0, holdout_error=0.1, holdout_fraction=0.1)]
    assert [cell.label for cell in gather([record(peak_value=0.1, seed=5)], [*selection, *other])] == ["rex"]


def test_cells_schedule_without_a_selection_was_given_one_setting(record):
    selection = chosen_by(record, [(0.1, 0, 0.1), (0.3, 0, 0.2)])
    cells = gather([record(peak_value=0.1, seed=5), record("linear", peak_value=0.7, seed=5)], selection)
    assert [(cell.chosen_on, cell.rates_tried) for cell in cells] == [("held-out", (0.1, 0.3)), ("only one", (0.7,))]


def test_cells_missing_final_seed_is_named(record):
    selection = chosen_by(record, [(0.1, 0, 0.1), (0.3, 0, 0.2)])
    finals = [
        record(peak_value=0.1, seed=5),
        record("linear", peak_value=0.7, seed=5),
        record("linear", peak_value=0.7, seed=6),
    ]
    assert [cell.missing_seeds for cell in gather(finals, selection)] == [(6,), ()]


def test_cells_selection_of_another_study(record):
    selection = chosen_by(record, [(0.1, 0, 0.1)])
    with pytest.raises(ValueError, match="model must be the same in all records"):
        gather([record(peak_value=0.1, seed=5, model="resnet20")], selection)


def test_cells_held_out_part_differs_between_the_stages_alone(record):
    with pytest.raises(ValueError, match="holdout_fraction must be the same in all records"):
        gather([record(seed=0, holdout_fraction=0.0), record(seed=1, holdout_fraction=0.1)])


@pytest.mark.parametrize(("best", "edge"), [(0.1, "lowest"), (0.3, ""), (1.0, "highest")])
def test_cells_best_rate_at_the_edge_of_the_grid(record, best, edge):
    runs = [(rate, 0, 0.1 if rate == best else 0.2) for rate in (0.1, 0.3, 1.0)]
    (cell,) = gather([record(peak_value=best, seed=5)], chosen_by(record, runs))
    assert cell.at_edge == edge
    (old,) = gather([record(peak_value=r, holdout_error=h) for r, _, h in runs])
    assert old.at_edge == edge


def test_cells_one_rate_has_no_edge(record):
    assert gather([record()])[0].at_edge == ""


def test_cells_weight_decay_and_momentum_are_chosen_with_the_rate(record):
    settings = [(0.1, 1e-4, None, 0.3), (0.1, 5e-4, "0.95", 0.1), (0.3, 5e-4, "0.9", 0.2)]
    selection = [
        record(peak_value=r, weight_decay=w, momentum=m, holdout_error=h, holdout_fraction=0.1)
        for r, w, m, h in settings
    ]
    (cell,) = gather([record(peak_value=0.1, momentum="0.95", seed=5)], selection)
    assert (cell.peak_value, cell.weight_decay, cell.momentum) == (0.1, 5e-4, "0.95")
    assert cell.decays_tried == (1e-4, 5e-4)
    assert set(cell.momenta_tried) == {None, "0.9", "0.95"}


def test_cells_name_the_seeds_that_diverged(record):
    (cell,) = gather([record(seed=0), record(seed=4, diverged_at=7), record(seed=2, diverged_at=1)])
    assert (cell.diverged, cell.diverged_seeds, list(cell.errors)) == (2, (2, 4), [0])
