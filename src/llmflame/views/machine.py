"""The machine's facts in a terminal: one table a section, each value beside where it was read."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmflame.store.model import Fact
from llmflame.units import human_bytes, human_rate, human_time_ns
from llmflame.views.safe import safe_text

VALUE_LIMIT = 800
NOT_AFFECTED = "Not affected"
CALM_NAME = "not affected by"
Row = tuple[str, Text, str]
"""Name, value and source."""
_TITLES = {"cpu": "CPU", "gpu": "GPU", "torch": "torch"}


def machine_view(facts: list[Fact]) -> RenderableType:
    """All facts, grouped by section in the order of the list. Unknown values are shown as `unknown`."""
    sections: dict[str, list[Fact]] = {}
    for fact in facts:
        sections.setdefault(fact.section, []).append(fact)
    if not sections:
        return Text("No facts about a machine.")
    name_width = max(len(CALM_NAME), *(len(safe_text(fact.name, 40)) for fact in facts))
    parts: list[RenderableType] = []
    for number, (section, members) in enumerate(sections.items()):
        if number:
            parts.append(Text())
        parts.append(Text(_title(section), style="bold"))
        parts.append(_table(_rows(section, members), name_width))
    return Group(*parts)


def _title(section: str) -> str:
    word, space, rest = safe_text(section).partition(" ")
    return _TITLES.get(word, word[:1].upper() + word[1:]) + space + rest


def _table(rows: Iterable[Row], name_width: int) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(width=name_width + 2, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for name, value, source in rows:
        table.add_row(Text(f"  {safe_text(name, 40)}"), value, Text(safe_text(source), style="dim"))
    return table


def _rows(section: str, facts: list[Fact]) -> list[Row]:
    if section == "mitigations":
        return _mitigations(facts)
    if section == "caches":
        return _caches(facts)
    return [(fact.name, _value(fact), fact.source) for fact in facts]


def _mitigations(facts: list[Fact]) -> list[Row]:
    """Most lines of this section say that nothing is done: they are counted, the others shown."""
    calm = [fact for fact in facts if fact.value == NOT_AFFECTED]
    rows = [(fact.name, _value(fact), fact.source) for fact in facts if fact.value != NOT_AFFECTED]
    if calm:
        rows.append((CALM_NAME, Text(f"{len(calm)} others"), calm[0].source.rpartition("/")[0]))
    return rows


def _caches(facts: list[Fact]) -> list[Row]:
    """One row a cache: its size, and after that the other properties of the same cache."""
    rows: list[Row] = []
    label = ""
    for fact in facts:
        if fact.name.endswith(" size"):
            label = fact.name.removesuffix(" size")
            rows.append((label, _value(fact), fact.source))
        elif label and fact.name.startswith(f"{label} "):
            rows[-1][1].append(f", {safe_text(fact.name.removeprefix(label).strip(), 40)} ").append(
                _value(fact)
            )
        else:
            rows.append((fact.name, _value(fact), fact.source))
    return rows


def _value(fact: Fact) -> Text:
    if fact.value is None:
        return Text("unknown", style="yellow")
    if isinstance(fact.value, bool):
        return Text("yes" if fact.value else "no")
    if isinstance(fact.value, str):
        return Text(safe_text(fact.value, VALUE_LIMIT))
    if fact.unit == "bytes":
        return Text(human_bytes(fact.value))
    if fact.unit in ("bytes/s", "FLOP/s"):
        return Text(human_rate(fact.value, fact.unit))
    if fact.unit == "ns":
        return Text(human_time_ns(fact.value))
    number = f"{fact.value:,.0f}" if fact.unit == "MHz" else f"{fact.value:.6g}"
    unit = fact.unit or ""
    # A name such as "physical cores" already says what is counted.
    if not unit or unit in fact.name:
        return Text(number)
    return Text(f"{number} {safe_text(unit.removesuffix('s') if fact.value == 1 else unit)}")
