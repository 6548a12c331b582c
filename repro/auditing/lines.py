"""An audit as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from repro.layers import size

_SAID = {
    "exact": "exact: the computation of {network}",
    "same-structure": "same-structure: the operations of {network}, not proven",
    "variant": "variant of {network}: every difference is a known one",
    "wrong": "wrong: not {network}",
    "not-paper": "not-paper: no network of the papers; held against {network}",
    "error": "error: {error}",
}
HEADS = ("where", "paper", "here", "called", "parameters", "MACs")
#: Of the operations; the differences of two networks that have less in common tell nothing.
_LITTLE = 0.3
#: What is left out of a long list of differences; all are in --json.
_SHOWN = 40


def audit_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """All that is said of an audit, without a terminal to fit it to."""
    yield headline(found)
    if rows := difference_rows(found):
        from tabulate import tabulate  # would be a fifth of `import repro`

        yield tabulate(rows, HEADS, "plain", colalign=("left",) * 4 + ("right",) * 2, disable_numparse=True)
    yield from last_lines(found)


def headline(found: Mapping[str, Any]) -> str:
    """The target and its verdict, of the document of ``repro audit --json``."""
    near = f" ({100 * found['near']:.1f} % of its operations are equal)" if found.get("near") not in (None, 1) else ""
    return f"{found['target']}: {_SAID[found['verdict']].format(**found)}{near}"


def last_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What follows the differences: what their names mean, or totals; notes; proof."""
    if not found["differences"] and found["params"] is not None:
        yield f"{found['params']:,d} parameters, {found['macs']:,d} MACs on {size(found['input'])}, as {found['network']} has"
    if found["differences"] and found["near"] < _LITTLE:
        yield f"little in common: --json lists {len(found['differences'])} differences"
        return
    for name, row in {row["name"]: row for row in found["differences"] if row["why"]}.items():
        yield f"{name} ({row['makes']}): {row['why']}"
    for note in found["notes"]:
        yield f"note: {note}"
    if found["proof"]:
        yield f"proof: {found['proof']}"


def difference_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """HEADS: from the paper's totals over what each difference adds to the candidate's; nothing where the two have little in common."""
    rows = _merged(found["differences"])
    if not rows or found["near"] < _LITTLE:
        return []
    shown: list[tuple[str, ...]] = [("", f"{found['network']}", "", "", f"{found['paper_params']:,d}", f"{found['paper_macs']:,d}")]
    shown += [(*row[:4], _delta(row[4]), _delta(row[5])) for row in rows[:_SHOWN]]
    if rest := rows[_SHOWN:]:
        params, macs = (sum(row[column] for row in rest) for column in (4, 5))
        shown.append(("...", f"{len(rest)} more", "", "--json lists them", _delta(params), _delta(macs)))
    return [*shown, ("sum", "", f"on {size(found['input'])}", "", f"{found['params']:,d}", f"{found['macs']:,d}")]


def _merged(differences: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Equal differences of several layers as one row, in the order of the first."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in differences:
        text = (
            _cut(row["expected"] or "nothing"),
            _cut(row["found"] or "nothing"),
            row["name"] or "(no usual name)",
        )
        groups.setdefault(text, []).append(row)
    merged = []
    for text, rows in groups.items():
        where = rows[0]["where"] if len(rows) == 1 else f"{rows[0]['where']} and {len(rows) - 1} more"
        merged.append((where, *text, sum(row["params_delta"] for row in rows), sum(row["macs_delta"] for row in rows)))
    return merged


def _cut(text: str) -> str:
    return textwrap.shorten(text, 70, placeholder=" ...")


def _delta(value: int) -> str:
    return f"{value:+,d}" if value else ""
