"""throughput.md: how fast the networks run, on each machine that has timing records; what may be wrong with it; what follows."""

from __future__ import annotations

from collections.abc import Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import anchor, code, document, link, remake, table, text
from reports.pages.speeds import rate_cell, speeds_section
from reports.pages.timings import GIB, NOTHING, bench_command, milli
from reports.timed import TASKS, Pair, Place, Row, about_batch, giga, places_of
from repro.claims import FLOPS_PER_MAC_TRAINED
from repro.tables import Ledger
from repro.throughput.crossover import Crossover, find_crossover
from repro.throughput.doubt import MOST_OTHERS, MOST_VARIATION, NO_DIFFERENCE, percent
from repro.throughput.steps import CLIMBED
from repro.throughput.timing import FLOPS_PER_MAC, HALF_WIDTH, larger_floor

TITLE = "How fast the networks run"
ABOUT = "Images a second, roofline and speed-ups, measured here; the doubts beside the numbers; the days that each paper's recipe takes."
ON_A_GPU = "repro bench --device cuda"
NO_GPU = f"A GPU, and the batch from which on it is faster than a CPU: not measured here. Where one is, {code(ON_A_GPU)} adds its rows."
LEAD = f"""\
Images are noise that lies ready in memory: loading and decoding them isn't timed. *Eager float32* is what a beginner's code does: \
float32, NCHW, nothing compiled, all threads. On an NVIDIA GPU torch would let its convolutions round to TF32, which is a dtype of its own \
here. *Fastest* is the fastest of the ways that were timed at the same batch; where several sessions timed \
the same, the surest row counts. Networks stand in the order of their MACs, those of large images first. Every row of every record \
stands in \
{link("Every timing", "timings.md")}."""
METHOD = "\n".join(
    (
        "- A row is one configuration in a process of its own. A sample is a block of so many calls that they took at least 100 ms when "
        "it had warmed up. The time is the median of the blocks; ± is the half-width of its 95 % interval (interpolated order statistics, "
        "Hettmansperger and Sheather 1986) within that process, as if a block didn't depend on the one before. On a machine that is "
        "slower for seconds it does, and the interval is too narrow, the more so as sampling ends as soon as it's "
        f"±{100 * HALF_WIDTH:.0f} %, or at a time limit, though seldom before six blocks, without which there is no interval. Hence the "
        "noise floor. What a search sees to be slower than another way is *only glanced at*: it gets two seconds.",
        "- A *session* is one run of the timer; the time that it had and its record are listed with its machine. *Memory kept*: memory "
        "that was freed isn't returned to the system (settings of glibc on a CPU, expandable segments on CUDA).",
        "- *Ways timed* are the rows at that batch, eager float32 included; *as fast* is how many of them are no different from the "
        "fastest: where there are some, it's luck which of them is called so; *not tried* is what a search had no time for.",
        "- The first call, which holds compiling and autotuning, has a column of its own and is in no rate. Compiled code stays on disk, "
        "so that a first call may be shorter in a later session. On CUDA, cuDNN chooses its algorithms by trying, in every row.",
        f"- FLOP/s count {FLOPS_PER_MAC} for each multiply-accumulate of the convolutions and fully connected layers, and "
        f"{FLOPS_PER_MAC_TRAINED} in training, by convention, although nothing needs the gradient of the images. The roof is the best "
        "median rate of square matrix products of the same dtype and threads, by torch.matmul and on a CPU by oneDNN too, at the start of "
        "the same session and, the best sizes, every five minutes; in sessions whose code is older than that, by torch.matmul at the start "
        "alone. A share is the row's FLOP/s over it.",
        "- *Compiled* is torch.compile; in inference weights are constants (freezing), with batch normalisation folded into them. In "
        "sessions whose code is older than the folding freezing did that itself: first calls are longer there, other calls as fast.",
        "- In training *bfloat16* and *float16* are autocast's: weights stay float32. In inference the weights have that dtype too.",
        "- Peak memory is that of the whole process on a CPU, and the allocator's on a device.",
        "- The noise floor is the largest difference between medians of one and the same configuration, timed in new processes from the "
        "start of a session to its end (A/A), the right one beside the wrong timers included: it holds what a new process, other "
        "processes and other virtual machines of the host do to a timing. What "
        "differs by less, or whose intervals overlap, prints as *no difference*; without an interval the floor alone decides, and a row "
        "without one isn't called the fastest where one with it is no different. *The surest row* of several sessions has the smallest "
        "standard error, by its interval and by the standard deviation of its session's A/A run together. Both rows of "
        "a speed-up are of one session where that session has both; between rows of two sessions the floor is that of both A/A runs "
        "together.",
        f"- A row is flagged where its blocks vary by more than {100 * MOST_VARIATION:.0f} % (coefficient of variation), where "
        f"±{100 * HALF_WIDTH:.0f} % wasn't reached, where it was still warming up, and where others used more than "
        f"{100 * MOST_OTHERS:.0f} % of the machine.",
        "- Machines stand side by side, named by their hardware and, where one name isn't enough, by the model of the CPU, its "
        "instructions and torch's version. In records that don't say the model, sessions of one name may be of several models. A ratio "
        "holds rows of one machine; only a crossover compares two, and says so.",
    )
)


