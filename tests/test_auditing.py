"""From a module to its graph, beside the paper's, to the proof: what may be written how, what is lost, what adds up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from audited import alexnet, lenet, resnet
from audited.resnet import RESNET20, RESNET34, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from repro import Ledger, ReproError
from repro.auditing import audit
from repro.auditing.aligning import align
from repro.auditing.graph import Graph
from repro.auditing.paper import paper_graph
from repro.auditing.reading import read_module
from repro.auditing.results import Audit, Difference
from repro.building import build
from repro.counting.with_torch import OnMeta

MAPS = (3, 8, 8)


class Layers(nn.Module):
    """A convolution, its BN and a linear layer, run as ``run`` says."""

    def __init__(self, run: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 2)
        self.run = run

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def read(run: Callable[[Any, Tensor], Any]) -> Graph:
    return read_module(Layers(run), MAPS)


def kinds(run: Callable[[Any, Tensor], Any]) -> list[str]:
    return [str(node.attributes["op"]) if node.kind == "other" else node.kind for node in read(run).nodes[1:]]


def contents(graph: Graph) -> list[tuple[Any, ...]]:
    return [(node.key, node.inputs, node.output, node.name, node.params, node.macs, node.weights) for node in graph.nodes]


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("name", ["lenet5", "lenet5-modern", "alexnet", "alexnet-owt", "vgg-a-lrn", "vgg-c", "resnet20", "resnet18-b"])
def test_the_built_network_reads_as_the_table_says(ledger: Ledger, name: str) -> None:
    network = ledger.network(name)
    paper, found = paper_graph(network), read_module(build(network, "meta"), network.input)
    assert contents(found) == contents(paper)
    assert (found.params, found.macs) == (paper.params, paper.macs) == (network.params, network.macs)


@pytest.mark.slow
def test_every_built_network_reads_as_its_table_says(ledger: Ledger) -> None:
    for name in ledger.networks:
        network = ledger.network(name)
        assert contents(read_module(build(network, "meta"), network.input)) == contents(paper_graph(network)), name


POOLED: dict[str, Callable[[Tensor], Tensor]] = {
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1),
    "window": lambda x: F.avg_pool2d(x, 8),
    "mean": lambda x: x.mean((2, 3)),
    "negative axes": lambda x: x.mean((-1, -2), keepdim=True),
    "two means": lambda x: x.mean(3).mean(2),
    "flattened": lambda x: x.flatten(2).mean(-1),
    "squeezed": lambda x: F.avg_pool2d(x, x.shape[-1]).squeeze(),
}


@pytest.mark.parametrize("pool", POOLED.values(), ids=POOLED)
def test_global_pooling_is_one_operation(pool: Callable[[Tensor], Tensor]) -> None:
    graph = read(lambda net, x: net.fc(pool(net.conv(x)).flatten(1)))
    assert [node.kind for node in graph.nodes] == ["input", "conv", "avgpool", "linear"]
    assert graph.nodes[2].attributes == {"kernel": "map"}


ZEROS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "pad": (lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 4)), 0),
    "pad around, then slice": (lambda x: F.pad(x, (0, 0, 0, 0, 2, 2))[:, :, ::2, ::2], 2),
    "pooling": (lambda x: torch.cat((F.avg_pool2d(x, 1, 2), torch.zeros(x.shape[0], 4, 4, 4)), 1), 0),
    "max-pooling": (lambda x: F.pad(F.max_pool2d(x, 1, 2), (0, 0, 0, 0, 4, 0)), 4),
    "product": (lambda x: torch.cat([(s := x[:, :, ::2, ::2]), s * 0], dim=1), 0),
    "interpolation": (lambda x: F.pad(F.interpolate(x, scale_factor=0.5), (0, 0, 0, 0, 0, 4)), 0),
    "assignment": (lambda x: _assigned(x), 1),
}


def _assigned(x: Tensor) -> Tensor:
    out = x.new_zeros(x.shape[0], 8, 4, 4)
    out[:, 1:5] = x[:, :, ::2, ::2]
    return out


@pytest.mark.parametrize(("shortcut", "before"), ZEROS.values(), ids=ZEROS)
def test_zero_maps_are_one_operation(shortcut: Callable[[Tensor], Tensor], before: int) -> None:
    node = read(lambda net, x: shortcut(net.conv(x))).nodes[-1]
    assert (node.kind, node.attributes, node.zeros_at) == ("pad", {"stride": (2, 2), "zeros": 4}, before)


def test_other_pixels_are_not_every_second() -> None:
    assert kinds(lambda net, x: net.conv(x)[:, :, 1::2, 1::2]) == ["conv", "slice", "slice"]
    assert kinds(lambda net, x: F.interpolate(net.conv(x), size=3)) == ["conv", "upsample_nearest2d"]


def test_what_commutes_has_one_order() -> None:
    assert kinds(lambda net, x: F.max_pool2d(net.conv(x), 2).relu()) == ["conv", "relu", "maxpool"]
    assert kinds(lambda net, x: F.dropout(net.conv(x), 0.5, net.training).relu().relu()) == ["conv", "relu", "dropout"]
    assert kinds(lambda net, x: F.relu(F.avg_pool2d(net.conv(x), 2))) == ["conv", "avgpool", "relu"]


def test_what_does_nothing_vanishes() -> None:
    assert kinds(lambda net, x: F.adaptive_avg_pool2d(net.conv(x.contiguous()).clone() * 1 + 0, 8)) == ["conv"]
    assert kinds(lambda net, x: F.dropout(F.avg_pool2d(net.conv(x), 1), 0.0)) == ["conv"]


def test_what_does_something_does_not() -> None:
    assert kinds(lambda net, x: net.conv(x) * 0) == ["conv", "scale"]
    assert kinds(lambda net, x: net.conv(x) + 0 * net.fc.weight.sum()) == ["conv", "parameter", "sum", "scale", "add"]
    assert kinds(lambda net, x: net.conv(x).detach()) == ["conv", "detach"]
    assert kinds(lambda net, x: net.conv(x).to(torch.uint8).float()) == ["conv", "to"]
    assert kinds(lambda net, x: net.conv(x).clamp(0, 0)) == ["conv", "clamp"]
    assert kinds(lambda net, x: F.conv2d(x, net.conv.weight.tanh())) == ["parameter", "tanh", "conv2d"]


def test_a_convolution_as_large_as_its_map_is_linear() -> None:
    conv, fc = nn.Conv2d(3, 5, 8), nn.Linear(192, 5)
    graphs = [read_module(net, MAPS) for net in (nn.Sequential(conv, nn.Flatten()), nn.Sequential(nn.Flatten(), fc))]
    assert graphs[0].nodes[1].key == graphs[1].nodes[1].key
    assert graphs[0].macs == graphs[1].macs == 960
    assert kinds(lambda net, x: net.fc(x.permute(0, 2, 3, 1)[:, 0, 0, :1].expand(-1, 4)))[-1] == "linear"


def test_padding_of_its_own_belongs_to_the_convolution() -> None:
    nets = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"))
    assert [read_module(net, MAPS).nodes[1].attributes["padding"] for net in nets] == [(1, 1), (1, 1)]
    other = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3))
    assert [node.kind for node in read_module(other, MAPS).nodes] == ["input", "other", "conv"]


def test_what_is_written_in_place_is_seen_by_all_that_share_it() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        kept = net.bn(net.conv(x))
        return F.relu(kept, inplace=True) + kept  # type: ignore[no-any-return]

    graph = read(run)
    assert [node.kind for node in graph.nodes] == ["input", "conv", "batchnorm", "relu", "add"]
    assert graph.nodes[-1].inputs == (3, 3)


def test_modes_that_are_not_as_usual_are_attributes() -> None:
    assert read(lambda net, x: F.dropout(net.conv(x))).nodes[-1].attributes == {"p": 0.5, "always": True}
    frozen = read(lambda net, x: F.batch_norm(net.conv(x), net.bn.running_mean, net.bn.running_var, net.bn.weight, net.bn.bias))
    assert frozen.nodes[-1].attributes["statistics"] == "running"
    batch = read(lambda net, x: F.batch_norm(net.conv(x), None, None, net.bn.weight, net.bn.bias, True))
    assert batch.nodes[-1].attributes["statistics"] == "batch"


def test_another_network_in_training_mode_is_a_difference() -> None:
    graph = read(lambda net, x: net.fc(net.conv(x).mean((2, 3))) if net.training else net.conv(x).mean((2, 3)))
    assert graph.nodes[-1].attributes["op"] == "another network in training mode"
    assert graph.nodes[-1].params == 10
    assert "training mode" in graph.notes[-1]
    dropped = read(lambda net, x: F.dropout(net.conv(x)) if net.training else net.conv(x))
    assert dropped.nodes[-1].attributes == {"p": 0.5}


def test_parameters_count_once_and_dead_ones_are_listed() -> None:
    graph = read(lambda net, x: F.conv2d(F.conv2d(x, net.conv.weight[:3]), net.conv.weight))
    assert graph.params == 112 + 8 + 10
    shared = nn.Conv2d(3, 3, 3, padding=1)
    twice = read_module(nn.Sequential(shared, shared, nn.ReLU()), MAPS)
    assert (twice.params, twice.macs) == (84, 2 * 81 * 64)
    assert [node.attributes.get("shared") for node in twice.nodes[1:3]] == [None, True]
    dead = read(lambda net, x: net.bn(net.conv(x)) is not None and net.conv(x))
    assert dead.dead == (("bn.weight", 4), ("bn.bias", 4), ("fc.weight", 8), ("fc.bias", 2))


def test_what_is_not_trained_is_an_attribute() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    net.requires_grad_(False)
    graph = read_module(net, MAPS)
    assert (graph.params, graph.nodes[1].attributes["frozen"]) == (0, True)


def test_wrappers_and_late_layers_are_seen_through() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    late = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    wrapped = [nn.DataParallel(plain), torch.compile(plain), nn.Sequential(nn.DataParallel(plain[0]), *plain[1:]), late]
    expected = [(node.key, node.params) for node in read_module(plain, MAPS).nodes]
    for module in wrapped:
        assert isinstance(module, nn.Module)
        assert [(node.key, node.params) for node in read_module(module, MAPS).nodes] == expected


@pytest.mark.filterwarnings("ignore")
def test_a_path_that_hangs_on_values_is_followed() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        x = net.bn(net.conv(x))
        if x.isfinite().all():
            x = F.relu_(x)
        return net.fc(F.dropout(x.mean((2, 3)), 0.2, net.training))  # type: ignore[no-any-return]

    graph = read(run)
    assert [node.kind for node in graph.nodes] == ["input", "conv", "batchnorm", "relu", "avgpool", "dropout", "linear"]
    assert "the path that one input takes" in graph.notes[0]
    assert [node.name for node in graph.nodes[1:3]] == ["conv", "bn"]


def test_what_cannot_be_read_says_why() -> None:
    with pytest.raises(ReproError, match=r"^can't be run on 1x8x8: RuntimeError: .*to have 3 channels"):
        read_module(Layers(lambda net, x: net.conv(x)), (1, 8, 8))
    with pytest.raises(ReproError, match="isn't computed by torch's operations"):
        read(lambda net, x: 1)


# ---------------------------------------------------------------- aligning


def test_differences_add_up_between_any_two_networks(ledger: Ledger) -> None:
    names = (
        "lenet5",
        "lenet5-modern",
        "alexnet",
        "alexnet-owt",
        "vgg-a-lrn",
        "vgg-d",
        "plain34",
        "resnet20",
        "resnet34-c",
        "resnet50-v1.5",
    )
    papers = {name: paper_graph(ledger.network(name)) for name in names}
    for first, second in itertools.product(papers.values(), repeat=2):
        found = align(first, second)
        assert sum(difference.params_delta for difference in found.differences) == second.params - first.params
        assert sum(difference.macs_delta for difference in found.differences) == second.macs - first.macs
        assert bool(found.differences) == (first is not second)
        assert (found.near == 1) == (first is second)


def test_an_audit_that_does_not_add_up_is_refused() -> None:
    difference = Difference("extra", "here: bn", None, "batchnorm", 3, 0)
    with pytest.raises(AssertionError, match="differences sum to 3 params, not 4"):
        Audit("net", "resnet20", "wrong", 14, 5, 10, 5, (difference,))


def test_an_operation_that_takes_another_output_is_a_difference(ledger: Ledger) -> None:
    paper = paper_graph(ledger.network("resnet20"))
    adds = [number for number, node in enumerate(paper.nodes) if node.kind == "add"]
    first, second = adds[0], adds[1]
    nodes = list(paper.nodes)
    nodes[second] = replace(nodes[second], inputs=(nodes[second].inputs[0], nodes[first].inputs[1]))  # a shortcut over two blocks
    (difference,) = align(paper, replace(paper, nodes=tuple(nodes))).differences
    assert list(difference.changes) == ["inputs"]
    nodes[second] = replace(paper.nodes[second], inputs=paper.nodes[second].inputs[::-1])
    assert align(paper, replace(paper, nodes=tuple(nodes))).differences == ()


def test_where_a_difference_is_is_said_for_both() -> None:
    with OnMeta():
        net = ResNet(replace(RESNET34, bias=True))
    found = audit(net, as_="resnet34-b", proof=False)
    assert found.differences[0].where.startswith("conv1; here: conv1 and 3")
    assert (found.differences[0].expected, found.differences[0].found) == ("conv (bias no)", "conv (bias yes)")


# ---------------------------------------------------------------- readings


def test_what_the_paper_leaves_open_is_a_note() -> None:
    with OnMeta():
        nets = [alexnet.AlexNet(alexnet.PAPER), ResNet(replace(RESNET20, eps=1e-3)), ResNet(replace(RESNET34, shortcut="A"))]
    alexnet_227 = audit(nets[0], as_="alexnet", proof=False)
    assert (alexnet_227.verdict, len(alexnet_227.notes)) == ("same-structure", 1)
    assert "227 without padding on conv1" in alexnet_227.notes[0]
    assert audit(nets[1], as_="resnet20", proof=False).notes == ("reading: BN's eps is 0.001, not 1e-05",)


def test_a_constant_of_one_layer_is_no_reading() -> None:
    with OnMeta():
        net = ResNet(RESNET20)
    next(part for part in net.modules() if isinstance(part, nn.BatchNorm2d)).eps = 1e-3
    (difference,) = audit(net, as_="resnet20", proof=False).differences
    assert difference.changes == {"eps": (1e-5, 1e-3)}


# ---------------------------------------------------------------- proving


def test_every_small_network_is_proven_exact_against_itself(ledger: Ledger) -> None:
    for name in ("lenet5", "lenet5-modern", "resnet20", "plain32"):
        found = audit(build(ledger.network(name)), as_=name)
        assert (found.verdict, found.differences, found.near) == ("exact", (), 1)
        assert found.proof is not None
        assert "float64" in found.proof


def test_readings_are_proven_too() -> None:
    found = audit(ResNet(replace(RESNET20, eps=1e-3, momentum=0.05, zeros=resnet.zeros_around)), as_="resnet20")
    assert (found.verdict, len(found.notes)) == ("exact", 3)


class Hidden(lenet.Modern):
    """Equal operations, of other values: the audit reads structure, the proof numbers."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            kept = self.pool(self.activation(self.c1(x)))
        x = self.pool(self.activation(self.c3[0](kept)))
        x = self.activation(self.c5(x.flatten(1)))
        return self.out(self.activation(self.f6(x)))  # type: ignore[no-any-return]


