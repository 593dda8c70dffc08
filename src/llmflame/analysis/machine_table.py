"""What the machine was, as a table."""

from __future__ import annotations

from collections.abc import Iterable

from llmflame.analysis.tables import Column, Table
from llmflame.store.model import Fact

COLUMNS = (
    Column("section", "text", "Section"),
    Column("name", "text", "Name"),
    Column("value", "any", "Value"),
    Column("unit", "text", "Unit"),
    Column("source", "text", "Source"),
)


def machine_table(facts: Iterable[Fact]) -> Table:
    """One row a fact; an unknown value is None."""
    return Table(
        "machine",
        COLUMNS,
        tuple((fact.section, fact.name, fact.value, fact.unit, fact.source) for fact in facts),
    )
