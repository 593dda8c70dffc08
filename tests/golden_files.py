"""Texts that are compared with a file; LLMFLAME_REGENERATE=1 writes the files anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check_golden(name: str, text: str) -> None:
    """Fail where `text` isn't what the file holds."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("LLMFLAME_REGENERATE") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        f"{path} differs; LLMFLAME_REGENERATE=1 accepts the change"
    )
