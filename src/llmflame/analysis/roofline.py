"""How far a phase is from what the hardware allows, and what the time above that went into.

An operator's floor is the longer of two times: its bytes over the memory bandwidth, its floating-point
operations over the rate of matrix products (Williams, Waterman, Patterson: "Roofline", CACM 2009). A phase's
floor is the sum over matrix products, attention and embeddings: element-wise operators could be fused into
those, so all of their time is above the floor.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Literal

from llmflame.analysis.ceiling import Ceilings, Rates, ceilings
from llmflame.analysis.coverage import phases_of
from llmflame.analysis.idle import cause_of
from llmflame.analysis.kernel_name import kernel_class
from llmflame.analysis.kv_cache import kv_bytes_read
from llmflame.analysis.op_class import op_class
from llmflame.analysis.phases import phase_spans, representative_repetition, steps
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.profile import Profile

PHASES = ("prefill", "decode")
COMPUTE = ("matmul", "attention", "embedding")
LEAST_KNOWN = 0.9
"""Of the kernels' time: where the work of more than the rest isn't known, what was used can't be told."""
Part = Literal["floor", "launch gaps", "synchronisation", "copies", "element-wise", "low occupancy", "other"]
PARTS: tuple[Part, ...] = (
    "floor",
    "launch gaps",
    "synchronisation",
    "copies",
    "element-wise",
    "low occupancy",
    "other",
)
_HOST_PART: dict[str, Part] = {"synchronisation": "synchronisation", "copy": "copies"}


@dataclass(frozen=True, slots=True)
class Roofline:
    """One phase against the ceilings. Times are nanoseconds of the whole phase."""

    phase: str
    wall_ns: float
    steps: int
    flops: float
    weight_bytes: float
    """Of weights that the operators read; the embedding's untouched rows are not among them."""
    kv_bytes: float | None
    """Of the key/value cache, by the model's config; None where that names no heads."""
    parts: dict[Part, float]
    """Add up to `wall_ns`. `floor` is 0 where no ceiling is known: the rest is then in `other`."""
    known_share: float | None
    """Of the time of kernels (operators, on a CPU): how much belongs to operators whose work is known."""
    mfu: float | None
    """None, as the others, where no ceiling is known or `known_share` is below `LEAST_KNOWN`."""
    mfu_published: float | None
    mbu: float | None
    mbu_published: float | None

    @property
    def floor_ns(self) -> float | None:
        """The phase's floor; None where no ceiling, or not enough of the work, is known."""
        told = self.known_share is not None and self.known_share >= LEAST_KNOWN
        return self.parts["floor"] or None if told else None


def with_floors(tree: Tree, rates: Rates) -> Tree:
    """The tree with a floor at every operator whose work is known; itself where no ceiling is."""
    if rates.bytes_per_s is None or metrics.READ.name not in tree.selfs:
        return tree
    empty = [0.0] * len(tree)
    columns = [tree.selfs.get(m.name, empty) for m in (metrics.FLOPS, metrics.READ, metrics.WRITTEN)]
    floors = [floor_ns(flops, read + written, rates) for flops, read, written in zip(*columns, strict=True)]
    known = [metric for metric in tree.metrics if metric != metrics.FLOOR]
    return replace(tree, metrics=[*known, metrics.FLOOR], selfs={**tree.selfs, metrics.FLOOR.name: floors})


def floor_ns(flops: float, moved_bytes: float, rates: Rates) -> float:
    """The longer of moving the bytes and doing the operations; 0 where the bandwidth isn't known."""
    if rates.bytes_per_s is None:
        return 0.0
    moving = moved_bytes / rates.bytes_per_s * 1e9
    return max(moving, flops / rates.flop_per_s * 1e9) if rates.flop_per_s else moving


