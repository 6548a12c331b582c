"""How long an audit takes and what memory it needs: ``pytest bench/test_auditing.py``."""

from __future__ import annotations

import subprocess
import sys

from bench.conftest import Bars

_VGGS = {"vgg11": "vgg-a", "vgg13": "vgg-b", "vgg16": "vgg-d", "vgg19": "vgg-e"}
_RESNETS = {"resnet18": "resnet18-b", "resnet34": "resnet34-b", "resnet50": "resnet50", "resnet101": "resnet101", "resnet152": "resnet152"}
TORCHVISION = [f"{network}=torchvision.models:{name}" for name, network in ({"alexnet": "alexnet"} | _VGGS | _RESNETS).items()]
TIMM = [f"{network}=timm:create_model('{name}')" for name, network in (_VGGS | _RESNETS).items()]
#: The same, each against what it is, so that all are proven; vgg19 takes most memory.
PROVEN = [f"{network}=torchvision.models:{name}" for name, network in (
    {"alexnet": "alexnet-owt", "resnet50": "resnet50-v1.5", "resnet101": "resnet101-v1.5", "resnet152": "resnet152-v1.5"}
    | _VGGS | {"resnet18": "resnet18-b", "resnet34": "resnet34-b"}
).items()]  # fmt: skip
DEEPEST = "resnet1202=tests/audited/exact.py:sequential(200)"


def audit(proof: bool, *pairs: str) -> tuple[float, float]:
    """Seconds for all, and GB of the largest."""
    words = [sys.executable, "-m", "bench.audit_loop", str(int(proof)), *pairs]
    seconds, memory = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(memory)


def test_graphs_of_torchvision_and_timm(bars: Bars) -> None:
    seconds, memory = audit(False, *TORCHVISION, *TIMM)
    bars.add("audit, graphs: torchvision's ten and timm's nine", seconds, "<= 60", seconds <= 60, "s")
    bars.add("its largest process", memory, "<= 1.2", memory <= 1.2, "GB")


def test_resnet1202(bars: Bars) -> None:
    seconds, _ = audit(False, DEEPEST)
    bars.add("audit, graph: resnet1202", seconds, "<= 60", seconds <= 60, "s")


def test_proofs_of_torchvision(bars: Bars) -> None:
    seconds, memory = audit(True, *PROVEN)
    bars.add("audit with proof: torchvision's ten", seconds, "<= 240", seconds <= 240, "s")
    bars.add("its largest process", memory, "<= 6", memory <= 6, "GB")
