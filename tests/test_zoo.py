"""What libraries ship today against the committed audits, on a few of their smaller models."""

from __future__ import annotations

from typing import Any

import pytest

from reports.zoo import LIBRARIES, load_audits
from repro.auditing.outside import ask

COMMITTED = {(found["target"], found["network"]): found for library in load_audits() for found in library["audits"]}
MODULES = {library.name: library.module for library in LIBRARIES}
SMALL = (
    ("torchvision", "resnet34()", "resnet34-b"),
    ("torchvision", "resnet50()", "resnet50"),
    ("timm", "create_model('resnet34')", "resnet34-b"),
    ("timm", "create_model('vgg11')", "vgg-a"),
    ("pytorchcv", "get_model('resnet20_cifar10')", "resnet20"),
)


def changed(found: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """What isn't as committed; proofs have other last digits on another machine."""
    return [name for name in committed if name not in ("proof", "form") and found[name] != committed[name]]


@pytest.mark.slow
@pytest.mark.parametrize(("library", "call", "network"), SMALL)
def test_a_library_ships_what_was_judged(library: str, call: str, network: str) -> None:
    target = f"{MODULES[library]}:{call}"
    found = ask("audit", target, as_=network, input=None, proof=True)
    assert not changed(found, COMMITTED[target, network])
    assert changed(found | {"macs": found["macs"] + 1, "verdict": "wrong"}, COMMITTED[target, network]) == ["verdict", "macs"]
