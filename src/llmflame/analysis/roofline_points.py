"""Classes of operators and modules as points of a roofline: operations a byte, and operations a second.

Williams, Waterman, Patterson: "Roofline", CACM 2009. The bytes are those that an operator must move by its
shapes: what it moves more than once, a cache that is too small for it, isn't seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from llmflame.analysis.ceiling import Rates, ceilings
from llmflame.analysis.coverage import phases_of
from llmflame.analysis.modules_table import ROOT, module_nodes
from llmflame.analysis.op_class import op_class
from llmflame.analysis.roofline import PHASES, working_operators
from llmflame.analysis.top_table import layers_together
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.profile import Profile

DTYPES = ("float32", "tfloat32", "bfloat16", "float16", "float8_e4m3fn", "int8")
By = Literal["class", "module"]


@dataclass(frozen=True, slots=True)
class Point:
    """The operators of one class, or in one module, of one phase."""

    by: By
    phase: str
    name: str
    flops: float
    moved_bytes: float
    """Read and written, by the operators' shapes."""
    time_ns: float
    """Of the device where one worked, else the host's: of the operators whose work is known, alone."""
    place: str
    """The operator or module with the most of that time, as words that find it in the tree."""

    @property
    def intensity(self) -> float | None:
        """Operations a byte; None where nothing is computed or nothing moved."""
        return self.flops / self.moved_bytes if self.flops and self.moved_bytes else None

    @property
    def flop_per_s(self) -> float | None:
        """Operations a second; None where nothing is computed or it took no time."""
        return self.flops / (self.time_ns / 1e9) if self.flops and self.time_ns else None


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One limit of the device. `dtype` is None for the memory's bandwidth."""

    origin: Literal["measured", "published"]
    dtype: str | None
    rate: float
    """Bytes or operations a second."""
    is_own: bool
    """Is it the limit of the model's own dtype? The bandwidth always is."""


@dataclass(slots=True)
class _Sums:
    flops: float = 0.0
    moved: float = 0.0
    time_ns: float = 0.0
    places: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def points(tree: Tree) -> list[Point]:
    """One point a phase and class, then one a phase and module; those with the most time first."""
    moved = [tree.selfs.get(metric.name) for metric in (metrics.READ, metrics.WRITTEN)]
    if all(column is None for column in moved):
        return []
    modules = module_nodes(tree)

    def class_of(node: int) -> str:
        return op_class(tree.frame(node).name)

    def module_of(node: int) -> str:
        path = tree.frame(modules[node]).module if modules[node] >= 0 else None
        return ROOT if not path else layers_together(path)

    def place_of_module(node: int) -> str:
        return layers_together(tree.frame(modules[node]).module or "") if modules[node] >= 0 else ""

    return [
        *_points(tree, "class", class_of, lambda node: _operator(tree, modules, node)),
        *_points(tree, "module", module_of, place_of_module),
    ]


def _operator(tree: Tree, modules: list[int], node: int) -> str:
    module = tree.frame(modules[node]).module if modules[node] >= 0 else None
    return " › ".join(part for part in (module, tree.frame(node).name) if part)


def _points(tree: Tree, by: By, key: Callable[[int], str], place: Callable[[int], str]) -> list[Point]:
    where, owners = phases_of(tree), working_operators(tree)
    empty = [0.0] * len(tree)
    on_device = metrics.DEVICE.name in tree.selfs
    times = tree.selfs.get((metrics.DEVICE if on_device else metrics.WALL).name, empty)
    work = [tree.selfs.get(metric.name, empty) for metric in (metrics.FLOPS, metrics.READ, metrics.WRITTEN)]
    found: dict[tuple[str, str], _Sums] = {}
    for node, phase in enumerate(where):
        owner = owners[node]
        if owner is None or phase not in PHASES:
            continue
        sums = found.setdefault((phase, key(owner)), _Sums())
        flops, read, written = (column[node] for column in work)
        sums.flops += flops
        sums.moved += read + written
        if not on_device or tree.frame(node).kind in ("kernel", "copy"):
            sums.time_ns += times[node]
            sums.places[place(owner)] += times[node]
    made = [
        Point(by, phase, name, sums.flops, sums.moved, sums.time_ns, _words(phase, sums.places))
        for (phase, name), sums in found.items()
        if sums.time_ns
    ]
    return sorted(made, key=lambda point: -point.time_ns)


def _words(phase: str, places: dict[str, float]) -> str:
    heaviest = max(places, key=lambda place: places[place], default="")
    return f"{phase} › {heaviest}" if heaviest else phase


def ceiling_lines(profile: Profile) -> list[Ceiling]:
    """Every limit that is known of the device that the model ran on; the bandwidth first."""
    own = ceilings(profile)
    found = [
        Ceiling(origin, None, rates.bytes_per_s, True)
        for origin, rates in _origins(own.measured, own.published)
        if rates.bytes_per_s is not None
    ]
    seen: set[str | None] = set()
    for wanted in (own.dtype, *DTYPES):
        one = ceilings(profile, wanted)
        if one.dtype in seen or one.dtype is None:
            continue
        seen.add(one.dtype)
        found += [
            Ceiling(origin, one.dtype, rates.flop_per_s, one.dtype == own.dtype)
            for origin, rates in _origins(one.measured, one.published)
            if rates.flop_per_s is not None
        ]
    return found


def _origins(measured: Rates, published: Rates) -> list[tuple[Literal["measured", "published"], Rates]]:
    return [("measured", measured), ("published", published)]
