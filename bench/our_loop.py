"""Our training loop on the images of ``plain_loop.py``: ``python -m bench.our_loop ITERATIONS DEVICE`` prints images a second.

The rate is the median of the log intervals, without the first one, which holds the compiler's time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import torch

from bench.plain_loop import RandomImages
from repro.data import Dataset, Split
from repro.experiment import find_network
from repro.machine import COMPILED_FROM_PIXELS, fast_settings
from repro.recipe import paper_recipe
from repro.training import Run, train


def images_per_second(iterations: int, device: str) -> float:
    """The rate of the settings that a long run on this machine gets."""
    pixels = torch.from_numpy(RandomImages(5_000).pixels)
    split = Split(pixels, torch.arange(len(pixels)) % 10)
    few = Split(pixels[:10], split.labels[:10])
    data = Dataset("noise", split, few, None, 10, "", mirror=True, pad=4)
    run = Run(find_network("resnet20"), 0, paper_recipe(20, iterations), data, fast_settings(device, COMPILED_FROM_PIXELS))
    with tempfile.TemporaryDirectory() as folder:
        return statistics.median(train(run, Path(folder) / "run.pt").rate.images_per_second)


if __name__ == "__main__":
    print(images_per_second(int(sys.argv[1]), sys.argv[2]))
