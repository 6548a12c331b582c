"""The lecture as the pages show it: the course's statements, each judged by the numbers in ``reports/lecture/``, and the figures' data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reports.charts import STYLE, Chart
from repro.lectures.judging import Judged, fill
from repro.lectures.running import Document, judge_topic, load_document
from repro.lectures.statements import VERDICTS, Lecture, Topic, load_lecture

FOLDER = Path(__file__).parent
SLIDES_STYLE = STYLE + (FOLDER / "slides.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Taught:
    """A topic, its statements with their verdicts, and what was measured; None where nobody ran it yet."""

    topic: Topic
    judged: tuple[Judged, ...]
    document: Document | None

    @property
    def stem(self) -> str:
        """The stem of its figure."""
        return f"lecture-{self.topic.name}"

    def chart(self) -> Chart | None:
        """Its figure; none without data."""
        if self.document is None or not self.document.figure:
            return None
        return Chart(self.stem, self.topic.title.en, self.document.figure, self.stem, SLIDES_STYLE)

    def alt(self, language: str) -> str:
        """The figure in words."""
        return self._filled("figure", language)

    def about(self, language: str) -> str:
        """What the topic is about."""
        return self._filled("about", language)

    def _filled(self, key: str, language: str) -> str:
        numbers = self.document.numbers if self.document else {}
        return fill(getattr(self.topic, key), language, numbers, f"{self.topic.name}.{key}")

    def count(self, verdict: str) -> int:
        """How many statements have this verdict."""
        return sum(one.verdict == verdict for one in self.judged)


@dataclass(frozen=True)
class Course:
    """All topics."""

    lecture: Lecture
    topics: tuple[Taught, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Statements by verdict."""
        return {verdict: sum(topic.count(verdict) for topic in self.topics) for verdict in VERDICTS}

    def charts(self) -> Iterator[Chart]:
        """Every figure."""
        yield from filter(None, (topic.chart() for topic in self.topics))


def load_course(folder: Path) -> Course:
    """The course with the numbers of ``folder``. Raises TableError and ReproError for files that can't be used."""
    lecture = load_lecture()
    documents = {topic.name: load_document(folder, topic.name) for topic in lecture.topics}
    topics = (Taught(topic, judge_topic(lecture, topic.name, documents[topic.name]), documents[topic.name]) for topic in lecture.topics)
    return Course(lecture, tuple(topics))
