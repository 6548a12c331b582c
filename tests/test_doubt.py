from __future__ import annotations

from collections.abc import Callable

import pytest

from repro import Ledger
from repro.throughput.doubt import (
    are_apart,
    baseline,
    clocks_of,
    differ,
    doubts,
    doubts_between,
    fastest,
    fastest_by_network,
    flags,
    group,
    mistaken,
    speed_up,
)
from repro.throughput.timing import Clocks, Mistake, Product, Roof, Session, Timing, larger_floor

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]

#: Standard deviation over mean: 0.0596, 0.0456 and 0.0597; only the interval of the last reaches out to its longest block.
SPREAD = (*[1.0] * 11, 1.21)
CALM = (*[1.0] * 11, 1.16)
WIDE = (*[1.0] * 5, 1.15)


# ---------------------------------------------------------------- one row, or two


def test_a_calm_row_has_no_flags(make_timing: MakeTiming) -> None:
    assert flags(make_timing()) == []
    assert flags(make_timing(others=0.05, clocks=(Clocks(sm=1980, memory=2619, temperature=40),))) == []
    assert flags(make_timing(seconds=CALM)) == []
    assert flags(make_timing(others=None)) == []
    assert flags(make_timing(outcome="failed", others=0.9)) == []


def test_each_flag_says_by_how_much(make_timing: MakeTiming) -> None:
    clocks = tuple(
        Clocks(sm=1200, memory=2619, temperature=85, throttled=reasons) for reasons in (("power cap",), (), ("heat", "power cap"))
    )
    assert flags(make_timing(seconds=SPREAD)) == ["varies by 6.0 %"]
    assert flags(make_timing(seconds=WIDE)) == ["varies by 6.0 %", "±4.8 %, 2 % not reached"]
    assert flags(make_timing(others=0.12)) == ["others used 12 % of the machine"]
    assert flags(make_timing(flat=False)) == ["still warming up"]
    assert flags(make_timing(flat=True)) == []
    assert flags(make_timing(clocks=clocks)) == ["throttled: power cap, heat"]
    assert len(flags(make_timing(seconds=WIDE, others=0.2, clocks=clocks))) == 4


def test_what_a_gpu_did_is_told(make_timing: MakeTiming) -> None:
    clocks = tuple(Clocks(sm=sm, memory=2619, temperature=degrees) for sm, degrees in ((1980, 41), (1755, 67), (1900, 60)))
    assert clocks_of(make_timing(clocks=clocks)) == ["1,755 to 1,980 MHz, 41 to 67 °C"]
    assert clocks_of(make_timing()) == []


@pytest.mark.parametrize(("wrong", "words"), [(0.3, "3"), (0.1009, "no difference"), (0.05, "0.5"), (None, None)])
def test_a_wrong_timer_within_the_noise_makes_no_difference(make_timing: MakeTiming, wrong: float | None, words: str | None) -> None:
    mistake = Mistake(name="one", configuration=make_timing().configuration, right=0.1, wrong=wrong, reason=None if wrong else "why")
    assert mistaken(mistake, 0.01) == words


def test_a_row_of_one_block_varies_by_nothing_that_can_be_said(make_timing: MakeTiming) -> None:
    assert flags(make_timing(seconds=(3.0,))) == ["fewer than six blocks, 2 % not reached"]


@pytest.mark.parametrize(("a", "b", "differs"), [(1.0, 1.03, False), (1.03, 1.0, False), (1.0, 1.05, True), (1.05, 1.0, True)])
def test_a_difference_counts_above_the_floor_in_both_directions(a: float, b: float, differs: bool) -> None:
    assert differ(a, b, 0.04) is differs
    assert differ(a, b, None)


def test_the_two_timings_that_make_the_floor_do_not_differ(make_session: MakeSession) -> None:
    session = make_session()
    assert not differ(session.same[0].median, session.same[1].median, session.floor)


