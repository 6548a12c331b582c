"""``papers/lecture.toml``: what the course's slides say, in our words, with the criterion that judges each statement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from repro.errors import TableError, UnknownName
from repro.tables.ledger import COURSE, PAPERS
from repro.tables.reading import read_toml
from repro.tables.schema import Entry, Text

Verdict = Literal["right", "imprecise", "wrong", "not run"]
VERDICTS: tuple[Verdict, ...] = ("right", "imprecise", "wrong", "not run")
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Constants = dict[Word, float | int]


class Words(Entry):
    """The same in both languages. Where numbers may stand, ``{name}`` is one, with Python's format after a colon."""

    en: Text
    ko: Text


class Topic(Entry):
    """A part of the course; ``figure`` says in words what its figure shows. A number is ``{check[name]}``."""

    name: Word
    title: Words
    about: Words
    figure: Words | None = None


class Statement(Entry):
    """A statement of a slide. ``heading`` is the slide's own, in Korean.

    ``check`` measures numbers, by name; ``slide`` and ``paper`` are further ones, which the slide and the papers (``source``) print, and
    ``ours`` are thresholds that neither has.
    The statement is right if ``right_if`` holds for them, or else imprecise if ``imprecise_if`` does (what is true in it), or else
    wrong. ``expected`` is the verdict of who read slide and paper. What can't be run says why in ``not_run`` instead.
    """

    id: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9-]+$", max_length=100)]
    heading: Text
    says: Words
    check: Word | None = None
    slide: Constants = Field(default_factory=dict)
    paper: Constants = Field(default_factory=dict)
    source: Text | None = None
    ours: Constants = Field(default_factory=dict)
    right_if: Text | None = None
    imprecise_if: Text | None = None
    expected: Verdict = "not run"
    why: Words | None = None
    not_run: Words | None = None

    @property
    def topic(self) -> str:
        """The name of its topic."""
        return self.id.partition("/")[0]

    @model_validator(mode="after")
    def _run_or_not(self) -> Statement:
        run = (self.check, self.right_if, self.why)
        if self.not_run is None and (None in run or self.expected == "not run"):
            raise ValueError("'check', 'right_if', 'expected' and 'why', or 'not_run' alone")
        if self.not_run is not None and (any(run) or self.imprecise_if or self.expected != "not run"):
            raise ValueError("'not_run' alone, without 'check', 'right_if', 'imprecise_if', 'expected' and 'why'")
        if bool(self.paper) != (self.source is not None):
            raise ValueError("'source' with the place of the numbers in 'paper', and neither without the other")
        return self


class Lecture(Entry):
    """The whole file."""

    title: Words
    topics: tuple[Topic, ...] = Field(strict=False)
    statements: tuple[Statement, ...] = Field(strict=False)

    def topic(self, name: str) -> Topic:
        """A topic by name. Raises UnknownName."""
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise UnknownName("topic", name, [topic.name for topic in self.topics])

    def about(self, topic: str) -> tuple[Statement, ...]:
        """The statements of a topic."""
        return tuple(statement for statement in self.statements if statement.topic == topic)


def load_lecture(path: Path = PAPERS / COURSE) -> Lecture:
    """Reads the course's statements. Raises TableError."""
    lecture = read_toml(path, Lecture)
    seen: set[str] = set()
    names = [topic.name for topic in lecture.topics]
    for number, statement in enumerate(lecture.statements):
        key = f"statements[{number}].id"
        if statement.id in seen:
            raise TableError(path.name, key, statement.id, "an id of its own", "rename one of the two")
        if statement.topic not in names:
            raise TableError(path.name, key, statement.id, f"one of the topics {', '.join(names)} before the slash", "correct the id")
        seen.add(statement.id)
    return lecture
