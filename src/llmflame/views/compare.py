"""Two profiles in a terminal: what differs between the runs, then what that changed, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.store.model import Metric
from llmflame.units import human_bytes, human_time_ns, three_digits
from llmflame.views.cells import UNKNOWN, amount, frame_name
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.heading import ALARM, status_lines, title
from llmflame.views.safe import safe_text
from llmflame.views.stall_groups import stall_changes

Document = Mapping[str, Any]
GOOD, BAD = "green", "dark_orange3"
STYLES = {"faster": GOOD, "less": GOOD, "slower": BAD, "more": BAD}
QUIET = "dim"
MOST_DIFFERENCES = 24
SIDES = {"a": "only A", "b": "only B", None: ""}
SIGNS = {"a": "-", "b": "+"}


def compare_view(document: Document, metric: Metric) -> RenderableType:
    """The document of `llmflame diff --json` as a screen."""
    parts: list[RenderableType] = [*_heads(document), *_forced(document), Text(), *_differs(document)]
    parts += [Text(), _figures(document["figures"], ""), Text(), _figures(document["phases"], "Phase")]
    parts += _section("Findings", _findings(document["findings"]))
    calls = document["calls"]
    parts += _section("Called more or less often", _calls(calls), _more(document, "calls"))
    parts += _section("Times, peaks and counts that changed", _amounts(document))
    parts += _section("Why kernels wait, by GPU time", stall_changes(document["stalls"]))
    label = metric.label
    for name, words in (("modules", "modules' own"), ("frames", "frames' own")):
        rows = [row for row in document[name] if row["a"] != row["b"]]
        heading = f"{label}, {words}: the largest changes"
        parts += _section(heading, _changes(rows, document["unit"], name), _more(document, name))
    return Group(*parts, Text(), *_notes(document))


def _heads(document: Document) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for side in ("a", "b"):
        run = document[side]
        head = Text(f"{side.upper()}  ", style="bold").append(f"{safe_text(run['file'], 60)}  ", style=QUIET)
        lines.append(Paragraph(head.append_text(title(run["subject"])), hang=3))
        lines += status_lines(run["status"], run["reason"])[1:]
    return lines


def _forced(document: Document) -> list[RenderableType]:
    if document["forced"] is None:
        return []
    badge = Text().append(" NOT ALIKE ", style=ALARM)
    words = f" A and B differ in their {safe_text(document['forced'], 400)}: --unlike compared them."
    return [Text(), Paragraph(badge.append(words))]


def _differs(document: Document) -> list[RenderableType]:
    found = document["differs"]
    if not found:
        return [Paragraph(Text("The runs differ in nothing that was recorded of them."))]
    text = Text("Different  ", style="bold")
    for number, one in enumerate(found[:MOST_DIFFERENCES]):
        text.append(" · " if number else "", style=QUIET)
        text.append(f"{safe_text(one['name'], 60)} ")
        text.append(f"{_value(one['name'], one['a'])} → {_value(one['name'], one['b'])}", style="cyan")
    if len(found) > MOST_DIFFERENCES:
        text.append(f" · and {len(found) - MOST_DIFFERENCES} more: --json lists them", style=QUIET)
    return [Paragraph(text, hang=0)]


def _value(name: str, value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("bytes") and isinstance(value, int | float):
        return human_bytes(value)
    return f"{value:,}" if isinstance(value, int) else safe_text(str(value), 60)


def _figures(rows: Sequence[Document], label: str) -> RenderableType:
    grid = Grid(
        [
            GridColumn(label, align="left"),
            GridColumn("A"),
            GridColumn("B"),
            GridColumn("Change"),
            GridColumn("95 % interval", drop=1),
            GridColumn("", align="left"),
            GridColumn("Repetitions", align="left", drop=2),
        ]
    )
    for row in rows:
        verdict = row["verdict"]
        few = f"{row['repetitions_a']} and {row['repetitions_b']}"
        grid.add(
            safe_text(row["label"], 30),
            _figure(row["a"], row["unit"]),
            Text(_figure(row["b"], row["unit"]), style="bold"),
            _percent(row["ratio"]),
            "" if row["low"] is None else f"{_percent(row['low'])} to {_percent(row['high'])}",
            Text(verdict, style=STYLES.get(verdict, QUIET)),
            Text(few, style=QUIET),
        )
    return grid


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return UNKNOWN
    return human_time_ns(value) if unit == "ns" else f"{three_digits(value)} tok/s"


def _percent(ratio: float | None) -> str:
    """A ratio as a change: `+6.7 %`, `-12 %`; what more than doubled as a factor: `×3.6`."""
    if ratio is None:
        return UNKNOWN
    if ratio >= 2:
        return f"×{three_digits(ratio)}" if ratio < 1_000 else "×>1000"
    change = (ratio - 1) * 100
    return f"{change:+.1f} %" if round(change, 1) else "0 %"


def _amounts(document: Document) -> RenderableType | None:
    """Of times other than wall, peaks and counts: those that are not the same."""
    rows = [
        row
        for row in (*document["times"], *document["peaks"], *document["counts"])
        if row["metric"] != "wall_ns" and row["verdict"] not in ("same", "noise", "unknown")
    ]
    missing = [row for row in document["times"] if row["a"] is None or row["b"] is None]
    if not rows and not missing:
        return None
    grid = Grid([GridColumn("Phase", align="left"), GridColumn("", align="left", drop=1),
                 *map(GridColumn, ("A", "B", "Change")), GridColumn("", align="left")])  # fmt: skip
    for row in _together([*missing, *rows]):
        unit = row["unit"]
        here = [UNKNOWN if row[side] is None else amount(row[side], unit) for side in ("a", "b")]
        word = (
            row["verdict"] if None not in (row["a"], row["b"]) else "only B" if row["a"] is None else "only A"
        )
        ratio = row["b"] / row["a"] if row["a"] and row["b"] is not None else None
        style = STYLES.get(word, QUIET)
        grid.add(safe_text(row["phase"], 30), row["label"], *here, _percent(ratio), Text(word, style=style))
    return grid


def _together(rows: Sequence[Document]) -> list[Document]:
    """Phases in a row with the same numbers as one: `warmup … decode`. A process has one high-water mark."""
    found: list[Document] = []
    for _, group in groupby(rows, key=_as_shown):
        members = list(group)
        first, last = members[0]["phase"], members[-1]["phase"]
        found.append({**members[0], "phase": first if len(members) == 1 else f"{first} … {last}"})
    return found


def _as_shown(row: Document) -> tuple[str, ...]:
    both = (row["a"], row["b"])
    return (row["metric"], *(UNKNOWN if value is None else amount(value, row["unit"]) for value in both))


def _findings(rows: Sequence[Document]) -> RenderableType | None:
    lines = []
    for row in rows:
        style = BAD if row["only"] == "b" else GOOD
        text = Text(f"{SIGNS[row['only']]} ", style=f"bold {style}").append(safe_text(row["title"], 200))
        lines.append(Paragraph(text.append(f"  {SIDES[row['only']]}", style=QUIET), hang=2))
    return Group(*lines) if lines else None


def _calls(rows: Sequence[Document]) -> RenderableType | None:
    grid = Grid(
        [
            GridColumn("A"),
            GridColumn("B"),
            GridColumn("Time with it", drop=1),
            GridColumn("", align="left"),
            GridColumn("", align="left", flexible=True, keep="ends", least=40),
        ]
    )
    for row in rows:
        time = human_time_ns(row["time_ns"]) if row["time_ns"] else ""
        only = Text(SIDES[row["only"]], style=BAD if row["only"] == "b" else GOOD)
        grid.add(f"{row['a']:,} ×", f"{row['b']:,} ×", Text(time, style=QUIET), only, _place(row))
    return grid if rows else None


def _changes(rows: Sequence[Document], unit: str, name: str) -> RenderableType | None:
    grid = Grid(
        [
            GridColumn("Change"),
            GridColumn("A", drop=1),
            GridColumn("B", drop=1),
            GridColumn("", align="left"),
            GridColumn("", align="left", flexible=True, keep="ends", least=36),
        ]
    )
    for row in rows:
        change, verdict = row["b"] - row["a"], row["verdict"]
        style = STYLES.get(verdict, QUIET)
        word = verdict if row["only"] is None else f"{verdict}, {SIDES[row['only']]}"
        grid.add(
            Text(("+" if change > 0 else "") + amount(change, unit), style=f"bold {style}"),
            amount(row["a"], unit),
            amount(row["b"], unit),
            Text(word, style=style),
            _module(row) if name == "modules" else _place(row),
        )
    return grid if rows else None


def _place(row: Document) -> Text:
    """`phase name  module × 30  file:line`."""
    text = Text(f"{safe_text(row['phase'], 30)} ", style=QUIET)
    text.append_text(Text(frame_name(row["name"], row["kind"], 120), style=""))
    if row["module"] is not None:
        text.append(f"  {safe_text(row['module'])}", style="cyan")
        if row["modules"] > 1:
            text.append(f" × {row['modules']}", style=QUIET)
    if row["file"]:
        line = f":{row['line']}" if row["line"] is not None else ""
        text.append(f"  {safe_text(row['file'])}{line}", style=QUIET)
    return text


def _module(row: Document) -> Text:
    text = Text(f"{safe_text(row['phase'], 30)} ", style=QUIET)
    if row["module"] is None:
        return text.append(safe_text(row["name"], 120))
    text.append(safe_text(row["module"]), style="cyan")
    times = f" × {row['modules']}" if row["modules"] > 1 else ""
    return text.append(f"{times}  {safe_text(row['name'], 60)}", style=QUIET)


def _section(
    heading: str, body: RenderableType | None, below: RenderableType | None = None
) -> list[RenderableType]:
    if body is None:
        return []
    found: list[RenderableType] = [Text(), Paragraph(Text(heading, style="bold")), body]
    return found if below is None else [*found, below]


def _more(document: Document, name: str) -> RenderableType | None:
    hidden = document["counted"][name] - len(document[name])
    words = f"{hidden:,} more: --limit {document['counted'][name]} shows all"
    return Paragraph(Text(words, style=QUIET)) if hidden > 0 else None


def _notes(document: Document) -> list[RenderableType]:
    notes = [
        "Intervals are of the ratio B / A, from the repetitions, and "
        f"{document['between_recordings'] * 100:.1f} % wider for what two recordings differ by. "
        "noise: no more than the frame's phase may be off. unknown: measured once."
    ]
    if any(run["status"] != "complete" for run in (document["a"], document["b"])):
        notes.append("A run that did not end has fewer phases and repetitions than it would have had.")
    lines: list[RenderableType] = [Paragraph(Text(note, style=QUIET)) for note in notes]
    return lines
