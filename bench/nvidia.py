"""Clocks, temperature and throttle reasons of an NVIDIA GPU, through NVIDIA's own library."""

from __future__ import annotations

import pynvml
import torch

from repro.throughput.timing import Clocks

#: Bits of the driver's answer that mean a GPU isn't as fast as it could be, in words. Idle and clocks that an application set are none.
REASONS = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "power cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "heat, by the driver",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "heat, by the hardware",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power brake",
}


class Watch:
    """Looks at a GPU whenever it's asked to; on other devices, and where the driver doesn't answer, it sees nothing."""

    def __init__(self, device: str) -> None:
        self.seen: list[Clocks] = []
        self._handle = None
        if torch.device(device).type == "cuda":
            try:
                pynvml.nvmlInit()
                self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
            except pynvml.NVMLError:
                pass

    def look(self) -> None:
        """Notes the state of this moment."""
        if self._handle is None:
            return
        try:
            bits = pynvml.nvmlDeviceGetCurrentClocksEventReasons(self._handle)
            self.seen.append(
                Clocks(
                    sm=pynvml.nvmlDeviceGetClockInfo(self._handle, pynvml.NVML_CLOCK_SM),
                    memory=pynvml.nvmlDeviceGetClockInfo(self._handle, pynvml.NVML_CLOCK_MEM),
                    temperature=pynvml.nvmlDeviceGetTemperature(self._handle, pynvml.NVML_TEMPERATURE_GPU),
                    throttled=tuple(words for bit, words in REASONS.items() if bits & bit),
                )
            )
        except pynvml.NVMLError:
            self._handle = None
