"""What memory is held for nothing: what grows, what is not given back, what is held twice."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.memory.composition import run_peak
from llmflame.analysis.memory.growth import Growth, floors, left_behind
from llmflame.analysis.memory.stack import stack_of
from llmflame.analysis.phases import GENERATION
from llmflame.store import categories
from llmflame.store.rows import Space
from llmflame.units import human_bytes

LEAST_GROWTH_BYTES = 16 * 1024
"""A step: interpreters and allocators move by a few kilobytes for no reason of the program's."""
LEAST_FIT = 0.9
"""Of the readings' variance: less is no steady growth."""
LEAST_LEFT_BYTES = 1024 * 1024
"""A request."""
MOST_STACKS = 5
LAST_FRAMES = 3
WORDS: dict[Space, str] = {"host": "host", "device": "GPU"}


def grows_each_step(evidence: Evidence) -> Ruling | None:
    """Each decode step holds on to more than its part of the key/value cache."""
    found = [one for one in evidence.grown if _is_leak(one)]
    if not found:
        return None
    worst = max(found, key=lambda one: one.unexplained_bytes_per_step)
    sentences = [
        f"{WORDS[worst.space]} memory in use grows by {human_bytes(worst.held.bytes_per_step)} a decode "
        f"step, fitted over {worst.steps} steps (r² {worst.held.explained:.3f}); the KV cache explains "
        f"{human_bytes(worst.kv_cache.bytes_per_step)} of it"
    ]
    if worst.left:
        kept = human_bytes(worst.left_bytes_per_step)
        sentences.append(f"traced steps left {kept} each in tensors that outlive the request")
    finding = Finding(
        "memory-grows-each-step",
        "Memory grows with every step, and not by the KV cache",
        "memory",
        0.0,
        tuple(sentences),
        "Let go of what each step keeps: a list that is appended to, a tensor in an attribute",
        None,
        _stacks(evidence, worst.left),
        gain_bytes=worst.unexplained_bytes_per_step * worst.steps,
        always=True,
    )
    return _of_peak(evidence, worst.space, finding)


def not_returned(evidence: Evidence) -> Ruling | None:
    """Each request leaves more behind than the one before it."""
    profile = evidence.profile
    in_steps = {
        one.space: one.unexplained_bytes_per_step * (one.steps + 1) for one in evidence.grown if _is_leak(one)
    }
    for space, values in floors(profile).items():
        rises = [after - before for before, after in pairwise(values)]
        least = min(rises) - in_steps.get(space, 0.0)
        if least < LEAST_LEFT_BYTES:
            continue
        words = ", ".join(human_bytes(rise) for rise in rises)
        finding = Finding(
            "memory-not-returned",
            "Requests don't give back all that they take",
            "memory",
            0.0,
            (f"after each of {len(values)} equal requests more {WORDS[space]} memory was in use: {words}",),
            "Let go of what a request keeps when it has ended",
            None,
            _stacks(evidence, left_behind(profile, space)),
            gain_bytes=least,
            always=True,
        )
        return _of_peak(evidence, space, finding)
    return None


def loading_peak(evidence: Evidence) -> Ruling | None:
    """Loading needs more than running does."""
    found = [one for one in evidence.peaks if one.space == "host"]
    highest = run_peak(found, "host")
    running = max((one.peak_bytes for one in found if one.phase in GENERATION), default=0)
    if highest is None or highest.phase not in ("load", "warmup") or not running:
        return None
    pages = human_bytes(highest.of(categories.CHECKPOINT))
    finding = Finding(
        "load-needs-more-than-running",
        "The load needs more memory than the model does",
        "memory",
        0.0,
        (
            f"the peak of {highest.phase} is {human_bytes(highest.peak_bytes)}, that of a request "
            f"{human_bytes(running)}",
            f"{pages} of it are the checkpoint's pages, which the kernel can take back",
        ),
        "Load the checkpoint in its own dtype, or save it once in the dtype that is wanted",
        None,
        gain_bytes=highest.peak_bytes - running,
    )
    return _of_peak(evidence, "host", finding)


def fragmentation(evidence: Evidence) -> Ruling | None:
    """The device's allocator keeps what nobody uses."""
    highest = run_peak(evidence.peaks, "device")
    if highest is None:
        return None
    slack = highest.of(categories.SLACK)
    finding = Finding(
        "allocator-slack",
        "The allocator keeps memory that no tensor uses",
        "memory",
        0.0,
        (f"{human_bytes(slack)} of {human_bytes(highest.peak_bytes)} are reserved at the peak, not in use",),
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True; a static cache, which is allocated once",
        None,
        gain_bytes=slack,
    )
    return _of_peak(evidence, "device", finding)


def _is_leak(one: Growth) -> bool:
    return one.unexplained_bytes_per_step >= LEAST_GROWTH_BYTES and one.held.explained >= LEAST_FIT


def _stacks(evidence: Evidence, left: tuple[tuple[int, float], ...]) -> tuple[str, ...]:
    """The innermost frames of each stack, and what was taken there in whatever phase."""
    sizes: dict[str, float] = defaultdict(float)
    for node, size in left:
        sizes[" › ".join(stack_of(evidence.profile, node)[-LAST_FRAMES:])] += size
    ranked = sorted(sizes.items(), key=lambda item: -item[1])
    return tuple(f"{human_bytes(size)}  {frames}" for frames, size in ranked[:MOST_STACKS])


def _of_peak(evidence: Evidence, space: Space, finding: Finding) -> Ruling:
    """The finding with its share of the run's peak."""
    highest = run_peak(evidence.peaks, space)
    share = finding.gain_bytes / highest.peak_bytes if highest is not None else 0.0
    return Ruling(finding.with_gain(0.0, share))
