"""A traced step told as the host lived it: what it did, launched and waited for, one thing after the other.

The device is the simplest that there is: each stream does its work in order, each as soon as it may. Slices,
device work and wall cells agree by construction. Times are nanoseconds.
"""

from __future__ import annotations

from llmflame.store.observed import FrameKey, ObservedTree

US = 1_000
LATENCY = 5 * US
"""From the beginning of a launching call to the start of its work on a free stream."""
CALL = 4 * US
"""How long a launching call takes that waits for nothing."""
STREAM = 7
WAITING: FrameKey = ("wait", "waiting for GPU", None, None, None)


def runtime(name: str) -> FrameKey:
    return ("runtime", name, None, None, None)


class Script:
    """The tree of a traced window, and of the window with shapes that was recorded beside it."""

    def __init__(self) -> None:
        self.tree = ObservedTree()
        self.shapes = ObservedTree()
        self.now = 0
        self._free: dict[int, int] = {}

    def host(self, ns: int, *path: FrameKey, calls: int = 1) -> None:
        """The host is in a frame."""
        node = self.tree.descend(0, path)
        self._piece(node, ns)
        if calls:
            self.tree.add(node, "calls", calls)

    def launch(
        self,
        name: str,
        device_ns: int,
        *path: FrameKey,
        call: str = "cudaLaunchKernel",
        kind: str = "kernel",
        stream: int = STREAM,
        bytes: int | None = None,
        small: bool = False,
        holds_ns: int | None = None,
    ) -> None:
        """The host puts work on a stream. `holds_ns`: the call returns so long after the work has ended."""
        node = self.tree.descend(0, (*path, runtime(call)))
        launched = self.now
        start = max(launched + LATENCY, self._free.get(stream, 0))
        end = start + device_ns
        self._free[stream] = end
        self._piece(node, CALL if holds_ns is None else end + holds_ns - launched)
        self.tree.add(node, "calls", 1)
        work = self.tree.child(node, (kind, name, None, None, None))
        self.tree.add(work, "device_ns", device_ns)
        self.tree.add(work, "calls", 1)
        if small:
            self.tree.add(work, "low_occupancy_ns", device_ns)
        if bytes is not None:
            self.tree.add(work, "copied_bytes", bytes)
        self.tree.device_work.append((work, stream, launched, start, end, bytes))

    def copy(
        self, name: str, device_ns: int, size: int, *path: FrameKey, holds_ns: int | None = None
    ) -> None:
        """A copy by the device; with `holds_ns` one that the host stays in, as of pageable memory."""
        self.launch(
            name, device_ns, *path, call="cudaMemcpyAsync", kind="copy", bytes=size, holds_ns=holds_ns
        )

    def wait(self, *path: FrameKey, after_ns: int = 0) -> None:
        """The host waits until all that was launched is done, and `after_ns` longer."""
        call = self.tree.descend(0, (*path, runtime("cudaStreamSynchronize")))
        self.tree.add(call, "calls", 1)
        ready = max(self._free.values(), default=0)
        self._piece(self.tree.child(call, WAITING), max(ready - self.now, 0) + after_ns)

    def work(
        self, *path: FrameKey, flops: int = 0, read: int = 0, written: int = 0, weights: int = 0
    ) -> None:
        """What the operator at the end of a path must do, as the window with shapes tells."""
        node = self.shapes.descend(0, path)
        for metric, value in (
            ("flops", flops), ("read_bytes", read), ("written_bytes", written), ("weight_bytes", weights)
        ):  # fmt: skip
            self.shapes.add(node, metric, value)

    def _piece(self, node: int, ns: int) -> None:
        if not ns:
            return
        self.tree.add(node, "wall_ns", ns)
        if not self.tree.slices or self.tree.slices[-1][0] != node:
            self.tree.slices.append((node, self.now))
        self.now += ns
