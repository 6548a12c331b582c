"""The speed-up ladder: from eager float32 on, one change a step. ``bench`` times the steps, and the reports show them."""

from __future__ import annotations

from repro.throughput.timing import Configuration

#: The network whose steps are timed and shown.
CLIMBED = "resnet50"

_STEPS: tuple[tuple[str, dict[str, object]], ...] = (
    ("eager float32", {}),
    ("+ channels last", {"layout": "channels_last"}),
    ("+ bfloat16", {"dtype": "bfloat16"}),
    ("+ compiled", {"compiled": True}),
    ("+ memory kept", {"allocator": "keep"}),
)


def ladder(base: Configuration) -> list[tuple[str, Configuration]]:
    """The name and the configuration of each step: the one before with one thing more; ``base`` is the first."""
    found = []
    for name, change in _STEPS:
        base = base.model_copy(update=change)
        found.append((name, base))
    return found
