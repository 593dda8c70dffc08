"""How much of what the main thread did when goes into the file."""

from __future__ import annotations

from llmflame.recording.session import Session
from llmflame.store.observed import ObservedTree
from llmflame.store.rows import WindowRow, slices_left_out

MOST_SLICES = 250_000
"""Of all windows in which no device worked, of a request or of a load; about 20 bytes each in the file. A
step of a Llama has some 800 a layer, and how many steps are traced doesn't grow with the tokens."""


class SliceRoom:
    """Keeps each window's slices whole or not at all, and tells which were left out."""

    def __init__(self, session: Session, most: int = MOST_SLICES) -> None:
        self._session = session
        self._left = most

    def fit(self, row: WindowRow, tree: ObservedTree) -> None:
        """Empty the tree's slices where there is no room for them.

        Where a device worked all are kept: who kept it waiting is told by them.
        """
        count = len(tree.slices)
        if tree.device_work:
            return
        if row.kind != "traced":
            tree.slices = []
        elif count > self._left:
            tree.slices = []
            self._session.report("tracer", slices_left_out(row), count, "count")
        else:
            self._left -= count
