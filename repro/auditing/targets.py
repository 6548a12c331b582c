"""What a TARGET says: a file or module, and what to take from it or call in it.

``torchvision.models:resnet50``, ``models/resnet.py:resnet20``, ``model.py:ResNet(BasicBlock, [3, 3, 3], shortcut="A")``. The
expression is read as syntax: names, attributes, items, literals, calls, and lambdas that return a literal. Nothing else runs.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import TargetError

EXAMPLE = 'model.py:ResNet(3, shortcut="A") or torchvision.models:resnet50'
#: Python's own names that an argument may use.
_BUILTINS = ("dict", "list", "tuple", "set", "range", "int", "float", "str", "bool", "len")
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """``place`` is a path that ends in ``.py``, or a module's name; ``expression`` is what stands after the colon."""

    text: str
    place: str
    expression: ast.expr

    @property
    def file(self) -> Path | None:
        """The file, None for a module by name."""
        return Path(self.place) if self.place.endswith(".py") else None

    @property
    def called(self) -> str:
        """The expression as Python writes it, the same from whatever folder the place is named."""
        return ast.unparse(self.expression)

    @property
    def first_name(self) -> str:
        """The name that the expression begins with: ``Model`` of ``Model.small(3)``."""
        node = self.expression
        while not isinstance(node, ast.Name):
            node = node.func if isinstance(node, ast.Call) else node.value  # type: ignore[attr-defined]
        return node.id


@dataclass(frozen=True, slots=True)
class Call:
    """What the expression leads to. ``written`` is False where it names something without calling it."""

    function: Any
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()
    written: bool = False


def parse_target(text: str) -> Target:
    """Reads a TARGET. Raises TargetError, one line that says what is expected; a file must exist."""
    end = text.find(".py:")
    place, _, wanted = (text[: end + 3], ":", text[end + 4 :]) if end > 0 and not set("\"'") & set(text[:end]) else text.partition(":")
    place, wanted = place.strip(), wanted.strip()
    if not place or (not wanted and not place.endswith(".py")):
        if "." in text.split("(")[0] and ":" not in text:
            head, dot, tail = text.partition("(")
            raise TargetError(f"{text!r} has no colon; did you mean {':'.join(head.rsplit('.', 1)) + dot + tail}?")
        raise TargetError(f"{text!r} names nothing to audit; expected a place, a colon and a name, such as {EXAMPLE}")
    if place.endswith(".py") and not Path(place).is_file():
        raise TargetError(f"{place}: no such file; a target is a file or module, a colon and a name, such as {EXAMPLE}")
    if not wanted:
        raise TargetError(f"{text} names a file only; {_choice(place)}")
    try:
        expression = ast.parse(wanted, mode="eval").body
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        raise TargetError(f"{text!r}: what follows the colon isn't Python ({error.args[0]}); expected such as {EXAMPLE}") from None
    for problem in _problems(expression):
        raise TargetError(f"{text!r}: {problem}; a target holds names, items, literals and calls with them only, such as {EXAMPLE}")
    return Target(text, place, expression)


def _problems(node: ast.expr) -> Iterator[str]:
    """Why an expression isn't one of those that :func:`evaluate` knows."""
    head: ast.AST = node
    while isinstance(head, ast.Call | ast.Attribute | ast.Subscript):
        head = head.func if isinstance(head, ast.Call) else head.value
    if not isinstance(head, ast.Name):
        yield f"{ast.unparse(node)} begins with no name of the module"
    for part in ast.walk(node):
        if isinstance(part, ast.Lambda):
            if not isinstance(part.body, ast.Constant):
                yield f"{ast.unparse(part)} computes something"
        elif isinstance(part, ast.expr) and not isinstance(part, _KNOWN):
            yield f"{ast.unparse(part)!r} isn't supported"


_KNOWN = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Constant, ast.Call, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred,
    ast.UnaryOp, ast.BinOp, ast.Lambda,
)  # fmt: skip


def _choice(place: str) -> str:
    """What a file defines, found without running it."""
    try:
        body = ast.parse(Path(place).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return f"add a colon and a name, such as {EXAMPLE}"
    names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")]
    return f"add a colon and one of {', '.join(names)}" if names else "and it defines no class or function"


def find_call(target: Target, names: Callable[[str], Any]) -> Call:
    """The expression up to its last call, which isn't made. ``names`` finds a name in the target's module."""
    node = target.expression
    if not isinstance(node, ast.Call):
        return Call(evaluate(node, names))
    function = evaluate(node.func, names)
    arguments, keywords = _arguments(node, names)
    return Call(function, arguments, tuple(keywords.items()), written=True)


def evaluate(node: ast.AST, names: Callable[[str], Any]) -> Any:
    """The value of an expression that :func:`parse_target` let through."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(id):
            return getattr(builtins, id) if id in _BUILTINS else names(id)
        case ast.Attribute(value, name):
            return getattr(evaluate(value, names), name)
        case ast.Subscript(value, key):
            return evaluate(value, names)[evaluate(key, names)]
        case ast.Slice(lower, upper, step):
            return slice(*(None if part is None else evaluate(part, names) for part in (lower, upper, step)))
        case ast.List(elements):
            return list(_elements(elements, names))
        case ast.Tuple(elements):
            return tuple(_elements(elements, names))
        case ast.Set(elements):
            return set(_elements(elements, names))
        case ast.Dict(keys, values):
            made: dict[Any, Any] = {}
            for name_of, part in zip(keys, values, strict=True):
                made |= evaluate(part, names) if name_of is None else {evaluate(name_of, names): evaluate(part, names)}
            return made
        case ast.UnaryOp(sign, value) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](evaluate(value, names))
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](evaluate(left, names), evaluate(right, names))
        case ast.Lambda(_, ast.Constant(value)):
            return lambda *arguments, **keywords: value
        case ast.Call(function):
            arguments, keywords = _arguments(node, names)
            return evaluate(function, names)(*arguments, **keywords)
    raise TargetError(f"{ast.unparse(node)!r} isn't supported in a target")


def _elements(nodes: list[ast.expr], names: Callable[[str], Any]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from evaluate(node.value, names)
        else:
            yield evaluate(node, names)


def _arguments(node: ast.Call, names: Callable[[str], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        value = evaluate(keyword.value, names)
        keywords |= value if keyword.arg is None else {keyword.arg: value}
    return tuple(_elements(node.args, names)), keywords
