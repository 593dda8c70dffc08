"""`llmflame show --interactive`: where it refuses, and one story in a real terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.views.interactive import start
from tests.cli.conftest import Invoke

PATIENCE_S = 60.0
"""What a busy machine may take to show a screen."""


def test_a_pipe_is_refused_in_one_line(spawn: Invoke, profile_file: Path) -> None:
    ended = spawn("show", profile_file, "--interactive")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "llmflame: --interactive needs a terminal: leave it out to print a view\n"


@pytest.mark.parametrize("option", [["--json"], ["--view", "tree"], ["--phase", "load"], ["--limit", "3"]])
def test_other_options_are_refused(invoke: Invoke, profile_file: Path, option: list[str]) -> None:
    ended = invoke("show", profile_file, "-i", *option)
    assert ended.code == 2 and "goes with" in ended.err and ended.err.count("\n") == 1


class _Terminal:
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a fixture: pytest changes the streams between a test's set-up and the test."""
    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr(sys, "stdout", _Terminal())
    monkeypatch.setenv("TERM", "xterm")


def test_without_textual_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setattr(start, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r'pip install "llmflame\[interactive\]"'):
        start.check_terminal()


def test_a_terminal_without_a_cursor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(UsageError, match="dumb"):
        start.check_terminal()


def test_where_all_is_there_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textual")
    on_a_terminal(monkeypatch)
    start.check_terminal()


class Tmux:
    """A real terminal of a fixed size, in a server of its own."""

    def __init__(self, socket: Path) -> None:
        self._base = ["tmux", "-S", str(socket), "-f", os.devnull]

    def run(self, *arguments: str) -> str:
        done = subprocess.run([*self._base, *arguments], capture_output=True, encoding="utf-8", check=True)
        return done.stdout

    def until(self, condition: Callable[[str], bool]) -> str:
        end = time.monotonic() + PATIENCE_S
        while not condition(screen := self.run("capture-pane", "-p")):
            assert time.monotonic() < end, screen
            time.sleep(0.05)
        return screen


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    made = Tmux(tmp_path / "tmux")
    yield made
    subprocess.run([*made._base, "kill-server"], capture_output=True, check=False)


def test_in_a_real_terminal(tmux: Tmux, profile_file: Path) -> None:
    pytest.importorskip("textual")
    program = f"{sys.executable} -m llmflame show {profile_file} -i; echo ended with $?; exec sleep 600"
    environment = [
        "-e",
        f"PYTHONPATH={os.pathsep.join(path for path in sys.path if path)}",
        "-e",
        "LC_ALL=C.UTF-8",
    ]
    tmux.run("-u", "new-session", "-d", "-x", "80", "-y", "24", *environment, program)
    screen = tmux.until(lambda screen: "▸ startup" in screen and "1 tree" in screen and "? help" in screen)
    assert "Tiny-2L" in screen
    assert len(screen.splitlines()) <= 24
    tmux.run("send-keys", "/")
    tmux.until(lambda screen: "a part of a name" in screen)
    tmux.run("send-keys", "-l", "TinyLayer")
    tmux.run("send-keys", "Enter")
    tmux.until(lambda screen: "“TinyLayer”: " in screen and "module · model.layers.0" in screen)
    tmux.run("send-keys", "2")
    tmux.until(lambda screen: "tottime" in screen)
    tmux.run("resize-window", "-x", "140", "-y", "40")
    tmux.until(lambda screen: "2 functions" in screen)
    tmux.run("send-keys", "q")
    assert "Tiny-2L" not in tmux.until(lambda screen: "ended with 0" in screen)
