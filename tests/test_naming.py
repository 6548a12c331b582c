"""Every kind of fault is named, each right net is exact in whatever style it's written, and no mutation passes for exact."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from audited import alexnet, exact, lenet, resnet, vgg
from audited.cases import CAFFE, CASES, CIFAR, DIGITS, IMAGENET, Case
from audited.mutants import MUTATIONS
from audited.resnet import RESNET20, RESNET34, RESNET50, ResNet
from torch import nn

from repro import Ledger, load_ledger
from repro.auditing import audit
from repro.auditing.naming import FOLLOWS, is_in_a_paper, name_differences
from repro.auditing.paper import paper_graph
from repro.auditing.usual import USUAL
from repro.counting.with_torch import OnMeta, count_macs
from repro.errors import ReproError
from repro.layers import Shape

Right = tuple[str, Callable[[], nn.Module], Shape, str]


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with OnMeta():
        return make()


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_fault_has_its_usual_name(case: Case) -> None:
    found = audit(on_meta(case.make), as_=case.network, input=case.input, proof=False)
    assert (found.params, found.macs) == (case.params, case.macs)
    assert sorted(difference.name for difference in found.differences) == sorted(case.names)
    assert found.verdict == case.verdict


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_fault_has_the_totals_that_torch_counts(case: Case) -> None:
    """The expected values aren't ours: torch's counter and the parameters that the module has."""
    net = on_meta(case.make)
    assert sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad) == case.params
    if "dead parameters: never reach the output" not in case.names:
        assert count_macs(net, case.input) == case.macs


def test_ids_are_unique() -> None:
    assert [id for id, number in Counter(case.id for case in CASES).items() if number > 1] == []


#: Names that no case shows, with the reason.
UNSHOWN = {
    "dropout in evaluation mode": "needs a dropout where the paper has one: a mutation",
    "convolution added": "seen together with others",
    "fully connected layer missing": "a mutation",
}


def test_every_usual_name_is_shown_by_a_case() -> None:
    shown = {name for case in CASES for name in case.names}
    for usual in USUAL:
        if "{}" not in usual.name and usual.name not in UNSHOWN:
            assert usual.name in shown, f"no case shows {usual.name!r}"


def test_a_verdict_is_variant_only_where_each_name_is() -> None:
    variants = {usual.name for usual in USUAL if usual.verdict == "variant"}
    assert {usual.name for usual in USUAL if usual.verdict == "wrong"} & variants == {"BN with eps {}"}
    assert "option {} shortcut" in variants
    assert "conv bias before BN" not in variants


# ---------------------------------------------------------------- names


def test_nothing_that_differs_is_exact(ledger: Ledger) -> None:
    graph = paper_graph(ledger.network("resnet20"))
    assert name_differences("resnet20", graph, graph, ()) == ((), "exact")


def test_the_papers_networks_are_in_a_paper(ledger: Ledger) -> None:
    papers = {name: paper_graph(ledger.network(name)) for name in ledger.networks}
    for name, graph in papers.items():
        assert is_in_a_paper(graph, [graph]), name
    assert not is_in_a_paper(papers["vgg-a"], [papers["resnet50"], papers["alexnet"]])
    assert not is_in_a_paper(papers["resnet18-b"], [papers["vgg-d"], papers["resnet20"]])


def test_what_has_one_name_is_one_difference() -> None:
    found = audit(on_meta(lambda: vgg.Vgg(vgg.features(vgg.D, bn=True), vgg.head())), as_="vgg-d", input=IMAGENET, proof=False)
    (difference,) = found.differences
    assert (difference.name, difference.params_delta, len(difference.nodes)) == ("BN added to VGG", 8_448, 13)
    assert difference.where.endswith("and 12 more")


def test_a_bias_and_a_stride_of_one_convolution_are_two_differences() -> None:
    plan = replace(RESNET50, stride_on=1, bias=True)
    found = audit(on_meta(lambda: ResNet(plan)), as_="resnet50", input=IMAGENET, proof=False)
    costs = {difference.name: (difference.params_delta, difference.macs_delta) for difference in found.differences}
    assert costs == {"conv bias before BN": (22_720, 0), "v1.5 stride": (0, 231_211_008)}


def test_what_only_follows_is_no_fault() -> None:
    plan = replace(RESNET20, shortcut="B", pooling="local")
    found = audit(on_meta(lambda: ResNet(plan)), as_="resnet20", input=CIFAR, proof=False)
    follows = [difference for difference in found.differences if difference.name == FOLLOWS]
    assert [(difference.kind, difference.params_delta) for difference in follows] == [("follows", 1_920)]


# ---------------------------------------------------------------- right nets

STYLES: tuple[Right, ...] = (
    ("sequential", exact.sequential, CIFAR, "resnet20"),
    ("functional", exact.Functional, CIFAR, "resnet20"),
    ("module-dict", exact.Named, CIFAR, "resnet20"),
    ("reversed", exact.Reversed, CIFAR, "resnet20"),
    ("deeper", lambda: exact.sequential(9), CIFAR, "resnet56"),
    ("another-eps", lambda: ResNet(replace(RESNET20, eps=1e-3, momentum=0.01)), CIFAR, "resnet20"),
    ("plain", lambda: ResNet(replace(RESNET20, shortcut="none")), CIFAR, "plain20"),
    ("modern-lenet", lambda: lenet.Modern(lenet.Plan()), DIGITS, "lenet5-modern"),
    ("modern-lenet-conv", lambda: lenet.Modern(lenet.Plan(conv_c5=True)), DIGITS, "lenet5-modern"),
    ("lenet", lenet.LeNet5, DIGITS, "lenet5"),
)
ZEROS = (
    resnet.zeros_after, resnet.zeros_before, resnet.zeros_around, resnet.zeros_joined, resnet.zeros_by_product, resnet.zeros_interpolated,
)  # fmt: skip
LARGE: tuple[Right, ...] = (
    ("resnet34-b", lambda: ResNet(RESNET34), IMAGENET, "resnet34-b"),
    ("resnet34", lambda: ResNet(replace(RESNET34, shortcut="A")), IMAGENET, "resnet34"),
    ("resnet50", lambda: ResNet(replace(RESNET50, pooling="mean")), IMAGENET, "resnet50"),
    ("vgg-a", lambda: vgg.Vgg(vgg.features(vgg.A), vgg.head()), IMAGENET, "vgg-a"),
    ("vgg-a-lrn", lambda: vgg.Vgg(vgg.features(vgg.A, lrn=nn.LocalResponseNorm(5, 5e-4, k=2)), vgg.head()), IMAGENET, "vgg-a-lrn"),
    ("vgg-b-relu-last", lambda: vgg.Vgg(vgg.features(vgg.B), vgg.head("fc drop relu")), IMAGENET, "vgg-b"),
    ("vgg-c", lambda: vgg.Vgg(vgg.features(vgg.C), vgg.head()), IMAGENET, "vgg-c"),
    ("vgg-d-adaptive", lambda: vgg.Vgg(vgg.features(vgg.D), vgg.head(), adaptive=7), IMAGENET, "vgg-d"),
    ("vgg-d-conv-head", lambda: vgg.ConvHead(vgg.D), IMAGENET, "vgg-d"),
    ("alexnet-227", lambda: alexnet.AlexNet(alexnet.PAPER), CAFFE, "alexnet"),
    ("alexnet-224", lambda: alexnet.AlexNet(replace(alexnet.PAPER, padding=2)), IMAGENET, "alexnet"),
    ("alexnet-towers", alexnet.Towers, IMAGENET, "alexnet"),
    ("alexnet-owt", lambda: alexnet.AlexNet(alexnet.OWT), IMAGENET, "alexnet-owt"),
)


@pytest.mark.parametrize("right", STYLES, ids=[right[0] for right in STYLES])
def test_a_right_net_is_exact_in_any_style(right: Right) -> None:
    _, make, shape, network = right
    found = audit(make(), as_=network, input=shape)
    assert found.differences == ()
    assert found.verdict == "exact"
    assert found.proof


@pytest.mark.parametrize("zeros", ZEROS, ids=[zeros.__name__ for zeros in ZEROS])
@pytest.mark.parametrize("make", [ResNet, exact.Reversed])
def test_option_a_is_exact_however_its_zeros_are_made(make: Callable[[resnet.Plan], nn.Module], zeros: resnet.Zeros) -> None:
    found = audit(make(replace(RESNET20, zeros=zeros)), as_="resnet20", input=CIFAR)
    assert (found.verdict, found.differences) == ("exact", ())
    assert found.proof


@pytest.mark.parametrize("right", LARGE, ids=[right[0] for right in LARGE])
def test_a_large_right_net_has_no_difference(right: Right) -> None:
    _, make, shape, network = right
    found = audit(on_meta(make), as_=network, input=shape, proof=False)
    assert found.differences == ()


@pytest.mark.slow
@pytest.mark.parametrize("right", LARGE, ids=[right[0] for right in LARGE])
def test_a_large_right_net_is_exact(right: Right) -> None:
    _, make, shape, network = right
    found = audit(make(), as_=network, input=shape)
    assert found.verdict == "exact"
    assert found.proof


@pytest.mark.parametrize("right", STYLES, ids=[right[0] for right in STYLES])
def test_the_nearest_network_is_the_one_that_it_is(right: Right) -> None:
    _, make, shape, network = right
    printed = load_ledger().network(network).entry.code_of or network
    assert audit(on_meta(make), input=shape, proof=False).network == printed


# ---------------------------------------------------------------- mutations

BASES: tuple[Right, ...] = (
    ("resnet20", lambda: ResNet(RESNET20), CIFAR, "resnet20"),
    ("plain20", lambda: ResNet(replace(RESNET20, shortcut="none")), CIFAR, "plain20"),
    ("resnet34-b", lambda: ResNet(RESNET34), IMAGENET, "resnet34-b"),
    ("resnet50", lambda: ResNet(RESNET50), IMAGENET, "resnet50"),
    ("vgg-a-lrn", LARGE[4][1], IMAGENET, "vgg-a-lrn"),
    ("vgg-d", lambda: vgg.Vgg(vgg.features(vgg.D), vgg.head(), adaptive=7), IMAGENET, "vgg-d"),
    ("alexnet", lambda: alexnet.AlexNet(alexnet.PAPER), CAFFE, "alexnet"),
    ("modern", lambda: lenet.Modern(lenet.Plan()), DIGITS, "lenet5-modern"),
)


def same_function(make: Callable[[], nn.Module], mutate: Callable[[nn.Module], object], shape: Shape) -> bool:
    """Whether a mutation leaves outputs as they were, in both modes, with the same weights and random numbers."""
    before, after = make(), make()
    mutate(after)
    values = dict(before.named_parameters())
    with torch.no_grad():
        for (_, parameter), value in zip(after.named_parameters(), values.values(), strict=True):
            parameter.copy_(value)
    x = torch.randn(2, *shape)
    equal = []
    for training in (False, True):
        outputs = []
        for net in (before, after):
            torch.manual_seed(0)
            with torch.no_grad():
                outputs.append(net.train(training)(x))
        equal.append(torch.allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-5))
    return all(equal)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_a_mutation_is_never_exact(seed: int) -> None:
    rng = random.Random(seed)
    while True:
        _, make, shape, network = rng.choice(BASES)
        mutation, state = rng.choice(MUTATIONS), rng.getstate()
        net = on_meta(make)
        with OnMeta():
            what = mutation(net, rng)
        if what is None:
            continue
        try:
            found = audit(net, as_=network, input=shape, proof=False)
        except ReproError:
            continue
        if found.verdict != "error":
            break
    if found.verdict == "exact" or not found.differences:

        def again(module: nn.Module) -> None:
            rng.setstate(state)
            mutation(module, rng)

        assert same_function(make, again, shape), f"{what} of {network} passes for exact"
        pytest.skip(f"{what} of {network} leaves the function as it was")
    assert found.verdict in ("variant", "wrong", "not-paper")
    assert all(difference.name for difference in found.differences)
