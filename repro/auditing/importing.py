"""Somebody's file -> a module, imported as its repository expects, without traces left in that repository.

What a repository expects isn't written down, so these are tried: its folders on ``sys.path``; the file by itself, or as part of its
package where it has relative imports; a working directory that looks like the repository, and then like the file's folder.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.machinery
import importlib.util
import itertools
import os
import signal
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.auditing.faults import Download, TookTooLong, describe, shown_path
from repro.auditing.targets import Target
from repro.errors import TargetError, nearest

#: What the top of a repository holds.
_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
#: How many folders are looked through for one that holds a missing module, and how many such modules are looked for.
_DEEP, _MANY = 4, 12
#: A folder with more entries than this isn't linked entry by entry.
_MOST_LINKS = 20_000


@dataclass(frozen=True, slots=True)
class Imported:
    """A module, perhaps only its first part: ``fault`` says why its import ended early."""

    module: types.ModuleType
    root: Path
    notes: tuple[str, ...] = ()
    fault: str | None = None

    def name(self, name: str) -> Any:
        """What the module calls so; ``torch`` and ``nn`` are known in any case. Raises TargetError with the nearest names."""
        if hasattr(self.module, name):
            return getattr(self.module, name)
        if name in ("torch", "nn"):
            return importlib.import_module("torch" if name == "torch" else "torch.nn")
        if self.fault:
            raise TargetError(self.fault)
        own = self.offered()
        near = nearest(name, vars(self.module))
        place = shown_path(Path(self.module.__file__)) if self.module.__file__ else self.module.__name__
        hint = f"did you mean {', '.join(near)}?" if near else f"it has {', '.join(own[:12])}" if own else "it defines no class or function"
        raise TargetError(f"{place} has no {name!r}; {hint}")

    def offered(self) -> list[str]:
        """Classes and functions that the module defines itself."""
        names = [name for name, value in vars(self.module).items() if getattr(value, "__module__", None) == self.module.__name__]
        return [name for name in names if not name.startswith("_") and callable(getattr(self.module, name))]


def import_target(target: Target, scratch: Path, seconds: float) -> Imported:
    """Imports the target's file or module, for at most so many seconds; ``scratch`` is an empty folder. Raises TargetError.

    A file whose import fails, or goes on training, after the wanted name is defined is good enough: that becomes a note.
    """
    start, before = Path.cwd(), set(sys.path)
    file = target.file.resolve() if target.file else None
    root = find_root(file.parent) if file else start
    base = start if file is None or (start in file.parents and root in (start, *start.parents)) else root
    folders = list(dict.fromkeys([base, file.parent if file else base]))
    for number, folder in enumerate(folders):
        with _working_in(root if root in (folder, *folder.parents) else folder, folder, scratch / str(number)) as made:
            module, error = _import(target, file, root, start, seconds)
        lost = isinstance(error, FileNotFoundError) and not Path(str(error.filename)).is_absolute()
        if not (lost and folder != folders[-1]):
            break
    _put_last([path for path in sys.path if path not in before])
    notes = [f"the import makes {', '.join(made)}; kept out of your folder"] if made else []
    if error is None:
        assert module is not None
        return Imported(module, root, tuple(notes))
    fault = describe(error, root, "its import")
    if module is None or isinstance(error, SyntaxError) or not hasattr(module, target.first_name):
        raise TargetError(f"{target.place}: {fault}" if target.file is None else fault) from error
    return Imported(module, root, (*notes, f"{fault} (after {target.first_name} was defined, so it was audited)"), fault)


def _put_last(folders: list[str]) -> None:
    """What is imported later, by torch for example, comes from where it is installed, whatever the repository calls its files."""
    sys.path[:] = [path for path in sys.path if path not in folders] + folders


def find_root(folder: Path) -> Path:
    """The top of the repository: the first folder upwards with a mark of one, else the one above the package."""
    for parent in (folder, *folder.parents):
        if parent == Path("~").expanduser():  # people keep their settings in a repository, too
            break
        if any((parent / mark).exists() for mark in _MARKS):
            return parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _import(
    target: Target, file: Path | None, root: Path, start: Path, seconds: float
) -> tuple[types.ModuleType | None, BaseException | None]:
    """The module, or as much of it as there is, and what stopped it."""
    folders = [file.parent, *(parent for parent in file.parents if root in (parent, *parent.parents)), start] if file else [start]
    sys.path[:0] = [str(folder) for folder in dict.fromkeys(folders) if str(folder) not in sys.path]
    sys.argv = [str(file or target.place)]
    made: list[types.ModuleType] = []
    for _ in range(_MANY):
        made.clear()
        try:
            with time_limit(seconds):
                if file is None:
                    made.append(importlib.import_module(target.place))
                else:
                    _run_file(file, made)
            return made[0], None
        except ModuleNotFoundError as error:
            folder = _folder_with((error.name or "").split(".")[0], file, root)
            if folder is None or str(folder) in sys.path:
                return (made[0] if made else None), error
            sys.path.append(str(folder))
            sys.modules.pop(made[0].__name__ if made else "", None)  # it begins anew
        except BaseException as error:
            return (made[0] if made else None), error
    return None, ImportError(f"more than {_MANY} modules are in other folders")


def _run_file(file: Path, made: list[types.ModuleType]) -> None:
    """The file as a module, added to ``made`` before it runs, so that what it defines before an error is there."""
    packages = _packages(file)
    name = ".".join([*packages, file.stem])
    for number in range(len(packages)):
        _run_package(".".join(packages[: number + 1]), file.parents[len(packages) - 1 - number])
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(file):
        made.append(sys.modules[name])  # its package has imported it
        return
    if name in sys.modules or name in sys.stdlib_module_names:
        name += "_"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    made.append(module)
    spec.loader.exec_module(module)


def _packages(file: Path) -> list[str]:
    """The packages that a file's relative imports need, from the top: those with ``__init__.py``, or else as many as it climbs."""
    level = max((node.level for node in ast.walk(ast.parse(file.read_bytes(), str(file))) if isinstance(node, ast.ImportFrom)), default=0)
    if level == 0:
        return []
    names: list[str] = []
    for folder in file.parents:
        if not (folder / "__init__.py").exists() and len(names) >= level:
            break
        names.insert(0, folder.name)
    return names


