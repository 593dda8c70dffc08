"""What `lscpu` of util-linux answers, as fields and as caches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from llmflame.probes.machine.outside import Reading, run_command


@dataclass(frozen=True, slots=True)
class Lscpu:
    """Fields by name (several values where core types differ) and cache rows by `name`."""

    fields: dict[str, list[str]]
    caches: list[dict[str, str]]
    fields_source: str
    caches_source: str

    def field(self, name: str) -> Reading:
        """One field; distinct values of different core types are joined with ` + `."""
        values = list(dict.fromkeys(self.fields.get(name, [])))
        if values:
            return Reading(" + ".join(values), f"{self.fields_source}: {name}")
        return Reading(None, f"{self.fields_source}: no {name}" if self.fields else self.fields_source)


def run_lscpu(*, with_caches: bool) -> Lscpu:
    """Ask `lscpu` (a few milliseconds a call); where it is missing, every field is unknown and says why."""
    not_asked = Reading(None, "lscpu -J -C: not asked")
    caches = run_command(["lscpu", "-J", "-C"]) if with_caches else not_asked
    return parse_lscpu(run_command(["lscpu", "-J"]), caches)


def parse_lscpu(fields: Reading, caches: Reading) -> Lscpu:
    """The two JSON answers of `lscpu -J` and `lscpu -J -C`; garbage yields no fields and says so."""
    found: dict[str, list[str]] = {}
    _collect(_rows(fields, "lscpu"), found)
    rows = [
        {key: str(value) for key, value in row.items() if value is not None}
        for row in _rows(caches, "caches")
        if isinstance(row.get("name"), str)
    ]
    return Lscpu(found, rows, _source(fields, bool(found)), _source(caches, bool(rows)))


def _source(reading: Reading, understood: bool) -> str:
    return reading.source if understood or reading.text is None else f"{reading.source}: not understood"


def _rows(reading: Reading, key: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(reading.text or "null")
    except (ValueError, RecursionError):
        return []
    rows = document.get(key) if isinstance(document, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _collect(rows: list[dict[str, Any]], found: dict[str, list[str]]) -> None:
    pending = list(reversed(rows))
    while pending:
        row = pending.pop()
        name, data = row.get("field"), row.get("data")
        # lscpu writes "-" for what it does not know.
        if isinstance(name, str) and isinstance(data, str) and data.strip() not in ("", "-"):
            found.setdefault(name.strip().rstrip(":"), []).append(data.strip())
        children = row.get("children")
        if isinstance(children, list):
            pending.extend(child for child in reversed(children) if isinstance(child, dict))
