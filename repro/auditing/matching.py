"""What usual names are recognised by: small makers of matchers. A matcher returns the words for a name's braces, or None.

>>> lacks("dropout")  # matches a difference of a dropout that the candidate hasn't
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from repro.auditing.places import ACTIVATIONS, Scene
from repro.auditing.results import Difference

Words = tuple[object, ...]
Matcher = Callable[[Scene, Difference], Words | None]
SHOWN = {"relu": "ReLU", "conv": "convolution", "maxpool": "max-pooling", "avgpool": "average pooling", "linear": "fully connected layer"}

_LARGEST_EPS = 1.01e-3


def when(condition: object) -> Words | None:
    """A match without words, or none."""
    return () if condition else None


def is_missing(scene: Scene, d: Difference, *kinds: str) -> bool:
    """Whether the candidate lacks an operation of these kinds there."""
    return d.kind == "missing" and bool(scene.kinds(d)[0] & set(kinds))


def is_extra(scene: Scene, d: Difference, *kinds: str) -> bool:
    """Whether the candidate has one more of these kinds there."""
    return d.kind == "extra" and bool(scene.kinds(d)[1] & set(kinds))


def lacks(*kinds: str) -> Matcher:
    """An operation of these kinds is missing; of any kind, whose word it gives, without arguments."""
    return lambda scene, d: when(is_missing(scene, d, *kinds)) if kinds else _word(scene, d, "missing")


def has(*kinds: str) -> Matcher:
    """There is an operation of these kinds more; of any kind, whose word it gives, without arguments."""
    return lambda scene, d: when(is_extra(scene, d, *kinds)) if kinds else _word(scene, d, "extra")


def _word(scene: Scene, d: Difference, kind: str) -> Words | None:
    expected, found = scene.kinds(d)
    return (_words(expected | found),) if d.kind == kind and expected | found else None


def value(kind: str, attribute: str) -> Matcher:
    """Another value of an attribute: gives what was found."""
    return lambda scene, d: next(((_text(found),) for _, found in scene.changed(d, kind, attribute)), None)


def values(kind: str, attribute: str) -> Matcher:
    """Another value of an attribute: gives what was found, and what was expected."""
    return lambda scene, d: next(((_text(found), _text(expected)) for expected, found in scene.changed(d, kind, attribute)), None)


def flag(attribute: str) -> Matcher:
    """An attribute that is only there where it's set."""
    return lambda scene, d: when(d.changes.get(attribute, (None, None))[1])


def bias(expected: bool, before_bn: bool = False) -> Matcher:
    """A convolution's bias where the paper has none, or none where it has one."""

    def match(scene: Scene, d: Difference) -> Words | None:
        right_place = not before_bn or all("batchnorm" in scene.found.kinds_after(number) for number in d.nodes)
        return when(right_place and list(scene.changed(d, "conv", "bias")) == [(expected, not expected)])

    return match


def any_change(scene: Scene, d: Difference) -> Words | None:
    """Attributes of one operation: gives its word, what was found and what was expected."""
    expected_kinds, found_kinds = scene.kinds(d)
    if d.kind != "changed" or expected_kinds != found_kinds or not d.changes:
        return None
    found = ", ".join(f"{name.replace('_', ' ')} {_text(change[1])}" for name, change in d.changes.items())
    return _words(found_kinds), found, ", ".join(_text(change[0]) for change in d.changes.values())


# ---------------------------------------------------------------- normalisation


def not_affine(scene: Scene, d: Difference) -> Words | None:
    """The attribute is there where one of the two is missing."""
    return when("affine" in d.changes and "batchnorm" in scene.kinds(d)[1])


def small_eps(scene: Scene, d: Difference) -> Words | None:
    """As small as the defaults of the frameworks are: 1e-3 in Keras."""
    changes = scene.changed(d, "batchnorm", "eps")
    return next(((_text(found),) for _, found in changes if 0 < found <= _LARGEST_EPS), None)


def lrn_alpha_over_n(scene: Scene, d: Difference) -> Words | None:
    """torch's alpha is divided by its n, so the printed one must be multiplied."""
    sizes = {scene.paper[number].attributes["n"] for number in d.paper_nodes if scene.paper[number].kind == "lrn"}
    return when(any(abs(expected / found - size) < 1e-6 for expected, found in scene.changed(d, "lrn", "alpha") for size in sizes))


def lrn_constant(scene: Scene, d: Difference) -> Words | None:
    """Another of the four constants."""
    rows = ((name, *change) for name in ("n", "alpha", "beta") for change in scene.changed(d, "lrn", name))
    return next(((name, f"{found:g}", f"{expected:g}") for name, expected, found in rows), None)


