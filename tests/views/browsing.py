"""What the tests of the page in a browser share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from llmflame.analysis.tree import Tree

CHROMIUM = os.environ.get("LLMFLAME_CHROMIUM") or shutil.which("chromium")

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="needs playwright"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium (on PATH or in $LLMFLAME_CHROMIUM)"),
]

DRAWN = """async () => {
    const frame = () => new Promise(done => requestAnimationFrame(done));
    await frame();
    window.llmflame?.finish();
    await frame();
}"""
"""What follows the graph one piece a frame is asked for at once; a page that could not be drawn has none."""

Open = Callable[..., Any]


def settle(page: Any) -> None:
    """Waits until what has been asked for is drawn."""
    page.evaluate(DRAWN)


def address(page: Any) -> str:
    """What stands behind the `#` once it is written there, which waits for who types."""
    page.wait_for_function("() => (location.hash || '#') === llmflame.address()")
    found: str = page.evaluate("() => location.hash")
    return found


def view(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("() => llmflame.view()")
    return found


def widths(page: Any) -> dict[int, float]:
    boxes = page.evaluate("() => llmflame.boxes()")
    return {box["node"]: box["width"] for box in boxes if box["node"] >= 0}


def press(page: Any, *keys: str) -> None:
    page.focus(".flame-scroller")
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def child(tree: Tree, name: str, parent: int = 0) -> int:
    return next(n for n in range(len(tree)) if tree.parents[n] == parent and tree.frame(n).name == name)
