"""The files of papers/ as frozen Paper, Network and Claim: read, checked, expanded.

``load_ledger()`` reads all files; ``ledger.network(name)`` expands one network's layers. Every error is a
TableError that names the file, the key, the value, what was expected and the cure.
"""

from __future__ import annotations

from repro.tables.ledger import Claim, Ledger, Network, Paper, load_ledger
from repro.tables.printed import Interval, interval

__all__ = ["Claim", "Interval", "Ledger", "Network", "Paper", "interval", "load_ledger"]