def pool_before_lrn(scene: Scene, d: Difference) -> Words | None:
    """Either of the two may be the one that moved."""
    pooled = [place for place in (scene.paper, scene.found) if all("maxpool" in place.kinds_before(n) for n in place.numbers("lrn"))]
    moved = any(scene.missing(kind) and scene.extra(kind) for kind in ("lrn", "maxpool"))
    one_of_them = is_missing(scene, d, "lrn", "maxpool") or is_extra(scene, d, "lrn", "maxpool")
    return when(one_of_them and pooled == [scene.found] and moved)


def bn_for_lrn(scene: Scene, d: Difference) -> Words | None:
    """A change, or one missing and one more."""
    if d.kind == "changed" and scene.kinds(d) == ({"lrn"}, {"batchnorm"}):
        return ()
    both = scene.missing("lrn") and scene.extra("batchnorm") and not scene.found.numbers("lrn")
    return when(both and (is_missing(scene, d, "lrn") or is_extra(scene, d, "batchnorm")))


# ---------------------------------------------------------------- head


def classes(scene: Scene, d: Difference) -> Words | None:
    """Channels of the output layer."""
    return _text_pair(d) if scene.is_last_linear(d) and "channels" in d.changes else None


def hidden_units(scene: Scene, d: Difference) -> Words | None:
    """Channels of another linear layer."""
    return _text_pair(d) if d.kind == "changed" and scene.kinds(d)[0] == {"linear"} and "channels" in d.changes else None


def _text_pair(d: Difference) -> Words:
    expected, found = d.changes["channels"]
    return found, expected


def softmax(scene: Scene, d: Difference) -> Words | None:
    """At the end; elsewhere it is just another operation."""
    return when(is_extra(scene, d, "softmax", "log_softmax") and all(scene.found.is_at_end(number) for number in d.nodes))


def activated_scores(scene: Scene, d: Difference) -> Words | None:
    """An activation behind the output layer."""
    if not is_extra(scene, d, *ACTIVATIONS) or not all(scene.found.is_at_end(number) for number in d.nodes):
        return None
    return (_words(scene.kinds(d)[1]),)


# ---------------------------------------------------------------- activations and dropout


def other(*kinds: str) -> Matcher:
    """One of these in the place of another: a change, or one kind missing and another more. Gives both."""

    def match(scene: Scene, d: Difference) -> Words | None:
        expected, found = (shown & set(kinds) for shown in scene.kinds(d))
        if d.kind == "changed" and expected and found and expected != found:
            return _words(found), _words(expected)
        missing, extra = scene.paper_kinds(scene.missing(*kinds)), scene.found_kinds(scene.extra(*kinds))
        replaced = len(missing) == len(extra) == 1 and missing != extra
        return (_words(extra), _words(missing)) if replaced and (expected or found) and d.kind in ("missing", "extra") else None

    return match


def relu_after_addition_missing(scene: Scene, d: Difference) -> Words | None:
    """The paper's ReLU that an addition feeds."""
    return when(is_missing(scene, d, "relu") and all("add" in scene.paper.kinds_before(number) for number in d.paper_nodes))


def relu_before_addition(scene: Scene, d: Difference) -> Words | None:
    """A ReLU that ends a body."""
    return when(is_extra(scene, d, "relu") and all("add" in scene.found.kinds_after(number) for number in d.nodes))


def relu_moved(scene: Scene, d: Difference) -> Words | None:
    """In all blocks; the alignment may have moved the addition as well."""
    moved = scene.found.adds_last and not scene.paper.adds_last and len(scene.missing("add")) == len(scene.extra("add"))
    its_part = is_missing(scene, d, "add") or is_extra(scene, d, "add") or relu_before_addition(scene, d) is not None
    return when(moved and (its_part or relu_after_addition_missing(scene, d) is not None))


def dropout_moved(scene: Scene, d: Difference) -> Words | None:
    """As many dropouts, in front of the first linear layer and not behind it, or the other way round: gives where, and where expected."""
    missing, extra = scene.missing("dropout"), scene.extra("dropout")
    if not missing or len(missing) != len(extra) or not (is_missing(scene, d, "dropout") or is_extra(scene, d, "dropout")):
        return None
    sides = [(place.numbers("dropout"), place.numbers("linear")) for place in (scene.found, scene.paper)]
    found, expected = ("before" if linears and dropouts[0] < linears[0] else "after" for dropouts, linears in sides)
    return (found, expected) if found != expected else None


# ---------------------------------------------------------------- words


def _words(kinds: set[str] | frozenset[str]) -> str:
    return " and ".join(SHOWN.get(kind, kind) for kind in sorted(kinds))


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(_text, value))
    if isinstance(value, bool) or value is None:
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
