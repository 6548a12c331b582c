"""All papers together: names, places and readings; and files with random damage, which are read or refused but never crash."""

from __future__ import annotations

import random
import re
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import Ledger, load_ledger
from repro.claims import judge_claim
from repro.errors import TableError, UnknownName
from repro.tables.ledger import PAPERS, claim_id
from repro.tables.reading import read_paper_file
from repro.tables.schema import PaperFile

FILES = ("lenet5.toml", "alexnet.toml", "vgg.toml", "resnet.toml")


@pytest.mark.parametrize(
    ("name", "row", "place"),
    [
        ("resnet50", 3, 'H15 Table 1, row conv3_x, column 50-layer: "[1x1, 128; 3x3, 128; 1x1, 512] x4"'),
        ("resnet20", 4, 'H15 Section 4.2, row 5: "global average pool; 10-way fc; softmax"'),
        ("vgg-c", 4, 'S14 Table 1, row conv3_x, column C: "conv3-256; conv3-256; conv1-256"'),
        ("alexnet", 3, 'K12 Section 3.5, row conv2: "256 kernels of size 5x5x48"'),
    ],
)
def test_a_row_has_its_place_in_the_paper(ledger: Ledger, name: str, row: int, place: str) -> None:
    assert ledger.network(name).place(row) == place


def test_every_layer_comes_from_a_printed_row(ledger: Ledger) -> None:
    for name in ledger.networks:
        network = ledger.network(name)
        assert len(network.rows) == len(network.layers)
        assert list(network.rows) == sorted(network.rows)
        assert set(network.rows) == set(range(len(network.table.rows)))
        assert len({layer.name for layer in network.layers}) == len(network.layers)


def test_every_network_but_the_invented_one_has_a_claim(ledger: Ledger) -> None:
    assert set(ledger.networks) - {claim.network for claim in ledger.claims} == {
        "lenet5-modern", "resnet18-b", "resnet50-v1.5", "resnet101-v1.5", "resnet152-v1.5",
        "plain20", "plain32", "plain44", "plain56", "plain110",
    }  # fmt: skip


def test_every_network_says_how_it_was_read(ledger: Ledger) -> None:
    assert [name for name in ledger.networks if not ledger.network(name).readings] == []
    assert [reading.about for reading in ledger.network("vgg-c").readings] == [
        "padding of the 1x1 convolutions",
        "the soft-max row",
        "names of layers",
    ]


def test_a_network_is_expanded_once_and_a_variant_leaves_it_alone(ledger: Ledger) -> None:
    network = ledger.network("resnet50")
    assert ledger.variant("resnet50", stride_on="3x3").layers == ledger.network("resnet50-v1.5").layers
    assert ledger.network("resnet50") is network
    assert network.macs == 3_857_973_248


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet-50", "did you mean resnet50"),
        ("VGG-D", "did you mean vgg-d"),
        ("VGG16", "did you mean vgg-d?"),
        ("qqq", "see `repro list`"),
    ],
)
def test_an_unknown_network_names_the_nearest(ledger: Ledger, name: str, hint: str) -> None:
    with pytest.raises(UnknownName) as caught:
        ledger.network(name)
    assert str(caught.value).startswith(f"unknown network {name!r}; {hint}")


def test_an_unknown_claim_names_the_nearest(ledger: Ledger) -> None:
    with pytest.raises(UnknownName, match=r"unknown claim 'alexnet/param'; did you mean alexnet/params"):
        ledger.claim("alexnet/param")
    with pytest.raises(UnknownName, match=r"unknown claim 'qqq'; see `repro list claims`"):
        ledger.claim("qqq")


def test_a_deviation_needs_a_measurement(edited: Callable[..., Path]) -> None:
    folder = edited(
        "vgg.toml",
        ("[training.imagenet]", '[[deviations]]\nclaim = "vgg-d/top-1-val-error/table-5/dense"\nreason = "hm"\n\n[training.imagenet]'),
    )
    with pytest.raises(TableError, match="expected no deviation for a claim that nobody has measured; remove the deviation"):
        load_ledger(folder)


def test_an_unknown_row_names_those_that_there_are(ledger: Ledger) -> None:
    with pytest.raises(UnknownName, match=r"unknown row 'c9'; did you mean C5, C3, C1\?"):
        ledger.network("lenet5").layers_of("c9")
    with pytest.raises(UnknownName, match=r"unknown row 'x+\.\.\.'; there is C1, S2, C3, S4, C5, F6, OUTPUT$"):
        ledger.network("lenet5").layers_of("x" * 100_000)


