"""What libraries call AlexNet, VGG and ResNet, held against the papers: ``python -m reports.zoo`` writes ``reports/audits/``.

Each model is audited in a process of its own, with random weights, and nothing is downloaded. That takes a quarter of an hour. The page
is :mod:`reports.pages.audits`.
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
#: A library's name of a model -> the printed network, and the form of it that public code makes (a network of the ledger), if it's that.
_RESNETS = {
    "resnet18": ("resnet18", "resnet18-b"),
    "resnet34": ("resnet34-b", None),
    "resnet50": ("resnet50", None),
    "resnet101": ("resnet101", None),
    "resnet152": ("resnet152", None),
}
_V15 = {name: (network, form or f"{network}-v1.5" if network != "resnet34-b" else None) for name, (network, form) in _RESNETS.items()}
_VGGS = {"vgg11": ("vgg-a", None), "vgg13": ("vgg-b", None), "vgg16": ("vgg-d", None), "vgg19": ("vgg-e", None)}
_CIFAR = {f"{network}_cifar10": (network, None) for network in ("resnet20", "resnet56", "resnet110")}

Model = tuple[str, str, str | None]


def _calls(call: str, names: Mapping[str, tuple[str, str | None]]) -> tuple[Model, ...]:
    return tuple((call.format(name), *networks) for name, networks in names.items())


@dataclass(frozen=True)
class Library:
    """A package, the module that makes its models, and (call, printed network, public code's form of it) of each."""

    name: str
    module: str
    models: tuple[Model, ...]


LIBRARIES = (
    Library(
        "torchvision",
        "torchvision.models",
        (
            ("alexnet()", "alexnet", "alexnet-owt"),
            *_calls("{}()", _VGGS),
            *_calls("{}_bn()", _VGGS),
            *_calls("{}()", _V15),
        ),
    ),
    Library(
        "timm",
        "timm",
        (
            *_calls("create_model('{}')", _VGGS),
            *_calls("create_model('{}', drop_rate=0.5)", _VGGS),
            *_calls("create_model('{}_bn', drop_rate=0.5)", _VGGS),
            *_calls("create_model('{}')", _V15),
        ),
    ),
    Library(
        "pytorchcv",
        "pytorchcv.model_provider",
        (
            ("get_model('alexnet')", "alexnet", None),
            ("get_model('alexnetb')", "alexnet", "alexnet-owt"),
            *_calls("get_model('{}')", _VGGS),
            *_calls("get_model('bn_{}')", _VGGS),
            *_calls("get_model('bn_{}b')", _VGGS),
            *_calls("get_model('{}')", _RESNETS | _CIFAR),
            *_calls("get_model('{}b')", {name: _V15[name] for name in ("resnet50", "resnet101", "resnet152")}),
        ),
    ),
)


def audit_library(library: Library) -> dict[str, Any]:
    """The documents of its models' audits. Raises PackageNotFoundError where it isn't installed."""
    found = {"library": library.name, "version": version(library.name)}
    return found | {"audits": [_audited(f"{library.module}:{call}", network, form) for call, network, form in library.models]}


def _audited(target: str, network: str, form: str | None) -> dict[str, Any]:
    """The document of the audit against the printed network, and under "form" that against public code's form of it."""
    found = ask("audit", target, as_=network, input=None, proof=True)
    return found | {"form": ask("audit", target, as_=form, input=None, proof=True) if form else None}


def load_audits(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """What was written, library by library."""
    paths = (folder / f"{library.name}.json" for library in LIBRARIES)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


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
