"""The one failure that another source may help with."""

from __future__ import annotations

from llmflame.errors import UsageError


class FetchError(UsageError):
    """A file could not be downloaded from where it was looked for."""
