"""lecture.md and lecture.ko.md: every statement of the course with its verdict, in English and in Korean from the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reports import wording
from reports.bilingual import VERDICT_WORDS, WORDS, Language
from reports.markdown import anchor, code, document, link, picture, remake, table, text
from reports.taught import Course, Taught, Trained
from repro.lectures.course import VERDICTS
from repro.lectures.judging import Judged

TITLE = "The lecture, checked"
ABOUT = "Each statement of the course's slides, judged: right, imprecise or wrong, with numbers."
TITLE_KO = "강의 내용의 검증"
ABOUT_KO = "강의 슬라이드의 각 서술을 맞음, 부정확, 틀림으로 판정하고 수치를 함께 보입니다."
FILES: dict[Language, str] = {"en": "lecture.md", "ko": "lecture.ko.md"}


def write_lecture(course: Course, language: Language) -> str:
    """The page in one language."""
    words, verdicts = WORDS[language], VERDICT_WORDS[language]
    other: Language = "ko" if language == "en" else "en"
    counts = {verdict.replace(" ", "_"): count for verdict, count in course.counts.items()}
    title = course.lecture.title
    return document(
        text(title.en if language == "en" else title.ko),
        link(words["other"], FILES[other]),
        f"{words['lead']} {words['keys']}",
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
    yield from map(text, topic.about(language).split("\n\n"))
    if topic.chart() is not None:
        yield picture(f"figures/{topic.stem}", topic.alt(language))
    heads = [words["verdict"], words["statement"], words["why"]]
    yield table(heads, (_row(one, language) for one in topic.judged))
    yield _remake(language, f"repro lecture {topic.topic.name}")
    yield from _trainings(topic, language)
    yield f"<details><summary>{words['criteria']}</summary>"
    yield "\n".join(_criteria(one, language) for one in topic.judged if one.numbers)
    yield "</details>"


def _trainings(topic: Taught, language: Language) -> Iterator[str]:
    """A table of the trained networks, and how their recipes differ from the paper's."""
    words = WORDS[language]
    if not topic.trained:
        return
    yield f"### {words['trained']}"
    yield words["recipe"]
    heads = [words["network"], words["data"], f"{words['error']} >", words["beside"], words["loss"], f"{words['rate']} >"]
    heads += [f"{words['passes']} >", f"{words['seconds']} >", words["hardware"]]
    yield table(heads, (_training(one) for one in topic.trained))
    yield _remake(language, *dict.fromkeys(one.command for one in topic.trained))


def _training(one: Trained) -> list[str]:
    rate, time = f"{one.lr:g}", f"{one.seconds:,.0f} ({one.threads})"
    return [
        wording.network_link(one.network),
        one.data,
        f"{one.test_error:.2f} %",
        one.printed,
        f"{one.loss}, {one.batch}",
        rate,
        f"{one.epochs:.3g}",
        time,
        text(one.hardware),
    ]


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
    used = set(re.findall("[a-z][a-z0-9_]*", f"{statement.right_if} {statement.imprecise_if}"))
    used |= set(re.findall("{([a-z][a-z0-9_]*)", statement.why.en if statement.why else ""))
    parts += [
        f"{words['numbers']} {code(', '.join(f'{name} = {_number(name, value)}' for name, value in one.numbers.items() if name in used))}"
    ]
    parts += [f"{words['source']} {text(statement.source)}"] if statement.source else []
    return f"- {code(statement.id)}: {'; '.join(parts)}"


def _number(name: str, value: float) -> str:
    """A year has no separator."""
    return str(value) if name.endswith("year") else f"{value:,}"
