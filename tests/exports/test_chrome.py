"""The trace of events, read strictly: what Perfetto would drop or move is an error here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmflame.exports.chrome import chrome
from llmflame.exports.request import Request
from llmflame.store.profile import read_profile
from llmflame.store.rows import ProbeReportRow
from tests.exports.made import (
    HOSTILE,
    MADE,
    SLICED,
    THREADED,
    in_speedscope,
    needs_speedscope,
    needs_trace_model,
    read_by_node,
    request_of,
)
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu

on_each_made = pytest.mark.parametrize("kind", MADE)
Event = dict[str, Any]
Track = tuple[int, int]
FIELDS: Mapping[str, set[str]] = {
    "X": {"ph", "pid", "tid", "ts", "dur", "name", "cat"},
    "C": {"ph", "pid", "tid", "ts", "name", "cat", "args"},
    "M": {"ph", "pid", "tid", "ts", "name", "cat", "args"},
    "s": {"ph", "pid", "tid", "ts", "name", "cat", "id"},
    "f": {"ph", "pid", "tid", "ts", "name", "cat", "id", "bp"},
}


def strictly_read(text: str) -> list[Event]:
    """The events, each with the fields of its kind, those of a thread nested, arrows in pairs."""
    document = json.loads(text)
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    events: list[Event] = document["traceEvents"]
    for event in events:
        assert FIELDS[event["ph"]] <= set(event) <= FIELDS[event["ph"]] | {"args"}
        assert type(event["pid"]) is int and type(event["tid"]) is int
        assert isinstance(event["name"], str) and event["name"]
        if event["ph"] != "M":
            assert event["ts"] >= 0 and event.get("dur", 0) >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    tracks = tracks_of(events)
    assert set(tracks) <= named
    for track in tracks.values():
        nested(track)
    arrows(events, tracks)
    return events


def tracks_of(events: list[Event]) -> dict[Track, list[Event]]:
    tracks: dict[Track, list[Event]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(event)
    return tracks


def nested(events: list[Event]) -> None:
    """Any two are apart, or one lies in the other."""
    ends: list[float] = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        while ends and ends[-1] <= event["ts"]:
            ends.pop()
        assert not ends or event["ts"] + event["dur"] <= ends[-1], event
        ends.append(event["ts"] + event["dur"])


def arrows(events: list[Event], tracks: Mapping[Track, list[Event]]) -> None:
    """Each begins once and ends once, not before, both within an event of its thread."""
    begins = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert len(begins) + len(ends) == sum(event["ph"] in "sf" for event in events)
    assert set(begins) == set(ends)
    for number, begin in begins.items():
        assert begin["ts"] <= ends[number]["ts"] and ends[number]["bp"] == "e"
        for edge in (begin, ends[number]):
            around = tracks[edge["pid"], edge["tid"]]
            assert any(one["ts"] <= edge["ts"] <= one["ts"] + one["dur"] for one in around)


@on_each_made
@pytest.mark.parametrize("phases", [(), ("decode",)])
@pytest.mark.parametrize("all_frames", [False, True])
def test_reads_strictly(tmp_path: Path, kind: str, phases: tuple[str, ...], all_frames: bool) -> None:
    strictly_read(chrome(request_of(tmp_path, kind, phases=phases, all_frames=all_frames)))


def test_a_run_on_a_cpu_has_phases_steps_and_counters(tmp_path: Path) -> None:
    events = strictly_read(chrome(request_of(tmp_path, "cpu")))
    tracks = tracks_of(events)
    assert set(tracks) == {(1, 1), (1, 2)}
    names = [event["name"] for event in tracks[1, 1]]
    assert names[:3] == ["startup", "import", "torch"] and "request 1" in names
    assert [event["name"] for event in tracks[1, 2]][:5] == [f"step {number}" for number in range(5)]
    (load,) = (event for event in tracks[1, 1] if event["name"] == "load")
    assert (load["ts"], load["dur"]) == (1_020_000, 500_000)
    counters = [event for event in events if event["ph"] == "C"]
    assert [(event["name"], event["ts"], event["args"]) for event in counters] == [
        ("rss_bytes", 5_000, {"bytes": 100 << 20})
    ]


def test_windows_of_a_cpu(tmp_path: Path) -> None:
    """Frames of the main thread nest in their windows; there are no streams and no arrows."""
    request = request_of(tmp_path, SLICED, phases=("prefill", "decode"))
    text = chrome(request)
    events = strictly_read(text)
    track = tracks_of(events)[2, 1]
    assert {thread for process, thread in tracks_of(events) if process == 2} == {1}
    assert not any(event["ph"] in "sf" for event in events)
    windows = [event for event in track if event["cat"] == "window"]
    assert [event["name"] for event in windows] == ["prefill, step 0", "decode, step 1"]
    for window in windows:
        inside = [
            event for event in track
            if window["ts"] <= event["ts"] and event["ts"] + event["dur"] <= window["ts"] + window["dur"]
        ]  # fmt: skip
        names = [event["name"] for event in inside]
        assert names[1] == "_sample" and inside[1]["dur"] == pytest.approx(window["dur"])
        assert names.count("aten::mm") == names.count("aten::linear") == 2
    assert "windows_without_frames" not in json.loads(text)["otherData"]


def test_threads_have_tracks_of_their_own(tmp_path: Path) -> None:
    """Where they were sampled or traced, at the times of their windows, without who asked for the work."""
    events = strictly_read(chrome(request_of(tmp_path, THREADED)))
    tracks = tracks_of(events)
    names = {
        event["args"]["name"]: (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name"
    }
    assert list(names)[2:5] == ["main thread (sampled)", "pool_0 (sampled)", "pool_1 (sampled)"]
    first = [(event["name"], event["ts"], event["dur"]) for event in tracks[names["pool_0 (sampled)"]]]
    assert first == [("materialize", 1_220_000, 80_000), ("materialize", 1_320_000, 100_000)]
    main = [event["name"] for event in tracks[names["main thread (sampled)"]]]
    assert main[:2] == ["<module>", "<module>"] and main[-2:] == ["from_pretrained", "wait"]
    (window,) = (event for event in tracks[2, 1] if event["name"] == "decode, step 1")
    other = [(event["name"], event["ts"] - window["ts"], event["dur"]) for event in tracks[names["forward"]]]
    assert other == [("run", 0, 3_000), ("wait", 0, 1_000), ("run", 5_000, 7_000), ("wait", 5_000, 7_000)]
    assert names["forward"][0] == 2


def test_threads_of_chosen_phases(tmp_path: Path) -> None:
    def names(*phases: str) -> set[str]:
        events = strictly_read(chrome(request_of(tmp_path, THREADED, phases=phases)))
        (tmp_path / f"{THREADED}.llmflame").unlink()
        return {event["args"]["name"] for event in events if event["name"] == "thread_name"}

    assert names("decode") == {"phases", "steps", "main thread", "forward"}
    assert names("import") == {"phases", "steps", "main thread (sampled)"}


def test_windows_without_threads_are_named(tmp_path: Path) -> None:
    request = request_of(tmp_path, THREADED)
    report = ProbeReportRow("clean", "sampler", "slices of threads left out of load", 99_999, "count")
    profile = replace(request.profile, probe_reports=(report,))
    about = json.loads(chrome(Request(profile)))["otherData"]
    assert about["windows_without_threads"] == ["load"]
    assert "windows_without_threads" not in json.loads(chrome(request))["otherData"]


def test_windows_without_frames_are_named(tmp_path: Path) -> None:
    def without(**wanted: Any) -> list[str]:
        found: list[str] = json.loads(chrome(request_of(tmp_path, "cpu", **wanted)))["otherData"][
            "windows_without_frames"
        ]
        return found

    assert without() == ["load", "prefill step 0", "decode step 1"]
    (tmp_path / "cpu.llmflame").unlink()
    assert without(phases=("decode",)) == ["decode step 1"]


def test_windows_of_a_device(tmp_path: Path) -> None:
    request = request_of(tmp_path, "gpu")
    events = strictly_read(chrome(request))
    tracks = tracks_of(events)
    streams = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert {"main thread", "stream 7"} <= streams
    kernels = [event for (_, thread), track in tracks.items() if thread >= 1_000 for event in track]
    assert len(kernels) == len(request.profile.device_work)
    took = sum(work.end_ns - work.start_ns for work in request.profile.device_work)
    assert sum(event["dur"] for event in kernels) * 1_000 == pytest.approx(took, abs=len(kernels))
    launched = sum(work.launched_ns is not None for work in request.profile.device_work)
    assert sum(event["ph"] == "s" for event in events) == launched
    windows = [event for event in tracks[2, 1] if event["cat"] == "window"]
    assert [event["name"] for event in windows] == ["prefill, step 0", "decode, step 1"]
    walls = [row.wall_ns for row in request.profile.windows if row.kind == "traced" and row.step is not None]
    assert [event["dur"] * 1_000 for event in windows] == pytest.approx(walls, abs=1)


def test_host_frames_take_as_long_as_their_slices(tmp_path: Path) -> None:
    """Own times of events, by name, are the slices' of the nodes of that name."""
    request = request_of(tmp_path, "gpu", all_frames=True, phases=("decode",))
    profile = request.profile
    (row,) = (row for row in profile.windows if row.kind == "traced" and row.span_name == "decode")
    pieces = [piece for piece in profile.slices if piece.window == row.id]
    ends = [*[piece.start_ns for piece in pieces[1:]], row.wall_ns]
    expected: dict[str, float] = defaultdict(float)
    for piece, end in zip(pieces, ends, strict=True):
        expected[profile.frames[profile.nodes[piece.node].frame].kind] += end - piece.start_ns
    found: dict[str, float] = defaultdict(float)
    stack: list[tuple[float, Event]] = []
    events = tracks_of(strictly_read(chrome(request)))[2, 1]
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        while stack and stack[-1][0] <= event["ts"]:
            stack.pop()
        found[event["cat"]] += event["dur"] * 1_000
        if stack:
            found[stack[-1][1]["cat"]] -= event["dur"] * 1_000
        stack.append((event["ts"] + event["dur"], event))
    found["phase"] += found.pop("window")
    assert {kind: own for kind, own in found.items() if own > len(events)} == pytest.approx(
        {kind: own for kind, own in expected.items() if own}, abs=len(events)
    )


