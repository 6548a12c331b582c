"""The figures: drawn from the data that they name, fresh as long as those are the same, legible in both themes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from reports import charts
from reports.drawing import THEMES
from reports.judged import Judged
from reports.pages.scale import scale_charts
from reports.plotted import timing_charts
from reports.render import draw_figure, is_fresh, render_reports, stale_reports, write_reports
from reports.taught import load_course
from reports.trained import charts_of
from repro import Ledger
from repro.records import load_records
from repro.throughput.timing import load_sessions

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path, ledger: Ledger) -> Path:
    """A copy of the figures, and pages made for it."""
    shutil.copytree(ROOT / "reports" / "figures", tmp_path / "reports" / "figures")
    write_reports(ledger, tmp_path)
    return tmp_path


def figure(folder: Path, stem: str = charts.MACS) -> Path:
    return folder / "reports" / "figures" / f"{stem}-dark.svg"


def test_bars_sum_to_the_networks(ledger: Ledger) -> None:
    judged = Judged.of(ledger)
    for row in charts.data_of_parameters(judged):
        assert sum(row["parts"].values()) == row["params"], row["label"]
    drawn = charts.data_of_layers(judged)
    assert [row["label"] for row in drawn] == list(charts.DRAWN_BY_LAYER)
    for row in drawn:
        for field in ("params", "macs"):
            assert sum(layer[field] for part in row["rows"] for layer in part["layers"]) == row[field]


def test_every_network_is_drawn_and_equal_ones_once(ledger: Ledger) -> None:
    for data in (charts.data_of_parameters(Judged.of(ledger)), charts.data_of_macs(Judged.of(ledger))):
        labels = [row["label"] for row in data]
        assert sorted(", ".join(labels).split(", ")) == sorted(ledger.networks)
        assert "plain20, resnet20" in labels


def test_drawing_twice_gives_the_same_bytes(ledger: Ledger) -> None:
    for chart in charts.all_charts(Judged.of(ledger)):
        for theme in charts.THEMES:
            assert draw_figure(chart, theme) == draw_figure(chart, theme)


def test_a_changed_datum_makes_a_figure_stale(ledger: Ledger, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [{**row, "macs": row["macs"] + 1} if row["label"] == "alexnet" else row for row in charts.data_of_macs(Judged.of(ledger))]
    monkeypatch.setattr(charts, "data_of_macs", lambda judged: changed)
    stale = [line for line in stale_reports(ledger, checkout) if "figures" in line]
    expected = [f"reports/figures/{charts.MACS}-{theme}.svg: drawn from other data, or edited by hand" for theme in charts.THEMES]
    assert stale == expected


def test_an_edited_figure_is_stale_and_drawn_again(ledger: Ledger, checkout: Path) -> None:
    path, good = figure(checkout), figure(checkout).read_bytes()
    path.write_bytes(good.replace(THEMES["dark"].blue.encode(), b"#ff0000", 1))
    assert stale_reports(ledger, checkout) == [f"reports/figures/{path.name}: drawn from other data, or edited by hand"]
    assert write_reports(ledger, checkout) == [path]
    chart = next(chart for chart in charts.all_charts(Judged.of(ledger)) if chart.stem == charts.MACS)
    assert is_fresh(path.read_text(encoding="utf-8"), chart.digest("dark"))
    assert not is_fresh(path.read_text(encoding="utf-8"), chart.digest("light"))


def test_another_version_of_matplotlib_draws_nothing_again(ledger: Ledger, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.drawing.draw_chart", lambda chart, theme, description: f"<svg>{description} other bytes</svg>\n")
    assert stale_reports(ledger, checkout) == []
    figure(checkout).unlink()
    assert stale_reports(ledger, checkout) == [f"reports/figures/{figure(checkout).name}: missing"]
    assert write_reports(ledger, checkout) == [figure(checkout)]
    monkeypatch.undo()
    assert write_reports(ledger, checkout) == [], "what the other version drew is as good"


def test_figures_are_small_and_transparent_and_need_no_fonts(ledger: Ledger) -> None:
    drawn = {path: content for path, content in render_reports(ledger, ROOT).items() if path.suffix == ".svg"}
    records = load_records(ROOT / "reports" / "records")
    known = (*charts.all_charts(Judged.of(ledger)), *charts_of(records), *scale_charts(Judged.of(ledger, records)))
    known = (*known, *load_course(ROOT / "reports" / "lecture", records, ledger).charts())
    known = (*known, *timing_charts(load_sessions(ROOT / "reports" / "records"), ledger))
    assert len(drawn) == len(charts.THEMES) * len(known) > 0
    for path, content in drawn.items():
        assert len(content.encode()) < 150_000, path
        assert "<text" not in content, path
        assert "#ffffff" not in content, path


@pytest.mark.parametrize(("theme", "background"), [("light", "#ffffff"), ("dark", "#0d1117")])
def test_colours_stand_out_from_the_background(theme: str, background: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours.ink, background) >= 7
    for colour in (colours.faint, colours.blue, colours.orange, colours.green, colours.pink):
        assert contrast(colour, background) >= 3, colour


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2.1, 1 to 21."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_pictures_have_both_themes_and_words(ledger: Ledger) -> None:
    embedded = re.findall("<picture>.*?</picture>", "".join(render_reports(ledger, ROOT).values()), flags=re.DOTALL)
    assert len(embedded) >= 4
    for picture in embedded:
        assert 'media="(prefers-color-scheme: dark)" srcset=' in picture
        (alt,) = re.findall('alt="([^"]*)"', picture)
        assert len(alt) > 80
        assert re.search("[0-9]", alt), "says what there is to see, with numbers"
