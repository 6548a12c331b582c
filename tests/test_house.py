"""The rules of the house: who imports whom, what things are called, how long a file may be, and what a wheel holds.

A rule is a generator that yields a line for each offence. It runs on the tree, where it must yield nothing, and on a small bad
example, where it must yield something: a rule that can't fail holds nothing.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import repro

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("repro", "bench", "reports")
HEAVY = ("torch", "torchvision", "pandas", "matplotlib", "fvcore")

#: Limits, not aims: a file of 300 lines and a function of 60 are long already.
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 80

Source = tuple[str, ast.Module]


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file that git tracks, or would after ``git add --all``, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout")
    return tuple(Path(name) for name in sorted(set(listed.split("\0")) - {""}) if (ROOT / name).is_file())


@functools.cache
def sources(*packages: str) -> tuple[Source, ...]:
    """The parsed Python files of these folders, by their path with forward slashes."""
    paths = [path for path in files() if path.suffix == ".py" and path.parts[0] in packages]
    return tuple((path.as_posix(), ast.parse((ROOT / path).read_text(encoding="utf-8"), path.as_posix())) for path in paths)


def sample(path: str, text: str) -> tuple[Source, ...]:
    """A module that isn't in the tree."""
    return ((path, ast.parse(text)),)


# ---------------------------------------------------------------- imports


def heavy_modules_after(statement: str) -> list[str]:
    """Which of HEAVY a fresh interpreter holds after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("module", ["repro", "repro.cli"])
def test_importing_the_package_or_its_command_loads_nothing_heavy(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


def test_closed_form_judges_every_claim_without_torch() -> None:
    judge = "from repro.claims import judge_claim; import repro; l = repro.load_ledger(); [judge_claim(l, c) for c in l.claims]"
    assert heavy_modules_after(judge) == []


def test_a_heavy_import_would_be_seen() -> None:
    assert heavy_modules_after("sys.modules['torch'] = sys") == ["torch"]


def imported(node: ast.AST) -> Iterator[str]:
    """The top packages that one node imports, by statement or by ``import_module("...")``."""
    match node:
        case ast.Import(names):
            yield from (alias.name.split(".")[0] for alias in names)
        case ast.ImportFrom(str(module), _, 0):
            yield module.split(".")[0]
        case ast.Call(ast.Name(called) | ast.Attribute(attr=called), [ast.Constant(str(name)), *_]) if called in (
            "import_module",
            "__import__",
        ):
            yield name.split(".")[0]


def wrong_way_imports(tree: Iterable[Source]) -> Iterator[str]:
    """``bench -> repro <- reports``. The command composes all three, but within functions only."""
    forbidden = {"repro": {"bench", "reports"}, "bench": {"reports"}, "reports": {"bench"}}
    for path, module in tree:
        lazy: set[ast.AST] = set()
        if re.match(r"repro/cli(_\w+)?(\.py|/)", path):
            lazy = {inner for outer in ast.walk(module) if isinstance(outer, ast.FunctionDef) for inner in ast.walk(outer)}
        for node in ast.walk(module):
            for name in imported(node):
                if name in forbidden[path.split("/")[0]] and node not in lazy:
                    yield f"{path}:{getattr(node, 'lineno', 0)} imports {name}"


def test_imports_go_one_way() -> None:
    assert list(wrong_way_imports(sources(*PACKAGES))) == []


@pytest.mark.parametrize(
    ("path", "text", "offences"),
    [
        ("repro/claims.py", "import reports.render", 1),
        ("repro/claims.py", "def f():\n    from bench import timer", 1),
        ("repro/claims.py", "from importlib import import_module\nimport_module('bench.timer')", 1),
        ("repro/cli.py", "from reports import render", 1),
        ("repro/cli.py", "def report():\n    from reports import render", 0),
        ("repro/cli_bench.py", "def bench_():\n    import bench.session", 0),
        ("repro/cli_bench.py", "import bench.session", 1),
        ("bench/timer.py", "import repro, reports", 1),
        ("reports/render.py", "from bench.timer import time\nfrom repro.claims import judge_claim", 1),
        ("repro/counting/torch.py", "from . import bench", 0),
    ],
)
def test_an_import_against_the_way_is_seen(path: str, text: str, offences: int) -> None:
    assert len(list(wrong_way_imports(sample(path, text)))) == offences


# ---------------------------------------------------------------- names and sizes


def rooms(tree: Iterable[Source]) -> set[str]:
    """Names of modules and of packages."""
    return {part for path, _ in tree for part in path.removesuffix(".py").split("/") if not part.startswith("__")}


def functions_named_like_a_module(tree: Iterable[Source]) -> Iterator[str]:
    """``from repro import building`` must never be a function in one place and a module in another."""
    tree = tuple(tree)
    names = rooms(tree)
    for path, module in tree:
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names:
                yield f"{path}:{node.lineno} {node.name} is a module's name too"


def test_no_public_function_shares_a_modules_name() -> None:
    assert list(functions_named_like_a_module(sources(*PACKAGES))) == []


def test_a_function_with_a_modules_name_is_seen() -> None:
    tree = sample("bench/timer.py", "") + sample(
        "repro/cli.py", "def bench(): ...\nasync def timer(): ...\ndef show(): ...\nclass cli: ..."
    )
    assert len(list(functions_named_like_a_module(tree))) == 2


def long_functions(tree: Iterable[Source]) -> Iterator[str]:
    for path, module in tree:
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES_OF_A_FUNCTION:
                    yield f"{path}:{node.lineno} {node.name} has {lines} lines, at most {MOST_LINES_OF_A_FUNCTION}: name a part of it"


def long_files(texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    for path, text in texts:
        if (lines := len(text.splitlines())) > MOST_LINES:
            yield f"{path} has {lines} lines, at most {MOST_LINES}: make it a folder of the same name"


def test_functions_and_files_are_short() -> None:
    assert list(long_functions(sources(*PACKAGES, "tests"))) == []
    paths = [path for path in files() if path.suffix == ".py"]
    assert list(long_files((path.as_posix(), (ROOT / path).read_text(encoding="utf-8")) for path in paths)) == []


def test_a_long_function_and_a_long_file_are_seen() -> None:
    body = "    pass\n" * (MOST_LINES_OF_A_FUNCTION - 1)
    assert not list(long_functions(sample("repro/claims.py", f"def f():\n{body}")))
    assert len(list(long_functions(sample("repro/claims.py", f"class C:\n  def f(self):\n{body}    pass\n")))) == 1
    assert len(list(long_files([("repro/claims.py", "\n" * 401), ("repro/errors.py", "\n" * 400)]))) == 1


def eager_annotations(tree: Iterable[Source]) -> Iterator[str]:
    """Annotations are for readers and for mypy; a module that has some doesn't evaluate them."""
    for path, module in tree:
        future = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in module.body)
        annotated = any(
            isinstance(node, ast.AnnAssign) or getattr(node, "annotation", None) is not None or getattr(node, "returns", None) is not None
            for node in ast.walk(module)
        )
        if annotated and not future:
            yield f"{path} has annotations: begin it with `from __future__ import annotations`"


