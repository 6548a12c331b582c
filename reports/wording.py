"""Numbers, places and verdicts in words: the same everywhere in the reports."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from reports.markdown import anchor, code, link, text
from repro.claims import Judgement, significant, unit
from repro.tables import Claim, Network, Paper
from repro.tables.printed import SUFFIXES

MEANINGS = {
    "reproduced": "the count is one of the numbers that would be printed like this.",
    "deviates": "it is not, and the reason is known and stated.",
    "not-attempted": "it needs a training run, which nobody has started here; what that would cost is stated.",
    "drift": "anything else, for example a count that changed. A build with drift fails.",
}


def number(value: int | Fraction | None) -> str:
    """An integer in full, anything else with four significant digits."""
    if value is None:
        return ""
    return f"{value:,d}" if isinstance(value, int) else significant(value, 4)


def printed_cell(claim: Claim) -> str:
    """The cell as printed, and the scale that the table's head gives it."""
    return f"{code(claim.printed)} {claim.scale}".strip()


def noun(claim: Claim) -> str:
    """What one unit of the measured number is called: ``parameters``, ``%``; empty for a bare ratio."""
    word = unit(claim).removeprefix(claim.scale).strip()
    return "" if word == "ratio" else word


def measured(judgement: Judgement) -> str:
    """The measured number with its unit."""
    return f"{number(judgement.measured)} {noun(judgement.claim)}".strip()


def stands_for(judgement: Judgement) -> str:
    """The values that are printed like this, in the units of the print: ``132.5 to 133.5 million``, the upper end not included."""
    claim = judgement.claim
    low, high = claim.interval.low, claim.interval.high
    if isinstance(judgement.measured, int) and high - low == 1 and (low + high) / 2 == int((low + high) / 2):
        return f"exactly {int((low + high) / 2):,d}"
    suffix = _suffix(claim)
    low, high = low / SUFFIXES[suffix], high / SUFFIXES[suffix]
    if claim.interval.closed:
        return text(f"at most {_decimal(high)}{suffix}")
    if suffix.startswith("x"):
        return text(f"({_decimal(low)} to {_decimal(high)}){suffix}")
    first = "" if suffix.startswith(" ") else suffix
    return text(f"{_decimal(low)}{first} to {_decimal(high)}{suffix}")


def off_by(judgement: Judgement) -> str:
    """How far the measured number is from the printed one (of a bound: from the bound), in percent of it."""
    interval = judgement.claim.interval
    middle = interval.high if interval.closed else (interval.low + interval.high) / 2
    if judgement.measured is None or not middle:
        return ""
    return f"{float(100 * (judgement.measured / middle - 1)):+.2f} %"


def place(paper: Paper, where: str) -> str:
    """A place with the paper's key, unless the place has a key of its own or is no paper."""
    return text(where if re.match(r"[A-Z][0-9]{2}\b|public code", where) else f"{paper.entry.key} {where}")


def printed_in(network: Network) -> str:
    """Where a network's table is printed."""
    column = f", column {network.entry.column}" if network.entry.column else ""
    where = place(network.paper, network.table.where + column)
    return f"nowhere: public code's form of {where}" if network.entry.code_of and where.startswith(network.paper.entry.key) else where


def verdict(judgement: Judgement, root: str = "") -> str:
    """The verdict, with a link to the page that explains it; ``root`` leads from the page to ``reports/``."""
    word: str = judgement.verdict
    if word == "deviates":
        return link(f"**{word}**", f"{root}errata.md#{anchor(judgement.claim.id)}")
    if word == "not-attempted":
        return link(word, f"{root}training.md")
    return f"**{word}**" if word == "drift" else word


def network_link(name: str, root: str = "") -> str:
    """A network's name as a link to its page."""
    return link(name, f"{root}networks/{name}.md")


def several(count: int, word: str, plural: str = "") -> str:
    """``1 claim``, ``1,202 claims``."""
    return f"{count:,d} {word if count == 1 else plural or word + 's'}"


def rounded(value: float) -> str:
    """A measured number with three significant digits, or all before the point: ``0.00123``, ``12.3``, ``4,567``."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def joined(words: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _suffix(claim: Claim) -> str:
    """What stands behind the digits, as a key of SUFFIXES."""
    if claim.scale:
        return f" {claim.scale}"
    found = re.search(r"[0-9]([^0-9,.].*)?$", claim.printed.replace("\N{MULTIPLICATION SIGN}", "x"))
    return (found[1] or "") if found and (found[1] or "") in SUFFIXES else ""


def _decimal(value: Fraction) -> str:
    """An exact decimal: an interval's ends have one, since halves of powers of ten do."""
    shown = f"{Decimal(value.numerator) / Decimal(value.denominator):,f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
