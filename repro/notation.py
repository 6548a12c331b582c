"""The papers' notation: a printed cell <-> items.

Each line of GRAMMAR is one way in which a paper prints a layer. It reads and writes: ``parse`` matches it,
``str(item)`` fills it in again. A cell holds items separated by ``;`` (the papers print them on lines of
their own), and ``[a; b] x3`` is a building block that stands three times.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from repro.errors import NotationError

#: (how it is printed, what it is). L98: LeCun et al. 1998; K12: Krizhevsky et al. 2012, sections 3.3-3.5;
#: S14: Simonyan and Zisserman, Table 1; H15: He et al., Table 1 and section 4.2.
GRAMMAR: tuple[tuple[str, str], ...] = (
    ("convolution {kernel}x{kernel}, {filters}@{side}x{side}", "conv"),  # L98 section II.B
    ("convolution {kernel}x{kernel}, {filters}@{side}x{side}, Table I", "partial conv"),
    ("subsampling {kernel}x{kernel}, {filters}@{side}x{side}", "subsampling"),
    ("fully connected, {units}", "fc"),
    ("Euclidean RBF, {units}", "rbf"),
    ("{filters} kernels of size {kernel}x{kernel}x{depth}", "conv"),  # K12
    ("{filters} kernels of size {kernel}x{kernel}x{depth}, stride {stride}", "conv"),
    ("max pool z={kernel}, s={stride}", "maxpool"),
    ("fully connected layer, {units} neurons", "fc"),
    ("conv{kernel}-{filters}", "conv"),  # S14
    ("maxpool", "maxpool"),
    ("FC-{units}", "fc"),
    ("{kernel}x{kernel}, {filters}", "conv"),  # H15
    ("{kernel}x{kernel}, {filters}, stride {stride}", "conv"),
    ("{kernel}x{kernel} max pool, stride {stride}", "maxpool"),
    ("average pool", "avgpool"),
    ("global average pool", "avgpool"),
    ("{units}-d fc", "fc"),
    ("{units}-way fc", "fc"),
    ("LRN", "lrn"),
    ("softmax", "softmax"),
    ("soft-max", "softmax"),
)

#: Larger numbers are no layer of any paper; the limit keeps a typing error from eating the memory.
LARGEST = 100_000
MOST_BLOCKS = 1_000
LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Item:
    """One printed layer: what it is, the form it is printed in, and the numbers in it."""

    kind: str
    form: str
    numbers: Mapping[str, int]

    def __str__(self) -> str:
        return self.form.format(**self.numbers)

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def get(self, name: str) -> int | None:
        """The number of this name, or None where this form doesn't print it."""
        return self.numbers.get(name)


@dataclass(frozen=True, slots=True)
class Block:
    """A building block in brackets; ``times`` is a number or the letter n (He et al., section 4.2)."""

    items: tuple[Item, ...]
    times: int | str

    def __str__(self) -> str:
        return f"[{'; '.join(map(str, self.items))}] x{self.times}"


Cell = tuple[Item | Block, ...]


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Cell:
    """Reads a printed cell.

    >>> [str(item) for item in parse("[3x3, 64; 3x3, 64] x2; FC-10")]
    ['[3x3, 64; 3x3, 64] x2', 'FC-10']

    Raises NotationError where the text is in no paper's notation.
    """
    if len(text) > LONGEST:
        raise NotationError(f"cell {text[:60]!r}... has {len(text)} letters; expected at most {LONGEST}")
    text = text.replace("\N{MULTIPLICATION SIGN}", "x")
    parts = _split(text)
    if not parts:
        raise NotationError(f"cell {text!r} is empty; write at least one layer, for example 'conv3-64'")
    return tuple(_block(part) if part.startswith("[") else _item(part) for part in parts)


def format_cell(cell: Cell) -> str:
    """Writes a cell as printed: ``parse(format_cell(cell)) == cell``."""
    return "; ".join(map(str, cell))


def _split(text: str) -> list[str]:
    """Splits at semicolons outside brackets; refuses brackets that don't pair."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if depth not in (0, 1):
            raise NotationError(f"cell {text!r}: brackets don't pair, or stand within each other; write '[a; b] x3'")
        if letter == ";" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise NotationError(f"cell {text!r}: a bracket isn't closed; write '[a; b] x3'")
    return [part.strip() for part in parts] if text.strip() else []


def _block(text: str) -> Block:
    match = re.fullmatch(r"\[(.*)\] ?x ?(n|[0-9]{1,9})", text, flags=re.DOTALL)
    if not match:
        raise NotationError(f"block {text!r} can't be read; write '[a; b] x3'")
    times: int | str = match[2]
    if times != "n":
        times = int(times)
        if not 1 <= times <= MOST_BLOCKS:
            raise NotationError(f"block {text!r} stands {times} times; expected 1 to {MOST_BLOCKS}")
    return Block(tuple(_item(part.strip()) for part in match[1].split(";")), times)


def _item(text: str) -> Item:
    for form, kind, pattern in _patterns():
        if match := pattern.fullmatch(text):
            numbers = {name: int(digits) for name, digits in match.groupdict().items()}
            for name, number in numbers.items():
                if not 1 <= number <= LARGEST:
                    raise NotationError(f"layer {text!r}: {name} is {number}; expected 1 to {LARGEST}")
            return Item(kind, form, numbers)
    raise NotationError(f"layer {text!r} is in no paper's notation; see GRAMMAR in repro/notation.py, for example 'conv3-64'")


@functools.cache
def _patterns() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """GRAMMAR as regular expressions; a number that a form prints twice must be the same twice."""
    rows = []
    for form, kind in GRAMMAR:
        seen: set[str] = set()

        def group(match: re.Match[str], seen: set[str] = seen) -> str:
            name = match[1]
            if name in seen:
                return f"(?P={name})"
            seen.add(name)
            return f"(?P<{name}>[0-9]{{1,9}})"

        pattern = re.sub(r"\\\{(\w+)\\\}", group, re.escape(form)).replace(r"\ ", " ")
        rows.append((form, kind, re.compile(pattern)))
    return tuple(rows)
