"""One timed configuration, and the session that it belongs to: raw samples, the machine's roof and its noise floor.

A session is one run of ``repro bench`` on one device: ``reports/records/<hardware>/timing/001.json``. The file is replaced, whole,
after each row, so that an interrupt keeps the rows that are finished; once the session has ended nobody changes it.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from repro.claims import FLOPS_PER_MAC_TRAINED
from repro.errors import ReproError
from repro.files import write_atomically, write_once
from repro.intervals import Interval, half_width, median_interval
from repro.records import Environment, Part, first_fault, folder_of
from repro.tables import Ledger

FORMAT = 1
FLOPS_PER_MAC = 2

#: The half-width of the median's 95 % interval at which a timing may end, relative to the median.
HALF_WIDTH = 0.02

#: Images of a batch: no record has more.
MOST_IMAGES = 10**9

Task = Literal["inference", "training"]
By = Literal["matmul", "oneDNN"]
DType = Literal["float32", "tf32", "bfloat16", "float16"]
Layout = Literal["contiguous", "channels_last"]
Allocator = Literal["default", "keep"]

#: Hardware, device, timer, model of the CPU, instructions and torch: what sessions share whose rows may be held against each other.
Origin = tuple[str, str, str, str, str, str]

#: How a network is computed, whatever the network: names and values of fields of a Configuration.
Way = tuple[tuple[str, object], ...]

#: What a beginner's code does: float32, NCHW, nothing compiled, nothing set.
EAGER: Way = (("dtype", "float32"), ("layout", "contiguous"), ("compiled", False), ("allocator", "default"))


class Measured(Part):
    """A part whose numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class Configuration(Measured):
    """What is timed and how. ``device`` is torch's word. ``threads`` are CPU threads. In training, ``dtype`` is that of autocast, and
    weights stay float32; in inference the weights have it too. ``allocator`` "keep": memory that was freed isn't returned to the system
    (glibc on a CPU), or expandable segments (CUDA). On CUDA, cuDNN chooses its algorithms by trying, and float32 products aren't TF32."""

    network: str
    task: Task
    device: str
    dtype: DType = "float32"
    layout: Layout = "contiguous"
    compiled: bool = False
    batch: int = Field(ge=1, le=MOST_IMAGES)
    threads: int = Field(ge=1)
    allocator: Allocator = "default"

    @property
    def way(self) -> Way:
        """How the network is computed."""
        return tuple((name, getattr(self, name)) for name, _ in EAGER)

    def in_way(self, way: Way) -> Configuration:
        """The same network, task, device, batch and threads, computed so."""
        return self.model_copy(update=dict(way))

    @property
    def is_eager_fp32(self) -> bool:
        """Whether this is what a beginner's code does."""
        return self.way == EAGER

    @property
    def how(self) -> str:
        """``bfloat16, channels last, compiled``: how, without what and where."""
        layout = "NCHW" if self.layout == "contiguous" else "channels last"
        kept = ["memory kept"] if self.allocator == "keep" else []
        return ", ".join([self.dtype, layout, "compiled" if self.compiled else "eager", *kept])

    @property
    def label(self) -> str:
        """``resnet50 inference, cpu, batch 8, 2 threads: float32, NCHW, eager``"""
        threads = f", {on_threads(self.threads)}" if self.device == "cpu" else ""
        return f"{self.network} {self.task}, {self.device}, batch {self.batch}{threads}: {self.how}"


class Clocks(Measured):
    """An NVIDIA GPU at the edge of a block: clocks in MHz, degrees Celsius, and why it doesn't run faster."""

    sm: int
    memory: int
    temperature: int
    throttled: tuple[str, ...] = ()