def test_annotations_are_not_evaluated() -> None:
    assert list(eager_annotations(sources(*PACKAGES, "tests"))) == []


@pytest.mark.parametrize("text", ["x: int = 1", "def f(x: int): ...", "def f() -> int: ...", "class C:\n    x: int"])
def test_an_evaluated_annotation_is_seen(text: str) -> None:
    assert len(list(eager_annotations(sample("repro/claims.py", text)))) == 1
    assert not list(eager_annotations(sample("repro/claims.py", f"from __future__ import annotations\n{text}")))


def homeless_tests(paths: Iterable[Path], names: set[str]) -> Iterator[str]:
    """One file a room: ``tests/test_notation.py`` tests ``repro/notation.py``."""
    for path in paths:
        if path.parts[0] == "tests" and path.suffix == ".py" and path.name != "conftest.py" and path.parts[1] != "audited":
            room = path.stem.removeprefix("test_")
            if len(path.parts) != 2 or room == path.stem or room not in names:
                yield f"{path.as_posix()} is named after no room"


def test_every_test_file_is_named_after_a_room() -> None:
    assert list(homeless_tests(files(), rooms(sources(*PACKAGES)) | {"house", "documents", "papers"})) == []


def test_a_test_file_without_a_room_is_seen() -> None:
    paths = [Path(f"tests/{name}.py") for name in ("test_claims", "test_misc", "claims", "deep/test_claims", "conftest")]
    assert len(list(homeless_tests(paths, {"claims"}))) == 3


def paths_of_a_machine(texts: Iterable[tuple[str, bytes]], root: Path = ROOT) -> Iterator[str]:
    """Folders that exist on one developer's machine only. The patterns are built from parts, so that this file has none."""
    homes = "|".join(["/" + "home" + r"/\w", "/" + "Users" + r"/\w", r"(?<![\w/.])/" + "root" + "/", r"[A-Z]:\\+" + "Users"])
    here = "|" + re.escape(root.as_posix() + "/") if len(root.parts) > 2 else ""
    pattern = re.compile((homes + here).encode())
    for path, content in texts:
        if match := pattern.search(content):
            yield f"{path} holds {match[0].decode()}..."


def test_no_file_holds_a_path_of_a_machine() -> None:
    assert list(paths_of_a_machine((path.as_posix(), (ROOT / path).read_bytes()) for path in files())) == []


@pytest.mark.parametrize("parts", [("home", "ada", "data"), ("Users", "ada"), ("root", ".cache"), ("srv", "checkout", "repro")])
def test_a_path_of_a_machine_is_seen(parts: tuple[str, ...]) -> None:
    text = f'"folder": "/{"/".join(parts)}"'.encode()
    assert len(list(paths_of_a_machine([("reports/records/cpu/1.json", text)], Path("/srv/checkout")))) == 1


@pytest.mark.parametrize("text", ["a /home page", "the tree's /" + "root", "https://example.org/root/x", "reports/records/cpu"])
def test_other_paths_are_fine(text: str) -> None:
    assert list(paths_of_a_machine([("README.md", text.encode())], Path("/srv/checkout"))) == []


# ---------------------------------------------------------------- package


def test_version_is_the_same_in_both_places() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == repro.__version__


def test_types_are_shipped() -> None:
    assert (ROOT / "repro" / "py.typed").is_file()


def test_a_wheel_holds_every_file_of_repro_and_works_by_itself(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "unpacked")
    assert held == {path.as_posix() for path in files() if path.parts[0] == "repro"}
    assert "repro/papers/vgg.toml" in held
    code = "import repro; print(repro.__file__); print(repro.load_ledger().network('vgg-d').params)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "unpacked")}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout.split() == [str(tmp_path / "unpacked" / "repro" / "__init__.py"), "138357544"]