@dataclass(slots=True)
class _Account:
    """A phase's wall time by part, and by operator what its kernels took."""

    parts: dict[Part, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    compute_ns: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    low_ns: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    worked_ns: float = 0.0
    known_ns: float = 0.0


def rooflines(profile: Profile, tree: Tree) -> list[Roofline]:
    """Prefill and decode against the ceilings, as far as they were recorded."""
    limits = ceilings(profile)
    accounts = _accounts(tree, limits.best)
    sums = {
        metric.name: _by_phase(tree, metric.name)
        for metric in (metrics.WALL, metrics.FLOPS, metrics.WEIGHTS_READ)
    }
    found = []
    for span in phase_spans(profile):
        if span.name not in PHASES or span.name not in accounts:
            continue
        wall = sums[metrics.WALL.name].get(span.name, 0.0)
        repetition = representative_repetition(profile)
        members = [one for one in steps(profile, repetition=repetition) if one.parent == span.id]
        flops = sums[metrics.FLOPS.name].get(span.name, 0.0)
        weights = sums[metrics.WEIGHTS_READ.name].get(span.name, 0.0)
        kv = kv_bytes_read(profile.subject, members)
        found.append(
            _roofline(span.name, wall, len(members), flops, weights, kv, accounts[span.name], limits)
        )
    return found


def _roofline(
    phase: str,
    wall: float,
    count: int,
    flops: float,
    weights: float,
    kv: float | None,
    account: _Account,
    limits: Ceilings,
) -> Roofline:
    moved = weights + (kv or 0.0)
    known = account.known_ns / account.worked_ns if account.worked_ns else None

    def used(amount: float, rate: float | None) -> float | None:
        told = known is not None and known >= LEAST_KNOWN
        return amount / (wall / 1e9) / rate if rate and wall and amount and told else None

    return Roofline(
        phase,
        wall,
        count,
        flops,
        weights,
        kv,
        account.parts,
        known,
        used(flops, limits.measured.flop_per_s),
        used(flops, limits.published.flop_per_s),
        used(moved, limits.measured.bytes_per_s),
        used(moved, limits.published.bytes_per_s),
    )


def _accounts(tree: Tree, rates: Rates) -> dict[str, _Account]:
    """By phase: every nanosecond of wall time in one part."""
    on_device = metrics.IDLE.name in tree.selfs
    phases, owners = phases_of(tree), working_operators(tree)
    walls = tree.selfs.get(metrics.WALL.name, [])
    device = tree.selfs.get(metrics.DEVICE.name, [0.0] * len(tree))
    low = tree.selfs.get(metrics.LOW_OCCUPANCY.name, [0.0] * len(tree))
    unknown = tree.selfs.get(metrics.UNKNOWN_WORK.name, [0.0] * len(tree))
    found: dict[str, _Account] = defaultdict(_Account)
    for node, own in enumerate(walls):
        if phases[node] not in PHASES or not own:
            continue
        account, frame = found[phases[node]], tree.frame(node)
        if on_device and frame.kind not in ("kernel", "copy"):
            part = _HOST_PART.get(cause_of(frame, phases[node]), "launch gaps")
            account.parts[part] += own
        elif frame.kind == "copy":
            account.parts["copies"] += own
        else:
            share = low[node] / device[node] if device[node] else 0.0
            _work(tree, account, node, owners[node], own, own * share, unknown=unknown[node] > 0)
    for account in found.values():
        _split(tree, account, rates)
    return found


def _work(
    tree: Tree, account: _Account, node: int, owner: int | None, own: float, low: float, *, unknown: bool
) -> None:
    """A kernel's time, or on a CPU an operator's or Python's."""
    frame = tree.frame(node)
    if owner is None and frame.kind != "kernel" and not unknown:
        account.parts["launch gaps"] += own  # Python, or an operator that only calls others
        return
    account.worked_ns += own
    kind = op_class(tree.frame(owner).name) if owner is not None else None
    if owner is not None:
        account.known_ns += own
    elif frame.kind == "kernel":
        kind = kernel_class(frame.name)  # type: ignore[assignment]
    if kind in COMPUTE and owner is not None:
        account.compute_ns[owner] += own
        account.low_ns[owner] += low
    elif owner is not None or kind in ("elementwise", "reduction", "copy"):
        account.parts["element-wise"] += own
    else:
        account.parts["other"] += own


def _split(tree: Tree, account: _Account, rates: Rates) -> None:
    """Divide the time of matrix products, attention and embeddings at their floor."""
    columns = [tree.selfs.get(m.name) for m in (metrics.FLOPS, metrics.READ, metrics.WRITTEN)]
    for owner, took in account.compute_ns.items():
        flops, read, written = (column[owner] if column else 0.0 for column in columns)
        floor = min(floor_ns(flops, read + written, rates), took)
        low = min(account.low_ns[owner] / took if took else 0.0, 1.0) * (took - floor)
        account.parts["floor"] += floor
        account.parts["low occupancy"] += low
        account.parts["other"] += took - floor - low


def working_operators(tree: Tree) -> list[int | None]:
    """By node: the operator, at or above it, whose work is known."""
    working = [False] * len(tree)
    for metric in (metrics.READ, metrics.WRITTEN, metrics.FLOPS):
        for node, value in enumerate(tree.selfs.get(metric.name, ())):
            working[node] = working[node] or value > 0
    owners: list[int | None] = []
    for node, parent in enumerate(tree.parents):
        inherited = owners[parent] if parent >= 0 else None
        owners.append(node if working[node] else inherited)
    return owners


def _by_phase(tree: Tree, metric: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for phase, own in zip(phases_of(tree), tree.selfs.get(metric, ()), strict=False):
        sums[phase] += own
    return sums
