"""What each module took by itself, to the tick of a clock that only the modules move."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch.nn.modules.module as torch_module
from torch import nn

from llmflame.probes.anchors import AnchorProbe, hook_cost_ns
from llmflame.probes.eventtree import Modules, module_paths
from llmflame.store.rows import AnchorRow


class Clock:
    wall = 0
    cpu = 0

    def work(self, ticks: int, asleep: int = 0) -> None:
        self.wall += ticks + asleep
        self.cpu += ticks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter_ns", lambda: made.wall)
    monkeypatch.setattr(time, "thread_time_ns", lambda: made.cpu)
    return made


class Does(nn.Module):
    """Runs any function as its forward pass."""

    def __init__(self, what: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.what = what
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *args: Any) -> Any:
        return self.what(self, *args)


def leaf(clock: Clock, ticks: int, asleep: int = 0) -> Does:
    return Does(lambda _self: clock.work(ticks, asleep))


def _global_hooks() -> int:
    return len(torch_module._global_forward_hooks) + len(torch_module._global_forward_pre_hooks)


def _anchored(root: nn.Module, calls: int = 1) -> dict[str, AnchorRow]:
    probe = AnchorProbe(module_paths(root))
    probe.start()
    for _ in range(calls):
        root()
    rows = probe.stop("anatomy", 3, 8)
    assert _global_hooks() == 0
    assert all((row.pass_name, row.repetition, row.step) == ("anatomy", 3, 8) for row in rows)
    found = {row.module: row for row in rows}
    assert len(found) == len(rows)
    return found


def _numbers(row: AnchorRow) -> tuple[int, int, int, int]:
    return row.calls, row.child_calls, row.wall_ns, row.cpu_ns


def test_own_times_exclude_children_exactly(clock: Clock) -> None:
    def outer(self: Any) -> None:
        clock.work(1)
        self.a()
        clock.work(10)
        self.b()
        self.b()
        clock.work(100)

    def middle(self: Any) -> None:
        self.c()
        clock.work(7, asleep=4)

    root = Does(outer, a=leaf(clock, 20), b=Does(middle, c=leaf(clock, 300)))
    rows = _anchored(root, calls=2)
    assert {path: _numbers(row) for path, row in rows.items()} == {
        "": (2, 6, 222, 222),
        "a": (2, 0, 40, 40),
        "b": (4, 4, 44, 28),
        "b.c": (4, 0, 1200, 1200),
    }
    assert sum(row.wall_ns for row in rows.values()) == clock.wall


def test_a_recursive_module_is_charged_once(clock: Clock) -> None:
    def again(self: Any, depth: int = 3) -> None:
        clock.work(5)
        if depth:
            self(depth - 1)

    assert _numbers(_anchored(Does(again))[""]) == (4, 3, 20, 20)


def test_a_shared_instance_has_one_row_under_its_first_path(clock: Clock) -> None:
    shared = leaf(clock, 6)

    def outer(self: Any) -> None:
        self.first()
        self.second()

    rows = _anchored(Does(outer, first=shared, second=shared))
    assert set(rows) == {"", "first"}
    assert _numbers(rows["first"]) == (2, 0, 12, 12)


def test_modules_that_are_not_the_models_are_their_callers(clock: Clock) -> None:
    stranger = leaf(clock, 50)

    def outer(self: Any) -> None:
        stranger()
        self.a()

    rows = _anchored(Does(outer, a=leaf(clock, 3)))
    assert {path: _numbers(row) for path, row in rows.items()} == {"": (1, 1, 50, 50), "a": (1, 0, 3, 3)}


def test_a_call_that_raised_and_was_caught_is_its_callers(clock: Clock) -> None:
    def fails(_self: Any) -> None:
        clock.work(9)
        raise ArithmeticError

    def outer(self: Any) -> None:
        self.good()
        with pytest.raises(ArithmeticError):
            self.bad()
        clock.work(2)

    rows = _anchored(Does(outer, bad=Does(fails), good=leaf(clock, 30)))
    assert {path: _numbers(row) for path, row in rows.items()} == {
        "": (1, 1, 11, 11),
        "good": (1, 0, 30, 30),
    }


def test_a_step_that_failed_leaves_no_hooks_and_no_rows(clock: Clock) -> None:
    def fails(_self: Any) -> None:
        raise ArithmeticError

    root = Does(fails)
    probe = AnchorProbe(module_paths(root))
    probe.start()
    assert _global_hooks() == 2
    with pytest.raises(ArithmeticError):
        root()
    assert probe.stop("anatomy", 0, 0) == []
    assert _global_hooks() == 0


def test_a_probe_can_be_used_again(clock: Clock) -> None:
    root = leaf(clock, 4)
    probe = AnchorProbe(module_paths(root))
    for step in (3, 4):
        probe.start()
        root()
        (row,) = probe.stop("anatomy", 0, step)
        assert (row.step, _numbers(row)) == (step, (1, 0, 4, 4))
    assert probe.stop("anatomy", 0, 5) != probe.stop("", 0, 0)


def test_what_began_before_the_hooks_is_not_seen(clock: Clock) -> None:
    root = Does(lambda self: self.a(), a=leaf(clock, 4))
    probe = AnchorProbe(module_paths(root))
    handle = root.register_forward_pre_hook(lambda *_: probe.start())
    root()
    handle.remove()
    rows = {row.module: _numbers(row) for row in probe.stop("anatomy", 0, 0)}
    assert rows.pop("a") == (1, 0, 4, 4)
    assert all(numbers[2] == 0 for numbers in rows.values())


def test_no_modules_at_all(clock: Clock) -> None:
    probe = AnchorProbe(Modules({}, None))
    probe.start()
    leaf(clock, 4)()
    assert probe.stop("anatomy", 0, 0) == []


def test_the_hooks_cost_is_measured_and_leaves_none() -> None:
    cost = hook_cost_ns()
    assert cost >= 0
    assert _global_hooks() == 0


def test_hooks_of_no_cost_are_found_to_cost_nothing(clock: Clock) -> None:
    assert hook_cost_ns() == 0.0


def test_modules_after_a_caught_exception_are_charged_once(clock: Clock) -> None:
    """They were once charged to themselves and to their caller, below the stale entry of what had raised."""

    def bad(_self: Any) -> None:
        raise ArithmeticError

    def outer(self: Any) -> None:
        with contextlib.suppress(ArithmeticError):
            self.bad()
        self.good()
        clock.work(1)

    rows = _anchored(Does(outer, bad=Does(bad), good=leaf(clock, 30)))
    assert _numbers(rows[""]) == (1, 1, 1, 1)


def test_a_root_that_starts_the_probe_from_its_own_hook_has_a_row(clock: Clock) -> None:
    def outer(self: Any) -> None:
        clock.work(5)
        self.a()

    root = Does(outer, a=leaf(clock, 4))
    probe = AnchorProbe(module_paths(root))
    handle = root.register_forward_pre_hook(lambda *_: probe.start(in_root=True))
    root()
    handle.remove()
    rows = {row.module: _numbers(row) for row in probe.stop("anatomy", 0, 0)}
    assert rows == {"": (1, 1, 5, 5), "a": (1, 0, 4, 4)}
