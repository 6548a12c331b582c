"""Verdicts: each claim of the papers is judged, on exact numbers, and only the known ones deviate."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from repro import Claim, Ledger, load_ledger
from repro.claims import QUANTITIES, VERDICTS, Judgement, as_number, evaluate, judge_claim, significant, unit
from repro.errors import ReproError, TableError
from repro.tables import interval
from repro.tables.ledger import COURSE, PAPERS

DEVIATING = {
    "lenet5/macs",
    "alexnet/neurons",
    "alexnet/conv1/neurons",
    "alexnet/conv3/params_share",
    "alexnet/conv4/params_share",
    "alexnet-owt/connections-against-two-towers",
    "alexnet-owt/conv4/filters",
    "vgg-d/macs/resnet-paper",
    "resnet50/macs",
    "resnet34/macs-against-vgg-19",
}
ROW = ("id", "network", "quantity", "printed", "unit", "low", "high", "measured", "verdict", "reason", "where", "command")


def judge_all(ledger: Ledger) -> dict[str, Judgement]:
    return {claim.id: judge_claim(ledger, claim) for claim in ledger.claims}


@pytest.fixture(scope="module")
def judged(ledger: Ledger) -> dict[str, Judgement]:
    return judge_all(ledger)


def printed_numbers() -> int:
    """Claims and filled cells of grids in papers/, counted without our own reader."""
    total = 0
    for path in set(PAPERS.glob("*.toml")) - {PAPERS / COURSE}:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        cells = [cell for grid in content.get("grids", []) for row in grid["rows"] for cell in row["cells"]]
        total += len(content.get("claims", [])) + len(cells) - cells.count("-")
    return total


def test_every_printed_number_is_a_claim_and_every_claim_is_judged(ledger: Ledger, judged: dict[str, Judgement]) -> None:
    assert len(ledger.claims) == len(judged) == printed_numbers()
    assert {judgement.verdict for judgement in judged.values()} < set(VERDICTS)


def test_nothing_drifts_and_exactly_these_deviate(judged: dict[str, Judgement]) -> None:
    assert [id for id, judgement in judged.items() if judgement.verdict == "drift"] == []
    assert {id for id, judgement in judged.items() if judgement.verdict == "deviates"} == DEVIATING


def test_a_claim_is_not_attempted_where_and_only_where_it_needs_training(judged: dict[str, Judgement]) -> None:
    for judgement in judged.values():
        assert (judgement.verdict == "not-attempted") is (judgement.claim.training is not None)
        assert (judgement.measured is None) is (judgement.claim.training is not None)
        assert ("error" in judgement.claim.quantity) is (judgement.claim.training is not None)


@pytest.mark.parametrize(
    ("id", "measured"),
    [
        ("lenet5/params", 60_000),
        ("lenet5/connections", 340_908),
        ("lenet5/macs", 326_520),
        ("lenet5/layers", 7),
        ("alexnet/params", 60_965_224),
        ("alexnet/inputs", 150_528),
        ("alexnet/neurons", 659_272),
        ("alexnet/conv1/neurons", 290_400),
        ("alexnet/conv1/params_share", Fraction(100 * 34_944, 60_965_224)),
        ("alexnet/conv3/params_share", Fraction(100 * 885_120, 60_965_224)),
        ("alexnet/augmentation-factor", 2_048),
        ("alexnet-owt/params-against-two-towers", Fraction(100 * (61_100_840 - 60_965_224), 60_965_224)),
        ("alexnet-owt/connections-against-two-towers", Fraction(100 * (724_406_816 - 714_188_480), 724_406_816)),
        ("alexnet-owt/conv4/filters", 256),
        ("vgg-d/three-3x3-weights", 27),
        ("vgg-d/one-7x7-weights", 49),
        ("vgg-d/7x7-against-three-3x3", Fraction(100 * 22, 27)),
        ("vgg-c/weight_layers", 16),
        ("vgg-e/macs/resnet-paper", 19_632_062_464),
        ("resnet34/macs-against-vgg-19", Fraction(100 * 3_644_493_824, 19_632_062_464)),
        ("resnet34-c/projections", 13),
        ("resnet152/macs", 11_282_415_616),
        ("resnet152/weight_layers", 152),
        ("resnet1202/weight_layers", 1202),
        ("resnet1202/params", 19_421_274),
    ],
)
def test_what_is_measured_is_exact(judged: dict[str, Judgement], id: str, measured: int | Fraction) -> None:
    assert judged[id].measured == measured
    assert type(judged[id].measured) is type(measured)


def test_a_row_has_the_fields_of_the_design_in_their_order(judged: dict[str, Judgement]) -> None:
    for judgement in judged.values():
        assert tuple(judgement.to_json()) == ROW
    assert json.loads(json.dumps(judged["alexnet/params"].to_json(), allow_nan=False)) == {
        "id": "alexnet/params", "network": "alexnet", "quantity": "params", "printed": "60 million", "unit": "parameters",
        "low": 55_000_000, "high": 65_000_000, "measured": 60_965_224, "verdict": "reproduced", "reason": None, "where": "Abstract",
        "command": "repro check alexnet",
    }  # fmt: skip
    row = judged["resnet20/test-error/table-6"].to_json()
    assert (row["low"], row["high"], row["measured"], row["unit"], row["command"]) == (8.745, 8.755, None, "%", None)


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("vgg-a/params", "million parameters"),
        ("lenet5/macs", "thousand MACs"),
        ("resnet50/macs", "MACs"),
        ("alexnet/conv3/params_share", "%"),
        ("resnet34/macs-against-vgg-19", "%"),
        ("vgg-d/one-7x7-weights", "C^2"),
        ("resnet50/weight_layers", "layers"),
        ("lenet5/c1/connections", "connections"),
        ("vgg-d/top-1-val-error/table-5/dense", "%"),
    ],
)
def test_a_printed_number_has_a_unit(ledger: Ledger, id: str, words: str) -> None:
    assert unit(ledger.claim(id)) == words


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("resnet50/macs", "the count is 3.858x10^9 (stride on the first 1x1, option B): 3.8 is cut off, rounding gives 3.9"),
        ("alexnet/conv3/params_share", "885,120 of 60,965,224 parameters are 1.45 %"),
        ("alexnet/neurons", "the layers' outputs sum to 659,272; with the caption's 253,440 for conv1 they sum to 622,312"),
        ("resnet34/macs-against-vgg-19", "from rounded operands: 3.6 / 19.6 is 18.4 %, the exact counts give 18.56 %"),
    ],
)
def test_the_reason_of_a_deviation_is_measured(judged: dict[str, Judgement], id: str, reason: str) -> None:
    assert judged[id].reason == reason


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        # 3 passes' worth of 2 FLOPs for each of 326,520 MACs, 1.2 million images
        ("lenet5/test-error", "needs training: about 0.00235 PFLOP on MNIST (60,000 images), 1.2 million images seen"),
        ("resnet20/test-error/table-6", "needs training: about 1.99 PFLOP on CIFAR-10 (50,000 images), 8.19 million images seen"),
        (
            "alexnet/top-5-test-error/table-2/5-cnns",
            "needs training: about 2,350 PFLOP for 5 nets on ILSVRC-2012 (1.28 million images), 108 million images seen",
        ),
    ],
)
def test_a_claim_that_needs_training_says_what_it_would_take(judged: dict[str, Judgement], id: str, reason: str) -> None:
    assert judged[id].reason == reason


def changed(ledger: Ledger, id: str, **changes: Any) -> Judgement:
    claim: Claim = dataclasses.replace(ledger.claim(id), **changes)
    return judge_claim(ledger, claim)


def test_a_measurement_outside_the_interval_without_a_reason_is_drift(ledger: Ledger) -> None:
    judgement = changed(ledger, "vgg-d/params", interval=interval("137 million"))
    assert judgement.verdict == "drift"
    assert judgement.reason == "138357544 is not in the printed 136500000 to 137500000"
    assert judgement.measured == 138_357_544


def test_a_deviation_that_vanishes_is_drift(ledger: Ledger) -> None:
    judgement = changed(ledger, "vgg-d/params", deviates="we thought so")
    assert judgement.verdict == "drift"
    assert judgement.reason == "listed as a deviation, but it holds: remove the deviation"


def test_a_listed_deviation_deviates(ledger: Ledger) -> None:
    judgement = changed(ledger, "vgg-d/params", interval=interval("137 million"), deviates="{params('vgg-d'):,d} by {1 / 8:.2f}, {}")
    assert (judgement.verdict, judgement.reason) == ("deviates", "138,357,544 by 0.12, {}")


def test_one_parameter_too_many_is_drift(ledger: Ledger) -> None:
    exact = ledger.claim("lenet5/params")
    assert judge_claim(ledger, exact).verdict == "reproduced"
    assert changed(ledger, "lenet5/params", measure="params('lenet5') + 1").verdict == "drift"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 / 3", Fraction(1, 3)),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("370e3 * 256", 94_720_000),
        ("(256 - 224)**2 * 2", 2_048),
        ("10**18 + 1 - 10**18", 1),
        ("2**0", 1),
        ("3 / 3 * 7", 7),
        ("macs('vgg-d') - conv_macs('vgg-d')", 123_633_664),
        ("params('vgg-d', 'fc6')", 102_764_544),
        ("layers('lenet5')", 7),
        ("params_share('alexnet', 'fc6')", Fraction(100 * 37_752_832, 60_965_224)),
    ],
)
def test_an_expression_is_evaluated_exactly(ledger: Ledger, expression: str, value: int | Fraction) -> None:
    assert evaluate(ledger, expression) == value
    assert type(evaluate(ledger, expression)) is type(value)


REFUSED = [
    "", " 1", "1 +", "-1", "+1", "~1", "not 1", "1 // 2", "5 % 2", "1 << 9", "1 < 2", "1 if 1 else 2", "1, 2", "[1][0]", "{1}",
    "1j", "True", "None", "'a'", "'a' * 9", "b'a'", "...", "x", "params", "().__class__", "(1).real", "params('vgg-d').real",
    "lambda: 1", "[x for x in (1,)]", "f'{1}'", "x := 1", "(x := 1)", "await x", "__import__('os')",
    "__import__('os').system('true')", "eval('1')", "open('x')", "params.__globals__", "getattr(1, 'real')", "params(params)",
    "params(['vgg-d'])", "params(*['vgg-d'])", "params(network='vgg-d')", "params()", "params('vgg-d', 'fc6', 'fc7')",
    "params(1)", "params(None)", "params(b'vgg-d')", "params('nothing')", "params('vgg-d', 'fc9')", "params('vgg-d', 1)",
    "filters('vgg-d', 'pool1')", "filters('vgg-d')", "params_share('vgg-d')", "stack_weights(3, 3)",
    "stack_weights('conv3-64', 'x')", "stack_weights('conv3-64', 1e308)", "stack_weights('maxpool', 3)",
    "stack_weights('[3x3, 64] x2', 3)", "stack_weights('', 3)", "2**19", "2**-1", "2**0.5", "2**(1 + 1)", "10**18**18",
    "((((((9**18)**18)**18)**18)**18)**18)**18", "10**18 * 10**18 * 10**18 * 10**18 * 10**18 * 10**18",
    "1 / 10**18 / 10**18 / 10**18 / 10**18 / 10**18 / 10**18", "1e999", "1e308", "9" * 200, "9" * 5000, "1 / 0",
    "0**0 / (1 - 1)", "-" * 3000 + "1", "1+" * 3000 + "1", "(" * 3000 + "1" + ")" * 3000, "\0", "1 # \ud800",
]  # fmt: skip


@pytest.mark.parametrize("expression", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_arithmetic_is_refused(ledger: Ledger, expression: str) -> None:
    with pytest.raises((ValueError, ReproError)) as caught:
        evaluate(ledger, expression)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


OLD = "stack_weights('conv7-64', 64) / 64**2"


@pytest.mark.parametrize(
    ("file", "old", "new", "begins", "expected"),
    [
        ("vgg.toml", OLD, "().__class__", "claim vgg-d/one-7x7-weights: '().__class__'", "arithmetic over params, macs,"),
        ("vgg.toml", OLD, "parms('vgg-d')", "claim vgg-d/one-7x7-weights: \"parms('vgg-d')\"", "arithmetic over params, macs,"),
        ("vgg.toml", OLD, "9**99", "claim vgg-d/one-7x7-weights: '9**99'", "arithmetic over params, macs,"),
        ("vgg.toml", OLD, "1 / 0", "claim vgg-d/one-7x7-weights: '1 / 0'", "a divisor other than 0"),
        ("vgg.toml", OLD, "filters('vgg-d', 'fc6')", "claim vgg-d/one-7x7-weights: ", "a row with a convolution, not 'fc6' of vgg-d"),
        ("vgg.toml", OLD, "macs('vgg-f')", "claim vgg-d/one-7x7-weights: ", "unknown network 'vgg-f'; did you mean vgg-"),
        ("vgg.toml", "370e3 * 256", "370e3 x 256", "claim vgg-e/top-5-test-error/table-4: '370e3 x 256'", "arithmetic over"),
        ("alexnet.toml", 'quantity = "inputs"', 'quantity = "outputs"', "claim alexnet/outputs: ", "arithmetic over"),
        ("lenet5.toml", 'layer = "C1"', 'layer = "C9"', "claim lenet5/c9/params: ", "unknown row 'C9'"),
        ("alexnet.toml", ":,d}", ":zz}", "deviation of alexnet/neurons: \"{neurons('alexnet'):zz}\"", "an integer with ',d'"),
        ("alexnet.toml", ":,d}", ":99999999999d}", "deviation of alexnet/neurons: ", "an integer with ',d'"),
        ("alexnet.toml", "{neurons('alexnet'):,d}", "{1 / 3:,d}", "deviation of alexnet/neurons: '{1 / 3:,d}'", "an integer with ',d'"),
        ("alexnet.toml", "{neurons('alexnet'):,d}", "{boo}", "claim alexnet/neurons: 'boo'", "arithmetic over"),
    ],
)
def test_a_claim_that_can_not_be_measured_is_named(
    edited: Callable[..., Path], file: str, old: str, new: str, begins: str, expected: str
) -> None:
    wrong = load_ledger(edited(file, (old, new)))
    with pytest.raises(TableError) as caught:
        judge_all(wrong)
    message = str(caught.value)
    assert message.startswith(f"{file}: {begins}")
    assert f": expected {expected}" in message
    assert message.endswith(("; correct the claim", "; correct it"))
    assert message.isprintable()


def test_every_quantity_is_used_by_some_claim(ledger: Ledger) -> None:
    expressions = " ".join(f"{claim.expression} {claim.deviates}" for claim in ledger.claims)
    assert [name for name in QUANTITIES if f"{name}(" not in expressions] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(2_350_800, "2,350,000"), (999.6, "1,000"), (100, "100"), (99.96, "100"), (12.345, "12.3"), (0.00235, "0.00235"), (0, "0")],
)
def test_three_digits_are_significant(value: float, text: str) -> None:
    assert significant(value) == text


def test_an_exact_value_is_a_json_number() -> None:
    assert as_number(None) is None
    assert as_number(7) == 7
    assert as_number(Fraction(14, 2)) == 7
    assert isinstance(as_number(Fraction(14, 2)), int)
    assert as_number(Fraction(1, 8)) == 0.125
