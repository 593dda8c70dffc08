"""`llmflame import`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from llmflame.importing.formats import FORMATS
from llmflame.store.profile import read_profile
from tests.cli.conftest import Invoke

NCU = Path(__file__).parents[1] / "importing" / "ncu_raw.csv"
STACKS = {
    "folded": "main;forward (model.py:12);aten::mm 10\nmain 3\n",
    "iaprof": "python;-;gemm_[G];mad_[g];sbid_[g];0x40_[g] 120\npython;-;gemm_[G];mad_[g];active_[g] 30\n",
}
HOSTILE = "\x1b[31m<script>alert(1)</script>\u202e"
VIEWS = (
    "summary", "phases", "tree", "ops", "functions", "modules", "steps", "kernels", "idle", "roofline",
    "memory", "load", "heap", "findings", "machine",
)  # fmt: skip


def source(folder: Path, form: str) -> Path:
    path = folder / "measured.txt"
    if form == "ncu-csv":
        shutil.copy(NCU, path)
    else:
        path.write_text(STACKS[form], "utf-8")
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_makes_a_profile_that_every_view_reads(invoke: Invoke, tmp_path: Path, form: str) -> None:
    path = source(tmp_path, form)
    target = tmp_path / "measured.llmflame"
    ended = invoke("import", path)
    assert (ended.code, ended.out) == (0, f"{target}\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["measured.llmflame", "measured.txt"]
    assert read_profile(target).run.mode == "imported"
    for view in VIEWS:
        shown = invoke("show", target, "--view", view)
        assert (shown.code, shown.err) == (0, ""), view
        as_json = invoke("show", target, "--view", view, "--json")
        assert as_json.code == 0, view
        json.loads(as_json.out)
    assert invoke("report", target).code == 0
    assert invoke("export", target, "--format", "markdown").code == 0
    other = shutil.copy(target, tmp_path / "b.llmflame")
    assert invoke("diff", target, other).code == 0


def test_kernels_of_a_table(invoke: Invoke, tmp_path: Path) -> None:
    invoke("import", source(tmp_path, "ncu-csv"))
    shown = invoke("show", tmp_path / "measured.llmflame", "--view", "kernels").out
    assert "barrier_kernel" in shown
    assert "1.05 ms" in shown


def test_stacks_are_shown_by_samples(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("import", source(tmp_path, "iaprof"), "-o", tmp_path / "b.llmflame")
    assert "tell no times" in ended.err
    shown = invoke("show", tmp_path / "b.llmflame", "--view", "tree").out
    assert "device memory" in shown
    assert "By samples" in shown
    document = json.loads(invoke("show", tmp_path / "b.llmflame", "--view", "tree", "--json").out)
    assert {"name": "total_samples", "unit": "count"} in document["columns"]


def test_an_unknown_format_names_the_nearest(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("import", source(tmp_path, "folded"), "--format", "ncu")
    assert ended.code == 2
    assert ended.err == "llmflame: --format ncu: did you mean ncu-csv? There are ncu-csv, iaprof, folded\n"


def test_a_wrong_file_leaves_nothing(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("main;mm 12\nmain;mm\n")
    ended = invoke("import", path, "--format", "folded")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    "text",
    [
        "main;mm 9007199254740992\n" * 1_100,
        '"ID","Process ID","Kernel Name","gpu__time_duration.sum"\n'
        + "".join(f'"{number}","1","k","9007199254740992"\n' for number in range(1_100)),
    ],
)
def test_sums_that_no_column_holds_are_refused(invoke: Invoke, tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    ended = invoke("import", path)
    assert ended.code == 2
    assert "no number of anything" in ended.err
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_keeps_what_is_there(invoke: Invoke, tmp_path: Path) -> None:
    path, target = source(tmp_path, "folded"), tmp_path / "measured.llmflame"
    target.write_text("mine")
    assert invoke("import", path).code == 2
    assert target.read_text() == "mine"
    assert invoke("import", path, "--force").code == 0
    assert read_profile(target).run.status == "complete"
    assert invoke("import", target, "-o", target, "--force").err.count("is the file itself") == 1
    assert invoke("import", tmp_path / "none.txt").code == 2
    assert invoke("import", tmp_path).code == 2


def test_hostile_names_are_data(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"main;{HOSTILE};{'deep' * 3_000} 12\n", "utf-8")
    assert invoke("import", path).code == 0
    shown = invoke("show", tmp_path / "a.llmflame", "--view", "tree").out
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown
    assert invoke("report", tmp_path / "a.llmflame").code == 0
    assert "<script>alert" not in (tmp_path / "a.html").read_text("utf-8")
