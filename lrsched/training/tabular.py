"""Tables of numbers to predict a number from: scikit-learn's diabetes, and Boston housing from a file.

Boston housing has an ethical problem: its column B, 1000 (Bk - 0.63)^2 with Bk the share of Black residents of a town,
was built on the racist assumption that segregation raises the value of houses, and Bk cannot be had back from it.
scikit-learn removed the set for this in 1.2. It is here only so that an article that used it can be reproduced.
"""

import pathlib
import re
import tempfile

import numpy as np
from jaxtyping import Float32, Float64

from lrsched import files

NAMES = ("diabetes", "boston")
VERSION = "1.0.0"
BOSTON_ROWS = 506
BOSTON_COLUMNS = [  # the last is predicted
    *("crim", "zn", "indus", "chas", "nox", "rm", "age", "dis", "rad", "tax", "ptratio", "b", "lstat", "medv")
]
BOSTON_NOTE = (
    "note: boston's column B rests on a racist assumption (scikit-learn removed the set in 1.2); "
    "use it only to reproduce what used it"
)
OPENML_ID = 531
OPENML_URL = f"https://api.openml.org/api/v1/json/data/{OPENML_ID}"

Table = Float32[np.ndarray, "examples features"]
Targets = Float32[np.ndarray, " examples"]


def diabetes() -> tuple[Table, Targets]:
    """Of 442 patients age, sex, body mass index, blood pressure and six blood serum values, in the units they came in.

    To predict is a measure of the disease's progression after a year, 25 to 346.

    Source:
      Efron, Hastie, Johnstone, Tibshirani, Annals of Statistics 32 (2), 2004.
    """
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    return found.data.astype(np.float32), found.target.astype(np.float32)


def boston(file: pathlib.Path) -> tuple[Table, Targets]:
    """The prepared table: 13 features of 506 census tracts, and the median value of a house in 1000 dollars.

    See the note above.

    Raises:
      ValueError: as `boston_table`.
    Source:
      Harrison, Rubinfeld, Journal of Environmental Economics and Management 5, 1978.
    """
    table = boston_table(files.read_text(file)).astype(np.float32)
    return table[:, :-1], table[:, -1]


def boston_file(root: pathlib.Path) -> pathlib.Path:
    """Where the prepared table lies."""
    return root / "boston" / VERSION / "boston.csv"


def boston_table(text: str) -> Float64[np.ndarray, "506 14"]:
    """The numbers of the original `housing.data`, or of a CSV with or without a line of names.

    Raises:
      ValueError: if they are not 506 rows of 14 finite numbers in the original's order.
    """
    columns = " ".join(BOSTON_COLUMNS)
    lines = [re.sub("[\"',]", " ", line).split() for line in text.splitlines() if line.strip()]
    if lines and " ".join(lines[0]).lower() == columns:
        del lines[0]
    if len(lines) != BOSTON_ROWS:
        raise ValueError(f"boston must be {BOSTON_ROWS} rows of {columns}, got {len(lines)}.")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(BOSTON_COLUMNS) or not all(map(_is_number, line)):
            raise ValueError(
                f"row {number} must be {len(BOSTON_COLUMNS)} numbers, {columns}, got {' '.join(line):.80}."
            )
    return np.array(lines, np.float64)


def boston_from_openml() -> Float64[np.ndarray, "506 14"]:
    """Downloads the table, and keeps nothing of it on disk."""
    from sklearn.datasets import fetch_openml

    with tempfile.TemporaryDirectory() as cache:
        found = fetch_openml(data_id=OPENML_ID, as_frame=False, parser="liac-arff", data_home=cache, n_retries=0)
    features = found.data.astype(np.float64)
    for name, values in (found.categories or {}).items():  # the columns CHAS and RAD come as indices into these
        column = found.feature_names.index(name)
        features[:, column] = np.array(values, np.float64)[features[:, column].astype(int)]
    rows = np.column_stack([features, found.target.astype(np.float64)])
    return boston_table(csv(rows, names=[*found.feature_names, *found.target_names]))


def csv(rows: Float64[np.ndarray, "examples columns"], *, names: list[str] = BOSTON_COLUMNS) -> str:
    """Names and numbers; equal numbers give equal text."""
    lines = [",".join(names), *(",".join(repr(value) for value in row) for row in rows.tolist())]
    return "\n".join(lines) + "\n"


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
