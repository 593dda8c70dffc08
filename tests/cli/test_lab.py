"""`llmflame lab`, and what other commands make of its file; experiments themselves are in tests/lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmflame.cli.app import run
from tests.golden_files import check_golden
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_lab import handmade_lab


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return handmade_lab(tmp_path / "lab.llmflame")


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(arguments) == 0
    return capsys.readouterr().out


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    return told.err


@pytest.mark.parametrize("width", [100, 150])
def test_the_screen_is_as_agreed(
    lab: Path, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    check_golden(f"lab-{width}", shown(["show", str(lab)], capsys))


def test_a_ladder_is_as_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    path = handmade_lab(tmp_path / "lab.llmflame", batches=(1,), ladder=True)
    check_golden("lab-ladder", shown(["show", str(path)], capsys))


def test_markdown_is_as_agreed(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_golden("lab-markdown", shown(["export", str(lab), "--format", "markdown", "-o", "-"], capsys))


def test_the_document_has_no_speed_for_what_disagrees(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(shown(["show", str(lab), "--json"], capsys))
    assert document == json.loads(shown(["export", str(lab), "--format", "json", "-o", "-"], capsys))
    rows = {row["label"]: row for row in document["rows"]}
    assert document["best"] == "static-cache+compile@4" or document["best"] == "static-cache+compile@1"
    for name in ("wrong", "broken", "impossible"):
        row = rows[f"{name}@1"]
        assert row["figures"] is row["speedup"] is row["step_speedup"] is row["memory"] is None
    assert rows["wrong@1"]["verdict"] == "disagrees"
    assert rows["int8@1"]["verdict"] == "faster" and rows["int8@4"]["verdict"] == "slower"
    assert rows["static-cache@1"]["verdict"] == "no difference"
    assert rows["static-cache+compile@1"]["memory"] == "needs more"
    assert rows["static-cache+compile@1"]["figures"]["compile_ns"] == pytest.approx(1.96e9)
    # 100 MiB in 10 ms of 40 GB/s.
    assert rows["stock@1"]["figures"]["mbu"] == pytest.approx(100 * 2**20 / 0.01 / 40e9, rel=0.01)
    assert rows["stock@1"]["figures"]["joule_per_token"] == pytest.approx(4 / 20)


def test_hostile_names_are_shown_as_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    path = handmade_lab(tmp_path / "lab.llmflame", batches=(1,))
    with sqlite3.connect(path) as db:
        for table in ("lab_row", "trial", "lab_request", "agreement"):
            db.execute(f"UPDATE {table} SET row = ? WHERE row = 'sdpa'", ("\x1b[31m<img src=x>|`*",))
    db.close()
    out = shown(["show", str(path)], capsys)
    assert "\x1b[31m" not in out and "\\x1b[31m<img src=x>" in out
    out = shown(["export", str(path), "--format", "markdown", "-o", "-"], capsys)
    assert "<img" not in out and "\\|" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "LAB", "--view", "tree"], "LAB:static-cache+compile@1"),
        (["export", "LAB", "--format", "folded"], "is an experiment, for markdown and json"),
        (["show", "LAB:nothing"], "rows with a profile"),
        (["lab"], "name the rows by --variants"),
        (["lab", "demo", "--variants", "nonsense", "--device", "cpu"], "there is no variant `nonsense`"),
        (["lab", "demo", "--variants", "sdpa+sdpa-math", "--device", "cpu"], "exclude each other"),
        (["lab", "demo", "--variants", "compile", "--device", "cpu"], "needs one of these beside it: static"),
        (["lab", "demo", "--variants", "sdpa,,", "--device", "cpu"], "a name is empty"),
        (["lab", "--variants", "sdpa"], "name a MODEL"),
        (["lab", "demo", "--variants", "sdpa", "--from", "LAB"], "exclude each other"),
        (["lab", "demo", "--ladder", "--from", "LAB"], "exclude each other"),
        (["lab", "demo", "--variants", "sdpa", "--engine", "vllm"], "--engine vllm"),
        (["lab", "demo", "--variants", "sdpa", "--device", "tpu"], "--device tpu"),
        (["lab", "demo", "--variants", "sdpa", "--dtype", "int3"], "--dtype int3"),
        (["lab", "demo", "--variants", "sdpa", "--batch", "1,x"], "--batch 1,x"),
        (["lab", "demo", "--variants", "sdpa", "--batch", "0"], "--batch 0: at least 1"),
        (["lab", "demo", "--variants", "sdpa", "--rounds", "3"], "--rounds 3: at least 4"),
        (["lab", "demo", "--variants", "sdpa", "--json", "--markdown"], "exclude each other"),
        (["lab", "demo", "--variants", "sdpa", "-o", "LAB"], "exists: use --force"),
        (["lab", "no/such/model/here", "--variants", "sdpa", "--device", "cpu"], "there is no model"),
        (["lab", "--from", "CPU", "--device", "cpu"], "none of its findings is tested by a variant"),
    ],
)
def test_what_can_not_be_done_is_one_line(
    lab: Path,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (elsewhere := lab.parent / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    named = {"LAB": str(lab), "CPU": str(handmade(lab.with_name("cpu.llmflame")))}

    def real(text: str) -> str:
        return text.replace("LAB", named["LAB"]).replace("CPU", named["CPU"])

    assert real(words) in refused([real(argument) for argument in arguments], capsys)
    assert not list(elsewhere.iterdir())


def test_a_profiles_findings_name_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmflame.cli import lab as command

    asked: list[object] = []
    monkeypatch.setattr(command, "_run", lambda order, *rest, **how: asked.append(order))
    monkeypatch.setattr(command, "_tell", lambda *rest, **how: None)
    profile = handmade_gpu(tmp_path / "gpu.llmflame")
    arguments = ["lab", "demo", "--from", str(profile), "-o", str(tmp_path / "x.llmflame"), "--device", "cpu"]
    assert run(arguments) == 0
    (order,) = asked
    assert order.rows == (("scratch", ("run-ahead",)),)  # type: ignore[attr-defined]


def test_variants_are_listed_with_what_this_machine_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(
        shown(["lab", "--list", "--device", "cpu", "--engine", "scratch", "--json"], capsys)
    )
    found = {one["name"]: one for one in document["variants"]}
    assert found["static-cache"]["refusal"] is None and found["static-cache"]["class"] == "equivalent"
    assert "CUDA" in found["cuda-graph"]["refusal"]
    out = shown(["lab", "--list", "--device", "cpu"], capsys)
    assert "static-cache" in out and "not here: " in out


@pytest.mark.parametrize(("named", "approximate"), [(None, False), ("int8,static-cache", True)])
def test_a_ladder_adds_what_computes_with_other_numbers_only_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, approximate: bool
) -> None:
    from llmflame.cli import lab as command

    asked: list[object] = []
    monkeypatch.setattr(command, "_run", lambda order, *rest, **how: asked.append(order))
    monkeypatch.setattr(command, "_tell", lambda *rest, **how: None)
    rows = [] if named is None else ["--variants", named]
    output = str(tmp_path / "x.llmflame")
    assert (
        run(["lab", "demo", "--ladder", "--engine", "scratch", *rows, "-o", output, "--device", "cpu"]) == 0
    )
    names = {name for _, row in asked[0].rows for name in row}  # type: ignore[attr-defined]
    assert "static-cache" in names and ("int8" in names) is approximate
    assert not any(name.startswith("batch-") for name in names)
