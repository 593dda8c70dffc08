"""The version of llmflame that a profile is made with."""

from importlib import metadata


def version() -> str:
    """As installed; `0+unknown` where it runs from a source tree that isn't."""
    try:
        return metadata.version("llmflame")
    except metadata.PackageNotFoundError:
        return "0+unknown"