def test_ratios_within_the_floor_are_no_difference(make_timing: MakeTiming) -> None:
    def words(slow: float, fast: float, floor: float | None) -> str:
        return speed_up(make_timing(seconds=slow), make_timing(seconds=fast), floor)

    assert words(0.72, 0.5, 0.04) == "1.44"
    assert words(0.51, 0.5, 0.04) == "no difference"
    assert words(0.51, 0.5, None) == "1.02"
    assert words(0.5, 1.0, 0.04) == "0.50"  # what is called fast isn't


def test_rows_whose_intervals_overlap_are_no_difference(make_timing: MakeTiming) -> None:
    wide = make_timing(seconds=tuple(0.5 + 0.05 * number for number in range(-5, 6)))
    near, far, few = make_timing(seconds=0.6), make_timing(seconds=0.9), make_timing(seconds=(0.6, 0.6))
    assert speed_up(near, wide, 0.01) == "no difference"
    assert speed_up(far, wide, 0.01) == "1.80"
    assert speed_up(few, wide, 0.01) == "1.20", "without an interval the floor decides"


def test_the_floor_of_two_sessions_holds_what_lies_between_them(make_timing: MakeTiming, make_session: MakeSession) -> None:
    one, two = (make_session(same=(make_timing(seconds=each), make_timing(seconds=1.01 * each))) for each in (1.0, 1.4))
    assert one.floor == pytest.approx(0.01)
    assert larger_floor(one, two) == pytest.approx(0.414)
    elsewhere = make_session(same=two.same, hardware="Another 7")
    assert larger_floor(one, elsewhere) == pytest.approx(0.01), "two machines share no floor"


def test_the_larger_of_the_floors_that_are_known(make_timing: MakeTiming, make_session: MakeSession) -> None:
    noisy = make_session(same=(make_timing(seconds=1.0), make_timing(seconds=1.2)))
    assert larger_floor(make_session(same=()), noisy) == pytest.approx(0.2)
    other = make_session(same=(make_timing("vgg-a", 1.0), make_timing("vgg-a", 1.01)))
    assert larger_floor(noisy, other) == pytest.approx(0.2)
    assert larger_floor(make_session(same=())) is None


# ---------------------------------------------------------------- choosing rows


def test_the_fastest_has_the_most_images_a_second(make_timing: MakeTiming) -> None:
    small, large = make_timing(seconds=0.1, batch=1), make_timing(seconds=0.4, batch=8)  # 10 and 20 images/s
    assert fastest([small, make_timing(outcome="failed"), large]) is large
    assert fastest([make_timing(outcome="failed")]) is None


def beyond(floor: float) -> Callable[[Timing, Timing], bool]:
    return lambda one, other: are_apart(one, other, floor)


def test_a_row_without_an_interval_is_the_fastest_only_beyond_the_floor(make_timing: MakeTiming) -> None:
    few, sure, batch_1 = make_timing(seconds=(0.4, 0.4)), make_timing(seconds=0.41), make_timing(seconds=0.0512, batch=1)
    assert fastest([few, sure, batch_1], beyond(0.05)) is sure
    assert fastest([few, make_timing(seconds=0.415, layout="channels_last"), sure], beyond(0.05)) is sure, "the best of those"
    assert fastest([few, sure], beyond(0.01)) is few
    assert fastest([few, sure]) is few, "without a floor any difference is one"
    assert fastest([few, batch_1, make_timing(seconds=0.4, batch=4)], beyond(0.05)) is few, "another batch is another question"


def test_the_baseline_is_eager_float32_on_the_most_threads(make_timing: MakeTiming) -> None:
    one, two = make_timing(seconds=0.3, threads=1), make_timing(seconds=0.5, threads=2)
    quick = make_timing(seconds=0.1, compiled=True, threads=4)
    assert baseline([one, two, quick, make_timing(threads=8, outcome="failed")]) is two
    assert baseline([quick]) is None


