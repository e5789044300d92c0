"""Data sets that lie in text files: scikit-learn's digits and diabetes, and Boston housing.

scikit-learn's are read from its files: importing it to do the same takes 2 s.

Boston housing has an ethical problem: its column B, 1000 (Bk - 0.63)^2 with Bk the share of Black residents of a town,
was built on the racist assumption that segregation raises the value of houses, and Bk cannot be had back from it.
scikit-learn removed the set for this in 1.2. It is here only so that an article that used it can be reproduced.
"""

import gzip
import importlib.util
import pathlib
import re
import tempfile

import numpy as np
from jaxtyping import Float64

from lrsched import files
from lrsched.training import prepared
from lrsched.training.splits import Raw

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


def digits(name: str, root: pathlib.Path) -> Raw:
    """1,797 handwritten digits of 8 x 8 pixels, their 17 shades scaled from [0, 16] to [0, 240].

    Source:
      Alpaydin, Kaynak, UCI Machine Learning Repository, 1998: the test set of the optical recognition of digits.
    """
    table = _scikit_learn("digits.csv.gz", delimiter=",").astype(np.uint8)  # 64 pixels and the digit
    images = (table[:, :-1] * np.uint8(15)).reshape(-1, 8, 8, 1)
    return Raw(VERSION, 10, (images, table[:, -1].astype(np.int32)), class_names=tuple(map(str, range(10))))


def diabetes(name: str, root: pathlib.Path) -> Raw:
    """Of 442 patients age, sex, body mass index, blood pressure and six blood serum values, in the units they came in.

    To predict is a measure of the disease's progression after a year, 25 to 346.

    Source:
      Efron, Hastie, Johnstone, Tibshirani, Annals of Statistics 32 (2), 2004.
    """
    features, target = _scikit_learn("diabetes_data_raw.csv.gz"), _scikit_learn("diabetes_target.csv.gz")
    return Raw(VERSION, 0, (features.astype(np.float32), target.astype(np.float32)))


def _scikit_learn(file: str, *, delimiter: str | None = None) -> np.ndarray:
    """The float64 numbers of a file within scikit-learn."""
    spec = importlib.util.find_spec("sklearn")  # which does not import it
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("scikit-learn must be installed, which holds this data set: pip install scikit-learn.")
    with gzip.open(pathlib.Path(spec.submodule_search_locations[0], "datasets", "data", file), "rt") as lines:
        return np.loadtxt(lines, delimiter=delimiter)


def read_boston(name: str, root: pathlib.Path) -> Raw:
    """The prepared table: 13 features of 506 census tracts, and the median value of a house in 1000 dollars.

    See the note above.

    Raises:
      ValueError: if it is not prepared, or not as it was prepared.
    Source:
      Harrison, Rubinfeld, Journal of Environmental Economics and Management 5, 1978.
    """
    file = boston_file(root)
    if not file.parent.exists():
        raise ValueError(f"{name} {VERSION} is not prepared in {root}; {prepared.how_to_prepare(name, root)}")
    prepared.checksums(name, root, file.parent, needed=(file.name,))
    with prepared.damage_of(file, name, root):
        table = boston_table(files.read_text(file)).astype(np.float32)
    return Raw(VERSION, 0, (table[:, :-1], table[:, -1]))


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
