"""Adds up what the windows of a pass say of the device, for the checks that every profile carries."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.probes.events import DeviceChecks
from llmflame.store import metrics
from llmflame.store.observed import ObservedTree


@dataclass(slots=True)
class DeviceAccount:
    """Sums over windows; `rows` is empty where no device worked."""

    sums: DeviceChecks = field(default_factory=DeviceChecks)
    imbalance_bytes: int = 0
    """Sum of what the allocator's events and its own counter differ by, each window without sign."""
    balanced_windows: int = 0

    def add(self, checks: DeviceChecks, tree: ObservedTree, grown_bytes: int | None) -> None:
        """Take one window in. `grown_bytes`: by how much the allocator's bytes in use grew in it."""
        mine = self.sums
        mine.launches += checks.launches
        mine.works += checks.works
        mine.listed += checks.listed
        mine.launches_without_work += checks.launches_without_work
        mine.work_without_launch += checks.work_without_launch
        mine.early += checks.early
        mine.skew_ns = max(mine.skew_ns, checks.skew_ns)
        if grown_bytes is not None:
            taken = sum(tree.cells.get(metrics.DEVICE_ALLOCATED.name, {}).values())
            given = sum(tree.cells.get(metrics.DEVICE_FREED.name, {}).values())
            self.imbalance_bytes += abs(round(taken - given) - grown_bytes)
            self.balanced_windows += 1

    def rows(self) -> list[tuple[str, float, str]]:
        """Name, value and unit of each sum."""
        if not (self.sums.launches or self.sums.listed or self.sums.work_without_launch):
            return []
        rows: list[tuple[str, float, str]] = [
            ("launches", self.sums.launches, "count"),
            ("work on the tree", self.sums.works, "count"),
            ("work listed", self.sums.listed, "count"),
            ("launches without work", self.sums.launches_without_work, "count"),
            ("work without launch", self.sums.work_without_launch, "count"),
            ("work before its launch", self.sums.early, "count"),
            ("largest clock skew", self.sums.skew_ns, "ns"),
        ]
        if self.balanced_windows:
            rows.append(("allocator imbalance", self.imbalance_bytes, "bytes"))
        return rows
