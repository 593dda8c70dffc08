"""What torch.compile says of itself is read where it is, never imported, and never believed blindly."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from llmflame.probes.compiler import REASON_LIMIT, CompilerCounts, compiler_counts

UTILS = "torch._dynamo.utils"


def counters(**groups: dict[Any, int]) -> defaultdict[str, Counter[Any]]:
    made: defaultdict[str, Counter[Any]] = defaultdict(Counter)
    for name, group in groups.items():
        made[name].update(group)
    return made


def counted(monkeypatch: pytest.MonkeyPatch, found: Any) -> CompilerCounts | None:
    monkeypatch.setitem(sys.modules, UTILS, SimpleNamespace(counters=found))
    return compiler_counts()


def test_dynamo_is_not_imported_to_ask_it() -> None:
    program = (
        "import sys\nfrom llmflame.probes.compiler import compiler_counts\n"
        "assert compiler_counts() is None\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_process_without_dynamo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, UTILS, raising=False)
    assert compiler_counts() is None


@pytest.mark.parametrize("found", [None, {}, defaultdict(Counter)])
def test_dynamo_that_has_done_nothing(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    assert counted(monkeypatch, found) is None


def test_a_release_whose_dynamo_has_no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, UTILS, SimpleNamespace())
    assert compiler_counts() is None


def test_graphs_and_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counters(stats={"unique_graphs": 3, "calls_captured": 40}, graph_break={"print": 2})
    assert counted(monkeypatch, found) == CompilerCounts(3, {"print": 2})
    assert set(found) == {"stats", "graph_break"}, "asking a defaultdict leaves nothing behind"


def test_breaks_before_the_first_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counters(graph_break={"print": 1})
    assert counted(monkeypatch, found) == CompilerCounts(0, {"print": 1})
    assert "stats" not in found


@pytest.mark.parametrize("stats", [{}, {"calls_captured": 4}])
def test_stats_without_graphs(monkeypatch: pytest.MonkeyPatch, stats: dict[str, int]) -> None:
    assert counted(monkeypatch, {"stats": stats, "inline_call": {}}) == CompilerCounts(0, {})


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("Call to `print`\n  Explanation: a long story\n  Hint: ...", "Call to `print`"),
        ("\n\n  indented\nmore", "indented"),
        ("", "unknown"),
        (" \t\n\x85\u2028", "unknown"),
        ("x" * 5000, "x" * REASON_LIMIT),
        ("a\x1cb", "a"),
        ("\ud800\0<script>", "\ud800\0<script>"),
        (("a", "tuple"), "('a', 'tuple')"),
        (None, "None"),
    ],
)
def test_a_reason_is_its_first_line(monkeypatch: pytest.MonkeyPatch, reason: Any, kept: str) -> None:
    assert counted(monkeypatch, counters(graph_break={reason: 1})) == CompilerCounts(0, {kept: 1})


def test_reasons_that_begin_alike_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counters(graph_break={"print\nfrom a.py": 2, "print\nfrom b.py": 3})
    assert counted(monkeypatch, found) == CompilerCounts(0, {"print": 5})


def test_dynamos_own_counters_are_read() -> None:
    """Against a function that is really compiled, by a backend that compiles nothing."""
    program = (
        "import torch\nfrom llmflame.probes.compiler import compiler_counts\n"
        "def f(x):\n    x = x + 1\n    print('breaks here')\n    return x * 2\n"
        "torch.compile(f, backend='eager')(torch.ones(2))\n"
        "counts = compiler_counts()\nassert counts.graphs == 2, counts\n"
        "assert sum(counts.breaks.values()) == 1, counts\n"
        "assert all(reason == reason.strip() != '' for reason in counts.breaks)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True)
