"""The sums over a pass' windows, and what the allocator's two accounts differ by."""

from __future__ import annotations

import pytest
import torch

from llmflame.probes import device
from llmflame.probes.deviceaccount import DeviceAccount
from llmflame.probes.events import DeviceChecks
from llmflame.store.observed import ObservedTree

NAMES = (
    "launches",
    "work on the tree",
    "work listed",
    "launches without work",
    "work without launch",
    "work before its launch",
    "largest clock skew",
)


def tree(taken: int = 0, given: int = 0) -> ObservedTree:
    made = ObservedTree()
    if taken:
        made.add(made.child(0, ("op", "a", None, None, None)), "device_allocated_bytes", taken)
    if given:
        made.add(0, "device_freed_bytes", given)
    return made


def values(account: DeviceAccount) -> dict[str, float]:
    return {name: value for name, value, _ in account.rows()}


def test_no_device_no_rows() -> None:
    account = DeviceAccount()
    assert account.rows() == []
    account.add(DeviceChecks(), tree(), None)
    account.add(DeviceChecks(), tree(100), 100)
    assert account.rows() == []


def test_windows_add_up_and_the_largest_skew_stays() -> None:
    account = DeviceAccount()
    account.add(DeviceChecks(10, 11, 12, 1, 2, 3, 400), tree(), None)
    account.add(DeviceChecks(100, 110, 120, 10, 20, 30, 300), tree(), None)
    assert account.rows() == [
        (name, value, "ns" if name == "largest clock skew" else "count")
        for name, value in zip(NAMES, (110, 121, 132, 11, 22, 33, 400), strict=True)
    ]


@pytest.mark.parametrize(
    "checks", [DeviceChecks(launches=1), DeviceChecks(listed=1), DeviceChecks(work_without_launch=1)]
)
def test_any_trace_of_a_device_is_told(checks: DeviceChecks) -> None:
    """A tracer that lost every launch once left no row at all: nothing looked wrong."""
    account = DeviceAccount()
    account.add(checks, tree(), None)
    assert tuple(values(account)) == NAMES


def test_the_allocators_accounts_agree() -> None:
    account = DeviceAccount()
    account.add(DeviceChecks(launches=1), tree(1024, 1000), 24)
    account.add(DeviceChecks(launches=1), tree(0, 512), -512)
    assert account.rows()[-1] == ("allocator imbalance", 0, "bytes")


def test_windows_that_are_off_in_both_directions_do_not_cancel() -> None:
    account = DeviceAccount()
    account.add(DeviceChecks(launches=1), tree(100), 90)
    account.add(DeviceChecks(launches=1), tree(100), 110)
    assert values(account)["allocator imbalance"] == 20


def test_a_window_whose_allocator_was_not_read_says_nothing_of_it() -> None:
    account = DeviceAccount()
    account.add(DeviceChecks(launches=1), tree(100), None)
    assert "allocator imbalance" not in values(account)


def test_without_a_device_the_allocator_is_not_asked() -> None:
    assert device.allocated_bytes() is None
    device.launch_prefix()


def test_the_allocator_is_asked_of_all_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model may be on another than the current one, whose counter alone was once read."""
    monkeypatch.setattr(device, "cuda_in_use", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda index: 10**index)
    assert device.allocated_bytes() == 111