def test_names_are_data(tmp_path: Path) -> None:
    gpu = handmade_gpu(tmp_path / "a.llmflame", name=HOSTILE, kernel=HOSTILE, model=HOSTILE)
    threads = handmade(tmp_path / "b.llmflame", name=HOSTILE, slices=True, threads=True)
    for path in (gpu, threads):
        events = strictly_read(chrome(Request(read_profile(path))))
        assert all(event["name"].isprintable() for event in events)
        assert all(event["args"]["name"].isprintable() for event in events if event["ph"] == "M")


@needs_speedscope
@on_each_made
def test_speedscope_reads_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(chrome(request_of(tmp_path, kind)), "utf-8")
    read = in_speedscope(path)
    assert len(read) == len(tracks_of(strictly_read(path.read_text("utf-8"))))


@needs_trace_model
@on_each_made
def test_a_model_of_traces_finds_slices_counters_and_arrows(tmp_path: Path, kind: str) -> None:
    """TracerBench's, made for what Chrome writes."""
    text = chrome(request_of(tmp_path, kind))
    path = tmp_path / "a.trace.json"
    path.write_text(text, "utf-8")
    events = strictly_read(text)
    processes = read_by_node("chrome_trace.mjs", path)
    named = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert [process["name"] for process in processes] == named
    for pid, process in enumerate(processes, 1):
        own = [event for event in events if event["pid"] == pid]
        counters = [[event["name"], event["ts"], event["args"]] for event in own if event["ph"] == "C"]
        assert sorted(process["counters"], key=repr) == sorted(counters, key=repr)
        arrows = [
            [event["ph"], event["id"], event["tid"], event["ts"]] for event in own if event["ph"] in "sf"
        ]
        assert sorted(process["flows"]) == sorted(arrows)
        for thread in process["threads"]:
            mine = [event for event in own if event["tid"] == thread["id"] and event["ph"] == "X"]
            slices = [(event["name"], event["ts"], event["dur"]) for event in mine]
            assert sorted((name, start, took) for name, start, took, _ in thread["events"]) == sorted(slices)
            assert (
                thread["name"] in {e["args"]["name"] for e in own if e["name"] == "thread_name"} or not mine
            )
    if kind in ("gpu", SLICED):
        (host,) = (one for one in processes[1]["threads"] if one["name"] == "main thread")
        assert {parent for _, _, _, parent in host["events"]} > {None, "decode, step 1"}
