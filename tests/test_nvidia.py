"""Clocks and throttle reasons, with an invented driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pynvml
import pytest
import torch

from bench.nvidia import REASONS, Watch
from repro.throughput.timing import Clocks

SEEN = Clocks(sm=1980, memory=2619, temperature=41)


@dataclass
class Driver:
    """What the driver would say: throttle bits, and whether it fails."""

    bits: int = 0
    fails: bool = False

    def answer(self, found: Any) -> Any:
        if self.fails:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return found


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    clocks = {pynvml.NVML_CLOCK_SM: SEEN.sm, pynvml.NVML_CLOCK_MEM: SEEN.memory}
    handles = {"GPU-abc": "handle"}

    def answers(handle: str, found: Any) -> Any:
        assert handle == "handle"
        return driver.answer(found)

    @dataclass
    class Properties:
        uuid: str = "abc"

    monkeypatch.setattr(torch.cuda, "get_device_properties", {"cuda:1": Properties()}.__getitem__)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: driver.answer(None))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", handles.__getitem__)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda handle: answers(handle, driver.bits))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetClockInfo", lambda handle, which: answers(handle, clocks[which]))
    monkeypatch.setattr(
        pynvml,
        "nvmlDeviceGetTemperature",
        lambda handle, which: answers(handle, {pynvml.NVML_TEMPERATURE_GPU: SEEN.temperature}[which]),
    )
    return driver


@pytest.mark.parametrize("device", ["cpu", "mps", "xpu"])
def test_only_an_nvidia_gpu_is_watched(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: pytest.fail("the driver is asked"))
    watch = Watch(device)
    watch.look()
    assert watch.seen == []


def test_each_reason_is_a_bit_and_has_its_words() -> None:
    assert len(REASONS) == len(set(REASONS.values())) == 5
    assert all(bit > 0 and bit & (bit - 1) == 0 for bit in REASONS)
    fine = pynvml.nvmlClocksEventReasonGpuIdle | pynvml.nvmlClocksEventReasonApplicationsClocksSetting
    assert not any(bit & fine for bit in REASONS)


def test_each_look_notes_clocks_temperature_and_why_it_is_no_faster(driver: Driver) -> None:
    watch = Watch("cuda:1")
    watch.look()
    driver.bits = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    watch.look()
    driver.bits = pynvml.nvmlClocksEventReasonGpuIdle
    watch.look()
    assert watch.seen == [SEEN, SEEN.model_copy(update={"throttled": ("power cap", "heat, by the hardware")}), SEEN]


def test_each_bit_alone_is_its_own_words(driver: Driver) -> None:
    watch = Watch("cuda:1")
    for bit in REASONS:
        driver.bits = bit
        watch.look()
    assert [seen.throttled for seen in watch.seen] == [(words,) for words in REASONS.values()]


def test_a_driver_that_fails_in_the_middle_ends_the_watch_quietly(driver: Driver) -> None:
    watch = Watch("cuda:1")
    watch.look()
    driver.fails = True
    watch.look()
    driver.fails = False
    watch.look()
    assert watch.seen == [SEEN], "what was seen stays, and it isn't asked again"


def test_without_a_driver_there_is_nothing_to_see(driver: Driver) -> None:
    driver.fails = True
    watch = Watch("cuda:1")
    driver.fails = False
    watch.look()
    assert watch.seen == []
