"""What a process that is timed does first: its memory is limited, and nothing is looked through for garbage."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

import pytest

from bench import launch


@pytest.mark.parametrize(("user", "limit"), [(2**20, 2**20), (2**40, 2**30), (resource.RLIM_INFINITY, 2**30)])
def test_memory_is_limited_by_what_is_free_and_by_what_the_user_has_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, limit: int
) -> None:
    given: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (user, user))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: given.append((which, limits)))
    monkeypatch.setattr(launch, "SCORE", tmp_path / "missing")
    try:
        launch.prepare_process(2**30)
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert given == [(resource.RLIMIT_DATA, (limit, limit))]
    assert not (tmp_path / "missing").exists()
