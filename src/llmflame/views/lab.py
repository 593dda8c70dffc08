"""An experiment in a terminal: equality first, then what was gained, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.units import human_bytes, human_time_ns, percent, three_digits
from llmflame.views.cells import UNKNOWN
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.heading import heading
from llmflame.views.safe import safe_text

Document = Mapping[str, Any]
STYLES = {
    "faster": "green",
    "slower": "dark_orange3",
    "failed": "red",
    "disagrees": "bold red",
    "stock": "bold",
}
QUIET = "dim"
COLUMNS = (
    GridColumn("Row", align="left", flexible=True, least=18),
    GridColumn("Output", align="left"),
    GridColumn("Verdict", align="left"),
    GridColumn("Speed-up"),
    GridColumn("99 % interval", drop=2),
    GridColumn("tok/s"),
    GridColumn("TTFT", drop=4),
    GridColumn("TPOT", drop=1),
    GridColumn("MBU", drop=3),
    GridColumn("MFU", drop=8),
    GridColumn("Memory", drop=5),
    GridColumn("", align="left", drop=5),
    GridColumn("J/token", drop=7),
    GridColumn("Compile", drop=6),
)


def lab_view(document: Document) -> RenderableType:
    """The document of `llmflame lab --json` as a screen."""
    parts: list[RenderableType] = heading(document["subject"], document["status"], document["reason"])
    parts += [_table(document["rows"]), *_ladder(document), Text()]
    parts += [*_words(document["rows"]), *_about(document)]
    return Group(*parts)


def _table(rows: Sequence[Document]) -> Grid:
    grid = Grid(list(COLUMNS))
    for row in rows:
        figures, gain = row["figures"] or {}, row["speedup"]
        verdict = row["verdict"]
        dim = QUIET if verdict in ("skipped", "unclear") else ""
        grid.add(
            Text(safe_text(row["label"], 120), style=dim),
            output_word(row),
            Text(verdict, style=STYLES.get(verdict, QUIET)),
            Text("" if gain is None else f"×{three_digits(gain['ratio'])}", style=STYLES.get(verdict, QUIET)),
            "" if gain is None else f"×{three_digits(gain['low'])} – {three_digits(gain['high'])}",
            _known(figures.get("tokens_per_s"), three_digits),
            _known(figures.get("ttft_ns"), human_time_ns),
            _known(figures.get("tpot_ns"), human_time_ns),
            _known(figures.get("mbu"), percent),
            _known(figures.get("mfu"), percent),
            _known(figures.get("peak_bytes"), human_bytes),
            Text({"needs more": "more", "needs less": "less"}.get(row["memory"] or "", ""), style=QUIET),
            _known(figures.get("joule_per_token"), three_digits),
            _known(figures.get("compile_ns"), human_time_ns),
        )
    return grid


def output_word(row: Document) -> Text:
    """Whether the output agrees, in a word; approximate rows never are called equal."""
    verdict = row["agreement"]["verdict"]
    if row["verdict"] == "stock":
        return Text(UNKNOWN, style=QUIET)
    if verdict == "unchecked":
        return Text(UNKNOWN, style=QUIET)
    if verdict == "disagrees":
        return Text("differs", style="bold red")
    return Text({"bitwise": "same bits", "approximate": "close"}.get(row["class"], "agrees"))


def _known(value: float | None, words: Any) -> Text:
    return Text("", style=QUIET) if value is None else Text(words(value))


def _ladder(document: Document) -> list[RenderableType]:
    rungs = document["ladder"]
    if not rungs:
        return []
    rows = {(row["row"], row["batch"]): row for row in document["rows"]}
    grid = Grid([GridColumn("Ladder", align="left", flexible=True), GridColumn("step"), GridColumn("in all")])
    for rung in rungs:
        row = rows[rung["row"], rung["batch"]]
        whole, step = row["speedup"], row["step_speedup"] or row["speedup"]
        grid.add(
            safe_text(row["row"], 120),
            "" if step is None else f"×{three_digits(step['ratio'])}",
            "×1" if whole is None else f"×{three_digits(whole['ratio'])}",
        )
    return [Text(), grid]


def _words(rows: Sequence[Document]) -> list[RenderableType]:
    """What a table's cell has no room for: why, and by what measure."""
    lines: list[RenderableType] = []
    for row in rows:
        reason = row["reason"] if row["verdict"] in ("failed", "skipped", "disagrees", "unclear") else None
        told = [reason] if reason else []
        if row["agreement"]["verdict"] == "agrees" and row["speedup"] is not None:
            told.append(f"{row['class']}: {row['agreement']['words']}")
        if row["speedup"] is not None and row["judged_by"] != "request":
            told.append(f"judged by its {row['judged_by']}")
        told += row["notes"]
        if told:
            text = Text(f"{safe_text(row['label'], 80)}  ", style="bold")
            lines.append(Paragraph(text.append(safe_text("; ".join(told), 600), style="not bold"), hang=2))
    return [*lines, Text()] if lines else []


def _about(document: Document) -> list[RenderableType]:
    subject, limits = document["subject"], document["ceilings"]
    words = [
        f"Each row ran in {subject['rounds']} fresh processes, {subject['repetitions']} requests each after "
        f"{subject['warmups']} of warm-up, in rounds of random order; ratios are of one round's processes."
    ]
    if subject["random_weights"]:
        words.append(
            "The weights are random: that outputs agree says little, speeds and memory are what they are."
        )
    rates = limits["measured"]
    if rates["bytes_per_s"] is None:
        words.append("MBU and MFU need measured ceilings, or published ones: llmflame machine --measure.")
    return [Paragraph(Text(word, style=QUIET)) for word in words]
