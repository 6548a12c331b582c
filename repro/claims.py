"""Claim x measurement -> verdict.

A claim says what it measures in a small arithmetic language: ``100 * macs('resnet34') / macs('vgg-e')``.
The functions are those of QUANTITIES; everything is exact (integers and fractions) until it is printed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from repro.counting import closed_form as cf
from repro.errors import NotationError, ReproError, TableError
from repro.layers import Layer, elements
from repro.notation import Item, parse
from repro.tables import Claim, Ledger

Verdict = Literal["reproduced", "deviates", "not-attempted", "drift"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "deviates", "not-attempted", "drift")

#: A training step costs about three forward passes; a MAC is two FLOPs.
FLOPS_PER_MAC_TRAINED = 6


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim with what was measured for it and the verdict. ``measured`` is exact, before any rounding."""

    claim: Claim
    measured: int | Fraction | None
    verdict: Verdict
    reason: str | None
    command: str | None

    def to_json(self) -> dict[str, Any]:
        """One row of ``repro check --json``."""
        claim = self.claim
        return {
            "id": claim.id,
            "network": claim.network,
            "quantity": claim.quantity,
            "printed": claim.printed,
            "unit": unit(claim),
            "low": as_number(claim.interval.low),
            "high": as_number(claim.interval.high),
            "measured": as_number(self.measured),
            "verdict": self.verdict,
            "reason": self.reason,
            "where": claim.where,
            "command": self.command,
        }


def judge_claim(ledger: Ledger, claim: Claim) -> Judgement:
    """Measures a claim in closed form and judges it. Raises TableError where its expression can't be evaluated."""
    if claim.training is not None:
        return Judgement(claim, None, "not-attempted", cost(ledger, claim), None)
    measured = _checked(ledger, claim, claim.expression)
    command = f"repro check {claim.network}"
    holds, deviates = measured in claim.interval, claim.deviates is not None
    if holds and deviates:
        return Judgement(claim, measured, "drift", "listed as a deviation, but it holds: remove the deviation", command)
    if holds:
        return Judgement(claim, measured, "reproduced", claim.note, command)
    if claim.deviates is not None:
        return Judgement(claim, measured, "deviates", _filled(ledger, claim, claim.deviates), command)
    interval = f"{as_number(claim.interval.low)} to {as_number(claim.interval.high)}"
    return Judgement(claim, measured, "drift", f"{as_number(measured)} is not in the printed {interval}", command)


def cost(ledger: Ledger, claim: Claim) -> str:
    """What attempting a claim of training would take: arithmetic in PFLOP, and the data."""
    assert claim.training is not None
    images = _checked(ledger, claim, claim.training.images_seen)
    flops = FLOPS_PER_MAC_TRAINED * ledger.network(claim.network).macs * images * claim.nets
    nets = f" for {claim.nets} nets" if claim.nets > 1 else ""
    seen = f"{significant(images / 10**6)} million images seen"
    return f"needs training: about {significant(flops / 10**15)} PFLOP{nets} on {claim.training.data}, {seen}"


def evaluate(ledger: Ledger, expression: str) -> int | Fraction:
    """The exact value of an expression over QUANTITIES. Raises ValueError where it isn't one."""
    try:
        value = _evaluate(ledger, ast.parse(expression, mode="eval").body)
    except ZeroDivisionError:
        raise ValueError("a divisor other than 0") from None
    except (SyntaxError, MemoryError, RecursionError):
        raise _not_arithmetic(expression) from None
    return int(value) if value.denominator == 1 else value


def unit(claim: Claim) -> str:
    """The unit of the printed number: ``million parameters``, ``MACs``, ``%``."""
    noun = "%" if claim.training or claim.printed.endswith("%") else _NOUNS.get(claim.quantity, claim.quantity)
    return f"{claim.scale} {noun}".strip()


def as_number(value: int | Fraction | None) -> int | float | None:
    """An exact value as a JSON number: an integer where it is one."""
    if value is None or isinstance(value, int):
        return value
    return int(value) if value.denominator == 1 else float(value)


