"""What libraries call AlexNet, VGG and ResNet, held against the papers: ``python -m reports.zoo`` writes ``reports/audits/``.

Each model is audited in a process of its own, with random weights, and nothing is downloaded. The page is :mod:`reports.pages.audits`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from repro.auditing.outside import ask
from repro.files import write_atomically

FOLDER = Path(__file__).resolve().parent / "audits"
#: (a library's name of a model, the network that it is held against)
_RESNETS = (
    ("resnet18", "resnet18-b"),
    ("resnet34", "resnet34-b"),
    ("resnet50", "resnet50"),
    ("resnet101", "resnet101"),
    ("resnet152", "resnet152"),
)
_VGGS = (("vgg11", "vgg-a"), ("vgg13", "vgg-b"), ("vgg16", "vgg-d"), ("vgg19", "vgg-e"))
_VGGS_WITH_BN = tuple((f"{name}_bn", network) for name, network in _VGGS)


@dataclass(frozen=True)
class Library:
    """A package, how a model of it is made, and its models with the networks that they're held against."""

    name: str
    target: str
    models: tuple[tuple[str, str], ...]


LIBRARIES = (
    Library("torchvision", "torchvision.models:{}(weights=None)", (("alexnet", "alexnet"), *_VGGS, *_VGGS_WITH_BN, *_RESNETS)),
    Library("timm", "timm:create_model('{}', pretrained=False)", (*_VGGS, *_VGGS_WITH_BN, *_RESNETS)),
    Library(
        "pytorchcv",
        "pytorchcv.model_provider:get_model('{}', pretrained=False)",
        (
            ("alexnet", "alexnet"), ("alexnetb", "alexnet"), *_VGGS,
            *((f"bn_{name}", network) for name, network in _VGGS), *((f"bn_{name}b", network) for name, network in _VGGS), *_RESNETS,
            ("resnet50b", "resnet50"), ("resnet101b", "resnet101"), ("resnet152b", "resnet152"),
            ("resnet20_cifar10", "resnet20"), ("resnet56_cifar10", "resnet56"), ("resnet110_cifar10", "resnet110"),
        ),
    ),
)  # fmt: skip


def audit_library(library: Library) -> dict[str, Any]:
    """The documents of its models' audits, graphs only. Raises PackageNotFoundError where it isn't installed."""
    found = {"library": library.name, "version": version(library.name)}
    return found | {"audits": [_audited(library, model, network) for model, network in library.models]}


def _audited(library: Library, model: str, network: str) -> dict[str, Any]:
    return {"model": model} | ask("audit", library.target.format(model), as_=network, input=None, proof=False)


def load_audits(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """What was written, library by library."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def write_audits(names: Sequence[str], folder: Path = FOLDER) -> Iterator[str]:
    """Audits the libraries of these names, or all that are installed, and says how far it is."""
    for library in LIBRARIES:
        if names and library.name not in names:
            continue
        try:
            found = audit_library(library)
        except PackageNotFoundError:
            yield f"{library.name} isn't installed: `pip install {library.name}`"
            continue
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{library.name}.json", (json.dumps(found, indent=1) + "\n").encode())
        yield f"{library.name} {found['version']}: {len(found['audits'])} models"


if __name__ == "__main__":
    for line in write_audits(sys.argv[1:]):
        print(line)
