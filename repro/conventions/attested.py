"""Who counts how: the tools and papers whose numbers a convention gives exactly.

Each tool was run on torchvision's networks in evaluation mode, batch 1, 224x224, and its integers are the convention's
(tests/test_conventions.py holds them); thop of 2019 adds in float32, so its integer is the float32 next to it. A tool that
couldn't be taken apart to the last digit has no line. A paper is held to the digits that it prints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from repro.conventions.choices import Convention

#: Names of the ledger that stand for one question; the convention says which network is meant.
ALEXNET = ("alexnet", "alexnet-owt")
BASIC = ("plain18", "plain34", "resnet18", "resnet18-b", "resnet34", "resnet34-b", "resnet34-c")
RESNET50, RESNET101, RESNET152 = (("resnet50", "resnet50-v1.5"), ("resnet101", "resnet101-v1.5"), ("resnet152", "resnet152-v1.5"))
DEEP = (*RESNET50, *RESNET101, *RESNET152)
TORCHVISION = (*ALEXNET, "vgg-a", "vgg-b", "vgg-d", "vgg-e", *BASIC[2:], *DEEP)


@dataclass(frozen=True, slots=True)
class Attestation:
    """A tool or paper, where it says so, and its convention for some networks (none listed: for all of them).

    ``printed``: the one number that it holds for, where the source departs for that alone.
    """

    name: str
    where: str
    convention: Convention
    networks: tuple[str, ...] = ()
    printed: str | None = None


#: The networks of the papers, and those that torchvision builds.
PRINTED = Convention(network="alexnet", stride_on="first")
BUILT = Convention(network="alexnet-owt", shortcut="B", stride_on="3x3")

H15, SZE, WORKLOAD = "He et al. 2015", "Sze et al. 2017", "Abdelouahab's CNN-Workload"
FLOP_COUNTER, IN_AND_OUT = "torch's FlopCounterMode", "average in and out"

#: (name, where, convention, networks, the one number)
ATTESTATIONS: tuple[Attestation, ...] = (
    Attestation("repro show", "MACs", Convention()),
    Attestation(FLOP_COUNTER, "on the ledger's network", Convention(rbf="none", unit="FLOP")),
    # Papers.
    Attestation("LeCun et al. 1998", "section II.B: 340,908 connections", Convention(bias="all", pooling="subsampling"), ("lenet5",)),
    Attestation(H15, "Table 1, row FLOPs", replace(PRINTED, shortcut="A"), BASIC),
    Attestation(H15, "Table 1, row FLOPs", PRINTED, (*RESNET101, *RESNET152)),
    Attestation(H15, "Table 1: 3.8 for 3.858", replace(PRINTED, digits="cut off"), RESNET50, "3.8"),
    Attestation(H15, "section 4.1: 15.3 billion", replace(PRINTED, fc="none"), ("vgg-d",)),
    Attestation(H15, "section 3.3: 19.6 billion", PRINTED, ("vgg-e",)),
    Attestation(SZE, "section III: 724M MACs", PRINTED, ALEXNET),
    Attestation(SZE, "section III: 15.5G MACs", PRINTED, ("vgg-d",)),
    Attestation(SZE, "section III: 3.9G MACs", PRINTED, RESNET50),
    Attestation(SZE, "section III: 11.3G MACs", PRINTED, RESNET152),
    Attestation("Luo et al. 2017 (ThiNet)", "30.94B FLOPs, Roll920/ThiNet_Code issue 2", replace(PRINTED, unit="FLOP"), ("vgg-d",)),
    # Public code, by what its README prints or fvcore counts.
    Attestation(WORKLOAD, "total workload", PRINTED, (*ALEXNET, "vgg-d", "vgg-e", *DEEP)),
    Attestation(WORKLOAD, "conv workload", replace(PRINTED, fc="none"), (*ALEXNET, "vgg-d", "vgg-e", *DEEP)),
    Attestation("dansuh17/alexnet-pytorch", "1,135,256,096 MACs", replace(PRINTED, groups="none"), ALEXNET),
    Attestation("chenyaofo/pytorch-cifar-models", "40.81 million", Convention(shortcut="B"), ("resnet20",)),
    # Tools, on torchvision's networks.
    Attestation("torchvision", "_ops of its weights", BUILT, TORCHVISION),
    Attestation(FLOP_COUNTER, "on torchvision's network", replace(BUILT, unit="FLOP"), TORCHVISION),
    Attestation("fvcore 0.1.5", "total", replace(BUILT, batchnorm="2", pooling="average"), TORCHVISION),
    Attestation(
        "ptflops 0.6",
        "and its README",
        replace(BUILT, bias="all", batchnorm="2", pooling="all", activations="once"),
        TORCHVISION,
    ),
    Attestation(
        "ptflops 0.7",
        "pytorch backend, which meets ReLU and pooling as modules and as functions",
        replace(BUILT, bias="all", batchnorm="2", pooling="all twice", activations="twice"),
        TORCHVISION,
    ),
    Attestation("ptflops 0.7", "aten backend", replace(BUILT, bias="all"), TORCHVISION),
    Attestation("torchinfo 1.8", "total mult-adds", replace(BUILT, bias="all", batchnorm="params"), TORCHVISION),
    Attestation(
        "thop 0.0.23 to 0.0.31 (2019)",
        "and the README up to 0.1.1",
        replace(BUILT, fc="both", bias="conv", batchnorm="4", pooling=IN_AND_OUT),
        TORCHVISION,
    ),
    Attestation("thop 0.0.31 (May 2020)", "profile", replace(BUILT, bias="conv", batchnorm="2", pooling=IN_AND_OUT), TORCHVISION),
    Attestation("thop 0.1", "profile", replace(BUILT, batchnorm="4", pooling=IN_AND_OUT), TORCHVISION),
    Attestation(
        "calflops 0.3",
        "FLOPs",
        replace(BUILT, bias="conv", batchnorm="2", pooling="all", activations="once", unit="FLOP"),
        TORCHVISION,
    ),
)
