from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from repro import Ledger, ReproError
from repro.throughput.timing import Mistake, Roof, Session, Timing, load_sessions, read_session

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]

BLOCKS = (0.9, 0.4, 0.5, 0.6, 0.5, 0.5)


def test_median_interval_and_rates_of_raw_blocks(make_timing: MakeTiming) -> None:
    row = make_timing(seconds=BLOCKS, batch=8)
    assert row.median == 0.5
    low, high = 0.4 + 5 / 14 * 0.1, 0.9 - 5 / 14 * 0.3
    assert row.interval is not None
    assert (row.interval.low, row.interval.high) == pytest.approx((low, high))
    assert row.half_width == pytest.approx((high - low) / 2 / 0.5)
    assert not row.reached
    assert make_timing().reached
    assert row.images_per_second == 16
    assert row.rates is not None
    assert (row.rates.low, row.rates.high) == pytest.approx((8 / high, 8 / low))  # the slow end of the seconds is the low end of the rate
    assert row.variation == pytest.approx(0.17512 / 0.56667, rel=1e-3)


def test_a_record_that_says_whether_two_per_cent_were_reached_is_asked_anew(make_timing: MakeTiming) -> None:
    row = make_timing(seconds=BLOCKS)
    written = json.loads(row.model_dump_json())
    assert "reached" not in written
    assert Timing.model_validate_json(json.dumps(written | {"reached": True})) == row


def test_few_blocks_have_a_median_and_no_interval(make_timing: MakeTiming) -> None:
    row = make_timing(seconds=(0.5, 0.7))
    assert row.median == pytest.approx(0.6)
    assert (row.interval, row.rates, row.half_width) == (None, None, math.inf)
    assert make_timing(seconds=(0.5,)).variation == math.inf


def test_a_mac_is_two_flops_and_training_takes_three_times_as_many(make_timing: MakeTiming) -> None:
    assert make_timing(seconds=0.5, batch=8).flops(1_000) == 2 * 1_000 * 16
    assert make_timing(seconds=0.5, batch=8, task="training").flops(1_000) == 6 * 1_000 * 16


def test_share_is_of_the_roof_of_the_same_dtype_and_threads(make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger) -> None:
    session = make_session()
    # ResNet-18: 1,794,805,760 MACs (H15 Table 1 prints 1.8 x 10^9)
    flops = 2 * 1_794_805_760 * 8 / 0.5
    assert session.share(make_timing(threads=2), ledger) == pytest.approx(flops / 200e9)
    assert session.share(make_timing(threads=1), ledger) == pytest.approx(flops / 100e9)
    assert session.share(make_timing(threads=2, dtype="bfloat16"), ledger) == pytest.approx(flops / 800e9)


@pytest.mark.parametrize("changes", [{"threads": 3}, {"dtype": "float16"}, {"network": "squeezenet"}, {"outcome": "failed"}])
def test_no_share_where_the_roof_the_macs_or_the_blocks_are_missing(
    make_timing: MakeTiming, make_session: MakeSession, ledger: Ledger, changes: dict[str, str]
) -> None:
    assert make_session().share(make_timing(**changes), ledger) is None


def test_roof_is_the_best_of_its_sizes_and_copies_are_by_threads(make_session: MakeSession) -> None:
    session = make_session()
    assert (session.roof("float32", 2), session.roof("bfloat16", 1), session.roof("tf32", 2)) == (200e9, 400e9, None)
    assert (session.copy_rate(2), session.copy_rate(3)) == (20e9, None)


def test_floor_is_the_largest_difference_of_two_medians_of_the_same(make_timing: MakeTiming, make_session: MakeSession) -> None:
    assert make_session().floor == pytest.approx(0.01)
    far = (make_timing(seconds=0.5), make_timing(seconds=0.4), make_timing(outcome="failed"))
    assert make_session(same=far).floor == pytest.approx(0.25)
    assert make_session(same=far[:1]).floor is None
    assert make_session(same=far[1:]).floor is None


def test_drift_is_the_largest_standard_deviation_of_a_configuration(make_timing: MakeTiming, make_session: MakeSession) -> None:
    calm, loud = (make_timing("alexnet", seconds) for seconds in (1.0, 1.01)), (make_timing(seconds=seconds) for seconds in (0.4, 0.5))
    assert make_session(same=(*calm, *loud)).drift == pytest.approx(math.log(0.5 / 0.4) / math.sqrt(2))
    assert make_session(same=(make_timing(),)).drift == math.inf


def test_a_session_has_one_row_of_a_configuration(make_timing: MakeTiming, make_session: MakeSession) -> None:
    with pytest.raises(ValidationError, match="resnet18 inference, cpu, batch 8, 2 threads: float32, NCHW, eager: two rows of one session"):
        make_session(make_timing(), make_timing(seconds=0.1))


