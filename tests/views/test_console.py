"""What the console takes from the terminal and the environment."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.text import Text

from llmflame.views.console import PIPE_WIDTH, console_for


class Stream(StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def written(*, terminal: bool) -> str:
    stream = Stream(terminal=terminal)
    console_for(stream).print(Text("red", style="bold red"))
    return stream.getvalue()


def test_a_terminal_has_colour_and_a_pipe_has_none() -> None:
    assert written(terminal=True) == "\x1b[1;31mred\x1b[0m\n"
    assert written(terminal=False) == "red\n"


def test_no_color_leaves_only_what_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(terminal=True) == "\x1b[1mred\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "")
    assert "31m" in written(terminal=True), "empty says nothing"


def test_force_color_reaches_into_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert written(terminal=False) == "\x1b[1;31mred\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(terminal=False) == "red\n"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "")
    assert written(terminal=False) == "red\n"


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in written(terminal=True)


@pytest.mark.parametrize(
    ("columns", "width"),
    [(None, PIPE_WIDTH), ("60", 60), ("200", 200), ("wide", PIPE_WIDTH), ("3", PIPE_WIDTH), ("", PIPE_WIDTH),
     ("99999999999999999999", PIPE_WIDTH), ("-5", PIPE_WIDTH)],
)  # fmt: skip
def test_a_pipes_width(monkeypatch: pytest.MonkeyPatch, columns: str | None, width: int) -> None:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert console_for(Stream(terminal=False)).width == width
