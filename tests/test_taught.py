"""The lecture's pages: complete, counted, with the same numbers in both languages, and a figure for each topic."""

from __future__ import annotations

import functools
import re
from collections import Counter
from pathlib import Path

import pytest

from reports.bilingual import VERDICT_WORDS, WORDS, Language
from reports.pages.lecture import write_lecture
from reports.render import draw_figure
from reports.taught import Course, load_course
from repro import load_ledger
from repro.lectures.course import VERDICTS
from repro.records import load_records

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"


@functools.cache
def course() -> Course:
    return load_course(REPORTS / "lecture", load_records(REPORTS / "records"), load_ledger())


@functools.cache
def page(language: Language) -> str:
    return write_lecture(course(), language)


def numbers(text: str) -> Counter[str]:
    """Measured numbers: those of the criteria, and of the tables that hold nothing else."""
    spans = re.findall(r"`[a-z_0-9]+ = [^`]*`", text)
    tables = [cell for line in text.splitlines() if line.startswith("| [") for cell in re.findall(r"\d[\d.,]*", line)]
    return Counter(spans) + Counter(tables)


def test_both_pages_hold_the_same_numbers_and_figures() -> None:
    english, korean = page("en"), page("ko")
    assert sum(numbers(english).values()) > 100
    assert numbers(english) == numbers(korean)
    assert re.findall(r"figures/\S+\.svg", english) == re.findall(r"figures/\S+\.svg", korean)
    assert english.count("\n") == korean.count("\n")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_each_statement_stands_on_the_page_with_heading_and_verdict(language: Language) -> None:
    rows = [line for line in page(language).splitlines() if "<sub>" in line and line.startswith("|")]
    statements = course().lecture.statements
    assert len(rows) == len(statements)
    found = Counter(row.split("|")[1].strip(" *") for row in rows)
    assert found == {VERDICT_WORDS[language][verdict]: course().counts[verdict] for verdict in VERDICTS}


def test_tally_is_counted() -> None:
    counts = course().counts
    assert sum(counts.values()) == len(course().lecture.statements) > 70
    assert f"{sum(counts.values())} statements: {counts['right']} right, {counts['imprecise']} imprecise" in page("en")


def test_years_have_no_separator_and_counts_have() -> None:
    for language in ("en", "ko"):
        assert "2,012" not in page(language)
        assert "slide_year = 2012" in page(language)
        assert "train = 60,000" in page(language)


def test_image_tasks_have_a_paragraph_each() -> None:
    (tasks,) = (topic for topic in course().topics if topic.topic.name == "tasks")
    for language in ("en", "ko"):
        assert len([part for part in tasks.about(language).split("\n\n") if part]) == 4
        assert all(part in page(language) for part in tasks.about(language).split("\n\n"))


def test_languages_have_the_same_words() -> None:
    assert WORDS["en"].keys() == WORDS["ko"].keys()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_text_has_a_hole(language: Language) -> None:
    text = re.sub(r"`[^`]*`", "", page(language))
    assert not re.search(r"\{|\}|None|nan", text)


def test_each_topic_has_a_figure_that_can_be_drawn() -> None:
    charts = list(course().charts())
    assert len(charts) == len(course().topics) == 8
    for chart in charts:
        for theme in ("light", "dark"):
            svg = draw_figure(chart, theme)
            assert svg.count("<path") > 5, chart.stem
            assert not re.search("[가-힣]", svg)


def test_without_numbers_the_page_says_how_to_get_them(tmp_path: Path) -> None:
    empty = load_course(tmp_path, (), load_ledger())
    text = write_lecture(empty, "en")
    assert "`repro lecture --write vgg`" in text
    assert empty.counts["not run"] == len(empty.lecture.statements)
    assert list(empty.charts()) == []
