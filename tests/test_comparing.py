from __future__ import annotations

from collections.abc import Callable

import pytest

from repro.throughput.comparing import compare, comparison_lines
from repro.throughput.timing import Session, Timing

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]


def test_changes_above_the_floor_count(make_timing: MakeTiming, make_session: MakeSession) -> None:
    before = make_session(make_timing("vgg-d", 0.5), make_timing("vgg-e", 0.5), make_timing("resnet18", 0.5), make_timing("alexnet"))
    after = make_session(make_timing("vgg-d", 0.4), make_timing("vgg-e", 0.6), make_timing("resnet18", 0.504), make_timing("resnet34"))
    comparison = compare(before, after)
    assert comparison.reason is None
    assert comparison.notes == ("timed in both: 3 of 4 rows before, and of 4 after",)
    verdicts = {row.configuration.network: row.verdict for row in comparison.rows}
    assert verdicts == {"vgg-d": "faster", "vgg-e": "slower", "resnet18": "no difference"}
    assert [row.ratio for row in comparison.rows] == pytest.approx([0.8, 1.2, 1.008])
    assert comparison_lines(comparison)[:3] == [
        "Testor 9, 2 cores: a difference counts above the noise floor of 1.0 % where the 95 % intervals don't overlap",
        "timed in both: 3 of 4 rows before, and of 4 after",
        "vgg-d inference, cpu, batch 8, 2 threads: float32, NCHW, eager: 500 ms before, 400 ms after, x0.80: faster",
    ]


@pytest.mark.parametrize("noisy_is_before", [True, False])
def test_the_larger_floor_decides(make_timing: MakeTiming, make_session: MakeSession, noisy_is_before: bool) -> None:
    noise = {"same": (make_timing(seconds=1.0), make_timing(seconds=1.1))}
    before = make_session(make_timing(seconds=0.5), **(noise if noisy_is_before else {}))
    after = make_session(make_timing(seconds=0.53), **({} if noisy_is_before else noise))
    assert [row.verdict for row in compare(before, after).rows] == ["no difference"]
    assert [row.verdict for row in compare(make_session(*before.rows), make_session(*after.rows)).rows] == ["slower"]


def test_a_change_of_the_code_is_not_taken_for_noise(make_timing: MakeTiming, make_session: MakeSession) -> None:
    """It slows the A/A run too, which then doesn't say how large the noise is between both."""
    runs = [tuple(make_timing(seconds=seconds) for seconds in each) for each in ((0.100, 0.101), (0.130, 0.131))]
    before = make_session(make_timing("resnet50", 0.468), same=runs[0])
    for change in ({"commit": "def"}, {"torch": "2.10"}, {"python": "3.12"}, {"dirty": True}):
        comparison = compare(before, make_session(make_timing("resnet50", 0.608), same=runs[1], **change))
        assert [row.verdict for row in comparison.rows] == ["slower"]
        assert comparison.floor == pytest.approx(0.01)
        assert comparison.notes[-2] == (
            "the A/A run, resnet18 inference, cpu, batch 8, 2 threads: float32, NCHW, eager: 100 ms before, 130 ms after"
        )
    assert [row.verdict for row in compare(before, make_session(make_timing("resnet50", 0.608), same=runs[1])).rows] == ["no difference"]
    still = [make_session(make_timing(), same=(make_timing(),) * 2, commit=commit) for commit in ("abc", "def")]
    assert compare(*still).floor == 0.0, "which was measured"


def test_intervals_that_overlap_are_no_difference(make_timing: MakeTiming, make_session: MakeSession) -> None:
    wide = make_timing(seconds=(0.4, 0.5, 0.6, 0.6, 0.6, 0.7))  # median 0.6, 95 % from 0.4 to 0.7
    for other, verdict in ((0.5, "no difference"), (0.35, "slower"), (0.8, "faster")):
        assert [row.verdict for row in compare(make_session(make_timing(seconds=other)), make_session(wide)).rows] == [verdict]