def test_the_right_timer_of_the_exhibit_is_one_more_of_the_same(make_timing: MakeTiming, make_session: MakeSession) -> None:
    same, other = make_timing(seconds=0.5), make_timing(compiled=True).configuration
    shown = [Mistake(name=name, configuration=same.configuration, right=0.6, wrong=0.7) for name in ("one cold call", "no warm-up")]
    elsewhere = Mistake(name="no warm-up, compiled", configuration=other, right=0.1, wrong=0.7)
    session = make_session(same=(same,), mistakes=(*shown, elsewhere, shown[0].model_copy(update={"right": None, "reason": "why"})))
    assert session.same_medians == {same.configuration: [0.5, 0.6]}
    assert session.floor == pytest.approx(0.2)
    against = Mistake(name="TF32 silently on", configuration=other, against=same.configuration, right=0.75, wrong=0.1)
    assert make_session(same=(same,), mistakes=(against,)).floor == pytest.approx(0.5)


def test_labels_name_threads_on_a_cpu_only(make_timing: MakeTiming) -> None:
    assert make_timing().configuration.label == "resnet18 inference, cpu, batch 8, 2 threads: float32, NCHW, eager"
    changed = make_timing(device="cuda", dtype="bfloat16", layout="channels_last", compiled=True, allocator="keep").configuration
    assert changed.label == "resnet18 inference, cuda, batch 8: bfloat16, channels last, compiled, memory kept"
    assert make_timing().configuration.is_eager_fp32
    assert not any(
        make_timing(**change).configuration.is_eager_fp32
        for change in ({"dtype": "tf32"}, {"layout": "channels_last"}, {"compiled": True}, {"allocator": "keep"})
    )


def test_factor_of_a_mistake(make_timing: MakeTiming) -> None:
    how = make_timing().configuration
    assert Mistake(name="no synchronisation", configuration=how, right=0.5, wrong=0.01).factor == pytest.approx(0.02)
    assert Mistake(name="no synchronisation", configuration=how, reason="needs a GPU").factor is None
    with pytest.raises(ValidationError, match="a mistake that isn't shown has a reason"):
        Mistake(name="no synchronisation", configuration=how, right=0.5)


def test_a_roof_without_a_product_is_none() -> None:
    with pytest.raises(ValidationError, match="products"):
        Roof(dtype="float32", threads=1, products=())


def test_sessions_are_read_as_they_were_written_in_the_order_of_paths(
    tmp_path: Path, make_timing: MakeTiming, make_session: MakeSession
) -> None:
    sessions = [make_session(make_timing(seconds=seconds), make_timing("vgg-d", outcome="failed")) for seconds in (0.1, 0.2)]
    for name, session in zip(("b", "a"), sessions, strict=True):
        path = tmp_path / name / "timing" / "1.json"
        path.parent.mkdir(parents=True)
        path.write_text(session.model_dump_json(), encoding="utf-8")
    (tmp_path / "a" / "training.json").write_text("{}", encoding="utf-8")
    assert load_sessions(tmp_path) == tuple(session.model_copy(update={"file": "1.json"}) for session in reversed(sessions))
    assert "1.json" not in load_sessions(tmp_path)[0].model_dump_json(), "a file doesn't say its own name"
    assert load_sessions(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"format":1', '"format":2', "format"),
        ('"kind":"timing"', '"kind":"training"', "kind"),
        ('"dtype":"float32"', '"dtype":"float8"', "roofs.0.dtype"),
        ('"memory":', '"memory_size":', "memory"),
        ('"batch":8', '"batch":0', "same.0.configuration.batch"),
        ('"flops":', '"flops":-', "roofs.0.products.0.flops"),
        ('"bytes_per_second":', '"bytes_per_second":-', "copies.0.bytes_per_second"),
        ("{", "[{", "the file"),
    ],
)
def test_a_file_that_is_no_session_is_named_with_the_place(
    tmp_path: Path, make_session: MakeSession, old: str, new: str, where: str
) -> None:
    path = tmp_path / "1.json"
    path.write_text(make_session().model_dump_json().replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ReproError, match="expected timings of format 1; remove the file or take it from git again") as caught:
        read_session(path)
    assert str(caught.value).startswith(f"{path}: {where}: ")


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_numbers_of_a_record_are_finite(make_session: MakeSession, make_timing: MakeTiming, number: float) -> None:
    for changes in ({"first_call": number}, {"others": number}, {"transfer": number}):
        with pytest.raises(ValidationError):
            make_timing(**changes)
    with pytest.raises(ValidationError):
        make_session(copies=(), limit=number)
    with pytest.raises(ValidationError):
        make_timing(batch=10**400)


def test_a_session_does_not_change(make_session: MakeSession) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_session().memory = 0
