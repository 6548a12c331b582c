"""The commands about other people's code, which runs in a process of its own: torch isn't imported here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from repro import printing
from repro.auditing.outside import TIMEOUT, ask
from repro.checking import Drift
from repro.cli_json import Json, print_json
from repro.errors import ReproError, TargetError
from repro.layers import size
from repro.model_lock import LockedModel, locked_input, locked_name
from repro.tables import load_ledger


def read_input(text: str | None) -> list[int] | None:
    """``3x224x224``. Raises ReproError."""
    if text is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){2}", text):
        raise ReproError(f"--input {text!r} is no input; expected channels x height x width, such as 3x32x32")
    return [int(side) for side in text.split("x")]


Target = Annotated[str, typer.Argument(metavar="TARGET", help="MODULE:NAME, FILE.py:NAME, or a call such as 'FILE.py:Net(3, wide=True)'.")]
Input = Annotated[str | None, typer.Option(metavar="CxHxW", help="The model's input; by default one that it takes.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds until the model's process is ended.")]

_AUDIT_EPILOG = """Examples: `repro audit torchvision.models:resnet50` · `repro audit models/resnet.py:resnet20 --as resnet20` ·
`repro audit 'model.py:ResNet(Bottleneck, [3, 4, 6, 3], num_classes=1000)' --json`

Exit code 0: exact or a named variant; 1: wrong, or no paper's network; 2: bad input, or it can't be built or traced."""
_CONVERT_EPILOG = """Examples: `repro convert torchvision.models:vgg16 vgg16.pth --as vgg-d vgg-d.safetensors` · `repro convert
'model.py:ResNet(3)' best.pt --as resnet20 resnet20.safetensors`

Exit code 0: written; 2: bad input, or the checkpoint or the model doesn't fit."""


def add_commands(app: typer.Typer) -> None:
    """Adds ``audit`` and ``convert`` to the command."""
    app.command(epilog=_AUDIT_EPILOG)(audit)
    app.command(epilog=_CONVERT_EPILOG)(convert)


def audit(
    target: Target,
    network: Annotated[
        str | None, typer.Option("--as", metavar="NETWORK", help="Compare with this network; by default the nearest.")
    ] = None,
    input: Input = None,
    proof: Annotated[bool, typer.Option("--proof/--no-proof", help="Run both networks on the same weights where they are equal.")] = True,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Hold anybody's PyTorch model against the paper: what differs, what it costs, and a proof where nothing does."""
    if network is not None:
        load_ledger().network(network)  # a name that nobody has is known before torch is
    try:
        found = ask("audit", target, timeout, as_=network, input=read_input(input), proof=proof)
    except TargetError as error:
        if not as_json:
            raise
        found = _failed(target, network, str(error))
    if as_json:
        print_json(found)
    else:
        printing.print_audit(found)
    raise typer.Exit({"exact": 0, "same-structure": 0, "variant": 0, "error": 2}.get(found["verdict"], 1))


def convert(
    target: Target,
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A checkpoint of the target: .pt, .pth or .safetensors.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, .safetensors.")],
    network: Annotated[str, typer.Option("--as", metavar="NETWORK", help="The network of the ledger that takes the weights.")],
    input: Input = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Carry a checkpoint of anybody's model into the ledger's network of the same structure."""
    load_ledger().network(network)
    if out.suffix != ".safetensors":
        raise ReproError(f"{out}: weights are written as .safetensors; give OUT that ending")
    if out.resolve() == weights.resolve():
        raise ReproError(f"{out}: OUT is the checkpoint itself; give another name")
    if not weights.is_file():
        raise ReproError(f"{weights}: no such file; give the checkpoint of {target}")
    found = ask("convert", target, timeout, weights=str(weights.resolve()), out=str(out.resolve()), as_=network, input=read_input(input))
    if as_json:
        print_json(found)
    else:
        print(f"{out}: {found['tensors']} tensors, {found['params']:,d} parameters of {network}, from {weights.name}")
        for note in found["notes"]:
            print(f"note: {note}")
        built = f'repro.building.build(repro.load_ledger().network("{network}"))'
        print(f'load it: {built}.load_state_dict(safetensors.torch.load_file("{out}"))')


def lock_target(target: str, file: Path, input: str | None, timeout: float, *, write: bool, as_json: bool) -> int:
    """``repro lock --model``: compares with or writes the lock, prints, and gives the exit code."""
    if file.suffix != ".json":
        raise ReproError(f"{file}: a lock is a .json file; give --file another name")
    relock = f"repro lock --model {shlex.quote(target)} --write" + (f" --file {file}" if file.name != "repro.lock.json" else "")
    asked = read_input(input) or locked_input(file)
    answer = ask("lock", target, timeout, input=list(asked) if asked else None)
    found = LockedModel.from_json(answer)
    if write:
        owner = locked_name(file)
        if owner not in (None, found.name):
            raise ReproError(f"{file} is the lock of {owner}; give {found.name} another with --file, or remove it")
        written = [found.name] if found.write(file) else []
        if as_json:
            print_json({"written": written, "drifts": []})
        else:
            _print_lock(found, answer["notes"], f"{file} rewritten" if written else f"{file} says so already")
        return 0
    message = found.drift(file, relock)
    drifts = [Drift(found.name, "lock", None, None, message, file.name, relock, file.name)] if message else []
    if as_json:
        print_json({"written": [], "drifts": [drift.to_json() for drift in drifts]})
    else:
        _print_lock(found, answer["notes"], message.removeprefix(f"{found.name}: ") if message else f"as locked in {file}")
    return 1 if drifts else 0


def _print_lock(found: LockedModel, notes: list[str], text: str) -> None:
    macs, params = (sum(getattr(layer, name) for layer in found.layers) for name in ("macs", "params"))
    print(f"{found.name}: {text}")
    print(f"{len(found.layers)} layers on {size(found.input)}, {params:,d} parameters, {macs:,d} MACs")
    for note in notes:
        print(f"note: {note}")


def _failed(target: str, network: str | None, error: str) -> dict[str, Any]:
    """The document of an audit that couldn't be made."""
    nothing = dict.fromkeys(("params", "macs", "paper_params", "paper_macs", "proof"))
    return {"target": target, "network": network, "verdict": "error"} | nothing | {
        "error": error, "near": None, "differences": [], "notes": [], "input": None,
    }  # fmt: skip
