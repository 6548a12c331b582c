"""Runs a module as a process that is timed: ``python -P bench/launch.py MODULE BYTES``, where BYTES is what it may hold.

What a process must do before it imports anything is done here, and not between fork and exec: where a signal comes in between, Python
ignores it, and somebody's Ctrl-C is lost.
"""

from __future__ import annotations

import gc
import resource
import runpy
import sys
from pathlib import Path

#: How readily the system ends a process where memory runs out.
SCORE = Path("/proc/self/oom_score_adj")


def prepare_process(most: int) -> None:
    """Too much memory is an error in this process and not the end of another; and if the system must end one, let it be this. What is
    imported and compiled stays: to look through it for garbage takes a fifth of the time of both."""
    gc.disable()
    limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if SCORE.exists():
        SCORE.write_text("1000")


if __name__ == "__main__":
    prepare_process(int(sys.argv[2]))
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