def test_groups_hold_what_may_be_called_the_fastest(make_timing: MakeTiming) -> None:
    rows = [make_timing(), make_timing(dtype="bfloat16", threads=1), make_timing(batch=1), make_timing(task="training")]
    assert group(rows) == {
        ("resnet18", "inference", "cpu", 8): rows[:2],
        ("resnet18", "inference", "cpu", 1): rows[2:3],
        ("resnet18", "training", "cpu", 8): rows[3:],
    }


def test_the_fastest_of_each_network_at_one_task(make_timing: MakeTiming) -> None:
    slow, quick, other = make_timing(seconds=0.5), make_timing(seconds=0.9, batch=64), make_timing("vgg-d")
    rows = [slow, make_timing(seconds=0.01, task="training"), quick, other, make_timing("vgg-e", outcome="failed")]
    assert fastest_by_network(rows, "inference") == {"resnet18": quick, "vgg-d": other}


# ---------------------------------------------------------------- rules of a session


def test_a_good_session_has_no_doubts(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    rows = [
        make_timing("resnet18", 0.5), make_timing("resnet18", 0.3, dtype="bfloat16"), make_timing("resnet18", 0.6, compiled=True),
        make_timing("resnet34", 0.9), make_timing("resnet50", 1.2), make_timing("vgg-a", 1.0), make_timing("squeezenet", 0.2),
    ]  # fmt: skip
    assert doubts(make_session(*rows), ledger) == []
    assert doubts(make_session(), ledger) == []


def test_nothing_faster_than_eager_float32_is_said(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    rows = [make_timing(seconds=0.5), make_timing(seconds=0.7, compiled=True), make_timing(seconds=0.6, dtype="bfloat16")]
    (doubt,) = doubts(make_session(*rows), ledger)
    assert doubt.rule == "something is faster than eager float32"
    assert doubt.what == (
        "resnet18 inference, cpu, batch 8, 2 threads: float32, NCHW, eager takes 500 ms, and nothing else that was timed is faster: "
        "the best of 2 is bfloat16, NCHW, eager with 600 ms"
    )


def test_a_tie_and_other_threads_or_batches_are_no_doubt(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    eager = make_timing(seconds=0.5)
    for other in (
        make_timing(seconds=0.504, compiled=True),  # within the floor of 1 %
        make_timing(seconds=0.6, compiled=True, threads=1),
        make_timing(seconds=0.6, compiled=True, batch=4),
        make_timing(compiled=True, outcome="failed"),
    ):
        assert doubts(make_session(eager, other), ledger) == []


def test_a_larger_network_in_less_time_is_said_once(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    rows = [make_timing("resnet34", 0.8), make_timing("resnet50", 0.78), make_timing("resnet18", 0.79)]
    (doubt,) = doubts(make_session(*rows), ledger)
    assert doubt.rule == "time grows with MACs"
    assert doubt.what == (
        "resnet50 inference, cpu, batch 8, 2 threads: float32, NCHW, eager: 780 ms for 3,860 million MACs an image, "
        "but resnet34 takes 800 ms for 3,640 million"
    )


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (("vgg-a", {}), ("vgg-e", {})),
        (("plain20", {"batch": 128}), ("plain56", {"batch": 128})),
        (("resnet20", {"batch": 128}), ("resnet110", {"batch": 128})),
        (("resnet50", {"task": "training"}), ("resnet152", {"task": "training"})),
    ],
)
def test_families_grow(
    make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger,
    small: tuple[str, dict[str, str | int]], large: tuple[str, dict[str, str | int]],
) -> None:  # fmt: skip
    def rules(first: float, second: float) -> list[str]:
        rows = make_timing(small[0], first, **small[1]), make_timing(large[0], second, **large[1])
        return [doubt.rule for doubt in doubts(make_session(*rows, roofs=()), ledger)]

    assert rules(2.0, 1.9) == ["time grows with MACs"]
    assert rules(2.0, 1.99) == []  # within the floor
    assert rules(1.9, 2.0) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("resnet18", {}), ("resnet50", {"dtype": "bfloat16"})),
        (("resnet18", {}), ("resnet50", {"compiled": True})),
        (("resnet18", {"threads": 1}), ("resnet50", {})),
        (("resnet18", {"allocator": "keep"}), ("resnet50", {})),
        (("resnet18", {}), ("vgg-e", {})),  # another paper
        (("resnet110", {}), ("resnet18", {})),  # another input
        (("plain34", {}), ("resnet50", {})),  # another design
        (("resnet18", {}), ("plain18", {})),
        (("vgg-a", {}), ("vgg-a-lrn", {})),  # as many MACs
        (("lenet5", {}), ("lenet5-modern", {})),  # public code's
        (("resnet50", {}), ("resnet50-v1.5", {})),
    ],
)
def test_what_is_not_alike_is_not_compared(
    make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger,
    first: tuple[str, dict[str, str | int]], second: tuple[str, dict[str, str | int]],
) -> None:  # fmt: skip
    rows = make_timing(first[0], 2.0, **first[1]), make_timing(second[0], 1.0, **second[1])
    assert [doubt for doubt in doubts(make_session(*rows, roofs=()), ledger) if doubt.rule == "time grows with MACs"] == []


