"""The hand-written header reader agrees with the library and refuses every damaged file in one line."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from llmflame.errors import UsageError
from llmflame.subjects import safetensors_header

from .tiny import write_safetensors

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def test_agrees_with_the_library(tiny_llama: Path) -> None:
    path = tiny_llama / "model.safetensors"
    with safe_open(path, framework="numpy") as file:
        wanted = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    entries = safetensors_header.read(path)
    assert {entry.name: entry.shape for entry in entries} == wanted
    assert {safetensors_header.torch_name(entry.dtype) for entry in entries} == {"bfloat16"}


def test_reads_scalars_empty_tensors_and_metadata(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "scalar": {"dtype": "F16", "shape": [], "data_offsets": [0, 2]},
        "empty": {"dtype": "I64", "shape": [0, 5], "data_offsets": [2, 2]},
    }
    write_safetensors(tmp_path / "x", header, b"ab")
    assert [(entry.name, entry.elements) for entry in safetensors_header.read(tmp_path / "x")] == [
        ("scalar", 1),
        ("empty", 0),
    ]


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"a": ENTRY}, b"x" * 23, "is cut off"),
        ({"a": ENTRY}, b"x" * 25, "belong to no tensor"),
        ({"a": ENTRY, "b": ENTRY}, b"x" * 24, "doesn't begin where another ends"),
        ({"a": {**ENTRY, "data_offsets": [1, 25]}}, b"x" * 25, "doesn't begin"),
        ({"a": {**ENTRY, "shape": [2, 4]}}, b"x" * 24, "doesn't fill"),
        ({"a": {**ENTRY, "shape": [-2, -3]}}, b"x" * 24, "malformed"),
        ({"a": {**ENTRY, "data_offsets": [24]}}, b"x" * 24, "malformed"),
        ({"a": {**ENTRY, "data_offsets": [24, 0]}}, b"x" * 24, "doesn't fill"),
        ({"a": {**ENTRY, "dtype": "Q9"}}, b"x" * 24, "unknown"),
        ({"a": None}, b"", "malformed"),
        ([1], b"", "isn't a JSON object"),
        (b"\xff\xfe{garbage", b"", "isn't a JSON object"),
        (b"[" * 100_000, b"", "isn't a JSON object"),
    ],
)
def test_refuses_a_damaged_header(tmp_path: Path, header: Any, data: bytes, reason: str) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, header, data)
    with pytest.raises(UsageError) as caught:
        safetensors_header.read(path)
    message = str(caught.value)
    assert reason in message and str(path) in message and "\n" not in message


@pytest.mark.parametrize("content", [b"", b"\x01\x02", struct.pack("<Q", 2**63) + b"{}", b"garbage!" * 4])
def test_refuses_a_header_longer_than_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="no whole safetensors file"):
        safetensors_header.read(path)


def test_every_cut_of_a_real_file_is_noticed(tiny_llama: Path, tmp_path: Path) -> None:
    whole = (tiny_llama / "model.safetensors").read_bytes()
    path = tmp_path / "model.safetensors"
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError):
            safetensors_header.read(path)
