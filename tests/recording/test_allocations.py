"""The pass that follows allocations, with memray itself, in a process of its own: planted bytes are found."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmflame.analysis.heap_table import heap_held_tree, heap_table
from llmflame.errors import UsageError
from llmflame.probes.heap_follower import refuse_taken_hook
from llmflame.store import metrics
from llmflame.store.model import Metric
from llmflame.store.profile import Profile, read_profile
from tests.integration import checkpoints

pytest.importorskip("memray")

MIB = 1 << 20
NEW_TOKENS = 6
PHASES = ["import", "load", "tokenize", "prepare", "prefill", "decode", "detokenize"]
PLANTED = """
import numpy, torch

KEPT = []

def keep():
    KEPT.append(numpy.ones(3 << 20))

class Planted(torch.nn.Module):
    def forward(self, count):
        numpy.empty(count, "uint8")

PLANTED = Planted()
"""
KEPT_BYTES = 24 * MIB
SCRATCH_BYTES = 64 * MIB
REPOSITORY = Path(__file__).parents[2]
RECORDS_LIMIT_BYTES = 2 * MIB
"""Less than what an import of torch leaves of records."""


def follow(
    model: Path, output: Path, *, before: Callable[[], None] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    options = json.dumps({"new_tokens": NEW_TOKENS, "device": "cpu", "repetitions": 1})
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}
    if folder is not None:
        environment["TMPDIR"] = str(folder)
    return subprocess.run(
        [sys.executable, "-m", "tests.recording.followed", str(model), str(output), options],
        capture_output=True,
        text=True,
        env=environment,
        preexec_fn=before,
        timeout=300,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The third call of the forward method is the second step of decode."""
    folder = checkpoints.unruly(tmp_path_factory.mktemp("m"), "keep(); PLANTED(64 << 20)", at=3)
    with (folder / "modeling_unruly.py").open("a") as file:
        file.write(PLANTED)
    return folder


