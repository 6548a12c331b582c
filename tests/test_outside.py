"""Other people's files, each with one kind of trouble: audited all the same, or one line that says what is needed."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from repro.auditing.outside import ask
from repro.auditing.targets import parse_target
from repro.errors import TargetError

ROOT = Path(__file__).resolve().parent.parent

#: Torch takes seconds to import: this process imports it once, then forks a child for each question, which is answered as always.
FORKING = """
import os, sys
from repro.auditing import importing, tasks
from repro.auditing.outside import answer
for line in sys.stdin:
    folder, start, path = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        os.setsid()
        log = os.open(folder + "/log.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0), os.dup2(log, 1), os.dup2(log, 2)
        os.chdir(start)
        from repro.auditing import faults
        faults.START = faults.Path(start).resolve()
        sys.path[:0] = [path] if path else []
        answer(folder)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

NET = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=4):
            super().__init__()
            self.conv = nn.Conv2d(3, width, 3)
            self.fc = nn.Linear(width, 10)

        def forward(self, x):
            return self.fc(torch.relu(self.conv(x)).mean((2, 3)))
"""
PARAMS = 3 * 4 * 9 + 4 + 4 * 10 + 10


@pytest.fixture(scope="session")
def forking() -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


Lock = Callable[..., dict[str, Any]]


@pytest.fixture
def lock(forking: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """``lock(target, {file: text})`` writes the files, asks for the target's lock from their folder, and gives the answer."""
    repository = tmp_path / "repository"

    def ask_forked(target: str, files: dict[str, str], timeout: float = 60, start: str = "", path: str = "") -> dict[str, Any]:
        for name, text in files.items():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            (repository / name).write_text(textwrap.dedent(text), encoding="utf-8")
        monkeypatch.chdir(repository / start)
        parse_target(target)
        folder = tmp_path / f"question{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        question = {"task": "lock", "target": target, "timeout": timeout, "options": {"input": None}}
        (folder / "question.json").write_text(json.dumps(question))
        assert forking.stdin is not None
        assert forking.stdout is not None
        forking.stdin.write(f"{folder}\t{repository / start}\t{repository / path if path else ''}\n")
        forking.stdin.flush()
        assert forking.stdout.readline() == "0\n", (folder / "log.txt").read_text()
        found: dict[str, Any] = json.loads((folder / "answer.json").read_text())
        if "error" in found:
            raise TargetError(found["error"])
        return dict(found["result"])

    return ask_forked


# ---------------------------------------------------------------- what it leads to


@pytest.mark.parametrize(
    ("expression", "more"),
    [
        ("Net", ""),
        ("Net()", ""),
        ("Net(width=4)", ""),
        ("net", "net = Net()"),
        ("zoo['small'].make", "class Zoo:\n    make = staticmethod(lambda: Net())\nzoo = {'small': Zoo}"),
        ("part", "import functools\npart = functools.partial(Net, width=4)"),
        ("make(width=4)", "def make(**kwargs): return Net(**kwargs)"),
        ("Net(CONFIGS['a'])", "CONFIGS = {'a': 4}"),
        ("Config(dict(width=4))", "class Config(Net):\n    def __init__(self, config): super().__init__(config['width'])"),
        ("Like(torch.zeros(1, 3, 8, 8))", "class Like(Net):\n    def __init__(self, x): super().__init__(); self(x)"),
        ("Net.by_name('net', lambda m: None)", "Net.by_name = staticmethod(lambda name, init: Net().apply(init))"),
        ("wrapped", "wrapped = nn.DataParallel(Net())"),
        ("compiled", "compiled = torch.compile(Net())"),
        ("Sub(2)[0]", "Sub = lambda n: nn.Sequential(*[Net() for _ in range(n)])"),
    ],
)
def test_whatever_makes_a_module_is_called(lock: Lock, expression: str, more: str) -> None:
    found = lock(f"net.py:{expression}", {"net.py": textwrap.dedent(NET) + more})
    assert (found["params"], found["network"]) == (PARAMS, ast.unparse(ast.parse(expression)))


