import csv
import io

from lrsched.analysis.report.document import Column, Document, Entry, Facts, Figure, Lines, Part, Section, Table
from lrsched.analysis.report.latex import LONGEST, format_latex
from lrsched.analysis.report.text import format_csv, format_markdown

TABLE = Table(
    "results",
    "Errors of a_b",
    (Column("schedule"), Column("error", "r", "%"), Column("aside", "r", minor=True)),
    (
        (Entry("`rex`", "rex"), Entry("1.02", 1.0213556, "n 3", "best"), Entry("7")),
        (Entry("`a|b`".replace("|", r"\|")), Entry("-1.5 ± 0.1", -1.5, mark="tied"), Entry("8")),
    ),
    ("In %.",),
    aside=("Aside: a number.",),
)
FOLDED = Table("runs", "Every run", (Column("seed"),), ((Entry("=1+1"),),), folded=True)
SECTION = Section("Results", ("A sentence.", TABLE, FOLDED, Figure("F", "<svg></svg>")))
PART = Part("A study", "Which?", (("2", "runs"),), ("This one.",), (SECTION, Section("Again", (Lines(("lrsched x",)), Facts((("Commit", "`c`"),))))))  # noqa: E501  # fmt: skip
ONE = Document("A study", "Made today.", (PART,))


def test_markdown_holds_everything_but_figures_and_what_is_folded() -> None:
    assert (
        format_markdown(ONE)
        == r"""# A study

Made today.

> Which?

2 runs.

- This one.

## Results

A sentence.

**Errors of a_b**

| schedule | error (%) | aside |
| --- | ---: | ---: |
| `rex` | **1.02** n 3 | 7 |
| `a\|b` | -1.5 ± 0.1 † | 8 |

In %.

Aside: a number.

## Again

```sh
lrsched x
```

- Commit: `c`
"""
    )


def test_latex_is_ruled_by_booktabs_and_leaves_out_what_is_minor() -> None:
    assert (
        format_latex(ONE).split("\n\n", 1)[1]
        == r"""\begin{table}
\centering
\small
\caption{Errors of a\_b. In \%.}
\label{tab:results}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
\begin{tabular}{lr}
\toprule
schedule & error (\%) \\
\midrule
\texttt{rex} & \textbf{1.02} \\
\texttt{a\textbar{}b} & $-$1.5 $\pm$ 0.1$^\dagger$ \\
\bottomrule
\end{tabular}}
\end{table}
"""
    )


def test_latex_breaks_a_long_table_over_pages() -> None:
    rows = ((Entry("1"),),) * (LONGEST + 1)
    long = Part("P", "", (), (), (Section("S", (Table("t", "T", (Column("a"),), rows),)),))
    text = format_latex(Document("D", "", (long,)))
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
    assert r"\begin{table}" not in text


def test_latex_of_several_parts_has_labels_of_its_own_for_each() -> None:
    text = format_latex(Document("D", "", (PART, PART)))
    assert text.count(r"\label{tab:1-results}") == text.count(r"\label{tab:2-results}") == 1


def test_csv_holds_numbers_as_they_are_and_no_formulas() -> None:
    rows = list(csv.reader(io.StringIO(format_csv(TABLE))))
    assert rows == [["schedule", "error (%)", "aside"], ["rex", "1.02 n 3", "7"], ["a|b", "-1.5 ± 0.1", "8"]]
    plain = Table("t", "T", (Column("a"),), ((Entry("1.02", 1.0213556),),))
    assert format_csv(plain) == "a\n1.0213556\n"
    assert format_csv(FOLDED) == "seed\n'=1+1\n"
