"""`llmflame show` of a run on a GPU, of one on a CPU where a GPU is asked for, and of an older file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.summary import summarise
from llmflame.store.profile import read_profile
from tests.cli.conftest import Invoke
from tests.cli.test_show import TABLES, document
from tests.handmade_gpu import ADD, GEMM, PHASE_MS, REQUEST, handmade_gpu
from tests.handmade_stalls import STALLS, handmade_stalls, stall_rows

VIEWS = ["summary", "findings", *TABLES]
METRICS = ["wall", "host", "device", "idle"]
HOSTILE = {"name": "[red]\x1b[31m\n", "kernel": "k" * 100_000 + "\x1b]0;x\x07", "model": "\u202ex"}


@pytest.fixture
def gpu_file(tmp_path: Path) -> Path:
    return handmade_gpu(tmp_path / "a.llmflame")


@pytest.fixture
def older_file(tmp_path: Path) -> Path:
    """A file of the first schema: no slices, no work of the device, none of the later metrics."""
    path = handmade_gpu(tmp_path / "older.llmflame")
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            DROP TABLE slice; DROP TABLE device_work;
            DELETE FROM cell WHERE window IN (SELECT id FROM window WHERE kind = 'shapes');
            DELETE FROM window WHERE kind = 'shapes';
            DELETE FROM cell WHERE metric > 12;
            DELETE FROM metric WHERE id > 12;
            DELETE FROM probe_report WHERE probe = 'device checks';
            PRAGMA user_version = 1;
            """
        )
    db.close()
    return path


@pytest.mark.parametrize("options", [{}, HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("view", VIEWS)
def test_documents_match_the_schema(
    invoke: Invoke, tmp_path: Path, options: dict[str, Any], view: str
) -> None:
    path = handmade_gpu(tmp_path / "b.llmflame", **options)
    ended = invoke("show", path, "--view", view, "--json")
    assert ended.code == 0 and ended.err == ""
    found = document(ended.out)
    if view == "summary":
        assert found == json.loads(json.dumps(summarise(read_profile(path))))
        assert found["device"] is not None and found["roofline"] and found["findings"] and found["checks"]
    elif view != "findings":
        assert found["rows"] and all(len(row) == len(found["columns"]) for row in found["rows"])


@pytest.mark.parametrize("view", VIEWS)
def test_text_views(invoke: Invoke, gpu_file: Path, view: str) -> None:
    ended = invoke("show", gpu_file, "--view", view)
    assert ended.code == 0 and ended.err == "" and len(ended.out.splitlines()) > 3
    assert max(map(len, ended.out.splitlines())) <= 100


@pytest.mark.parametrize("metric", METRICS)
def test_each_tree_is_whole(invoke: Invoke, gpu_file: Path, metric: str) -> None:
    """The own times of all frames add up; on the host and the wall to the time that was measured."""
    found = document(invoke("show", gpu_file, "--view", "tree", "--metric", metric, "--json").out)
    names = [column["name"] for column in found["columns"]]
    own = sum(row[names.index("self_ns")] for row in found["rows"])
    assert own == pytest.approx(found["rows"][0][names.index("total_ns")], abs=len(found["rows"]))
    if metric in ("wall", "host"):
        assert own == pytest.approx(sum(PHASE_MS.values()) * 1e6, abs=len(found["rows"]))
    else:
        assert own < sum(PHASE_MS[name] for name in REQUEST) * 1e6


def test_a_tree_without_a_metric_is_of_wall_time(invoke: Invoke, gpu_file: Path) -> None:
    plain = invoke("show", gpu_file, "--view", "tree").out
    assert plain == invoke("show", gpu_file, "--view", "tree", "--metric", "wall").out
    assert "By the GPU's idle time" in invoke("show", gpu_file, "--view", "tree", "--metric", "idle").out


@pytest.mark.parametrize("metric", ["host", "device", "idle"])
def test_a_cpu_has_one_tree(invoke: Invoke, profile_file: Path, metric: str) -> None:
    ended = invoke("show", profile_file, "--view", "tree", "--metric", metric)
    assert ended.code == 2 and ended.out == ""
    assert ended.err == "llmflame: this profile has one tree, wall time: no GPU worked in what was traced\n"
    assert invoke("show", profile_file, "--view", "tree", "--metric", "wall").code == 0


@pytest.mark.parametrize("view", ["kernels", "idle"])
def test_a_cpu_has_no_kernels(invoke: Invoke, profile_file: Path, view: str) -> None:
    assert "No GPU worked in what was traced." in invoke("show", profile_file, "--view", view).out


def test_tables_are_sorted_limited_and_of_one_phase(invoke: Invoke, gpu_file: Path) -> None:
    found = document(
        invoke("show", gpu_file, "--view", "kernels", "--sort", "calls", "--limit", "2", "--json").out
    )
    calls = [row[[each["name"] for each in found["columns"]].index("calls")] for row in found["rows"]]
    assert len(calls) == 2 and calls == sorted(calls, reverse=True)
    prefill = invoke("show", gpu_file, "--view", "idle", "--phase", "prefill").out
    assert "prefill" in prefill and "decode" not in prefill
    assert "cudaMemcpyAsync" in prefill
    short = document(invoke("show", gpu_file, "--view", "findings", "--limit", "1", "--json").out)
    assert len(short["findings"]) == 1


def test_every_view_of_an_older_file_can_be_shown(invoke: Invoke, older_file: Path) -> None:
    for view in VIEWS:
        assert invoke("show", older_file, "--view", view).code == 0, view
        document(invoke("show", older_file, "--view", view, "--json").out)
    summary = summarise(read_profile(older_file))
    assert summary["device"] is None, "without slices nobody knows when the GPU worked"
    assert [one["floor_s"] for one in summary["roofline"]] == [None, None]
    assert invoke("show", older_file, "--view", "tree", "--metric", "device").code == 0
    assert invoke("show", older_file, "--view", "tree", "--metric", "idle").code == 2
    assert "flash_fwd_kernel" in invoke("show", older_file, "--view", "kernels").out


@pytest.mark.parametrize("view", ["summary", "stalls", "instructions", "findings"])
def test_stalls_match_the_schema(invoke: Invoke, tmp_path: Path, view: str) -> None:
    """With a hostile name of a kernel: in the document it is data, on the screen it is escaped."""
    kernel = HOSTILE["kernel"]
    path = handmade_stalls(
        tmp_path / "s.llmflame",
        list(stall_rows({kernel: STALLS[GEMM], "\u202e\x1b": STALLS[ADD]})),
        kernel=kernel,
    )
    ended = invoke("show", path, "--view", view, "--json")
    assert ended.code == 0 and ended.err == ""
    found = document(ended.out)
    if view == "summary":
        assert [one["phase"] for one in found["stalls"]["phases"]] == ["prefill", "decode"]
        assert any(check["name"] == "stalls of decode" for check in found["checks"])
    elif view != "findings":
        assert found["rows"] and all(len(row) == len(found["columns"]) for row in found["rows"])
    shown = invoke("show", path, "--view", view)
    assert shown.code == 0 and "\x1b" not in shown.out and "\u202e" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100


@pytest.mark.parametrize("view", ["stalls", "instructions"])
def test_without_stalls_a_view_says_how_to_get_them(invoke: Invoke, gpu_file: Path, view: str) -> None:
    ended = invoke("show", gpu_file, "--view", view)
    assert ended.code == 0 and "--stalls" in ended.out
