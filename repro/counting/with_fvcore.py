"""fvcore's counts, as a second opinion by other people's code: convolution and linear, on real tensors."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from repro.layers import Shape


def count_macs_with_fvcore(module: nn.Module, shape: Shape) -> int:
    """MACs of convolution and linear layers for one input of ``shape`` (without the batch).

    fvcore calls a fused multiply-add one flop, so its flops of these two operators are MACs. Its ``total()``
    isn't: it adds batch normalisation and some pooling. fvcore needs real tensors, so the network runs once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore traces with torch.jit, which torch calls deprecated
        from fvcore.nn import FlopCountAnalysis

        with torch.no_grad():
            analysis = FlopCountAnalysis(module.eval(), torch.zeros(1, *shape))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            by_operator = analysis.by_operator()
    return int(by_operator["conv"] + by_operator["linear"])
