"""Criteria: comparisons and arithmetic over named numbers, such as ``slope_max == 0.25 and slope_min < 0.25``."""

from __future__ import annotations

import ast
import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any

Value = float | int | bool

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Value]] = {"abs": abs, "min": min, "max": max}


def evaluate_criterion(expression: str, numbers: Mapping[str, Value]) -> bool:
    """Whether it holds. Raises ValueError that says what was expected, for what isn't a comparison of these numbers."""
    try:
        found = _value(ast.parse(expression, mode="eval").body, numbers)
    except (SyntaxError, RecursionError):
        raise ValueError("a comparison") from None
    except ZeroDivisionError:
        raise ValueError("no division by 0") from None
    if not isinstance(found, bool):
        raise ValueError("a comparison, which holds or doesn't")
    return found


def _value(node: ast.expr, numbers: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(name) if name in numbers:
            return numbers[name]
        case ast.Name():
            raise ValueError(f"one of the numbers {', '.join(sorted(numbers))}")
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, numbers), _value(right, numbers))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, numbers)
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, numbers)
        case ast.BoolOp(op, values):
            found = [bool(_value(value, numbers)) for value in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.Compare(left, ops, others) if all(type(op) in _COMPARED for op in ops):
            compared = [_value(part, numbers) for part in (left, *others)]
            return all(_COMPARED[type(op)](*pair) for op, pair in zip(ops, itertools.pairwise(compared), strict=True))
        case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS and arguments:
            return _FUNCTIONS[name](*(_value(argument, numbers) for argument in arguments))
    raise ValueError(f"arithmetic, comparisons, and, or, not, {', '.join(_FUNCTIONS)}")
