"""Threads of the host as a real load's pool and a real window show them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.thread_lanes import sampled_lanes
from llmflame.exports.chrome import chrome
from llmflame.exports.request import Request
from llmflame.recording import cold_start
from llmflame.recording.loading import load_pipeline
from llmflame.recording.session import Session
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import MAIN_THREAD
from llmflame.store.writer import ProfileWriter
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve
from llmflame.views.page.timeline import timeline_data

JOB_S = 0.08
"""Four samples: a tiny model's tensors are read faster than any sampler sees."""


@pytest.fixture(scope="module")
def loaded(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A clean pass' load of a two-layer Llama, whose reading threads take their time."""
    checkpoint = resolve(str(tiny_folder), progress=silent)
    path = tmp_path_factory.mktemp("load") / "load.llmflame"
    writer = ProfileWriter(path, version="0", mode="in-process")
    session = Session("clean", writer, time.perf_counter_ns())
    with cold_start.Sampling() as sampling, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_DEACTIVATE_ASYNC_LOAD", raising=False)
        linked = ThreadPoolExecutor.submit

        def submit(
            pool: ThreadPoolExecutor, job: Callable[..., Any], /, *args: Any, **kwargs: Any
        ) -> Future[Any]:
            def unhurried(*inner: Any, **more: Any) -> Any:
                time.sleep(JOB_S)
                return job(*inner, **more)

            return linked(pool, unhurried, *args, **kwargs)

        patch.setattr(ThreadPoolExecutor, "submit", submit)
        with sampling.watch(session, "load") as phase:
            load_pipeline(checkpoint, "auto", "cpu", phase.part)
    sampling.report(session)
    session.flush()
    session.close()
    writer.finish("complete")
    return read_profile(path)


def stays(profile: Profile) -> dict[str, list[tuple[int, int, int]]]:
    names = {row.number: row.name or "" for row in profile.threads}
    found = defaultdict(list)
    for piece in profile.thread_slices:
        found[names[piece.thread]].append((piece.node, piece.start_ns, piece.end_ns))
    return found


def test_a_pools_workers_have_their_names_and_times(loaded: Profile) -> None:
    (window,) = loaded.windows
    found = stays(loaded)
    workers = [name for name in found if name.startswith("ThreadPoolExecutor-")]
    assert workers and set(found) == {"MainThread", *workers}
    assert len({row.native_id for row in loaded.threads}) == len(found)
    for pieces in found.values():
        edges = [edge for _, start, end in pieces for edge in (start, end)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= window.wall_ns


def test_lanes_are_what_the_tree_adds_up_to(loaded: Profile) -> None:
    """The main thread's the wall, frame by frame; the workers' what is beside it."""
    (window,) = loaded.windows
    spent: dict[str, dict[int, int]] = {
        "wall_ns": defaultdict(int),
        "overlapped_ns": defaultdict(int),
    }
    for name, pieces in stays(loaded).items():
        for node, start, end in pieces:
            spent["wall_ns" if name == "MainThread" else "overlapped_ns"][node] += end - start
    assert sum(spent["wall_ns"].values()) == window.wall_ns
    cells: dict[str, dict[int, float]] = {name: {} for name in spent}
    for cell in loaded.cells:
        name = loaded.metrics[cell.metric].name
        if name in cells and cell.value > 0:
            cells[name][cell.node] = cell.value
    assert sum(cells["wall_ns"].values()) == window.wall_ns
    assert dict(spent["overlapped_ns"]) == cells["overlapped_ns"]


def test_page_and_trace_show_them(loaded: Profile) -> None:
    labels = [lane.label for lane in sampled_lanes(loaded)]
    assert labels[0] == "main thread" and any(label.startswith("ThreadPoolExecutor-") for label in labels)
    data: Any = timeline_data(loaded)
    (start,) = (window for window in data["windows"] if window["id"] == "start")
    assert [lane["label"] for lane in start["threads"]] == [
        f"{label}, sampled" for label in (*labels[1:], labels[0])
    ]
    text = chrome(Request(loaded))
    assert all(f'"{label} (sampled)"' in text for label in labels)


def test_their_work_hangs_below_what_asked_for_it(loaded: Profile) -> None:
    """Else these tests would test nothing: transformers reads a checkpoint in a pool."""
    node = next(piece.node for piece in loaded.thread_slices if piece.thread != MAIN_THREAD)
    path = []
    above: int | None = node
    while above is not None:
        row = loaded.nodes[above]
        path.append(loaded.frames[row.frame])
        above = row.parent
    assert "transformers/core_model_loading.py" in {frame.file for frame in path}
    assert [frame.kind for frame in path].count("thread") == 1
