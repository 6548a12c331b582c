"""The solver against the integers of the tools, the numbers of papers and threads, and what no convention gives."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest

from repro.conventions import Convention, Solution, Solutions, Step, solution_lines, solve
from repro.conventions.attested import ATTESTATIONS
from repro.conventions.choices import CHOICES, COUNTED, NUMERALS, QUESTIONS, STRUCTURE
from repro.conventions.counts import Counts
from repro.errors import UnknownName
from repro.tables import Ledger, load_ledger

LEDGER = load_ledger()


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return LEDGER


def departing(solutions: Solutions, *departures: str) -> Solution:
    """The solution with just these departures."""
    (found,) = [solution for solution in solutions.found if solution.departures == departures]
    return found


# ---------------------------------------------------------------- the tools' integers

TOOLS = (
    "torch's FlopCounterMode, on torchvision's network", "fvcore 0.1.5", "ptflops 0.7, pytorch", "ptflops 0.7, aten", "ptflops 0.6",
    "torchinfo 1.8", "thop 0.0.23", "thop 0.0.31 (May 2020)", "thop 0.1", "calflops 0.3",
)  # fmt: skip

#: Each tool on torchvision's networks, batch 1, 224x224, evaluation mode; the columns are TOOLS. thop 0.0.23 adds in float32.
MEASURED = {
    ("resnet18", "resnet18-b"): (
        3_628_146_688, 1_819_065_856, 1_825_313_768, 1_814_074_344, 1_822_177_768,
        1_814_083_944, 1_824_544_768, 1_819_066_368, 1_824_033_792, 3_636_250_112,
    ),
    ("resnet34", "resnet34-b"): (
        7_327_522_816, 3_671_262_720, 3_680_019_432, 3_663_762_408, 3_675_629_032,
        3_663_779_432, 3_679_250_432, 3_671_263_232, 3_678_739_456, 7_339_389_440,
    ),
    ("resnet50", "resnet50-v1.5"): (
        8_178_368_512, 4_111_512_576, 4_132_436_968, 4_089_185_256, 4_121_925_096,
        4_089_238_376, 4_135_789_568, 4_111_514_624, 4_133_742_592, 8_211_108_352,
    ),
    ("resnet101", "resnet101-v1.5"): (
        15_602_810_880, 7_833_969_664, 7_865_129_960, 7_801_406_440, 7_849_500_136,
        7_801_511_784, 7_868_482_560, 7_833_971_712, 7_866_435_584, 15_650_904_576,
    ),
    ("resnet152", "resnet152-v1.5"): (
        23_027_253_248, 11_558_835_200, 11_602_639_848, 11_513_627_624, 11_580_687_848,
        11_513_779_048, 11_605_992_448, 11_558_837_248, 11_603_945_472, 23_094_313_472,
    ),
    ("alexnet", "alexnet-owt"): (
        1_428_376_960, 714_197_696, 716_441_128, 714_682_664, 715_561_896,
        714_682_664, 773_304_640, 714_691_904, 714_206_912, 1_429_741_184,
    ),
    ("vgg-a",): (
        15_218_180_096, 7_609_115_136, 7_643_686_888, 7_616_525_288, 7_630_106_088,
        7_616_525_288, 7_740_190_720, 7_616_566_272, 7_609_140_224, 15_239_186_944,
    ),
    ("vgg-b",): (
        22_616_932_352, 11_308_491_264, 11_357_513_704, 11_320_718_312, 11_339_116_008,
        11_320_718_312, 11_444_383_744, 11_320_759_296, 11_308_516_352, 22_647_572_992,
    ),
    ("vgg-d",): (
        30_940_528_640, 15_470_289_408, 15_523_225_576, 15_483_821_032, 15_503_523_304,
        15_483_821_032, 15_607_486_464, 15_483_862_016, 15_470_314_496, 30_973_778_432,
    ),
    ("vgg-e",): (
        39_264_124_928, 19_632_087_552, 19_688_937_448, 19_646_923_752, 19_667_930_600,
        19_646_923_752, 19_770_589_184, 19_646_964_736, 19_632_112_640, 39_299_983_872,
    ),
}  # fmt: skip


def convention_of(tool: str) -> Convention:
    (convention,) = [one.convention for one in ATTESTATIONS if f"{one.name}, {one.where}".startswith(tool)]
    return convention


@pytest.mark.parametrize("names", MEASURED, ids=lambda names: names[0])
def test_each_tool_is_taken_apart_to_the_last_digit(ledger: Ledger, names: tuple[str, ...]) -> None:
    for name in names:
        counts = Counts(ledger, name)
        totals = {tool: counts.total(counts.settle(convention_of(tool))) for tool in TOOLS}
        totals["thop 0.0.23"] = int(struct.unpack("f", struct.pack("f", totals["thop 0.0.23"]))[0])
        assert totals == dict(zip(TOOLS, MEASURED[names], strict=True))


def test_every_attested_tool_is_held_against_its_integers() -> None:
    tools = ATTESTATIONS[[one.name for one in ATTESTATIONS].index("torchvision") + 1 :]
    assert {one.convention for one in tools} == {convention_of(tool) for tool in TOOLS}


@pytest.mark.parametrize(
    ("name", "changes", "total"),
    [
        ("resnet50", Convention(shortcut="A"), 3_498_311_680),
        ("resnet50", Convention(shortcut="A", stride_on="3x3"), 3_729_522_688),
        ("resnet50", Convention(stride_on="3x3", input="227"), 4_628_849_408),  # FlopCounterMode / 2 on torchvision's, as the next
        ("vgg-d", Convention(input="227"), 15_572_245_696),
        ("vgg-d", Convention(fc="none"), 15_346_630_656),
        ("resnet34", Convention(shortcut="C"), 3_830_747_136),
        ("resnet34", Convention(shortcut="B"), 3_663_761_408),
        ("resnet1202", Convention(shortcut="B"), 2_829_501_056),
        ("alexnet", Convention(groups="none"), 1_135_256_096),
        ("alexnet", Convention(network="alexnet-owt"), 714_188_480),
        ("alexnet", Convention(input="unpadded"), 643_026_048),
        ("alexnet-owt", Convention(network="alexnet"), 724_406_816),
        ("lenet5", Convention(rbf="none"), 325_680),
        ("lenet5", Convention(network="lenet5-modern"), 416_520),
        ("lenet5", Convention(bias="all", pooling="subsampling"), 340_908),
        ("resnet50", Convention(stride_on="3x3", unit="FLOP"), 8_178_368_512),
    ],
)
def test_variants_of_the_networks(ledger: Ledger, name: str, changes: Convention, total: int) -> None:
    assert Counts(ledger, name).total(changes) == total


# ---------------------------------------------------------------- numbers of papers, tools and threads


@pytest.mark.parametrize(
    ("name", "value", "total", "source"),
    [
        ("resnet50", "3.8", 3_857_973_248, "He et al. 2015, Table 1"),
        ("resnet50", "3.86", 3_857_973_248, "CNN-Workload, total"),
        ("resnet50", "3.86", 3_855_925_248, "CNN-Workload, conv"),
        ("resnet50", "3.9", 3_857_973_248, "Sze et al. 2017"),
        ("resnet50", "4.09", 4_089_184_256, "torchvision"),
        ("resnet50", "4.09e9", 4_089_238_376, "torchinfo"),
        ("resnet50", "4.11", 4_111_512_576, "fvcore"),
        ("resnet50", "4.12", 4_121_925_096, "ptflops 0.6"),
        ("resnet50", "4.13", 4_132_436_968, "ptflops 0.7"),
        ("resnet50", "4.13", 4_133_742_592, "thop 0.1"),
        ("resnet50", "4.14e9", 4_135_789_592, "thop 0.0.23"),
        ("resnet50", "8.2", 8_178_368_512, "FlopCounterMode"),
        ("resnet50", "8.21", 8_211_108_352, "calflops"),
        ("resnet50-v1.5", "4.09", 4_089_184_256, "torchvision"),
        ("resnet50-v1.5", "3.8", 3_857_973_248, "He et al. 2015, Table 1"),
        ("resnet34", "3.6", 3_644_493_824, "He et al. 2015, Table 1"),
        ("resnet34-b", "3.6", 3_644_493_824, "He et al. 2015, Table 1"),
        ("resnet101", "7.6e9", 7_570_194_432, "He et al. 2015, Table 1"),
        ("resnet152", "11.3", 11_282_415_616, "Sze et al. 2017"),
        ("resnet20", "40.81M", 40_813_184, "chenyaofo"),
        ("vgg-d", "15.3B", 15_346_630_656, "He et al. 2015, section 4.1"),
        ("vgg-d", "15.5", 15_470_264_320, "torchvision"),
        ("vgg-d", "15.61", 15_607_486_488, "thop 0.0.23"),
        ("vgg-d", "30.9", 30_940_528_640, "ThiNet"),
        ("vgg-d", "30,940,528,640", 30_940_528_640, "FlopCounterMode"),
        ("vgg-e", "19.6", 19_632_062_464, "He et al. 2015, section 3.3"),
        ("alexnet", "0.71", 714_188_480, "torchvision"),
        ("alexnet", "0.72", 724_406_816, "Sze et al. 2017"),
        ("alexnet", "724M", 724_406_816, "Sze et al. 2017"),
        ("alexnet", "0.77", 773_304_664, "thop 0.0.23"),
        ("alexnet", "1.14", 1_135_256_096, "dansuh17"),
        ("alexnet-owt", "0.72", 724_406_816, "Sze et al. 2017"),
        ("lenet5", "340,908", 340_908, "LeCun et al. 1998"),
    ],
)
def test_attested_numbers(ledger: Ledger, name: str, value: str, total: int, source: str) -> None:
    found = [solution for solution in solve(ledger, name, value).found if source in (solution.attested or "")]
    assert [solution.total for solution in found] == [total]
    assert found[0].mark == "attested"


def test_3_8_is_the_v1_count_cut_off_and_by_coincidence_the_v1_5_count_in_2_to_the_30(ledger: Ledger) -> None:
    solutions = solve(ledger, "resnet50", "3.8e9")
    first = solutions.found[0]
    assert (first.departures, first.total, first.prints) == (("cut off, not rounded",), 3_857_973_248, "3.8 x 10^9")
    assert first.attested == "He et al. 2015, Table 1: 3.8 for 3.858"
    other = departing(solutions, "stride on the 3x3 (v1.5)", "divided by 2^30, not 10^9")
    assert (other.mark, other.attested, other.total, other.prints) == ("coincidence", None, 4_089_184_256, "3.8 x 2^30")


def test_he_et_al_cut_off_one_number_only(ledger: Ledger) -> None:
    cut_off = departing(solve(ledger, "resnet50", "3.85"), "cut off, not rounded")
    assert (cut_off.total, cut_off.mark) == (3_857_973_248, "coincidence")
    assert solve(ledger, "resnet101", "7.5").found[0].mark == "coincidence"


def test_the_bridge_from_the_paper_to_4_11(ledger: Ledger) -> None:
    (fvcore,) = [solution for solution in solve(ledger, "resnet50", "4.11").found if "fvcore" in (solution.attested or "")]
    assert fvcore.bridge == (
        Step("resnet50: MACs of conv and FC layers", 3_857_973_248, 3_857_973_248),
        Step("stride on the 3x3 (v1.5)", 231_211_008, 4_089_184_256),
        Step("BN, 2 per element", 22_227_968, 4_111_412_224),
        Step("average pooling, 1 per input", 100_352, 4_111_512_576),
    )


def test_flops_are_two_for_a_mac_and_one_for_any_other_operation(ledger: Ledger) -> None:
    (calflops,) = [solution for solution in solve(ledger, "resnet50", "8.21").found if "calflops" in (solution.attested or "")]
    assert calflops.bridge[-1] == Step("FLOPs: 2 for each MAC", 4_089_184_256, 8_211_108_352)
    assert calflops.unit == "FLOPs"


QUESTIONS_ASKED = [
    ("resnet50", "3.8"), ("resnet50", "4"), ("resnet50", "4.14e9"), ("resnet50", "8.2"), ("resnet152", "11"), ("resnet18", "1.82"),
    ("vgg-d", "15.5"), ("vgg-d", "30.9"), ("vgg-c", "12"), ("alexnet", "0.71"), ("alexnet", "1"), ("alexnet", "727M"), ("lenet5", "341k"),
    ("lenet5-modern", "0.42M"), ("plain34", "3.6"), ("resnet20", "0.041"), ("resnet50", "4,089,184,256"), ("resnet50", "4100000000"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), QUESTIONS_ASKED)
def test_every_bridge_starts_at_the_ledger_adds_up_and_ends_in_the_typed_number(ledger: Ledger, name: str, value: str) -> None:
    solutions = solve(ledger, name, value)
    assert solutions.found
    for solution in solutions.found:
        assert solution.bridge[0].total == ledger.network(name).macs
        assert sum(step.delta for step in solution.bridge) == solution.bridge[-1].total == solution.total
        assert all(step.delta for step in solution.bridge)
        written = solutions.value.write(int(solutions.value.number)).split()[0]
        assert solution.prints.split()[0] == written
        assert len(solution.departures) == len(solution.convention.departures)


@pytest.mark.parametrize(("name", "value"), QUESTIONS_ASKED)
def test_fewest_departures_first_and_none_without_need(ledger: Ledger, name: str, value: str) -> None:
    found = solve(ledger, name, value).found
    ranks = [(len(solution.departures), solution.attested is None) for solution in found]
    assert ranks == sorted(ranks)
    assert len({solution.convention for solution in found}) == len(found)
    sets = [set(solution.convention.departures.items()) for solution in found]
    for solution, departures in zip(found, sets, strict=True):
        assert solution.attested or not any(other < departures for other in sets)


def test_what_changes_nothing_is_no_departure(ledger: Ledger) -> None:
    vgg, alexnet, plain = Counts(ledger, "vgg-d"), Counts(ledger, "alexnet"), Counts(ledger, "plain34")
    assert [vgg.options(question) for question in ("stride_on", "shortcut", "batchnorm", "groups", "network")] == [("",)] * 5
    assert alexnet.options("input") == ("", "unpadded")  # 227 without padding gives the maps of 224 with padding 2
    assert plain.options("shortcut") == plain.options("stride_on") == ("",)
    assert Counts(ledger, "resnet20").options("pooling") == ("", "average", "average in and out", "all twice")
    assert vgg.settle(Convention(stride_on="3x3", batchnorm="2", fc="none")) == Convention(fc="none")


def test_needless_combinations_are_counted(ledger: Ledger) -> None:
    solutions = solve(ledger, "vgg-d", "15.3")
    assert [solution.departures for solution in solutions.found] == [("without the FC layers",)]
    assert solutions.needless == 47


# ---------------------------------------------------------------- what nothing explains


def test_lenets_401_thousand_is_explained_by_nothing(ledger: Ledger) -> None:
    solutions = solve(ledger, "lenet5", "401k")
    assert solutions.found == ()
    assert solutions.below is not None
    assert solutions.above is not None
    assert (solutions.below.total, solutions.above.total) == (342_688, 416_520)
    text = list(solution_lines(solutions))
    assert text[0].startswith("lenet5 401k: no convention gives it.")
    assert any("lenet5-modern" in line for line in text)


@pytest.mark.parametrize(("value", "below", "above"), [("900", True, False), ("0.1", False, True), ("5.55", True, True)])
def test_the_nearest_are_named(ledger: Ledger, value: str, below: bool, above: bool) -> None:
    solutions = solve(ledger, "resnet50", value)
    assert not solutions.found
    assert (solutions.below is not None, solutions.above is not None) == (below, above)
    low, high = solutions.value.interval().low, solutions.value.interval().high
    assert solutions.below is None or solutions.below.total < low
    assert solutions.above is None or solutions.above.total >= high


# ---------------------------------------------------------------- the table, the output, no torch


def test_an_unknown_network_is_named(ledger: Ledger) -> None:
    with pytest.raises(UnknownName, match="resnet50"):
        solve(ledger, "resnet5O", "4.1")


def test_choices_are_complete_and_attestations_use_them(ledger: Ledger) -> None:
    assert tuple(CHOICES) == QUESTIONS == (*STRUCTURE, *COUNTED, "unit", *NUMERALS)
    for attestation in ATTESTATIONS:
        assert attestation.convention.departures.items() <= {(q, choice) for q, choices in CHOICES.items() for choice in choices}
        assert set(attestation.networks) <= set(ledger.networks)


@pytest.mark.parametrize("name", LEDGER.networks)
def test_the_ledgers_own_count_needs_no_departure(ledger: Ledger, name: str) -> None:
    first = solve(ledger, name, f"{ledger.network(name).macs:,d}").found[0]
    assert (first.departures, first.total, first.unit) == ((), ledger.network(name).macs, "MACs")
    assert (first.attested or "").startswith("repro show")


def test_lines_show_ten_and_every_attested_one(ledger: Ledger) -> None:
    text = list(solution_lines(solve(ledger, "resnet50", "3.8"), limit=3))
    assert sum(line.startswith(("attested", "coincidence")) for line in text) == 3
    assert "and 7 more, all coincidences: --json lists them" in text
    every = list(solution_lines(solve(ledger, "resnet50", "4.13"), limit=0))
    assert [line.split(":")[1].split(",")[0].strip() for line in every if line.startswith("attested")] == ["thop 0.1", "ptflops 0.7"]


def test_lines_hold_the_bridge(ledger: Ledger) -> None:
    text = "\n".join(solution_lines(solve(ledger, "resnet50", "4.14e9")))
    assert "resnet50 4.14e9: 6 conventions give it" in text
    assert "+231,211,008   4,089,184,256  stride on the 3x3 (v1.5)" in text
    assert "4.1358 x 10^9, written 4.14 x 10^9 operations" in text
    assert "max pooling, 1 per input" in "\n".join(solution_lines(solve(ledger, "alexnet", "725M")))


def test_json_is_plain_and_complete(ledger: Ledger) -> None:
    document = json.loads(json.dumps(solve(ledger, "resnet50", "3.8").to_json()))
    assert set(document) == {"network", "value", "low", "high", "solutions", "needless", "below", "above"}
    assert (document["low"], document["high"]) == (3.75e9, 3.85e9)
    first = document["solutions"][0]
    assert first["mark"] == "attested"
    assert first["convention"] == {"digits": "cut off"}
    assert first["bridge"] == [{"label": "resnet50: MACs of conv and FC layers", "delta": 3_857_973_248, "total": 3_857_973_248}]


def test_solving_loads_no_torch() -> None:
    code = "import sys, repro, repro.conventions as c; c.solve(repro.load_ledger(), 'resnet50', '4'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "False"
