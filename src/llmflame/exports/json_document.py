"""The summary as `llmflame show --json` prints it."""

from __future__ import annotations

import json

from llmflame.analysis.summary import summarise
from llmflame.exports.request import Request


def json_document(request: Request) -> str:
    """One document, in ASCII. docs/show-json.md describes it."""
    return json.dumps(summarise(request.profile, request.run), indent=2, allow_nan=False) + "\n"
