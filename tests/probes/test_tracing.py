"""A window opens only where the interpreter's hook is free, and gives it back."""

from __future__ import annotations

import cProfile
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from llmflame.errors import UsageError
from llmflame.probes import tracing
from llmflame.probes.eventtree import Modules, read_trace
from llmflame.probes.tracing import Window, refuse_taken_slot


@pytest.fixture(autouse=True)
def hook_given_back() -> Iterator[None]:
    before = sys.getprofile()
    yield
    taken = sys.getprofile()
    sys.setprofile(before)
    assert taken is before, "a test or a window left a profile hook"


def _hook(*_: Any) -> None:
    """A profiler of the program's own."""


def test_a_taken_hook_is_refused_with_one_line_and_left_alone() -> None:
    sys.setprofile(_hook)
    try:
        with pytest.raises(UsageError) as caught:
            Window("x", None, cuda=False).open()
        assert sys.getprofile() is _hook
    finally:
        sys.setprofile(None)
    assert "\n" not in str(caught.value) and "another profiler" in str(caught.value)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cProfile uses another slot from 3.12 on")
def test_cprofile_is_refused() -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        with pytest.raises(UsageError):
            refuse_taken_slot()
    finally:
        profiler.disable()
    refuse_taken_slot()


def test_a_running_torch_profiler_is_refused() -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        torch.ones(2)
        assert sys.getprofile() is None, "without stacks it leaves the hook free"
        with pytest.raises(UsageError, match="another profiler"):
            Window("x", None, cuda=False).open()
    assert "aten::ones" in {event.key for event in profiler.key_averages()}
    refuse_taken_slot()


def test_another_traced_window_is_refused() -> None:
    window = Window("x", None, cuda=False)
    window.open()
    with pytest.raises(UsageError):
        Window("y", None, cuda=False).open()
    assert sys.getprofile() is not None
    window.close()


def test_the_hook_is_free_after_a_window() -> None:
    for stacks in (True, False):
        window = Window("x", 7, cuda=False, stacks=stacks)
        window.open()
        torch.ones(2)
        recorded = window.close()
        assert (recorded.span_name, recorded.step) == ("x", 7)
        refuse_taken_slot()


def test_a_window_can_be_opened_again() -> None:
    window = Window("x", None, cuda=False, stacks=False)
    lengths = []
    for _ in range(2):
        window.open()
        torch.ones(2)
        trace = read_trace(window.close(), Modules({}, None))
        names = [e.frame[1] for roots in trace.roots.values() for e in roots]
        lengths.append(names.count("aten::ones"))
    assert lengths == [1, 1]


def test_what_runs_outside_is_not_in_the_window() -> None:
    window = Window("x", None, cuda=False, stacks=False)
    torch.zeros(2)
    window.open()
    torch.ones(2)
    recorded = window.close()
    torch.zeros(2)
    names = {event.name() for event in recorded.results.events()}
    assert "aten::ones" in names and "aten::zeros" not in names


def test_without_stacks_there_are_no_python_frames() -> None:
    window = Window("x", None, cuda=False, stacks=False)
    window.open()
    torch.ones(2)
    trace = read_trace(window.close(), Modules({}, None))
    stack = [event for roots in trace.roots.values() for event in roots]
    while stack:
        event = stack.pop()
        assert event.frame[0] not in ("python", "builtin", "module")
        stack.extend(event.children)


def test_the_lines_of_the_stack_are_first_lines() -> None:
    def inner() -> dict[tuple[str, str], int]:
        return tracing._stack_lines(sys._getframe())

    lines = {name: line for (file, name), line in inner().items() if file.endswith("test_tracing.py")}
    assert lines["inner"] == inner.__code__.co_firstlineno
    assert lines["test_the_lines_of_the_stack_are_first_lines"] == inner.__code__.co_firstlineno - 1
    assert tracing._stack_lines(None) == {}


def test_a_session_that_can_not_end_leaves_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch waits for the device before it stops: one that has failed once left the interpreter's hook set,
    and the process aborted at its end."""
    window = Window("decode", 1, cuda=False)
    window.open()

    def refuse(*_: object) -> None:
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(window._profile, "__exit__", refuse)
    with pytest.raises(RuntimeError, match="device-side assert"):
        window.close()
    assert sys.getprofile() is None
    assert not torch._C._autograd._profiler_enabled()
    again = Window("decode", 2, cuda=False)
    again.open()
    assert again.close().results is not None


def test_the_tracer_says_nothing_and_the_environment_stays() -> None:
    """Its two lines for each window stood in red below the cell of a notebook."""
    program = """
import os, torch
from llmflame.probes.tracing import Window
before = dict(os.environ)
for number in range(2):
    window = Window("decode", number, cuda=False)
    window.open()
    window.close()
assert dict(os.environ) == before
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
