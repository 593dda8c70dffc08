"""What a profile says should be changed, each with its evidence and what it could gain at most."""

from llmflame.analysis.findings.find import find
from llmflame.analysis.findings.finding import Finding

__all__ = ["Finding", "find"]
