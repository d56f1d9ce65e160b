"""The catalogue of requirements: what is in it, and how a point is found."""

from datetime import date

import pytest
from pydantic import ValidationError

from factory_assets.audit.requirements.catalogue import (
    EVIDENCE_KINDS,
    Catalogue,
    catalogue,
)
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import PROJECT

ANNEX_IV = [
    *(f"annex-iv.1{letter}" for letter in "abcdefgh"),
    *(f"annex-iv.2{letter}" for letter in "abcdefgh"),
    *(f"annex-iv.{point}" for point in range(3, 10)),
]

ARTICLES = [
    "article.9",
    *(f"article.10.2{letter}" for letter in "abcdefgh"),
    "article.10.3",
    "article.10.4",
    "article.11",
    "article.12.1",
    "article.12.2",
    *(f"article.13.3{letter}" for letter in "abcdef"),
    *(f"article.14.4{letter}" for letter in "abcde"),
    "article.15",
    *(f"article.17.1{letter}" for letter in "abcdefghijklm"),
    *(f"article.{number}" for number in (18, 19, 26, 50, 72, 86)),
]


def test_every_point_of_annex_iv_and_of_the_articles_is_there_in_order() -> None:
    [act, *_] = catalogue().sources
    assert [one.id for one in act.requirements] == ANNEX_IV + ARTICLES


def test_each_point_has_evidence_or_a_question_to_a_person() -> None:
    points = catalogue().requirements
    assert [one.id for one in points if not one.evidence and not one.person] == []
    assert [one.id for one in points if one.person and not one.person.endswith("?")] == []


def test_every_kind_of_evidence_answers_for_a_point() -> None:
    points = catalogue().requirements
    uses = {kind: sum(kind in one.evidence for one in points) for kind in EVIDENCE_KINDS}
    assert [kind for kind, count in uses.items() if count == 0] == []


def test_a_point_is_found_by_its_id() -> None:
    point = catalogue().by_id("annex-iv.2g")
    assert "metrics" in point.evidence
    assert point.applies == "high"
    assert catalogue().by_id("article.50").applies == "all"
    assert catalogue().by_id("annex-iv.1f").applies == "products"


def test_the_nearest_id_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match=r"no requirement 'artikel\.9'") as raised:
        catalogue().by_id("artikel.9")
    assert "did you mean 'article.9'?" in str(raised.value)


def test_the_dates_are_those_of_the_amended_regulation() -> None:
    dates = {one.id: one.on for one in catalogue().dates}
    assert dates["ai-act.high-risk-uses"] == date(2027, 12, 2)
    assert dates["ai-act.high-risk-products"] == date(2028, 8, 2)
    assert dates["cra.reporting"] == date(2026, 9, 11)
    assert all("20" in one.source for one in catalogue().dates)


def test_the_page_about_the_ai_act_has_its_dates() -> None:
    page = " ".join((PROJECT / "docs" / "ai-act.md").read_text().split())
    [act, *_] = catalogue().sources
    assert [one.id for one in act.dates if f"{one.on.day} {one.on:%B %Y}" not in page] == []


def test_of_what_nobody_read_there_are_no_points() -> None:
    unread = [one for one in catalogue().sources if one.status == "not read"]
    assert [one.source.partition(",")[0] for one in unread] == ["NIST AI 300-1"]
    assert all(one.requirements == () for one in unread)


def test_two_points_with_one_id_are_refused() -> None:
    [act, *_] = catalogue().sources
    with pytest.raises(ValidationError, match=r"the requirement annex-iv\.1a stands twice"):
        Catalogue(sources=(act, act))
