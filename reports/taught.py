"""The lecture as the pages show it: the course's statements, each judged by the numbers in ``reports/lecture/``, and the figures' data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.charts import STYLE, Chart
from repro.lectures.course import VERDICTS, Lecture, Topic, load_lecture
from repro.lectures.judging import Judged, fill
from repro.lectures.lessons import FOLDER as TRAINED
from repro.lectures.lessons import Lesson, load_lessons
from repro.lectures.running import Document, judge_topic, load_document
from repro.records import Record
from repro.tables import Ledger

SLIDES_STYLE = STYLE + (Path(__file__).parent / "slides.py").read_text(encoding="utf-8")

#: Statements whose numbers a figure shows too: those that the papers print.
DRAWN = {"alexnet": "alexnet/errors", "resnet": "resnet/twenty"}

#: What L98 prints for LeNet-5 on MNIST.
PRINTED = "lenet5/test-error"


@dataclass(frozen=True)
class Trained:
    """A network trained on digits: what the table of the page and the figure show. Errors in per cent."""

    network: str
    data: str
    checksum: str
    images: int
    batch: int
    seed: int
    iterations: tuple[tuple[int, ...], tuple[int, ...]]
    errors: tuple[tuple[float, ...], tuple[float, ...]]
    seconds: float
    threads: int
    hardware: str
    loss: str
    lr: float
    printed: str
    command: str

    @property
    def test_error(self) -> float:
        """After the last iteration."""
        return self.errors[1][-1]

    @property
    def epochs(self) -> float:
        """Passes over the training set."""
        return self.iterations[1][-1] * self.batch / self.images

    def row(self) -> dict[str, Any]:
        """A line of the figure."""
        train, test = ([at * self.batch / self.images for at in iterations] for iterations in self.iterations)
        errors = {"train": list(self.errors[0]), "test": list(self.errors[1])}
        return {"network": self.network, "data": self.data, "train_epoch": train, "test_epoch": test, **errors, "end": self.test_error}


@dataclass(frozen=True)
class Taught:
    """A topic, its statements with their verdicts, and what was measured; None where nobody ran it yet."""

    topic: Topic
    judged: tuple[Judged, ...]
    document: Document | None
    trained: tuple[Trained, ...] = ()

    @property
    def stem(self) -> str:
        """The stem of its figure."""
        return f"lecture-{self.topic.name}"

    def chart(self) -> Chart | None:
        """Its figure; none without data."""
        rows = [*(self.document.figure if self.document else ()), *(one.row() for one in self.trained)]
        rows += [{"numbers": one.numbers} for one in self.judged if rows and one.statement.id == DRAWN.get(self.topic.name)]
        return Chart(self.stem, self.topic.title.en, rows, self.stem, SLIDES_STYLE) if rows else None

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


def load_course(folder: Path, records: Iterable[Record], ledger: Ledger) -> Course:
    """The course with the numbers of ``folder``, LeNet-5's trainings beside the ledger's claim, and ResNet-20's on the same data.

    Raises TableError and ReproError for files that can't be used.
    """
    lecture = load_lecture()
    lessons = load_lessons(folder / TRAINED)
    topics = []
    for topic in lecture.topics:
        document = load_document(folder, topic.name)
        trained = tuple(_trained(lessons, records, ledger)) if topic.name == "mnist" else ()
        topics.append(Taught(topic, judge_topic(lecture, topic.name, document), document, trained))
    return Course(lecture, tuple(topics))


def _trained(lessons: Iterable[Lesson], records: Iterable[Record], ledger: Ledger) -> Iterator[Trained]:
    """MNIST first; for each data the LeNets, then ResNet-20's first record on the same images."""
    for data in ("mnist", "digits"):
        checksums = []
        for lesson in (lesson for lesson in lessons if lesson.data.name == data):
            checksums.append(lesson.data.checksum)
            yield _from_lesson(lesson, ledger)
        runs = [run for run in records if run.network == "resnet20" and run.data.checksum in checksums and run.outcome == "finished"]
        if runs:
            yield _from_record(min(runs, key=lambda run: (run.data.validation, run.seed)))


def _from_lesson(lesson: Lesson, ledger: Ledger) -> Trained:
    plan = lesson.plan
    claims = [claim for claim in ledger.claims if claim.id == PRINTED and (plan.network, lesson.data.name) == (claim.network, "mnist")]
    return Trained(
        network=plan.network,
        data=lesson.data.name,
        checksum=lesson.data.checksum,
        images=lesson.data.train,
        batch=plan.batch,
        seed=lesson.seed,
        iterations=(lesson.train.iteration, lesson.test.iteration),
        errors=(lesson.train.error, lesson.test.error),
        seconds=lesson.wall_seconds,
        threads=lesson.threads,
        hardware=lesson.environment.hardware,
        loss="L98 eq. 9" if plan.loss == "MAP" else plan.loss,
        lr=plan.lr,
        printed=f"{claims[0].printed} % ({ledger.papers[claims[0].file].entry.key})" if claims else "",
        command=f"repro lecture --train --data {lesson.data.name}",
    )


def _from_record(run: Record) -> Trained:
    return Trained(
        network=run.network,
        data=run.data.name,
        checksum=run.data.checksum,
        images=run.data.train,
        batch=run.recipe.batch,
        seed=run.seed,
        iterations=(run.curves.train.iteration, run.curves.test.iteration),
        errors=(run.curves.train.error, run.curves.test.error),
        seconds=run.wall_seconds,
        threads=run.settings.threads,
        hardware=run.environment.hardware,
        loss="cross-entropy",
        lr=run.recipe.lr,
        printed="",
        command=f"repro degradation --data {run.data.name} --networks resnet20 --seed {run.seed} --iterations {run.recipe.iterations}",
    )
