"""A checkpoint comes back as it was, or is refused with its cure; the one before it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from repro.checkpoints import before, load_checkpoint, remove_checkpoints, save_checkpoint
from repro.errors import CheckpointError


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """The newest of two checkpoints."""
    path = tmp_path / "a.pt"
    for iteration in (1, 2):
        save_checkpoint(path, {"iteration": iteration, "net": {"w": torch.arange(6.0).view(2, 3)}, "curves": {"train": [[1, 0.5]]}})
    return path


def test_a_checkpoint_comes_back(two: Path) -> None:
    state = load_checkpoint(two)
    assert state is not None
    assert (state["iteration"], state["curves"]) == (2, {"train": [[1, 0.5]]})
    assert state["net"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "a.pt") is None


def test_the_one_before_is_used_where_the_newest_is_gone(two: Path) -> None:
    two.unlink()  # also what a process leaves that is killed between the rename and the write
    state = load_checkpoint(two)
    assert state is not None
    assert state["iteration"] == 1


def cut(content: bytes) -> bytes:
    return content[:-1]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def empty(content: bytes) -> bytes:
    return b""


def other(content: bytes) -> bytes:
    return b"PK\x03\x04 some other file"


DAMAGES = [cut, flip, empty, other]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_refused_and_the_one_before_is_the_cure(two: Path, damage: Callable[[bytes], bytes]) -> None:
    two.write_bytes(damage(two.read_bytes()))
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(two)
    line = str(raised.value)
    assert line.startswith(f"{two}: the checkpoint is truncated or altered")
    assert line.endswith("remove it to go on from the one before it (a.before.pt)")
    assert "\n" not in line
    two.unlink()
    state = load_checkpoint(two)
    assert state is not None
    assert state["iteration"] == 1


def test_where_both_are_damaged_the_run_starts_again(two: Path) -> None:
    two.unlink()
    before(two).write_bytes(cut(before(two).read_bytes()))
    with pytest.raises(CheckpointError, match=r"a\.before\.pt: .*; remove it to start the run again$"):
        load_checkpoint(two)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"path": Path("a")})  # any class that isn't a tensor would do
    with pytest.raises(Exception, match="Weights only load failed"):
        load_checkpoint(tmp_path / "a.pt")


def test_nothing_is_left_after_the_record_not_even_of_a_process_that_was_killed_while_it_wrote(two: Path) -> None:
    (two.parent / ".a.pt.k1ll3d").write_bytes(b"half")
    (two.parent / "a-2.pt").touch()
    remove_checkpoints(two)
    assert [path.name for path in two.parent.iterdir()] == ["a-2.pt"]
