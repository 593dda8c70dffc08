"""The browser: a title, views of which one is shown, details beside or below it, one line at the bottom."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import ContentSwitcher, Input, Static

from llmflame.views.heading import status_lines, title
from llmflame.views.interactive.chooser import Chooser, Help
from llmflame.views.interactive.graph import Look
from llmflame.views.interactive.keys import HINT
from llmflame.views.interactive.metrics import choices
from llmflame.views.interactive.rows import RowList
from llmflame.views.interactive.source import Source
from llmflame.views.interactive.table_pane import TablePane
from llmflame.views.interactive.tabs import Tabs
from llmflame.views.interactive.text_pane import TextPane
from llmflame.views.interactive.tree_pane import TreePane
from llmflame.views.safe import safe_text

WIDE = 116
"""Cells from which on details stand beside the tree."""
ALL_PHASES = "all phases"
THEME = "ansi-dark"


class Browser(App[None]):
    """Looks at one profile."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title, #look, #below { height: 1; padding: 0 0; }
    #title, #look, #below, Tabs { text-wrap: nowrap; }
    #status { height: auto; max-height: 6; }
    #body { layout: vertical; height: 1fr; }
    #views { height: 2fr; }
    #details { height: 1fr; min-height: 6; border-top: solid $primary; scrollbar-size-vertical: 1; }
    .wide #body { layout: horizontal; }
    .wide #views { height: 100%; width: 1fr; }
    .wide #details { height: 100%; width: 46; border-top: none; border-left: solid $primary; }
    #search { height: 1; border: none; padding: 0 1; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("question_mark", "help", show=False),
        Binding("m", "metric", show=False),
        Binding("p", "phase", show=False),
        Binding("s", "sort", show=False),
        Binding("l", "layers", show=False),
        Binding("a", "frames", show=False),
        Binding("d", "details", show=False),
        Binding("right_square_bracket", "scroll_details(3)", show=False),
        Binding("left_square_bracket", "scroll_details(-3)", show=False),
        Binding("slash", "search", show=False),
        Binding("n", "next(1)", show=False),
        Binding("N", "next(-1)", show=False),
        Binding("escape", "stop", show=False),
        Binding("tab", "turn(1)", show=False, priority=True),
        Binding("shift+tab", "turn(-1)", show=False, priority=True),
        *(Binding(str(number), f"view({number})", show=False) for number in range(1, 10)),
    ]

    def __init__(self, source: Source) -> None:
        # The terminal's own colours, as in everything else that is printed; with NO_COLOR none at all.
        super().__init__(ansi_color=True)
        self.theme = THEME
        self._source = source
        self._phase: str | None = None
        self._heaviest, self._together, self._all_frames = True, False, False
        graph = source.graph(all_frames=False, together=False)
        held = source.held(together=False)
        self._choices = choices(graph.tree, held.tree if held is not None else None)
        self._choice = self._choices[0] if self._choices else None
        self._tables = source.tables()
        self._stale = set(self._tables)
        """Tables that are not of the phase or the frames that are looked at now."""

    @property
    def names(self) -> list[str]:
        """Of the views, in their order."""
        return ["tree", *self._tables, "findings", "memory"]

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        profile = self._source.profile
        yield Static(title(profile.subject), id="title", markup=False)
        lines = status_lines(profile.run.status, profile.run.reason)
        if lines:
            yield Static(Group(*lines[1:]), id="status", markup=False)
        yield Tabs(self.names)
        yield Static("", id="look", markup=False)
        with Container(id="body"):
            with ContentSwitcher(initial="tree", id="views"):
                yield TreePane(self._look())
                yield from (TablePane(name) for name in self._tables)
                yield TextPane("findings", self._source.findings)
                yield TextPane("memory", self._source.memory)
            with VerticalScroll(id="details", can_focus=False):
                yield Static("", id="detail", markup=False)
        yield Input(placeholder="a part of a name, a module or a file", id="search")
        yield Static(HINT, id="below", markup=False)

    def _look(self) -> Look:
        choice = self._choice
        held = self._source.held(together=self._together) if choice is not None and choice.held else None
        graph = held or self._source.graph(all_frames=self._all_frames, together=self._together)
        metric, unit = (choice.metric.name, choice.metric.unit) if choice is not None else ("wall_ns", "ns")
        # A peak is of one phase already.
        phase = None if held is not None else self._phase
        return Look(graph, metric, unit, phase, self._heaviest)

    def on_mount(self) -> None:
        """Begin with the tree."""
        self._tell()
        self.query_one(TreePane).focus()

    def on_resize(self, event: events.Resize) -> None:
        """Details stand where there is room."""
        self.screen_stack[0].set_class(event.size.width >= WIDE, "wide")

    @property
    def _view(self) -> RowList | TextPane:
        switcher = self.screen_stack[0].query_one("#views", ContentSwitcher)
        found = switcher.visible_content
        assert isinstance(found, RowList | TextPane)
        return found

    def _tell(self) -> None:
        """The line below the views' names: what is looked at, and how."""
        name = self._view.id
        words = [safe_text(self._phase, 40) if self._phase is not None else ALL_PHASES]
        if name == "tree":
            choice = self._choice
            if choice is not None:
                words = [choice.label] if choice.held else [choice.label, *words]
            words.append("heaviest first" if self._heaviest else "call order")
            words.append("layers together" if self._together else "layers apart")
        elif name not in self._tables or name == "steps":
            words = []
        if self._all_frames and name in ("tree", "functions"):
            words.append("all frames")
        text = Text(" " + " · ".join(words), style="bold", no_wrap=True)
        self._base("#look").update(text)
        view = self._view
        told = view.told() if isinstance(view, RowList) else ""
        below = f" {told}   n next  N last  Esc end" if told else f" {HINT}"
        self._base("#below").update(Text(below, style="bold" if told else "dim", no_wrap=True))

    def _base(self, selector: str) -> Static:
        return self.screen_stack[0].query_one(selector, Static)

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Show the details of another row."""
        rows = event.rows
        if rows is self._view:
            self._tell_details(rows)

    def _tell_details(self, rows: RowList) -> None:
        self._base("#detail").update(rows.details())
        self.screen_stack[0].query_one("#details").scroll_home(animate=False)

    def on_tabs_chosen(self, event: Tabs.Chosen) -> None:
        """Show the view whose name was clicked."""
        self.action_view(event.place + 1)

    def action_view(self, number: int) -> None:
        """Show a view by its number."""
        if number > len(self.names) or len(self.screen_stack) > 1:
            return
        name = self.names[number - 1]
        if name in self._stale:
            self._stale.discard(name)
            pane = self.query_one(f"#{name}", TablePane)
            pane.show(self._source.table(name, self._phase, all_frames=self._all_frames))
        self.query_one("#views", ContentSwitcher).current = name
        self.query_one(Tabs).show(number - 1)
        view = self._view
        view.focus()
        self.query_one("#details").display = not isinstance(view, TextPane) and self._details_wanted
        if isinstance(view, RowList):
            view.put(view.cursor)
            self._tell_details(view)
        self._tell()

    _details_wanted = True

    def action_turn(self, by: int) -> None:
        """Show the next or the last view."""
        here = self.names.index(str(self._view.id))
        self.action_view((here + by) % len(self.names) + 1)

    def action_details(self) -> None:
        """Details on or off."""
        self._details_wanted = not self._details_wanted
        self.query_one("#details").display = self._details_wanted and not isinstance(self._view, TextPane)

    def action_scroll_details(self, lines: int) -> None:
        """Read on in the details, or back."""
        self.query_one("#details").scroll_relative(y=lines, animate=False)

    def _again(self) -> None:
        """Show what is looked at now."""
        self.screen_stack[0].query_one(TreePane).show(self._look())
        self._stale = set(self._tables)
        name = str(self._view.id)
        if name in self._stale:
            self._stale.discard(name)
            table = self._source.table(name, self._phase, all_frames=self._all_frames)
            self.screen_stack[0].query_one(f"#{name}", TablePane).show(table)
        self._tell()

    def action_metric(self) -> None:
        """Choose what the tree is by."""
        at = self._choices.index(self._choice) if self._choice in self._choices else 0

        def chosen(place: int | None) -> None:
            if place is not None:
                self._choice = self._choices[place]
                self._again()

        if self._choices:
            labels = [choice.label for choice in self._choices]
            self.push_screen(Chooser("Metric", labels, at), chosen)

    def action_phase(self) -> None:
        """Choose what part of the run is looked at."""
        phases = self._source.graph(all_frames=False, together=False).phases()
        at = phases.index(self._phase) + 1 if self._phase in phases else 0

        def chosen(place: int | None) -> None:
            if place is not None:
                self._phase = phases[place - 1] if place else None
                self._again()

        names = [ALL_PHASES, *(safe_text(phase, 50) for phase in phases)]
        self.push_screen(Chooser("Phase", names, at), chosen)

    def action_sort(self) -> None:
        """Change the order of what is shown."""
        view = self._view
        if isinstance(view, TablePane):
            view.action_sort()
        elif isinstance(view, TreePane):
            self._heaviest = not self._heaviest
            self._again()

    def action_layers(self) -> None:
        """Layers together or apart."""
        self._together = not self._together
        self._again()

    def action_frames(self) -> None:
        """All frames, or without those that only pass a call on."""
        self._all_frames = not self._all_frames
        self._again()

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_search(self) -> None:
        """Ask what to search for."""
        if isinstance(self._view, TextPane):
            return
        field = self.query_one("#search", Input)
        field.value = ""
        field.display = True
        self.query_one("#below").display = False
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search."""
        self._end_input()
        view = self._view
        if isinstance(view, RowList):
            view.search(event.value)
        self._tell()

    def _end_input(self) -> None:
        self.query_one("#search", Input).display = False
        self.query_one("#below").display = True
        self._view.focus()

    def action_next(self, step: int) -> None:
        """To the next or the last one that was found."""
        view = self._view
        if isinstance(view, RowList):
            view.go(step)

    def action_stop(self) -> None:
        """End the search."""
        self._end_input()
        view = self._view
        if isinstance(view, RowList):
            view.search("")
        self._tell()