@pytest.fixture(scope="module")
def records_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def profile(model: Path, records_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    output = tmp_path_factory.mktemp("out") / "out.llmflame"
    result = follow(model, output, folder=records_folder)
    assert result.returncode == 0, result.stderr
    return read_profile(output)


def values(profile: Profile, phase: str, metric: Metric) -> dict[int, float]:
    """By node: a phase's own numbers."""
    (window,) = [one for one in profile.windows if one.span_name == phase]
    number = metrics.ID[metric.name]
    return {
        cell.node: cell.value for cell in profile.cells if (cell.window, cell.metric) == (window.id, number)
    }


def inside(profile: Profile, phase: str, metric: Metric, *functions: str) -> float:
    """What the last of these functions and all below it have, where each was called by the one before."""
    total = 0.0
    for node, value in values(profile, phase, metric).items():
        names: list[str] = []
        at: int | None = node
        while at is not None:
            names.insert(0, profile.frames[profile.nodes[at].frame].name)
            at = profile.nodes[at].parent
            if names[: len(functions)] == list(functions):
                total += value
                break
    return total


def reported(profile: Profile, name: str) -> float:
    (value,) = [report.value for report in profile.probe_reports if report.name == name]
    assert value is not None
    return value


def test_each_phase_has_a_window_without_times(profile: Profile) -> None:
    assert [window.span_name for window in profile.windows] == PHASES
    assert {window.kind for window in profile.windows} == {"allocations"}
    assert {window.wall_ns for window in profile.windows} == {0}
    assert all(window.events for window in profile.windows)
    assert metrics.ID[metrics.WALL.name] not in {cell.metric for cell in profile.cells}


def test_a_kept_array_is_found_with_its_bytes(profile: Profile) -> None:
    for metric in (metrics.HEAP, metrics.HEAP_HELD, metrics.HEAP_LEFT):
        assert inside(profile, "decode", metric, "forward", "keep", "ones") == KEPT_BYTES, metric.name
    assert inside(profile, "decode", metrics.ALLOCATIONS, "forward", "keep", "ones") == 1
    assert inside(profile, "detokenize", metrics.HEAP_HELD, "forward", "keep", "ones") == KEPT_BYTES
    assert inside(profile, "prefill", metrics.HEAP_HELD, "keep") == 0


def test_a_temporary_is_found_in_its_module_and_is_gone_later(profile: Profile, model: Path) -> None:
    nodes = values(profile, "decode", metrics.HEAP_HELD)
    frames = {node: profile.frames[profile.nodes[node].frame] for node in nodes}
    (scratch,) = [
        node
        for node, frame in frames.items()
        if frame.name == "forward" and "modeling_unruly.py" in (frame.file or "")
        if nodes[node] >= SCRATCH_BYTES
    ]
    assert nodes[scratch] == SCRATCH_BYTES
    file = (model / "modeling_unruly.py").read_text().splitlines()
    assert file[(frames[scratch].line or 0) - 1].strip() == "def forward(self, count):"
    assert values(profile, "decode", metrics.HEAP)[scratch] == SCRATCH_BYTES
    assert values(profile, "decode", metrics.ALLOCATIONS)[scratch] == 1
    assert scratch not in values(profile, "decode", metrics.HEAP_LEFT)
    after = values(profile, "detokenize", metrics.HEAP_HELD)
    assert max(after.values()) < SCRATCH_BYTES


def test_sums_are_those_of_the_whole_heap(profile: Profile) -> None:
    for phase in PHASES:
        held = sum(values(profile, phase, metrics.HEAP_HELD).values())
        assert held == reported(profile, f"{phase}: held at the peak")
        left = sum(values(profile, phase, metrics.HEAP_LEFT).values())
        begin, end = (reported(profile, f"{phase}: held at the {edge}") for edge in ("beginning", "end"))
        assert begin + left - reported(profile, f"{phase}: given back of what was there") == end


def test_weights_are_mapped_and_not_held(profile: Profile, model: Path) -> None:
    (weights,) = model.glob("*.safetensors")
    mapped = sum(values(profile, "load", metrics.MAPPED).values())
    assert mapped and mapped % weights.stat().st_size == 0
    assert all(
        not values(profile, phase, metrics.MAPPED) for phase in PHASES if phase not in ("import", "load")
    )


def test_no_stack_was_lost(profile: Profile) -> None:
    assert reported(profile, "marks without a stack") == 0
    assert reported(profile, "blocks whose end is unknown") == 0


def test_frames_are_the_program_s(profile: Profile) -> None:
    """The same keys as the sampler's: no frame of how the pass was started, none of import machinery."""
    files = {frame.file or "" for frame in profile.frames.values()}
    assert not [file for file in files if file.startswith("llmflame/") or "followed.py" in file]
    names = {frame.name for frame in profile.frames.values() if frame.kind == "python"}
    assert "_find_and_load" not in names
    assert {"generate", "from_pretrained"} <= names


def test_views_take_it(profile: Profile) -> None:
    table = heap_table(profile, ("decode",))
    rows = [row for row in table.rows if row[1] == "ones"]
    assert [(row[4], row[5], row[7]) for row in rows] == [(KEPT_BYTES, KEPT_BYTES, 1)]
    tree = heap_held_tree(profile, "decode")
    assert tree.totals(metrics.HEAP_HELD.name)[0] == reported(profile, "decode: held at the peak")


def test_no_file_is_left_behind(profile: Profile, records_folder: Path) -> None:
    assert profile.windows
    assert list(records_folder.iterdir()) == []


def test_a_full_disk_is_one_clear_reason(model: Path, tmp_path: Path) -> None:
    """memray stops and says nothing to the program: the records' last mark is missing."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (RECORDS_LIMIT_BYTES, RECORDS_LIMIT_BYTES))

    folder = tmp_path / "records"
    folder.mkdir()
    result = follow(model, tmp_path / "out.llmflame", before=limit, folder=folder)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "memray could keep only" in last and "set TMPDIR to a folder with more room" in last
    assert list(folder.iterdir()) == []


def test_a_killed_pass_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", "os.kill(os.getpid(), signal.SIGKILL)", at=1)
    folder = tmp_path / "records"
    folder.mkdir()
    result = follow(model, tmp_path / "out.llmflame", folder=folder)
    assert result.returncode == -9
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert left == []


def test_another_profiler_is_refused() -> None:
    old = sys.getprofile()
    sys.setprofile(lambda *_: None)
    try:
        with pytest.raises(UsageError, match="another profiler"):
            refuse_taken_hook()
    finally:
        sys.setprofile(old)
