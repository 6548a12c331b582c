"""throughput.md, from invented sessions: it says what the numbers say, doubts included, and mixes no machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from reports.judged import Judged
from reports.pages.throughput import write_throughput
from repro import Ledger
from repro.throughput.timing import Mistake, Session, Timing

Make = Callable[..., Timing]
MakeSession = Callable[..., Session]

FAST: dict[str, Any] = {"dtype": "bfloat16", "layout": "channels_last", "compiled": True}


def page(ledger: Ledger, *sessions: Session) -> str:
    return write_throughput(Judged.of(ledger, (), sessions)).replace("\N{NO-BREAK SPACE}", " ")


def row_of(text: str, *begins: str) -> list[str]:
    """The cells of the one line of a table that begins with these."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {' | '.join(begins)} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def link(network: str) -> str:
    return f"[{network}](networks/{network}.md)"


def test_without_a_session_there_is_the_command(ledger: Ledger) -> None:
    written = page(ledger)
    assert "No machine has a timing record yet: `repro bench --quick`" in written
    assert "`repro bench --device cuda` adds its rows" in written
    assert "|" not in written


def test_the_answer_and_the_rows_in_full(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    written = page(ledger, make_session(make_timing("resnet50", 1.0), make_timing("resnet50", 0.4, **FAST)))
    assert (
        "resnet50 takes 125 ms an image in eager float32 (batch 8, 2 threads) and 50 ms as bfloat16, channels last, compiled: 2.50 times"
        in written
    )
    answer = row_of(written, link("resnet50"), "3,857,973,248")
    assert answer[2:] == [
        "batch 8, 2 threads",
        "8 (7.98 to 8.02)",
        "20 (19.9 to 20.1)",
        "bfloat16, channels last, compiled",
        "2.50 times",
        "2",
        "0",
        "0",
    ]
    full = row_of(written, link("resnet50"), "float32, NCHW, eager", "8")
    # ms/batch, ms/image, images/s, ±, spread, n, first call, GiB, GFLOP/s = 2 x 3.858 GMAC x 8, of the 200 GFLOP/s of 2 threads
    assert full[4:] == ["1,000", "125", "8", "0.3", "0.3", "11 x 4", "1.99", "0.49", "61.7", "31", ""]
    assert row_of(written, link("resnet50"), "bfloat16, channels last, compiled", "8")[12:14] == ["154", "19"]


def test_a_dot_is_under_the_roof_of_its_own_session(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    first = make_session(make_timing("resnet50", 1.0))
    twice = tuple(
        roof.model_copy(update={"products": tuple(each.model_copy(update={"flops": 2 * each.flops}) for each in roof.products)})
        for roof in first.roofs
    )
    written = page(ledger, first, make_session(make_timing("vgg-d", 1.0), roofs=twice)).partition("Every dot of the figure")[2]
    # GFLOP/s = 2 x 3.858 or 15.470 GMAC x 8, of the 200 or 400 of 2 threads
    assert row_of(written, link("resnet50"))[3:] == ["61.7", "200", "31"]
    assert row_of(written, link("vgg-d"))[3:] == ["248", "400", "62"]


def test_within_noise_nothing_is_faster(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    session = make_session(make_timing("resnet50", 1.0), make_timing("resnet50", 0.995, **FAST), limit=4, budget=0, file="003.json")
    written = page(
        ledger, session, make_session(make_timing("resnet34-c", 0.5), make_timing("vgg-d", outcome="failed"), dirty=True, file="004.json")
    )
    assert row_of(written, link("resnet50"), "3,857,973,248")[-4:] == ["no difference", "2", "1", "0"]
    assert "1.01 times" not in written
    assert "Timed again and again for the noise floor: resnet34-c inference, cpu, batch 8, 2 threads: float32, NCHW, eager." in written
    record = "[003.json](records/testor-9-2-cores/timing/003.json)"
    assert row_of(written, "1", record)[2:] == ["4", "0", "2", "0", "1.0 %", "500, 505, 502", "`abc`"]
    second = row_of(written, "2", record.replace("003", "004"), "not recorded", "not recorded")
    assert second[4:] == ["1", "0", "1.0 %", "500, 505, 502, 500", "`abc`, with uncommitted changes"], (
        "a row of the same configuration belongs to it"
    )


def test_what_the_headline_is_worth_is_said_beside_it(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    whole = [
        make_session(make_timing("resnet50", slow), make_timing("resnet50", 0.1, glanced=slow == 1.0, **FAST)) for slow in (1.2, 1.0, 1.1)
    ]
    slow_day = make_session(make_timing("resnet50", 3.0), same=(make_timing("resnet34-c", 0.5), make_timing("resnet34-c", 0.6)))
    written = page(ledger, *whole, slow_day)
    (line,) = (line for line in written.splitlines() if line.startswith("**Testor"))
    assert "11.00 times as fast. In 3 sessions it was 10.00 to 12.00 times. Meanwhile one and the same configuration took up to " in line
    assert "up to 1.0 % longer at another moment; from session to session, up to 20.0 %." in line
    assert "at another moment. Matrix" in page(ledger, *whole)
    apart = [
        make_session(row, same=tuple(make_timing("alexnet", seconds * took) for took in (1.0, 1.01)))
        for row, seconds in zip(whole[1].rows, (1.0, 1.3), strict=True)
    ]
    assert "up to 31.3 % longer at another moment. Matrix" in page(ledger, *apart), "of two sessions, what lies between them counts"
    assert "Matrix products: 200 GFLOP/s in float32 and 800 GFLOP/s in bfloat16. Of 7 rows, 0 are flagged; 0 of them" in line
    slow_half = tuple(roof.model_copy(update={"dtype": "float16"}) for roof in whole[0].roofs if roof.threads == 1)
    slower = make_session(*whole[0].rows, roofs=(*whole[0].roofs, *(roof.model_copy(update={"threads": 2}) for roof in slow_half[:1])))
    assert "and 100 GFLOP/s in float16, so that float16 can't be expected to gain anything." in page(ledger, slower)
    assert "sessions it was" not in page(ledger, whole[0])
    assert "sessions it was" not in page(ledger, *(make_session(make_timing("resnet50", 1.0)) for _ in range(2)))


def test_a_ratio_without_an_interval_says_so(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    written = page(ledger, make_session(make_timing("vgg-e", (4.0, 4.0)), make_timing("vgg-e", 1.5, **FAST)))
    assert row_of(written, link("vgg-e"), "19,632,062,464")[-4] == "2.67 times, no interval"
    written = page(ledger, make_session(make_timing("vgg-e", (4.0, 4.0)), make_timing("vgg-e", 3.99, **FAST)))
    assert row_of(written, link("vgg-e"), "19,632,062,464")[-4] == "no difference"


def test_machines_stand_side_by_side_and_in_no_ratio(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    slow = make_session(make_timing(seconds=8.0), make_timing(seconds=4.0, **FAST))
    fast = make_session(make_timing(seconds=0.8), make_timing(seconds=0.08, **FAST), hardware="Other, 4 cores")
    written = page(ledger, slow, fast)
    assert row_of(written.partition("## How it is measured")[0], link("resnet18"))[1:] == [
        "100 (99.7 to 100), batch 8, bfloat16",
        "2 (1.99 to 2.01), batch 8, bfloat16",
    ]
    assert set(re.findall(r"[0-9.]+ times(?= \||\*| as)", written)) == {"2.00 times", "10.00 times"}, (
        "8/0.08, 4/0.08 and 8/0.8 aren't there"
    )
    assert written.index("## Other, 4 cores (cpu)") < written.index("## Testor 9, 2 cores (cpu)")


def test_a_gpu_has_a_crossover_that_names_both(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    cpu = make_session(*(make_timing(seconds=0.01 * batch, batch=batch) for batch in (1, 8)))
    gpu = make_session(*(make_timing(seconds=0.02, batch=batch, device="cuda", transfer=0.001) for batch in (1, 8)), hardware="A Fast GPU")
    assert "crossover" not in page(ledger, cpu).partition("## How it is measured")[0]
    assert "`repro bench --device cuda` adds its rows" in page(ledger, cpu)
    written = page(ledger, cpu, gpu)
    assert "adds its rows" not in written
    assert row_of(written, link("resnet18"), "inference", "A Fast GPU is faster than Testor 9, 2 cores from batch 8 on")
    assert row_of(written, link("resnet18"), "inference", "8")[4::2] == ["80", "21"]


def test_a_gpu_without_a_common_batch_has_the_command(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    gpu = make_session(make_timing(batch=64, device="cuda", transfer=0.001), hardware="A Fast GPU")
    written = page(ledger, make_session(make_timing()), gpu)
    assert "Without a batch that was timed on both: 1 comparison. `repro bench --batch 8` times" in written
    assert "Batch by batch" not in written


def test_machines_of_one_name_are_told_apart_in_crossovers(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    gpu = make_session(make_timing(seconds=0.02, device="cuda", transfer=0.001), hardware="A Fast GPU")
    cpus = [make_session(make_timing(), instructions=instructions) for instructions in ("avx2", "amx_bf16")]
    written = page(ledger, *cpus, gpu)
    assert "faster than Testor 9, 2 cores, avx2 at" in written
    assert "faster than Testor 9, 2 cores, amx_bf16 at" in written


def test_networks_that_nobody_timed_are_named(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    rows = [make_timing(name) for name in ledger.networks if name not in ("resnet1202", "vgg-d")]
    assert f"Timed on no machine: {link('vgg-d')} and {link('resnet1202')}." in page(ledger, make_session(*rows))
    rows += [make_timing("vgg-d"), make_timing("resnet1202", outcome="failed")]
    assert f"Timed on no machine: {link('resnet1202')}." in page(ledger, make_session(*rows)), "it was tried"
    assert "Timed on no machine" not in page(ledger, make_session(*rows[:-1], make_timing("resnet1202")))


def test_a_rule_that_only_rows_of_two_sessions_break_is_said(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    written = page(ledger, make_session(make_timing("resnet34", 0.4)), make_session(make_timing("resnet18", 0.8)))
    assert written.count("broken rule, **time grows with MACs**") == 1
    assert "- Between sessions: a broken rule, **time grows with MACs**: resnet34 inference" in written
    both = make_session(make_timing("resnet34", 0.4), make_timing("resnet18", 0.8))
    assert "Between sessions" not in page(ledger, both, make_session(make_timing("vgg-d", 8.0)))


def test_failures_appear_with_their_reasons(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    failed = make_timing("vgg-d", outcome="failed", reason="out of memory: 3 | 4 GiB", **FAST)
    alike = [
        make_timing("vgg-d", outcome="failed", reason="none", batch=batch, dtype=dtype) for batch in (1, 8) for dtype in ("float16", "tf32")
    ]
    written = page(ledger, make_session(make_timing(), failed, *alike))
    section = written.partition("### What has no time")[2]
    assert "| vgg-d inference, cpu, batch 8, 2 threads: bfloat16, channels last, compiled | out of memory: 3 \\| 4 GiB |" in section
    assert "| vgg-d inference, cpu, float16 and tf32: 4 ways | none |" in section
    assert "What has no time" not in page(ledger, make_session(make_timing()))


def test_doubts_and_flags_are_printed(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    wild = make_timing("resnet18", (0.4, 0.5, 0.6) * 4)
    impossible = make_timing("vgg-d", 0.5)  # 495 of 200 GFLOP/s
    written = page(ledger, make_session(wild, impossible))
    assert "A broken rule, **no row is above the roof**: vgg-d inference" in written
    assert row_of(written, link("resnet18"), "float32, NCHW, eager")[-1].startswith("varies by 17")
    machine = "[Testor 9, 2 cores (cpu)](#testor-9-2-cores-cpu)"
    assert row_of(written, machine)[1:5] == ["1", "2", "1", "0"], "sessions, rows, flagged, without a time"
    calm = make_session(make_timing(seconds=1.0))
    assert "- As far as there are rows to compare, no rule is broken" in page(ledger, calm)
    noisy = make_session(make_timing("vgg-d", 9.0), same=(make_timing(seconds=0.5), make_timing(seconds=0.7)))
    three = page(ledger, calm, make_session(impossible), noisy)
    assert "- Sessions 1 and 3: as far as there are rows to compare, no rule is broken" in three
    assert "- Session 2: a broken rule, **no row is above the roof**: vgg-d" in three
    assert row_of(three, machine)[7] == "1.0 to 40.0 %"


def test_wrong_timers_have_a_factor_or_a_reason(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    configuration = make_timing().configuration
    mistakes = (
        Mistake(name="one cold call", configuration=configuration, right=0.1, wrong=0.25),
        Mistake(name="no synchronisation", configuration=configuration, reason="needs another device"),
        Mistake(name="no warm-up", configuration=configuration, right=0.1, wrong=0.1005),
    )
    written = page(ledger, make_session(make_timing(), mistakes=mistakes))
    assert row_of(written, "one cold call")[2:] == ["100", "250", "2.5", ""]
    noisy = make_session(make_timing(), mistakes=(mistakes[0].model_copy(update={"wrong": 0.3}),), same=())
    assert row_of(page(ledger, make_session(make_timing(), mistakes=mistakes), noisy), "one cold call")[4] == "2.5", (
        "the quietest session's"
    )
    assert row_of(written, "no warm-up")[-2:] == ["no difference", ""]
    assert row_of(written, "no synchronisation")[2:] == ["", "", "", "needs another device"]


def test_days_of_a_recipe_and_how_far_that_reaches(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    written = page(ledger, make_session(make_timing("resnet50", 2.0, task="training")))
    cells = row_of(written, link("resnet50"), "H15 Section 3.4: 60e4 \\* 256 images of ILSVRC-2012 (1.28 million images)")
    days = 600_000 * 256 / 4 / 86_400
    assert cells[2:] == ["153,600,000", "float32, NCHW, eager, batch 8", "4", f"{days:.0f} days", "88", f"{days * 86_400 / 88:,.0f} times"]
    for seconds, words in ((0.05, "7.81 min"), (2.0, "5.21 h")):
        assert f"| {words} |" in page(ledger, make_session(make_timing("lenet5", seconds, task="training", batch=128)))
