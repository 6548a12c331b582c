"""The checks of a topic, run, and ``reports/lecture/<topic>.json``, which keeps their numbers for the pages.

Numbers that another processor may round otherwise are rounded or bounded where they're measured; what still differs by less than
``TOLERANCE`` is the same number, so that a machine that agrees changes no file.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import ValidationError

from repro.errors import ReproError
from repro.files import write_atomically
from repro.lectures.course import Lecture
from repro.lectures.judging import Judged, Numbers, judge_statement
from repro.records import Part, first_fault

#: Relative; larger than what the order of additions does to a short training, and smaller than what any criterion turns on.
TOLERANCE = 0.02

#: Absolute, in a figure: nobody sees less.
DRAWN = 0.002

Rows = list[dict[str, Any]]


class Unavailable(ReproError):
    """Data that a check needs and that aren't on this machine."""


class Document(Part):
    """What the checks of a topic measured, and what its figure shows. ``code`` is the checksum of the checks."""

    format: Literal[1]
    topic: str
    code: str
    numbers: dict[str, Numbers]
    figure: Rows


def run_topic(name: str, root: Path | None = None, known: Document | None = None) -> Document:
    """Runs all checks of a topic. ``root`` is MNIST's folder; a check whose data aren't here keeps the numbers of ``known``."""
    room = _room(name)
    with_data: dict[str, Callable[[Path | None], Numbers]] = getattr(room, "WITH_DATA", {})
    with cpu_threads(1):  # two processes share two cores, and a sum in two parts is rounded otherwise
        numbers: dict[str, Numbers] = {check: measure() for check, measure in room.CHECKS.items()}
        for check, look in with_data.items():
            try:
                numbers[check] = look(root)
            except Unavailable:
                if known is not None and check in known.numbers:
                    numbers[check] = known.numbers[check]
        return Document(format=1, topic=name, code=checksum(name), numbers=numbers, figure=room.figure_rows(numbers))


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Torch with so many threads, and with as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def checksum(name: str) -> str:
    """Changes with the code of a topic's checks."""
    room = _room(name)
    parts = [Path(str(room.__file__)), *(Path(__file__).with_name(f"{part}.py") for part in getattr(room, "PARTS", ()))]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def judge_topic(lecture: Lecture, name: str, document: Document | None) -> tuple[Judged, ...]:
    """A verdict for each statement of a topic."""
    return tuple(judge_statement(statement, document.numbers if document else {}) for statement in lecture.about(name))


def load_document(folder: Path, name: str) -> Document | None:
    """What was measured of a topic; None where nothing was. Raises ReproError where the file isn't a document."""
    path = folder / f"{name}.json"
    try:
        return Document.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ReproError(f"{path}: {first_fault(error)}; `repro lecture --write` writes it anew") from None


def write_document(folder: Path, document: Document) -> Path | None:
    """Writes what was measured, unless the file says the same; returns the path where it was written."""
    known = load_document(folder, document.topic)
    if known is not None and not differences(known, document):
        document = known.model_copy(update={"code": document.code})
    if document == known:
        return None
    path = folder / f"{document.topic}.json"
    write_atomically(path, (json.dumps(document.model_dump(), indent=1) + "\n").encode())
    return path


def differences(known: Document, found: Document) -> list[str]:
    """The numbers that aren't the same, by name, those of the figure as ``figure``."""
    names = {**dict.fromkeys(known.numbers), **dict.fromkeys(found.numbers)}
    different = []
    for check in names:
        old, new = known.numbers.get(check, {}), found.numbers.get(check, {})
        different += [f"{check}.{name}" for name in {**old, **new} if not _same(old.get(name), new.get(name))]
    return different + ([] if _same(known.figure, found.figure, DRAWN) else ["figure"])


def _same(old: Any, new: Any, near: float = 1e-6) -> bool:
    """Whether two values are equal, floats up to TOLERANCE or ``near``."""
    if isinstance(old, float | int) and isinstance(new, float | int):
        return old == new if isinstance(old, int) and isinstance(new, int) else math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=near)
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(value, new[key], near) for key, value in old.items())
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(_same(*pair, near) for pair in zip(old, new, strict=True))
    return bool(old == new)


def bound(values: Iterable[float]) -> float:
    """The power of ten, 1e-5 at least, that no absolute value exceeds: rounding errors differ from machine to machine."""
    largest = max(abs(value) for value in values)
    return float(10.0 ** max(-5, math.ceil(math.log10(largest)))) if largest else 1e-5


def _room(name: str) -> ModuleType:
    return importlib.import_module(f"repro.lectures.{name}")
