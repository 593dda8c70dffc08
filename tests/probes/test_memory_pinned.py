"""Page-locked memory: what a window locked goes to the calls that did it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmflame.probes.memory.pinned import HOST_ALLOCATIONS, assign_pinned, pinned_bytes
from llmflame.store.observed import FrameKey, ObservedTree


def runtime(name: str) -> FrameKey:
    return ("runtime", name, None, None, None)


def tree_of(*calls: tuple[str, str, float]) -> ObservedTree:
    """Calls of the runtime, each under its own function."""
    tree = ObservedTree()
    for function, name, count in calls:
        node = tree.descend(0, [("python", function, "x.py", 1, None), runtime(name)])
        tree.add(node, "calls", count)
    return tree


def pinned(tree: ObservedTree) -> dict[str, float]:
    found = {}
    for node, size in tree.cells.get("pinned_bytes", {}).items():
        above = tree.frames[tree.parents[node]]
        assert above is not None
        found[above[1]] = size
    return found


def test_bytes_are_shared_by_the_number_of_calls() -> None:
    tree = tree_of(
        ("load", "cudaHostAlloc", 3), ("copy", "cudaHostRegister", 1), ("free", "cudaFreeHost", 5),
        ("run", "cudaLaunchKernel", 9),
    )  # fmt: skip
    assign_pinned(tree, 4096)
    assert pinned(tree) == {"load": 3072, "copy": 1024}


@pytest.mark.parametrize("name", sorted(HOST_ALLOCATIONS))
def test_each_way_to_lock_pages_is_known(name: str) -> None:
    tree = tree_of(("load", name, 1))
    assign_pinned(tree, 100)
    assert pinned(tree) == {"load": 100}


@pytest.mark.parametrize("grown", [None, 0])
def test_a_window_that_locked_nothing(grown: int | None) -> None:
    tree = tree_of(("load", "cudaHostAlloc", 3))
    assign_pinned(tree, grown)
    assert "pinned_bytes" not in tree.cells


def test_bytes_without_a_call_are_charged_to_nobody() -> None:
    """Another thread's, or another name of the driver's: charging them elsewhere would be made up."""
    tree = tree_of(("run", "cudaLaunchKernel", 9))
    tree.add(tree.child(0, ("python", "cudaHostAlloc", "x.py", 1, None)), "calls", 1)
    assign_pinned(tree, 4096)
    assert "pinned_bytes" not in tree.cells
    assign_pinned(empty := ObservedTree(), 4096)
    assert not empty.cells


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=9), st.integers(1, 2**45))
def test_shares_add_up_to_all(counts: list[int], grown: int) -> None:
    tree = tree_of(*((f"f{number}", "cudaHostAlloc", count) for number, count in enumerate(counts)))
    assign_pinned(tree, grown)
    assert sum(pinned(tree).values()) == pytest.approx(grown)


def test_what_torch_asked_for_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pinned_bytes() is None, "no device is used"
    for name in ("is_available", "is_initialized"):
        monkeypatch.setattr(torch.cuda, name, lambda: True)
    monkeypatch.setattr(
        torch.cuda, "host_memory_stats", lambda: {"allocated_bytes.allocated": 7}, raising=False
    )
    assert pinned_bytes() == 7
    monkeypatch.setattr(torch.cuda, "host_memory_stats", dict, raising=False)
    assert pinned_bytes() is None
    monkeypatch.delattr(torch.cuda, "host_memory_stats")
    assert pinned_bytes() is None
