"""A target in a process of its own: asked from here, answered there.

The child's prints go to a file in a temporary folder, its answer to another; its process group is killed when it has answered, when
its time is up, and when we are interrupted.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.auditing.targets import parse_target
from repro.errors import ReproError, TargetError

TIMEOUT = 300
_PACKAGE = str(Path(__file__).resolve().parent.parent)
#: Of the time, at most this share is given to the import, so that a file that trains can still be audited as far as it came.
_IMPORT_SHARE = 1 / 3
#: Seconds that the child has to end by itself when its time is up, so that it can say where it was.
_GRACE = 5
_START = "import sys; sys.path.append(sys.argv[1]); from repro.auditing.outside import answer; answer(sys.argv[2])"


def ask(task: str, target: str, timeout: float = TIMEOUT, **options: Any) -> dict[str, Any]:
    """Has the target loaded in a process of its own, where ``task`` (a name of ``tasks.TASKS``) gets its module.

    ``timeout`` is in seconds. Options and answer are JSON types. Raises TargetError in one line where the target can't be found,
    imported, built or run, or where its time is up.
    """
    parse_target(target)
    with tempfile.TemporaryDirectory(prefix="repro-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "question.json").write_text(json.dumps({"task": task, "target": target, "timeout": timeout, "options": options}))
        code = _run_child(folder, timeout)
        try:
            found = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TargetError(f"{target}: {_how_it_ended(code, (folder / 'log.txt'), timeout)}") from None
    if "error" in found:
        raise TargetError(found["error"])
    return dict(found["result"])


def _run_child(folder: Path, timeout: float) -> int | None:
    """The exit code, None where its time was up."""
    with (
        (folder / "log.txt").open("wb") as log,
        _group([sys.executable, "-P", "-c", _START, str(Path(_PACKAGE).parent), str(folder)], log) as process,
    ):
        try:
            return process.wait(timeout + _GRACE)
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def _group(command: list[str], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group; in the end the group is killed."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _how_it_ended(code: int | None, log: Path, timeout: float) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if code is None or any(line.startswith("Timeout (") for line in lines):
        own = next(filter(None, map(_own_line, lines)), "")
        where = f" (it was at {own})" if own else ""
        return f"not done after {timeout:g} s{where}; give more with --timeout, or a target that only builds the network"
    if code in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        reason = {-signal.SIGKILL: "was killed, perhaps for want of memory", -signal.SIGSEGV: "crashed", -signal.SIGABRT: "aborted"}[code]
        return f"its process {reason}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return f"its process ended with code {code}: {last[:300]}"


def _own_line(text: str) -> str:
    """``train.py:12`` of a line of a traceback; "" where the file is Python's, a package's or ours."""
    frame = re.fullmatch(r'\s*File "(.+)", line (\d+) in .*', text)
    if frame is None or frame[1].startswith(("<", sysconfig.get_path("stdlib"), _PACKAGE)) or "site-packages" in frame[1]:
        return ""
    return f"{Path(frame[1]).name}:{frame[2]}"


def answer(name: str) -> None:
    """The child's part: reads the question in this folder, writes the answer, and ends the process with its threads."""
    folder = Path(name)
    question = json.loads((folder / "question.json").read_text(encoding="utf-8"))
    # A copy of standard error: code that closes or redirects its own doesn't take this one.
    faulthandler.dump_traceback_later(question["timeout"], exit=True, file=os.fdopen(os.dup(2), "w"))
    sys.dont_write_bytecode = True
    found: dict[str, Any]
    try:
        found = {"result": _answered(question, folder)}
    except ReproError as error:
        found = {"error": str(error)}
    temporary = folder / "answer.part"
    temporary.write_text(json.dumps(found), encoding="utf-8")
    temporary.rename(folder / "answer.json")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(0)


def _answered(question: dict[str, Any], folder: Path) -> dict[str, Any]:
    from repro.auditing import importing, tasks
    from repro.auditing.constructing import on_cpu

    target = parse_target(question["target"])
    importing.block_network()
    with on_cpu():
        imported = importing.import_target(target, folder / "work", question["timeout"] * _IMPORT_SHARE)
    return tasks.TASKS[question["task"]](target, imported, **question["options"])
