"""What the README says was found is made anew from the tables of results/."""

import csv
import pathlib

from tables import interval, means, number, table

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "results"
README = (ROOT / "README.md").read_text("utf-8")
FOUND = " ".join(README.partition("## What was found")[2].partition("\n## ")[0].split())
COUNTS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def budgets(folder: str) -> list[str]:
    return [name for name in table(folder)[0] if name != "schedule"]


def separated(cell: str) -> bool:
    """From the lowest mean of its budget."""
    return "**" not in cell and "†" not in cell


def test_table_4() -> None:
    (budget,) = budgets("rex_table4")
    cells = {each["schedule"].strip("`"): each[budget] for each in table("rex_table4")}
    assert "**" in cells["rex"]
    apart = COUNTS[sum(map(separated, cells.values()))]
    ours, printed = (means("rex_table4", "schedule", name, "ledger.md") for name in ("measured, %", "printed, %"))
    assert min(printed, key=printed.__getitem__) == "rex"
    better = COUNTS[round(printed["onecycle:variant=rex_paper"] - ours["onecycle:variant=rex_paper"])]
    expected = f"separated from {apart} of {COUNTS[len(cells) - 1]}; 1cycle {better} points better than printed."
    assert f"REX lowest, as printed, {expected}" in FOUND


def test_table_2() -> None:
    (budget,) = budgets("rex_table2")
    got = means("rex_table2", "schedule", budget)
    profiles = ("rex", "linear", "exponential:gamma=-5")
    assert min(profiles, key=got.__getitem__) == "rex"
    assert max((f"{name}@50-75" for name in profiles), key=got.__getitem__) == "rex@50-75"
    rows = [each for each in table("rex_table2") if each["schedule"].strip("`").removesuffix("@50-75") in profiles]
    seeds = {each[budget].partition("(")[2][0] for each in rows}
    said = {"1": "one seed", "2": "two seeds"}["".join(seeds)]
    pairs = csv.DictReader((RESULTS / "rex_table2" / "comparisons.csv").read_text("utf-8").splitlines())
    apart = {frozenset((pair["first"], pair["second"])): pair["separated"] for pair in pairs}
    assert {apart[frozenset((f"rex{at}", f"linear{at}"))] for at in ("", "@50-75")} == {"no"}
    assert f"REX lowest; in two drops, highest, as printed ({said}; not separated from linear)." in FOUND


def test_six_budgets() -> None:
    lowest, apart = {}, {}
    for data in ("fashion_mnist", "digits"):
        rows = {each["schedule"].strip("`"): each for each in table(f"all_budgets/{data}")}
        columns = budgets(f"all_budgets/{data}")
        ahead = [name for name in columns if "**" in rows["rex"][name]]
        lowest[data] = "all" if ahead == columns else COUNTS[len(ahead)]
        apart[data] = COUNTS[sum(separated(rows["linear"][name]) for name in ahead)]
    expected = "REX lowest in {} on Fashion-MNIST (separated from linear in {}), in {} on digits (in {})."
    assert expected.format(lowest["fashion_mnist"], apart["fashion_mnist"], lowest["digits"], apart["digits"]) in FOUND


def test_snapshots() -> None:
    assert "Six snapshots beat six short runs; one cosine run of their cost has the lower loss." in FOUND
    for data in ("digits", "fashion_mnist"):
        rows = {each[""]: each for each in table(f"snapshot_cycles/{data}")}
        for column in ("error %", "NLL"):
            assert number(rows["snapshots"][column]) < number(rows["independent short runs"][column])
        low, high = interval(rows["snapshots"]["minus one cosine (0.01 nats)"])
        assert 0 < low < high
