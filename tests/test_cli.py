"""The command as people meet it: real processes, one line for bad input, JSON and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.tables import Ledger

COMMANDS = ("list", "show", "check", "explain", "solve", "lock", "report", "all", "audit", "convert")


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "repro", *arguments], capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


def test_help_lists_every_command_and_each_gives_examples() -> None:
    result = run()
    assert result.returncode == 0
    assert all(re.search(rf"^│ {command} ", result.stdout, re.MULTILINE) for command in COMMANDS)
    from repro.cli import app

    assert all("Example" in (command.epilog or "") for command in app.registered_commands)


def test_the_version_is_printed() -> None:
    assert run("--version").stdout.startswith("cnn-repro ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "vgg16"], "repro: unknown network 'vgg16'; did you mean vgg-d?"),
        (["show", "resnet-50"], "repro: unknown network 'resnet-50'; did you mean resnet50, "),
        (["check", "nothing-like-it-at-all"], "repro: unknown network 'nothing-like-it-at-all'; see `repro list`"),
        (["explain", "resnet50/mac"], "repro: unknown claim 'resnet50/mac'; did you mean resnet50/macs"),
        (["check", "--format", "xml"], "repro: Invalid value for '--format': 'xml' is not one of 'text', 'github'."),
        (["check", "--closed-form", "--cross-check"], "repro: --closed-form and --cross-check exclude each other"),
        (["list", "paper"], "repro: Invalid value for"),
        (["bogus"], "repro: No such command 'bogus'."),
        (["show"], "repro: Missing argument 'NETWORK'."),
        (["check", "--clsed-form"], "repro: No such option"),
        (["solve", "resnet50", "much"], "repro: "),
    ],
)
def test_bad_input_is_one_line_on_standard_error_and_exit_code_2(arguments: list[str], line: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_show_json_is_the_document_of_the_design() -> None:
    result = run("show", "lenet5", "--json")
    document = json.loads(result.stdout)
    assert list(document) == ["network", "input", "params", "fixed_params", "macs", "layers"]
    assert (document["params"], document["fixed_params"], document["macs"]) == (60_000, 840, 326_520)
    fields = ["name", "kind", "inputs", "output", "kernel", "stride", "padding", "groups", "bias", "constants", "params", "macs"]
    assert all(list(layer) == fields for layer in document["layers"])
    assert result.stderr == ""


def test_show_puts_the_printed_cells_beside_the_layers() -> None:
    lines = run("show", "alexnet").stdout.splitlines()
    conv2 = next(line for line in lines if line.startswith("conv2 "))
    assert re.split(r"\s{2,}", conv2.strip()) == [
        "conv2", "256 kernels of size 5x5x48", "conv2", "conv", "256x27x27", "5x5+2 g2", "307,456", "223,948,800",
    ]  # fmt: skip
    assert "MACs             724,406,816  (1,448,813,632 FLOPs)" in lines


def test_check_json_has_the_rows_of_the_design() -> None:
    rows = json.loads(run("check", "--closed-form", "--json").stdout)
    fields = ["id", "network", "quantity", "printed", "unit", "low", "high", "measured", "verdict", "reason", "where", "command"]
    assert all(list(row) == fields for row in rows)
    by_id = {row["id"]: row for row in rows}
    row = by_id["vgg-d/params"]
    assert (row["printed"], row["unit"], row["low"], row["high"]) == ("138", "million parameters", 137_500_000, 138_500_000)
    assert (row["measured"], row["verdict"]) == (138_357_544, "reproduced")


def test_explain_says_where_how_and_with_which_command() -> None:
    text = run("explain", "resnet50/macs").stdout
    for part in (
        "Table 1, row FLOPs",
        "3,857,973,248",
        "deviates",
        "rounding gives 3.9",
        "repro check resnet50",
        "repro/locks/resnet50.json",
    ):
        assert part in text


def test_explain_names_the_paper_that_prints_the_number() -> None:
    assert "K. He, X. Zhang" in run("explain", "vgg-d/macs/resnet-paper").stdout
    assert "18%, Section 3.3" in run("explain", "resnet34/macs-against-vgg-19").stdout
    assert " 27C^2, Section 2.3" in run("explain", "vgg-d/three-3x3-weights").stdout
    assert "0.95 %, Section III.B" in run("explain", "lenet5/test-error").stdout


def test_lists_are_complete(ledger: Ledger) -> None:
    assert [row["network"] for row in json.loads(run("list", "--json").stdout)] == list(ledger.networks)
    assert len(json.loads(run("list", "claims", "--json").stdout)) == len(ledger.claims)
    assert len(run("list", "claims").stdout.splitlines()) == len(ledger.claims) + 1


def test_a_reader_that_stops_early_gets_no_traceback() -> None:
    pipeline = f"{sys.executable} -m repro list claims | head -n 1"
    result = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True)
    assert result.stderr == ""


def test_ctrl_c_ends_with_one_line_and_exit_code_130() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "repro", "check", "--cross-check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    maps = Path(f"/proc/{process.pid}/maps")
    until = time.monotonic() + 60
    while "libtorch" not in maps.read_text() and time.monotonic() < until:  # from then on the command is at work, for some seconds
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "repro: interrupted; what was written is whole\n"


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run([sys.executable, "-m", "repro", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("repro: ")
    assert result.stderr.count("\n") == 1
