"""How much of what the host's threads did when goes into the file."""

from __future__ import annotations

from llmflame.recording.session import Session
from llmflame.store.observed import ObservedTree
from llmflame.store.rows import WindowRow, slices_left_out, thread_slices_left_out

MOST_SLICES = 250_000
"""Of all windows in which no device worked, of a request or of a load; about 20 bytes each in the file. A
step of a Llama has some 800 a layer, and how many steps are traced doesn't grow with the tokens."""
MOST_THREAD_SLICES = 50_000
"""Of the threads beside the main thread's slices, a device or not; about 25 bytes each in the file. The
sampler, which takes 50 stacks a second, needs a quarter of an hour for so many of one thread."""


class SliceRoom:
    """Keeps each window's slices whole or not at all, and tells which were left out."""

    def __init__(
        self, session: Session, most: int = MOST_SLICES, most_of_threads: int = MOST_THREAD_SLICES
    ) -> None:
        self._session = session
        self._left = most
        self._left_of_threads = most_of_threads

    def fit(self, row: WindowRow, tree: ObservedTree) -> None:
        """Empty the tree's slices, or its threads, where there is no room for them.

        Where a device worked the main thread's are all kept: who kept it waiting is told by them.
        """
        if row.kind == "shapes":
            tree.slices, tree.threads = [], []
            return
        self._fit_threads(row, tree)
        count = len(tree.slices)
        if tree.device_work:
            return
        if count > self._left:
            tree.slices = []
            self._session.report("tracer", slices_left_out(row), count, "count")
        else:
            self._left -= count

    def _fit_threads(self, row: WindowRow, tree: ObservedTree) -> None:
        count = sum(len(thread.stays) for thread in tree.threads)
        if count > self._left_of_threads:
            tree.threads = []
            probe = "sampler" if row.kind == "sampled" else "tracer"
            self._session.report(probe, thread_slices_left_out(row), count, "count")
        else:
            self._left_of_threads -= count
