"""What is written down about a machine, and how a device is found."""

from __future__ import annotations

import getpass
import os
import platform
from pathlib import Path

import pytest
import torch

from repro import machine
from repro.errors import ReproError


def test_the_machine_is_named_by_its_hardware_and_nothing_else() -> None:
    found = machine.environment()
    text = found.model_dump_json()
    assert found.hardware.endswith(f", {os.cpu_count()} cores")
    assert len(found.hardware) > len(f", {os.cpu_count()} cores")
    assert "(R)" not in found.hardware
    assert "@" not in found.hardware
    assert (found.torch, found.python) == (torch.__version__, platform.python_version())
    assert Path.home().as_posix() not in text
    assert platform.node() not in (found.hardware, found.instructions)
    assert getpass.getuser() not in (found.hardware, found.instructions)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["cpu family\t: 25", "model\t\t: 17", "model name\t: Testor", "stepping\t: 1"] * 2, "family 25 model 17 stepping 1"),
        (["CPU implementer\t: 0x41", "CPU part\t: 0xd40"], "implementer 0x41 part 0xd40"),
        ([], ""),
    ],
)
def test_a_cpu_has_a_model_besides_its_name(monkeypatch: pytest.MonkeyPatch, lines: list[str], expected: str) -> None:
    monkeypatch.setattr(machine, "_cpuinfo", lambda: lines)
    assert machine.environment().cpu_model == expected
    assert machine.environment("meta").cpu_model == ""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512_bf16 amx_bf16", "amx_bf16"),
        ("avx512f avx512_bf16", "avx512_bf16"),
        ("avx2 avx512f", "avx512f"),
        ("avx2", "avx2"),
    ],
)
def test_the_widest_instructions(monkeypatch: pytest.MonkeyPatch, flags: str, expected: str) -> None:
    monkeypatch.setattr(machine, "_cpuinfo", lambda: ["model name\t: Testor(R) 9 CPU @ 3.00GHz", f"flags\t\t: {flags}"])
    assert machine.instructions() == expected
    assert machine.hardware() == f"Testor 9, {os.cpu_count()} cores"
    assert machine.fast_settings("cpu", 10**6).dtype == ("bfloat16" if "bf16" in expected else "float32")


def test_a_run_is_compiled_where_it_repays_and_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "instructions", lambda: "amx_bf16")
    monkeypatch.setenv("CXX", "true")
    short, long = 128 * 64 * 1_200, 128 * 1_024 * 5_000  # digits and CIFAR-10, in pixels
    assert [machine.fast_settings("cpu", pixels).compile for pixels in (short, long)] == [False, True]
    monkeypatch.setenv("CXX", "a-compiler-that-is-not-there")
    assert not machine.fast_settings("cpu", long).compile
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr(machine, "instructions", lambda: "avx512_bf16")
    assert not machine.fast_settings("cpu", long).compile, "nothing is gained"
    assert machine.fast_settings("cuda", short).compile


def test_a_cpu_is_always_there() -> None:
    assert machine.find_device("cpu") == "cpu"
    assert machine.find_device("auto") in ("cpu", "cuda", "mps", "xpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", ""])
def test_a_word_that_names_no_device_is_refused(name: str) -> None:
    with pytest.raises(ReproError, match="not a name of a device; leave --device away, or give cpu, cuda"):
        machine.find_device(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(ReproError, match="--device cuda: this machine has no accelerator; leave --device away, or give cpu"):
        machine.find_device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert machine.find_device("cuda:1") == "cuda:1"
    with pytest.raises(ReproError, match="--device cuda:2: this machine has 2 of type cuda"):
        machine.find_device("cuda:2")


def test_all_devices_are_the_cpu_and_the_accelerator_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert machine.all_devices() == ["cpu"]
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda", 0))
    assert machine.all_devices() == ["cpu", "cuda"]


@pytest.mark.parametrize(
    ("device", "capability", "has"),
    [("cuda", (8, 0), True), ("cuda:1", (9, 0), True), ("cuda", (7, 5), False), ("cpu", (9, 0), False), ("mps", (9, 0), False)],
)
def test_tf32_is_nvidias_from_ampere_on(monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int], has: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", {device: capability}.__getitem__)
    assert machine.has_tf32(device) is has


def test_a_compiler_is_looked_for_where_torch_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert not machine.has_compiler()
    (tmp_path / "g++").touch(0o755)
    assert machine.has_compiler()
    monkeypatch.setenv("CXX", "clang++")
    assert not machine.has_compiler()
