"""The marshalled functions, read by the standard library's own `pstats`."""

from __future__ import annotations

import io
import pstats
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmflame.exports.pstats import pstats as exported
from llmflame.exports.request import Request
from llmflame.store.profile import read_profile
from tests.analysis.small import observed, op, python, request, span, stored, window
from tests.exports.made import HOSTILE, on_each_profile, request_of
from tests.handmade import handmade

Function = tuple[str, int, str]


def opened(folder: Path, wanted: Request) -> tuple[Any, io.StringIO]:
    """As a person does: `pstats.Stats(file)`."""
    path = folder / "a.pstats"
    path.write_bytes(exported(wanted))
    text = io.StringIO()
    return pstats.Stats(str(path), stream=text), text


def table(stats: Any) -> dict[Function, tuple[int, int, float, float, dict[Function, tuple[Any, ...]]]]:
    found: dict[Function, tuple[int, int, float, float, dict[Function, tuple[Any, ...]]]] = stats.stats
    return found


@on_each_profile
def test_own_times_add_up_to_the_wall(tmp_path: Path, kind: str) -> None:
    wanted = request_of(tmp_path, kind)
    stats, _ = opened(tmp_path, wanted)
    wall = sum(wanted.tree.selfs["wall_ns"]) / 1e9
    assert stats.total_tt == pytest.approx(wall)
    assert sum(row[2] for row in table(stats).values()) == pytest.approx(wall)


@on_each_profile
def test_callers_add_up_to_their_function(tmp_path: Path, kind: str) -> None:
    stats, _ = opened(tmp_path, request_of(tmp_path, kind))
    found = table(stats)
    roots = [function for function, row in found.items() if not row[4]]
    assert [name for _, _, name in roots] == [roots[0][2]] and roots[0][2].startswith("<run ")
    for function, (primitive, calls, own, total, callers) in found.items():
        if function not in roots:
            assert set(callers) <= set(found)
            assert sum(row[0] for row in callers.values()) == calls >= primitive
            assert sum(row[1] for row in callers.values()) == primitive
            assert sum(row[2] for row in callers.values()) == pytest.approx(own)
            assert sum(row[3] for row in callers.values()) == pytest.approx(total)


def test_sorts_and_prints(tmp_path: Path) -> None:
    stats, text = opened(tmp_path, request_of(tmp_path, "cpu"))
    for order in ("tottime", "cumtime", "ncalls", "filename"):
        stats.sort_stats(order).print_stats()
        stats.print_callers()
        stats.print_callees()
    printed = text.getvalue()
    assert "transformers/models/tiny/modeling_tiny.py:20(forward)" in printed
    assert "{aten::mm}" in printed and "{phase decode}" in printed


def test_numbers_of_one_function(tmp_path: Path) -> None:
    stats, _ = opened(tmp_path, request_of(tmp_path, "cpu", phases=("prefill",)))
    found = table(stats)
    product, linear = ("~", 0, "<aten::mm>"), ("~", 0, "<aten::linear>")
    assert found[product][:2] == (2, 2) and set(found[product][4]) == {linear}
    assert found[product][2] == pytest.approx(found[product][3])
    assert found[("~", 0, "<phase prefill>")][3] == pytest.approx(0.05)
    assert ("torch/__init__.py", 1, "<module>") not in found


def test_recursion_is_counted_once(tmp_path: Path) -> None:
    path = (python("walk"), python("walk"), op("aten::add"))
    cells = {path[:end]: {"wall_ns": 100.0, "calls": 1} for end in (1, 2, 3)}
    profile = stored(
        [span("load", 600, 1), *request({"prefill": 300}, start_ns=600)],
        [(window(7, "prefill", 300, 0), observed(cells))],
    )
    stats, _ = opened(tmp_path, Request(profile))
    primitive, calls, own, total, callers = table(stats)["x.py", 1, "walk"]
    assert (primitive, calls) == (1, 2)
    assert own == pytest.approx(2 / 3 * total) and total == pytest.approx(300e-9)
    assert callers["x.py", 1, "walk"][:2] == (1, 0) and callers["x.py", 1, "walk"][3] == 0


def test_names_are_one_line(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", name=HOSTILE, model=HOSTILE))
    stats, text = opened(tmp_path, Request(profile))
    stats.print_stats()
    assert "\x1b" not in text.getvalue() and "\u202e" not in text.getvalue()
    assert all(name.isprintable() for _, _, name in table(stats))


GPROF2DOT = shutil.which("gprof2dot", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(GPROF2DOT is None, reason="needs gprof2dot")
@on_each_profile
def test_gprof2dot_draws_it(tmp_path: Path, kind: str) -> None:
    """A reader of cProfile's files that isn't the standard library's; hostile names don't break its graph."""
    opened(tmp_path, request_of(tmp_path, kind))
    done = subprocess.run(
        [str(GPROF2DOT), "-f", "pstats", "-n", "0", "-e", "0", str(tmp_path / "a.pstats")],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("digraph {") and "<phase decode>" in done.stdout
    assert "100.00%" in done.stdout and " -> " in done.stdout
