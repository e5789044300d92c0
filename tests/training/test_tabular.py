"""Tables: scikit-learn's diabetes, and a made-up Boston housing of the right form in every form it comes in."""

import pathlib
import re
import types

import numpy as np
import pytest
import requests
import sklearn.datasets

from lrsched.training import data, prepare, tabular

COLUMNS = tabular.BOSTON_COLUMNS


def made_up() -> np.ndarray:
    """506 rows of 14 numbers, of which column 3 is 0 or 1 and column 8 one of 1, 2, 24, as in the original."""
    rng = np.random.default_rng(0)
    table = np.round(rng.uniform(0, 100, (506, 14)), 3)
    table[:, 3], table[:, 8] = rng.integers(0, 2, 506), np.array([1, 2, 24])[rng.integers(0, 3, 506)]
    return table


def as_housing_data(table: np.ndarray) -> str:
    return "".join(" " + "  ".join(f"{value:8.3f}" for value in row) + "\n" for row in table)


def as_csv(table: np.ndarray) -> str:
    header = ",".join(f'"{name.upper()}"' for name in COLUMNS)
    rows = [[f"{v:g}" if i != 3 else f"'{v:.0f}'" for i, v in enumerate(row)] for row in table]
    return "\n".join([header, *map(",".join, rows)]) + "\n"


def as_csv_without_names(table: np.ndarray) -> str:
    return "\ufeff" + "\r\n".join(",".join(map(str, row)) for row in table)


def written(path: pathlib.Path, text: str) -> pathlib.Path:
    path.write_text(text, "utf-8")
    return path


def refused(tmp_path: pathlib.Path, source: pathlib.Path | None) -> str:
    """What is said when boston cannot be prepared; nothing is left behind."""
    with pytest.raises(ValueError, match="^boston cannot be prepared ") as error:
        prepare.prepare("boston", data_dir=tmp_path / "data", source=source)
    assert not (tmp_path / "data").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_diabetes_is_that_of_scikit_learn_each_row_once() -> None:
    diabetes, original = data.load("diabetes"), sklearn.datasets.load_diabetes(scaled=False)
    assert original.data.shape == (442, 10)
    assert (len(diabetes.train), len(diabetes.test)) == (354, 88)  # round(0.2 * 442) = 88
    assert (diabetes.classes, diabetes.holdout, diabetes.pad, diabetes.flip) == (0, None, 0, False)
    targets = np.concatenate([diabetes.train.labels, diabetes.test.labels]) * diabetes.target_std + diabetes.target_mean
    rows = np.column_stack([np.concatenate([diabetes.train.images, diabetes.test.images]), targets])
    expected = np.column_stack([original.data, original.target])
    np.testing.assert_allclose(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)], rtol=1e-6)


def test_diabetes_never_changes() -> None:
    # Not derived: what every record of diabetes was made from. Another digest here makes those records incomparable.
    assert data.load("diabetes").digest == "cdd1a7da085d4f04"


def test_targets_are_standardised_by_the_training_set() -> None:
    diabetes = data.load("diabetes")
    np.testing.assert_allclose(
        [diabetes.train.labels.mean(), diabetes.train.labels.std()], [0, 1], rtol=1e-6, atol=1e-6
    )
    assert abs(diabetes.test.labels.mean()) > 0.01


def test_unit_of_the_error_does_not_depend_on_what_is_held_out() -> None:
    whole, parted = data.load("diabetes"), data.load("diabetes", holdout_fraction=0.25)
    assert (parted.target_mean, parted.target_std) == (whole.target_mean, whole.target_std)
    np.testing.assert_array_equal(parted.test.labels, whole.test.labels)


def test_features_are_standardised_by_the_part_that_is_left() -> None:
    parted = data.load("diabetes", holdout_fraction=0.25)
    wide = parted.train.images.astype(np.float64)
    np.testing.assert_allclose(parted.mean, wide.mean(0), rtol=1e-12)
    np.testing.assert_allclose(parted.std, wide.std(0), rtol=1e-12)


def test_holdout_of_a_table_is_a_part_of_its_rows() -> None:
    whole, parted = data.load("diabetes"), data.load("diabetes", holdout_fraction=0.25)
    assert parted.holdout is not None
    assert len(parted.holdout) == 88  # round(0.25 * 354) = round(88.5) = 88, to the even one
    both = np.concatenate([parted.train.images, parted.holdout.images])
    np.testing.assert_array_equal(both[np.lexsort(both.T)], whole.train.images[np.lexsort(whole.train.images.T)])


def test_holdout_of_a_table_too_small_for_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^holdout_fraction must be 0, or enough for one example, got 0\.001\.$"):
        data.load("diabetes", holdout_fraction=0.001)


def test_holdout_that_leaves_a_constant_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a column of the training part must vary, got one of 1 times "):
        data.load("diabetes", holdout_fraction=0.9999)