def write_throughput(judged: Judged) -> str:
    """The page."""
    places, ledger = places_of(judged.sessions), judged.ledger
    if not places:
        return document(TITLE, NOTHING, NO_GPU, source="reports/records/")
    return document(
        TITLE,
        *(sentence for place in places for sentence in _in_short(place, ledger)),
        LEAD,
        "## Machines",
        _machines(places),
        remake(*dict.fromkeys(map(bench_command, places)), "repro report"),
        *([] if any(place.device != "cpu" for place in places) else [NO_GPU]),
        *_not_timed(places, ledger),
        *_side_by_side(places, ledger),
        *_crossovers(places, ledger),
        "## How it is measured",
        METHOD,
        *(part for place in places for part in speeds_section(place, ledger)),
        source="reports/records/",
    )


def _in_short(place: Place, ledger: Ledger) -> Iterator[str]:
    """One network's inference, before and after, and how far to trust that."""
    pairs = place.pairs("inference", ledger)
    pair = next((pair for pair in pairs if pair.network == CLIMBED), next(iter(pairs), None))
    if pair:
        slow, fast = (row.timing.median / row.configuration.batch for row in (pair.base, pair.best))
        yield (
            f"**{text(place.name)}**: {pair.network} takes {milli(slow)} ms an image in eager float32 ({about_batch(pair.base)}) and "
            f"{milli(fast)} ms as {pair.best.configuration.how}: {_speed(pair)}."
            f"{_in_all(place, pair)}{_noise(place, pair)}{_of_roofs(place, pair)}{_of_flags(place)}"
        )


def _speed(pair: Pair) -> str:
    return pair.words if pair.words == NO_DIFFERENCE else f"{pair.words} as fast"


def _in_all(place: Place, pair: Pair) -> str:
    ratios = sorted(place.ratios(pair))
    return f" In {len(ratios)} sessions it was {ratios[0]:.2f} to {ratios[-1]:.2f} times." if len(ratios) > 1 else ""


def _noise(place: Place, pair: Pair) -> str:
    own, overall = larger_floor(pair.base.session, pair.best.session), larger_floor(*place.sessions)
    if own is None or overall is None:
        return ""
    overall_too = f"; from session to session, up to {percent(overall)}" if overall > own else ""
    return f" Meanwhile one and the same configuration took up to {percent(own)} longer at another moment{overall_too}."


def _of_roofs(place: Place, pair: Pair) -> str:
    """The rates of matrix products, by which dtypes may be expected to differ."""
    roofs = place.roofs(pair.base.configuration.threads)
    if not roofs:
        return ""
    gained = pair.best.configuration.dtype  # whatever was expected
    slow = [str(dtype) for dtype, flops in roofs.items() if flops < roofs.get("float32", 0) and dtype != gained]
    gains = f", so that {wording.joined(slow)} can't be expected to gain anything" if slow else ""
    return f" Matrix products: {wording.joined([f'{giga(flops)} GFLOP/s in {dtype}' for dtype, flops in roofs.items()])}{gains}."


def _of_flags(place: Place) -> str:
    """How many rows aren't as sure as one would wish."""
    flagged, vague = sum(row.is_flagged for row in place.timed), sum(not row.timing.reached for row in place.timed)
    where = f"What may be wrong stands in {link('its section', f'#{anchor(place.name)}')}"
    return (
        f" Of {wording.several(len(place.timed), 'row')}, {flagged:,d} are flagged; {vague:,d} of them since their median isn't known to "
        f"±{100 * HALF_WIDTH:.0f} %, so that a difference counts only beyond the noise floor and the intervals. {where}."
    )


