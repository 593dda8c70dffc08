"""The data inside the page: a tree as columns, packed to text that no name can break out of.

The document is JSON with one string table and integer columns, gzip-compressed (without a time stamp, so
that equal input gives equal output) and written in base64, whose alphabet holds nothing that HTML reads.

    schema      this layout's version
    title       what the page is called
    summary     the summary document, as it was given
    strings     every name, file and module path, once
    frames      kind, name, file, module: indices into strings (-1: none); line: a number (-1: none);
                full: the name that `name` shortens, an index into strings (-1: nothing was shortened);
                meaning, helps: of stalls, where there are any: sentences, indices into strings (-1: none)
    nodes       up: node minus its parent, for each node but the first; frame: an index into frames
    metrics     name, unit, fold, label; step and value: the nodes that are not zero, as distances from the
                one before, and their own values
    origins     names; runs: pairs of (index into names, how many nodes in a row)
    memory      null, or: facts: the memory document, as it was given; charts: curves (layers of bytes, as
                differences in `unit`, from instants on that are differences in microseconds) and bands (the
                phases of the clean pass); held: null, or a second tree with frames, nodes, metrics and
                origins as above, whose metrics are the peaks
    compare     null, or the document of a comparison with another run, as it was given; then the tree is that
                of both runs, and `NAME@before` and `NAME@larger` are metrics beside NAME
    sections    by name, the data of the parts below the graph as `sections.py` gives them, null for none;
                with strings of their own
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame
from llmflame.views.page.memory import PageMemory
from llmflame.views.stall_words import stall_words

SCHEMA = 1
MAX_TEXT = 2_000
"""Characters of one name that are shown: compilers and hostile programs write far longer ones."""

WHOLE_UNITS = frozenset({"ns", "bytes", "count"})


def document(
    title: str,
    summary: Mapping[str, object],
    tree: Tree,
    memory: PageMemory | None = None,
    compared: Mapping[str, object] | None = None,
    sections: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """The page's data as one JSON document."""
    strings = StringTable()
    return {
        "schema": SCHEMA,
        "title": readable(title),
        "summary": plain(summary),
        **_columns(tree, strings),
        "memory": None if memory is None else _memory(memory, strings),
        "compare": None if compared is None else plain(compared),
        "sections": plain(sections or {}),
        "strings": strings.values,
    }


def _columns(tree: Tree, strings: StringTable) -> dict[str, object]:
    frames, node_frames = _frames(tree, strings)
    return {
        "frames": frames,
        "nodes": {"up": _ups(tree.parents), "frame": node_frames},
        "metrics": _metrics(tree),
        "origins": _origins(tree),
    }


def _memory(memory: PageMemory, strings: StringTable) -> dict[str, object]:
    return {
        "facts": plain(memory.facts),
        "charts": plain(memory.charts),
        "held": None if memory.held is None else _columns(memory.held, strings),
    }


def pack(content: Mapping[str, object]) -> str:
    """JSON, gzip, base64: equal documents give equal text."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 9, mtime=0)).decode("ascii")


def readable(text: str) -> str:
    r"""Text of a bounded length that UTF-8 can hold: a lone surrogate becomes the six characters `\udc80`."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… ({len(text):,} characters)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: object) -> object:
    """A value as JSON can hold it: what is not a finite number is unknown, what is not JSON is its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {readable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return readable(str(value))


def whole(values: Iterable[float]) -> list[int]:
    """Integers whose running sum stays within one half of the given one.

    Rounding each value by itself lets the errors of thousands of small nodes add up. Rounding the running
    sum keeps every total of consecutive nodes (so of every subtree) within one unit of the truth.
    """
    rounded = []
    fraction = 0.0
    for value in values:
        exact = value + fraction
        nearest = math.floor(exact + 0.5)
        fraction = exact - nearest
        rounded.append(nearest)
    return rounded


def shown_name(frame: Frame) -> str:
    """A frame's name as people read it: a kernel's without what its template says twice."""
    return (short_kernel_name(frame.name) or frame.name) if frame.kind == "kernel" else frame.name


class StringTable:
    """Each text once, by its index."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._index: dict[str, int] = {}

    def add(self, text: str | None) -> int:
        """The index of a text; -1 for none."""
        if text is None:
            return -1
        text = readable(text)
        index = self._index.setdefault(text, len(self.values))
        if index == len(self.values):
            self.values.append(text)
        return index


def _frames(tree: Tree, strings: StringTable) -> tuple[dict[str, list[int]], list[int]]:
    """Columns of the frames that some node uses, and each node's index into them."""
    used: dict[int, int] = {}
    node_frames = [used.setdefault(frame, len(used)) for frame in tree.node_frames]
    frames = [tree.frames[index] for index in used]
    columns = {
        "kind": [strings.add(frame.kind) for frame in frames],
        "name": [strings.add(shown_name(frame)) for frame in frames],
        "full": [-1 if shown_name(frame) == frame.name else strings.add(frame.name) for frame in frames],
        "file": [strings.add(frame.file) for frame in frames],
        "line": [-1 if frame.line is None else frame.line for frame in frames],
        "module": [strings.add(frame.module) for frame in frames],
    }
    words = [stall_words(frame) for frame in frames]
    if any(words):
        columns["meaning"] = [strings.add(one.meaning if one is not None else None) for one in words]
        columns["helps"] = [strings.add(one.helps if one is not None else None) for one in words]
    return columns, node_frames


def _ups(parents: Sequence[int]) -> list[int]:
    return [node - max(parent, 0) for node, parent in enumerate(parents) if node > 0]


def _metrics(tree: Tree) -> list[dict[str, object]]:
    columns: list[dict[str, object]] = []
    for metric in tree.metrics:
        own: list[float] = [v if math.isfinite(v) else 0.0 for v in tree.selfs.get(metric.name, ())]
        values = whole(own) if metric.unit in WHOLE_UNITS and metric.fold == "sum" else own
        steps, kept, last = [], [], 0
        for node, value in enumerate(values):
            if value:
                steps.append(node - last)
                kept.append(_short(value))
                last = node
        columns.append(
            {
                "name": readable(metric.name),
                "unit": readable(metric.unit),
                "fold": metric.fold,
                "label": readable(metric.label),
                "step": steps,
                "value": kept,
            }
        )
    return columns


def _short(value: float) -> float:
    """A float that is whole is written as an integer."""
    return int(value) if float(value).is_integer() else value


def _origins(tree: Tree) -> dict[str, list[str] | list[int]]:
    names: dict[str, int] = {}
    runs: list[int] = []
    for origin, group in groupby(tree.origins):
        runs += [names.setdefault(readable(origin), len(names)), sum(1 for _ in group)]
    return {"names": list(names), "runs": runs}
