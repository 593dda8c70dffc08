"""Who held the heap at a phase's peak: by the function that allocated, wherever in the run it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.tables import Column, Row, Table, check_phases
from llmflame.analysis.tree import Tree
from llmflame.analysis.tree_table import TreeLimits, tree_table
from llmflame.errors import UsageError
from llmflame.store import metrics
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.store.rows import WindowRow
from llmflame.units import human_bytes

KIND = "allocations"
COLUMNS = (
    Column("phase", "text", "Phase"),
    Column("function", "text", "Function"),
    Column("place", "text", "Place"),
    Column("held_bytes", "bytes", "Held at peak"),
    Column("allocated_bytes", "bytes", "Allocated"),
    Column("left_bytes", "bytes", "Left"),
    Column("mapped_bytes", "bytes", "Files mapped", shown=False),
    Column("count", "count", "Allocations"),
)
NOT_FOLLOWED = "No allocations were followed: llmflame profile MODEL --host-allocations does."

_SUMMED = tuple(
    metric.name
    for metric in (
        metrics.HEAP_HELD,
        metrics.HEAP,
        metrics.HEAP_LEFT,
        metrics.MAPPED,
        metrics.ALLOCATIONS,
    )
)
"""In the order of the columns."""


def heap_table(profile: Profile, phases: tuple[str, ...] = ()) -> Table:
    """One row a phase and function, what held most first; the phase with the highest peak if none are given.

    `held_bytes` is what was there at the phase's peak of all that the function had ever allocated; the other
    columns are of the phase alone. Sums over a phase's rows are the phase's.
    """
    windows = _followed(profile)
    if not windows:
        return Table("heap", COLUMNS, (), (NOT_FOLLOWED,))
    check_phases(phases, list(windows))
    cells = {name: list(_cells(profile, window)) for name, window in windows.items()}
    peaks = _peaks(cells)
    wanted = phases or (max(peaks, key=lambda name: peaks[name]),)
    rows = [row for name in wanted for row in _rows(profile, name, cells[name])]
    rows.sort(key=lambda row: -_bytes(row))
    return Table("heap", COLUMNS, tuple(rows), tuple(_note(name, peaks[name]) for name in wanted))


def heap_tree_table(
    profile: Profile, limits: TreeLimits, phases: tuple[str, ...] = (), *, all_frames: bool = False
) -> Table:
    """What is held at one phase's peak, as the rows of a tree; of the highest peak if none is given.

    Raises UsageError where no allocations were followed, or where it is not one phase.
    """
    windows = _followed(profile)
    if not windows:
        raise UsageError(f"this profile has no tree of the heap. {NOT_FOLLOWED}")
    check_phases(phases, list(windows))
    if len(phases) > 1:
        raise UsageError("--metric heap shows the peak of one phase: name one --phase")
    peaks = _peaks({name: _cells(profile, window) for name, window in windows.items()})
    (wanted,) = phases or (max(peaks, key=lambda name: peaks[name]),)
    tree = heap_held_tree(profile, wanted)
    shown = tree if all_frames else without_plumbing(tree)
    return replace(tree_table(shown, limits, (), metrics.HEAP_HELD), notes=(_note(wanted, peaks[wanted]),))


def _followed(profile: Profile) -> dict[str, WindowRow]:
    """By phase, the window of its allocations."""
    return {window.span_name: window for window in profile.windows if window.kind == KIND}


def _peaks(cells: Mapping[str, Iterable[tuple[int, str, float]]]) -> dict[str, float]:
    """By phase, the bytes of the heap that are held at its peak."""
    return {
        name: sum(value for _, metric, value in found if metric == metrics.HEAP_HELD.name)
        for name, found in cells.items()
    }


def _note(phase: str, peak: float) -> str:
    return f"{phase}: {human_bytes(peak)} of the heap are held at its peak."


def _bytes(row: Row) -> int:
    held = row[3]
    assert isinstance(held, int)
    return held


def _cells(profile: Profile, window: WindowRow) -> Iterator[tuple[int, str, float]]:
    """Node, metric and value of what is in a window."""
    for cell in profile.cells:
        if cell.window == window.id:
            yield cell.node, profile.metrics[cell.metric].name, cell.value


def _rows(profile: Profile, phase: str, cells: list[tuple[int, str, float]]) -> Iterator[Row]:
    sums: dict[Frame, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for node, metric, value in cells:
        sums[profile.frames[profile.nodes[node].frame]][metric] += value
    for frame, values in sums.items():
        place = f"{frame.file}:{frame.line}" if frame.file and frame.line is not None else frame.file
        yield (phase, frame.name, place, *(round(values.get(metric, 0)) for metric in _SUMMED))


def heap_held_tree(profile: Profile, phase: str) -> Tree:
    """What is held at a phase's peak, at the frames that allocated it; the root is the phase.

    Raises UsageError for a phase whose allocations weren't followed.
    """
    windows = _followed(profile)
    check_phases((phase,), list(windows))
    held = {
        node: value
        for node, metric, value in _cells(profile, windows[phase])
        if metric == metrics.HEAP_HELD.name
    }
    live: set[int] = set()
    for node in held:
        at: int | None = node
        while at is not None and at not in live:
            live.add(at)
            at = profile.nodes[at].parent
    return _tree(profile, held, live)


def _tree(profile: Profile, held: dict[int, float], live: set[int]) -> Tree:
    tree = Tree(metrics=[metrics.HEAP_HELD], selfs={metrics.HEAP_HELD.name: []})
    frames: dict[Frame, int] = {}
    places: dict[int | None, int] = {None: -1}
    for node in sorted(live):  # a parent's number is smaller than its children's
        row = profile.nodes[node]
        frame = profile.frames[row.frame]
        number = frames.get(frame)
        if number is None:
            number = frames[frame] = len(tree.frames)
            tree.frames.append(frame)
        places[node] = len(tree.parents)
        tree.parents.append(places[row.parent])
        tree.node_frames.append(number)
        tree.origins.append("measured")
        tree.selfs[metrics.HEAP_HELD.name].append(held.get(node, 0.0))
    return tree
