"""Usual differences that need an eye for the whole network: its blocks, shortcuts, stem and widths, or another network altogether."""

from __future__ import annotations

import functools

from repro.auditing.matching import Matcher, Words, bias, is_extra, is_missing, when
from repro.auditing.paper import paper_graph
from repro.auditing.places import Place, Scene
from repro.auditing.results import Difference
from repro.tables import load_ledger

IMAGENET_WIDTH = 64
_FAMILIES = {"vgg": "VGG", "alexnet": "AlexNet", "lenet": "LeNet-5"}


def dead(scene: Scene, d: Difference) -> Words | None:
    """More parameters, but no operation that has them."""
    return when(d.kind == "extra" and not d.nodes)


def is_other_network(name: str, of: str) -> Matcher:
    """All differences at once, where the candidate is exactly another network of the ledger, in the place of ``of``."""
    return lambda scene, d: when(scene.network == of and scene.found.keys == _ledger_network(name).keys)


@functools.cache
def _ledger_network(name: str) -> Place:
    return Place(paper_graph(load_ledger().network(name)))


def framed_digits(scene: Scene, d: Difference) -> Words | None:
    """MNIST's 28x28 in a frame of 2 is the paper's 32x32."""
    framed = list(scene.changed(d, "conv", "padding")) == [((0, 0), (2, 2))]
    return when(scene.network.startswith("lenet") and framed and _is_stem(scene, d) and scene.found.graph.input[1:] == (28, 28))


def cifar_stem(scene: Scene, d: Difference) -> Words | None:
    """Its stem and pooling against an ImageNet net; everything that is in blocks or wider against a CIFAR net."""
    if not scene.has_cifar_stem:
        return None
    if scene.paper.widths[0] != IMAGENET_WIDTH:
        return when(d.kind != "changed" or "channels" in d.changes or scene.in_block(d))
    paper = {scene.paper.stem, *scene.paper.numbers("maxpool")} & set(d.paper_nodes)
    return when(paper or {scene.found.stem, *scene.found.numbers("maxpool")} & set(d.nodes))


def bottleneck(scene: Scene, d: Difference) -> Words | None:
    """Three convolutions where the paper has two."""
    return when((scene.paper.depth_of_block, scene.found.depth_of_block) == (2, 3) and _is_of_block(scene, d))


def basic(scene: Scene, d: Difference) -> Words | None:
    """Two convolutions where the paper has three."""
    return when((scene.paper.depth_of_block, scene.found.depth_of_block) == (3, 2) and _is_of_block(scene, d))


def _is_of_block(scene: Scene, d: Difference) -> bool:
    return scene.in_block(d) and not (d.kind == "changed" and set(d.changes) <= {"bias", "eps", "momentum"})


def unexpanded(scene: Scene, d: Difference) -> Words | None:
    """All three convolutions of a bottleneck have the same channels."""
    both = scene.paper.depth_of_block == scene.found.depth_of_block == 3
    if not both or scene.found.expands or not scene.paper.expands or not scene.in_block(d):
        return None
    return when("channels" in d.changes or (scene.on_shortcut(d) and d.kind != "changed") or set(d.changes) == {"inputs"})


def widths(scene: Scene, d: Difference) -> Words | None:
    """Channels, where most convolutions have others than the table's."""
    if not scene.has_other_widths or "channels" not in d.changes or scene.is_last_linear(d):
        return None
    return tuple("-".join(map(str, place.widths)) for place in (scene.found, scene.paper))


def towers(scene: Scene, d: Difference) -> Words | None:
    """Two equal branches that are added, in a network without shortcuts."""
    if scene.paper.numbers("add") or d.kind != "extra":
        return None
    twins = {number for block in scene.found.blocks for number in (block.add, *block.shortcut, *block.body) if scene.found.is_twin(block)}
    return when(set(d.nodes) & twins)


# ---------------------------------------------------------------- additions, strides and shortcuts


def plain(scene: Scene, d: Difference) -> Words | None:
    """No addition at all."""
    return when(not scene.found.numbers("add") and (is_missing(scene, d, "add") or scene.is_of_lost_block(d)))


def residual(scene: Scene, d: Difference) -> Words | None:
    """Additions in a network without any."""
    return when(not scene.paper.numbers("add") and scene.found.blocks and (is_extra(scene, d, "add") or scene.on_shortcut(d)))


def preactivated(scene: Scene, d: Difference) -> Words | None:
    """Additions, BNs and ReLUs, wherever the alignment finds them moved."""
    kinds = ("add", "batchnorm", "relu")
    moved = is_missing(scene, d, *kinds) or is_extra(scene, d, *kinds) or set(d.changes) == {"inputs"}
    return when(scene.found.is_preactivated and not scene.paper.is_preactivated and moved)


def lost_addition(scene: Scene, d: Difference) -> Words | None:
    """Some additions, with what their shortcuts held."""
    return when(is_missing(scene, d, "add") or scene.is_of_lost_block(d))


