"""The machine: its name by hardware, the versions on it, and the settings that make it fast."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from repro import __version__
from repro.errors import ReproError
from repro.records import Environment, Settings

ROOT = Path(__file__).resolve().parent.parent

#: glibc keeps what was freed, in huge pages, instead of returning it and faulting it in again; 32 MiB is the highest threshold it takes.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

#: Pixels that a run must see for compiling to repay on a CPU, where it takes a second or two for each layer.
COMPILED_FROM_PIXELS = 3 * 10**8


def find_device(name: str) -> str:
    """``auto`` is the accelerator, or else the CPU. Raises ReproError for a device that isn't there."""
    there = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return there.type if there else "cpu"
    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise ReproError(f"--device {name}: not a name of a device; leave --device away, or give cpu, cuda, cuda:1, mps or xpu") from None
    if wanted.type != "cpu" and (there is None or there.type != wanted.type or (wanted.index or 0) >= torch.accelerator.device_count()):
        found = f"{torch.accelerator.device_count()} of type {there.type}" if there else "no accelerator"
        raise ReproError(f"--device {name}: this machine has {found}; leave --device away, or give cpu")
    return name


def all_devices() -> list[str]:
    """The CPU, and the accelerator where there is one, in torch's words."""
    there = torch.accelerator.current_accelerator(check_available=True)
    return ["cpu", there.type] if there else ["cpu"]


def fast_settings(device: str, pixels: int, threads: int = 1) -> Settings:
    """The settings that are fastest here for a training run that sees so many pixels."""
    kind = torch.device(device).type
    halves = kind == "cuda" or (kind == "cpu" and instructions() in ("amx_bf16", "avx512_bf16"))
    # With AMX the convolutions are so fast that what is between them counts. On AVX-512 alone, compiled ResNet-20 gains 2 % and
    # compiled ResNet-56 is slower than eager.
    repays = kind == "cpu" and instructions() == "amx_bf16" and pixels >= COMPILED_FROM_PIXELS and has_compiler()
    return Settings(
        device=device,
        dtype="bfloat16" if halves else "float32",
        layout="channels_last",
        compile=kind == "cuda" or repays,
        threads=threads,
    )


def has_compiler() -> bool:
    """Whether torch can compile for this CPU."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def has_tf32(device: str) -> bool:
    """Whether a device rounds float32 products to TF32 where it's asked to: NVIDIA's from compute capability 8 on."""
    return torch.device(device).type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def environment(device: str = "cpu") -> Environment:
    """This machine and these versions. ``device`` is torch's word for where the run takes place."""
    commit, dirty = _commit()
    on_cpu = torch.device(device).type == "cpu"
    return Environment(
        hardware=hardware(device),
        cpu_model=cpu_model() if on_cpu else "",
        instructions=instructions() if on_cpu else "",
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=version("torchvision"),
        repro=__version__,
        commit=commit,
        dirty=dirty,
    )


def hardware(device: str = "cpu") -> str:
    """The name of the processor with its cores, or of the accelerator."""
    kind = torch.device(device).type
    if kind != "cpu":
        return str(torch.cuda.get_device_name(device)) if kind == "cuda" else f"{processor()} {kind}"
    return f"{processor()}, {os.cpu_count()} cores"


def processor() -> str:
    """The processor's own name, where the system tells it."""
    lines = _cpuinfo()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return re.sub(r"\s*(\(R\)|\(TM\)|CPU|@.*$)", "", names[0]) if names else platform.processor() or platform.machine()


def cpu_model() -> str:
    """``family 25 model 17 stepping 1``: tells CPUs apart to which virtual machines give one name; empty where the system doesn't say."""
    known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in _cpuinfo())}
    names = ("cpu family", "model", "stepping", "CPU implementer", "CPU part")
    return " ".join(f"{name.lower().removeprefix('cpu ')} {known[name]}" for name in names if name in known)


def instructions() -> str:
    """The widest instruction set of this CPU that matters for convolutions, in Linux's words."""
    flags = {word for line in _cpuinfo() if line.startswith(("flags", "Features")) for word in line.partition(":")[2].split()}
    known = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "bf16", "asimd")
    return next((name for name in known if name in flags), platform.machine())


@functools.cache
def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


@functools.cache
def _commit() -> tuple[str, bool]:
    """The commit of this checkout and whether a tracked file differs from it; ``unknown`` and true outside git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True
