"""What the tests share: the ledger, read once, an edited copy of papers/, and how hypothesis searches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import hypothesis
import pytest

from repro import Ledger, load_ledger
from repro.tables.ledger import PAPERS

hypothesis.settings.register_profile("repro", database=None, derandomize=True, deadline=timedelta(seconds=5), max_examples=300)
hypothesis.settings.load_profile("repro")


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return load_ledger()


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """``edited("vgg.toml", ("maxpool", "minpool"))`` is a copy of papers/ with the first such text of that file replaced."""
    folder = tmp_path / "papers"
    shutil.copytree(PAPERS, folder)

    def edit(file: str, *replacements: tuple[str, str]) -> Path:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8", newline="\n")
        return folder

    return edit