def _run_package(name: str, folder: Path) -> None:
    """A package with its ``__init__.py``; one that fails still lets its other files be imported."""
    if name in sys.modules and list(getattr(sys.modules[name], "__path__", [])) == [str(folder)]:
        return
    init = folder / "__init__.py"
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    if init.exists():
        spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)]) or spec
    spec.submodule_search_locations = [str(folder)]
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    if init.exists() and spec.loader is not None:
        with contextlib.suppress(Exception):
            spec.loader.exec_module(package)


def _folder_with(top: str, file: Path | None, root: Path) -> Path | None:
    """A folder of the repository, or just above the file, that holds a module or package of this name."""
    if not top:
        return None
    above = list(file.parents)[:_DEEP] if file else []
    beside = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")] if root != Path(root.anchor) else []
    for folder in (*above, *sorted(beside)):
        if (folder / f"{top}.py").is_file() or any((folder / top).glob("*.py")):
            return folder
    return None


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Ends Python code that takes longer with TookTooLong; where there are no alarms, nothing happens."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise TookTooLong(f"{seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _working_in(root: Path, folder: Path, mirror: Path) -> Iterator[list[str]]:
    """Works in a copy of ``folder`` made of links; yields a list that holds, in the end, what was made there.

    So code finds its files, and what it makes beside them goes away with the copy (within a folder that exists, it stays). The
    folders between ``root`` and it are mirrored too, since code says ``..``.
    """
    made: list[str] = []
    try:
        here = _link(root, folder, mirror)
    except OSError:  # no links on this disk, or too many
        os.chdir(folder)
        yield made
        return
    os.chdir(here)
    before = set(here.iterdir())
    yield made
    made += sorted(path.name + ("/" if path.is_dir() else "") for path in here.iterdir() if path not in before)


def _link(root: Path, folder: Path, mirror: Path) -> Path:
    parts = folder.relative_to(root).parts
    for part in (*parts, None):
        mirror.mkdir(parents=True)
        entries = list(itertools.islice(root.iterdir(), _MOST_LINKS + 1))
        if len(entries) > _MOST_LINKS:
            raise OSError("too many entries")
        for entry in entries:
            if entry.name != part:
                (mirror / entry.name).symlink_to(entry)
        if part is not None:
            root, mirror = root / part, mirror / part
    return mirror


def block_network() -> None:
    """From here on, this process that asks for something from the network gets a Download error; it can't be undone."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "urllib.Request":
            raise Download(str(arguments[0]))
        if event in ("socket.getaddrinfo", "socket.gethostbyname") and arguments[0] not in _HERE:
            raise Download(f"from {arguments[0]!s}")
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in _HERE:
            raise Download(f"from {arguments[1][0]}")

    sys.addaudithook(refuse)


_HERE = (None, "", "localhost", "127.0.0.1", "::1", b"localhost")
