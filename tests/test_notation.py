"""Printed cells: each one in papers/ reads and writes back to itself, and any other text is read or refused, never a crash."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import NotationError
from repro.notation import GRAMMAR, LARGEST, LONGEST, MOST_BLOCKS, Block, Item, _patterns, format_cell, parse
from repro.tables.ledger import PAPERS


def printed_cells() -> Iterator[str]:
    """Every cell of papers/, read without our own reader."""
    for path in sorted(PAPERS.glob("*.toml")):
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        for table in content.get("tables", []):
            for row in table["rows"]:
                yield from row.get("cells") or [row["cell"]]


CELLS = sorted(set(printed_cells()))


def test_papers_hold_cells_in_every_notation() -> None:
    kinds = {item.kind for text in CELLS for part in parse(text) for item in (part.items if isinstance(part, Block) else [part])}
    assert kinds == {kind for _, kind in GRAMMAR}


@pytest.mark.parametrize("text", CELLS)
def test_a_printed_cell_is_written_back_as_printed(text: str) -> None:
    assert format_cell(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "kind", "numbers"),
    [
        ("convolution 5x5, 6@28x28", "conv", {"kernel": 5, "filters": 6, "side": 28}),
        ("convolution 5x5, 16@10x10, Table I", "partial conv", {"kernel": 5, "filters": 16, "side": 10}),
        ("subsampling 2x2, 6@14x14", "subsampling", {"kernel": 2, "filters": 6, "side": 14}),
        ("Euclidean RBF, 10", "rbf", {"units": 10}),
        ("256 kernels of size 5x5x48", "conv", {"filters": 256, "kernel": 5, "depth": 48}),
        ("96 kernels of size 11x11x3, stride 4", "conv", {"filters": 96, "kernel": 11, "depth": 3, "stride": 4}),
        ("max pool z=3, s=2", "maxpool", {"kernel": 3, "stride": 2}),
        ("conv3-64", "conv", {"kernel": 3, "filters": 64}),
        ("conv1-512", "conv", {"kernel": 1, "filters": 512}),
        ("maxpool", "maxpool", {}),
        ("FC-4096", "fc", {"units": 4096}),
        ("7x7, 64, stride 2", "conv", {"kernel": 7, "filters": 64, "stride": 2}),
        ("3x3 max pool, stride 2", "maxpool", {"kernel": 3, "stride": 2}),
        ("10-way fc", "fc", {"units": 10}),
        ("global average pool", "avgpool", {}),
    ],
)
def test_a_layer_is_read_with_its_numbers(text: str, kind: str, numbers: dict[str, int]) -> None:
    (item,) = parse(text)
    assert isinstance(item, Item)
    assert (item.kind, item.numbers) == (kind, numbers)
    assert item.get("depth") == numbers.get("depth")


def test_a_block_is_read_with_its_layers_and_times() -> None:
    (block,) = parse("[1x1, 64; 3x3, 64; 1x1, 256] x36")
    assert isinstance(block, Block)
    assert [(item["kernel"], item["filters"]) for item in block.items] == [(1, 64), (3, 64), (1, 256)]
    assert block.times == 36
    (block,) = parse("[3x3, 16; 3x3, 16] xn")
    assert isinstance(block, Block)
    assert block.times == "n"


@pytest.mark.parametrize(
    "text", ["[3\N{MULTIPLICATION SIGN}3, 64] \N{MULTIPLICATION SIGN}2", "[ 3x3, 64 ]x2", "  [3x3, 64] x2 ", "[3x3, 64] x02"]
)
def test_the_multiplication_sign_and_spaces_are_read_too(text: str) -> None:
    assert format_cell(parse(text)) == "[3x3, 64] x2"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        (";", "no paper's notation"),
        ("conv3-64;", "no paper's notation"),
        ("Conv3-64", "no paper's notation"),
        ("conv3-64x", "no paper's notation"),
        ("conv3-\N{ARABIC-INDIC DIGIT SIX}", "no paper's notation"),
        ("conv3--64", "no paper's notation"),
        ("conv3-6.4", "no paper's notation"),
        ("conv3-9999999999", "no paper's notation"),
        ("3x5, 64", "no paper's notation"),
        ("conv3-0", "filters is 0; expected 1 to 100000"),
        ("conv0-64", "kernel is 0"),
        (f"conv3-{LARGEST + 1}", "filters is 100001"),
        ("[3x3, 64", "isn't closed"),
        ("3x3, 64]", "don't pair"),
        ("[[3x3, 64]] x2", "within each other"),
        ("[3x3, 64]", "write '[a; b] x3'"),
        ("[3x3, 64] x", "write '[a; b] x3'"),
        ("[3x3, 64] xm", "write '[a; b] x3'"),
        ("[3x3, 64] x2 x2", "write '[a; b] x3'"),
        ("[3x3, 64] x-1", "write '[a; b] x3'"),
        ("[3x3, 64] x0", "stands 0 times; expected 1 to 1000"),
        (f"[3x3, 64] x{MOST_BLOCKS + 1}", "stands 1001 times"),
        ("[] x2", "no paper's notation"),
        ("[3x3, 64; ] x2", "no paper's notation"),
        ("conv3-64; " * 100_000, f"expected at most {LONGEST}"),
        ("[" * 1000, "within each other"),
    ],
)
def test_what_no_paper_prints_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse(text)
    message = str(caught.value)
    assert why in message
    assert "\n" not in message
    assert len(message) < 1500


@st.composite
def items(draw: st.DrawFn) -> Item:
    form, kind, pattern = draw(st.sampled_from(_patterns()))
    return Item(kind, form, {name: draw(st.integers(1, LARGEST)) for name in pattern.groupindex})


blocks = st.builds(Block, st.lists(items(), min_size=1, max_size=4).map(tuple), st.integers(1, MOST_BLOCKS) | st.just("n"))
cells = st.lists(items() | blocks, min_size=1, max_size=4).map(tuple)

#: Texts that almost are cells: pieces of the notation in any order.
PIECES = ["[", "]", "; ", ";", " x", "x", "n", "3x3, 64", "conv3-", "FC-10", "maxpool", "7", "0", " ", ", stride 2", "\u00d7", "\n", "\0"]
near_cells = st.lists(st.sampled_from([*PIECES, *CELLS]) | st.text(max_size=3), max_size=12).map("".join)


def refusal(text: str) -> str:
    """Why the text isn't read, or nothing where it is, and stays what it is when written."""
    try:
        cell = parse(text)
    except NotationError as error:
        return str(error)
    assert parse(format_cell(cell)) == cell
    return ""


@given(cells)
def test_any_cell_reads_back_as_itself(cell: tuple[Item | Block, ...]) -> None:
    assert parse(format_cell(cell)) == cell


@given(st.text() | near_cells)
def test_any_text_is_read_or_refused(text: str) -> None:
    assert "\n" not in refusal(text)


@pytest.mark.slow
@settings(max_examples=10_000, derandomize=False)
@given(cells)
def test_ten_thousand_cells_read_back_as_themselves(cell: tuple[Item | Block, ...]) -> None:
    assert parse(format_cell(cell)) == cell


@pytest.mark.slow
@settings(max_examples=10_000, derandomize=False)
@given(st.text() | near_cells)
def test_ten_thousand_texts_are_read_or_refused(text: str) -> None:
    assert "\n" not in refusal(text)
