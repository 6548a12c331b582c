"""Each kind of fault once, with what an audit has to say of it. Values are arithmetic, and those of public nets where one has the fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from audited import alexnet, lenet, resnet, vgg
from audited.resnet import RESNET20, RESNET34, RESNET50, ResNet
from repro.layers import Shape

CIFAR, IMAGENET, CAFFE, DIGITS = (3, 32, 32), (3, 224, 224), (3, 227, 227), (1, 32, 32)
ALEXNET, MODERN = alexnet.PAPER, lenet.Plan()
#: Basic blocks of ImageNet's widths on CIFAR's stem: in no table.
HYBRID = replace(RESNET20, blocks=(2, 2, 2, 2), widths=(64, 128, 256, 512), shortcut="B")


@dataclass(frozen=True)
class Case:
    """A net, the network that it's held against, and the audit's verdict and names."""

    id: str
    make: Callable[[], nn.Module]
    input: Shape
    network: str
    params: int
    macs: int
    verdict: str
    names: tuple[str, ...]


def _resnet(id: str, plan: resnet.Plan, params: int, macs: int, verdict: str, *names: str, of: str = "resnet20") -> Case:
    return Case(id, lambda: ResNet(plan), CIFAR if of in ("resnet20", "plain20") else IMAGENET, of, params, macs, verdict, names)


def _vgg(
    id: str, make: Callable[[], nn.Module], of: str, params: int, macs: int, verdict: str, *names: str, input: Shape = IMAGENET
) -> Case:
    return Case(id, make, input, of, params, macs, verdict, names)


def _alexnet(
    id: str, plan: alexnet.Plan, verdict: str, *names: str, params: int = 60_965_224, macs: int = 724_406_816, input: Shape = CAFFE
) -> Case:
    return Case(id, lambda: alexnet.AlexNet(plan), input, "alexnet", params, macs, verdict, names)


def _lenet(
    id: str,
    make: Callable[[], nn.Module],
    params: int,
    macs: int,
    verdict: str,
    *names: str,
    of: str = "lenet5-modern",
    input: Shape = DIGITS,
) -> Case:
    return Case(id, make, input, of, params, macs, verdict, names)


def _changed(id: str, change: Callable[[ResNet], object], params: int, macs: int, verdict: str, *names: str) -> Case:
    """ResNet-20 after a change."""

    def make() -> nn.Module:
        net = ResNet(RESNET20)
        change(net)
        return net

    return Case(id, make, CIFAR, "resnet20", params, macs, verdict, names)


P20, M20 = 269_722, 40_551_040
CIFAR_CASES = (
    _resnet("option-b", replace(RESNET20, shortcut="B"), 272_474, 40_813_184, "variant", "option B shortcut"),
    _resnet("option-c", replace(RESNET20, shortcut="C"), 283_962, 42_648_192, "variant", "option C shortcut"),
    _resnet(
        "option-b-bare", replace(RESNET20, shortcut="B", projection_bn=False), P20 + 2_560, 40_813_184, "wrong",
        "option B shortcut without BN",
    ),
    _resnet(
        "option-b-bias", replace(RESNET20, shortcut="B", projection_bias=True), 272_570, 40_813_184, "wrong",
        "option B shortcut with conv bias",
    ),
    _resnet("averaged-shortcut", replace(RESNET20, zeros=resnet.averaged), P20, M20, "wrong", "average pooling in the shortcut"),
    _resnet("bias", replace(RESNET20, bias=True), 270_410, M20, "wrong", "conv bias before BN"),
    _resnet("classes", replace(RESNET20, classes=1000), P20 + 990 * 65, M20 + 990 * 64, "variant", "1000 classes instead of 10"),
    _resnet(
        "classes-option-b", replace(RESNET20, shortcut="B", classes=1000), 336_824, 40_876_544, "variant", "option B shortcut",
        "1000 classes instead of 10",
    ),
    _resnet(
        "local-pooling", replace(RESNET20, shortcut="B", pooling="local"), 274_394, 40_815_104, "wrong",
        "option B shortcut", "average pooling of a part, not global", "follows from the other differences",
    ),
    _resnet("no-pooling", replace(RESNET20, pooling="none"), P20 + 63 * 640, M20 + 63 * 640, "wrong", "no global average pooling"),
    _resnet("log-softmax", replace(RESNET20, end="log"), P20, M20, "variant", "softmax inside the network"),
    _resnet("relu-on-scores", replace(RESNET20, end="relu"), P20, M20, "wrong", "ReLU on the scores"),
    _resnet("plain", replace(RESNET20, shortcut="none"), P20, M20, "wrong", "plain instead of residual"),
    _resnet("residual", RESNET20, P20, M20, "wrong", "residual instead of plain", of="plain20"),
    _resnet(
        "never-added", replace(RESNET20, shortcut="lost"), 272_474, M20, "wrong", "dead parameters: never reach the output", of="plain20",
    ),
    _resnet("lost-addition", replace(RESNET20, lost_addition=4), P20, M20, "wrong", "lost addition"),
    _resnet("lost-addition-of-stage", replace(RESNET20, lost_addition=3), P20, M20, "wrong", "lost addition"),
    _resnet("pre-activation", replace(RESNET20, pre_activation=True, relu="no"), P20, M20, "wrong", "pre-activation blocks"),
    _resnet("relu-before", replace(RESNET20, relu="before"), P20, M20, "wrong", "ReLU before the addition, not after it"),
    _resnet("relu-both", replace(RESNET20, relu="both"), P20, M20, "wrong", "ReLU before the addition"),
    _resnet("no-relu", replace(RESNET20, relu="no"), P20, M20, "wrong", "ReLU after the addition missing"),
    _resnet("no-inner-relu", replace(RESNET20, first_relu=False), P20, M20, "wrong", "activation missing"),
    _changed("one-eps", lambda net: setattr(net.bn1, "eps", 1e-3), P20, M20, "variant", "BN with eps 0.001"),
    _changed("one-momentum", lambda net: setattr(net.bn1, "momentum", 0.01), P20, M20, "variant", "BN with momentum 0.01"),
    _changed(
        "no-affine", lambda net: setattr(net, "bn1", nn.BatchNorm2d(16, affine=False)), P20 - 32, M20, "wrong",
        "BN without scale and shift",
    ),
    _changed("bn-behind", lambda net: net.blocks.append(nn.BatchNorm2d(64)), P20 + 128, M20, "wrong", "BN added"),
    _changed("tanh-behind", lambda net: net.blocks.append(nn.Tanh()), P20, M20, "wrong", "activation added"),
    _changed("frozen", lambda net: net.conv1.requires_grad_(False), P20 - 432, M20, "wrong", "weights that aren't trained"),
    _resnet("large-eps", replace(RESNET20, eps=0.1), P20, M20, "wrong", "BN with eps 0.1"),
    _resnet("no-stem-bn", replace(RESNET20, stem_bn=False), P20 - 32, M20, "wrong", "BN missing"),
    _resnet("twice", replace(RESNET20, twice=True), P20 - 9 * (3 * 256 + 2 * 1_024 + 2 * 4_096), M20, "wrong", "one layer used twice"),
    _resnet("dropout", replace(RESNET20, dropout=0.5), P20, M20, "wrong", "dropout added"),
    _resnet("hidden", replace(RESNET20, hidden=64), P20 + 4_160, M20 + 4_096, "wrong", "extra fully connected layer"),
    _resnet(
        "stride-last", replace(RESNET20, shortcut="B", stride_last=True), 278_074, 30_392_960, "wrong",
        "stride on the last block of a stage",
    ),
    _resnet(
        "bottleneck", replace(RESNET20, blocks=(2, 2, 2), bottleneck=True, shortcut="B"), 220_378, 30_591_488, "wrong",
        "bottleneck blocks instead of basic ones",
    ),
    _resnet(
        "wide", replace(RESNET20, shortcut="B", widths=(64, 128, 256)), 4_327_754, 647_694_848, "not-paper",
        "widths 64-128-256 instead of 16-32-64", "option B shortcut", "follows from the other differences",
    ),
    _resnet("imagenet-widths", HYBRID, 11_173_962, 555_422_720, "not-paper", "ImageNet widths on a CIFAR stem"),
    _resnet(
        "imagenet-widths-pooled", replace(HYBRID, max_pool=True), 11_173_962, 140_186_624, "not-paper", "ImageNet widths on a CIFAR stem",
    ),
)  # fmt: skip

IMAGENET_CASES = (
    _resnet("34-b-for-a", RESNET34, 21_797_672, 3_663_761_408, "variant", "option B shortcut", of="resnet34"),
    _resnet("34-c-for-a", replace(RESNET34, shortcut="C"), 22_716_840, 3_830_747_136, "variant", "option C shortcut", of="resnet34"),
    _resnet("34-c-for-b", replace(RESNET34, shortcut="C"), 22_716_840, 3_830_747_136, "variant", "option C shortcut", of="resnet34-b"),
    _resnet("34-plain", replace(RESNET34, shortcut="none"), 21_623_848, 3_644_493_824, "wrong", "plain instead of residual", of="resnet34"),
    _resnet("v1.5", replace(RESNET50, stride_on=1), 25_557_032, 4_089_184_256, "variant", "v1.5 stride", of="resnet50"),
    _resnet("v1", RESNET50, 25_557_032, 3_857_973_248, "variant", "stride on the first 1x1", of="resnet50-v1.5"),
    _resnet(
        "stride-on-last-conv", replace(RESNET50, stride_on=2), 25_557_032, 5_129_633_792, "wrong",
        "stride on the last 1x1", of="resnet50",
    ),
    _resnet(
        "v1.5-bias", replace(RESNET50, stride_on=1, bias=True), 25_579_752, 4_089_184_256, "wrong", "conv bias before BN", "v1.5 stride",
        of="resnet50",
    ),
    _resnet(
        "no-expansion", replace(RESNET50, expansion=1, last_bn=False, bias=True, projection_bias=True), 14_383_912, 2_379_255_808, "wrong",
        "conv bias before BN", "conv bias added", "bottleneck without expansion", "BN missing",
        "follows from the other differences", of="resnet50",
    ),
    _resnet("basic-for-50", RESNET34, 21_797_672, 3_663_761_408, "wrong", "basic blocks instead of bottlenecks", of="resnet50"),
    _resnet(
        "stem-stride", replace(RESNET34, blocks=(2, 2, 2, 2), stem_stride=1, stem_padding=0, projection_bias=True), 11_690_408,
        7_073_848_064,
        "wrong", "stem with stride 1 instead of 2", "conv bias before BN", "follows from the other differences", of="resnet18-b",
    ),
    _resnet(
        "no-stem-bn-bias", replace(RESNET34, bias=True, projection_bias=True, stem_bn=False), 21_806_056, 3_663_761_408, "wrong",
        "conv bias added", "BN missing", "conv bias before BN", of="resnet34-b",
    ),
    _resnet(
        "stride-last-50", replace(RESNET50, stride_last=True, stride_on=2, hidden=1000, end="softmax"), 32_136_272, 3_930_014_272, "wrong",
        "stride on the last block of a stage", "extra fully connected layer", "softmax inside the network", of="resnet50",
    ),
    _resnet(
        "cifar-stem-at-224", replace(HYBRID, classes=1000), 11_681_832, 27_215_974_400, "not-paper", "ImageNet widths on a CIFAR stem",
        of="resnet18-b",
    ),
    _resnet(
        "no-max-pool", replace(RESNET34, max_pool=False), 21_797_672, 14_299_467_776, "wrong", "max-pooling after the stem missing",
        of="resnet34-b",
    ),
    _resnet(
        "3x3-stem", replace(RESNET34, kernel=3, stem_padding=1), 21_797_672 - 40 * 192, 3_663_761_408 - 40 * 192 * 112**2, "not-paper",
        "3x3 stem", of="resnet34-b",
    ),
    _resnet("34-classes", replace(RESNET34, classes=10), 21_289_802, 3_663_254_528, "variant",
            "10 classes instead of 1000", of="resnet34-b"),
)  # fmt: skip


def _net(layers: vgg.Layers, order: str = "fc relu drop", *, bn: bool = False, end: str = "") -> Callable[[], nn.Module]:
    return lambda: vgg.Vgg(vgg.features(layers, bn=bn), vgg.head(order, end=end))


PA, MA, PD, MD = 132_863_336, 7_609_090_048, 138_357_544, 15_470_264_320
VGG_CASES = (
    _vgg("vgg-bn", _net(vgg.D, bn=True), "vgg-d", PD + 8_448, MD, "variant", "BN added to VGG"),
    _vgg("c-bn", _net(vgg.C, bn=True), "vgg-c", 133_647_400, 11_770_888_192, "variant", "BN added to VGG"),
    _vgg(
        "bn-no-bias", lambda: vgg.Vgg(vgg.features(vgg.D, bn=True, bias=False), vgg.head()), "vgg-d", PD + 4_224, MD, "variant",
        "BN added to VGG",
    ),
    _vgg(
        "bn-dropout-softmax", _net(vgg.A, "drop fc relu", bn=True, end="softmax"), "vgg-a", 132_868_840, MA, "wrong",
        "BN added to VGG", "dropout before instead of after", "softmax inside the network",
    ),
    _vgg("vgg-dropout-before", _net(vgg.A, "drop fc relu"), "vgg-a", PA, MA, "wrong", "dropout before instead of after"),
    _vgg("no-dropout", _net(vgg.A, "fc relu"), "vgg-a", PA, MA, "wrong", "dropout missing"),
    _vgg(
        "no-conv-bias", lambda: vgg.Vgg(vgg.features(vgg.A, bias=False), vgg.head()), "vgg-a", PA - 2_752, MA, "wrong",
        "conv bias missing",
    ),
    _vgg("linear-head", _net(vgg.A, "fc"), "vgg-a", PA, MA, "wrong", "activation missing", "dropout missing"),
    _vgg("a-called-d", _net(vgg.A, "fc"), "vgg-d", PA, MA, "wrong", "convolution missing", "activation missing", "dropout missing"),
    _vgg("overwritten", _net(vgg.OVERWRITTEN), "vgg-a", 127_553_640, 3_447_291_904, "wrong", "convolution missing", "activation missing"),
    _vgg(
        "padded-1x1", lambda: vgg.Vgg(vgg.features(vgg.C, padding_of_1x1=1), vgg.head(), adaptive=7), "vgg-c", 133_638_952,
        12_195_168_256, "wrong",
        "1x1 convolutions with padding 1", "average pooling added", "follows from the other differences",
    ),
    _vgg(
        "small-head", lambda: vgg.Vgg(vgg.features(vgg.D), vgg.head("drop fc relu", 512, 512, 10)), "vgg-d", 15_245_130,
        313_725_952, "not-paper",
        "dropout before instead of after", "hidden layers of 512 units instead of 4096", "10 classes instead of 1000",
        "input of 3x32x32 instead of 3x224x224", input=CIFAR,
    ),
    _vgg(
        "at-32", lambda: vgg.Vgg(vgg.features(vgg.D), vgg.head(inputs=512, classes=10)), "vgg-d", 33_638_218, 332_111_872, "not-paper",
        "10 classes instead of 1000", "input of 3x32x32 instead of 3x224x224", input=CIFAR,
    ),
    _vgg(
        "at-32-relu", lambda: vgg.Vgg(vgg.features(vgg.A, bn=True), nn.Sequential(vgg.head("fc relu", 512, 512, 10), nn.ReLU())),
        "vgg-a", 9_756_426,
        153_293_824, "not-paper", "BN added to VGG", "hidden layers of 512 units instead of 4096", "dropout missing", "ReLU on the scores",
        "10 classes instead of 1000", "input of 3x32x32 instead of 3x224x224", input=CIFAR,
    ),
    _vgg(
        "lrn-constants", lambda: vgg.Vgg(vgg.features(vgg.A, lrn=nn.LocalResponseNorm(5)), vgg.head()), "vgg-a-lrn", PA, MA, "wrong",
        "LRN with k = 1", "LRN with alpha divided by n",
    ),
    _vgg(
        "lrn-added", lambda: vgg.Vgg(vgg.features(vgg.A, lrn=nn.LocalResponseNorm(5, k=2)), vgg.head()), "vgg-a", PA, MA, "wrong",
        "LRN added",
    ),
)  # fmt: skip

ALEXNET_CASES = (
    _alexnet("ungrouped", replace(ALEXNET, groups=1), "variant", "ungrouped AlexNet", params=62_378_344, macs=1_135_256_096),
    _alexnet(
        "ungrouped-224", replace(ALEXNET, groups=1, padding=2), "variant", "ungrouped AlexNet", params=62_378_344, macs=1_135_256_096,
        input=IMAGENET,
    ),
    _alexnet(
        "ungrouped-softmax", replace(ALEXNET, groups=1, end="softmax"), "variant", "ungrouped AlexNet", "softmax inside the network",
        params=62_378_344, macs=1_135_256_096,
    ),
    _alexnet(
        "ungrouped-10", replace(ALEXNET, groups=1, classes=10), "variant", "ungrouped AlexNet", "10 classes instead of 1000",
        params=58_322_314, macs=1_131_201_056,
    ),
    _alexnet("one-weird-trick", alexnet.OWT, "variant", "one-weird-trick AlexNet", params=61_100_840, macs=714_188_480, input=IMAGENET),
    _alexnet("k", replace(ALEXNET, k=1.0), "wrong", "LRN with k = 1"),
    _alexnet("alpha", replace(ALEXNET, alpha=1e-4), "variant", "LRN with alpha divided by n"),
    _alexnet("torchs-defaults", replace(ALEXNET, alpha=1e-4, k=1.0), "wrong", "LRN with k = 1", "LRN with alpha divided by n"),
    _alexnet("beta", replace(ALEXNET, beta=0.5), "wrong", "LRN with beta = 0.5 instead of 0.75"),
    _alexnet("no-lrn", replace(ALEXNET, norm="no"), "wrong", "LRN missing"),
    _alexnet("alexnet-bn", replace(ALEXNET, norm="bn"), "wrong", "BN instead of LRN", params=60_965_928),
    _alexnet("caffenet", replace(ALEXNET, norm_last=True), "variant", "pooling before LRN"),
    _alexnet("alexnet-dropout-before", replace(ALEXNET, order="drop fc relu"), "wrong", "dropout before instead of after"),
    _alexnet("dropout-p", replace(ALEXNET, p=0.2), "wrong", "dropout with p = 0.2 instead of 0.5"),
    _alexnet("unpadded", replace(ALEXNET, side=5), "wrong", "224 without padding", params=49_430_888, macs=643_026_048, input=IMAGENET),
    _alexnet("pool-kernel", replace(ALEXNET, last_pool=2), "wrong", "max-pooling with kernel 2x2 instead of 3x3"),
)  # fmt: skip

LENET_CASES = (
    _lenet("modern", lambda: lenet.Modern(MODERN), 61_706, 416_520, "variant", "modern LeNet-5", of="lenet5"),
    _lenet("towers", lambda: lenet.Modern(replace(MODERN, towers=2, conv_c5=True)), 64_122, 656_520, "wrong", "two parallel towers"),
    _lenet(
        "28-unpadded", lambda: lenet.Modern(replace(MODERN, side=4, relu_on_logits=True)), 44_426, 281_640, "wrong",
        "ReLU on the scores", "input of 1x28x28 instead of 1x32x32", input=(1, 28, 28),
    ),
    _lenet(
        "28-padded", lambda: lenet.Modern(replace(MODERN, padding=2)), 61_706, 416_520, "variant", "28x28 with padding 2",
        input=(1, 28, 28),
    ),
    _lenet("tanh", lambda: lenet.Modern(replace(MODERN, activation=nn.Tanh)), 61_706, 416_520, "wrong", "tanh instead of ReLU"),
    _lenet(
        "average", lambda: lenet.Modern(replace(MODERN, pool=nn.AvgPool2d)), 61_706, 416_520, "wrong",
        "average pooling instead of max-pooling",
    ),
)  # fmt: skip

CASES = CIFAR_CASES + IMAGENET_CASES + VGG_CASES + ALEXNET_CASES + LENET_CASES
