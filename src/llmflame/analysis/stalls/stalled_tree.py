"""The run's tree with the reasons for which each kernel waited, below the kernel.

A kernel's own time is divided by the shares of its samples: those of all launches of its name in its phase
(function level), or, where launches were sampled one by one, those of the launches at its place in the tree.
Samples are never compared between kernels: one with many warps has many in the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmflame.analysis.run_tree import RunTree
from llmflame.analysis.stalls.counts import Shares, counts_by_kernel
from llmflame.analysis.stalls.launches import aligned_steps
from llmflame.analysis.stalls.reasons import GROUPS, group_of
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame
from llmflame.store.profile import Profile

DIVIDED = (metrics.DEVICE.name, metrics.WALL.name)
"""What a kernel's reasons take over from it. Everything else stays its own."""
LEAST_SHARE = 0.01
"""Of a kernel's samples: rarer reasons are not worth a frame and stay in their group's own time."""


def with_stalls(tree: Tree, profile: Profile, run: RunTree | None = None) -> Tree:
    """The tree with frames `stall_group` and `stall` below its kernels; itself where nothing was sampled.

    Sums are kept: what a kernel had of its own is now its groups' and reasons'. A kernel without samples
    keeps it. With `run`, whose own tree it must then be, launches that were sampled one by one speak for
    their places.
    """
    kernels = counts_by_kernel(profile)
    if not kernels:
        return tree
    shares = {
        phase: {name: counts.shares for name, counts in found.items()} for phase, found in kernels.items()
    }
    exact = _exact(profile, run) if run is not None else {}
    return _Composer(tree, exact, shares).composed()


def _exact(profile: Profile, run: RunTree) -> dict[int, Shares]:
    """By node of the tree: the shares of the launches there, as far as they were sampled one by one."""
    found: dict[int, Shares] = {}
    for aligned in aligned_steps(profile):
        for node, weights in aligned.weights.items():
            place = run.nodes.get((aligned.window.span_name, node))
            if place is not None:
                found.setdefault(place, weights)
    return found


class _Composer:
    """Copies a tree in its order and adds the frames of stalls."""

    def __init__(
        self, tree: Tree, exact: Mapping[int, Shares], by_phase: Mapping[str, Mapping[str, Shares]]
    ) -> None:
        self._tree = tree
        self._exact = exact
        self._by_phase = by_phase
        self._frames = list(tree.frames)
        self._frame_numbers: dict[Frame, int] = {}
        self._parents: list[int] = []
        self._node_frames: list[int] = []
        self._origins = list(tree.origins[:0])
        self._columns: dict[str, list[float]] = {name: [] for name in tree.selfs}

    def composed(self) -> Tree:
        """The new tree."""
        tree, phases = self._tree, self._tree.phases()
        divided = [name for name in DIVIDED if name in tree.selfs]
        places: list[int] = []
        for node, parent in enumerate(tree.parents):
            places.append(len(self._parents))
            self._parents.append(places[parent] if parent >= 0 else parent)
            self._node_frames.append(tree.node_frames[node])
            self._origins.append(tree.origins[node])
            for name, column in self._columns.items():
                column.append(tree.selfs[name][node])
            frame = tree.frame(node)
            if frame.kind == "kernel":
                shares = self._exact.get(node) or self._by_phase.get(phases[node], {}).get(frame.name)
                own = [tree.selfs[name][node] for name in divided]
                if shares and any(own):
                    self._divide(places[node], shares, divided, own)
        return Tree(
            self._frames,
            self._parents,
            self._node_frames,
            list(tree.metrics),
            self._columns,
            self._origins,
        )

    def _divide(self, kernel: int, shares: Shares, names: Sequence[str], own: Sequence[float]) -> None:
        """Hand a kernel's own values to its reasons; the last to take takes all that is left."""
        left = list(own)
        parts: list[tuple[int, float]] = []
        for group in GROUPS:
            members = {reason: share for reason, share in shares.items() if group_of(reason) == group}
            if not members:
                continue
            at = self._append(kernel, Frame("stall_group", group))
            rare = sum(share for share in members.values() if share < LEAST_SHARE)
            if rare:
                parts.append((at, rare))
            for reason, share in sorted(members.items(), key=lambda item: (-item[1], item[0])):
                if share >= LEAST_SHARE:
                    parts.append((self._append(at, Frame("stall", reason)), share))
        for number, (node, share) in enumerate(parts):
            is_last = number == len(parts) - 1
            for metric, (name, whole) in enumerate(zip(names, own, strict=True)):
                taken = left[metric] if is_last else min(whole * share, left[metric])
                self._columns[name][node] = taken
                left[metric] -= taken
        for name in names:
            self._columns[name][kernel] = 0.0

    def _append(self, parent: int, frame: Frame) -> int:
        number = self._frame_numbers.get(frame)
        if number is None:
            number = self._frame_numbers[frame] = len(self._frames)
            self._frames.append(frame)
        self._parents.append(parent)
        self._node_frames.append(number)
        self._origins.append("sampled")
        for column in self._columns.values():
            column.append(0.0)
        return len(self._parents) - 1
