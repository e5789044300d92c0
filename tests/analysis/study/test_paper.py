import csv
import importlib.resources

import pytest

from lrsched.analysis.study import paper

RN20 = {"data": "cifar10", "model": "resnet20", "optimizer": "sgd"}


def test_paper_numbers_file_is_whole():
    text = importlib.resources.files("lrsched.analysis.study").joinpath("paper_numbers.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 592
    assert all(row["paper"] and row["table"] and float(row["mean"]) > 0 for row in rows)
    assert not any("/" in field for row in rows for field in row.values())


# REX, arXiv:2107.04197: Table 4 (RN20-CIFAR10) for sampling at every update, Table 2 for the others.
@pytest.mark.parametrize(
    ("optimizer", "schedule", "sampling", "epochs", "mean", "std", "trials"),
    [
        ("sgd", "rex", "every", 3.0, 0.2794, 0.0046, 3),
        ("sgd", "onecycle:variant=rex_paper", "every", 15.0, 0.1893, 0.0185, 3),
        ("sgd", "step", "every", 300.0, 0.0732, 0.0014, 3),
        ("adam", "constant", "every", 15.0, 0.2301, 0.0110, 3),
        ("sgd", "rex", "50-75", 15.0, 0.2079, None, None),
        ("sgd", "linear", "1-100", 75.0, 0.0872, None, None),
    ],
)
def test_paper_error_printed_value(optimizer, schedule, sampling, epochs, mean, std, trials):
    found = paper.find_error(
        **RN20 | {"optimizer": optimizer}, schedule=schedule, sampling=sampling, epochs=epochs, max_epochs=300.0
    )
    assert (found.mean, found.std, found.trials) == (mean, std, trials)
    assert found.source == f"REX arXiv:2107.04197, {'Tables 4-9' if sampling == 'every' else 'Table 2'}"


def test_what_the_later_tables_lack_is_of_table_2():
    setting = {"data": "cifar10", "model": "resnet38", "optimizer": "sgd", "epochs": 15.0, "max_epochs": 300.0}
    found = paper.find_error(**setting, schedule="rex", sampling="every")
    assert (found.mean, found.trials, found.source) == (0.1095, None, "REX arXiv:2107.04197, Table 2")
    assert not found.tuned


@pytest.mark.parametrize(
    "change",
    [
        {"data": "digits", "model": "resnet8"},
        {"model": "resnet56"},
        {"optimizer": "nesterov"},
        {"schedule": "rex(d=0.9)"},
        {"schedule": "polynomial"},
        {"schedule": "onecycle"},  # Smith's: not the cycle of that paper
        {"schedule": "onecycle:variant=torch"},
        {"schedule": "none"},
        {"sampling": "7st"},
        {
            "sampling": "50-75",
            "schedule": "step",
            "epochs": 15.0,
        },  # another "step" than ours: an exponential of unknown constant
        {"sampling": "every_step"},
        {"epochs": 4.0},
        {"epochs": 3.0, "max_epochs": 60.0},  # 5 % of 60 epochs is not 1 % of 300
        {"epochs": 15.0, "max_epochs": 1500.0},
        {"data": "mnist", "model": "vae", "epochs": 2.0, "max_epochs": 200.0},  # a loss, not an error
    ],
)
def test_paper_error_setting_without_a_number(change):
    setting = {**RN20, "schedule": "rex", "sampling": "every", "epochs": 3.0, "max_epochs": 300.0}
    assert paper.find_error(**setting) is not None
    assert paper.find_error(**setting | change) is None


def test_paper_numbers_of_records(record):
    cifar = {"data": "cifar10", "model": "resnet20", "max_epochs": 300}
    labels = ["rex", "rex@50-75", "rex(d=0.9)", "rex(d=0.9)@50-75"]
    found = paper.find_numbers([record(label, seed=seed, **cifar) for label in labels for seed in range(2)])
    assert {place: number.mean for place, number in found.items()} == {
        ("rex", "5%"): 0.1286,
        ("rex@50-75", "5%"): 0.2079,
    }
    assert paper.find_numbers([record()]) == {}


CIFAR = {"data": "cifar10", "model": "resnet20", "max_epochs": 300}


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("rex", {"batch_size": 1024}),
        ("rex", {"momentum": "0.0"}),
        ("rex", {"momentum": "0.95"}),
        ("rex", {"momentum": "demon"}),
        ("rex", {"optimizer": "nesterov"}),
        ("onecycle:variant=rex_paper", {"momentum": "0.9"}),  # the paper's cycles it
    ],
)
def test_paper_numbers_differ_in_what_the_paper_states(record, label, other):
    assert set(paper.find_numbers([record(label, **CIFAR)])) == {(label, "5%")}
    assert paper.find_numbers([record(label, **CIFAR, **other)]) == {}


def test_paper_numbers_momentum_that_is_the_papers(record):
    assert len(paper.find_numbers([record(**CIFAR, momentum="0.9")])) == 1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"weight_decay": 0.0, "weight_decay_mode": "coupled"}, "weight decay 0 (coupled)"),
        ({"weight_decay": 5e-4, "weight_decay_mode": "decoupled"}, "weight decay 0.0005 (decoupled)"),
        ({"augment": False}, "weight decay 0.0005, no augmentation"),
        ({"augment": True}, "weight decay 0.0005, augmentation"),
        ({"holdout_fraction": 0.5}, "weight decay 0.0005, 50 % of the training data held out"),
        ({"holdout_fraction": 0.0}, "weight decay 0.0005, no data held out"),
        ({"momentum_form": "caffe"}, "weight decay 0.0005, momentum in caffe's form"),
        ({"momentum_form": "caffe", "optimizer": "adam"}, "weight decay 0.0005"),  # has no such thing
    ],
)
def test_paper_numbers_say_how_it_is_where_the_paper_says_nothing(record, config, said):
    (number,) = paper.find_numbers([record(**CIFAR, **config)]).values()
    assert number.unstated == said


def test_paper_numbers_say_all_that_was_chosen_here(record):
    config = {"weight_decay": 5e-4, "weight_decay_mode": "coupled", "augment": True, "momentum_form": "optax"}
    (number,) = paper.find_numbers([record(**CIFAR, **config, holdout_fraction=0.1)]).values()
    told = "weight decay 0.0005 (coupled), augmentation, momentum in optax's form, 10 % of the training data held out"
    assert number.unstated == told


def test_paper_errors_are_all_that_are_printed_of_a_setting():
    setting = {**RN20, "schedule": "linear", "sampling": "every", "epochs": 75.0, "max_epochs": 300.0}
    found = paper.find_errors(**setting)  # Table 2 has 8.89, Table 4 has 9.03 +- 0.24
    assert [(number.mean, number.std) for number in found] == [(0.0889, None), (0.0903, 0.0024)]
    assert paper.find_error(**setting) == found[1]
    assert paper.find_errors(**setting | {"schedule": "polynomial"}) == []