@pytest.mark.parametrize(
    ("expression", "more", "line"),
    [
        ("Nett", "", "net.py has no 'Nett'; did you mean Net?"),
        ("zzz", "", "net.py has no 'zzz'; it has Net"),
        ("Net.small", "", "net.py:Net.small fails: AttributeError: type object 'Net' has no attribute 'small'"),
        ("C['b']", "C = {'a': 1}", "net.py:C['b'] fails: KeyError: 'b'"),
        ("Sized", "class Sized(Net):\n    def __init__(self, block, n: int, width=4): ...",
         "Sized(block, n, width=4) can't be called so (missing a required argument: 'block'); give its arguments in the target, "
         "such as 'net.py:Sized(block=..., n=...)'"),
        ("Net(5, 6)", "", "Net(width=4) can't be called so (too many positional arguments)"),
        ("nothing()", "def nothing(): pass", "net.py:nothing() gives None, expected an nn.Module"),
        ("state", "state = Net().state_dict()", 
         "net.py:state is a dict (weights alone don't say how they are used), neither a module nor something that makes one"),
        ("two", "def two(): return Net(), Net()", "net.py:two gives a tuple, expected an nn.Module"),
        ("number", "number = 3", "net.py:number is a int, neither"),
        ("bad()", "def bad():\n    raise ValueError('no\\nway')", "net.py:14: making bad() fails: ValueError: no"),
        ("typo()", "def typo(): return Nte()", "net.py:13: making typo() fails: NameError: name 'Nte' is not defined"),
        ("ends()", "def ends(): raise SystemExit(3)", "net.py:13: making ends() ends the process (exit 3)"),
        ("asks()", "def asks(): return input()", "net.py:13: making asks() asks for input"),
        ("odd()", "class odd(Net):\n    def forward(self, x): return self.fc(x)", "net.py:odd(): can't be run on 3x224x224"),
    ],
)  # fmt: skip
def test_what_makes_none_is_one_line(lock: Lock, expression: str, more: str, line: str) -> None:
    with pytest.raises(TargetError) as caught:
        lock(f"net.py:{expression}", {"net.py": textwrap.dedent(NET) + more})
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_script_module_is_refused(lock: Lock) -> None:
    more = "import warnings\nwarnings.simplefilter('ignore')\nscripted = torch.jit.script(Net())"
    with pytest.raises(TargetError, match=r"^net\.py:scripted: .*a ScriptModule has no Python code to trace"):
        lock("net.py:scripted", {"net.py": textwrap.dedent(NET) + more})


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ("import urllib.request\ndef make(pretrained=True):\n    if pretrained: urllib.request.urlopen('https://example.org/w.pt')\n"
         "    return Net()",
         "called with pretrained=False, since it fails as it is: Download: https://example.org/w.pt"),
        ("def make(weights='DEFAULT'):\n    if weights: open('weights.pt')\n    return Net()",
         "called with weights=None, since it fails as it is: FileNotFoundError"),
        ("def make(device='cuda'): return Net().to(device)", "called with device='cpu', since it fails"),
        ("def make(): return Net().cuda()", "built on the CPU, since it fails"),
        ("def make(): return Net().to('cuda:0')", "built on the CPU, since it fails"),
        ("def make():\n    net = Net()\n    net.fc = nn.Linear(4, 10, device='cuda')\n    return net", "built on the CPU, since it fails"),
        ("class make(Net):\n    def __init__(self):\n        super().__init__()\n        self.on = torch.device('cuda')\n"
         "        self.to(self.on)\n"
         "    def forward(self, x): return super().forward(x.to(self.on))", "built on the CPU"),
    ],
)  # fmt: skip
def test_defaults_that_cannot_be_met_are_replaced(lock: Lock, more: str, note: str) -> None:
    found = lock("net.py:make()", {"net.py": textwrap.dedent(NET) + more})
    assert found["params"] == PARAMS
    assert note in " ".join(found["notes"])


def test_a_download_is_not_made(lock: Lock) -> None:
    more = "import urllib.request\ndef make(**options):\n    urllib.request.urlopen('https://example.org/w.pt')"
    with pytest.raises(TargetError, match=r"making make\(\) downloads https://example\.org/w\.pt; an audit doesn't"):
        lock("net.py:make()", {"net.py": textwrap.dedent(NET) + more})
    more = "import socket\ndef make(**options):\n    socket.create_connection(('example.org', 80))"
    with pytest.raises(TargetError, match=r"making make\(\) downloads from example\.org"):
        lock("net.py:make()", {"net.py": textwrap.dedent(NET) + more})


@pytest.mark.parametrize(("channels", "side", "shape"), [(3, 224, [3, 224, 224]), (3, 227, [3, 227, 227]), (1, 32, [1, 32, 32])])
def test_the_input_that_works_is_found(lock: Lock, channels: int, side: int, shape: list[int]) -> None:
    text = f"from torch import nn\nnet = nn.Sequential(nn.Flatten(), nn.Linear({channels * side * side}, 2))"
    assert lock("net.py:net", {"net.py": text})["input"] == shape


# ---------------------------------------------------------------- repositories