def test_ids_of_claims_need_no_quoting(ledger: Ledger) -> None:
    assert [claim.id for claim in ledger.claims if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*", claim.id)] == []
    assert claim_id("vgg-c", None, "top-1 val error", "table-3", "train [256;512], test 384") == (
        "vgg-c/top-1-val-error/table-3/train-256-512-test-384"
    )
    assert claim_id("alexnet", None, "top-5 test error", "table-2", "7 CNNs*").endswith("/table-2/7-cnns-star")


# ---------------------------------------------------------------- damaged files

TEXTS = {name: (PAPERS / name).read_text(encoding="utf-8") for name in FILES}
WHOLE: dict[str, PaperFile] = {name: read_paper_file(PAPERS / name) for name in FILES}
NUMBERS = ["0", "1", "-1", "2", "7", "999", "1000", "1001", "99999", "100000", "100001", "9" * 20, "1.5", "1e9", "nan", "inf", "0x10"]
WORDS = [*NUMBERS, "true", "[]", "{}", '"A"', "[[claims]]", "[networks]", "\0", "\n", '"', "=", "#", "\\", "\ud800", "\u2028", "n"]
DAMAGES = ["letter", "out", "in", "delete", "double", "swap", "row", "row", *["number"] * 4, *["string"] * 3]


def damaged(text: str, dice: random.Random) -> str:
    """The text with one thing changed: a letter, a word, a line, a row, a number or a string."""
    lines = text.split("\n")
    line, place = dice.randrange(len(lines)), dice.randrange(len(text))
    match dice.choice(DAMAGES):
        case "letter":
            return text[:place] + chr(dice.randrange(128)) + text[place + 1 :]
        case "out":
            return text[:place] + text[place + dice.randrange(1, 20) :]
        case "in":
            return text[:place] + dice.choice(WORDS) + text[place:]
        case "delete":
            del lines[line]
        case "double":
            lines.insert(line, lines[line])
        case "swap":
            lines[line - 1], lines[line] = lines[line], lines[line - 1]
        case "row":
            rows = [number for number, row in enumerate(lines) if row.startswith("  {")] or [line]
            lines.insert(dice.choice(rows), lines.pop(dice.choice(rows)))
        case "number":
            return replaced(text, r"[0-9]+", NUMBERS, dice)
        case "string":
            return replaced(text, r'"[^"\n]*"', re.findall(r'"[^"\n]*"', text), dice)
    return "\n".join(lines)


def replaced(text: str, pattern: str, others: list[str], dice: random.Random) -> str:
    """The text with one match of the pattern replaced by one of the others."""
    start, end = dice.choice([match.span() for match in re.finditer(pattern, text)] or [(0, 0)])
    return text[:start] + dice.choice(others or [""]) + text[end:]


def outcome(path: Path) -> str:
    """What becomes of one file beside the others as they are: "" where it is read and judged, or the complaint."""
    try:
        ledger = Ledger(WHOLE | {path.name: read_paper_file(path)})
        for name in ledger.networks:
            ledger.network(name)
        for claim in ledger.claims:
            judge_claim(ledger, claim).to_json()
    except TableError as error:
        return str(error)
    return ""


def damage_files(folder: Path, seed: int, number: int) -> tuple[int, int]:
    """Damages files, one after the other, in one to three places. Returns how many were read, and how many refused."""
    dice = random.Random(seed)
    refused = 0
    for case in range(number):
        name = dice.choice(FILES)
        text = TEXTS[name]
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            text = damaged(text, dice)
        content = text.encode("utf-8", "surrogatepass")
        if dice.random() < 0.05:
            content = content.replace(b"a", b"\xe1", 1)
        (folder / name).write_bytes(content)
        started = time.perf_counter()
        message = outcome(folder / name)
        where = f"seed {seed}, case {case}: {folder / name}: {message}"
        assert time.perf_counter() - started < 20, where
        assert "\n" not in message, where
        assert len(message) < 1_000, where
        assert not message or message.startswith(tuple(f"{file}: " for file in FILES)), where
        assert not message or "expected " in message, where
        refused += message != ""
    return number - refused, refused


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    read, refused = damage_files(tmp_path, seed, 60)
    assert read > 5
    assert refused > 20


def peak_memory() -> int:
    """The most memory that this process ever had, in bytes; other tests have had a share in it."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_ten_thousand_damaged_files_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    before = peak_memory()
    read, refused = damage_files(tmp_path, seed, 1_000)
    assert min(read, refused) > 100
    assert peak_memory() - before < 2**30, "no file may take a GiB"


def test_damage_changes_the_file_more_often_than_not() -> None:
    dice = random.Random(0)
    for name, text in TEXTS.items():
        changed = [damaged(text, dice) for _ in range(100)]
        assert sum(other != text for other in changed) > 80, name
        assert sum(_is_toml(other) for other in changed) > 20, name


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True
