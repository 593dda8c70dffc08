"""Starting the browser, if it can be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec

from llmflame.errors import UsageError
from llmflame.store.profile import Profile

INSTALL = 'pip install "llmflame[interactive]"'


def check_terminal() -> None:
    """Raise UsageError where nobody could press a key, or the library isn't there."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--interactive needs a terminal: leave it out to print a view")
    if os.environ.get("TERM") == "dumb":
        raise UsageError("--interactive needs a terminal that can move its cursor (TERM is dumb)")
    if find_spec("textual") is None:
        raise UsageError(f"textual is missing, which --interactive needs: {INSTALL}")


def browser_of(profile: Profile) -> Callable[[], None]:
    """What looks at a profile until the person quits; its tree is built already."""
    from llmflame.views.interactive.app import Browser
    from llmflame.views.interactive.source import Source

    if not os.environ.get("NO_COLOR", "unset"):
        del os.environ["NO_COLOR"]  # set but empty says nothing (no-color.org); Textual would take it
    return Browser(Source(profile)).run
