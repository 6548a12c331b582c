"""The page on what libraries ship: it says what the committed audits say, and they add up."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reports.pages.audits import write_audits_page
from reports.zoo import LIBRARIES, load_audits

AUDITS = load_audits()
ALL = [pytest.param(found, id=f"{found['target']} as {found['network']}") for library in AUDITS for found in library["audits"]]


def test_every_model_of_every_library_is_there() -> None:
    held = {library["library"]: [(found["target"], found["network"]) for found in library["audits"]] for library in AUDITS}
    assert held == {library.name: [(f"{library.module}:{call}", network) for call, network, _ in library.models] for library in LIBRARIES}


@pytest.mark.parametrize("found", ALL)
def test_the_differences_lead_from_the_papers_totals_to_the_models(found: dict[str, Any]) -> None:
    assert found["error"] is None
    for name in ("params", "macs"):
        assert found[f"paper_{name}"] + sum(row[f"{name}_delta"] for row in found["differences"]) == found[name]
    assert (found["verdict"] == "exact") == (found["proof"] is not None) == (not found["differences"])
    assert found["form"] is None or (found["form"]["paper_macs"] == found["macs"] and found["form"]["proof"]) or found["verdict"] == "wrong"


def test_a_row_for_each_model_and_difference() -> None:
    library = copy.deepcopy(AUDITS[0] | {"audits": AUDITS[0]["audits"][:1]})
    (found,) = library["audits"]
    found |= {
        "target": "lib:net(3)",
        "network": "resnet50",
        "verdict": "variant",
        "params": 7,
        "macs": 9,
        "paper_params": 5,
        "paper_macs": 9,
    }
    found["differences"] = [{"name": "v1.5 stride", "params_delta": 2, "macs_delta": 0}]
    found["form"] = {"verdict": "exact", "network": "resnet50-v1.5"}
    lines = write_audits_page([library]).splitlines()
    start = lines.index("| `net(3)` | [resnet50](networks/resnet50.md) | **variant** | the paper's | 5 | 9 |")
    assert lines[start + 1 : start + 3] == [
        "| | | | v1.5 stride | +2 | 0 |",
        "| | | | this model: exactly [resnet50-v1.5](networks/resnet50-v1.5.md) | 7 | 9 |",
    ]
    assert "1 variant." in lines
    found |= {"error": "can't be built", "verdict": "error"}
    assert "**error** | can't be built | | |" in write_audits_page([library])
