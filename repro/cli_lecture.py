"""The command of the lecture; torch is imported when it runs."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.cli_json import Json, print_json
from repro.errors import ReproError

if TYPE_CHECKING:
    from repro.lectures.judging import Judged

_EPILOG = (
    "Examples: `repro lecture` · `repro lecture convolution vgg` · `repro lecture --json` · `repro lecture mnist --root PATH` "
    "· `repro lecture --train` (two minutes) · `repro lecture --train --data mnist --root PATH` (ten minutes)\n\n"
    "Exit code 0: each verdict is the expected one; 1: another one; 2: bad input."
)
FOLDER = Path("reports") / "lecture"


def add_command(app: typer.Typer) -> None:
    """Adds ``lecture`` to the command."""
    app.command("lecture", epilog=_EPILOG)(lecture_)


def lecture_(
    topics: Annotated[list[str] | None, typer.Argument(metavar="TOPIC", help="Topics to run; all by default.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Keep the numbers in the folder of --records, for the pages.")] = False,
    records: Annotated[Path, typer.Option(help="Folder of the numbers that were kept.")] = FOLDER,
    data: Annotated[str, typer.Option(help="What --train trains on: digits or mnist.")] = "digits",
    root: Annotated[Path | None, typer.Option(help="Folder of MNIST's files, instead of the cache folder.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train LeNet-5, as in 1998 and as today, where there is no record.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=1_024, help="CPU threads of --train.")] = 1,
    again: Annotated[bool, typer.Option("--again", help="Train although there is a record.")] = False,
    as_json: Json = False,
) -> None:
    """Run the statements of the course's slides: right, imprecise or wrong, with numbers."""
    from repro.lectures import running
    from repro.lectures.course import load_lecture

    course = load_lecture()
    names = [course.topic(name).name for name in topics or [topic.name for topic in course.topics]]
    if train:
        if topics:
            raise ReproError(f"--train trains LeNet-5 and runs no topic; leave {', '.join(topics)} or --train away")
        written = _train(data, root, records, threads, again)
        _print_trained(written, as_json)
        return
    judged: list[Judged] = []
    different: list[str] = []
    changed: list[Path | None] = []
    for name in names:
        _say(f"{name} ...")
        known = running.load_document(records, name)
        found = running.run_topic(name, root, known)
        judged += running.judge_topic(course, name, found)
        different += [f"{name}.{number}" for number in running.differences(known, found)] if known else []
        changed += [running.write_document(records, found)] if write else []
    if as_json:
        print_json(to_json(judged, different))
    else:
        _print(judged, different, [path for path in changed if path])
    raise typer.Exit(0 if all(one.as_expected for one in judged) else 1)


def refresh(folder: Path, again: bool = False) -> list[Judged]:
    """What ``repro all`` does: runs the topics whose checks have changed since their numbers were kept, trains LeNet-5 on the embedded
    digits where that has no record, and returns the statements whose verdict isn't the expected one."""
    from repro.lectures import running
    from repro.lectures.course import load_lecture

    course = load_lecture()
    unexpected: list[Judged] = []
    for topic in course.topics:
        document = running.load_document(folder, topic.name)
        if again or document is None or document.code != running.checksum(topic.name):
            _say(f"lecture: {topic.name} ...")
            document = running.run_topic(topic.name, None, document)
            running.write_document(folder, document)
        unexpected += [one for one in running.judge_topic(course, topic.name, document) if not one.as_expected]
    _train("digits", None, folder, 1, again)
    return unexpected


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _train(data: str, root: Path | None, records: Path, threads: int, again: bool) -> list[Path]:
    """Trains both LeNets where there is no record; their records go to a folder beside the numbers of the checks."""
    from repro.data import load
    from repro.lectures import lenets, lessons

    lenets.plans_for(data)  # before anything is downloaded
    return lenets.teach_all(load(data, root), records / lessons.FOLDER, threads, _say, again=again)


def _print_trained(written: list[Path], as_json: bool) -> None:
    if as_json:
        print_json({"written": [path.as_posix() for path in written]})
    else:
        print("\n".join(f"written: {path.as_posix()}" for path in written) or "both have a record; --again trains them anew")


def to_json(judged: list[Judged], different: list[str]) -> dict[str, Any]:
    """The document of ``--json``: statements, the tally, and which numbers aren't those that were kept."""
    tally = Counter(one.verdict for one in judged)
    return {"statements": [one.to_json() for one in judged], "tally": dict(tally), "other_than_kept": different}


def _print(judged: list[Judged], different: list[str], written: list[Path]) -> None:
    from repro.lectures.course import VERDICTS

    for one in judged:
        print(f"{one.verdict:<9} {one.statement.id} ({one.statement.heading}): {one.statement.says.en}")
        print(f"          {one.why('en')}")
        if not one.as_expected:
            print(f"          expected: {one.statement.expected}")
    tally = Counter(one.verdict for one in judged)
    print(f"{len(judged)} statements: {', '.join(f'{tally[verdict]} {verdict}' for verdict in VERDICTS if tally[verdict])}")
    if different:
        print(f"other numbers than those kept: {', '.join(different)}")
    for path in written:
        print(f"written: {path.as_posix()}")
