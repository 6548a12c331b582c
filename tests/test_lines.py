"""The lines and the JSON document of a session of ``repro bench``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.session import line
from repro import Ledger
from repro.throughput.lines import session_document, session_lines
from repro.throughput.timing import Mistake, Session, Timing

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]

FAST: dict[str, Any] = {"dtype": "bfloat16", "layout": "channels_last", "compiled": True}

#: ResNet-18: 1,794,805,760 MACs (H15 Table 1 prints 1.8 x 10^9), 8 images in 0.25 s, and 800 GFLOP/s of two threads.
SHARE = 2 * 1_794_805_760 * 8 / 0.25 / 800e9


def test_the_machine_comes_first(make_session: MakeSession, ledger: Ledger) -> None:
    assert session_lines(make_session(), ledger) == [
        "Testor 9, 2 cores, avx2, torch 2.9",
        "roof of float32, 1 thread: 100 GFLOP/s",
        "roof of float32, 2 threads: 200 GFLOP/s",
        "roof of bfloat16, 1 thread: 400 GFLOP/s",
        "roof of bfloat16, 2 threads: 800 GFLOP/s",
        "memory copy, 1 thread: 10.0 GB/s",
        "memory copy, 2 threads: 20.0 GB/s",
        "noise floor: 1.0 %, the largest difference between 3 timings of one configuration",
    ]


def test_what_was_not_measured_has_no_line(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    bare = make_session(roofs=(), copies=(), same=(make_timing(), make_timing(outcome="failed")), instructions="", device="cuda")
    assert session_lines(bare, ledger) == ["Testor 9, 2 cores, cuda, torch 2.9"]


def test_timings_that_failed_make_no_floor(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    same = (make_timing(seconds=0.5), make_timing(outcome="failed"), make_timing(seconds=0.52))
    assert lines_of(make_session(same=same), ledger)[-1] == (
        "noise floor: 4.0 %, the largest difference between 2 timings of one configuration"
    )


def lines_of(session: Session, ledger: Ledger) -> list[str]:
    """The lines after those of roofs and copies."""
    return [line for line in session_lines(session, ledger)[1:] if not line.startswith(("roof", "memory"))]


def result_of(session: Session, ledger: Ledger) -> list[str]:
    """The lines after the machine's."""
    return [line for line in lines_of(session, ledger) if not line.startswith("noise floor")]


def test_the_fastest_has_its_ratio_and_its_share(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    slow, fast, failed = make_timing(seconds=0.5), make_timing(seconds=0.25, **FAST), make_timing(dtype="float16", outcome="failed")
    assert result_of(make_session(slow, fast, failed), ledger) == [
        "resnet18 inference, batch 8: 32.0 images/s (bfloat16, channels last, compiled), 2.00 times the 16.0 of eager float32, "
        f"{100 * SHARE:.0f} % of the roof, fastest of 2",
        "  not timed: float16, NCHW, eager, 2 threads: out of memory",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(0.496, "no difference from the 16.0"), (0.49, "1.02 times the 16.0")])
def test_under_the_floor_there_is_no_ratio(
    make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger, seconds: float, words: str
) -> None:
    (line,) = result_of(make_session(make_timing(seconds=0.5), make_timing(seconds=seconds, **FAST)), ledger)
    assert f", {words} of eager float32, " in line


