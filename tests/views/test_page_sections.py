"""The data of the page's sections: what is absent, what is bounded, and that its numbers are `show`'s."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import ProbeReportRow
from llmflame.views.page import PageData, page_sections, render_page
from llmflame.views.page import steps as page_steps
from llmflame.views.page import tables as page_tables
from llmflame.views.page import timeline as page_timeline
from llmflame.views.page.document import plain
from tests.cli.conftest import Invoke, invoke  # noqa: F401  a fixture
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.views.test_page import HOSTILE, embedded
from tests.views.test_page_samples import summary


@pytest.fixture(scope="module")
def gpu_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade_gpu(tmp_path_factory.mktemp("sections") / "g.llmflame")


@pytest.fixture(scope="module")
def cpu_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade(tmp_path_factory.mktemp("sections") / "c.llmflame")


def sections(profile: Profile) -> dict[str, Any]:
    tree = build_run_tree(profile).tree
    found: dict[str, Any] = json.loads(
        json.dumps(plain(page_sections(profile, tree, without_plumbing(tree))))
    )
    return found


def table_of(data: dict[str, Any], name: str) -> dict[str, Any]:
    """A table as `show --json` prints it, from the page's columns."""
    (table,) = (one for one in data["tables"] if one["id"] == name)
    columns = [
        [
            (None if value < 0 else data["strings"][value]) if column["unit"] == "text" else value
            for value in column["values"]
        ]
        for column in table["columns"]
    ]
    return {
        "columns": [{"name": column["name"], "unit": column["unit"]} for column in table["columns"]],
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


@pytest.mark.parametrize("view", ["functions", "ops", "kernels", "modules"])
def test_tables_are_what_show_prints(gpu_path: Path, cpu_path: Path, invoke: Invoke, view: str) -> None:  # noqa: F811
    for path in (gpu_path, cpu_path):
        shown = json.loads(invoke("show", path, "--view", view, "--json").out)
        data = sections(read_profile(path))["tables"]
        if not shown["rows"]:
            assert view not in [table["id"] for table in data["tables"]]
            continue
        assert table_of(data, view) == {"columns": shown["columns"], "rows": shown["rows"]}


def test_steps_are_what_show_prints(gpu_path: Path, cpu_path: Path, invoke: Invoke) -> None:  # noqa: F811
    for path in (gpu_path, cpu_path):
        shown = json.loads(invoke("show", path, "--view", "steps", "--json").out)
        data = sections(read_profile(path))["steps"]
        found = table_of({"tables": [data["table"]], "strings": data["strings"]}, "steps")
        assert found == {"columns": shown["columns"], "rows": shown["rows"]}
        assert sum(data["spread"]["counts"]) == data["spread"]["count"]


@pytest.mark.parametrize(("until", "absent"), [
    ("nothing", {"timeline", "steps", "roofline", "stalls", "tables"}),
    ("load", {"steps", "roofline", "stalls"}),
    ("anatomy", {"roofline", "stalls"}),
])  # fmt: skip
def test_what_is_not_known_is_absent(tmp_path: Path, until: str, absent: set[str]) -> None:
    found = sections(read_profile(handmade(tmp_path / "a.llmflame", until=until, status="partial")))
    assert {name for name, data in found.items() if data is None} == {*absent, "lab"}


def test_without_slices_there_are_no_traced_windows_and_it_says_so(cpu_path: Path) -> None:
    found = sections(read_profile(cpu_path))["timeline"]
    assert found["unknown"] == ["load", "prefill step 0", "decode step 1"] and found["too_many"] == []
    assert [window["id"] for window in found["windows"]] == ["start", "request.1", "request.2"]
    assert not any(window["traced"] or "works" in window or "gaps" in window for window in found["windows"])


def test_a_cpus_windows_have_the_main_thread_and_no_device(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "s.llmflame", slices=True))
    found = sections(profile)["timeline"]
    windows = {window["id"]: window for window in found["windows"] if window["traced"]}
    assert list(windows) == ["load", "prefill.0", "decode.1"]
    assert found["unknown"] == found["too_many"] == found["left_out"] == []
    for window in windows.values():
        assert not any(window["works"].values()) and not any(window["gaps"].values())
    nodes, slices = found["nodes"], windows["decode.1"]["slices"]
    names = [found["strings"][nodes["frames"]["name"][frame]] for frame in nodes["frame"]]
    shown = list(accumulate(slices["node"]))
    assert [names[node] for node in shown][:4] == ["_sample", "TinyForCausalLM", "forward", "TinyLayer"]
    assert list(accumulate(slices["start"]))[:3] == [0, 600_000, 840_000]  # `_call_impl` is its caller's


