"""What shows as it is, and what ends no cell."""

from __future__ import annotations

import pytest

from reports.markdown import anchor, code, picture, table, text


@pytest.mark.parametrize(
    ("plain", "markup"),
    [
        ("<lambda>", "&lt;lambda&gt;"),
        ("1 CNN*, 7 CNNs*", r"1 CNN\*, 7 CNNs\*"),
        ("conv2_x and _x_", r"conv2_x and \_x\_"),
        ("train [256;512]", r"train \[256;512\]"),
        ("a\n`b` & c\\", r"a \`b\` &amp; c\\"),
    ],
)
def test_text_shows_as_it_is(plain: str, markup: str) -> None:
    assert text(plain) == markup


def test_code_shows_as_it_is() -> None:
    assert code("f(x) | <lambda>") == "`f(x) | <lambda>`"
    assert code("a `b`") == "`` a `b` ``"


def test_a_pipe_ends_no_cell() -> None:
    shown = table(["what", "n >"], [[code("a | <lambda>"), "1"], [text("b|c\nd"), "2"]])
    assert shown.splitlines() == ["| what | n |", "|:--|--:|", r"| `a \| <lambda>` | 1 |", r"| b\|c d | 2 |"]


def test_an_empty_table_says_so() -> None:
    assert table(["what"], []) == "None."


@pytest.mark.parametrize(
    ("heading", "fragment"),
    [
        ("vgg-d/macs/resnet-paper", "vgg-dmacsresnet-paper"),
        ("alexnet/conv3/params_share", "alexnetconv3params_share"),
        ("Two words", "two-words"),
    ],
)
def test_anchors_are_those_of_github(heading: str, fragment: str) -> None:
    assert anchor(heading) == fragment


def test_a_picture_has_no_quote_in_its_words() -> None:
    assert 'alt="a &quot;b&quot; c"' in picture("figures/x", 'a "b"\nc')
