"""Collapsed stacks, parsed back as their readers do."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.exports.folded import TIMES, folded
from llmflame.exports.request import Request
from llmflame.store.profile import read_profile
from tests.exports.made import HOSTILE, in_speedscope, needs_speedscope, on_each_profile, request_of
from tests.handmade import handmade


def parsed(text: str) -> dict[tuple[str, ...], int]:
    """As flamegraph.pl: the value is behind the last blank, frames are between semicolons."""
    found: dict[tuple[str, ...], int] = {}
    for line in text.splitlines():
        stack, _, value = line.rpartition(" ")
        assert stack and " " not in stack and int(value) > 0
        assert tuple(stack.split(";")) not in found
        found[tuple(stack.split(";"))] = int(value)
    return found


@on_each_profile
def test_sums_are_the_trees(tmp_path: Path, kind: str) -> None:
    request = request_of(tmp_path, kind)
    stacks = parsed(folded(request))
    totals = request.tree.totals("wall_ns")
    assert sum(stacks.values()) == pytest.approx(totals[0], abs=1)
    for node in range(len(request.tree)):
        if request.tree.frame(node).kind == "phase":
            name = request.tree.frame(node).name
            inside = sum(value for stack, value in stacks.items() if stack[1:2] == (name,))
            assert inside == pytest.approx(totals[node], abs=2)


@pytest.mark.parametrize("metric", TIMES)
def test_every_time_of_a_device(tmp_path: Path, metric: str) -> None:
    request = request_of(tmp_path, "gpu", metric=metric)
    expected = sum(value for value in request.tree.selfs[TIMES[metric]] if value > 0)
    assert sum(parsed(folded(request)).values()) == pytest.approx(expected, abs=1)


def test_bytes_at_a_peak(tmp_path: Path) -> None:
    request = request_of(tmp_path, "memory", metric="bytes", phases=("decode",))
    (peak,) = (one for one in request.peaks if one.phase == "decode")
    tree, metric = request.held(peak)
    stacks = parsed(folded(request))
    assert sum(stacks.values()) == tree.totals(metric)[0]
    assert {stack[1] for stack in stacks} == {"decode"}


def test_what_a_profile_does_not_have(tmp_path: Path) -> None:
    for metric, words in (("device", "no GPU"), ("idle", "no GPU"), ("bytes", "nobody counted")):
        with pytest.raises(UsageError, match=words):
            folded(request_of(tmp_path, "cpu", metric=metric))
        (tmp_path / "cpu.llmflame").unlink()
    with pytest.raises(UsageError, match="one --phase"):
        folded(request_of(tmp_path, "memory", metric="bytes", phases=("load", "decode")))


def test_a_host_without_a_device(tmp_path: Path) -> None:
    request = request_of(tmp_path, "cpu", metric="host")
    assert sum(parsed(folded(request)).values()) == pytest.approx(sum(request.tree.selfs["wall_ns"]), abs=1)


def test_names_keep_to_their_place(tmp_path: Path) -> None:
    request = Request(read_profile(handmade(tmp_path / "a.llmflame", name=HOSTILE, model=HOSTILE)))
    stacks = parsed(folded(request))
    assert sum(stacks.values()) == pytest.approx(sum(request.tree.selfs["wall_ns"]), abs=1)
    names = {name for stack in stacks for name in stack}
    assert r"a:b_c\n<img_src=x_onerror=alert(1)>\x1b[31m\u202e\udc80|`*@x`" in names
    assert all(name.isprintable() for name in names)


@needs_speedscope
def test_speedscope_reads_it(tmp_path: Path) -> None:
    text = folded(request_of(tmp_path, "gpu"))
    path = tmp_path / "a.folded"
    path.write_text(text, "utf-8")
    (read,) = in_speedscope(path)
    assert read["total"] == sum(parsed(text).values())
