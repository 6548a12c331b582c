"""lecture.md and lecture.ko.md: every statement of the course with its verdict, in English and in Korean from the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from reports.markdown import anchor, code, document, link, picture, remake, table, text
from reports.taught import Course, Taught
from repro.lectures.judging import Judged
from repro.lectures.statements import VERDICTS, Verdict

Language = Literal["en", "ko"]

TITLE = "The lecture, checked"
ABOUT = "Each statement of the course's slides, run: right, imprecise or wrong, with numbers. Also in Korean."
FILES: dict[Language, str] = {"en": "lecture.md", "ko": "lecture.ko.md"}

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "lead": "This project accompanies a Korean university course on image classification with convolutional networks. Its slides "
        "state facts, and students copy them; so each statement is run here. The statements are in our words; the slide's own heading is "
        "the place.",
        "other": "한국어",
        "rule": "A statement has a criterion, an expression over numbers that a check measures. The verdict follows from it:",
        "right": "the statement holds as it stands.",
        "imprecise": "it doesn't hold as it stands, but a stated part of it does.",
        "wrong": "it doesn't hold.",
        "not run": "it can't be decided by a run here; the reason is given.",
        "tally": "{total} statements: {right} right, {imprecise} imprecise, {wrong} wrong, {not_run} not run.",
        "topic": "topic", "statements": "statements", "all": "all", "verdict": "verdict", "statement": "the slide says", "heading": "slide",
        "why": "what comes out", "criteria": "Criteria and numbers", "holds": "right if", "part": "imprecise if", "numbers": "numbers",
        "source": "printed in", "none": "no numbers yet", "remake": "Remake",
    },
    "ko": {
        "lead": "이 프로젝트는 합성곱 신경망을 이용한 이미지 분류를 다루는 대학 강의를 위한 것입니다. "
        "수강생은 슬라이드에 적힌 내용을 그대로 익히게 되므로, 여기서는 각 진술을 직접 실행하여 확인합니다. "
        "진술은 저희의 말로 옮겨 적었으며, 출처로는 슬라이드의 제목을 적었습니다.",
        "other": "English",
        "rule": "각 진술에는 판정 기준이 있습니다. 판정 기준은 검사에서 측정한 수치에 대한 식이며, 판정은 이 식에 따라 정해집니다.",
        "right": "진술이 그대로 성립합니다.",
        "imprecise": "진술 그대로는 성립하지 않지만, 명시된 일부는 성립합니다.",
        "wrong": "진술이 성립하지 않습니다.",
        "not run": "여기서 실행하여 판정할 수 없으며, 그 이유를 적었습니다.",
        "tally": "진술 {total}개: 맞음 {right}개, 부정확 {imprecise}개, 틀림 {wrong}개, 실행하지 않음 {not_run}개.",
        "topic": "주제", "statements": "진술", "all": "전체", "verdict": "판정", "statement": "슬라이드의 내용", "heading": "슬라이드 제목",
        "why": "실행 결과", "criteria": "판정 기준과 수치", "holds": "맞음의 기준", "part": "부정확의 기준", "numbers": "수치",
        "source": "수치의 출처", "none": "아직 측정한 수치가 없습니다", "remake": "다시 만들기",
    },
}  # fmt: skip
VERDICT_WORDS: dict[Language, dict[Verdict, str]] = {
    "en": {verdict: verdict for verdict in VERDICTS},
    "ko": {"right": "맞음", "imprecise": "부정확", "wrong": "틀림", "not run": "실행하지 않음"},
}


def write_lecture(course: Course, language: Language) -> str:
    """The page in one language."""
    words, verdicts = WORDS[language], VERDICT_WORDS[language]
    other: Language = "ko" if language == "en" else "en"
    counts = {verdict.replace(" ", "_"): count for verdict, count in course.counts.items()}
    title = course.lecture.title
    return document(
        text(title.en if language == "en" else title.ko),
        link(words["other"], FILES[other]),
        words["lead"],
        words["rule"],
        "\n".join(f"- **{verdicts[verdict]}**: {words[verdict]}" for verdict in VERDICTS),
        words["tally"].format(total=sum(counts.values()), **counts),
        _tally(course, language),
        _remake(language, "repro lecture --write", "repro report"),
        *(part for topic in course.topics for part in _section(topic, language)),
        source="repro/papers/lecture.toml and reports/lecture/",
    )


def _tally(course: Course, language: Language) -> str:
    words, verdicts = WORDS[language], VERDICT_WORDS[language]
    heads = [words["topic"], f"{words['statements']} >", *(f"{verdicts[verdict]} >" for verdict in VERDICTS)]
    rows = []
    for topic in course.topics:
        title = getattr(topic.topic.title, language)
        rows.append([link(text(title), f"#{anchor(title)}"), str(len(topic.judged)), *(str(topic.count(verdict)) for verdict in VERDICTS)])
    counts = course.counts
    return table(heads, [*rows, [f"**{words['all']}**", str(sum(counts.values())), *map(str, counts.values())]])


def _section(topic: Taught, language: Language) -> Iterator[str]:
    words = WORDS[language]
    yield f"## {text(getattr(topic.topic.title, language))}"
    if topic.document is None:
        yield f"{words['none']}: {code(f'repro lecture --write {topic.topic.name}')}"
        return
    yield text(topic.about(language))
    if topic.chart() is not None:
        yield picture(f"figures/{topic.stem}", topic.alt(language))
    heads = [words["verdict"], words["statement"], words["why"]]
    yield table(heads, (_row(one, language) for one in topic.judged))
    yield _remake(language, f"repro lecture {topic.topic.name}")
    yield f"<details><summary>{words['criteria']}</summary>"
    yield "\n".join(_criteria(one, language) for one in topic.judged if one.numbers)
    yield "</details>"


def _remake(language: Language, *commands: str) -> str:
    return remake(*commands).replace("Remake", WORDS[language]["remake"])


def _row(one: Judged, language: Language) -> list[str]:
    statement = one.statement
    says = f"{text(getattr(statement.says, language))} <sub>{text(statement.heading)}</sub>"
    verdict = VERDICT_WORDS[language][one.verdict]
    return [verdict if one.verdict in ("right", "not run") else f"**{verdict}**", says, text(one.why(language))]


def _criteria(one: Judged, language: Language) -> str:
    """A statement's criterion, and the numbers that it was judged by."""
    words, statement = WORDS[language], one.statement
    parts = [f"{words['holds']} {code(statement.right_if or '')}"]
    parts += [f"{words['part']} {code(statement.imprecise_if)}"] if statement.imprecise_if else []
    used = set(re.findall("[a-z][a-z0-9_]*", f"{statement.right_if} {statement.imprecise_if} {statement.why and statement.why.en}"))
    parts += [f"{words['numbers']} {code(', '.join(f'{name} = {value:,}' for name, value in one.numbers.items() if name in used))}"]
    parts += [f"{words['source']} {text(statement.source)}"] if statement.source else []
    return f"- {code(statement.id)}: {'; '.join(parts)}"
