"""Which runs there are, by name and by command; and bad input, which is one line and exit code 2."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from repro import cli, following
from repro.building import build
from repro.errors import ReproError, UnknownName
from repro.executing import Outcome
from repro.experiment import Choice, Specification, command, find_network, plan
from repro.recipe import depth_of


@pytest.mark.parametrize(("name", "params"), [("plain20", 269_722), ("resnet20", 269_722), ("resnet56", 853_018), ("resnet110", 1_727_962)])
def test_the_papers_networks(name: str, params: int) -> None:
    assert find_network(name).params == params  # 0.27, 0.85 and 1.7 million in H15 Table 6


@pytest.mark.parametrize(("name", "depth"), [("plain8", 8), ("plain26", 26), ("resnet14", 14), ("resnet1202", 1202)])
def test_any_depth_of_6n_plus_2_is_a_network(name: str, depth: int) -> None:
    network = find_network(name)
    weighted = [layer for layer in network.layers if layer.kind in ("conv", "linear")]
    assert (network.name, len(weighted), depth_of(name)) == (name, depth, depth)


def test_plain26_runs() -> None:
    net = build(find_network("plain26"))
    assert net(torch.randn(2, 3, 8, 8)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == find_network("plain26").params


@pytest.mark.parametrize("classes", [2, 100])
def test_the_last_layer_has_as_many_outputs_as_there_are_classes(classes: int) -> None:
    network = find_network("resnet20", classes)
    assert network.params == 269_722 + (classes - 10) * 65
    net = build(network)
    assert net(torch.randn(2, 3, 8, 8)).shape == (2, classes)
    assert sum(p.numel() for p in net.parameters()) == network.params


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("plain21", "plain20 and plain26"),
        ("resnet57", "resnet56 and resnet62"),
        ("plain2", "plain8 and plain14"),
        ("resnet0", "resnet8 and"),
    ],
)
def test_another_depth_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ReproError, match=rf"^{name}: \d+ layers aren't 6n\+2, .* the nearest are {near}"):
        find_network(name)


@pytest.mark.parametrize("name", ["", "plain", "vgg-d", "densenet20", "plain20 "])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(UnknownName, match="unknown network"):
        find_network(name)


FOLDERS = (Path("runs"), Path("records"))


def test_the_plan_is_seed_by_seed_the_longest_first_and_nothing_twice() -> None:
    runs = plan(Choice(name="digits"), ["plain8", "resnet14", "plain8"], [3, 0, 3], None, "cpu", 1, FOLDERS)
    assert [run.title for run in runs] == ["resnet14 seed 3", "plain8 seed 3", "resnet14 seed 0", "plain8 seed 0"]
    assert {run.recipe.iterations for run in runs} == {1_200}
    assert {(run.recipe.pad, run.recipe.mirror) for run in runs} == {(1, False)}
    assert all(run.checkpoints.is_absolute() and run.records.is_absolute() for run in runs)


def test_only_the_network_of_110_layers_warms_up() -> None:
    runs = plan(Choice(name="digits"), ["resnet110", "resnet56"], [0], None, "cpu", 1, FOLDERS)
    assert [run.recipe.warm_up_lr for run in runs] == [0.01, None]


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name, of two classes."""
    folder = tmp_path_factory.mktemp("some images")
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for number in range(10):
                noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / part / label / f"{number}.png")
    return folder


def planned(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Specification]:
    """What the command would run."""
    runs: list[Specification] = []

    def follow(given: Sequence[Specification], *options: object, **more: object) -> list[Outcome]:
        runs.extend(given)
        return []

    monkeypatch.setattr(following, "follow", follow)
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 0
    return runs


