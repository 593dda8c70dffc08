"""`llmflame show --view memory`, the tree of bytes, and memory in the summary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmflame.analysis.memory.overview import memory_document
from llmflame.store import categories as c
from llmflame.store.profile import read_profile
from tests.cli.conftest import Invoke
from tests.cli.test_show import document
from tests.handmade import MIB
from tests.handmade_heap import handmade_heap
from tests.handmade_memory import FAILURE, handmade_memory


@pytest.fixture(params=["host", "device", "failed"])
def memory_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    device, failed = request.param != "host", request.param == "failed"
    return handmade_memory(tmp_path / "a.llmflame", device=device, failed=failed)


def test_the_document_is_what_the_analysis_says(invoke: Invoke, memory_file: Path) -> None:
    ended = invoke("show", memory_file, "--view", "memory", "--json")
    assert ended.code == 0 and ended.err == ""
    found = document(ended.out)
    assert found == json.loads(json.dumps(memory_document(read_profile(memory_file))))
    for phase in (*found["peaks"], *found["phases"]):
        assert sum(part["bytes"] for part in phase["parts"]) == phase["peak_bytes"]


def test_a_failure_is_told_first(invoke: Invoke, tmp_path: Path) -> None:
    path = handmade_memory(tmp_path / "a.llmflame", device=True, failed=True)
    found = document(invoke("show", path, "--view", "memory", "--json").out)["failure"]
    assert found["said"]["requested_bytes"] == 64 * MIB and len(found["said"]) == len(FAILURE)
    lines = invoke("show", path, "--view", "memory").out.splitlines()
    first = next(number for number, line in enumerate(lines) if "Memory ran out in decode, step 3" in line)
    assert first < next(number for number, line in enumerate(lines) if "Device peak" in line)
    assert lines[first + 1] == " 64 MiB was asked for; the limit is 128 MiB, the group's memory.max"


def test_the_tree_of_bytes(invoke: Invoke, memory_file: Path) -> None:
    arguments = ("show", memory_file, "--view", "tree", "--metric", "bytes")
    found = document(invoke(*arguments, "--json").out)
    names = [column["name"] for column in found["columns"]]
    own = sum(row[names.index("self_bytes")] for row in found["rows"])
    assert own == found["rows"][0][names.index("total_bytes")] and "total_ns" not in names
    text = invoke(*arguments).out
    assert "peak in decode" in text and " ns" not in text and "aten::mm" in invoke(*arguments, "--json").out
    assert "peak in load" in invoke(*arguments, "--phase", "load").out
    for wrong in (("--phase", "load", "--phase", "decode"), ("--phase", "nope")):
        assert invoke(*arguments, *wrong).code == 2
    assert invoke("show", memory_file, "--view", "tree").code == 0


def test_frames_that_pass_on_can_be_kept(invoke: Invoke, tmp_path: Path) -> None:
    path = handmade_memory(tmp_path / "a.llmflame")
    arguments = ("show", path, "--view", "tree", "--metric", "bytes", "--json")
    assert "_call_impl" not in invoke(*arguments).out
    assert "_call_impl" in invoke(*arguments, "--all-frames").out


def test_the_tree_of_the_heap(invoke: Invoke, tmp_path: Path, profile_file: Path) -> None:
    arguments = ("show", handmade_heap(tmp_path / "heap.llmflame"), "--view", "tree", "--metric", "heap")
    found = document(invoke(*arguments, "--json").out)
    names = [column["name"] for column in found["columns"]]
    assert sum(row[names.index("self_bytes")] for row in found["rows"]) == 127 and "total_ns" not in names
    text = invoke(*arguments, "--phase", "decode").out
    assert "decode: 30 B of the heap are held at its peak." in text and " ns" not in text
    shallow = invoke(*arguments, "--depth", "1").out
    assert "x.py:1" in shallow and "x.py:10" not in shallow
    assert invoke(*arguments, "--phase", "load", "--phase", "decode").code == 2
    ended = invoke("show", profile_file, *arguments[2:])
    assert ended.code == 2 and "--host-allocations" in ended.err and ended.err.count("\n") == 1


def test_without_a_census(invoke: Invoke, profile_file: Path) -> None:
    ended = invoke("show", profile_file, "--view", "tree", "--metric", "bytes")
    assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1
    assert "Nobody counted" in invoke("show", profile_file, "--view", "memory").out
    found = document(invoke("show", profile_file, "--view", "memory", "--json").out)
    assert found["peaks"] == [] and found["notes"]
    assert document(invoke("show", profile_file, "--json").out)["memory"] is None
    assert "Memory at the peak" not in invoke("show", profile_file).out


@pytest.mark.parametrize("option", [["--limit", "3"], ["--sort", "bytes"], ["--phase", "load"]])
def test_options_without_effect_are_refused(invoke: Invoke, profile_file: Path, option: list[str]) -> None:
    ended = invoke("show", profile_file, "--view", "memory", *option)
    assert ended.code == 2 and ended.out == ""


def test_the_summary_tells_the_peaks(invoke: Invoke, memory_file: Path) -> None:
    found = document(invoke("show", memory_file, "--json").out)["memory"]
    host = found["peaks"][-1]
    peak = (160 if len(found["peaks"]) == 1 else 80) * MIB
    assert (host["space"], host["phase"], host["peak_bytes"]) == ("host", "load", peak)
    assert sum(host["held_bytes"].values()) == peak and host["held_bytes"][c.RUNTIME] == 40 * MIB
    assert found["growth"][-1]["space"] == "host"
    text = invoke("show", memory_file).out
    assert f"Memory at the peak {peak // MIB} MiB (load)" in text and "a decode step adds" in text


def test_loading_is_a_view(invoke: Invoke, memory_file: Path) -> None:
    assert document(invoke("show", memory_file, "--view", "load", "--json").out)["view"] == "load"
    assert invoke("show", memory_file, "--view", "load", "--sort", "calls").code == 0
    assert invoke("show", memory_file, "--view", "load", "--phase", "load").code == 2
