"""The loop that most public CIFAR code has, as the reference for speed: eager, fp32, NCHW, images augmented one by one by PIL.

``python -m bench.plain_loop THREADS WORKERS ITERATIONS DEVICE`` trains ResNet-20 on images of CIFAR-10's size, batch 128, and
prints images a second. Run it for itself: what it does to a machine is part of what it measures.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from repro.building import build
from repro.tables import load_ledger

WARM_UP = 5


class RandomImages(Dataset[tuple[Tensor, int]]):
    """Images of noise, 32x32, in PIL's form, as torchvision's CIFAR10 gives them."""

    def __init__(self, n: int) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(transforms.functional.to_pil_image(self.pixels[index])), index % 10


def images_per_second(threads: int, workers: int, iterations: int, device: str) -> float:
    """The rate of so many iterations after a few that don't count."""
    torch.set_num_threads(threads)
    net = build(load_ledger().network("resnet20")).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    loss_of = nn.CrossEntropyLoss()
    data = RandomImages((WARM_UP + iterations) * 128)
    start = 0.0
    for iteration, (images, labels) in enumerate(DataLoader(data, batch_size=128, shuffle=True, num_workers=workers)):
        if iteration == WARM_UP:
            _wait(device)
            start = time.perf_counter()
        loss = loss_of(net(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _wait(device)
    return iterations * 128 / (time.perf_counter() - start)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.accelerator.synchronize()


if __name__ == "__main__":
    print(images_per_second(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
