"""What is browsed: a profile's trees and tables, each made when it is first looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from rich.console import RenderableType

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.functions_table import functions_table
from llmflame.analysis.kernels_table import kernels_table
from llmflame.analysis.layers import with_layers_together
from llmflame.analysis.modules_table import modules_table
from llmflame.analysis.ops_table import ops_table
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.roofline import with_floors
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.stalls.shown_tree import shown_tree
from llmflame.analysis.stalls.stalls_table import stalls_table
from llmflame.analysis.steps_table import steps_table
from llmflame.analysis.tables import Table
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.profile import Profile
from llmflame.views.interactive.graph import Graph
from llmflame.views.page.held import held_columns

Of = Callable[[Tree, tuple[str, ...]], Table]
OF_PHASES: Mapping[str, Of] = {
    "functions": functions_table,
    "operators": ops_table,
    "kernels": kernels_table,
    "modules": modules_table,
}
"""Tables that can be of one phase."""
STALLS = "stalls"


@dataclass(slots=True)
class Source:
    """A profile with what was made of it so far."""

    profile: Profile
    _run: RunTree | None = None
    _graphs: dict[tuple[bool, bool], Graph] = field(default_factory=dict)
    _held: dict[bool, Graph | None] = field(default_factory=dict)

    def run(self) -> RunTree:
        """The run's tree with all frames."""
        if self._run is None:
            run = build_run_tree(self.profile)
            self._run = replace(run, tree=with_floors(run.tree, ceilings(self.profile).best))
        return self._run

    def graph(self, *, all_frames: bool, together: bool) -> Graph:
        """What ran. `together`: the numbered layers of a model as one."""
        key = (all_frames, together)
        if key not in self._graphs:
            tree = shown_tree(self.profile, self.run(), all_frames=all_frames)
            self._graphs[key] = Graph(with_layers_together(tree) if together else tree)
        return self._graphs[key]

    def held(self, *, together: bool) -> Graph | None:
        """Who held the memory at the phases' peaks; None where nobody counted."""
        if together not in self._held:
            tree = held_columns(self.profile)
            if tree is not None and together:
                tree = with_layers_together(tree)
            self._held[together] = Graph(tree) if tree is not None else None
        return self._held[together]

    def tables(self) -> list[str]:
        """The tables that the profile has something for."""
        on_device = metrics.DEVICE.name in self.run().tree.selfs
        there = {"kernels": on_device, STALLS: bool(self.profile.stalls)}
        return [name for name in (*OF_PHASES, STALLS, "steps") if there.get(name, True)]

    def table(self, name: str, phase: str | None, *, all_frames: bool) -> Table:
        """One of `tables`, of one phase or of all."""
        if name == "steps":
            return steps_table(self.profile)
        if name == STALLS:
            return stalls_table(self.profile, self.run().tree, (phase,) if phase is not None else ())
        whole = all_frames or name != "functions"
        tree = self.run().tree if whole else without_plumbing(self.run().tree)
        return OF_PHASES[name](tree, (phase,) if phase is not None else ())

    def findings(self) -> RenderableType:
        """What should be changed."""
        from llmflame.analysis.findings import find
        from llmflame.analysis.summary import finding_document
        from llmflame.views.findings import findings_view

        return findings_view([finding_document(one) for one in find(self.profile, self.run())])

    def memory(self) -> RenderableType:
        """Where the bytes are."""
        from llmflame.analysis.memory.overview import memory_document
        from llmflame.views.memory import memory_view

        return memory_view(memory_document(self.profile))
