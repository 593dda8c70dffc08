"""Collapsed stacks: of anything, and such as go on on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.stalls.reasons import GROUPS
from llmflame.errors import UsageError
from llmflame.importing.folded import folded_observation, iaprof_observation
from llmflame.importing.folded_frames import INTEL_GROUPS
from llmflame.importing.folded_lines import MAX_DEPTH
from llmflame.importing.formats import format_of
from llmflame.importing.observation import Observation

GPU = """\
python3;main;-;gemm_kernel_[G];send_[g];sbid_[g];0x40_[g] 120
python3;main;-;gemm_kernel_[G];send_[g];active_[g];0x48_[g] 30
swapper_[k];idle_[k] 5
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.folded"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def paths(found: Observation) -> dict[str, float]:
    """By path, `kind:name` joined: its own samples."""
    tree = found.tree
    names: list[str] = [""]
    for parent, frame in zip(tree.parents[1:], tree.frames[1:], strict=True):
        assert frame is not None
        names.append(f"{names[parent]}/{frame[0]}:{frame[1]}")
    return {names[node]: value for node, value in tree.cells["samples"].items()}


def test_plain_stacks(tmp_path: Path) -> None:
    text = (
        "# made by hand\n\nmain;forward (a/model.py:12);aten::mm 10\nmain;two words 3\r\nmain 1\nmain 2.5\n"
    )
    path = written(tmp_path, text)
    assert format_of(path) == "folded"
    found = folded_observation(path)
    assert paths(found) == {
        "/other:main/python:forward/other:aten::mm": 10,
        "/other:main/other:two words": 3,
        "/other:main": 3.5,
    }
    assert ("python", "forward", "a/model.py", 12, None) in found.tree.frames
    assert found.wall_ns == 0


def test_stacks_of_a_gpu(tmp_path: Path) -> None:
    path = written(tmp_path, GPU)
    assert format_of(path) == "iaprof"
    top = "/other:python3/other:main/other:-/kernel:gemm_kernel/instruction:send"
    assert paths(iaprof_observation(path)) == {
        f"{top}/stall_group:device memory/stall:sbid/instruction:0x40": 120,
        f"{top}/stall_group:issuing/stall:active/instruction:0x48": 30,
        "/other:swapper/other:idle": 5,
    }


def test_groups_are_those_that_views_know() -> None:
    assert set(INTEL_GROUPS.values()) <= set(GROUPS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("main;mm 12\nmain;mm\n", "line 2 is no stack"),
        ("main;mm 12\nmain;mm -3\n", "line 2 is no stack"),
        ("main;mm nan\n", "line 1 is no stack"),
        ("main;mm 1e9\n", "line 1 is no stack"),
        (";;; 3\n", "no stack in it"),
        ("main 0\n", "no stack in it"),
        ("# nothing\n", "no stack in it"),
        (";".join("f" * (MAX_DEPTH + 1)) + " 1\n", f"line 1 has {MAX_DEPTH + 1:,} frames"),
        ("main 9999999999999999\n", "line 1 has the value"),
        (b"main;mm 12\nmain;\0 3\n", "line 2 holds binary data"),
        (b"main;mm 12\n" + b"x" * (9 << 20), "line 2 is longer than"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = written(tmp_path, text)
    for read in (folded_observation, iaprof_observation):
        with pytest.raises(UsageError) as raised:
            read(path)
        message = str(raised.value)
        assert words in message
        assert "\n" not in message
        assert len(message) < 400


def test_a_line_of_blanks_takes_no_time(tmp_path: Path) -> None:
    """Splitting a line by trying every blank would take hours."""
    path = written(tmp_path, "main;" + " " * 1_000_000 + "x 3\n")
    assert sum(paths(folded_observation(path)).values()) == 3


def test_bytes_that_are_no_text_stay_visible(tmp_path: Path) -> None:
    found = folded_observation(written(tmp_path, b"main;\xff\xfe 3\n"))
    assert paths(found) == {"/other:main/other:\\xff\\xfe": 3}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x7fELF\0\0", "a binary file, not text"),
        (b"SQLite format 3\0", "a profile of llmflame is opened with llmflame show"),
        (b"NVR\0\x01", "ncu --import FILE --csv --page raw"),
        (b'{"traceEvents": []}', "neither a table of Nsight Compute nor collapsed stacks"),
        (b"hello world\n", "neither a table of Nsight Compute nor collapsed stacks"),
    ],
)
def test_a_file_of_something_else(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        format_of(written(tmp_path, content))
