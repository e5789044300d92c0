"""`cite`: every part of what is named, once, from one table that the docstrings are held against."""

import re

import pytest

import lrsched as ls
from lrsched.schedules import citations, profiles, references, registry


def keys(what: object) -> list[str]:
    return [each.key for each in citations.references_of(what)]


def test_every_schedule_and_profile_has_a_reference() -> None:
    for made in registry.MOMENTA.values():
        assert references.named_in(citations.source_of(made)), made.__name__
    for profile in [*profiles.PROFILES.values(), profiles.delayed(), profiles.k_decay(), profiles.Triangle()]:
        assert references.named_in(citations._of_profile(profile)), profile


def test_every_arxiv_number_of_a_docstring_is_in_the_table() -> None:
    made = [*registry.MOMENTA.values(), *profiles.PROFILES.values(), ls.decay, ls.product, ls.per_label, ls.refined]
    named = {number for each in made for number in re.findall(r"arXiv:([\d.]+\d)", citations.source_of(each))}
    assert named <= {each.arxiv for each in references.REFERENCES}
    assert len(named) > 25


def test_table_names_each_source_once() -> None:
    for field in ("mark", "key", "title"):
        values = [getattr(each, field) for each in references.REFERENCES]
        assert len(set(values)) == len(values)
    for each in references.REFERENCES:
        assert bool(each.arxiv) != bool(each.where), each.key
        assert re.fullmatch(r"\d{4}\.\d{5}", each.arxiv or "0000.00000")
        if each.arxiv:  # what came out in a year was on arXiv by then
            assert 2000 + int(each.arxiv[:2]) <= each.year, each.key


def test_bibtex_is_one_entry_a_source_with_balanced_braces() -> None:
    for each in references.REFERENCES:
        entry = references.as_bibtex(each)
        head, *fields, end = entry.splitlines()
        assert (head, end) == (f"@{each.kind}{{{each.key},", "}")
        depths = [entry[: i + 1].count("{") - entry[: i + 1].count("}") for i in range(len(entry))]
        assert (min(depths), depths[-1]) == (0, 0)  # TeX's braces are closed
        named = dict(re.fullmatch(r"  (\w+) = \{(.+)\},", field).groups() for field in fields)  # type: ignore[union-attr]
        assert {"author", "title", "year", "url"} <= named.keys()
        assert ("booktitle" in named) == (each.kind == "inproceedings")
        assert ("journal" in named) == (each.kind == "article")


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("rex", ["chen2022rex"]),
        ("warmup:5%+rex@50-75", ["goyal2017accurate", "chen2022rex"]),
        ("rex@inclusive", ["chen2022rex"]),
        ("cosine@5-25", ["loshchilov2017sgdr", "chen2022rex"]),
        ("knee", ["iyer2023wide"]),
        ("delayed:profile=tanh", ["chen2022rex", "hsueh2019stochastic"]),
        (ls.rex(0.1, total_steps=10), ["chen2022rex"]),
        (ls.clip(ls.product(ls.sgdr(0.1, total_steps=10), 2.0), maximum=0.1), ["loshchilov2017sgdr"]),
        (ls.noam(0.1, total_steps=10), ["vaswani2017attention"]),
        (ls.rsqrt(0.1, total_steps=10), ["big_vision", "zhai2022scaling"]),
        (ls.after(ls.linear(0.1, total_steps=10, sampling="5-25"), 3), ["li2020budgeted", "chen2022rex"]),
        (ls.wsd(0.1, total_steps=10), ["hagele2024scaling", "hu2024minicpm", "goyal2017accurate"]),
        ("wsd_s+rex:10%", ["wen2024understanding", "chen2022rex"]),
        (ls.plan("rex", 10, peak_value=0.1, momentum="demon"), ["chen2022rex", "chen2022demon"]),
        (ls.plan("onecycle", 10, peak_value=0.1), ["smith2018disciplined", "chen2022rex"]),
        (ls.plan(lambda step: 0.1, 10), []),
    ],
)  # fmt: skip
def test_parts_are_cited_once_in_their_order(what: object, wanted: list[str]) -> None:
    assert keys(what) == wanted


def test_text_has_authors_title_venue_year_and_number() -> None:
    said = ls.cite("linear")
    assert said.splitlines()[0] == (
        "Mengtian Li, Ersin Yumer, Deva Ramanan. Budgeted Training: Rethinking Deep Neural Network Training Under "
        "Resource Constraints. International Conference on Learning Representations, 2020. arXiv:1905.04753"
    )
    assert "Hägele" in ls.cite("wsd")
    assert "Shengding Hu et al. MiniCPM" in ls.cite("wsd")
    assert ls.cite(ls.plan(lambda step: 0.1, 10)) == ""


def test_decayed_points_of_a_value_are_known_for_what_they_are() -> None:
    wanted = ["wen2024understanding", "hagele2024scaling", "hu2024minicpm", "goyal2017accurate"]
    assert keys(ls.wsd_s(0.1, total_steps=10)) == wanted


def test_words_that_name_no_schedule_are_refused() -> None:
    with pytest.raises(ValueError, match="schedule must be one of"):
        ls.cite("rexx")
