"""The gate as a whole: counters against each other, claims, and drift in a real copy of the project."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import repro
from repro.checking import Counts, check_ledger, check_network
from repro.locking import LOCKS
from repro.tables import Ledger, Network

PACKAGE = Path(repro.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to change its files and run it as a process of its own."""
    shutil.copytree(PACKAGE, tmp_path / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "repro", *arguments], cwd=copy, capture_output=True, text=True)


def test_the_whole_ledger_holds_without_torch(ledger: Ledger) -> None:
    check = check_ledger(ledger, counters=["closed-form"])
    assert check.ok
    assert check.networks == ledger.networks
    assert len(check.judgements) == len(ledger.claims)


def test_small_networks_hold_with_every_counter(ledger: Ledger) -> None:
    names = ["lenet5", "lenet5-modern", "resnet20", "plain20"]
    check = check_ledger(ledger, names, ["torch", "fvcore"])
    assert check.drifts == ()
    assert check.counts[0] == Counts("lenet5", 326_520, 325_680, 325_680, {"OUTPUT": 840})
    assert check.counts[2] == Counts("resnet20", 40_551_040, 40_551_040, 40_551_040)


@pytest.mark.slow
def test_all_34_networks_hold_with_every_counter(ledger: Ledger) -> None:
    check = check_ledger(ledger, counters=["torch", "fvcore"])
    assert len(check.networks) == 34
    assert check.ok


def test_counters_that_disagree_turn_the_gate_red(ledger: Ledger) -> None:
    network = ledger.network("resnet20")
    first = replace(network.layers[0], macs=network.layers[0].macs + 1)
    wrong: Network = replace(network, layers=(first, *network.layers[1:]))
    drifts, _ = check_network(wrong, frozenset({"torch", "fvcore"}))
    assert [drift.gate for drift in drifts] == ["layers", "macs", "macs"]
    assert drifts[1].message.startswith("torch counts 40,551,040 MACs, the printed table gives 40,551,041")
    assert drifts[2].message.startswith("fvcore counts 40,551,040 MACs")


def test_a_lock_of_another_network_turns_the_gate_red_without_torch(ledger: Ledger, tmp_path: Path) -> None:
    shutil.copytree(LOCKS, tmp_path / "locks")
    shutil.copy(LOCKS / "resnet50-v1.5.json", tmp_path / "locks" / "resnet50.json")
    check = check_ledger(ledger, ["resnet50"], ["closed-form"], locks=tmp_path / "locks")
    assert not check.ok
    assert check.drifts[0].message.startswith("layer conv3_1.conv1: output is [128, 28, 28], expected [128, 56, 56]")


def test_a_changed_claim_is_drift_and_exit_code_1(copy: Path) -> None:
    edit(copy / "repro/papers/vgg.toml", 'label = "D", cells = ["138"]', 'label = "D", cells = ["139"]')
    result = run(copy, "check", "--closed-form", "vgg-d", "vgg-e")
    assert result.returncode == 1
    assert "drift vgg-d/params: 138357544 is not in the printed 138500000 to 139500000" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("1 drift")


def test_a_deviation_that_vanishes_is_drift(copy: Path) -> None:
    edit(copy / "repro/papers/resnet.toml", 'label = "50-layer", cells = ["3.8x10^9"]', 'label = "50-layer", cells = ["3.9x10^9"]')
    result = run(copy, "check", "--closed-form", "resnet50")
    assert result.returncode == 1
    assert "drift resnet50/macs: listed as a deviation, but it holds: remove the deviation" in result.stdout


def test_a_changed_table_is_drift_that_names_layer_cell_and_cure(copy: Path) -> None:
    edit(copy / "repro/papers/alexnet.toml", "256 kernels of size 3x3x192", "256 kernels of size 3x3x384")
    result = run(copy, "check", "--closed-form", "alexnet")
    assert result.returncode == 1
    assert "drift alexnet/lock: layer conv5: groups is 1, expected 2" in result.stdout
    assert 'row conv5: "256 kernels of size 3x3x384"' in result.stdout
    assert "`repro lock --write`" in result.stdout


def test_github_annotations_point_at_the_line_of_the_table(copy: Path) -> None:
    edit(copy / "repro/papers/alexnet.toml", "256 kernels of size 3x3x192", "256 kernels of size 3x3x384")
    lines = run(copy, "check", "--closed-form", "--format", "github", "alexnet").stdout.splitlines()
    table = (PACKAGE / "papers/alexnet.toml").read_text().splitlines()
    number = next(i for i, line in enumerate(table, 1) if "256 kernels of size 3x3x192" in line)
    assert lines[0].startswith(f"::error file=repro/papers/alexnet.toml,line={number},title=alexnet lock::layer conv5")
    assert "%25" in lines[1]  # a percent sign of a message is escaped


def test_a_changed_builder_turns_the_gate_red(copy: Path) -> None:
    edit(copy / "repro/building.py", "return body + shortcut", "return body")
    result = run(copy, "check", "resnet20", "--json")
    assert result.returncode == 1
    rows = [row for row in json.loads(result.stdout) if row["verdict"] == "drift"]
    assert [row["id"] for row in rows] == ["resnet20/layers", "resnet20/lock"]
    assert all(row["reason"].startswith("layer conv2_1.add is missing") for row in rows)


def test_locking_on_purpose_makes_the_gate_green_again(copy: Path) -> None:
    edit(copy / "repro/papers/alexnet.toml", "k = 2.0, alpha = 1e-4", "k = 1.0, alpha = 1e-4")
    assert run(copy, "lock", "alexnet").returncode == 1
    written = run(copy, "lock", "--write", "alexnet")
    assert (written.returncode, written.stdout) == (0, "1 of 1 locks rewritten: alexnet\n")
    assert run(copy, "lock", "alexnet").returncode == 0