def test_without_intervals_nothing_counts(make_timing: MakeTiming, make_session: MakeSession) -> None:
    few = make_session(make_timing(seconds=(0.1, 0.1, 0.1)))
    assert [row.verdict for row in compare(make_session(make_timing()), few).rows] == ["no difference"]


def test_what_else_differs_is_noted(make_timing: MakeTiming, make_session: MakeSession) -> None:
    before = make_session(make_timing(), make_timing("vgg-d"), same=())
    after = make_session(
        make_timing(seconds=0.4), make_timing("vgg-d", outcome="failed"), make_timing("vgg-e", outcome="failed"), same=(), torch="2.10"
    )
    comparison = compare(before, after)
    assert comparison.notes == (
        "torch 2.9 before and 2.10 after: a difference may be torch's",
        "no noise floor was measured before: a difference may be noise",
        "no noise floor was measured after: a difference may be noise",
        "timed in both: 1 of 2 rows before, and of 1 after",
        "failed after, but not before: vgg-d inference, cpu, batch 8, 2 threads: float32, NCHW, eager",
    )
    assert [row.verdict for row in comparison.rows] == ["faster"]
    lines = comparison_lines(comparison)
    assert lines[0] == "Testor 9, 2 cores: a difference counts where the 95 % intervals don't overlap"
    assert lines[1:6] == list(comparison.notes)
    busy = make_session(make_timing(others=0.5))
    assert compare(make_session(make_timing()), busy).notes[0] == "others used up to 50 % of the machine after"
    half_busy = make_session(make_timing(), make_timing("vgg-a", others=0.5))
    assert compare(half_busy, make_session(make_timing())).notes[0] == "others used up to 50 % of the machine before"
    unknown = make_session(make_timing(), cpu_model="")
    assert compare(unknown, unknown).notes[0] == "the model of the CPU is not recorded: these may be two"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"hardware": "Quickor 3, 8 cores"}, "before is on Testor 9, 2 cores, after on Quickor 3, 8 cores"),
        (
            {"cpu_model": "family 1 model 3"},
            "before is on Testor 9, 2 cores, family 1 model 2, after on Testor 9, 2 cores, family 1 model 3",
        ),
        (
            {"cpu_model": ""},
            "before is on Testor 9, 2 cores, family 1 model 2, after on Testor 9, 2 cores, of a model that is not recorded",
        ),
        (
            {"instructions": "avx512", "torch": "2.10"},
            "before, Testor 9, 2 cores computes with avx2, after, Testor 9, 2 cores computes with avx512",
        ),
        ({"instructions": "avx512"}, "before, Testor 9, 2 cores computes with avx2, after, Testor 9, 2 cores computes with avx512"),
        ({"source": "pytest-benchmark"}, "on Testor 9, 2 cores, before is timed by repro bench, after by pytest-benchmark"),
        ({"rows": ()}, "no configuration was timed in both sessions of Testor 9, 2 cores"),
    ],
)
def test_what_is_not_comparable_says_why(make_timing: MakeTiming, make_session: MakeSession, changes: dict[str, str], line: str) -> None:
    comparison = compare(make_session(make_timing()), make_session(make_timing(seconds=0.1), **changes))
    assert comparison.rows == ()
    assert comparison_lines(comparison) == [f"not comparable: {line}"]


@pytest.mark.parametrize("changes", [{"threads": 1}, {"dtype": "bfloat16"}, {"batch": 1}, {"task": "training"}, {"outcome": "failed"}])
def test_other_configurations_are_not_common(make_timing: MakeTiming, make_session: MakeSession, changes: dict[str, str | int]) -> None:
    comparison = compare(make_session(make_timing()), make_session(make_timing(**changes)))
    assert comparison.reason == "no configuration was timed in both sessions of Testor 9, 2 cores"
