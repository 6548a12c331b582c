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
_WRITTEN = pytest.StashKey[dict[str, Any]]()


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

        module = model if isinstance(model, nn.Module) else model() if callable(model) else model
        if not isinstance(module, nn.Module):
            pytest.fail(f"params_lock: {type(module).__name__} is no nn.Module, and makes none", pytrace=False)
        if len(input) != 3 or not all(isinstance(side, int) for side in input):
            pytest.fail(f"params_lock: input={input!r}; expected (channels, height, width)", pytrace=False)
        called = name or type(module).__name__.lower()
        if not re.fullmatch(r"\w[\w.-]*", called):
            pytest.fail(f"params_lock: the name {called!r} is no file's; use letters, digits, '.', '-' and '_'", pytrace=False)
        path = request.config.rootpath / "locks" / f"{called}.json"
        fault = ""
        try:
            found = lock_model(module, called, input)
        except ReproError as error:
            fault = str(error)
        if fault:  # outside of the handler, or pytest shows both
            pytest.fail(fault, pytrace=False)
        if request.config.getoption(WRITE):
            if request.config.stash.setdefault(_WRITTEN, {}).setdefault(called, found) != found:
                pytest.fail(f"params_lock: two models are called {called}; give one a name: params_lock(model, name=...)", pytrace=False)
            found.write(path)
        elif drift := found.drift(path, f"pytest {WRITE}"):
            pytest.fail(drift if drift.startswith(f"{called}: ") else f"{called}: {drift}", pytrace=False)

    return hold
