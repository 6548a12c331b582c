"""ResNet: the building block, its shortcuts, depth, and what degrades (H15)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, cross_entropy

from repro.building import build
from repro.claims import judge_claim
from repro.data import Feeder, load
from repro.experiment import find_network
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, Unavailable, bound
from repro.machine import ROOT
from repro.measuring import gradient_norms
from repro.records import load_records
from repro.tables import load_ledger
from repro.training import initialise

DEPTHS = (20, 32, 44, 56)
SEEDS, BATCH = 3, 32


def block() -> Numbers:
    """A building block's output against ReLU(F(x) + x), F being two convolutions with batch normalisation; and what shortcuts cost."""
    ledger = load_ledger()
    network = ledger.network("resnet20")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(network).eval()
    seen: dict[str, torch.Tensor] = {}
    first = next(layer for layer in network.layers if layer.kind == "add")
    name = first.name.partition(".")[0]
    inner = net.get_submodule(f"{name}.conv1")
    inner.register_forward_hook(lambda module, inputs, output: seen.update(x=inputs[0]))
    net.get_submodule(f"{first.name}_relu").register_forward_hook(lambda module, inputs, output: seen.update(y=output))
    with torch.no_grad():
        net(torch.randn(2, *network.input, generator=torch.Generator().manual_seed(1)))
        z = seen["x"]
        for number in (1, 2):
            weight, norm = net.get_submodule(f"{name}.conv{number}").weight, net.get_submodule(f"{name}.conv{number}_bn")
            assert isinstance(weight, torch.Tensor)
            assert isinstance(norm, nn.BatchNorm2d)
            z = batch_norm(conv2d(z, weight, padding=1), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
            z = z.relu() if number == 1 else z
        off = (seen["y"] - (z + seen["x"]).relu()).flatten().tolist()
    return {
        "off": bound(off),
        "plain20_params": ledger.network("plain20").params,
        "resnet20_params": network.params,
        "shortcut_params": network.params - ledger.network("plain20").params,
        "shortcuts": sum(layer.kind == "add" for layer in network.layers),
    }


def options() -> Numbers:
    """Parameters and projections of ResNet-34 with shortcuts of options A, B and C (H15 section 3.3)."""
    ledger = load_ledger()
    plain = ledger.network("plain34").params
    nets = {"a": ledger.network("resnet34"), "b": ledger.network("resnet34-b"), "c": ledger.network("resnet34-c")}
    found: Numbers = {"plain": plain}
    for option, net in nets.items():
        found |= {f"{option}_params": net.params, f"{option}_more": net.params - plain}
        found[f"{option}_projections"] = sum(layer.name.endswith(".projection") for layer in net.layers)
        claim = {"a": "resnet34/top-1-val-error/table-3/resnet-34-a", "b": "resnet34-b/top-1-val-error/table-3/resnet-34-b"}
        id = claim.get(option, "resnet34-c/top-1-val-error/table-3/resnet-34-c")
        found[f"{option}_printed_error"] = float(ledger.claim(id).printed)
    return found


def table() -> Numbers:
    """H15 Table 1: layers with weights and FLOPs, as printed and counted; and where the size is halved."""
    ledger = load_ledger()
    names = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    flops = [judge_claim(ledger, ledger.claim(f"{name}/macs")) for name in names]
    depths = [judge_claim(ledger, ledger.claim(f"{name}/weight_layers")) for name in names]
    strided = [layer.name for layer in ledger.network("resnet50").layers if layer.kind == "conv" and layer.stride == (2, 2)]
    main = sorted({name.partition(".")[0] for name in strided} - {"conv1"})
    return {
        "columns": len(names),
        "flops_held": sum(one.verdict == "reproduced" for one in flops),
        "resnet50_macs": ledger.network("resnet50").macs,
        "depths_held": sum(one.verdict == "reproduced" for one in depths),
        "deepest": int(depths[-1].measured or 0),
        "halving_blocks": len(main),
        "as_printed": int(main == ["conv3_1", "conv4_1", "conv5_1"]),
    }


def depth() -> Numbers:
    """Printed test errors of H15 Table 6 for residual networks, and of Table 2 for plain ones, per cent."""
    ledger = load_ledger()
    found: Numbers = {f"resnet{depth}": float(ledger.claim(f"resnet{depth}/test-error/table-6").printed) for depth in DEPTHS}
    found["resnet110"] = float(ledger.claim("resnet110/test-error/table-6/best-of-5").printed)
    found["resnet1202"] = float(ledger.claim("resnet1202/test-error/table-6").printed)
    found |= {
        f"imagenet_plain{depth}": float(ledger.claim(f"plain{depth}/top-1-val-error/table-2/{depth}-layers").printed) for depth in (18, 34)
    }
    return found


def gradients() -> Numbers:
    """The first layer's gradient over the last convolution's in plain networks with batch normalisation, and without it, at the start:
    geometric mean over seeds, on a batch of the embedded digits."""
    found = {(depth, bn): _ratio(depth, bn) for depth in (20, 56) for bn in (True, False)}
    return {f"plain{depth}{'' if bn else '_without_bn'}": float(f"{ratio:.3g}") for (depth, bn), ratio in found.items()}


def recorded(root: Path | None) -> Numbers:
    """From the records of plain against residual on CIFAR-10's images (re-encoded as JPEG): errors at the end, per cent, and the lowest
    and highest ratio of the two gradients after the start. Raises Unavailable outside a checkout."""
    runs = {run.network: run for run in load_records(ROOT / "reports" / "records") if (run.data.name, run.seed) == ("cifar10-jpeg", 0)}
    if not {"plain20", "plain56", "resnet20", "resnet56"} <= set(runs):
        raise Unavailable("no records of the four networks on cifar10-jpeg")
    after = [norms[0] / norms[-2] for norms in runs["plain56"].gradients.norm]
    found: Numbers = {f"{name}_train": round(run.curves.train.error[-1], 1) for name, run in sorted(runs.items())}
    found |= {f"{name}_test": round(run.curves.test.error[-1], 1) for name, run in sorted(runs.items())}
    found |= {"at_start": round(after[0]), "lowest_after": float(f"{min(after[1:]):.2g}"), "highest_after": float(f"{max(after[1:]):.2g}")}
    return {**found, "iterations": runs["plain56"].recipe.iterations}


CHECKS = {"block": block, "options": options, "table": table, "depth": depth, "gradients": gradients}
WITH_DATA = {"recorded": recorded}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """Gradient norms by layer of plain56 and resnet56 at the start."""
    return [{"name": name, "norms": [float(f"{norm:.3g}") for norm in _norms(name, 0, True)]} for name in ("plain56", "resnet56")]


def _ratio(depth: int, normalised: bool) -> float:
    logs = []
    for seed in range(SEEDS):
        norms = _norms(f"plain{depth}", seed, normalised)
        logs.append(torch.tensor(norms[0] / norms[-2]).log())
    return torch.stack(logs).mean().exp().item()


def _norms(name: str, seed: int, normalised: bool) -> list[float]:
    """The norm of the gradient of each layer's weight, at the start, on one batch."""
    data = load("digits")
    net = build(find_network(name))
    initialise(net, seed)
    if not normalised:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.forward = torch.clone  # type: ignore[method-assign]
    images, labels = Feeder(data, pad=0, mirror=False).batch(seed, 0, BATCH)
    cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
    return gradient_norms(net)
