"""Profiles of a few rows, written and read through the store: each test states the numbers that it needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llmflame.analysis.tree import Tree
from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey, ObservedTree
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import AnchorRow, ProbeReportRow, Row, SpanRow, WindowRow
from llmflame.store.writer import ProfileWriter, Scalar

MEMORY = Path("/dev/shm")


def python(name: str, file: str = "x.py", line: int = 1) -> FrameKey:
    return ("python", name, file, line, None)


def op(name: str) -> FrameKey:
    return ("op", name, None, None, None)


def module(path: str, name: str = "Module") -> FrameKey:
    return ("module", name, None, None, path)


def observed(cells: Mapping[tuple[FrameKey, ...], Mapping[str, float]]) -> ObservedTree:
    """A tree from paths to numbers; the empty path is the window's own."""
    tree = ObservedTree()
    for path, numbers in cells.items():
        node = tree.descend(0, path)
        for metric, value in numbers.items():
            tree.add(node, metric, value)
    return tree


def span(name: str, wall_ns: int, number: int, **fields: Any) -> SpanRow:
    """A clean span; whatever isn't given is unknown."""
    known: dict[str, Any] = dict.fromkeys(SpanRow.__dataclass_fields__)
    del known["table"]
    known |= {"pass_name": "clean", "id": number, "name": name, "treatment": "clean", "start_ns": 0}
    return SpanRow(**(known | {"wall_ns": wall_ns} | fields))


def window(number: int, name: str, wall_ns: int, step: int | None = None, **fields: Any) -> WindowRow:
    """A traced window of the anatomy pass."""
    known = {"pass_name": "anatomy", "kind": "traced", "samples": None, "events": None, "dropped": None}
    return WindowRow(id=number, span_name=name, wall_ns=wall_ns, step=step, **(known | fields))


def cost(kind: str, inside_ns: float, outside_ns: float) -> list[ProbeReportRow]:
    """What the tracer was calibrated to cost for one kind of event."""
    return [
        ProbeReportRow("anatomy", "tracer", f"{kind} inside", inside_ns, "ns"),
        ProbeReportRow("anatomy", "tracer", f"{kind} outside", outside_ns, "ns"),
    ]


def anchor(
    module: str, step: int, wall_ns: int, *, repetition: int = 0, cpu_ns: int = 0, children: int = 0
) -> AnchorRow:
    return AnchorRow("anatomy", repetition, step, module, 1, children, wall_ns, cpu_ns)


def request(
    phases: Mapping[str, int],
    *,
    repetition: int = 0,
    first: int = 100,
    start_ns: int = 0,
    steps: Iterable[int] = (),
    gap_ns: int = 0,
) -> list[SpanRow]:
    """One clean request: its phases one behind the other, the decode steps below `decode`."""
    rows, at, number = [], start_ns, first + 1
    for name, wall in phases.items():
        parent = number
        rows.append(span(name, wall, number, parent=first, repetition=repetition, start_ns=at))
        number += 1
        if name == "prefill":
            rows.append(span("step", wall, number, parent=parent, repetition=repetition, step=0, start_ns=at))
            number += 1
        if name == "decode":
            begin = at
            for index, step_wall in enumerate(steps, start=1):
                rows.append(
                    span(
                        "step",
                        step_wall,
                        number,
                        parent=parent,
                        repetition=repetition,
                        step=index,
                        start_ns=begin,
                    )
                )
                begin += step_wall
                number += 1
        at += wall
    whole = sum(phases.values()) + gap_ns
    return [*rows, span("request", whole, first, repetition=repetition, start_ns=start_ns)]


def stored(
    rows: Iterable[Row] = (),
    trees: Iterable[tuple[WindowRow, ObservedTree]] = (),
    *,
    subject: Mapping[str, Scalar] | None = None,
    facts: Iterable[Fact] = (),
    mode: str = "processes",
) -> Profile:
    """Write and read back."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "run.llmflame"
        writer = ProfileWriter(path, version="0", mode=mode)
        writer.facts(facts)
        writer.subject(subject or {})
        writer.rows(rows)
        for row, tree in trees:
            writer.tree(row, tree)
        writer.finish("complete")
        return read_profile(path)


def by_path(tree: Tree, metric: str, *, zeros: bool = False) -> dict[str, float]:
    """The own values by the names on the path, `/` between; the run's own name is left out."""
    found: dict[str, float] = {}
    for node, value in enumerate(tree.selfs.get(metric, [])):
        if value or zeros:
            name = "/".join(tree.frame(n).module or tree.frame(n).name for n in tree.path(node)[1:])
            assert name not in found
            found[name] = value
    return found


def node_named(tree: Tree, name: str) -> int:
    """The only node of that name."""
    (node,) = (number for number in range(len(tree)) if tree.frame(number).name == name)
    return node