def test_a_roof_that_falls_with_more_threads_is_said(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    def roofs(one: float, two: float) -> tuple[Roof, ...]:
        return tuple(
            Roof(dtype="bfloat16", threads=threads, products=(Product(n=512, flops=flops),)) for threads, flops in ((1, one), (2, two))
        )

    (doubt,) = doubts(make_session(make_timing(), roofs=roofs(2e12, 1.5e12)), ledger)
    assert doubt.rule == "a roof doesn't fall with more threads"
    assert doubt.what == "bfloat16: 2,000 GFLOP/s on 1 thread, 1,500 GFLOP/s on 2 threads"
    assert doubts(make_session(make_timing(), roofs=roofs(2e12, 1.99e12)), ledger) == [], "within the floor of 1 %"
    assert doubts(make_session(make_timing(), roofs=roofs(2e12, 4e12)), ledger) == []


def test_roofs_that_sessions_do_not_share_are_said(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    one = make_session(make_timing())
    roofs = tuple(roof.model_copy(update={"products": (Product(n=512, flops=roof.flops / 1.5),)}) for roof in one.roofs)
    other = make_session(make_timing(), roofs=roofs[:1])
    (doubt,) = doubts_between(one, (one, other), ledger)
    assert doubt.rule == "a roof is the same in every session, within 10 %"
    assert doubt.what.startswith("float32 on 1 thread: 66.7 GFLOP/s to 100 GFLOP/s, so that shares")
    assert doubts_between(one, (one, one), ledger) == []
    noisy = make_session(make_timing(), same=(make_timing(seconds=1.0), make_timing(seconds=1.6)))
    assert doubts_between(one, (one, other, noisy), ledger) == [doubt], "noise is no excuse"
    near = tuple(roof.model_copy(update={"products": (Product(n=512, flops=roof.flops / 1.09),)}) for roof in one.roofs)
    assert doubts_between(one, (one, make_session(make_timing(), roofs=near, same=())), ledger) == []


def test_a_row_above_the_roof_is_said(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    # 2 * 1,794,805,760 FLOP * 8 images at 200 GFLOP/s are 143.58 ms
    (doubt,) = doubts(make_session(make_timing(seconds=0.1)), ledger)
    assert doubt.rule == "no row is above the roof"
    assert doubt.what.startswith(
        "resnet18 inference, cpu, batch 8, 2 threads: float32, NCHW, eager: 287 GFLOP/s, 144 % of the roof of 200: "
    )
    assert doubts(make_session(make_timing(seconds=0.1435)), ledger) == []  # above, within the floor of 1 %
    assert len(doubts(make_session(make_timing(seconds=0.1435), same=()), ledger)) == 1
    assert doubts(make_session(make_timing(seconds=0.1, dtype="bfloat16")), ledger) == []
    assert len(doubts(make_session(make_timing(seconds=0.2, threads=1)), ledger)) == 1
