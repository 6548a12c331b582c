"""What a target says, and what is wrong with one that says something else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from repro.auditing.targets import evaluate, find_call, parse_target
from repro.errors import TargetError


@pytest.mark.parametrize(
    ("text", "place", "expression"),
    [
        ("torchvision.models:resnet50", "torchvision.models", "resnet50"),
        ("a.b:C.d", "a.b", "C.d"),
        ("pkg.models:make(width=2)", "pkg.models", "make(width=2)"),
        ('pkg:f("a.py:b")', "pkg", "f('a.py:b')"),
    ],
)
def test_a_target_is_a_place_a_colon_and_an_expression(text: str, place: str, expression: str) -> None:
    target = parse_target(text)
    assert (target.place, target.called) == (place, expression)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("resnet50", "'resnet50' names nothing to audit; expected a place, a colon and a name, such as model.py:ResNet"),
        ("a.b.resnet50(3)", "'a.b.resnet50(3)' has no colon; did you mean a.b:resnet50(3)?"),
        (":x", "':x' names nothing to audit"),
        ("missing.py:Net", "missing.py: no such file"),
        ("net.py", "net.py names a file only; add a colon and one of Net, make"),
        ("net.py:Net(", "'net.py:Net(': what follows the colon isn't Python"),
        ("net.py:Net(x for x in y)", "'net.py:Net(x for x in y)': '(x for x in y)' isn't supported"),
        ("net.py:3 + 4", "'net.py:3 + 4': 3 + 4 begins with no name of the module"),
        ("net.py:Net(lambda m: m.x)", "'net.py:Net(lambda m: m.x)': lambda m: m.x computes something"),
        ("net.py:Net(a if b else c)", "isn't supported"),
    ],
)
def test_a_target_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("class Net: ...\ndef make(): ...\ndef _own(): ...\n")
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_expression_is_evaluated_without_eval() -> None:
    names = {"CONFIGS": {"a": [1, 2]}, "Thing": str}
    text = 'f(CONFIGS["a"][1:], -2, [3] * 2, {"k": (1, None)}, {1, 2}, *[7, 8], one=dict(x=True), **{"two": 2 ** 3}, three=Thing.upper)'
    call = find_call(parse_target(f"m:{text}"), {**names, "f": len}.__getitem__)
    assert call.arguments == ([2], -2, [3, 3], {"k": (1, None)}, {1, 2}, 7, 8)
    assert dict(call.keywords) == {"one": {"x": True}, "two": 8, "three": str.upper}
    assert evaluate(ast.parse("lambda m: None", mode="eval").body, names.__getitem__)(3) is None