STARS = "from .blocks import *\nfrom .net import *"
INIT = "models/__init__.py"
BLOCKS = "from torch import nn\nconv = lambda: nn.Conv2d(3, 2, 1)\n"
USES = "from torch import nn\nfrom {place} import conv\nNet = lambda: nn.Sequential(conv(), nn.AdaptiveAvgPool2d(1))\n"


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("models/net.py:Net", {"models/net.py": USES.format(place="blocks"), "models/blocks.py": BLOCKS}),
        ("models/net.py:Net", {"models/net.py": USES.format(place="models.blocks"), "models/blocks.py": BLOCKS}),
        ("models/net.py:Net", {"models/net.py": USES.format(place=".blocks"), "models/blocks.py": BLOCKS}),
        ("a/b/net.py:Net", {"a/b/net.py": USES.format(place="..blocks"), "a/blocks.py": BLOCKS}),
        ("a/b/net.py:Net", {"a/b/net.py": USES.format(place="..blocks"), "a/blocks.py": BLOCKS, "a/__init__.py": ""}),
        ("models/net.py:Net", {"models/net.py": USES.format(place=".blocks"), "models/blocks.py": BLOCKS, INIT: "import old"}),
        ("models/net.py:Net", {"models/net.py": USES.format(place="."), "models/blocks.py": BLOCKS, INIT: STARS}),
        ("src/lab/net.py:Net", {"src/lab/net.py": USES.format(place="lab.blocks"), "src/lab/blocks.py": BLOCKS, "src/lab/__init__.py": ""}),
        ("zoo/net.py:Net", {"zoo/net.py": USES.format(place="foundations.blocks"), "src/foundations/blocks.py": BLOCKS, "setup.py": ""}),
        ("types.py:Net", {"types.py": USES.format(place="blocks"), "blocks.py": BLOCKS}),
        ("torch_net/__init__.py:Net", {"torch_net/__init__.py": USES.format(place=".blocks"), "torch_net/blocks.py": BLOCKS}),
        ("models.net:Net", {"models/net.py": USES.format(place="models.blocks"), "models/blocks.py": BLOCKS}),
        ("net:Net", {"net.py": USES.format(place="blocks"), "blocks.py": BLOCKS}),
    ],
)  # fmt: skip
def test_a_repository_finds_its_own_files(lock: Lock, target: str, files: dict[str, str]) -> None:
    assert lock(target, files)["params"] == 8


def test_a_folder_that_is_not_found_is_what_pythonpath_is_for(lock: Lock) -> None:
    files = {"net.py": USES.format(place="lab.blocks"), "third/party/lab/blocks.py": BLOCKS}
    with pytest.raises(TargetError, match=r"^net\.py:2: no module named 'lab' on the path; PYTHONPATH=third/party would find it$"):
        lock("net.py:Net", files)
    assert lock("net.py:Net", files, path="third/party")["params"] == 8


def test_a_network_that_is_sent_to_an_accelerator_at_import_stays_here(lock: Lock) -> None:
    assert lock("net.py:net", {"net.py": textwrap.dedent(NET) + "net = Net().to('cuda')"})["params"] == PARAMS


def test_a_file_is_found_from_another_folder(lock: Lock) -> None:
    files = {"repo/models/net.py": USES.format(place="models.blocks") + "open('config.yaml').close()", "repo/models/blocks.py": BLOCKS}
    files |= {"repo/pyproject.toml": "", "repo/config.yaml": "", "elsewhere/notes.txt": ""}
    assert lock("../repo/models/net.py:Net", files, start="elsewhere")["params"] == 8


def test_a_file_that_expects_to_run_in_its_own_folder_does(lock: Lock) -> None:
    files = {
        "models/net.py": USES.format(place="blocks") + "open('config.yaml').close()\nopen('../README').close()",
        "models/blocks.py": BLOCKS,
    }
    assert lock("models/net.py:Net", files | {"models/config.yaml": "", "README": "", "setup.py": ""})["params"] == 8


def test_files_of_the_same_name_do_not_mix(lock: Lock) -> None:
    files = {f"{name}/{file}": text for name in ("one", "two") for file, text in (("net.py", USES.format(place="utils")), ("setup.py", ""))}
    files |= {"one/utils.py": BLOCKS, "two/utils.py": BLOCKS.replace("3, 2, 1", "3, 4, 1")}
    assert [lock(f"{name}/net.py:Net", files)["params"] for name in ("one", "two", "one")] == [8, 16, 8]


def test_the_module_is_known_while_it_runs(lock: Lock) -> None:
    more = "import sys\nsetattr(sys.modules[__name__], 'made', Net)"
    assert lock("net.py:made", {"net.py": textwrap.dedent(NET) + more})["params"] == PARAMS


