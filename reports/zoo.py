"""What libraries call AlexNet, VGG and ResNet, held against the papers: ``python -m reports.zoo`` writes ``reports/audits/``.

Each model is audited in a process of its own, with random weights, and nothing is downloaded. That takes minutes. The page is
:mod:`reports.pages.audits`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from repro.auditing.outside import ask
from repro.files import write_atomically

FOLDER = Path(__file__).resolve().parent / "audits"
#: A library's name of a model, the network that it is held against.
_RESNETS = {"resnet18": "resnet18-b", "resnet34": "resnet34-b", "resnet50": "resnet50", "resnet101": "resnet101", "resnet152": "resnet152"}
_V15 = {"resnet50": "resnet50-v1.5", "resnet101": "resnet101-v1.5", "resnet152": "resnet152-v1.5"}
_VGGS = {"vgg11": "vgg-a", "vgg13": "vgg-b", "vgg16": "vgg-d", "vgg19": "vgg-e"}
_CIFAR = {"resnet20_cifar10": "resnet20", "resnet56_cifar10": "resnet56", "resnet110_cifar10": "resnet110"}


def _calls(call: str, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((call.format(name), network) for name, network in names.items())


@dataclass(frozen=True)
class Library:
    """A package, the module that makes its models, and (call, network that the model is held against)."""

    name: str
    module: str
    models: tuple[tuple[str, str], ...]


LIBRARIES = (
    Library(
        "torchvision",
        "torchvision.models",
        (
            *_calls("{}()", {"alexnet": "alexnet"} | _VGGS),
            *_calls("{}_bn()", _VGGS),
            *_calls("{}()", _RESNETS),
            *_calls("{}()", {"alexnet": "alexnet-owt"} | _V15),
        ),
    ),
    Library(
        "timm",
        "timm",
        (
            *_calls("create_model('{}')", _VGGS),
            *_calls("create_model('{}', drop_rate=0.5)", _VGGS),
            *_calls("create_model('{}_bn', drop_rate=0.5)", _VGGS),
            *_calls("create_model('{}')", _RESNETS),
            *_calls("create_model('{}')", _V15),
        ),
    ),
    Library(
        "pytorchcv",
        "pytorchcv.model_provider",
        (
            *_calls("get_model('{}')", {"alexnet": "alexnet", "alexnetb": "alexnet"} | _VGGS),
            *_calls("get_model('bn_{}')", _VGGS),
            *_calls("get_model('bn_{}b')", _VGGS),
            *_calls("get_model('{}')", _RESNETS | _CIFAR),
            *_calls("get_model('{}b')", _V15),
        ),
    ),
)


def audit_library(library: Library) -> dict[str, Any]:
    """The documents of its models' audits. Raises PackageNotFoundError where it isn't installed."""
    found = {"library": library.name, "version": version(library.name)}
    return found | {
        "audits": [ask("audit", f"{library.module}:{call}", as_=network, input=None, proof=True) for call, network in library.models]
    }


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
