"""papers/lecture.toml: complete in both languages, and errors that name file, key, value and cure."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from repro import load_ledger
from repro.errors import ReproError
from repro.lectures.course import Words, load_lecture
from repro.lectures.judging import judge_statement
from repro.lectures.running import load_document
from repro.tables.ledger import COURSE, PAPERS

KEPT = Path(__file__).resolve().parent.parent / "reports" / "lecture"


def altered(tmp_path: Path, *replacements: tuple[str, str]) -> Path:
    text = (PAPERS / COURSE).read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / COURSE
    path.write_text(text, encoding="utf-8")
    return path


def fields(words: Words | None, language: str) -> list[str]:
    """The numbers that a text names."""
    return sorted({name for _, name, _, _ in string.Formatter().parse(getattr(words, language)) if name}) if words else []


def test_both_languages_name_the_same_numbers() -> None:
    lecture = load_lecture()
    texts = {statement.id: statement.why for statement in lecture.statements}
    texts |= {f"{topic.name}/{key}": getattr(topic, key) for topic in lecture.topics for key in ("about", "figure")}
    assert {key: fields(words, "ko") for key, words in texts.items()} == {key: fields(words, "en") for key, words in texts.items()}


def test_korean_is_korean_and_english_is_english() -> None:
    hangul = re.compile("[가-힣]")
    for statement in load_lecture().statements:
        for words in filter(None, (statement.says, statement.why, statement.not_run)):
            assert hangul.search(words.ko), statement.id
            assert not hangul.search(words.en), statement.id


def test_sentences_that_explain_are_polite_and_end() -> None:
    for statement in load_lecture().statements:
        words = statement.why or statement.not_run
        assert words is not None
        assert re.search(r"니다\.$|니다\([^)]*\)\.$", words.ko), f"{statement.id}: {words.ko[-20:]}"


def test_papers_arent_disturbed() -> None:
    assert COURSE not in load_ledger().papers
    assert len(load_ledger().papers) == 4


@pytest.mark.parametrize(
    ("replacements", "words"),
    [
        ([('check = "pooling"', 'chekc = "pooling"')], ["lecture.toml", "statements[", "chekc", "did you mean 'check'?"]),
        ([('id = "convolution/stride"', 'id = "convolution/n-minus-m"')], ["lecture.toml", "id", "an id of its own", "rename"]),
        ([('id = "convolution/stride"', 'id = "convolutions/stride"')], ["lecture.toml", "one of the topics perceptron", "correct the id"]),
        ([('expected = "wrong"', 'expected = "false"')], ["lecture.toml", "expected", "'right', 'imprecise', 'wrong'"]),
        ([('right_if = "parameters == 0"\n', "")], ["lecture.toml", "'check', 'right_if', 'expected' and 'why', or 'not_run' alone"]),
        ([('source = "K12 Table 2"\n', "")], ["lecture.toml", "'source' with the place"]),
        (
            [('not_run = { en = "A definition; nothing to run."', 'not_run = { eng = "A definition; nothing to run."')],
            ["eng", "did you mean 'en'?"],
        ),
    ],
)
def test_errors_name_file_key_and_cure(tmp_path: Path, replacements: list[tuple[str, str]], words: list[str]) -> None:
    with pytest.raises(ReproError) as error:
        load_lecture(altered(tmp_path, *replacements))
    assert "\n" not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'right_if = "parameters == 0"',
            'right_if = "params == 0"',
            ["convolution/pooling-parameters.right_if", "one of the numbers", "parameters"],
        ),
        ('right_if = "parameters == 0"', 'right_if = "parameters"', ["'parameters'", "a comparison", "correct the criterion"]),
        ("torch's max pooling has {parameters}.", "torch's max pooling has {params}.", ["why.en", "parameters", "correct the name"]),
    ],
)
def test_criteria_and_texts_that_name_no_number_are_refused(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    lecture = load_lecture(altered(tmp_path, (old, new)))
    (statement,) = (one for one in lecture.statements if one.id == "convolution/pooling-parameters")
    document = load_document(KEPT, "convolution")
    assert document is not None
    with pytest.raises(ReproError) as error:
        judge_statement(statement, document.numbers).why("en")
    assert [word for word in words if word not in str(error.value)] == []
