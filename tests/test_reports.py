"""The reports: complete, counted, escaped, legible, the same bytes each time, and what is committed is fresh."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from reports import wording
from reports.judged import Judged
from reports.markdown import anchor, code, text
from reports.pages.conventions import ASKED, write_conventions
from reports.render import BEGIN, END, README, render_reports, stale_reports, write_reports
from repro import Ledger, load_ledger
from repro.claims import VERDICTS
from repro.cli import app
from repro.conventions import solve
from repro.errors import ReproError
from repro.tables.ledger import PAPERS

ROOT = Path(__file__).resolve().parent.parent
INDEX = Path("reports/README.md")


@functools.cache
def rendered() -> dict[Path, str]:
    return render_reports(load_ledger(), ROOT)


def page(name: str) -> str:
    return rendered()[Path("reports") / name]


def pages() -> dict[Path, str]:
    """Generated pages, and of the project's README what is generated of it."""
    found = {path: content for path, content in rendered().items() if path.suffix == ".md"}
    found[README] = found[README].partition(BEGIN)[2].partition(END)[0]
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is generated, to be spoilt."""
    shutil.copytree(ROOT / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(ROOT / README, tmp_path / README)
    write_reports(load_ledger(), tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def tables(content: str) -> Iterator[tuple[list[list[str]], str]]:
    """Each table as GitHub splits it, and the first line that follows it."""
    for block in re.finditer(r"(?:^\|.*\n)+\n*(.*)", content, flags=re.MULTILINE):
        lines = [line for line in block[0].splitlines() if line.startswith("|")]
        yield [cells(line) for line in lines], block[1]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.findall(r"((?:\\.|[^\\|])*)\|", line)[1:]]


# ---------------------------------------------------------------- what is committed


def test_the_committed_reports_are_fresh(ledger: Ledger) -> None:
    assert "\n".join(stale_reports(ledger, ROOT)) == "", "run `repro report` and commit what it writes"


def test_a_check_needs_neither_torch_nor_matplotlib() -> None:
    check = "from pathlib import Path; import repro, reports.render; reports.render.stale_reports(repro.load_ledger(), Path.cwd())"
    statement = f"import sys; {check}; print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


def test_other_hash_seeds_give_the_same_bytes(tmp_path: Path) -> None:
    write = (
        "import sys; from pathlib import Path; import repro, reports.render as r; r.write_reports(repro.load_ledger(), Path(sys.argv[1]))"
    )
    written = []
    for seed in ("1", "2"):
        target = tmp_path / seed
        command = [sys.executable, "-c", write, str(target)]
        subprocess.run(command, cwd=ROOT, check=True, env={"PYTHONHASHSEED": seed, "MPLCONFIGDIR": str(tmp_path), "PATH": ""})
        written.append({path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    assert len(written[0]) == len(render_reports(load_ledger(), tmp_path)), "all files; there is no README of the project"


def test_no_dates_and_no_paths_of_a_machine() -> None:
    for path, content in rendered().items():
        if path != README:
            assert not re.search(r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]|<dc:date>|Matplotlib v", content), path
            assert str(ROOT) not in content, path


# ---------------------------------------------------------------- completeness


def test_every_network_has_a_page(ledger: Ledger) -> None:
    written = {path.stem for path in rendered() if path.parent.name == "networks"}
    assert written == set(ledger.networks)


def test_every_claim_is_on_the_page_of_its_network(ledger: Ledger) -> None:
    for claim in ledger.claims:
        assert f"| `{claim.id}` |" in page(f"networks/{claim.network}.md")


def test_every_claim_that_needs_training_is_on_its_page(ledger: Ledger) -> None:
    printed = Counter(cell for rows, _ in tables(page("training.md")) for row in rows[2:] for cell in row if cell.startswith("`"))
    assert printed == Counter(f"`{claim.printed}`" for claim in ledger.claims if claim.training)


def test_every_file_is_listed_in_the_index() -> None:
    listed = {Path(os.path.normpath(Path("reports") / target)) for target in re.findall(r"\]\(([^)#]+)\)", page("README.md"))}
    assert set(rendered()) - listed == {INDEX, README}


def test_every_deviation_is_in_the_errata_with_its_arithmetic(ledger: Ledger) -> None:
    judged = Judged.of(ledger)
    deviations = judged.where(lambda judgement: judgement.verdict == "deviates")
    assert page("errata.md").count("\n## ") == len(deviations) > 0
    for judgement in deviations:
        section = page("errata.md").partition(f"\n## {judgement.claim.id}\n")[2].partition("\n## ")[0]
        assert wording.measured(judgement) in section, judgement.claim.id
        assert f"Why: {text(judgement.reason or '')}\n" in section
        assert f"`repro explain {judgement.claim.id}`, `repro check {judgement.claim.network}`" in section


def test_links_and_pictures_lead_somewhere() -> None:
    for path, content in pages().items():
        targets = re.findall(r"\]\(([^)]+)\)", content) + re.findall(r'src(?:set)?="([^"]+)"', content)
        for target in targets:
            name, _, fragment = target.partition("#")
            found = Path(*path.parts[:-1], name) if name else path
            found = Path(str((ROOT / found).resolve().relative_to(ROOT)))
            assert found in rendered() or (ROOT / found).exists(), f"{path}: {target}"
            if fragment:
                headings = re.findall("^#+ (.*)$", rendered()[found], flags=re.MULTILINE)
                assert fragment in map(anchor, headings), f"{path}: {target}"


def test_each_table_has_its_command_under_it() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for path, content in pages().items():
        for rows, after in tables(content):
            commands = re.findall("`repro ([a-z]+)[^`]*`", after)
            if path == INDEX and rows[0][0] == "page":
                continue  # names the pages and holds no number
            assert after.startswith(("<sub>Remake: ", "<sub>다시 만들기: ")), f"{path}: {rows[0]}"
            assert commands
            assert set(commands) <= set(known), after


# ---------------------------------------------------------------- numbers


def test_verdicts_are_counted(ledger: Ledger) -> None:
    judged = Judged.of(ledger)
    counts = Counter(judgement.verdict for judgement in judged.judgements)
    summary = next(rows for rows, _ in tables(page("README.md")))
    assert summary[0][1] == "claims"
    assert [int(cell) for cell in summary[-1][1:]] == [len(ledger.claims), *(counts[verdict] for verdict in VERDICTS)]
    assert [sum(int(row[column]) for row in summary[2:-1]) for column in range(1, 6)] == [int(cell) for cell in summary[-1][1:]]
    results = pages()[README]
    assert (
        f"Of {len(ledger.claims)} printed numbers about {len(ledger.networks)} networks, {counts['reproduced']} are reproduced" in results
    )


@pytest.mark.parametrize("name", load_ledger().networks)
def test_the_layers_of_a_page_sum_to_its_totals(ledger: Ledger, name: str) -> None:
    network = ledger.network(name)
    layers = next(rows for rows, _ in tables(page(f"networks/{name}.md")) if rows[0][1] == "layer")
    assert layers[-1][-2:] == [f"**{network.params:,d}**", f"**{network.macs:,d}**"]
    for column, total in ((-2, network.params), (-1, network.macs)):
        counted = [int(part.replace(",", "")) for row in layers[2:-1] for part in re.split(r"\s\+\s", row[column]) if part]
        assert sum(counted) == total
    assert [code(item) for row in range(len(network.table.rows)) for item in network.cell(row).split("; ")] == [
        part for row in layers[2:-1] for part in row[0].split("<br>") if part.startswith("`")
    ]


def test_deep_networks_fold_equal_blocks() -> None:
    folded = page("networks/resnet1202.md")
    assert "| `conv2_2` to `conv2_200` | the same again, 199 times |" in folded
    assert len(folded.splitlines()) < 100
    assert max(len(content.splitlines()) for path, content in rendered().items() if path.parent.name == "networks") < 160


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("parameters.md", "| 138,357,544 | `138` million | 137.5 to 138.5 million | reproduced | S14 Table 2, D |"),
        ("parameters.md", "| 60,000 | `60,000` | exactly 60,000 | reproduced | L98 Section II.B |"),
        ("parameters.md", "| C3 | `convolution 5x5, 16@10x10, Table I` | 1,516 | `1,516` | 151,600 | `151,600` |"),
        ("parameters.md", "| conv3 | 885,120 | 1.452 % | `no more than 1%` | [**deviates**](errata.md#alexnetconv3params_share) |"),
        ("parameters.md", "[resnet152-v1.5](networks/resnet152-v1.5.md) | 60,192,808 | not printed |"),
        ("macs.md", "| 7,570,194,432 | 15,140,388,864 | `7.6x10^9` | (7.55 to 7.65)x10^9 | reproduced |"),
        ("macs.md", "| `3.8x10^9` | (3.75 to 3.85)x10^9 | 3,857,973,248 | no | 4,089,184,256 | no | 6.0 % |"),
        ("macs.md", "| OUTPUT | `Euclidean RBF, 10` | 840 | 0 |"),
        ("macs.md", "| **all** | | 326,520 | 325,680 |"),
        ("errata.md", "| `401` thousand | 400.5 to 401.5 thousand | 326,520 MACs | -18.57 % |"),
        ("training.md", "| `28.07` | `9.33` | 8,790 PFLOP |"),
    ],
)
def test_numbers_that_could_be_wrong(name: str, row: str) -> None:
    assert row in page(name).replace("\N{NO-BREAK SPACE}", " ")


# ---------------------------------------------------------------- escaping


def test_every_row_has_as_many_cells_as_its_table() -> None:
    for path, content in pages().items():
        for rows, _ in tables(content):
            assert len({len(row) for row in rows}) == 1, f"{path}: {rows[0]}"


def test_a_hostile_paper_is_escaped(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    paper = "\n".join(blocks).replace('where = "Abstract"', 'where = "Abstract | <script>*x*"').replace("A Tiny Network", "A <b>Tiny</b> |")
    (tmp_path / "tiny.toml").write_text(paper, encoding="utf-8")
    files = render_reports(load_ledger(tmp_path), tmp_path)
    own = files[Path("reports/networks/tinynet.md")]
    assert r"T99 Abstract \| &lt;script&gt;\*x\* |" in own
    for path, content in files.items():
        assert path.suffix == ".svg" or not re.search("<script|<b>", content), path
        assert all(len({len(row) for row in rows}) == 1 for rows, _ in tables(content)), path


# ---------------------------------------------------------------- writing and checking


def test_a_changed_digit_is_a_diff_and_nothing_is_written(ledger: Ledger, checkout: Path) -> None:
    spoilt = checkout / "reports" / "parameters.md"
    spoilt.write_text(spoilt.read_text(encoding="utf-8").replace("138,357,544", "138,357,545", 1), encoding="utf-8")
    before = snapshot(checkout)
    (stale,) = stale_reports(ledger, checkout)
    assert stale.startswith("--- a/reports/parameters.md\n+++ b/reports/parameters.md\n@@ ")
    assert re.findall(r"^[-+]\|.*(138,357,54\d)", stale, flags=re.MULTILINE) == ["138,357,545", "138,357,544"]
    assert snapshot(checkout) == before


def test_only_what_changed_is_written(ledger: Ledger, checkout: Path) -> None:
    assert write_reports(ledger, checkout) == []
    (checkout / "reports" / "macs.md").unlink()
    before = snapshot(checkout)
    assert write_reports(ledger, checkout) == [checkout / "reports" / "macs.md"]
    after = snapshot(checkout)
    assert {path for path in after if after[path] != before.get(path)} == {checkout / "reports" / "macs.md"}


def test_pages_of_networks_that_are_gone_are_deleted(ledger: Ledger, checkout: Path) -> None:
    gone, own = checkout / "reports/networks/vgg-z.md", checkout / "reports/networks/notes.md"
    shutil.copy(checkout / "reports/networks/vgg-d.md", gone)
    own.write_text("written by hand\n", encoding="utf-8")
    assert stale_reports(ledger, checkout) == ["reports/networks/vgg-z.md: belongs to nothing any more; `repro report` deletes it"]
    assert gone.exists()
    assert write_reports(ledger, checkout) == [gone]
    assert own.exists()
    assert not gone.exists()


def test_the_readme_keeps_what_is_around_its_results(ledger: Ledger, checkout: Path) -> None:
    readme = checkout / README
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert write_reports(ledger, checkout) == [readme]
    written = readme.read_text(encoding="utf-8")
    assert written.startswith(f"before\n{BEGIN}\n\nOf ")
    assert written.endswith(f"\n\n{END}\nafter\n")
    assert "old" not in written.splitlines()


@pytest.mark.parametrize("content", [None, "no marks here\n"])
def test_a_readme_without_marks_is_left_alone(ledger: Ledger, checkout: Path, content: str | None) -> None:
    if content is None:
        (checkout / README).unlink()
    else:
        (checkout / README).write_text(content, encoding="utf-8")
    assert write_reports(ledger, checkout) == []


@pytest.mark.parametrize("content", [BEGIN, END, f"{END}\n{BEGIN}\n"])
def test_one_mark_alone_is_an_error(ledger: Ledger, checkout: Path, content: str) -> None:
    (checkout / README).write_text(content, encoding="utf-8")
    with pytest.raises(ReproError, match="write both, or neither"):
        render_reports(ledger, checkout)


# ---------------------------------------------------------------- conventions


def asked_rows() -> dict[tuple[str, str], list[str]]:
    """The first table of conventions.md: (network, number) -> its cells."""
    rows, _ = next(tables(page("conventions.md")))
    return {(row[0].partition("]")[0].removeprefix("["), row[1].strip("`")): row for row in rows[2:]}


def bridges() -> dict[str, list[list[str]]]:
    """The second table: number -> [adds, total, what] of each line."""
    found: dict[str, list[list[str]]] = {}
    for number, *line in list(tables(page("conventions.md")))[1][0][2:]:
        found.setdefault(number.strip("`") or list(found)[-1], []).append(line)
    return found


def integer(cell: str) -> int:
    return int(cell.strip("*").replace(",", "") or "0")


def test_the_numbers_of_public_threads_are_listed_and_attested() -> None:
    rows = asked_rows()
    assert list(rows) == [(network, value) for network, values in ASKED.items() for value in values]
    assert len(rows) == 15
    assert not [asked for asked, row in rows.items() if "nobody" in row[2]], "each of these is counted so by somebody"


@pytest.mark.parametrize(
    ("network", "value", "who", "total", "unit"),
    [
        ("resnet50", "3.8", "He et al. 2015", 3_857_973_248, "MACs"),
        ("resnet50", "4.09", "torchvision", 4_089_184_256, "MACs"),
        ("resnet50", "4.11", "fvcore 0.1.5", 4_111_512_576, "operations"),
        ("resnet50", "4.13", "thop 0.1", 4_133_742_592, "operations"),
        ("resnet50", "4.14", "thop 0.0.23 to 0.0.31 (2019)", 4_135_789_592, "operations"),
        ("resnet50", "8.2", "torch's FlopCounterMode", 8_178_368_512, "FLOPs"),
        ("vgg-d", "30.9", "ThiNet", 30_940_528_640, "FLOPs"),
        ("vgg-e", "19.6", "He et al. 2015", 19_632_062_464, "MACs"),
        ("alexnet", "0.71", "torchvision", 714_188_480, "MACs"),
        ("alexnet", "1.14", "dansuh17/alexnet-pytorch", 1_135_256_096, "MACs"),
    ],
)
def test_who_counts_so_and_exactly_what(network: str, value: str, who: str, total: int, unit: str) -> None:
    row = asked_rows()[network, value]
    assert who in row[2]
    assert (integer(row[4]), row[5]) == (total, unit)


def test_other_conventions_are_those_of_solve(ledger: Ledger) -> None:
    for (network, value), row in asked_rows().items():
        found = solve(ledger, network, value).found
        assert [integer(cell) for cell in row[6:]] == [len(found) - 1, sum(solution.attested is not None for solution in found) - 1]


def test_bridges_add_up_to_the_numbers() -> None:
    found = bridges()
    assert list(found) == ["4.09", "4.11", "4.13", "4.14", "8.2"]
    for value, lines in found.items():
        reached = integer(lines[0][1])
        assert reached == 3_857_973_248
        for adds, total, _ in lines[1:]:
            reached += integer(adds)
            assert integer(total) == reached, value
        assert f"**{reached:,d}**" == lines[-1][1]
        assert reached == integer(asked_rows()["resnet50", value][4])
    assert [line[0] for line in found["4.14"]] == ["", "+231,211,008", "+2,047,000", "+44,455,936", "+102,400"]


def test_tools_count_one_network_otherwise(ledger: Ledger) -> None:
    rows, after = list(tables(page("conventions.md")))[2]
    totals = {row[0]: integer(row[2]) for row in rows[2:]}
    assert totals["torchinfo 1.8, total mult-adds"] == 4_089_238_376
    assert totals["ptflops 0.6, and its README"] == 4_121_925_096
    assert totals["ptflops 0.7, pytorch backend, which meets ReLU and pooling as modules and as functions"] == 4_132_436_968
    assert totals["calflops 0.3, FLOPs"] == 8_211_108_352
    assert len(totals) == 11
    assert sorted(totals.values()) == list(totals.values())
    for tool, total in totals.items():
        attested = [solution.attested for solution in solve(ledger, "resnet50-v1.5", str(total)).found if solution.attested]
        assert [text(who) for who in attested] == [tool], "`repro solve` names the same"
    assert f"`repro solve resnet50-v1.5 {list(totals.values())[-1]}`" in after


def test_a_ledger_without_these_networks_has_the_page_too(tmp_path: Path) -> None:
    shutil.copy(PAPERS / "lenet5.toml", tmp_path)
    bare = write_conventions(Judged.of(load_ledger(tmp_path)))
    assert "\n## " not in bare
    assert "None.\n" in bare


def test_coincidences_and_numbers_that_nothing_gives_are_marked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.pages.conventions.ASKED", {"resnet50": ("4.15", "1")})
    coincidence, nothing = next(tables(write_conventions(Judged.of(ledger))))[0][2:]
    assert coincidence[2] == "nobody known: a coincidence"
    assert nothing[2:] == ["nobody: no convention gives it", "", "", "", "0", "0"]
