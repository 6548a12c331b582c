"""A pytest plugin: ``params_lock`` holds the layers, parameters and MACs of a model to what they were when somebody last looked.

    def test_my_network_stays_what_it_is(params_lock):
        params_lock(MyNet(), input=(3, 32, 32))

The first time, ``pytest --params-lock-write`` writes ``locks/mynet.json`` in pytest's root folder; commit it. From then on a changed
layer fails the test, which names the layer, and the same option accepts the change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import pytest

WRITE = "--params-lock-write"


class ParamsLock(Protocol):
    """What the fixture gives."""

    def __call__(self, model: Any, input: Sequence[int] = (3, 224, 224), name: str | None = None) -> None:
        """Fails the test where ``model``, a module or what makes one, isn't as locked; ``name`` is the lock's, by default its class's."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--params-lock-write``."""
    parser.getgroup("repro").addoption(WRITE, action="store_true", help="write the locks of params_lock instead of comparing with them")


@pytest.fixture
def params_lock(request: pytest.FixtureRequest) -> ParamsLock:
    """``params_lock(model, input=(3, 224, 224), name=None)``: compares with ``locks/<name>.json`` in pytest's root folder."""

    def hold(model: Any, input: Sequence[int] = (3, 224, 224), name: str | None = None) -> None:
        from torch import nn  # tests that don't ask for the fixture don't wait for torch

        from repro.errors import ReproError
        from repro.model_lock import lock_model

        module = model if isinstance(model, nn.Module) else model()
        called = name or type(module).__name__.lower()
        if not re.fullmatch(r"[\w.-]+", called):
            pytest.fail(f"params_lock: the name {called!r} is no file's; use letters, digits, '.', '-' and '_'", pytrace=False)
        path = request.config.rootpath / "locks" / f"{called}.json"
        try:
            found = lock_model(module, called, input)
        except ReproError as error:
            pytest.fail(str(error), pytrace=False)
        if request.config.getoption(WRITE):
            found.write(path)
        elif drift := found.drift(path, f"pytest {WRITE}"):
            pytest.fail(drift if drift.startswith(f"{called}: ") else f"{called}: {drift}", pytrace=False)

    return hold