def test_a_row_without_an_interval_gives_way_within_the_floor(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    few = make_timing(seconds=(0.497, 0.497), **FAST)
    (line,) = result_of(make_session(make_timing(seconds=0.5), few), ledger)
    assert line.startswith("resnet18 inference, batch 8: 16.0 images/s (float32, NCHW, eager)")


def test_a_share_above_the_roof_is_said_to_be_off(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    (line,) = result_of(make_session(make_timing(seconds=0.1435)), ledger)  # within the floor
    assert "100 % of the roof, so that one of both is off" in line


def test_where_noise_hides_most_it_is_said_what_to_do(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    for most, said in ((1.6, True), (1.4, False)):
        lines = session_lines(make_session(make_timing(), same=(make_timing("alexnet", 1.0), make_timing("alexnet", most))), ledger)
        assert any("delete this record" in line for line in lines) is said


def test_eager_float32_is_compared_with_nothing_but_others(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    (alone,) = result_of(make_session(make_timing(seconds=4.0)), ledger)
    assert alone == "resnet18 inference, batch 8: 2.0 images/s (float32, NCHW, eager), 4 % of the roof, fastest of 1"
    (without,) = result_of(make_session(make_timing(seconds=4.0, **FAST)), ledger)
    assert "eager float32" not in without


def test_without_a_roof_or_macs_there_is_no_share(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    for session in (make_session(make_timing(), roofs=()), make_session(make_timing("squeezenet"))):
        (line,) = result_of(session, ledger)
        assert "of the roof" not in line


def test_networks_tasks_and_batches_have_a_line_each(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    rows = [make_timing(seconds=9.0, **change) for change in ({}, {"batch": 1}, {"task": "training"}, {"network": "vgg-d"})]
    assert [line.partition(":")[0] for line in result_of(make_session(*rows), ledger)[:4]] == [
        "resnet18 inference, batch 8",
        "resnet18 inference, batch 1",
        "resnet18 training, batch 8",
        "vgg-d inference, batch 8",
    ]


def test_a_network_that_failed_is_named(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    assert result_of(make_session(make_timing("vgg-e", threads=1, outcome="failed", reason="hung")), ledger) == [
        "vgg-e inference, batch 8: nothing was timed",
        "  not timed: float32, NCHW, eager, 1 thread: hung",
    ]


def test_flags_stand_beside_the_number(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    blocks = (*[4.0] * 5, 4.3)
    (line,) = result_of(make_session(make_timing(seconds=blocks, others=0.3)), ledger)
    assert line.endswith(", fastest of 1, ±2.4 %, 2 % not reached, others used 30 % of the machine")


def test_wrong_ways_have_a_factor_or_a_reason(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    how = make_timing().configuration
    mistakes = (
        Mistake(name="one cold call", configuration=how, right=0.5, wrong=1.25),
        Mistake(name="no synchronisation", configuration=how, reason="needs another device"),
    )
    assert result_of(make_session(mistakes=mistakes), ledger) == [
        "timed wrongly, one cold call: 2.50 times the time of a call",
        "timed wrongly, no synchronisation: needs another device",
    ]


def test_doubts_come_last(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    lines = result_of(make_session(make_timing(seconds=0.1)), ledger)  # 287 of 200 GFLOP/s
    assert lines[-1].startswith("doubt: no row is above the roof: resnet18 inference, cpu, batch 8, 2 threads: ")
    assert "144 % of the roof" in lines[-1]


def test_the_document_holds_the_raw_rows_and_what_follows(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    row, failed = make_timing(seconds=0.25, **FAST), make_timing("vgg-d", outcome="failed")
    session = make_session(row, failed)
    document = session_document(session, ledger)
    assert json.loads(json.dumps(document)) == document
    assert document["noise_floor"] == pytest.approx(0.01)
    assert document["doubts"] == []
    timed, untimed = document["rows"]
    assert (timed["median"], timed["images_per_second"], timed["flags"]) == (0.25, 32.0, [])
    assert timed["roof_share"] == pytest.approx(SHARE)
    assert not {"median", "images_per_second", "roof_share"} & set(untimed)
    assert (untimed["outcome"], untimed["reason"], untimed["flags"]) == ("failed", "out of memory", [])
    derived = {"median", "images_per_second", "roof_share", "flags"}
    raw = [{key: value for key, value in each.items() if key not in derived} for each in document["rows"]]
    kept = {key: value for key, value in document.items() if key not in ("noise_floor", "doubts")}
    assert Session.model_validate(kept | {"rows": raw}) == session


def test_the_document_says_doubts_in_sentences(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    (doubt,) = session_document(make_session(make_timing(seconds=0.1)), ledger)["doubts"]
    assert doubt.startswith("resnet18 inference, cpu, batch 8, 2 threads: float32, NCHW, eager: 287 GFLOP/s, 144 % of the roof of 200")


def test_a_line_says_the_rate_its_interval_and_what_stands_out(make_timing: MakeTiming) -> None:
    assert line(make_timing(seconds=0.5, batch=8)) == "16.0 images/s ±0.3 %, 500.00 ms a batch"
    assert line(make_timing(outcome="failed")) == "failed: out of memory"
    assert line(make_timing(seconds=(2.0,), batch=8)) == "4.0 images/s (1 of the six blocks that an interval needs), 2,000.00 ms a batch"
    odd = make_timing(seconds=0.5, first_call=30.0, others=0.25)
    assert line(odd).endswith(", 500.00 ms a batch, first call 30.0 s, others used 25 % of the machine")
