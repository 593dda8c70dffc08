"""An IPython that tests type into."""

from __future__ import annotations

from typing import Any


class Shell:
    """An IPython without terminal and history; what it publishes is kept."""

    def __init__(self, shell: Any, published: Any) -> None:
        self.shell, self.published = shell, published
        self.names: dict[str, Any] = shell.user_ns

    def run(self, source: str) -> Any:
        """A cell's value. Raises what it raised."""
        result = self.shell.run_cell(source)
        result.raise_error()
        return result.result

    @property
    def pages(self) -> list[str]:
        """The HTML of what was displayed so far."""
        shown = (output["data"] for output in self.published.outputs)
        return [data["text/html"] for data in shown if "text/html" in data]
