"""What an export is asked for, and what several formats make of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.memory.composition import Composition, compositions
from llmflame.analysis.memory.held_tree import METRIC, held_tree
from llmflame.analysis.phases import phase_spans
from llmflame.analysis.plumbing import Shown, shown
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.stalls.stalled_tree import Stalled, stalled
from llmflame.analysis.tables import check_phases
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile


@dataclass(frozen=True)
class Request:
    """A profile and what of it is wanted. Raises UsageError where a phase isn't in it."""

    profile: Profile
    phases: tuple[str, ...] = ()
    """Only these; all of the run where there are none."""
    metric: str = "wall"
    view: str = "functions"
    all_frames: bool = False
    """Keep frames that only pass a call on."""

    def __post_init__(self) -> None:
        check_phases(self.phases, [span.name for span in phase_spans(self.profile)])

    @property
    def title(self) -> str:
        """The model's name, else the profile's."""
        return str(self.profile.subject.get("model") or self.profile.path.stem)

    def wants(self, phase: str) -> bool:
        """Whether a phase was asked for."""
        return not self.phases or phase in self.phases

    @cached_property
    def run(self) -> RunTree:
        """The tree of the whole run, with all frames."""
        return build_run_tree(self.profile)

    @cached_property
    def stalled(self) -> Stalled:
        """What is shown of it, with stalls where they were sampled."""
        tree = self.run.tree if self.all_frames else self._shown.tree
        if not self.profile.stalls:
            return Stalled(tree, range(len(tree)), {})
        places = self.places()
        nodes = {
            phase: {number: places[node] for number, node in found.items()}
            for phase, found in self.run.nodes.items()
        }
        return stalled(tree, self.profile, nodes)

    @cached_property
    def tree(self) -> Tree:
        """The run's tree with stalls below its kernels, and with what was asked for alone: the own values of
        other phases are 0."""
        tree = self.stalled.tree
        if not self.phases:
            return tree
        inside = [phase in self.phases for phase in phases_of(tree)]
        selfs = {
            name: [value if here else 0.0 for value, here in zip(column, inside, strict=True)]
            for name, column in tree.selfs.items()
        }
        return Tree(tree.frames, tree.parents, tree.node_frames, tree.metrics, selfs, tree.origins)

    @cached_property
    def _shown(self) -> Shown:
        return shown(self.run.tree)

    def places(self) -> Sequence[int]:
        """By node of the whole run's tree: the node that its numbers are in where frames are left out."""
        return range(len(self.run.tree)) if self.all_frames else self._shown.places()

    @cached_property
    def peaks(self) -> list[Composition]:
        """Who held what at the peaks of the phases that were asked for."""
        return [one for one in compositions(self.profile) if self.wants(one.phase)]

    def held(self, peak: Composition) -> tuple[Tree, str]:
        """The bytes of a peak as a tree, and the name of its metric."""
        return held_tree(self.profile, peak, all_frames=self.all_frames), METRIC[peak.space].name
