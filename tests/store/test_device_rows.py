"""What the main thread did when, and what devices did: from the tree into the file and back."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.store.observed import FrameKey, ObservedThread, ObservedTree
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import DeviceWorkRow, SliceRow, ThreadRow, ThreadSliceRow

from . import written
from .written import new_path, open_writer

Path = tuple[FrameKey, ...]
PHASE: FrameKey = ("phase", "decode", None, None, None)


def stored(*trees: ObservedTree) -> Profile:
    with new_path() as path:
        writer = open_writer(path)
        for number, tree in enumerate(trees, start=1):
            writer.tree(written.window(number), tree)
        writer.finish("complete")
        return read_profile(path)


def path_in(profile: Profile, number: int) -> Path:
    found: list[FrameKey] = []
    above: int | None = number
    while above is not None:
        node = profile.nodes[above]
        frame = profile.frames[node.frame]
        found.append((frame.kind, frame.name, frame.file, frame.line, frame.module))
        above = node.parent
    return tuple(reversed(found))


@given(st.lists(written.observed_trees(), max_size=3))
def test_slices_keep_their_order_and_their_places(trees: list[ObservedTree]) -> None:
    profile = stored(*trees)
    found: dict[int, list[tuple[Path, int]]] = defaultdict(list)
    for row in profile.slices:
        assert row.number == len(found[row.window])
        found[row.window].append((path_in(profile, row.node), row.start_ns))
    for number, tree in enumerate(trees, start=1):
        expected = [((PHASE, *written.path_of(tree, node)), start) for node, start in tree.slices]
        assert found[number] == expected


@given(st.lists(written.observed_trees(), max_size=3))
def test_device_work_keeps_its_order_and_its_places(trees: list[ObservedTree]) -> None:
    profile = stored(*trees)
    found: dict[int, list[tuple[object, ...]]] = defaultdict(list)
    for row in profile.device_work:
        assert row.number == len(found[row.window])
        _, _, node, *rest = row
        found[row.window].append((path_in(profile, node), *rest))
    for number, tree in enumerate(trees, start=1):
        expected = [((PHASE, *written.path_of(tree, node)), *rest) for node, *rest in tree.device_work]
        assert found[number] == expected


@given(st.lists(written.observed_trees(), max_size=3))
def test_threads_keep_their_names_order_and_places(trees: list[ObservedTree]) -> None:
    profile = stored(*trees)
    found: dict[tuple[int, int], list[tuple[Path, int, int]]] = defaultdict(list)
    for piece in profile.thread_slices:
        assert piece.number == len(found[piece.window, piece.thread])
        stay = (path_in(profile, piece.node), piece.start_ns, piece.end_ns)
        found[piece.window, piece.thread].append(stay)
    threads = {(row.window, row.number): row for row in profile.threads}
    assert len(threads) == sum(len(tree.threads) for tree in trees) and set(found) <= set(threads)
    for number, tree in enumerate(trees, start=1):
        first = 0 if any(thread.is_main for thread in tree.threads) else 1
        for place, thread in enumerate(tree.threads, first):
            row = threads[number, place]
            assert (row.name, row.native_id) == (thread.name, thread.native_id)
            assert found[number, place] == [
                ((PHASE, *written.path_of(tree, node)), start, end) for node, start, end in thread.stays
            ]


def test_without_timelines_threads_stay_in_the_file() -> None:
    tree = small()
    tree.threads = [ObservedThread("pool_0\0", 12, stays=[(1, 3, 9)])]
    with new_path() as path:
        writer = open_writer(path)
        writer.tree(written.window(1), tree)
        writer.finish("complete")
        profile, bare = read_profile(path), read_profile(path, timelines=False)
    assert profile.threads == (ThreadRow(1, 1, "pool_0\\x00", 12),)
    assert profile.thread_slices == (ThreadSliceRow(1, 1, 0, profile.slices[0].node, 3, 9),)
    assert (bare.threads, bare.thread_slices) == ((), ()) and bare.slices


def small() -> ObservedTree:
    tree = ObservedTree()
    launch = tree.descend(0, [written.frame_key("f"), ("runtime", "cudaMemcpyAsync", None, None, None)])
    copy = tree.child(launch, ("copy", "Memcpy HtoD (Pageable -> Device)", None, None, None))
    tree.slices = [(1, 0), (launch, 10), (1, 15)]
    tree.device_work = [(copy, 7, 10, 12, 90, 4096), (copy, 7, None, -5, 2**40, None)]
    return tree


def test_rows_are_plain_and_named() -> None:
    profile = stored(small())
    node = {profile.frames[one.frame].name: number for number, one in profile.nodes.items()}
    f, launch, copy = node["f"], node["cudaMemcpyAsync"], node["Memcpy HtoD (Pageable -> Device)"]
    assert profile.slices == (SliceRow(1, 0, f, 0), SliceRow(1, 1, launch, 10), SliceRow(1, 2, f, 15))
    assert profile.device_work == (
        DeviceWorkRow(
            window=1, number=0, node=copy, stream=7, launched_ns=10, start_ns=12, end_ns=90, bytes=4096
        ),
        DeviceWorkRow(1, 1, copy, 7, None, -5, 2**40, None),
    )


def test_windows_of_one_trie_keep_their_own_rows() -> None:
    profile = stored(small(), ObservedTree(), small())
    assert [row.window for row in profile.slices] == [1, 1, 1, 3, 3, 3]
    assert [row.window for row in profile.device_work] == [1, 1, 3, 3]
    assert len({row.node for row in profile.slices}) == 2


@pytest.mark.parametrize("bad", ["slices", "device_work"])
def test_a_row_that_can_not_be_stored_leaves_the_window_out(bad: str) -> None:
    """A window is stored whole or not at all."""
    wrong = small()
    if bad == "slices":
        wrong.slices.append((99, 20))
    else:
        wrong.device_work.append((99, 7, None, 0, 1, None))
    with new_path() as path:
        writer = open_writer(path)
        with pytest.raises(IndexError):
            writer.tree(written.window(1), wrong)
        writer.tree(written.window(2), small())
        writer.finish("complete")
        profile = read_profile(path)
    assert {row.window for row in profile.slices} == {row.window for row in profile.device_work} == {2}
    assert [row.id for row in profile.windows] == [2]
