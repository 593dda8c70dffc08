"""`llmflame diff`: what it says, what it refuses, and its document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.cells import cell_len

from tests.cli.conftest import Invoke
from tests.golden_files import check_golden
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_pair import pair, set_fact, set_subject
from tests.handmade_stalls import handmade_stalls

SCHEMA = json.loads((Path(__file__).parent / "diff_json.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HOSTILE = "[red]\x1b[31m\n\u202e<script>"


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return pair(tmp_path)


def document(invoke: Invoke, *arguments: str | Path) -> Any:
    ended = invoke("diff", *arguments, "--json")
    assert ended.code == 0 and ended.err == ""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(ended.out, parse_constant=refuse)
    VALIDATOR.validate(found)
    return found


def test_the_screen(invoke: Invoke, both: tuple[Path, Path]) -> None:
    ended = invoke("diff", *both)
    assert (ended.code, ended.err) == (0, "")
    check_golden("diff", ended.out)


def test_what_got_slower_is_called_so(invoke: Invoke, both: tuple[Path, Path]) -> None:
    found = document(invoke, *both)
    words = {one["name"]: one["verdict"] for one in (*found["figures"], *found["phases"])}
    assert words["tpot"] == words["decode"] == words["e2e"] == words["tokens_per_s"] == "slower"
    assert words["ttft"] == words["prefill"] == "no difference seen"
    assert words["load"] == words["import"] == "unknown", "they are measured once"
    decode = next(one for one in found["phases"] if one["name"] == "decode")
    assert decode["low"] < decode["ratio"] < decode["high"] and decode["ratio"] == pytest.approx(1.5)
    assert found["frames"][0]["phase"] == "decode" and found["frames"][0]["verdict"] == "slower"


def test_turned_round_it_is_faster(invoke: Invoke, both: tuple[Path, Path]) -> None:
    found = document(invoke, *reversed(both))
    assert {one["name"]: one["verdict"] for one in found["figures"]}["tpot"] == "faster"


def test_what_only_one_run_calls_is_named(invoke: Invoke, both: tuple[Path, Path]) -> None:
    found = document(invoke, *both)
    named = {(one["name"], one["only"]) for one in found["calls"]}
    assert named == {("forward", "a"), ("renamed", "b")}
    assert [one["name"] for one in found["differs"]] == ["dtype"]


def test_a_run_beside_its_equal_shows_no_change(invoke: Invoke, tmp_path: Path) -> None:
    found = document(invoke, *pair(tmp_path, factor=1.0, name="forward"))
    assert found["calls"] == [] and found["findings"] == []
    assert {one["verdict"] for one in found["figures"]} == {"no difference seen", "unknown"}
    assert {one["verdict"] for one in found["frames"]} <= {"noise", "unknown"}
    assert {one["verdict"] for one in (*found["peaks"], *found["counts"])} == {"same"}


def test_changes_add_up_to_the_runs(invoke: Invoke, both: tuple[Path, Path]) -> None:
    found = document(invoke, *both)
    for name in ("frames", "modules"):
        for side in ("a", "b"):
            whole = sum(one[side] for one in found["times"] if one["metric"] == "wall_ns")
            gap = sum(one[side] for one in found[name] if one["phase"] == "run")
            assert sum(one[side] for one in found[name]) - gap == pytest.approx(whole, abs=len(found[name]))


@pytest.mark.parametrize("metric", ["wall", "calls", "allocated"])
def test_metrics(invoke: Invoke, both: tuple[Path, Path], metric: str) -> None:
    found = document(invoke, *both, "--metric", metric, "--limit", "2")
    assert len(found["frames"]) <= 2 < found["counted"]["frames"]
    assert invoke("diff", *both, "--metric", metric).code == 0


def test_a_metric_that_neither_has_is_refused(invoke: Invoke, both: tuple[Path, Path]) -> None:
    ended = invoke("diff", *both, "--metric", "device")
    assert ended.code == 2 and "wall, samples, calls, allocated" in ended.err and ended.out == ""


@pytest.mark.parametrize(("name", "value"), [("model", "Other"), ("parameters", 7), ("device", "cuda:0")])
def test_other_models_and_devices_are_refused(
    invoke: Invoke, both: tuple[Path, Path], name: str, value: str | int
) -> None:
    set_subject(both[1], name, value)
    ended = invoke("diff", *both)
    assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1
    assert name in ended.err and "--unlike" in ended.err
    forced = invoke("diff", *both, "--unlike")
    assert forced.code == 0 and "NOT ALIKE" in forced.out
    assert name in document(invoke, *both, "--unlike")["forced"]


def test_other_machines_are_refused(invoke: Invoke, both: tuple[Path, Path]) -> None:
    set_fact(both[1], "model", "Another CPU")
    ended = invoke("diff", *both)
    assert ended.code == 2 and "machine (CPU Hand-made CPU and Another CPU)" in ended.err


@pytest.mark.parametrize(("name", "value"), [("dtype", "float16"), ("batch_size", 8), ("prompt_tokens", 900)])
def test_what_people_compare_is_listed(
    invoke: Invoke, both: tuple[Path, Path], name: str, value: str | int
) -> None:
    set_subject(both[1], name, value)
    assert {"section": "options", "name": name}.items() <= next(
        one for one in document(invoke, *both)["differs"] if one["name"] == name
    ).items()


def test_other_software_is_listed(invoke: Invoke, both: tuple[Path, Path]) -> None:
    set_fact(both[1], "torch", "2.10.0")
    assert "torch 2.9.0 → 2.10.0" in invoke("diff", *both).out


def test_bad_input(invoke: Invoke, both: tuple[Path, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.llmflame"
    broken.write_text("no profile")
    nothing = handmade(tmp_path / "nothing.llmflame", until="nothing", status="failed", reason="killed")
    for first, second, words in (
        (both[0], both[0], "the same file"),
        (both[0], tmp_path / "none.llmflame", "no such file"),
        (broken, both[1], "damaged or not a profile"),
        (both[0], nothing, "holds no phase"),
    ):
        ended = invoke("diff", first, second)
        assert (ended.code, ended.out) == (2, "") and words in ended.err and ended.err.count("\n") == 1


def test_a_link_to_the_same_file_is_the_same_file(
    invoke: Invoke, both: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "link.llmflame").symlink_to(both[0])
    assert invoke("diff", both[0], tmp_path / "link.llmflame").code == 2


def test_a_partial_run_says_so_and_lacks_phases(invoke: Invoke, tmp_path: Path) -> None:
    files = pair(tmp_path, until="load", status="partial", reason="interrupted")
    ended = invoke("diff", *files)
    assert ended.code == 0
    assert ended.out.index("PARTIAL") < ended.out.index("TTFT") and "interrupted" in ended.out
    assert "only A" in ended.out and "did not end" in ended.out
    found = document(invoke, *files)
    decode = next(one for one in found["times"] if one["phase"] == "decode")
    assert decode["b"] is None and decode["verdict"] == "unknown"


def test_hostile_names(invoke: Invoke, tmp_path: Path) -> None:
    files = pair(tmp_path, name=HOSTILE)
    set_subject(files[1], "dtype", HOSTILE)
    ended = invoke("diff", *files)
    assert ended.code == 0
    assert "\x1b" not in ended.out and "\u202e" not in ended.out and "\\x1b" in ended.out
    document(invoke, *files)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(
    invoke: Invoke, both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = invoke("diff", *both).out.splitlines()
    assert max(cell_len(line) for line in lines) <= width


def test_a_pipe_has_no_colour(spawn: Invoke, both: tuple[Path, Path]) -> None:
    ended = spawn("diff", *both, NO_COLOR="1")
    assert ended.code == 0 and "\x1b" not in ended.out


def test_the_page(invoke: Invoke, both: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    assert invoke("diff", *both, "--report", page).code == 0
    assert 'id="compare"' in page.read_text("utf-8")
    again = invoke("diff", *both, "--report", page)
    assert again.code == 2 and "exists" in again.err
    assert invoke("diff", *both, "--report", page, "--force").code == 0
    assert invoke("diff", *both, "--report", both[0], "--force").code == 2
    assert invoke("diff", *both, "--json").code == 0, "the profile is still there"


def test_stalls_of_both_runs(invoke: Invoke, tmp_path: Path) -> None:
    one, other = handmade_stalls(tmp_path / "a.llmflame"), handmade_stalls(tmp_path / "b.llmflame")
    found = document(invoke, one, other)["stalls"]
    assert found["missing"] is None and found["groups"] and found["kernels"]
    assert document(invoke, one, handmade_gpu(tmp_path / "c.llmflame"))["stalls"]["missing"] == "b"
    assert len(document(invoke, one, other, "--limit", "3")["stalls"]["kernels"]) == 3


def test_to_replace_a_page_and_to_compare_what_is_not_alike_are_asked_for_apart(
    invoke: Invoke, both: tuple[Path, Path], tmp_path: Path
) -> None:
    """One option did both: whoever wanted a page replaced had the comparison's guard off as well."""
    set_subject(both[1], "model", "Other")
    page = tmp_path / "x.html"
    page.write_text("mine")
    for given, words in (("--force", "--unlike"), ("--unlike", "exists")):
        ended = invoke("diff", *both, "--report", page, given)
        assert (ended.code, ended.out) == (2, "") and words in ended.err and page.read_text() == "mine"
    assert invoke("diff", *both, "--report", page, "--force", "--unlike").code == 0
    assert 'id="compare"' in page.read_text("utf-8")


def test_nothing_is_replaced_without_a_page(invoke: Invoke, both: tuple[Path, Path]) -> None:
    ended = invoke("diff", *both, "--force")
    assert ended.code == 2 and "--force goes with --report" in ended.err and ended.err.count("\n") == 1
