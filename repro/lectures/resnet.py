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
from repro.records import Record, load_records
from repro.tables import load_ledger
from repro.training import initialise

DEPTHS = (20, 32, 44, 56)
SEEDS, BATCH = 3, 32

#: Blocks of the four stages in each column of H15 Table 1, as the slide's copy of it has them.
BLOCKS = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3), "50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}

#: A ratio of gradients that we call vanished, and one that we call exploded.
VANISHED, EXPLODED = 0.01, 100

#: Of a run that two machines have made, this one's record is taken, so that numbers don't change with a repeat elsewhere.
FIRST = "AMD EPYC, 2 cores"


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
    names = [f"resnet{depth}" for depth in BLOCKS]
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


def stages() -> Numbers:
    """H15 Table 1: the side of the maps after conv1 and each of the four stages, the same in all five networks, or 0; stages with as many
    blocks as printed; and the scores of the last layer."""
    ledger = load_ledger()
    networks = {depth: ledger.network(f"resnet{depth}").layers for depth in BLOCKS}
    blocks = {depth: [layer for layer in layers if layer.kind == "add"] for depth, layers in networks.items()}
    sides = {"conv1": {layer.output[-1] for layers in networks.values() for layer in layers if layer.name == "conv1"}}
    for stage in range(2, 6):
        sides[f"conv{stage}"] = {block.output[-1] for found in blocks.values() for block in found if block.name.startswith(f"conv{stage}_")}
    held = [
        sum(block.name.startswith(f"conv{stage}_") for block in blocks[depth]) == count
        for depth, counts in BLOCKS.items()
        for stage, count in enumerate(counts, 2)
    ]
    scores = {layers[-1].output[0] for layers in networks.values()}
    return {
        **{f"{name}_side": found.pop() if len(found) == 1 else 0 for name, found in sides.items()},
        "stages": len(held),
        "stages_held": sum(held),
        "fc_scores": scores.pop() if len(scores) == 1 else 0,
        "blocks_18": len(blocks["18"]),
        "blocks_152": len(blocks["152"]),
    }


def depth() -> Numbers:
    """Printed test errors of H15 Table 6 for residual networks, and of Table 2 for plain ones, per cent."""
    ledger = load_ledger()
    found: Numbers = {f"resnet{depth}": float(ledger.claim(f"resnet{depth}/test-error/table-6").printed) for depth in DEPTHS}
    found["resnet110"] = float(ledger.claim("resnet110/test-error/table-6/best-of-5").printed)
    found |= {
        f"imagenet_plain{depth}": float(ledger.claim(f"plain{depth}/top-1-val-error/table-2/{depth}-layers").printed) for depth in (18, 34)
    }
    return found


def gradients() -> Numbers:
    """The first layer's gradient over the last convolution's in plain56 at the start: geometric mean over seeds, on a batch of the
    embedded digits."""
    norms = [_norms("plain56", seed) for seed in range(SEEDS)]
    ratio = torch.tensor([one[0] / one[-2] for one in norms]).log().mean().exp().item()
    return {"plain56": float(f"{ratio:.3g}")}


def recorded(root: Path | None) -> Numbers:
    """From the records of plain against residual: errors at the end on CIFAR-10's images (re-encoded as JPEG), per cent; and in how many
    runs of plain56, on any data, the first layer's gradient over the last convolution's was vanished or exploded.

    Raises Unavailable outside a checkout.
    """
    runs = _finished()
    four = {run.network: run for run in runs if (run.data.name, run.seed) == ("cifar10-jpeg", 0)}
    if not {"plain20", "plain56", "resnet20", "resnet56"} <= set(four) or len({run.recipe for run in four.values()}) > 1:
        raise Unavailable("no records of the four networks on cifar10-jpeg that were trained alike")
    found: Numbers = {f"{name}_train": round(run.curves.train.error[-1], 1) for name, run in sorted(four.items())}
    found |= {f"{name}_test": round(run.curves.test.error[-1], 1) for name, run in sorted(four.items())}
    deep = [run for run in runs if run.network == "plain56" and len(run.gradients.norm) > 1]
    ratios = [[norms[0] / norms[-2] for norms in run.gradients.norm] for run in deep]
    return {
        **found,
        "iterations": four["plain56"].recipe.iterations,
        "vanished": VANISHED,
        "exploded": EXPLODED,
        "runs": len(ratios),
        "runs_start_above": sum(start > EXPLODED for start, *_ in ratios),
        "runs_below": sum(min(after) < VANISHED for _, *after in ratios),
        "runs_above": sum(max(after) > EXPLODED for _, *after in ratios),
        "data_sets": len({run.data.name for run in deep}),
    }


def _finished() -> tuple[Record, ...]:
    """Each run that was trained to its end, once."""
    runs: dict[str, Record] = {}
    for run in sorted(load_records(ROOT / "reports" / "records"), key=lambda run: run.environment.hardware != FIRST):
        if run.outcome == "finished":
            runs.setdefault(run.key, run)
    return tuple(runs.values())


CHECKS = {"block": block, "options": options, "table": table, "stages": stages, "depth": depth, "gradients": gradients}
WITH_DATA = {"recorded": recorded}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """Gradient norms by layer of plain56 and resnet56 at the start."""
    return [{"name": name, "norms": [float(f"{norm:.3g}") for norm in _norms(name, 0)]} for name in ("plain56", "resnet56")]


def _norms(name: str, seed: int) -> list[float]:
    """The norm of the gradient of each layer's weight, at the start, on one batch."""
    data = load("digits")
    net = build(find_network(name))
    initialise(net, seed)
    images, labels = Feeder(data, pad=0, mirror=False).batch(seed, 0, BATCH)
    cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
    return gradient_norms(net)
