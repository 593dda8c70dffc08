"""Tables of Nsight Compute: the file of a real run, and both forms with what may stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.importing.formats import format_of
from llmflame.importing.ncu import NO_STALLS, NO_TIMES, ncu_observation
from llmflame.importing.observation import Observation

REAL = Path(__file__).with_name("ncu_raw.csv")
"""Of Triton kernels on an H200, with most columns left out."""
PREFIX = "smsp__pcsamp_warps_issue_stalled_"
COMMON = ("ID", "Process ID", "Process Name", "Kernel Name", "Block Size", "Grid Size")
DETAILS = (*COMMON, "Section Name", "Metric Name", "Metric Unit", "Metric Value")


def table(*rows: Sequence[str]) -> str:
    return "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def cells(found: Observation) -> dict[str, dict[str, float]]:
    """By kernel: metric to value."""
    by_kernel: dict[str, dict[str, float]] = {}
    for metric, values in found.tree.cells.items():
        for node, value in values.items():
            frame = found.tree.frames[node]
            assert frame is not None
            by_kernel.setdefault(frame[1], {})[metric] = value
    return by_kernel


def test_a_real_file() -> None:
    assert format_of(REAL) == "ncu-csv"
    found = ncu_observation(REAL)
    kernels = cells(found)
    assert len(kernels) == 7
    assert kernels["barrier_kernel"]["device_ns"] == 1_049_184
    assert found.stalls["barrier_kernel"]["barrier"] == (80_967, 0)
    assert found.stalls["memory_kernel"]["long_scoreboard"][0] == 12_571
    fill = next(name for name in kernels if "FillFunctor" in name)
    assert kernels[fill]["low_occupancy_ns"] == kernels[fill]["device_ns"] == 1_632
    assert fill not in found.stalls  # too short for a sample
    assert "low_occupancy_ns" not in kernels["memory_kernel"]
    assert found.wall_ns == sum(one["device_ns"] for one in kernels.values()) == 2_514_592
    assert (found.model, found.notes) == ("python3.12", [])
    assert ("gpu 0", "name", "NVIDIA H200") in {(fact.section, fact.name, fact.value) for fact in found.facts}


def test_launches_of_a_kernel_are_added_up(tmp_path: Path) -> None:
    header = (*COMMON, "gpu__time_duration.sum", f"{PREFIX}wait", f"{PREFIX}wait_not_issued")
    units = ("", "", "", "", "", "", "us", "warp", "warp")
    first = ("0", "7", "prog", "k", "(32, 1, 1)", "(4, 2, 1)", "1,000.5", "12", "7")
    second = ("1", "7", "prog", "k", "(32, 1, 1)", "(4, 2, 1)", "2", "3", "5")
    found = ncu_observation(written(tmp_path, "==PROF== hello\n" + table(header, units, first, second)))
    assert cells(found) == {
        "k": {"calls": 2, "wall_ns": 1_002_500, "device_ns": 1_002_500, "samples": 15},
    }
    assert found.stalls == {"k": {"wait": (15, 10)}}  # of the second launch at most all three


def test_a_metric_a_row(tmp_path: Path) -> None:
    def row(number: int, kernel: str, section: str, metric: str, unit: str, value: str) -> Sequence[str]:
        where = (str(number), "7", "prog", kernel, "(32, 1, 1)", "(4, 1, 1)")
        return (*where, section, metric, unit, value)

    text = table(
        DETAILS,
        row(0, "a, b", "GPU Speed Of Light Throughput", "Duration", "usecond", "3.20"),
        row(0, "a, b", "GPU Speed Of Light Throughput", "SM Busy", "%", "12.5"),
        row(0, "a, b", "Command line profiler metrics", f"{PREFIX}barrier", "", "1,234"),
        row(0, "a, b", "Command line profiler metrics", f"{PREFIX}barrier_not_issued", "", "1,000"),
        row(1, "c", "Launch Statistics", "Grid Size", "", "4"),
        row(1, "c", "GPU Speed Of Light Throughput", "Duration", "msecond", "1"),
    )
    path = written(tmp_path, text)
    assert format_of(path) == "ncu-csv"
    found = ncu_observation(path)
    kernels = cells(found)
    assert (kernels["a, b"]["device_ns"], kernels["c"]["device_ns"]) == (3_200, 1_000_000)
    assert found.stalls == {"a, b": {"barrier": (1_234, 1_000)}}


def test_says_what_a_file_does_not_tell(tmp_path: Path) -> None:
    times = table((*COMMON, "gpu__time_duration.sum"), ("0", "7", "p", "k", "", "", "12"))
    assert ncu_observation(written(tmp_path, times)).notes == [NO_STALLS]
    stalls = table((*COMMON, f"{PREFIX}wait"), ("0", "7", "p", "k", "", "", "12"))
    found = ncu_observation(written(tmp_path, stalls))
    assert (found.notes, found.wall_ns) == ([NO_TIMES], 0)
    assert cells(found)["k"] == {"calls": 1, "samples": 12}


def test_ratios_are_no_samples(tmp_path: Path) -> None:
    ratio = "smsp__average_warps_issue_stalled_wait_per_issue_active.ratio"
    header = (*COMMON, "gpu__time_duration.sum", ratio, f"{PREFIX}wait")
    found = ncu_observation(written(tmp_path, table(header, ("0", "7", "p", "k", "", "", "5", "3.7", "n/a"))))
    assert found.stalls == {}


ROW = ("0", "7", "p", "k", "", "", "5")
HEADER = (*COMMON, "gpu__time_duration.sum")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (table(HEADER, ROW[:-2]), "line 2: 5 cells in a table of 7 columns: cut off?"),
        (table(HEADER, (*ROW[:-1], "fast")), "line 2: gpu__time_duration.sum is 'fast'"),
        (table(HEADER, (*ROW[:-1], "-5")), "is '-5'"),
        (table(HEADER, (*ROW[:-1], "1e300")), "is '1e300'"),
        (table(HEADER, (*ROW[:-1], "9" * 5_000)), "which is no number of anything"),
        (table(HEADER, ("", "", "", "", "", "", "parsec"), ROW), "is in 'parsec'"),
        (table(HEADER), "without a launch"),
        (table((*COMMON, "sm__cycles_elapsed.max"), ROW), "neither gpu__time_duration nor stall reasons"),
        (table(HEADER[1:], ROW[1:]), "no column 'ID'"),
        (table(HEADER) + '"0","7","p","k\n' + "x" * 200_000, "field larger than field limit"),
        ("==PROF== Disconnected\n", "no table of Nsight Compute"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        ncu_observation(path)
    message = str(raised.value)
    assert words in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 400


def test_every_truncation_is_read_or_refused(tmp_path: Path) -> None:
    """A cut file never ends in anything but an observation or a UsageError."""
    whole = REAL.read_bytes()
    for size in range(0, len(whole), 97):
        path = written(tmp_path, whole[:size])
        try:
            found = ncu_observation(path)
        except UsageError:
            continue
        assert found.tree.cells