class Timing(Measured):
    """One configuration, in a process of its own: raw samples, or why there are none.

    ``seconds`` are those of a call, one number a block of ``calls`` calls, the device synchronised at the edges of a block. ``warm_up``
    counts the calls before, and ``flat`` says whether their median was at the end, or None where nobody looked. ``first_call`` holds
    compiling and autotuning. ``glanced``: it was slower than another, so it got little time. ``transfer``: seconds in which a batch is
    copied to the device. ``peak_memory``: bytes, the whole process on a CPU, the allocator's on a device. ``others``: what part of all
    cores other processes, or other virtual machines of the host, used meanwhile. ``spent``: seconds from the start of the process to its
    end. A row that is timed has samples, one that failed a reason.
    """

    configuration: Configuration
    outcome: Literal["timed", "failed"]
    reason: str | None = None
    seconds: tuple[float, ...] = ()
    calls: int = 0
    warm_up: int = 0
    flat: bool | None = None
    first_call: float | None = None
    glanced: bool = False
    peak_memory: int | None = None
    transfer: float | None = None
    others: float | None = None
    spent: float = 0.0
    clocks: tuple[Clocks, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_what_follows(cls, fields: Any) -> Any:
        """Records of before December 2026 say whether 2 % were reached, which follows from the samples."""
        return {name: value for name, value in fields.items() if name != "reached"} if isinstance(fields, dict) else fields

    @model_validator(mode="after")
    def _has_what_it_says(self) -> Timing:
        if self.is_timed and not (self.seconds and all(0 < each < math.inf for each in self.seconds) and self.calls >= 1):
            raise ValueError("a row that is timed has samples above 0 s, and calls in each")
        if not self.is_timed and not self.reason:
            raise ValueError("a row that failed has a reason")
        return self

    @property
    def is_timed(self) -> bool:
        """Whether there are samples."""
        return self.outcome == "timed"

    @functools.cached_property
    def median(self) -> float:
        """Seconds a call."""
        return statistics.median(self.seconds)

    @functools.cached_property
    def interval(self) -> Interval | None:
        """The 95 % interval of the median, by interpolated order statistics; None for fewer than six blocks."""
        return median_interval(self.seconds)

    @functools.cached_property
    def half_width(self) -> float:
        """Half the interval's width over the median; infinite where there is no interval."""
        return half_width(self.seconds)

    @property
    def reached(self) -> bool:
        """Whether the half-width is within 2 %."""
        return self.half_width <= HALF_WIDTH

    @property
    def variation(self) -> float:
        """The coefficient of variation of the blocks."""
        return statistics.stdev(self.seconds) / statistics.fmean(self.seconds) if len(self.seconds) > 1 else math.inf

    @property
    def images_per_second(self) -> float:
        """By the median."""
        return self.configuration.batch / self.median

    @property
    def rates(self) -> Interval | None:
        """The interval of images a second."""
        batch = self.configuration.batch
        return Interval(batch / self.interval.high, batch / self.interval.low) if self.interval else None

    def flops(self, macs: int) -> float:
        """FLOP/s of a network with so many MACs an image: 2 a MAC, and by convention three times as many in training, although nothing
        needs the gradient of the images themselves."""
        each = FLOPS_PER_MAC if self.configuration.task == "inference" else FLOPS_PER_MAC_TRAINED
        return each * macs * self.images_per_second


class Product(Measured):
    """A square matrix product: FLOP/s (2 a MAC) of the median. ``by`` "oneDNN": a CPU's matmul may be another library's."""

    n: int = Field(ge=1)
    flops: float = Field(gt=0)
    by: By = "matmul"


class Roof(Measured):
    """The machine's own best rate of matrix products in one dtype with so many threads: the best of several sizes and
    of both ways to multiply."""

    dtype: DType
    threads: int
    products: tuple[Product, ...] = Field(min_length=1)

    @property
    def best(self) -> Product:
        """The fastest product."""
        return max(self.products, key=lambda product: product.flops)

    @property
    def flops(self) -> float:
        """FLOP/s."""
        return self.best.flops

    def or_better(self, other: Roof) -> Roof:
        """The faster one of each product of both."""
        products = sorted((*self.products, *other.products), key=lambda product: product.flops)
        return self.model_copy(update={"products": tuple({(product.n, product.by): product for product in products}.values())})


class Copy(Measured):
    """The rate at which memory is copied with so many threads: bytes read and bytes written, a second."""

    threads: int
    bytes_per_second: float = Field(gt=0)


class Mistake(Measured):
    """One wrong way to time, beside the right one, on the same configuration: seconds a call of both, or why it can't be shown here."""

    name: str
    configuration: Configuration
    against: Configuration | None = None
    right: float | None = None
    wrong: float | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _has_what_it_says(self) -> Mistake:
        if not self.reason and not (self.right and self.wrong):
            raise ValueError("a mistake that isn't shown has a reason")
        return self

    @property
    def factor(self) -> float | None:
        """By how much the wrong way overstates the time of a call; below 1 it understates it."""
        return self.wrong / self.right if self.wrong is not None and self.right else None

    @property
    def result(self) -> str:
        """``one cold call: 1.03 times the time of a call``, or the reason."""
        return f"{self.name}: {self.reason or f'{self.factor:.2f} times the time of a call'}"


class Session(Measured):
    """One run of ``repro bench`` on one device. ``same``: the A/A run, one configuration timed again and again while the session lasts,
    each time in a process of its own; a row of that configuration belongs to it too. ``untried``: what the search had no time for.
    ``source`` says which timer's samples these are. ``limit`` and ``budget``: seconds of measuring a row and of a search, where known.
    ``file``: the name of its file, where it is one of a folder of records."""

    format: Literal[1] = 1
    kind: Literal["timing"] = "timing"
    source: Literal["repro bench", "pytest-benchmark"] = "repro bench"
    device: str
    environment: Environment
    memory: int
    limit: float | None = None
    budget: float | None = None
    roofs: tuple[Roof, ...] = ()
    copies: tuple[Copy, ...] = ()
    same: tuple[Timing, ...] = ()
    rows: tuple[Timing, ...] = ()
    untried: tuple[Configuration, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    file: str = Field(default="", exclude=True)

    @field_validator("rows")
    @classmethod
    def _are_not_timed_twice(cls, rows: tuple[Timing, ...]) -> tuple[Timing, ...]:
        twice = [its.label for its, count in Counter(row.configuration for row in rows).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]}: two rows of one session; a session has one")
        return rows

    @property
    def origin(self) -> Origin:
        """Where the rows are from."""
        its = self.environment
        return its.hardware, self.device, self.source, its.cpu_model, its.instructions, its.torch

    @property
    def floor(self) -> float | None:
        """The noise floor: the largest relative difference between two medians of one configuration of the A/A run; None without two."""
        return larger_floor(self)

    @property
    def drift(self) -> float:
        """By how much medians of one configuration differ from process to process: the standard deviation of their logarithms in the A/A
        run, which doesn't grow with its length as the noise floor does. Infinite without two."""
        several = [each for each in self.same_medians.values() if len(each) > 1]
        return max((statistics.stdev(map(math.log, each)) for each in several), default=math.inf)

    @property
    def same_timings(self) -> list[Timing]:
        """The A/A run, as far as it was timed."""
        configurations = {timing.configuration for timing in self.same}
        return [timing for timing in (*self.same, *self.rows) if timing.is_timed and timing.configuration in configurations]

    @property
    def same_medians(self) -> dict[Configuration, list[float]]:
        """The medians of the A/A run, in seconds a call, by what was timed; the right timer of the exhibit timed the same once more."""
        medians: dict[Configuration, list[float]] = defaultdict(list)
        for timing in self.same_timings:
            medians[timing.configuration].append(timing.median)
        for configuration, right in dict.fromkeys((each.against or each.configuration, each.right) for each in self.mistakes):
            if right is not None and configuration in medians:
                medians[configuration].append(right)
        return medians

    def roof(self, dtype: DType, threads: int) -> float | None:
        """FLOP/s of the roof for these, or None where it wasn't measured."""
        return next((roof.flops for roof in self.roofs if (roof.dtype, roof.threads) == (dtype, threads)), None)

    def copy_rate(self, threads: int) -> float | None:
        """Bytes a second, or None."""
        return next((copy.bytes_per_second for copy in self.copies if copy.threads == threads), None)

    def share(self, row: Timing, ledger: Ledger) -> float | None:
        """What part of the roof of its dtype and threads a row reaches; None where one of the two is missing."""
        roof = self.roof(row.configuration.dtype, row.configuration.threads)
        if not row.is_timed or roof is None or row.configuration.network not in ledger.networks:
            return None
        return row.flops(ledger.network(row.configuration.network).macs) / roof


def on_threads(count: int) -> str:
    """``1 thread``, ``2 threads``"""
    return f"{count} thread{'s' if count > 1 else ''}"


def larger_floor(*sessions: Session) -> float | None:
    """The noise floor of rows of several sessions: the largest relative difference between medians of one configuration of their A/A
    runs, whichever session they are from, since a machine may be slower an hour later. None where nothing was timed twice."""
    medians: dict[tuple[str, Configuration], list[float]] = defaultdict(list)
    for session in sessions:
        for configuration, own in session.same_medians.items():
            medians[session.environment.hardware, configuration] += own
    return max((max(same) / min(same) - 1 for same in medians.values() if len(same) > 1), default=None)


def free_name(folder: Path) -> Path:
    """The next name of a session in a folder: ``001.json``, ``002.json``, ..."""
    taken = [int(path.stem[:3]) for path in folder.glob("[0-9][0-9][0-9]*.json")]
    return folder / f"{max(taken, default=0) + 1:03d}.json"


def load_sessions(records: Path, hardware: str | None = None) -> tuple[Session, ...]:
    """All sessions of a folder of records, or one machine's, in the order of their paths. Raises ReproError that names a file that isn't
    one."""
    paths = records.glob("*/timing/*.json") if hardware is None else sessions_of(records, hardware).glob("*.json")
    return tuple(read_session(path).model_copy(update={"file": path.name}) for path in sorted(paths))


def read_session(path: Path) -> Session:
    """A session. Raises ReproError that names the file where it isn't one."""
    try:
        return Session.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ReproError(
            f"{path}: {first_fault(error)}; expected timings of format {FORMAT}; remove the file or take it from git again"
        ) from None


def write_session(session: Session, records: Path, path: Path | None = None) -> Path:
    """Writes a session in place of ``path``, or under the next name that is free in its machine's folder; returns where."""
    content = (session.model_dump_json() + "\n").encode()
    if path is None:
        return write_once(free_name(sessions_of(records, session.environment.hardware)), content)
    write_atomically(path, content)
    return path


def sessions_of(records: Path, hardware: str) -> Path:
    """The folder of a machine's sessions, in a folder of records."""
    return records / folder_of(hardware) / "timing"