@pytest.mark.parametrize(
    "options", [[], ["--validation", "--threads", "2", "--networks", "plain26,resnet110", "--seed", "7", "--seed", "9"]]
)
def test_a_printed_command_is_the_run(options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    check_printed(["--iterations", "48", *options], monkeypatch, capsys)


def test_a_printed_command_names_the_folder_of_images(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", f"folder:{images}", "--size", "12", "--skip-bad", "--iterations", "16", "--records", str(tmp_path / "a b")]
    check_printed(options, monkeypatch, capsys)


def check_printed(options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    runs = planned(["degradation", *options], monkeypatch)
    assert len(runs) in (4, 12)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(["degradation", *options, "--print-commands"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [command(run) for run in runs]
    for line, run in zip(lines, runs, strict=True):
        program, *words = shlex.split(line)
        assert program == "repro"
        assert planned(words, monkeypatch) == [run]


def test_a_specification_travels_as_json() -> None:
    (run,) = plan(Choice(name="digits", root=None), ["resnet110"], [0], 48, "cpu", 1, FOLDERS)
    assert Specification.model_validate_json(run.model_dump_json()) == run


# ---------------------------------------------------------------- bad input

BAD: list[tuple[list[str], str]] = [
    (["--data", "imagenet"], "unknown data 'imagenet'; "),
    (["--data", "digit"], "unknown data 'digit'; did you mean digits?"),
    (["--iterations", "15"], "15 iterations are too few"),
    (["--iterations", "0"], "Invalid value for '--iterations': "),
    (["--seeds", "0"], "Invalid value for '--seeds'"),
    (["--seeds", "1001"], "Invalid value for '--seeds'"),
    (["--seed", "-1"], "Invalid value for '--seed'"),
    (["--seed", str(10**30)], "Invalid value for '--seed'"),
    (["--networks", ""], "unknown network ''; "),
    (["--networks", "plain20,resnet21"], "resnet21: 21 layers aren't 6n+2"),
    (["--device", "gpu"], "--device gpu: not a name of a device; leave --device away, or give cpu, cuda, cuda:1, mps or xpu"),
    (["--device", "cuda:99"], "--device cuda:99: this machine has "),
    (["--size", "16"], "--size 16 is for folder:PATH"),
    (["--threads", "0"], "Invalid value for '--threads'"),
    (["--workers", "0"], "Invalid value for '--workers'"),
]


def one_line(words: list[str], capsys: pytest.CaptureFixture[str], *, planned: bool = False) -> str:
    """The line that ends a command; where the runs were ``planned`` already, it follows that of the plan."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    out, errors = capsys.readouterr()
    before, errors = errors.split("\n", 1) if planned else ("", errors)
    assert (ended.value.code, out, errors.count("\n")) == (2, "", 1), errors
    assert before.startswith("1 runs to train, ") == planned
    return errors.removeprefix("repro: ")


@pytest.mark.parametrize(("options", "line"), BAD, ids=[" ".join(options)[:25] for options, _ in BAD])
def test_bad_input_is_one_line_and_exit_code_2(options: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_line(["degradation", *options], capsys).startswith(line)


def test_a_folder_without_classes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    line = one_line(["degradation", "--data", f"folder:{tmp_path}"], capsys)
    assert line.startswith(f"folder:{tmp_path} has no class folders in train/; expected train/CLASS/IMAGE")
    assert str(tmp_path / "none") in one_line(["degradation", "--data", f"folder:{tmp_path / 'none'}"], capsys)


@pytest.mark.parametrize("option", ["--checkpoints", "--records"])
def test_a_folder_that_cant_be_written_is_named(tmp_path: Path, option: str, capfd: Any) -> None:
    (tmp_path / "file").touch()
    folders = {"--checkpoints": tmp_path / "runs", "--records": tmp_path / "records"} | {option: tmp_path / "file" / "deep"}
    words = ["degradation", "--networks", "resnet8", "--seed", "0", "--iterations", "16", "--device", "cpu"]
    words += [str(word) for pair in folders.items() for word in pair]
    if option == "--checkpoints":
        line = one_line(words, capfd, planned=True)
        assert line.startswith(f"{tmp_path / 'file' / 'deep'}: Not a directory; ")
    else:  # seen when the record is written: the run didn't end, which is exit code 1
        result = subprocess.run([sys.executable, "-m", "repro", *words], capture_output=True, text=True)
        assert (result.returncode, result.stderr.count("Traceback")) == (1, 0)
        assert result.stderr.count(f"resnet8 seed 0: {tmp_path / 'file' / 'deep'}") == 1


@pytest.mark.parametrize("name", ["resnet50", "resnet152", "plain020"])
def test_a_network_of_another_table_is_not_taken_for_one_of_section_4_2(name: str) -> None:
    with pytest.raises(ReproError, match=f"unknown network '{name}'"):
        find_network(name)
