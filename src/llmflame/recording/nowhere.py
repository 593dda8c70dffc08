"""Where the marks of a request go that nobody records."""

from __future__ import annotations


class Nowhere:
    """Takes the marks of a request that is not recorded."""

    def enter(self, _name: str, _index: int | None = None) -> None:
        """Forget it."""
