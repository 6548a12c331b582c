"""Audits one after the other, each in a process of its own: ``python -m bench.audit_loop 1 vgg-d=torchvision.models:vgg16 ...``.

The first word says whether with proof. Prints the seconds and the peak memory of the largest process in GB.
"""

from __future__ import annotations

import resource
import sys
import time

from repro.auditing.outside import ask


def main(proof: str, *pairs: str) -> None:
    """Each pair is a network and the target that is held against it."""
    start = time.perf_counter()
    for pair in pairs:
        network, _, target = pair.partition("=")
        found = ask("audit", target, as_=network, input=None, proof=bool(int(proof)))
        assert found["verdict"] in ("exact", "same-structure", "variant", "wrong"), found
    seconds = time.perf_counter() - start
    print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    main(*sys.argv[1:])
