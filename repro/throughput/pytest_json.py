"""What ``pytest bench --benchmark-json FILE`` writes, as a session: the raw rounds of each benchmark that says what it timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from repro.errors import ReproError
from repro.records import first_fault
from repro.throughput.timing import Session

#: Where a benchmark's ``extra_info`` holds its configuration, and where the run's ``machine_info`` holds the session without its rows.
CONFIGURATION, SESSION = "configuration", "repro"

_EXPECTED = "expected what `pytest bench/test_throughput.py --benchmark-json FILE` writes"


def read_pytest_json(path: Path) -> Session | None:
    """The session of a file of pytest-benchmark, or None where it's no such file.

    Raises ReproError where no benchmark of it says what it timed, or where its numbers make no sense.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ReproError(
            f"{path}: it isn't JSON: {error}; give a file that `repro bench` or `pytest bench --benchmark-json` wrote"
        ) from None
    if not isinstance(content, dict) or "benchmarks" not in content:
        return None
    try:
        rows = [_row(benchmark) for benchmark in content["benchmarks"] if CONFIGURATION in benchmark.get("extra_info", {})]
        if not rows:
            raise ReproError(f"{path}: no benchmark says what it timed; {_EXPECTED}")
        session = Session.model_validate(content["machine_info"][SESSION] | {"source": "pytest-benchmark", "rows": rows})
    except ValidationError as error:
        raise ReproError(f"{path}: {first_fault(error)}; {_EXPECTED}") from None
    except KeyError as error:
        raise ReproError(f"{path}: {error} is missing; {_EXPECTED}") from None
    except (AttributeError, TypeError):
        raise ReproError(f"{path}: it hasn't the form of pytest-benchmark's JSON; {_EXPECTED}") from None
    devices = sorted({row.configuration.device for row in session.rows})
    if devices != [session.device]:
        raise ReproError(
            f"{path}: benchmarks on {' and '.join(devices)}, and a session is of one device; run pytest again with `-k {devices[0]}`"
        )
    return session


def _row(benchmark: dict[str, Any]) -> dict[str, Any]:
    stats, info = benchmark["stats"], benchmark["extra_info"]
    return {
        "configuration": info[CONFIGURATION],
        "outcome": "timed",
        "seconds": stats["data"],
        "calls": stats["iterations"],
        "warm_up": info["warm_up"],
        "first_call": info["first_call"],
        "peak_memory": info["peak_memory"],
    }