def test_threads_are_lanes_of_the_cold_start_and_of_their_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = read_profile(handmade(tmp_path / "t.llmflame", slices=True, threads=True))
    found = sections(profile)["timeline"]
    windows = {window["id"]: window for window in found["windows"]}
    labels = {name: [lane["label"] for lane in window["threads"]] for name, window in windows.items()}
    assert {name: lanes for name, lanes in labels.items() if lanes} == {
        "decode.1": ["forward"],
        "start": ["pool_0, sampled", "pool_1, sampled", "main thread, sampled"],
    }
    first = windows["start"]["threads"][0]
    assert list(accumulate(first["start"])) == [1_220_000_000, 1_320_000_000]
    assert first["duration"] == [80_000_000, 100_000_000]
    assert windows["start"]["more_threads"] == 0 and found["without_threads"] == []
    monkeypatch.setattr(page_timeline, "MOST_THREADS", 2)
    (start,) = (window for window in sections(profile)["timeline"]["windows"] if window["id"] == "start")
    assert [lane["label"] for lane in start["threads"]] == ["pool_0, sampled", "main thread, sampled"]
    assert start["more_threads"] == 1


def test_what_the_recording_left_out_is_named(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "s.llmflame", slices=True))
    report = ProbeReportRow("anatomy", "tracer", "slices left out of decode step 1", 9_999, "count")
    cut = replace(
        profile,
        slices=tuple(piece for piece in profile.slices if piece.window != 1003),
        probe_reports=(*profile.probe_reports, report),
    )
    found = sections(cut)["timeline"]
    assert [window["id"] for window in found["windows"] if window["traced"]] == ["load", "prefill.0"]
    assert (found["too_many"], found["unknown"], found["left_out"]) == (["decode step 1"], [], [])


def test_a_traced_window_is_whole(gpu_path: Path) -> None:
    profile = read_profile(gpu_path)
    found = sections(profile)["timeline"]
    prefill, decode = found["windows"][:2]
    assert (prefill["id"], decode["id"]) == ("prefill.0", "decode.1") and found["left_out"] == []
    for window, number in ((prefill, 1001), (decode, 1002)):
        works = [work for work in profile.device_work if work.window == number]
        assert len(window["works"]["start"]) == len(works)
        assert sum(window["works"]["duration"]) == sum(work.end_ns - work.start_ns for work in works)
        starts = [sum(window["slices"]["start"][: at + 1]) for at in range(len(window["slices"]["start"]))]
        assert starts[0] == 0 and starts == sorted(starts) and starts[-1] <= window["wall_ns"]
        assert set(window["works"]["stream"]) == {7, 8}
        assert len(window["gaps"]["cause"]) == len(window["gaps"]["start"])


def test_parents_come_before_their_nodes(gpu_path: Path) -> None:
    nodes = sections(read_profile(gpu_path))["timeline"]["nodes"]
    assert all(0 <= up <= number for number, up in enumerate(nodes["up"]))
    assert len(nodes["up"]) == len(nodes["frame"]) and max(nodes["frame"]) < len(nodes["frames"]["name"])


def test_windows_that_do_not_fit_are_left_out_whole_and_named(
    gpu_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = read_profile(gpu_path)
    size = sum(row.window == 1001 for row in profile.slices)
    size += sum(row.window == 1001 for row in profile.device_work)
    monkeypatch.setattr(page_timeline, "MOST_EVENTS", size)
    found = sections(profile)["timeline"]
    assert [window["id"] for window in found["windows"] if window["traced"]] == ["prefill.0"]
    assert found["left_out"] == ["decode step 1"]


def test_long_tables_are_cut_and_say_so(gpu_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sections(read_profile(gpu_path))["tables"]
    monkeypatch.setattr(page_tables, "MOST_ROWS", 2)
    cut = sections(read_profile(gpu_path))["tables"]
    for before, after in zip(whole["tables"], cut["tables"], strict=True):
        assert after["count"] == min(2, before["count"])
        assert after["left_out"] == before["count"] - after["count"]
        assert all(len(column["values"]) == after["count"] for column in after["columns"])


def test_many_steps_are_thinned_to_what_matters(cpu_path: Path) -> None:
    from llmflame.analysis.steps_table import steps_table

    table = steps_table(read_profile(cpu_path))
    place, anatomy = table.place("max_ns"), table.place("anatomy")
    many = replace(
        table,
        rows=tuple(
            (step, *table.rows[0][1:place], 99 if step == 777 else 5, *table.rows[0][place + 1 : anatomy],
             "traced" if step == 64 else None, *table.rows[0][anatomy + 1 :])
            for step in range(1, 1001)
        ),
    )  # fmt: skip
    found = page_steps.thinned(many, 200)
    kept = [row[0] for row in found.rows]
    assert kept == sorted(kept, key=lambda step: int(step or 0)) and {1, 64, 777, 1000} <= set(kept)
    assert len(kept) <= 200 and page_steps.thinned(table) is table


@pytest.mark.parametrize("name", HOSTILE[:6])
def test_hostile_names_stay_data(tmp_path: Path, name: str) -> None:
    profile = read_profile(handmade_gpu(tmp_path / "h.llmflame", name=name, kernel=name, model=name))
    tree = build_run_tree(profile).tree
    page = render_page(PageData("h", summary(tree), tree, None, sections=page_sections(profile, tree, tree)))
    assert "__pwned" not in page
    assert embedded(page)["sections"]["timeline"]["windows"]


def test_a_page_without_sections_is_a_page(cpu_path: Path) -> None:
    tree = build_run_tree(read_profile(cpu_path)).tree
    assert embedded(render_page(PageData("p", summary(tree), tree)))["sections"] == {}
