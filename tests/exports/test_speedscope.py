"""The speedscope file: by its schema, by its own importer, and against the trees that it is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmflame.exports.request import Request
from llmflame.exports.speedscope import speedscope
from llmflame.store import metrics
from llmflame.store.profile import read_profile
from tests.exports.made import (
    CONSUMERS,
    HOSTILE,
    SPEEDSCOPE,
    in_speedscope,
    needs_speedscope,
    on_each_profile,
    request_of,
)
from tests.handmade import handmade

TIMES = (metrics.WALL, metrics.HOST, metrics.DEVICE, metrics.IDLE)


def written(folder: Path, kind: str, **wanted: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(speedscope(request_of(folder, kind, **wanted)))
    return document


@on_each_profile
def test_totals_are_the_trees(tmp_path: Path, kind: str) -> None:
    request = request_of(tmp_path, kind)
    profiles = {one["name"]: one for one in json.loads(speedscope(request))["profiles"]}
    expected = {
        metric.label: sum(request.tree.selfs[metric.name])
        for metric in TIMES
        if sum(request.tree.selfs.get(metric.name, ()))
    }
    for peak in request.peaks:
        tree, name = request.held(peak)
        expected[f"Bytes held at the peak of {peak.phase} ({peak.space})"] = tree.totals(name)[0]
    assert list(profiles) == list(expected)
    for name, total in expected.items():
        assert sum(profiles[name]["weights"]) == pytest.approx(total, abs=1)
        assert profiles[name]["endValue"] == pytest.approx(total, abs=1)


def test_what_each_profile_is_in(tmp_path: Path) -> None:
    units = {one["name"]: one["unit"] for one in written(tmp_path, "gpu")["profiles"]}
    assert units == dict.fromkeys(("Wall time", "Host time", "Device time", "GPU idle"), "nanoseconds")
    held = [one for one in written(tmp_path, "memory")["profiles"] if one["unit"] == "bytes"]
    assert held


def test_frames_name_module_file_and_line(tmp_path: Path) -> None:
    frames = written(tmp_path, "cpu")["shared"]["frames"]
    assert {"name": "TinyLayer model.layers.1"} in frames
    tiny = "transformers/models/tiny/modeling_tiny.py"
    assert {"name": "forward", "file": tiny, "line": 40} in frames
    assert len({json.dumps(frame) for frame in frames}) == len(frames)


def test_passing_frames_are_hidden_unless_wanted(tmp_path: Path) -> None:
    hidden = {frame["name"] for frame in written(tmp_path, "cpu")["shared"]["frames"]}
    (tmp_path / "all").mkdir()
    shown = {frame["name"] for frame in written(tmp_path / "all", "cpu", all_frames=True)["shared"]["frames"]}
    assert shown - hidden == {"_call_impl"}


def test_one_phase_alone(tmp_path: Path) -> None:
    document = written(tmp_path, "cpu", phases=("prefill",))
    (wall,) = document["profiles"]
    assert sum(wall["weights"]) == pytest.approx(50e6, abs=1)
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert {names[stack[1]] for stack in wall["samples"]} == {"prefill"}


@pytest.mark.parametrize("until", ["nothing", "load"])
def test_an_unfinished_run(tmp_path: Path, until: str) -> None:
    path = handmade(tmp_path / "a.llmflame", until=until, status="partial", reason="killed")
    profiles = json.loads(speedscope(Request(read_profile(path))))["profiles"]
    assert [one["name"] for one in profiles] == ([] if until == "nothing" else ["Wall time"])


@needs_speedscope
@on_each_profile
def test_its_own_schema_accepts_it(tmp_path: Path, kind: str) -> None:
    schema = json.loads((SPEEDSCOPE / "file-format-schema.json").read_text("utf-8"))
    jsonschema.validate(written(tmp_path, kind), schema)


@needs_speedscope
@on_each_profile
def test_its_own_importer_reads_it(tmp_path: Path, kind: str) -> None:
    request = request_of(tmp_path, kind)
    text = speedscope(request)
    path = tmp_path / "a.speedscope.json"
    path.write_text(text, "utf-8")
    document, read = json.loads(text), in_speedscope(path)
    assert [(one["name"], one["unit"]) for one in read] == [
        (one["name"], one["unit"]) for one in document["profiles"]
    ]
    for one, profile in zip(read, document["profiles"], strict=True):
        assert one["total"] == pytest.approx(sum(profile["weights"]))
        assert sum(frame["self"] for frame in one["frames"]) == pytest.approx(one["total"])
    (wall, *_) = read
    (top,) = (frame for frame in wall["frames"] if frame["name"] == request.title)
    assert top["total"] == pytest.approx(wall["total"])
    if kind == "cpu":
        assert {frame["line"] for frame in wall["frames"] if frame["file"] == "torch/__init__.py"} == {1}


@needs_speedscope
def test_names_are_data(tmp_path: Path) -> None:
    request = Request(read_profile(handmade(tmp_path / "a.llmflame", name=HOSTILE, model=HOSTILE)))
    path = tmp_path / "a.speedscope.json"
    path.write_text(speedscope(request), "ascii")
    names = {frame["name"] for frame in in_speedscope(path)[0]["frames"]}
    assert r"a;b c\n<img src=x onerror=alert(1)>\x1b[31m\u202e\udc80|`*@x`" in names
    assert all(name.isprintable() for name in names)


def test_the_consumers_lock_names_no_registry() -> None:
    assert '"resolved"' not in (CONSUMERS / "package-lock.json").read_text("utf-8")
    wanted = json.loads((CONSUMERS / "package.json").read_text("utf-8"))["devDependencies"]
    assert all(version[0].isdigit() for version in wanted.values()), "versions are pinned exactly"
