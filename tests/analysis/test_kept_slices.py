"""Slices of a run on a CPU: which windows have them, and that nothing else is told differently by them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from llmflame.analysis.kept_slices import unkept
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import read_profile
from llmflame.store.rows import ProbeReportRow, slices_left_out
from tests.cli.conftest import Invoke, invoke  # noqa: F401  a fixture
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu

VIEWS = (
    "tree", "functions", "ops", "modules", "kernels", "phases", "steps", "idle", "roofline", "findings",
    "memory", "load",
)  # fmt: skip


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same run without slices and with them, in files of one name."""
    folders = [tmp_path_factory.mktemp(name) for name in ("without", "with")]
    return handmade(folders[0] / "a.llmflame"), handmade(folders[1] / "a.llmflame", slices=True)


def test_slices_without_a_device_make_no_device(paths: tuple[Path, Path]) -> None:
    without, kept = (build_run_tree(read_profile(path)) for path in paths)
    assert kept.tree.selfs == without.tree.selfs and kept.tree.parents == without.tree.parents
    assert "gpu_idle_ns" not in kept.tree.selfs and "device_ns" not in kept.tree.selfs
    windows = [window for phase in kept.phases for window in phase.windows]
    assert windows and all(window.timeline is None and not window.worked for window in windows)


@pytest.mark.parametrize("view", [None, *VIEWS])
@pytest.mark.parametrize("json_too", [False, True])
def test_every_view_says_the_same(
    paths: tuple[Path, Path],
    invoke: Invoke,  # noqa: F811
    view: str | None,
    json_too: bool,
) -> None:
    options = [*(["--view", view] if view else []), *(["--json"] if json_too else [])]
    without, kept = (invoke("show", path, *options) for path in paths)

    def timeless(out: str, path: Path) -> str:
        started = read_profile(path).run.started_at
        return out.replace(str(path), "PATH").replace(json.dumps(started), "WHEN")

    assert (timeless(kept.out, paths[1]), kept.code) == (timeless(without.out, paths[0]), without.code)
    assert kept.out or kept.err


def test_a_file_of_an_older_release_does_not_say_why(paths: tuple[Path, Path]) -> None:
    without, kept = (unkept(read_profile(path)) for path in paths)
    assert [row.label for row in without.unknown] == ["load", "prefill step 0", "decode step 1"]
    assert without.too_many == () and kept.unknown == kept.too_many == ()


def test_what_the_recording_left_out_is_known(paths: tuple[Path, Path]) -> None:
    profile = read_profile(paths[1])
    (row,) = (row for row in profile.windows if row.label == "decode step 1")
    report = ProbeReportRow(row.pass_name, "tracer", slices_left_out(row), 123_456, "count")
    cut = replace(
        profile,
        slices=tuple(piece for piece in profile.slices if piece.window != row.id),
        probe_reports=(*profile.probe_reports, report),
    )
    assert unkept(cut).too_many == (row,) and unkept(cut).unknown == ()


def test_they_are_read_where_they_are_needed(paths: tuple[Path, Path], tmp_path: Path) -> None:
    """Of a CPU for timelines alone; of a device always, whose idle time is worked out from them."""
    kept = read_profile(paths[1])
    assert kept.slices
    assert read_profile(paths[1], timelines=False) == replace(kept, slices=())
    device = handmade_gpu(tmp_path / "gpu.llmflame")
    assert read_profile(device, timelines=False) == read_profile(device)


def test_a_timeline_needs_no_cells(paths: tuple[Path, Path]) -> None:
    assert read_profile(paths[1], cells=False) == replace(read_profile(paths[1]), cells=())