def test_nothing_is_written_into_the_repository(lock: Lock, tmp_path: Path) -> None:
    files = {"net.py": USES.format(place="blocks") + "import os\nos.makedirs('runs/a')\nopen('log.txt', 'w').close()", "blocks.py": BLOCKS}
    assert lock("net.py:Net", files)["notes"] == ["the import makes log.txt, runs/; kept out of your folder"]
    assert sorted(path.name for path in (tmp_path / "repository").iterdir()) == ["blocks.py", "net.py"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import torchsummary_\n",
         "net.py:1: needs the package 'torchsummary_', which isn't installed: `pip install torchsummary_`; where it is a folder"),
        ("import torch\nfrom torch.nnn import Linear\n", "net.py:2: there is no module 'torch.nnn' in 'torch'"),
        ("from torch.nn import Linar\n", "net.py:1: ImportError: cannot import name 'Linar' from 'torch.nn'; the file that it comes from"),
        ("x = nn.ReLU()\n", "net.py:1: its import fails: NameError: name 'nn' is not defined"),
        ("x = [1\ny = 2\n", "net.py:1: its import fails: SyntaxError: '[' was never closed; Python 3 can't read the file"),
        ("print 'two'\n", "net.py:1: its import fails: SyntaxError"),
        ("import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\np.parse_args()\n",
         "net.py:4: its import ends the process (exit 2), perhaps for want of arguments"),
        ("open('data/train.csv')\n", "net.py:1: its import needs the file data/train.csv, which isn't there"),
        ("import urllib.request\nurllib.request.urlretrieve('http://example.org/d.zip')\n", "net.py:2: its import downloads http://example.org/d.zip"),
        ("import broken\n", "broken.py:2: its import fails: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_broken_import_is_one_useful_line(lock: Lock, text: str, line: str) -> None:
    with pytest.raises(TargetError) as caught:
        lock("net.py:Net", {"net.py": text + textwrap.dedent(NET), "broken.py": "\n1 / 0\n"})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("end", "note"),
    [
        ("raise AttributeError('test')", "net.py:14: its import fails: AttributeError: test (after Net was defined, so it was audited)"),
        ("import torchsummary_", "net.py:14: needs the package 'torchsummary_'"),
        ("raise SystemExit", "net.py:14: its import ends the process"),
        ("import time\nwhile True:\n    try: time.sleep(0.01)\n    except Exception: pass", "was still running after 5 s"),
    ],
)
def test_what_was_defined_before_an_import_failed_is_audited(lock: Lock, end: str, note: str) -> None:
    found = lock("net.py:Net", {"net.py": f"{textwrap.dedent(NET)}\n{end}"}, timeout=15 if "while" in end else 60)
    assert found["params"] == PARAMS
    assert note in found["notes"][0]


def test_a_module_that_is_not_there_is_one_line(lock: Lock) -> None:
    with pytest.raises(TargetError, match=r"^nothing\.here: needs the package 'nothing', which isn't installed"):
        lock("nothing.here:Net", {"net.py": ""})


# ---------------------------------------------------------------- a process of its own


def test_prints_stay_out_and_the_answer_comes_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loud = "\nimport os, sys\nprint('loud')\nos.write(1, b'louder')\nos.system('echo loudest')\nsys.stdout = None\nsys.stderr = None"
    Path("net.py").write_text(textwrap.dedent(NET) + loud)
    assert ask("lock", "net.py:Net", input=[3, 8, 8])["params"] == PARAMS
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "line"),
    [
        ("import time\ntime.sleep(60)", "net.py:1: its import was still running after"),
        ("import os\nos._exit(7)", "net.py:Net: its process ended with code 7: said before"),
        ("import os\nos.kill(os.getpid(), 9)", "net.py:Net: its process was killed, perhaps for want of memory"),
        ("import os\nos.abort()", "net.py:Net: its process aborted"),
    ],
)
def test_a_process_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(f"print('said before', flush=True); {end.replace(chr(10), '; ')}\n{textwrap.dedent(NET)}")
    with pytest.raises(TargetError) as caught:
        ask("lock", "net.py:Net", timeout=40, input=None)
    assert str(caught.value).startswith(line)


@pytest.mark.slow
def test_a_process_and_its_children_end_when_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stubborn = "import subprocess, time\ndef make():\n    child = subprocess.Popen(['sleep', '600'])\n"
    stubborn += "    print(child.pid, file=open('{pid}', 'w'), flush=True)\n    time.sleep(600)"
    Path("net.py").write_text(stubborn.format(pid=tmp_path / "pid"))
    begun = time.monotonic()
    with pytest.raises(TargetError, match=r"^net\.py:make: not done after 30 s \(it was at net\.py:5\); give more with --timeout"):
        ask("lock", "net.py:make", timeout=30, input=None)
    assert time.monotonic() - begun < 45
    end = time.monotonic() + 10  # a process that was killed still runs until the kernel gets to it
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(int((tmp_path / "pid").read_text())).status() != psutil.STATUS_ZOMBIE:  # nobody may ask for its exit code
            assert time.monotonic() < end, "the child outlived the process"
            time.sleep(0.01)