def test_equal_structure_without_equal_gradients_is_wrong() -> None:
    found = audit(Hidden(lenet.Plan()), as_="lenet5-modern")
    assert found.verdict == "wrong"
    assert found.proof is not None
    assert "departs in training mode" in found.proof
    assert found.differences[0].name == "other numbers from the same structure"


def test_a_module_is_left_as_it_was() -> None:
    net = lenet.Modern(lenet.Plan()).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    audit(net, as_="lenet5-modern")
    assert net.training
    assert all(tensor.grad is None and tensor.dtype == torch.float32 for tensor in net.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_without_values_nothing_is_proven() -> None:
    with OnMeta():
        net = lenet.Modern(lenet.Plan())
    found = audit(net, as_="lenet5-modern")
    assert (found.verdict, found.proof) == ("same-structure", None)
    assert "not proven" in found.notes[-1]


# ---------------------------------------------------------------- audits


def test_a_factory_is_called_and_the_nearest_network_found() -> None:
    found = audit(lambda: ResNet(replace(RESNET20, shortcut="none")), proof=False)
    assert (found.network, found.verdict, found.near) == ("plain20", "same-structure", 1)


def test_what_is_no_module_or_no_network_is_refused() -> None:
    with pytest.raises(ReproError, match=r"int is no nn\.Module"):
        audit(3)  # type: ignore[arg-type]
    with pytest.raises(ReproError, match="did you mean resnet20"):
        audit(nn.ReLU(), as_="resnet-20")


@pytest.mark.filterwarnings("ignore")
def test_a_script_module_is_refused() -> None:
    with pytest.raises(ReproError, match="a ScriptModule has no Python code to trace"):
        audit(torch.jit.script(nn.Sequential(nn.ReLU())), as_="resnet20")


def test_what_cannot_run_has_the_verdict_error() -> None:
    found = audit(nn.Sequential(nn.Conv2d(5, 5, 5)), as_="resnet20")
    assert (found.verdict, found.network) == ("error", "resnet20")
    assert found.error is not None
    assert found.error.startswith("can't be run on 3x32x32: RuntimeError")


def test_json_has_the_fields_of_the_design() -> None:
    with OnMeta():
        document = audit(ResNet(replace(RESNET20, shortcut="B")), as_="resnet20", proof=False).to_json()
    assert list(document) == [
        "target", "network", "verdict", "params", "macs", "paper_params", "paper_macs", "proof", "error", "near", "differences", "notes",
        "input",
    ]  # fmt: skip
    assert document["params"] - document["paper_params"] == sum(row["params_delta"] for row in document["differences"]) == 2_752


def test_an_audit_prints_what_the_command_does_and_torch_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    found = audit(ResNet(replace(RESNET20, shortcut="B")), as_="resnet20")
    assert str(found).splitlines()[0] == "ResNet: variant of resnet20: every difference is a known one (94.5 % of its operations are equal)"
    total, meaning = (line.split() for line in str(found).splitlines()[-2:])
    assert total == ["sum", "on", "3x32x32", "272,474", "40,813,184"]
    assert meaning[:4] == ["option", "B", "shortcut", "(variant):"]
    audit(Layers(lambda net, x: net.conv(x) if x.sum() > 0 else net.conv(-x)), as_="resnet20", input=MAPS)
    assert capfd.readouterr() == ("", "")
