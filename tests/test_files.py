"""Files that are whole or not there, with several real processes and a disk that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repro.files import uninterrupted, write_atomically, write_once


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_until_what_is_written_is_known(number: signal.Signals) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old, done = signal.signal(number, interrupt), False
    try:
        try:
            with uninterrupted():
                signal.raise_signal(number)
                done = True
        except KeyboardInterrupt:
            assert done
        else:
            pytest.fail("it was lost")
        with pytest.raises(KeyboardInterrupt):  # is heard at once again
            signal.raise_signal(number)
    finally:
        signal.signal(number, old)


def test_an_atomic_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert names(path.parent) == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").touch()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]


def test_an_equal_file_is_kept_and_another_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert [write_once(path, content).name for content in (b"1", b"1", b"2", b"3", b"2")] == [
        "run.json", "run.json", "run-2.json", "run-3.json", "run-2.json",
    ]  # fmt: skip
    assert names(tmp_path) == ["run-2.json", "run-3.json", "run.json"]
    assert path.read_bytes() == b"1"


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from repro.files import write_once; sys.stdin.read()\n"
        "for i in range(40): write_once(Path('run.json'), f'{sys.argv[1]} {i}'.encode())"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, name], cwd=tmp_path, stdin=subprocess.PIPE) for name in "abc"]
    for writer in writers:  # all have begun; now all go on
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert {path.read_text() for path in tmp_path.iterdir()} == {f"{name} {i}" for name in "abc" for i in range(40)}
    assert len(names(tmp_path)) == 120


@pytest.mark.parametrize("writer", ["write_once", "write_atomically"])
def test_a_disk_that_ends_leaves_the_old_file_and_nothing_half_written(tmp_path: Path, writer: str) -> None:
    (tmp_path / "a.json").write_text("old")
    code = (
        "import resource, sys; from pathlib import Path; from repro import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"try: files.{writer}(Path('a.json'), bytes(5000))\n"
        "except OSError as error: sys.exit(f'{error.filename}: {error.strerror}')"
    )
    result = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "a.json: File too large\n")
    assert names(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError) as raised:
            write_once(tmp_path / "a.json", b"")
        assert raised.value.filename == str(tmp_path / "a.json")
    finally:
        tmp_path.chmod(0o700)
