"""Records of LeNet-5's trainings: one file each in ``reports/lecture/trained/<hardware>/``, never edited. Loads no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from repro.errors import ReproError
from repro.files import write_once
from repro.records import Curve, Data, Environment, Part

#: Where the records are, below the numbers of the checks.
FOLDER = "trained"

Loss = Literal["MAP", "cross-entropy"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one of the two is trained. The learning rate rises and falls once (``OneCycleLR``) to ``lr``; ``j`` is that of L98 eq. 9."""

    network: str
    loss: Loss
    epochs: int
    batch: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    j: float = 0.0


class Lesson(Part):
    """One training: ``train`` is the running error of each epoch, ``test`` that after it, in per cent."""

    format: Literal[1]
    plan: Plan
    seed: int
    threads: int
    data: Data
    environment: Environment
    train: Curve
    test: Curve
    wall_seconds: float

    @property
    def test_error(self) -> float:
        """After the last epoch, in per cent."""
        return self.test.error[-1]


def write_lesson(lesson: Lesson, folder: Path) -> Path:
    """Writes ``folder/<hardware>/<data>-<network>-seed<n>.json``; nothing that is there is overwritten."""
    hardware = re.sub(r"[^a-z0-9]+", "-", lesson.environment.hardware.lower()).strip("-")
    name = f"{lesson.data.name}-{lesson.plan.network}-seed{lesson.seed}.json"
    return write_once(folder / hardware / name, (lesson.model_dump_json() + "\n").encode())


def load_lessons(folder: Path) -> tuple[Lesson, ...]:
    """All trainings under a folder, by data, network and seed. Raises ReproError that names a file that isn't one."""
    lessons = []
    for path in sorted(folder.glob("*/*.json")):
        try:
            lessons.append(Lesson.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            raise ReproError(f"{path}: {error.errors()[0]['msg']}; remove the file or take it from git again") from None
    return tuple(sorted(lessons, key=lambda lesson: (lesson.data.name, lesson.plan.network, lesson.seed)))
