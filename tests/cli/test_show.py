"""`llmflame show`: views, options, and documents that match the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmflame.analysis.summary import summarise
from llmflame.store.profile import read_profile
from tests.cli.conftest import Invoke
from tests.handmade import MS, PHASE_MS, RUN_MS, handmade

SCHEMA = json.loads((Path(__file__).parent / "show_json.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TABLES = [
    "phases",
    "tree",
    "ops",
    "functions",
    "modules",
    "steps",
    "kernels",
    "idle",
    "roofline",
    "load",
    "machine",
]
RUNS: list[dict[str, Any]] = [
    {},
    {"until": "clean", "status": "failed", "reason": "RuntimeError: boom"},
    {"until": "load", "status": "partial", "reason": "interrupted"},
    {"until": "nothing", "status": "failed", "reason": "killed"},
    {"name": "[red]\x1b[31m\n", "model": "x" * 100_000},
]


def document(text: str) -> Any:
    """The one document on stdout; no NaN, no second document, no other text."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(text, parse_constant=refuse)
    VALIDATOR.validate(found)
    return found


@pytest.mark.parametrize("options", RUNS, ids=range(len(RUNS)))
@pytest.mark.parametrize("view", ["summary", "findings", *TABLES])
def test_documents_match_the_schema(
    invoke: Invoke, tmp_path: Path, options: dict[str, Any], view: str
) -> None:
    path = handmade(tmp_path / "a.llmflame", **options)
    ended = invoke("show", path, "--view", view, "--json")
    assert ended.code == 0 and ended.err == ""
    found = document(ended.out)
    if view == "summary":
        assert found == json.loads(json.dumps(summarise(read_profile(path))))
    elif view == "findings":
        assert found["findings"] == json.loads(json.dumps(summarise(read_profile(path))["findings"]))
    else:
        assert found["view"] == view
        assert all(len(row) == len(found["columns"]) for row in found["rows"])


def test_the_schema_is_strict(profile_file: Path) -> None:
    whole = summarise(read_profile(profile_file))
    VALIDATOR.validate(json.loads(json.dumps(whole)))
    for name in whole:
        assert not VALIDATOR.is_valid({key: value for key, value in whole.items() if key != name})
    assert not VALIDATOR.is_valid({**whole, "extra": 1})
    assert not VALIDATOR.is_valid({**whole, "latency": {**whole["latency"], "ttft_ms": "fast"}})


def test_known_numbers(invoke: Invoke, profile_file: Path) -> None:
    found = document(invoke("show", profile_file, "--json").out)
    assert {phase["name"]: phase["wall_s"] * 1e3 for phase in found["phases"]} == pytest.approx(PHASE_MS)
    assert found["latency"]["ttft_ms"] == pytest.approx(53)
    assert found["latency"]["tpot_ms"] == {"median": 13.5, "p10": 11.0, "p90": 16.0, "n": 8}
    assert found["latency"]["load_s"] == 0.5 and found["latency"]["import_s"] == 1.0


def test_a_tree_as_document_is_whole(invoke: Invoke, profile_file: Path) -> None:
    found = document(invoke("show", profile_file, "--view", "tree", "--json").out)
    names = [column["name"] for column in found["columns"]]
    own = [row[names.index("self_ns")] for row in found["rows"]]
    assert "folded" not in [row[names.index("kind")] for row in found["rows"]]
    assert sum(own) == pytest.approx(RUN_MS * MS, abs=50)


@pytest.mark.parametrize("view", ["summary", *TABLES])
def test_text_views(invoke: Invoke, profile_file: Path, view: str) -> None:
    ended = invoke("show", profile_file, "--view", view)
    assert ended.code == 0 and ended.err == "" and len(ended.out.splitlines()) > 3
    assert "\x1b" not in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100


@pytest.mark.parametrize(("columns", "width"), [("", 120), ("60", 60)])
def test_width_of_a_pipe(spawn: Invoke, profile_file: Path, columns: str, width: int) -> None:
    """It once failed and didn't say why: a command that ends early has no lines."""
    ended = spawn("show", profile_file, COLUMNS=columns)
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= width


def test_sorting_and_limits(invoke: Invoke, profile_file: Path) -> None:
    for column in ("cumtime", "cumtime_ns", "ncalls", "function"):
        ended = invoke(
            "show", profile_file, "--view", "functions", "--sort", column, "--limit", "3", "--json"
        )
        found = document(ended.out)
        place = [each["name"] for each in found["columns"]].index("cumtime_ns" if "cum" in column else column)
        values = [row[place] for row in found["rows"]]
        assert len(values) == 3 and values == sorted(values, reverse=column != "function")
    text = invoke("show", profile_file, "--view", "functions", "--limit", "2").out
    assert "11 more rows: --limit 13 shows all" in text


def test_phase_limits_a_view(invoke: Invoke, profile_file: Path) -> None:
    text = invoke("show", profile_file, "--view", "ops", "--phase", "load").out
    assert "aten::empty" in text and "aten::mm" not in text
    both = invoke("show", profile_file, "--view", "tree", "--phase", "load", "--phase", "decode").out
    assert "from_pretrained" in both and "_sample" in both and "import" not in both


def test_tree_depth_and_frames(invoke: Invoke, profile_file: Path) -> None:
    shallow = invoke("show", profile_file, "--view", "tree", "--depth", "1").out
    assert "prefill" in shallow and "_sample" not in shallow
    every = ("show", profile_file, "--view", "tree", "--phase", "decode", "--min-share", "0")
    assert "_call_impl" not in invoke(*every).out
    assert "_call_impl" in invoke(*every, "--all-frames").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sort", "wall"],
        ["--view", "tree", "--sort", "self"],
        ["--view", "ops", "--depth", "3"],
        ["--view", "steps", "--phase", "decode"],
        ["--min-share", "3"],
        ["--view", "functions", "--phase", "nope"],
        ["--view", "phases", "--sort", "nope"],
        ["--metric", "wall"],
        ["--view", "ops", "--metric", "device"],
        ["--view", "roofline", "--limit", "3"],
        ["--view", "roofline", "--sort", "mbu"],
        ["--view", "findings", "--phase", "decode"],
        ["--view", "kernels", "--all-frames"],
    ],
)
def test_options_without_effect_are_refused(invoke: Invoke, profile_file: Path, arguments: list[str]) -> None:
    ended = invoke("show", profile_file, *arguments)
    assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1


def test_status_is_loud(invoke: Invoke, tmp_path: Path) -> None:
    path = handmade(tmp_path / "a", until="clean", status="failed", reason="OutOfMemoryError: 3 GiB")
    for view in ("summary", "memory", "findings", *(name for name in TABLES if name != "machine")):
        text = invoke("show", path, "--view", view).out
        assert "FAILED" in text and "OutOfMemoryError: 3 GiB" in text
