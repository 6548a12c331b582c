"""The pytest plugin as its users meet it: pytest in a process of its own, in a folder with their tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
    import pytest

    def net(stride):
        from torch import nn
        return nn.Sequential(nn.Conv2d(3, 4, 3, stride=stride, bias=False), nn.BatchNorm2d(4), nn.ReLU())

    def test_locked(params_lock):
        params_lock(net({stride}), input=(3, 8, 8), name="net-a")

    def test_factory(params_lock):
        params_lock(lambda: net(1), (3, 8, 8))
"""
#: A test run that imports torch takes seconds; one process holds several.
SEVERAL = """
import contextlib, io, json, sys
import pytest
for options in json.loads(sys.argv[1]):
    sys.modules.pop("test_net", None)
    stride = options.pop()
    open("test_net.py", "w").write(sys.argv[2].replace("{stride}", stride))
    code = pytest.main(["-q", "-p", "repro.plugin", "-p", "no:cacheprovider", "--rootdir=.", *options])
    print("code", int(code))
"""


def run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # repro.plugin is given by name, whether or not it is installed
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_a_lock_is_missing_written_held_and_broken(tmp_path: Path) -> None:
    runs = [["1"], ["--params-lock-write", "1"], ["1"], ["2"], ["--params-lock-write", "2"], ["2"]]
    text = "\n".join(line.removeprefix("    ") for line in TESTS.splitlines())
    result = run(tmp_path, SEVERAL, json.dumps(runs), text)
    outputs = result.stdout.split("code ")
    assert [part[0] for part in outputs[1:]] == ["1", "0", "0", "1", "0", "0"], result.stdout + result.stderr
    assert "net-a: no lock at locks/net-a.json; write it with `pytest --params-lock-write`" in outputs[0]
    assert "net-a: layer 0: output is [4, 3, 3], expected [4, 6, 6] (the first of " in outputs[3]
    assert "; if meant, run `pytest --params-lock-write`" in outputs[3]
    assert "Traceback" not in result.stdout + result.stderr
    locks = sorted(path.name for path in (tmp_path / "locks").iterdir())
    assert locks == ["net-a.json", "sequential.json"]
    lock = json.loads((tmp_path / "locks" / "net-a.json").read_text())
    assert (lock["network"], lock["input"], lock["params"], lock["macs"]) == ("net-a", [3, 8, 8], 3 * 4 * 9 + 8, 3 * 4 * 9 * 9)
    assert [layer["kind"] for layer in lock["layers"]] == ["conv", "batchnorm", "relu"]


def test_the_plugin_loads_no_torch() -> None:
    result = run(ROOT, "import sys, repro.plugin; print('torch' in sys.modules)")
    assert result.stdout == "False\n", result.stderr


def test_pytest_finds_the_plugin_where_the_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"repro": "repro.plugin"}