def significant(value: int | float | Fraction, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent: 1,395,000 or 0.00235."""
    rounded = float(f"{float(value):.{digits}g}")
    if abs(rounded) >= 10 ** (digits - 1):
        return f"{rounded:,.0f}"
    return format(Decimal(f"{rounded:.{digits}g}"), "f")


def _checked(ledger: Ledger, claim: Claim, expression: str) -> int | Fraction:
    try:
        return evaluate(ledger, expression)
    except (ValueError, ReproError) as error:
        raise TableError(claim.file, f"claim {claim.id}", expression, str(error), "correct the claim") from None


def _filled(ledger: Ledger, claim: Claim, text: str) -> str:
    """A reason with each ``{expression:format}`` measured."""

    def fill(match: re.Match[str]) -> str:
        value = _checked(ledger, claim, match[1])
        spec = match[2] or "d"
        if not _SPEC.fullmatch(spec) or (spec.endswith("d") and not isinstance(value, int)):
            raise TableError(claim.file, f"deviation of {claim.id}", match[0], "an integer with ',d' or a number with '.2f'", "correct it")
        return format(int(value) if spec.endswith("d") else float(value), spec)

    return re.sub(r"\{([^{}]+?)(?::([^{}:]+))?\}", fill, text)


_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


_SPEC = re.compile(r",?d|\.[0-9]f")

#: No count comes near; without a limit, powers of powers would eat the memory.
LARGEST = 10**100


def _not_arithmetic(expression: str) -> ValueError:
    shown = repr(expression if len(expression) <= 80 else f"{expression[:80]}...")
    return ValueError(f"arithmetic over {', '.join(QUANTITIES)}, not {shown}")


def _evaluate(ledger: Ledger, node: ast.expr) -> Fraction:
    """The value of one node; refuses what is neither arithmetic nor a count, and numbers beyond LARGEST."""
    value = _value(ledger, node)
    if max(abs(value.numerator), value.denominator) > LARGEST:
        raise ValueError("numbers of at most a hundred digits")
    return value


def _value(ledger: Ledger, node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool) and number < LARGEST:
            return Fraction(str(number))
        case ast.BinOp(left, ast.Pow(), ast.Constant(value=int(power))) if 0 <= power <= 18:
            return Fraction(_evaluate(ledger, left) ** power)
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(ledger, left), _evaluate(ledger, right))
        case ast.Call(ast.Name(name), arguments, []) if name in QUANTITIES:
            values = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
            if len(values) == len(arguments):
                try:
                    return Fraction(QUANTITIES[name](ledger, *values))
                except (TypeError, AttributeError, OverflowError):
                    raise ValueError(f"other arguments for {name} than {values}") from None
    raise _not_arithmetic(ast.unparse(node))


def _layers(ledger: Ledger, network: str, row: str | None) -> list[Layer]:
    net = ledger.network(network)
    return list(net.layers) if row is None else net.layers_of(row)


def _params(ledger: Ledger, network: str, row: str | None = None) -> int:
    return sum(layer.params for layer in _layers(ledger, network, row))


def _macs(ledger: Ledger, network: str, row: str | None = None) -> int:
    return sum(layer.macs for layer in _layers(ledger, network, row))


def _conv_macs(ledger: Ledger, network: str) -> int:
    return sum(layer.macs for layer in ledger.network(network).layers if layer.kind == "conv")


def _connections(ledger: Ledger, network: str, row: str | None = None) -> int:
    return sum(layer.connections for layer in _layers(ledger, network, row))


def _neurons(ledger: Ledger, network: str, row: str | None = None) -> int:
    """Outputs of convolutions and fully connected layers; the input isn't counted."""
    return sum(elements(layer.output) for layer in _layers(ledger, network, row) if layer.kind in ("conv", "linear"))


def _inputs(ledger: Ledger, network: str) -> int:
    return elements(ledger.network(network).input)


def _params_share(ledger: Ledger, network: str, row: str) -> Fraction:
    """Percent of the network's parameters."""
    return Fraction(100 * _params(ledger, network, row), _params(ledger, network))


def _filters(ledger: Ledger, network: str, row: str) -> int:
    for layer in _layers(ledger, network, row):
        if layer.kind == "conv":
            return layer.output[0]
    raise ValueError(f"a row with a convolution, not {row!r} of {network}")


def _weight_layers(ledger: Ledger, network: str) -> int:
    """Convolutions and fully connected layers on the main path; projections aren't counted."""
    return sum(layer.kind in ("conv", "linear") for layer in ledger.network(network).layers) - _projections(ledger, network)


def _projections(ledger: Ledger, network: str) -> int:
    return sum(layer.name.endswith(".projection") for layer in ledger.network(network).layers)


def _printed_layers(ledger: Ledger, network: str) -> int:
    """Rows of the printed table."""
    return len(ledger.network(network).table.rows)


def _stack_weights(ledger: Ledger, cell: str, channels: int) -> int:
    """Weights, without biases, of a printed stack of convolutions on so many channels."""
    total, top = 0, Layer("input", "input", (), (channels, 64, 64))
    for item in parse(cell):
        if not isinstance(item, Item) or item.kind != "conv":
            raise NotationError(f"a stack of convolutions, not {cell!r}")
        top = cf.conv("conv", top, item["filters"], item["kernel"], padding=item["kernel"] // 2, bias=False)
        total += top.params
    return total


#: What a claim may measure: functions of the ledger, a network and perhaps a row of its table.
QUANTITIES: dict[str, Callable[..., int | Fraction]] = {
    "params": _params,
    "macs": _macs,
    "conv_macs": _conv_macs,
    "connections": _connections,
    "neurons": _neurons,
    "inputs": _inputs,
    "params_share": _params_share,
    "filters": _filters,
    "weight_layers": _weight_layers,
    "projections": _projections,
    "layers": _printed_layers,
    "stack_weights": _stack_weights,
}
_NOUNS = {"params": "parameters", "macs": "MACs", "weight_layers": "layers", "inputs": "values", "params_share": "%", "weights": "C^2"}
