"""The command of throughput; torch and ``bench``, which only a checkout has, are imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.cli_json import Json, print_json
from repro.errors import ReproError
from repro.tables import load_ledger

if TYPE_CHECKING:
    from repro.throughput.timing import Session

_EPILOG = (
    "Examples: `repro bench --quick` (five minutes) · `repro bench --networks resnet50,vgg-d` · `repro bench --task training --networks "
    "resnet20` · `repro bench --grid --networks lenet5` (every dtype, layout, batch, ...: an hour) · `repro bench --device cuda` · "
    "`repro bench --compare before.json after.json`\n\n"
    "Ctrl-C keeps the rows that are finished; the same command goes on. Exit code 0: each row has a time or a reason; 2: bad input."
)


#: Seconds of measuring a row, of searching, and of a size of matrix product, where little time is to be spent.
QUICK_LIMIT, QUICK_BUDGET, QUICK_ROOF = 2.0, 8.0, 0.1


class What(StrEnum):
    """What is timed of a network."""

    both = "both"
    inference = "inference"
    training = "training"


def add_command(app: typer.Typer) -> None:
    """Adds ``bench`` to the command."""
    app.command("bench", epilog=_EPILOG)(bench_)


def bench_(
    quick: Annotated[
        bool, typer.Option("--quick", help="Inference of AlexNet, VGG A to E and ResNet-18 to 152, little time each.")
    ] = False,
    networks: Annotated[str, typer.Option(help="Names with commas; all of `repro list` by default: hours.")] = "",
    task: Annotated[What, typer.Option(help="What to time.")] = What.both,
    device: Annotated[str, typer.Option(help="all (the CPU, then the accelerator), cpu, cuda, cuda:1, mps or xpu.")] = "all",
    batch: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Images of a batch; by default one that fills the device.")
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="The full grid; by default for lenet5, resnet20, resnet50 and vgg-d.")] = False,
    time_limit: Annotated[float | None, typer.Option(min=0.1, max=86_400, help="Seconds of measuring a row. Default 20, quick 2.")] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=86_400,
            help="Seconds of searching the fastest way. Default 120, quick 8; three times that where no row says what to try first.",
        ),
    ] = None,
    exhibit: Annotated[bool, typer.Option("--exhibit", help="Time the same network in the usual wrong ways too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Time what this machine has rows of anew.")] = False,
    records: Annotated[Path, typer.Option(help="Folder of the records.")] = Path("reports/records"),
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="BEFORE AFTER", help="Compare two sessions, or two files of pytest-benchmark.")
    ] = None,
    take: Annotated[Path | None, typer.Option(metavar="FILE", help="Make a record of pytest-benchmark's JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Time networks on this machine: eager float32, the fastest way that a search finds, and what to doubt about the numbers."""
    if compare is not None:
        return _compare(*compare, as_json)
    if take is not None:
        return _take(take, records, as_json)
    ledger = load_ledger()
    names = [name.strip() for name in networks.split(",") if name.strip()]
    chosen = [ledger.network(name) for name in names]
    bench = _room()
    from repro import machine
    from repro.executing import terminated_as_interrupt

    default = bench.search.QUICK if quick else bench.search.GRID if grid else ledger.networks
    plans = [
        bench.session.Plan(
            device=found,
            networks=tuple(chosen or map(ledger.network, default)),
            tasks=_tasks(task, quick),
            records=records,
            limit=time_limit or (QUICK_LIMIT if quick else 20.0),
            budget=budget if budget is not None else QUICK_BUDGET if quick else 120.0,
            roof_limit=QUICK_ROOF if quick else bench.roof.LIMIT,
            batch=batch,
            full_grid=grid,
            steps=not quick,
            exhibit=exhibit,
            again=again,
        )
        for found in (machine.all_devices() if device == "all" else [machine.find_device(device)])
    ]
    runs = [bench.session.begin(plan, _say) for plan in plans]
    with terminated_as_interrupt():
        for run in runs:
            _time(bench, run)
    _print([(run.session, run.path) for run in runs], as_json)
    for run in runs:
        if run.path and run.taken:
            files = ", ".join(sorted(set(run.taken.values())))
            _say(f"not timed again: {len(run.taken)} row{'s' if len(run.taken) > 1 else ''} of {files}; --again does")
    return None


def _time(bench: Any, run: Any) -> None:
    """All rows of a session; an interrupt says where the finished ones are."""
    try:
        bench.session.run(run)
    except KeyboardInterrupt:
        _say(_kept(run.session, run.path, run.plan.again))
        raise


def _kept(session: Session, path: Path | None, again: bool) -> str:
    if path is None:
        return "interrupted before the first row"
    rows = f"{len(session.rows)} row{'s are' if len(session.rows) != 1 else ' is'}"
    return f"{rows} in {path.as_posix()}; the same command{' without --again' if again else ''} goes on from there"


def _tasks(task: What, quick: bool) -> tuple[str, ...]:
    """Training takes three times as long, so that quick leaves it away unless it's asked for."""
    if task is What.both:
        return ("inference",) if quick else ("inference", "training")
    return (task.value,)


def refresh(records: Path) -> list[Path]:
    """What ``repro all`` does: times a few networks where no machine has a timing record yet."""
    from repro.throughput.timing import load_sessions

    if load_sessions(records):
        return []
    bench, ledger = _room(), load_ledger()
    networks = tuple(ledger.network(name) for name in ("resnet18", "alexnet", "resnet50"))
    plan = bench.session.Plan("cpu", networks, ("inference",), records, limit=QUICK_LIMIT, budget=QUICK_BUDGET, roof_limit=QUICK_ROOF)
    run = bench.session.begin(plan, _say)
    bench.session.run(run)
    return [run.path] if run.path else []


def _room() -> Any:
    """``bench``, which only a checkout has."""
    try:
        import bench.search
        import bench.session
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "bench":
            raise
        raise ReproError(
            "timing needs a checkout of the project, and this is an installed copy; run `pip install -e .` in a clone"
        ) from None
    return bench


def _compare(before: Path, after: Path, as_json: bool) -> None:
    """Prints what differs between two files."""
    from pydantic import TypeAdapter

    from repro.throughput.comparing import Comparison, compare, comparison_lines

    comparison = compare(_read(before), _read(after))
    if as_json:
        print_json(TypeAdapter(Comparison).dump_python(comparison, mode="json"))
    else:
        print("\n".join(comparison_lines(comparison)))


def _take(file: Path, records: Path, as_json: bool) -> None:
    from repro.throughput.timing import write_session

    session = _read(file)
    _print([(session, write_session(session, records))], as_json)


def _read(path: Path) -> Session:
    """A session, or pytest-benchmark's JSON as one. Raises ReproError."""
    from repro.throughput.pytest_json import read_pytest_json
    from repro.throughput.timing import read_session

    if not path.is_file():
        raise ReproError(
            f"{path}: no such file; expected a file of reports/records/*/timing/, or what `pytest bench --benchmark-json` wrote"
        )
    return read_pytest_json(path) or read_session(path)


def _print(sessions: Sequence[tuple[Session, Path | None]], as_json: bool) -> None:
    from repro.throughput.lines import session_document, session_lines

    ledger = load_ledger()
    if as_json:
        documents = [session_document(session, ledger) | {"written": path.as_posix() if path else None} for session, path in sessions]
        return print_json({"sessions": documents})
    for session, path in sessions:
        print("\n".join(session_lines(session, ledger)) if path else f"{session.environment.hardware}: nothing was timed")
        print(f"written: {path.as_posix()}" if path else "every row was there already; --again times them anew")
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
