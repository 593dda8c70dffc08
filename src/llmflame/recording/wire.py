"""How a recording child tells its parent: one JSON document a line, rows by table and fields in order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any, Protocol

from llmflame.store.model import Fact
from llmflame.store.observed import ObservedTree
from llmflame.store.rows import STREAMED, Row, WindowRow
from llmflame.store.writer import ProfileWriter, Scalar

_KINDS = {kind.table: kind for kind in STREAMED}


class Sink(Protocol):
    """Where a recording goes: the file itself, or a pipe to the process that owns it."""

    def rows(self, rows: Iterable[Row]) -> None:
        """Store rows of any tables."""

    def tree(self, window: WindowRow, tree: ObservedTree) -> None:
        """Store a window and what was seen in it."""

    def subject(self, properties: Mapping[str, Scalar]) -> None:
        """Store or amend what was run."""

    def facts(self, facts: Iterable[Fact]) -> None:
        """Store what the machine is."""


class PipeSink:
    """Sends to the parent. A broken pipe (the parent is gone) surfaces as BrokenPipeError."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def rows(self, rows: Iterable[Row]) -> None:
        """Send rows."""
        self.send("rows", [[row.table, dataclasses.astuple(row)] for row in rows])

    def tree(self, window: WindowRow, tree: ObservedTree) -> None:
        """Send a window."""
        self.send("tree", [dataclasses.astuple(window), tree.to_wire()])

    def subject(self, properties: Mapping[str, Scalar]) -> None:
        """Send what was run."""
        self.send("subject", dict(properties))

    def facts(self, facts: Iterable[Fact]) -> None:
        """Send what the machine is."""
        self.send("facts", [dataclasses.astuple(fact) for fact in facts])

    def send(self, kind: str, body: object) -> None:
        """Send one message and flush."""
        self._stream.write(json.dumps([kind, body]).encode() + b"\n")
        self._stream.flush()


def store(writer: ProfileWriter, kind: str, body: Any) -> bool:
    """Write a message that belongs in the file; False where it is one for the supervisor."""
    if kind == "rows":
        writer.rows([_KINDS[table](*values) for table, values in body])
    elif kind == "tree":
        writer.tree(WindowRow(*body[0]), ObservedTree.from_wire(body[1]))
    elif kind == "subject":
        writer.subject(body)
    elif kind == "facts":
        writer.facts(Fact(*values) for values in body)
    else:
        return False
    return True
