"""The commands about other people's code: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repro import cli, cli_audit
from repro.errors import TargetError
from repro.printing import print_audit

ROW = {"params_delta": 0, "makes": "variant", "why": "As many have it."}
FOUND: dict[str, Any] = {
    "target": "net.py:Net", "network": "resnet50", "verdict": "variant", "params": 110, "macs": 1_050, "paper_params": 100,
    "paper_macs": 1_000, "proof": None, "error": None, "near": 0.98765,
    "differences": [
        ROW | {"kind": "changed", "where": "conv3_1.conv1", "expected": "conv (stride 2x2)", "found": "conv (stride 1x1)",
               "macs_delta": 30, "name": "v1.5 stride"},
        ROW | {"kind": "changed", "where": "conv4_1.conv1", "expected": "conv (stride 2x2)", "found": "conv (stride 1x1)",
               "macs_delta": 20, "name": "v1.5 stride"},
        {"kind": "extra", "where": "conv1.bn", "expected": None, "found": "batchnorm", "params_delta": 10, "macs_delta": 0, "name": "",
         "makes": "wrong", "why": ""},
    ],
    "notes": ["eps of BN is 1e-3"], "input": [3, 224, 224],
}  # fmt: skip


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


def printed(capsys: pytest.CaptureFixture[str], found: dict[str, Any]) -> list[str]:
    print_audit(found)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_an_audit_is_a_bridge_from_the_papers_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, FOUND) == [
        "net.py:Net: variant of resnet50: every difference is a known one (98.8 % of its operations are equal)",
        "",
        "where                     paper              here               called           parameters   MACs",
        "                          resnet50                                                      100  1,000",
        "conv3_1.conv1 and 1 more  conv (stride 2x2)  conv (stride 1x1)  v1.5 stride                    +50",
        "conv1.bn                  nothing            batchnorm          (no usual name)         +10",
        "sum                                          on 3x224x224                               110  1,050",
        "v1.5 stride (variant): As many have it.",
        "note: eps of BN is 1e-3",
    ]


def test_a_long_list_or_cell_is_cut_and_still_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [FOUND["differences"][2] | {"found": f"batchnorm {number}", "params_delta": 1} for number in range(50)]
    lines = printed(capsys, FOUND | {"differences": rows, "params": 150, "macs": 1_000})
    assert len(lines) == 3 + 1 + 40 + 2 + 1
    assert lines[-3].split() == ["...", "10", "more", "--json", "lists", "them", "+10"]
    lines = printed(capsys, FOUND | {"differences": [FOUND["differences"][0] | {"expected": "conv " * 30}]})
    assert lines[4].split()[1:15] == ["conv"] * 13 + ["..."]


def test_what_has_little_in_common_is_not_compared_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, FOUND | {"verdict": "not-paper", "near": 0.1}) == [
        "net.py:Net: not-paper: no network of the papers; held against resnet50 (10.0 % of its operations are equal)",
        "little in common: --json lists 3 differences",
    ]


def test_exact_says_whether_it_is_proven(capsys: pytest.CaptureFixture[str]) -> None:
    exact = FOUND | {"verdict": "exact", "differences": [], "near": 1.0, "params": 100, "macs": 1_000, "notes": []}
    assert printed(capsys, exact | {"proof": "equal within 1e-12"}) == [
        "net.py:Net: exact: the computation of resnet50",
        "100 parameters, 1,000 MACs on 3x224x224, as resnet50 has",
        "proof: equal within 1e-12",
    ]
    line = "net.py:Net: same-structure: the operations of resnet50, not proven"
    assert printed(capsys, exact | {"verdict": "same-structure"})[0] == line


@pytest.mark.parametrize(
    ("verdict", "code"), [("exact", 0), ("same-structure", 0), ("variant", 0), ("wrong", 1), ("not-paper", 1), ("error", 2)]
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: str, code: int) -> None:
    asked: list[Any] = []

    def ask(*arguments: Any, **options: Any) -> dict[str, Any]:
        asked.append((*arguments, options))
        return FOUND | {"verdict": verdict, "error": "can't be traced" if verdict == "error" else None}

    monkeypatch.setattr(cli_audit, "ask", ask)
    assert run("audit", "net.py:Net", "--as", "resnet50", "--input", "3x224x224", "--no-proof", "--timeout", "9", "--json") == code
    assert asked == [("audit", "net.py:Net", 9.0, {"as_": "resnet50", "input": [3, 224, 224], "proof": False})]
    assert json.loads(capsys.readouterr().out)["verdict"] == verdict
    assert run("audit", "net.py:Net") == code
    assert asked[1] == ("audit", "net.py:Net", 300, {"as_": None, "input": None, "proof": True})
    assert capsys.readouterr().out.startswith("net.py:Net: ")


def test_what_cannot_be_audited_is_one_line_or_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(*arguments: Any, **options: Any) -> dict[str, Any]:
        raise TargetError("net.py:3: needs the package 'timm'")

    monkeypatch.setattr(cli_audit, "ask", ask)
    assert run("audit", "net.py:Net") == 2
    assert capsys.readouterr() == ("", "repro: net.py:3: needs the package 'timm'\n")
    assert run("audit", "net.py:Net", "--json") == 2
    printed = capsys.readouterr()
    assert list(json.loads(printed.out)) == list(FOUND)
    assert json.loads(printed.out)["error"] == "net.py:3: needs the package 'timm'"
    assert printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["audit", "net.py:Net", "--as", "vgg16"], "unknown network 'vgg16'; did you mean vgg-d?"),
        (["audit", "net.py:Net", "--input", "224"], "--input '224' is no input; expected channels x height x width, such as 3x32x32"),
        (["audit", "missing.py:Net"], "missing.py: no such file; "),
        (["convert", "a:b", "w.pt", "out.safetensors"], "Missing option '--as'."),
        (["convert", "a:b", "w.pt", "out.pt", "--as", "vgg-d"], "out.pt: weights are written as .safetensors; "),
        (["convert", "a:b", "w.pt", "out.safetensors", "--as", "vgg-d"], "w.pt: no such file"),
        (["lock", "resnet50", "--model", "a:b"], "--model excludes names of networks"),
        (["lock", "--model", "a:b", "--file", "lock.txt"], "lock.txt: a lock is a .json file"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"repro: {line}")
    assert printed.err.count("\n") == 1


def test_a_lock_is_written_held_and_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    layer: dict[str, Any] = {
        "name": "fc",
        "kind": "linear",
        "inputs": ["input"],
        "output": [2],
        "kernel": None,
        "stride": None,
        "padding": None,
    }
    layer |= {"groups": None, "bias": True, "constants": {}, "params": 8, "macs": 6}
    found = {"network": "Net()", "input": [3, 1, 1], "params": 8, "fixed_params": 0, "macs": 6, "layers": [layer], "notes": ["n"]}
    asked = []

    def ask(*arguments: Any, **options: Any) -> dict[str, Any]:
        asked.append(options["input"])
        return found

    monkeypatch.setattr(cli_audit, "ask", ask)
    lock = ("lock", "--model", "net.py:Net('a')")
    assert run(*lock) == 1
    assert "no lock at repro.lock.json; write it with `repro lock --model 'net.py:Net('\"'\"'a'\"'\"')' --write`" in capsys.readouterr().out
    assert run(*lock, "--write") == 0
    assert run(*lock) == 0
    assert capsys.readouterr().out.endswith("Net(): as locked in repro.lock.json\n1 layers on 3x1x1, 8 parameters, 6 MACs\nnote: n\n")
    layer["bias"] = False
    assert run(*lock, "--json") == 1
    (drift,) = json.loads(capsys.readouterr().out)["drifts"]
    assert drift["reason"].startswith("layer fc: bias is false, expected true; if meant, run `repro lock --model ")
    assert run(*lock, "--write", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"written": ["Net()"], "drifts": []}
    assert asked == [None, None, [3, 1, 1], [3, 1, 1], [3, 1, 1]]
