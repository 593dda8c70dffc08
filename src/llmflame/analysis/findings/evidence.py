"""What the rules of the findings look at: one profile, with its tree, its ceilings, and what-if runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from llmflame.analysis.ceiling import Ceilings, ceilings
from llmflame.analysis.findings.places import Place, places
from llmflame.analysis.memory.composition import Composition, compositions
from llmflame.analysis.memory.growth import Growth, growth
from llmflame.analysis.phases import COLD_START, GENERATION, REQUEST_PHASES, phase_spans
from llmflame.analysis.replay import Change, Model, steady_ns, together
from llmflame.analysis.run_tree import PhaseTree, RunTree
from llmflame.analysis.top_table import layers_together
from llmflame.analysis.windows import ScaledWindow
from llmflame.store import metrics
from llmflame.store.model import Fact
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow

Chosen = Callable[[Place], bool]


@dataclass
class Evidence:
    """A profile as the rules see it."""

    profile: Profile
    run: RunTree
    claimed: list[Change] = field(default_factory=list)
    """The changes of findings made so far: what is more general counts only what they leave."""
    runs_ahead: bool = False
    """Whether one of those changes lets the host run ahead into the next step."""
    _models: dict[int, Model] = field(default_factory=dict)

    @cached_property
    def places(self) -> Mapping[int, Place]:
        """Where each node lies."""
        return places(self.profile)

    @cached_property
    def spans(self) -> Mapping[str, SpanRow]:
        """The run's phases by name."""
        return {span.name: span for span in phase_spans(self.profile)}

    @cached_property
    def peaks(self) -> list[Composition]:
        """Who held what at the peaks of the phases."""
        return compositions(self.profile)

    @cached_property
    def grown(self) -> list[Growth]:
        """What a decode step adds to memory."""
        return growth(self.profile)

    @cached_property
    def limits(self) -> Ceilings:
        """The ceilings of the device."""
        return ceilings(self.profile)

    @cached_property
    def facts(self) -> Mapping[tuple[str, str], Fact]:
        """The machine's facts by section and name."""
        return {(fact.section, fact.name): fact for fact in self.profile.machine}

    @property
    def on_device(self) -> bool:
        """Did a GPU work?"""
        return metrics.IDLE.name in self.run.tree.selfs

    @property
    def request_ns(self) -> float:
        """One request: the scope of most findings."""
        return float(sum(span.wall_ns for name, span in self.spans.items() if name in REQUEST_PHASES))

    @property
    def cold_start_ns(self) -> float:
        """From the process' start until the model is loaded."""
        return float(sum(span.wall_ns for name, span in self.spans.items() if name in COLD_START))

    def wall_ns(self, *phases: str) -> float:
        """The wall time of some phases."""
        return float(sum(self.spans[name].wall_ns for name in phases if name in self.spans))

    def phases(self, names: Iterable[str] = GENERATION) -> list[PhaseTree]:
        """Some phases with their windows."""
        wanted = set(names)
        return [phase for phase in self.run.phases if phase.span.name in wanted]

    def sum(self, chosen: Chosen, metric: str, names: Iterable[str] = GENERATION) -> float:
        """A metric over the nodes that a rule chose, in undisturbed time."""
        where = self.places
        return sum(
            value
            for phase in self.phases(names)
            for node, value in phase.columns.get(metric, {}).items()
            if value and chosen(where[node])
        )

    def heaviest(
        self, chosen: Chosen, metric: str, limit: int = 3, names: Iterable[str] = GENERATION
    ) -> tuple[str, ...]:
        """The frames that hold most of a metric among those that a rule chose; a model's layers are one."""
        sums: dict[str, float] = {}
        for phase in self.phases(names):
            for node, value in phase.columns.get(metric, {}).items():
                place = self.places[node]
                if value and chosen(place):
                    module = None if place.module is None else layers_together(place.module)
                    parts = (phase.span.name, module, place.operator or name_of(place))
                    words = " › ".join(part for part in parts if part)
                    sums[words] = sums.get(words, 0.0) + value
        ranked = sorted(sums, key=lambda words: -sums[words])
        return tuple(ranked[:limit])

    def change(
        self,
        chosen: Chosen,
        *,
        host: float = 1.0,
        device: float | Callable[[Place], float] = 1.0,
        waits: bool = True,
    ) -> Change:
        """What would be different if the chosen frames took `host` and `device` times as long."""
        known = self.places

        def host_factor(node: int) -> float:
            return host if chosen(known[node]) else 1.0

        def device_factor(node: int) -> float:
            if not chosen(known[node]):
                return 1.0
            return device(known[node]) if callable(device) else device

        def waits_there(node: int) -> bool:
            return waits or not chosen(known[node])

        return Change(host_factor, device_factor, waits_there)

    def gain_ns(
        self, *changes: Change, names: Iterable[str] = GENERATION, beyond_claimed: bool = False
    ) -> float:
        """How much shorter a request would be with these changes, at most.

        With `beyond_claimed`, how much shorter than with the changes of all findings made so far.
        """
        before = self.claimed if beyond_claimed else []
        return sum(
            self._gain_ns(window, before, [*before, *changes])
            for phase in self.phases(names)
            for window in phase.windows
        )

    def overlapped_gain_ns(self, change: Change, names: Iterable[str] = ("decode",)) -> float:
        """The same for a change that lets the host run ahead into the next step.

        A step then takes as long as the busier of host and device.
        """
        found = 0.0
        for phase in self.phases(names):
            for window in phase.windows:
                model = self.model(window)
                if model is None or not model.unchanged_ns:
                    continue
                before = model.changed_ns(self.claimed)
                saved = before - steady_ns(model.timeline, together([*self.claimed, change]))
                found += max(saved, 0.0) / model.unchanged_ns * window.time_ns
        return found

    def model(self, window: ScaledWindow) -> Model | None:
        """A window's timeline to be run; None where no device worked in it."""
        if window.timeline is None:
            return None
        known = self._models.get(window.row.id)
        if known is None:
            known = self._models[window.row.id] = Model(window.timeline)
        return known

    @staticmethod
    def _step_ns(model: Model, changes: list[Change], ahead: bool) -> float:
        return steady_ns(model.timeline, together(changes)) if ahead else model.changed_ns(changes)

    def _gain_ns(self, window: ScaledWindow, before: list[Change], after: list[Change]) -> float:
        model = self.model(window)
        if model is None:
            shares = zip(window.numbers, window.scaled.shares, strict=True)
            was, then = together(before), together(after)
            return window.time_ns * sum(share * (was.host(node) - then.host(node)) for node, share in shares)
        if not model.unchanged_ns:
            return 0.0
        ahead = self.runs_ahead and bool(before)
        saved = self._step_ns(model, before, ahead) - self._step_ns(model, after, ahead)
        return max(saved, 0.0) / model.unchanged_ns * window.time_ns


def name_of(place: Place) -> str:
    """A frame in words: a function with its file."""
    frame = place.function if place.function is not None else place.frame
    return f"{frame.name} ({frame.file}:{frame.line})" if frame.file else frame.name
