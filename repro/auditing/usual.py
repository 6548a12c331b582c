"""The usual names of differences, as data: a name, whether it makes a variant or is wrong, why, and how it's recognised.

A row is tried on each single difference, in this order; all that the same row recognises with the same words becomes one named
difference. A matcher returns the words that fill the name's braces, or None. ``VARIANT`` is for what people do on purpose and know
under this name; whoever reports numbers of it should say the name. Everything else is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from repro.auditing import families as f
from repro.auditing import matching as m
from repro.auditing.matching import Matcher, bias, flag, has, lacks, other, value, values
from repro.auditing.places import ACTIVATIONS, POOLS


@dataclass(frozen=True, slots=True)
class Usual:
    """A usual name; ``why`` is one sentence for whoever reads the report."""

    name: str
    verdict: Literal["variant", "wrong"]
    why: str
    match: Matcher


VARIANT: Literal["variant"] = "variant"
WRONG: Literal["wrong"] = "wrong"

USUAL = (
    # Another network altogether.
    Usual("dead parameters: never reach the output", WRONG, "They are counted, saved and never trained.", f.dead),
    Usual("one-weird-trick AlexNet", VARIANT, "K14, which torchvision ships as AlexNet.", f.is_other_network("alexnet-owt", of="alexnet")),
    Usual("modern LeNet-5", VARIANT, "ReLU, max-pooling, full C3, trained output.", f.is_other_network("lenet5-modern", of="lenet5")),
    Usual("28x28 with padding 2", VARIANT, "MNIST as it comes; the paper's 32x32 is the same with a frame.", f.framed_digits),
    Usual("two parallel towers", WRONG, "The paper has one.", f.towers),
    Usual("ImageNet widths on a CIFAR stem", WRONG, "A 3x3 stem in front of 64 to 512 channels: in no table of the paper.", f.cifar_stem),
    Usual("bottleneck blocks instead of basic ones", WRONG, "The paper's table has the other block at this depth.", f.bottleneck),
    Usual("basic blocks instead of bottlenecks", WRONG, "The paper's table has the other block at this depth.", f.basic),
    Usual("bottleneck without expansion", WRONG, "A bottleneck's last 1x1 has four times the channels of its 3x3.", f.unexpanded),
    Usual("widths {} instead of {}", WRONG, "Channels differ from the table's all through the network.", f.widths),
    # Additions and shortcuts.
    Usual("plain instead of residual", WRONG, "Without a single addition it is the paper's plain net.", f.plain),
    Usual("residual instead of plain", WRONG, "The paper's plain nets have no addition.", f.residual),
    Usual("pre-activation blocks", WRONG, "BN and ReLU before each convolution: the blocks of He et al. 2016.", f.preactivated),
    Usual("ReLU before the addition, not after it", WRONG, "The paper adds, then applies ReLU (section 3.2).", m.relu_moved),
    Usual("lost addition", WRONG, "A block that forgets its shortcut.", f.lost_addition),
    Usual("stride on the last block of a stage", WRONG, "The paper downsamples in the first: conv3_1, conv4_1, conv5_1.", f.stride_last),
    Usual("v1.5 stride", VARIANT, "The stride of a bottleneck on its 3x3, as torchvision and fb.resnet.torch have it.", f.v15),
    Usual("stride on the first 1x1", VARIANT, "The paper's networks, where their v1.5 form was asked for.", f.v1),
    Usual("stride on the last 1x1", WRONG, "Every convolution of the bottleneck runs on the larger map.", f.stride_on_last_conv),
    Usual("option {} shortcut without BN", WRONG, "BN follows each convolution (section 3.4), a projection too.", f.option_without_bn),
    Usual("option {} shortcut with conv bias", WRONG, "A bias in front of BN has no effect.", f.option_with_bias),
    Usual("option {} shortcut", VARIANT, "Another of the shortcuts that the paper compares (section 3.3).", f.option),
    Usual("average pooling in the shortcut", WRONG, "Option A takes every other pixel; B projects with a stride.", f.averaged_shortcut),
    # Normalisation.
    Usual("conv bias before BN", WRONG, "Parameters without effect: BN takes the mean away.", bias(False, before_bn=True)),
    Usual("BN added to {}", VARIANT, "The paper is older than batch normalisation.", f.bn_added),
    Usual("BN instead of LRN", WRONG, "The paper prints local response normalisation.", m.bn_for_lrn),
    Usual("BN missing", WRONG, "BN follows each convolution (section 3.4).", lacks("batchnorm")),
    Usual("BN added", WRONG, "One that the paper doesn't have.", has("batchnorm")),
    Usual("BN without scale and shift", WRONG, "They are parameters of it.", m.not_affine),
    Usual("BN with eps {}", VARIANT, "The paper doesn't print it; 1e-5 is read here, torch's default.", m.small_eps),
    Usual("BN with eps {}", WRONG, "No longer a guard against a division by zero: it takes part.", value("batchnorm", "eps")),
    Usual("BN with momentum {}", VARIANT, "The paper doesn't print it; 0.1 is read here, torch's default.", value("batchnorm", "momentum")),
    Usual("pooling before LRN", VARIANT, "As in CaffeNet; the paper normalises first (section 3.5).", m.pool_before_lrn),
    Usual("LRN missing", WRONG, "The paper normalises after the first two convolutions (section 3.5).", lacks("lrn")),
    Usual("LRN added", WRONG, "The table has none here.", has("lrn")),
    Usual("LRN with k = {}", WRONG, "The paper prints k = 2 (section 3.3); torch's and Caffe's default is 1.", value("lrn", "k")),
    Usual("LRN with alpha divided by n", VARIANT, "torch, Caffe and cuda-convnet2 do; the printed formula doesn't.", m.lrn_alpha_over_n),
    Usual("LRN with {} = {} instead of {}", WRONG, "The paper prints its constants (section 3.3).", m.lrn_constant),
    # AlexNet and VGG.
    Usual("ungrouped AlexNet", VARIANT, "One tower: conv2, conv4 and conv5 see all maps.", f.ungrouped),
    Usual("224 without padding", WRONG, "54x54 maps where the paper has 55x55: it takes 227, or padding 2.", f.unpadded),
    Usual("1x1 convolutions with padding {}", WRONG, "It frames the maps with their biases, and they grow.", f.padded_1x1),
    # Stem, head, activations, dropout.
    Usual("3x3 stem", WRONG, "The paper's first convolution is 7x7.", f.small_stem),
    Usual("stem with stride {} instead of {}", WRONG, "All maps change their size.", f.stem_stride),
    Usual("max-pooling after the stem missing", WRONG, "All maps are twice as large.", f.stem_pool),
    Usual("softmax inside the network", VARIANT, "The paper prints one, but a cross-entropy loss has its own.", m.softmax),
    Usual("{} classes instead of {}", VARIANT, "The output layer is for other data than the paper's.", m.classes),
    Usual("average pooling of a part, not global", WRONG, "The output layer sees several values of each map.", f.local_pooling),
    Usual("no global average pooling", WRONG, "The output layer sees every pixel of each map.", lacks("avgpool")),
    Usual("hidden layers of {} units instead of {}", WRONG, "The paper's fully connected layers are larger or smaller.", m.hidden_units),
    Usual("extra fully connected layer", WRONG, "The table doesn't have it.", has("linear")),
    Usual("fully connected layer missing", WRONG, "The table has it.", lacks("linear")),
    Usual("{} on the scores", WRONG, "Negative scores are lost.", m.activated_scores),
    Usual("{} instead of {}", WRONG, "Another activation than the paper's.", other(*ACTIVATIONS)),
    Usual("{} instead of {}", WRONG, "Another pooling than the paper's.", other(*POOLS)),
    Usual("ReLU after the addition missing", WRONG, "The paper adds, then applies ReLU (section 3.2).", m.relu_after_addition_missing),
    Usual("ReLU before the addition", WRONG, "The body of a block ends in BN (section 3.2).", m.relu_before_addition),
    Usual("activation missing", WRONG, "Two linear operations in a row are one.", lacks(*ACTIVATIONS)),
    Usual("activation added", WRONG, "The paper has none here.", has(*ACTIVATIONS)),
    Usual("dropout {} instead of {}", WRONG, "The papers drop outputs of fc6 and fc7, alexnet-owt inputs.", m.dropout_moved),
    Usual("dropout missing", WRONG, "The paper has it in the first two fully connected layers.", lacks("dropout")),
    Usual("dropout added", WRONG, "The paper has none here.", has("dropout")),
    Usual("dropout with p = {} instead of {}", WRONG, "The paper prints the ratio.", values("dropout", "p")),
    Usual("dropout in evaluation mode", WRONG, "Its outputs are random in a test too.", flag("always")),
    # Single changes.
    Usual("one layer used twice", WRONG, "The same weights in two places: the paper's layers have their own.", flag("shared")),
    Usual("weights that aren't trained", WRONG, "The paper trains them.", flag("frozen")),
    Usual("conv bias missing", WRONG, "The paper's convolutions have biases.", bias(True)),
    Usual("conv bias added", WRONG, "The paper's convolution has none.", bias(False)),
    Usual("convolution missing", WRONG, "The table has it.", lacks("conv")),
    Usual("convolution added", WRONG, "The table doesn't have it.", has("conv")),
    Usual("{} missing", WRONG, "The table has it.", lacks()),
    Usual("{} added", WRONG, "The table doesn't have it.", has()),
    Usual("{} with {} instead of {}", WRONG, "The table, or a size that it prints, says otherwise.", m.any_change),
)  # fmt: skip
