"""timings.md: every row of every session, with its numbers."""

from __future__ import annotations

from collections.abc import Callable

from reports.judged import Judged
from reports.pages.timings import write_timings
from repro import Ledger
from repro.throughput.timing import Session, Timing

Make = Callable[..., Timing]
MakeSession = Callable[..., Session]


def page(ledger: Ledger, *sessions: Session) -> str:
    return write_timings(Judged.of(ledger, (), sessions)).replace("\N{NO-BREAK SPACE}", " ")


def rows_in(text: str) -> list[list[str]]:
    """The cells of each row of each table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "| how |" not in line and not line.startswith(("|:-", "|-"))]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_every_row_of_every_session_appears(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    many = [
        make_timing(name, 0.1 + batch, batch=batch, task=task)
        for name in ("vgg-d", "lenet5")
        for batch in (1, 8)
        for task in ("inference", "training")
    ]
    sessions = [
        make_session(*many, make_timing("vgg-d", outcome="failed", dtype="float16", reason="no float16 here")),
        make_session(*many[:3]),
        make_session(make_timing("foreign", 0.3), hardware="Other, 4 cores"),
    ]
    written = page(ledger, *sessions)
    assert len(rows_in(written)) == 8 + 1 + 3 + 1
    assert written.count("**no time**: no float16 here") == 1
    assert "### foreign on Other, 4 cores (cpu)" in written
    assert "[vgg-d](#vgg-d-on-testor-9-2-cores-cpu)" in written
    assert "Testor 9, 2 cores (cpu)](#testor-9-2-cores-cpu), 12 rows" in written


def test_the_numbers_of_a_row(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    blocks = tuple(0.2 * (1 + number / 10) for number in range(-5, 6))
    (row,) = rows_in(page(ledger, make_session(make_timing("vgg-d", blocks))))
    assert row[:7] == ["float32, NCHW, eager", "8", "2", "200", "25", "40", "30.8"]
    assert row[8:10] == ["11 x 4", "0.2"]
    assert row[11:13] == ["1,238", "619"], "2 x 15.47 GMAC x 40 images/s, of 200 GFLOP/s"
    assert row[13].endswith("±30.8 %, 2 % not reached")


def test_the_fastest_of_a_batch_comes_first(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    rows = [make_timing(seconds=0.5), make_timing(seconds=0.2, dtype="bfloat16"), make_timing(seconds=0.9, batch=1)]
    shown = rows_in(page(ledger, make_session(*rows, make_timing(outcome="failed", compiled=True))))
    assert [(row[1], row[3]) for row in shown] == [("1", "900"), ("8", "200"), ("8", "500"), ("8", "")]


def test_a_copy_to_the_device_has_a_column(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    gpu = make_session(make_timing(device="cuda", transfer=0.0123), hardware="A Fast GPU")
    written = page(ledger, gpu)
    assert "copy to the device, ms/batch |" in written
    assert rows_in(written)[0][-1] == "12.3"
    assert rows_in(written)[0][2] == "", "CPU threads say nothing there"
    assert "`repro bench --again --device cuda`, `repro report`" in written
    assert "copy to the device" not in page(ledger, make_session(make_timing()))


def test_without_a_session_there_is_the_command(ledger: Ledger) -> None:
    assert "`repro bench --quick` makes the first" in page(ledger)