def stride_last(scene: Scene, d: Difference) -> Words | None:
    """Strides, and the shortcuts that go with them."""
    if not scene.found.has_stride_last or scene.paper.has_stride_last or not scene.in_block(d):
        return None
    return when("stride" in d.changes or scene.is_of_shortcuts(d))


def v15(scene: Scene, d: Difference) -> Words | None:
    """From the first convolution of a bottleneck to the second."""
    return when((scene.paper.strided_conv, scene.found.strided_conv) == (0, 1) and _is_stride_of_body(scene, d))


def v1(scene: Scene, d: Difference) -> Words | None:
    """From the second convolution of a bottleneck to the first."""
    return when((scene.paper.strided_conv, scene.found.strided_conv) == (1, 0) and _is_stride_of_body(scene, d))


def stride_on_last_conv(scene: Scene, d: Difference) -> Words | None:
    """To the third convolution of a bottleneck."""
    return when(scene.paper.strided_conv != 2 and scene.found.strided_conv == 2 and _is_stride_of_body(scene, d))


def _is_stride_of_body(scene: Scene, d: Difference) -> bool:
    return any(scene.changed(d, "conv", "stride")) and scene.in_block(d) and not scene.on_shortcut(d)


def option(scene: Scene, d: Difference) -> Words | None:
    """The letter of the candidate's shortcuts, where the paper's network has another."""
    expected, found = scene.paper.option, scene.found.option
    return (found,) if expected and found and expected != found and scene.is_of_shortcuts(d) else None


def option_without_bn(scene: Scene, d: Difference) -> Words | None:
    """The same, with a bare projection."""
    bare = any("batchnorm" not in scene.found.kinds_after(number) for number in scene.found.projections)
    return option(scene, d) if bare else None


def option_with_bias(scene: Scene, d: Difference) -> Words | None:
    """The same, with biases in the projections."""
    return option(scene, d) if any(scene.found[number].attributes.get("bias") for number in scene.found.projections) else None


def averaged_shortcut(scene: Scene, d: Difference) -> Words | None:
    """The mean of each window."""
    return when(any(scene.found[number].kind == "avgpool" for number in scene.found.shortcuts) and scene.on_shortcut(d))


# ---------------------------------------------------------------- AlexNet and VGG


def bn_added(scene: Scene, d: Difference) -> Words | None:
    """BN after each convolution of a network without any; a bias that is left out in its favour belongs to it."""
    found = scene.found
    norms = found.numbers("batchnorm")
    if scene.paper.numbers("batchnorm", "lrn") or [found[number].inputs[0] for number in norms] != found.numbers("conv"):
        return None
    belongs = is_extra(scene, d, "batchnorm") or bias(True, before_bn=True)(scene, d) is not None
    family = next((name for word, name in _FAMILIES.items() if scene.network.startswith(word)), scene.network)
    return (family,) if belongs else None


def ungrouped(scene: Scene, d: Difference) -> Words | None:
    """No groups where AlexNet has two."""
    return when(scene.network == "alexnet" and any(scene.changed(d, "conv", "groups")) and not scene.found.grouped)


def unpadded(scene: Scene, d: Difference) -> Words | None:
    """At 227 the same convolution is an allowed reading."""
    bare = _is_stem(scene, d) and list(scene.changed(d, "conv", "padding")) == [((2, 2), (0, 0))]
    return when(scene.network.startswith("alexnet") and bare and scene.found.graph.input[1:] == (224, 224))


def padded_1x1(scene: Scene, d: Difference) -> Words | None:
    """VGG C's third convolutions."""
    kernels = {scene.paper[number].attributes.get("kernel") for number in d.paper_nodes}
    return next(((found[0],) for _, found in scene.changed(d, "conv", "padding") if kernels == {(1, 1)}), None)


# ---------------------------------------------------------------- stem and pooling


def _is_stem(scene: Scene, d: Difference) -> bool:
    return d.kind == "changed" and scene.paper.stem in d.paper_nodes


def small_stem(scene: Scene, d: Difference) -> Words | None:
    """A 3x3 in the place of the 7x7, with whatever stride."""
    return when(_is_stem(scene, d) and d.changes.get("kernel") == ((7, 7), (3, 3)))


def stem_stride(scene: Scene, d: Difference) -> Words | None:
    """The first convolution's stride, with whatever padding."""
    if not _is_stem(scene, d) or "stride" not in d.changes:
        return None
    expected, found = d.changes["stride"]
    return found[0], expected[0]


def stem_pool(scene: Scene, d: Difference) -> Words | None:
    """A ResNet's only max-pooling."""
    return when(scene.paper.numbers("batchnorm") and is_missing(scene, d, "maxpool"))


def local_pooling(scene: Scene, d: Difference) -> Words | None:
    """Average pooling with a window."""
    return when(d.kind == "changed" and scene.kinds(d)[0] == {"avgpool"} and "kernel" in d.changes)