def _machines(places: tuple[Place, ...]) -> str:
    heads = [
        "machine",
        "sessions >",
        "rows timed >",
        "of them flagged >",
        "without a time >",
        "networks >",
        "memory, GiB >",
        "noise floor >",
    ]
    rows = []
    for place in places:
        floors = [100 * floor for session in place.sessions if (floor := session.floor) is not None]
        its = place.sessions[0].environment
        timed, flagged = len(place.timed), sum(row.is_flagged for row in place.timed)
        rows.append(
            [
                link(text(place.name), f"#{anchor(place.name)}"),
                str(len(place.sessions)),
                f"{timed:,d}",
                f"{flagged:,d}",
                f"{len(place.rows) - timed:,d}",
                str(len({row.configuration.network for row in place.rows})),
                f"{place.sessions[-1].memory / GIB:.0f}",
                _range(floors),
                text(its.cpu_model or ("not recorded" if place.device == "cpu" else "")),
                text(its.instructions),
                text(its.torch),
            ]
        )
    return table([*heads, "model of the CPU", "instructions", "torch"], rows)


def _range(percents: list[float]) -> str:
    """``0.9 to 41.6 %``"""
    ends = dict.fromkeys(f"{end:.1f}" for end in (min(percents), max(percents))) if percents else {}
    return f"{' to '.join(ends)} %" if ends else "not measured"


def _not_timed(places: tuple[Place, ...], ledger: Ledger) -> Iterator[str]:
    """The networks without a row."""
    timed = {row.configuration.network for place in places for row in place.timed}
    if left := [name for name in ledger.networks if name not in timed]:
        yield f"Timed on no machine: {wording.joined([wording.network_link(name) for name in left])}."


def _side_by_side(places: tuple[Place, ...], ledger: Ledger) -> Iterator[str]:
    """Images a second on several machines, without a ratio."""
    if len(places) < 2:
        return
    yield "## Side by side"
    yield (
        "Images a second of the fastest configuration, with the interval, the batch and the dtype; how else it's computed is in each "
        "machine's section. Machines differ in more than a processor: no ratio is formed."
    )
    for task in TASKS:
        found = [{pair.network: pair.best for pair in place.pairs(task, ledger)} for place in places]
        names = dict.fromkeys(name for best in found for name in best)
        if names:
            yield f"{task.capitalize()}:"
            rows = ([wording.network_link(name), *(_rate_at(best.get(name)) for best in found)] for name in names)
            yield table(["network", *(f"{text(place.name)} >" for place in places)], rows)
            yield remake(*dict.fromkeys(map(bench_command, places)), "repro report")


def _rate_at(row: Row | None) -> str:
    return f"{rate_cell(row)}, batch {row.configuration.batch:,d}, {row.configuration.dtype}" if row else "not timed"


def _crossovers(places: tuple[Place, ...], ledger: Ledger) -> Iterator[str]:
    """From which batch each device that isn't a CPU is faster than each CPU."""
    found = list(_crossings(places, ledger))
    if not found:
        return
    none = sum(not each.points for each in found)
    found = [each for each in found if each.points]
    yield "## From which batch on is a GPU faster?"
    yield (
        "Here two machines are compared: the best row of each at the same batch, on the GPU with the copy of the batch to it. Within the "
        "larger of both noise floors the GPU isn't faster."
    )
    if none:
        yield (
            f"Without a batch that was timed on both: {wording.several(none, 'comparison')}. {code('repro bench --batch 8')} times every "
            f"network at that batch on all devices, {code('--grid')} four networks at several."
        )
    if not found:
        return
    again = remake(*dict.fromkeys(map(bench_command, places)), "repro report")
    yield table(["network", "task", "found"], ([*_of(each), text(each.sentence.partition(": ")[2])] for each in found))
    yield again
    rows = (
        [
            *_of(each),
            f"{point.batch:,d}",
            text(f"{each.cpu_hardware}: {point.cpu.configuration.how}"),
            milli(point.cpu_seconds),
            text(f"{each.gpu_hardware}: {point.gpu.configuration.how}"),
            milli(point.gpu_seconds),
            "yes" if point.gpu_is_faster else "no",
        ]
        for each in found
        for point in each.points
    )
    yield "Batch by batch:"
    yield table(["network", "task", "batch >", "CPU", "ms/batch >", "GPU", "ms/batch with the copy >", "GPU faster"], rows)
    yield again


def _of(crossover: Crossover) -> list[str]:
    return [wording.network_link(crossover.network), crossover.task]


def _crossings(places: tuple[Place, ...], ledger: Ledger) -> Iterator[Crossover]:
    for cpu in (place for place in places if place.device == "cpu"):
        for gpu in (place for place in places if place.device != "cpu" and place.source == cpu.source):
            for task in TASKS:
                ours, theirs = ({its.network for its in place.counting if its.task == task} for place in (cpu, gpu))
                for name in (name for name in ledger.networks if name in ours & theirs):
                    yield find_crossover(cpu.merged, gpu.merged, name, task, (cpu.machine, gpu.machine))