@pytest.mark.parametrize("form", [as_housing_data, as_csv, as_csv_without_names])
def test_boston_is_prepared_from_each_form_of_its_file(form, tmp_path, capsys) -> None:
    source = written(tmp_path / "source", form(made_up()))
    folder = prepare.prepare("boston", data_dir=tmp_path / "data", source=source)
    assert folder == tmp_path / "data" / "boston" / "1.0.0"
    assert capsys.readouterr().out == tabular.BOSTON_NOTE + "\n"
    tree = sorted(path.name for path in (tmp_path / "data").rglob("*"))
    assert tree == ["1.0.0", "boston", "boston.csv", "lrsched.json"]
    features, targets = tabular.read_boston("boston", tmp_path / "data").train
    np.testing.assert_array_equal(np.column_stack([features, targets]), made_up().astype(np.float32))


def test_boston_has_the_facts_of_a_table(tmp_path) -> None:
    source = written(tmp_path / "housing.data", as_housing_data(made_up()))
    prepare.prepare("boston", data_dir=tmp_path, source=source)
    boston = data.load("boston", data_dir=tmp_path)
    assert (len(boston.train), len(boston.test), boston.classes) == (405, 101, 0)  # round(0.2 * 506) = 101
    assert (boston.train.images.shape[1:], boston.version) == ((13,), "1.0.0")


def test_boston_prepared_again_is_left_as_it_is(tmp_path, capsys) -> None:
    source = written(tmp_path / "housing.data", as_housing_data(made_up()))
    file = prepare.prepare("boston", data_dir=tmp_path, source=source) / "boston.csv"
    before = file.stat().st_mtime_ns
    capsys.readouterr()
    prepare.prepare("boston", data_dir=tmp_path)
    assert capsys.readouterr().out == f"boston 1.0.0 is already prepared in {tmp_path}\n"
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], r"boston must be 506 rows of crim zn .* medv, got 505\."),
        (lambda text: text.replace("CRIM", "index"), r"got 507\."),  # not its names: the line counts as a row
        (lambda text: text.replace('"CRIM","ZN"', '"ZN","CRIM"'), r"got 507\."),
        (lambda text: text.replace("\n", ",0\n"), r"got 507\."),  # a column too many, in the names as well
        (lambda text: text.replace("'1'", "", 1), r"row \d+ must be 14 numbers, crim .* medv, got "),
        (lambda text: text.replace("'1'", "NA", 1), r"row \d+ must be 14 numbers"),
        (lambda text: text.replace("'1'", "inf", 1), r"row \d+ must be 14 numbers"),
        (lambda text: "", r"got 0\."),
    ],
)
def test_boston_from_a_wrong_file_is_refused(spoil, message, tmp_path) -> None:
    source = written(tmp_path / "boston.csv", spoil(as_csv(made_up())))
    said = refused(tmp_path, source)
    assert said.startswith(f"boston cannot be prepared from {source}: ValueError: ")
    assert re.search(message, said)


def test_boston_from_what_is_no_text_is_refused(tmp_path) -> None:
    (tmp_path / "boston.zip").write_bytes(bytes(range(256)))
    assert "must be UTF-8" in refused(tmp_path, tmp_path / "boston.zip")


def test_boston_from_nowhere_is_refused(tmp_path) -> None:
    assert "No such file" in refused(tmp_path, tmp_path / "nowhere")


def test_boston_without_a_network_says_how_else(tmp_path, monkeypatch) -> None:
    def send(self, request, **kwargs):
        raise requests.ConnectionError("no network here")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    said = refused(tmp_path, None)
    assert f"from {tabular.OPENML_URL} (ConnectionError: no network here)" in said
    assert said.endswith(f"`lrsched data prepare boston --from FILE --data-dir {tmp_path / 'data'}`")


def test_boston_of_openml_has_its_categories_as_numbers(tmp_path, monkeypatch) -> None:
    table = made_up()
    encoded = table[:, :-1].copy()
    categories = {"CHAS": ["0", "1"], "RAD": ["2", "24", "1"]}
    for name, values in categories.items():
        column = COLUMNS.index(name.lower())
        encoded[:, column] = [values.index(f"{value:.0f}") for value in table[:, column]]
    names = [name.upper() for name in COLUMNS]
    asked = []

    def fetch_openml(**words):
        asked.append(words)
        found = {"data": encoded, "target": table[:, -1], "categories": categories}
        return types.SimpleNamespace(**found, feature_names=names[:-1], target_names=names[-1:])

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    monkeypatch.setattr(prepare, "_reach", lambda url: None)
    folder = prepare.prepare("boston", data_dir=tmp_path)
    assert asked[0]["data_id"] == 531
    assert not pathlib.Path(asked[0]["data_home"]).exists()
    np.testing.assert_array_equal(tabular.boston_table((folder / "boston.csv").read_text()), table)


def test_boston_that_is_not_prepared_says_how(tmp_path) -> None:
    how = rf"prepare it with `lrsched data prepare boston \[--from FILE\] --data-dir {tmp_path}`"
    with pytest.raises(ValueError, match=rf"^boston 1\.0\.0 is not prepared in {tmp_path}; {how}.*--data-dir$"):
        data.load("boston", data_dir=tmp_path)


def test_boston_with_a_constant_column_is_refused(tmp_path) -> None:
    table = made_up()
    table[:, 5] = 7
    prepare.prepare("boston", data_dir=tmp_path, source=written(tmp_path / "boston.csv", as_csv(table)))
    with pytest.raises(ValueError, match=r"^a column of the training part must vary, got one of 405 times 7\.$"):
        data.load("boston", data_dir=tmp_path)
