"""Timings by machine: which row counts, which is the fastest, and what a ratio is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reports.timed import Place, about_batch, is_step, places_of, times
from repro import Ledger
from repro.throughput.timing import Mistake, Session, Timing

Make = Callable[..., Timing]
MakeSession = Callable[..., Session]

FAST: dict[str, Any] = {"dtype": "bfloat16", "layout": "channels_last", "compiled": True}


def place_of(*sessions: Session) -> Place:
    (place,) = places_of(sessions)
    return place


def test_sessions_stand_together_by_hardware_and_device_and_cpus_come_first(make_timing: Make, make_session: MakeSession) -> None:
    gpu = make_session(make_timing(device="cuda"), hardware="A Fast GPU")
    other = make_session(make_timing(), hardware="Other, 4 cores")
    taken = make_session(make_timing(), source="pytest-benchmark")
    places = places_of([gpu, make_session(make_timing()), other, make_session(make_timing(seconds=0.6)), taken])
    assert [(place.name, len(place.sessions)) for place in places] == [
        ("Other, 4 cores (cpu)", 1),
        ("Testor 9, 2 cores (cpu)", 2),
        ("Testor 9, 2 cores (cpu, timed by pytest-benchmark)", 1),
        ("A Fast GPU (cuda)", 1),
    ]
    assert places[1].stem("rates") == "throughput-testor-9-2-cores-cpu-rates"


def test_the_quietest_session_that_timed_a_configuration_counts(make_timing: Make, make_session: MakeSession) -> None:
    quiet = make_session(make_timing(seconds=0.5), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 1.005)))
    usual, unknown = make_session(make_timing(seconds=0.4), make_timing("vgg-a")), make_session(make_timing(seconds=0.3), same=())
    noisy = make_session(make_timing(), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 1.5)))
    place = place_of(quiet, usual, unknown, noisy)
    assert {its.network: row.number for its, row in place.counting.items()} == {"resnet18": 1, "vgg-a": 2}
    assert place.merged.floor == pytest.approx(0.01), "of the sessions that count"
    assert place_of(usual, unknown, quiet).counting.keys() == place.counting.keys()


def test_the_surest_row_counts_by_its_own_interval_too(make_timing: Make, make_session: MakeSession) -> None:
    vague = make_session(
        make_timing(seconds=(0.4, 0.5, 0.5, 0.5, 0.5, 0.6)), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 1.01))
    )
    sure = make_session(make_timing(seconds=0.6), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 1.03)))
    assert [row.timing.median for row in place_of(sure, vague).counting.values()] == [0.6]
    loud = make_session(make_timing(seconds=0.6), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 1.5)))
    assert [row.timing.median for row in place_of(vague, loud).counting.values()] == [0.5]


def test_a_session_is_no_quieter_for_a_shorter_run(make_timing: Make, make_session: MakeSession) -> None:
    swings = [1.0, 1.02, 0.98, 1.01, 0.99] * 2
    short, long = (make_session(same=tuple(make_timing("alexnet", each) for each in swings[:count])) for count in (3, 10))
    assert long.floor == pytest.approx(short.floor)
    assert long.drift < short.drift
    assert make_session(same=()).drift == float("inf")


def test_of_sessions_that_are_as_quiet_the_last_counts(make_timing: Make, make_session: MakeSession) -> None:
    first = make_session(make_timing(seconds=0.5), make_timing("vgg-d", 1.0), make_timing("vgg-e", outcome="failed"))
    second = make_session(make_timing(seconds=0.25), make_timing("vgg-d", outcome="failed"), make_timing("vgg-e", outcome="failed"))
    place = place_of(first, second)
    assert {its.network: (row.timing.median, row.number) for its, row in place.counting.items()} == {
        "resnet18": (0.25, 2),
        "vgg-d": (1.0, 1),
    }
    assert [(row.configuration.network, row.number) for row in place.never_timed] == [("vgg-e", 2)]
    assert len(place.rows) == 6, "all rows are still there"


def test_a_row_that_got_little_time_gives_way(make_timing: Make, make_session: MakeSession) -> None:
    loud = (make_timing("alexnet", 1.0), make_timing("alexnet", 1.2))
    place = place_of(make_session(make_timing(seconds=0.5), same=loud), make_session(make_timing(seconds=0.4, glanced=True)))
    assert [row.timing.median for row in place.counting.values()] == [0.5], "however quiet the other's session was"


def test_a_share_is_of_the_rows_own_session(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    slow = make_session(make_timing("resnet50", 1.0))
    roofs = tuple(
        roof.model_copy(update={"products": tuple(p.model_copy(update={"flops": 2 * p.flops}) for p in roof.products)})
        for roof in slow.roofs
    )
    fast = make_session(make_timing("resnet18", 1.0), roofs=roofs)
    rows = {its.network: row for its, row in place_of(slow, fast).counting.items()}
    assert rows["resnet50"].share(ledger) == pytest.approx(2 * 8 * 3_857_973_248 / 2e11)
    assert rows["resnet18"].share(ledger) == pytest.approx(2 * 8 * 1_794_805_760 / 4e11)
    assert place_of(slow, fast).roofs(2)["float32"] == 4e11, "the figure's roof is the highest"


# ---------------------------------------------------------------- pairs


def test_the_fastest_is_of_the_same_batch_and_whatever_threads(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    rows = [
        make_timing(seconds=0.5),
        make_timing(seconds=0.9, threads=1),
        make_timing(seconds=0.25, **FAST),
        make_timing(seconds=0.2, threads=1, **FAST),
        make_timing(seconds=0.001, batch=1, **FAST),
        make_timing(seconds=0.1, task="training", **FAST),
        make_timing(dtype="float16", outcome="failed"),
    ]
    (pair,) = place_of(make_session(*rows)).pairs("inference", ledger)
    assert (pair.base.configuration.threads, pair.base.timing.median) == (2, 0.5)
    assert (pair.best.configuration.threads, pair.best.timing.median) == (1, 0.2)
    assert (pair.tried, pair.words) == (4, "2.50 times")
    assert about_batch(pair.base) == "batch 8, 2 threads"
    assert place_of(make_session(*rows)).pairs("training", ledger) == [], "there is no eager float32 row to compare with"


def test_a_speed_up_is_of_one_session_where_that_has_both_rows(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    good = make_session(make_timing(seconds=0.5), make_timing(seconds=0.25, **FAST))
    slow_day = make_session(make_timing(seconds=1.0))
    (pair,) = place_of(good, slow_day).pairs("inference", ledger)
    assert (pair.base.number, pair.words) == (1, "2.00 times"), "not 4.00"
    (pair,) = place_of(slow_day, make_session(make_timing(seconds=0.25, **FAST))).pairs("inference", ledger)
    assert (pair.base.number, pair.best.number) == (1, 2), "there is no other"
    (pair,) = place_of(good, make_session(make_timing(seconds=0.125))).pairs("inference", ledger)
    assert pair.rows == (pair.base,), "eager float32 is the fastest"


def test_the_noise_of_a_session_hides_no_speed_up_of_another(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    both = make_session(make_timing(seconds=1.0), make_timing(seconds=(0.5, 0.5), **FAST))
    noisy = make_session(make_timing("vgg-a"), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 3.0)))
    (pair, _) = place_of(both, noisy).pairs("inference", ledger)
    assert (pair.words, pair.alike) == ("2.00 times", 0)
    (pair, _) = place_of(make_session(*both.rows, same=noisy.same), noisy).pairs("inference", ledger)
    assert pair.rows == (pair.base,), "its own does: a row without an interval gives way"


def test_the_floor_between_sessions_is_of_all_their_runs(make_timing: Make, make_session: MakeSession) -> None:
    first, other = make_session(make_timing("vgg-a"), same=(make_timing(seconds=0.5),)), make_timing(seconds=0.1, batch=4)
    place = place_of(first, make_session(make_timing("vgg-b"), same=(make_timing(seconds=0.6), other)))
    assert [session.floor for session in place.sessions] == [None, None]
    assert place.merged.floor == pytest.approx(0.2)
    mistake = Mistake(name="no warm-up", configuration=make_timing().configuration, right=1.0, wrong=2.0)
    shown = first.model_copy(update={"mistakes": (mistake,)})
    assert place_of(shown, place.sessions[1]).merged.floor == pytest.approx(1.0), "the right timers of their exhibits too"


def test_networks_are_compared_at_the_batch_that_most_have(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    rows = [make_timing(name) for name in ("vgg-d", "vgg-a", "alexnet")]
    rows += [make_timing("resnet50", batch=batch) for batch in (1, 8, 64)] + [make_timing("lenet5", batch=batch) for batch in (8, 128)]
    pairs = place_of(make_session(*rows)).pairs("inference", ledger)
    assert [(pair.network, pair.base.configuration.batch) for pair in pairs] == [
        ("alexnet", 8),
        ("resnet50", 8),
        ("vgg-a", 8),
        ("vgg-d", 8),
        ("lenet5", 128),
    ], "by MACs, small images last; small networks have a batch of their own"


def test_a_network_that_no_paper_has_is_in_no_pair(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    assert place_of(make_session(make_timing("foreign"))).pairs("inference", ledger) == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "1.25 times"), (0.496, "no difference"), (0.504, "no difference"), (1.0, "0.50 times")]
)
def test_below_the_noise_floor_there_is_no_difference(make_timing: Make, make_session: MakeSession, seconds: float, words: str) -> None:
    place = place_of(make_session(make_timing(), make_timing(seconds=seconds, **FAST)))
    slow, fast = place.rows
    assert times(slow, fast) == words
    assert is_step(slow, fast) is (words != "no difference")


def test_of_two_sessions_the_larger_floor_counts(make_timing: Make, make_session: MakeSession) -> None:
    noisy = tuple(make_timing(seconds=seconds) for seconds in (0.5, 0.6))
    slow, fast = place_of(make_session(make_timing()), make_session(make_timing(seconds=0.45, **FAST), same=noisy)).counting.values()
    assert times(slow, fast) == times(fast, slow) == "no difference"


# ---------------------------------------------------------------- ladder


def climb(make_timing: Make, half: str, **common: Any) -> list[Timing]:
    steps: list[dict[str, Any]] = [{}, {"layout": "channels_last"}, {"dtype": half}, {"compiled": True}, {"allocator": "keep"}]
    done: dict[str, Any] = {}
    return [make_timing("resnet50", 1 / (number + 1), **(done := done | step), **common) for number, step in enumerate(steps)]


def test_the_ladder_adds_one_thing_at_a_time(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    place = place_of(make_session(*climb(make_timing, "bfloat16")))
    steps = place.ladder("inference", ledger)
    assert [step.name for step in steps] == ["eager float32", "+ channels last", "+ bfloat16", "+ compiled", "+ memory kept"]
    assert [times(steps[0].row, step.row) for step in steps[1:]] == ["2.00 times", "3.00 times", "4.00 times", "5.00 times"]
    assert place.ladder("training", ledger) == []


def test_the_ladder_is_of_the_session_that_climbed_most_of_it(ledger: Ledger, make_timing: Make, make_session: MakeSession) -> None:
    whole, slow_day = make_session(*climb(make_timing, "bfloat16")), make_session(make_timing("resnet50", 3.0))
    assert {step.row.number for step in place_of(slow_day, whole, slow_day).ladder("inference", ledger)} == {2}
    quiet = make_session(*climb(make_timing, "bfloat16"), same=(make_timing("alexnet", 1.0), make_timing("alexnet", 1.001)))
    assert {step.row.number for step in place_of(quiet, whole).ladder("inference", ledger)} == {1}, "the quietest of equals"
    start, rest = (make_session(*part) for rows in [climb(make_timing, "bfloat16")] for part in (rows[:2], rows[2:]))
    assert [step.row.number for step in place_of(start, rest).ladder("inference", ledger)] == [1, 1, 2, 2, 2], "one that went on"


def test_the_ladder_ends_at_the_first_step_that_is_missing_and_takes_no_other_row(
    ledger: Ledger, make_timing: Make, make_session: MakeSession
) -> None:
    rows = climb(make_timing, "bfloat16")
    other = make_timing("resnet50", 0.3, batch=1, dtype="bfloat16", layout="channels_last")
    steps = place_of(make_session(*rows[:2], other, *rows[3:])).ladder("inference", ledger)
    assert [step.name for step in steps] == ["eager float32", "+ channels last"]


def test_machines_of_one_name_that_are_not_alike_are_apart(make_timing: Make, make_session: MakeSession) -> None:
    changes = {"instructions": "amx_bf16", "torch": "3.0", "cpu_model": "family 3 model 4"}
    others = [make_session(make_timing(), **{key: value}) for key, value in changes.items()]
    names = [place.name for place in places_of([make_session(make_timing()), *others])]
    assert len(set(names)) == 4
    assert [sum(word in name for name in names) for word in ("amx_bf16", "torch 3.0", "family 3 model 4")] == [1, 1, 1]
    two = [place.name for place in places_of([make_session(make_timing()), others[0]])]
    assert len(set(two)) == 2
    assert not any("torch" in name for name in two), "only what differs is in a name"


def test_what_a_search_had_no_time_for_is_counted(make_timing: Make, make_session: MakeSession) -> None:
    base = make_timing("resnet50").configuration
    left = [base.model_copy(update=change) for change in ({"compiled": True}, {"dtype": "bfloat16"}, {"batch": 1, "compiled": True})]
    timed_later = make_session(make_timing("resnet50", compiled=True))
    place = place_of(make_session(make_timing("resnet50"), untried=tuple(left)), timed_later)
    assert place.untried(base) == 1
