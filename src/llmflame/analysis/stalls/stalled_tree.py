"""The run's tree with the reasons for which each kernel waited, below the kernel.

A kernel's own time is divided by the shares of its samples: those of all launches of its name in its phase
(function level), or, where launches were sampled one by one, those of the launches at its place in the tree.
Samples are never compared between kernels: one with many warps has many in the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmflame.analysis.stalls.counts import Shares, counts_by_kernel, in_order
from llmflame.analysis.stalls.instruction_frames import Split, instruction_splits
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


Places = Mapping[str, Mapping[int, int]]
"""By phase and node of the profile: the node of a tree (`RunTree.nodes` is one)."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """A tree with stalls, and where what it was made of has gone."""

    tree: Tree
    places: Sequence[int]
    """By node of the tree before: its node in this one."""
    parts: Mapping[int, Sequence[tuple[int, float]]]
    """By kernel of this tree: the nodes that took over its time, and the share of each."""


def with_stalls(
    tree: Tree, profile: Profile, places: Places | None = None, *, instructions: bool = False
) -> Tree:
    """The tree with frames `stall_group` and `stall` below its kernels; itself where nothing was sampled.

    Sums are kept: what a kernel had of its own is now its groups' and reasons'. A kernel without samples
    keeps it. With `places`, launches that were sampled one by one speak for where they are. With
    `instructions`, reasons have frames `instruction` below them where a kernel's binary could be read.
    """
    return stalled(tree, profile, places, instructions=instructions).tree


def stalled(
    tree: Tree, profile: Profile, places: Places | None = None, *, instructions: bool = False
) -> Stalled:
    """The same, with where each node has gone."""
    kernels = counts_by_kernel(profile)
    if not kernels:
        return Stalled(tree, range(len(tree)), {})
    shares = {
        phase: {name: counts.shares for name, counts in found.items()} for phase, found in kernels.items()
    }
    splits = instruction_splits(profile) if instructions else {}
    return _Composer(tree, _exact(profile, places or {}), shares, splits).composed()


def _exact(profile: Profile, places: Places) -> dict[int, Shares]:
    """By node of the tree: the shares of the launches there, as far as they were sampled one by one."""
    sums: dict[int, dict[str, float]] = {}
    for aligned in aligned_steps(profile) if places else ():
        for node, weights in aligned.weights.items():
            place = places.get(aligned.window.span_name, {}).get(node)
            if place is not None:
                own = sums.setdefault(place, {})
                for reason, weight in weights.items():
                    own[reason] = own.get(reason, 0.0) + weight
    return {place: in_order(own) for place, own in sums.items()}


class _Composer:
    """Copies a tree in its order and adds the frames of stalls."""

    def __init__(
        self,
        tree: Tree,
        exact: Mapping[int, Shares],
        by_phase: Mapping[str, Mapping[str, Shares]],
        splits: Mapping[tuple[str, str], Split],
    ) -> None:
        self._tree = tree
        self._exact = exact
        self._by_phase = by_phase
        self._splits = splits
        # Of single steps too: `device_ns@decode.8`.
        self._divided = [name for name in tree.selfs if name.partition("@")[0] in DIVIDED]
        self._frames = list(tree.frames)
        self._frame_numbers: dict[Frame, int] = {}
        self._parents: list[int] = []
        self._node_frames: list[int] = []
        self._origins = list(tree.origins[:0])
        self._places: list[int] = []
        self._taken: dict[str, dict[int, float]] = {name: {} for name in self._divided}
        """By metric and new node: what it took over, and that nothing is left to the kernel."""
        self._parts: dict[int, list[tuple[int, float]]] = {}

    def composed(self) -> Stalled:
        """The new tree."""
        tree, phases = self._tree, self._tree.phases()
        is_kernel = [frame.kind == "kernel" for frame in tree.frames]
        for node, (parent, number) in enumerate(zip(tree.parents, tree.node_frames, strict=True)):
            here = len(self._parents)
            self._places.append(here)
            self._parents.append(self._places[parent] if parent >= 0 else parent)
            self._node_frames.append(number)
            self._origins.append(tree.origins[node])
            if is_kernel[number]:
                name = tree.frames[number].name
                shares = self._exact.get(node) or self._by_phase.get(phases[node], {}).get(name)
                own = [tree.selfs[metric][node] for metric in self._divided]
                if shares and any(own):
                    self._divide(here, shares, own, self._splits.get((phases[node], name), {}))
        made = Tree(
            self._frames,
            self._parents,
            self._node_frames,
            list(tree.metrics),
            {name: self._column(name) for name in tree.selfs},
            self._origins,
        )
        return Stalled(made, self._places, self._parts)

    def _column(self, name: str) -> list[float]:
        column = [0.0] * len(self._parents)
        for place, value in zip(self._places, self._tree.selfs[name], strict=True):
            column[place] = value
        for place, value in self._taken.get(name, {}).items():
            column[place] = value
        return column

    def _divide(self, kernel: int, shares: Shares, own: Sequence[float], split: Split) -> None:
        """Hand a kernel's own values to its reasons; the last to take takes all that is left."""
        parts = self._parts[kernel] = self._leaves(kernel, shares, split)
        for name, whole in zip(self._divided, own, strict=True):
            taken, left = self._taken[name], whole
            taken[kernel] = 0.0
            for node, share in parts[:-1]:
                taken[node] = min(whole * share, left)
                left -= taken[node]
            taken[parts[-1][0]] = left

    def _leaves(self, kernel: int, shares: Shares, split: Split) -> list[tuple[int, float]]:
        """New nodes below a kernel that something is handed to, with their shares."""
        parts: list[tuple[int, float]] = []
        for group in GROUPS:
            members = {reason: share for reason, share in shares.items() if group_of(reason) == group}
            if not members:
                continue
            at = self._append(kernel, Frame("stall_group", group))
            rare = sum(share for share in members.values() if share < LEAST_SHARE)
            if rare:
                parts.append((at, rare))
            for reason, share in members.items():
                if share >= LEAST_SHARE:
                    node = self._append(at, Frame("stall", reason))
                    parts += self._instructions(node, share, split.get(reason, ()))
        return parts

    def _instructions(
        self, reason: int, share: float, split: Sequence[tuple[Frame, float]]
    ) -> list[tuple[int, float]]:
        """A reason with its instructions: rare and unknown ones stay in its own time."""
        shown = [(frame, share * part) for frame, part in split if share * part >= LEAST_SHARE]
        rest = share - sum(part for _, part in shown)
        return [(reason, max(rest, 0.0)), *((self._append(reason, frame), part) for frame, part in shown)]

    def _append(self, parent: int, frame: Frame) -> int:
        number = self._frame_numbers.get(frame)
        if number is None:
            number = self._frame_numbers[frame] = len(self._frames)
            self._frames.append(frame)
        self._parents.append(parent)
        self._node_frames.append(number)
        self._origins.append("sampled")
        return len(self._parents) - 1
