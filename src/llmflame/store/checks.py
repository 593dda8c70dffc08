"""Does a profile keep what its rows promise? A file can be sound to SQLite and yet no profile.

Each check is one scan by SQLite itself: looking at every value from Python would cost more than reading it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Mapping
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

_STORED_AS: dict[Any, tuple[str, ...]] = {
    NoneType: ("null",),
    bool: ("integer",),
    int: ("integer",),
    float: ("integer", "real"),
    str: ("text",),
}
_REFERENCES = {
    "a cell of an unknown window": ("cell", "window NOT IN (SELECT id FROM window)"),
    "a cell of an unknown node": ("cell", "node NOT IN (SELECT id FROM node)"),
    "a cell of an unknown metric": ("cell", "metric NOT IN (SELECT id FROM metric)"),
    "a node of an unknown frame": ("node", "frame NOT IN (SELECT id FROM frame)"),
    "a node below an unknown one": ("node", "parent NOT IN (SELECT id FROM node)"),
    "a node above itself": ("node", "parent >= id"),
    "a slice of an unknown window": ("slice", "window NOT IN (SELECT id FROM window)"),
    "a slice of an unknown node": ("slice", "node NOT IN (SELECT id FROM node)"),
    "a thread of an unknown window": ("thread", "window NOT IN (SELECT id FROM window)"),
    "a slice of an unknown thread": (
        "thread_slice",
        "(window, thread) NOT IN (SELECT window, number FROM thread)",
    ),
    "a thread in an unknown node": ("thread_slice", "node NOT IN (SELECT id FROM node)"),
    "a thread's slice that ends before it starts": ("thread_slice", "end_ns < start_ns"),
    "device work of an unknown window": ("device_work", "window NOT IN (SELECT id FROM window)"),
    "device work of an unknown node": ("device_work", "node NOT IN (SELECT id FROM node)"),
    "device work that ends before it starts": ("device_work", "end_ns < start_ns"),
    "a moment of an unknown window": (
        "moment",
        # SQL finds even NULL not in an empty set.
        "window IS NOT NULL AND window NOT IN (SELECT id FROM window)",
    ),
    "a holding of an unknown moment": (
        "holding",
        "(pass_name, moment) NOT IN (SELECT pass_name, id FROM moment)",
    ),
    "a reading of an unknown moment": (
        "reading",
        "(pass_name, moment) NOT IN (SELECT pass_name, id FROM moment)",
    ),
    "stalls of an unknown window": ("stall", "window NOT IN (SELECT id FROM window)"),
    "stalls of an unknown kernel": (
        "stall",
        "(pass_name, kernel) NOT IN (SELECT pass_name, id FROM stall_kernel)",
    ),
    "more samples lost than taken": ("stall", "not_issued NOT BETWEEN 0 AND samples"),
    "an instruction of an unknown kernel": (
        "instruction",
        "(pass_name, kernel) NOT IN (SELECT pass_name, id FROM stall_kernel)",
    ),
    "a cell without a finite value": ("cell", "value IN (9e999, -9e999)"),
    "a report without a finite value": ("probe_report", "value IN (9e999, -9e999)"),
    "a reading without a finite value": ("gauge", "value IN (9e999, -9e999)"),
    "a property without a finite value": ("subject", "value IN (9e999, -9e999)"),
    "a fact without a finite value": ("machine", "value IN (9e999, -9e999)"),
}


def broken_reference(db: sqlite3.Connection, tables: Container[str]) -> str | None:
    """The first kind of row of `tables` that names what isn't there, in words."""
    for words, (table, wrong) in _REFERENCES.items():
        if table in tables and db.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
            return words
    return None


def unkept_promise(db: sqlite3.Connection, kinds: Mapping[str, type]) -> str | None:
    """The first table with a value that its row's field can't hold, in words."""
    for table, kind in kinds.items():
        wrong = " OR ".join(
            f'typeof("{column}") NOT IN ({stored})' for column, stored in _promises(kind).items()
        )
        if db.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
            return f"a value of the wrong type in table {table}"
    return None


def _promises(kind: type) -> dict[str, str]:
    """SQLite's types for each column, quoted."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if get_origin(hint) is not ClassVar}
    return {name: ", ".join(sorted(f"'{t}'" for t in _stored(hint))) for name, hint in hints.items()}


def _stored(hint: Any) -> set[str]:
    if isinstance(hint, UnionType):
        return set().union(*map(_stored, get_args(hint)))
    return set(_STORED_AS[str if get_origin(hint) is Literal else hint])
