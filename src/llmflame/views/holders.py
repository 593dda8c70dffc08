"""Who holds how many bytes: one stacked bar, and below it categories with the owners of the big ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from llmflame.store import categories
from llmflame.units import human_bytes, percent
from llmflame.views.cells import FLAME, bar
from llmflame.views.grid import Grid, GridColumn
from llmflame.views.safe import safe_text

COLOURS = {
    categories.WEIGHTS: FLAME,
    categories.CHECKPOINT: "light_salmon3",
    categories.KV_CACHE: "dark_cyan",
    categories.ACTIVATIONS: "steel_blue",
    categories.TEMPORARIES: "medium_purple3",
    categories.TENSORS: "hot_pink3",
    categories.WORKSPACE: "gold3",
    categories.SLACK: "grey42",
    categories.CONTEXT: "grey58",
    categories.OTHER_PROCESSES: "grey30",
    categories.PINNED: "plum4",
    categories.RUNTIME: "dark_sea_green4",
    categories.OTHER: "red3",
}
SOLID, SHADES = "█", "█▓▒░"
"""Without colours the shade tells the parts of the bar apart; neighbours always differ."""
WIDEST_BAR = 96
ROW_BAR_CELLS = 10
SMALL_SHARE = 0.001
"""Categories below it share a row."""
SMALL_NAMES = 2
OWNERS_SHARE = 0.05
"""Of categories from here on the owners have rows of their own."""
MOST_OWNERS = 4
TOO_MUCH = "holders say more than was measured"


@dataclass(frozen=True, slots=True)
class Holders:
    """Bytes by category. `owners` are `{owner, bytes, count}` by category, the largest first."""

    parts: Sequence[tuple[str, float]]
    owners: Mapping[str, Sequence[Mapping[str, Any]]]
    whole: float
    residual: bool = True
    """Whether what nobody explains has its row even where it is nothing."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The bar, an empty line, the rows."""
        shown, small = self._rows()
        coloured = console.color_system is not None and not console.no_color
        marks = {
            category: Text(
                SOLID if coloured else SHADES[number % len(SHADES)], style=COLOURS.get(category, "")
            )
            for number, (category, size) in enumerate(shown)
            if size > 0
        }
        yield self._bar(shown, marks, min(options.max_width - 2, WIDEST_BAR))
        yield Text()
        yield self._grid(shown, small, marks)

    def _rows(self) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Categories that have a row, what nobody explains last; and those that share one."""
        parts = sorted((p for p in self.parts if p[0] != categories.OTHER), key=lambda part: -part[1])
        small = [part for part in parts if abs(part[1]) < SMALL_SHARE * self.whole]
        if len(small) < 2:
            small = []
        shown = [part for part in parts if part not in small]
        rest = dict(self.parts).get(categories.OTHER, 0.0)
        if self.residual or rest:
            shown.append((categories.OTHER, rest))
        return shown, small

    def _bar(self, shown: Sequence[tuple[str, float]], marks: Mapping[str, Text], width: int) -> Text:
        """One cell a share; the ends are rounded, so that the parts add up to the bar."""
        line = Text(" ", no_wrap=True, overflow="crop")
        positive = [(category, size) for category, size in shown if size > 0]
        whole = sum(size for _, size in positive) or 1.0
        done = 0.0
        for category, size in positive:
            begin, end = (round(width * share / whole) for share in (done, done + size))
            line.append_text(Text(marks[category].plain * (end - begin), style=marks[category].style))
            done += size
        return line

    def _grid(
        self, shown: Sequence[tuple[str, float]], small: list[tuple[str, float]], marks: Mapping[str, Text]
    ) -> Grid:
        grid = Grid(
            [
                GridColumn("Held as", align="left", flexible=True, keep="ends", least=44),
                GridColumn("Bytes"),
                GridColumn("Share"),
                GridColumn("", align="left", drop=1),
            ]
        )
        longest = max((size for _, size in shown), default=0.0) or 1.0
        for category, size in shown:
            if category == categories.OTHER:
                # Beside all the others, however much they are.
                if small:
                    self._small(grid, small, longest)
                small = []
            self._category(grid, category, size, marks.get(category, Text(" ")), longest)
        if small:
            self._small(grid, small, longest)
        return grid

    def _category(self, grid: Grid, category: str, size: float, mark: Text, longest: float) -> None:
        owners = self.owners.get(category, ())
        name = Text().append_text(mark).append(f" {safe_text(category, 40)}", style="bold")
        several = len(owners) > 1 and size >= OWNERS_SHARE * self.whole
        if size < 0 and category == categories.OTHER:
            name.append(f"  {TOO_MUCH}", style="dim")
        elif len(owners) == 1 and owners[0]["owner"]:
            name.append(f"  {owner_words(category, owners[0])}", style="dim")
        self._row(grid, category, name, size, longest)
        if not several:
            return
        told = 0.0
        for owner in owners[:MOST_OWNERS]:
            if abs(owner["bytes"]) < SMALL_SHARE * self.whole:
                break
            told += owner["bytes"]
            words = Text(f"    {owner_words(category, owner)}")
            self._row(grid, category, words, owner["bytes"], longest, style="dim")
        if round(size - told) and told:
            words = Text("    … the rest", style="dim")
            self._row(grid, category, words, size - told, longest, style="dim")

    def _small(self, grid: Grid, small: list[tuple[str, float]], longest: float) -> None:
        names = ", ".join(safe_text(category, 40) for category, _ in small[:SMALL_NAMES])
        if len(small) > SMALL_NAMES:
            names += ", …"
        words = Text("  ").append(f"{len(small)} smaller", style="bold").append(f"  {names}", style="dim")
        self._row(grid, "", words, sum(size for _, size in small), longest)

    def _row(
        self, grid: Grid, category: str, name: Text, size: float, longest: float, style: str = ""
    ) -> None:
        share = size / self.whole if self.whole else 0.0
        length = bar(size / longest, ROW_BAR_CELLS)
        length.stylize(f"{style} {COLOURS.get(category, '')}".strip())
        grid.add(name, Text(human_bytes(size), style=style), Text(percent(share), style=style), length)


def owner_words(category: str, owner: Mapping[str, Any]) -> str:
    """`model.layers.*.mlp × 30`."""
    unnamed = "the root module" if category == categories.WEIGHTS else "not told apart"
    name = safe_text(str(owner["owner"]), 120) or unnamed
    return f"{name} × {owner['count']:,}" if owner["count"] > 1 else name
