"""`llmflame export`."""

from __future__ import annotations

import csv
import json
import pstats
import stat
from pathlib import Path

import pytest

from llmflame.exports.formats import FORMATS
from tests.cli.conftest import Invoke
from tests.handmade_gpu import handmade_gpu

NAMES = {
    "speedscope": "a.speedscope.json",
    "folded": "a.wall.folded",
    "pstats": "a.pstats",
    "chrome": "a.trace.json",
    "pprof": "a.pb.gz",
    "csv": "a.functions.csv",
    "parquet": "a.functions.parquet",
    "markdown": "a.md",
    "json": "a.json",
}


@pytest.mark.parametrize("form", FORMATS)
def test_writes_beside_the_profile(invoke: Invoke, profile_file: Path, form: str) -> None:
    before = profile_file.read_bytes()
    ended = invoke("export", profile_file, "--format", form)
    path = profile_file.with_name(NAMES[form])
    assert (ended.code, ended.out, ended.err) == (0, f"{path}\n", "")
    assert path.stat().st_size > 100
    assert sorted(each.name for each in profile_file.parent.iterdir()) == sorted(["a.llmflame", NAMES[form]])
    assert profile_file.read_bytes() == before
    other = profile_file.with_name("plain")
    other.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_the_help_names_every_format(invoke: Invoke) -> None:
    words = invoke("export", "--help").out.replace(",", " ").replace(".", " ").split()
    assert set(FORMATS) <= set(words) and set(NAMES) == set(FORMATS)


@pytest.mark.parametrize("form", ["pprof", "markdown"])
def test_never_replaces_without_force(invoke: Invoke, profile_file: Path, form: str) -> None:
    target = profile_file.with_name("x")
    target.write_text("mine")
    ended = invoke("export", profile_file, "--format", form, "-o", target)
    assert ended.code == 2 and "--force" in ended.err and target.read_text() == "mine"
    assert invoke("export", profile_file, "--format", form, "-o", target, "--force").code == 0
    assert target.read_bytes() != b"mine"
    assert sorted(path.name for path in profile_file.parent.iterdir()) == ["a.llmflame", "x"]


def test_never_replaces_the_profile(invoke: Invoke, profile_file: Path) -> None:
    before = profile_file.read_bytes()
    ended = invoke("export", profile_file, "--format", "pstats", "-o", profile_file, "--force")
    assert ended.code == 2 and ended.err.count("\n") == 1 and "the profile itself" in ended.err
    assert profile_file.read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "right"), [("speedscop", "speedscope"), ("pprof2", "pprof"), ("Markdown", "markdown")]
)
def test_an_unknown_format_suggests_the_nearest(
    invoke: Invoke, profile_file: Path, wrong: str, right: str
) -> None:
    ended = invoke("export", profile_file, "--format", wrong)
    assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1
    assert f"did you mean {right}?" in ended.err


def test_an_unknown_format_without_a_nearest(invoke: Invoke, profile_file: Path) -> None:
    ended = invoke("export", profile_file, "--format", "xyz")
    assert ended.code == 2 and "did you mean" not in ended.err and "speedscope, folded" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "folded", "--metric", "wal"], "did you mean wall?"),
        (["--format", "csv", "--view", "kernel"], "did you mean kernels?"),
        (["--format", "pprof", "--metric", "wall"], "--metric goes with --format folded"),
        (["--format", "json", "--phase", "load"], "--phase goes with"),
        (["--format", "chrome", "--view", "ops"], "--view goes with --format csv"),
        (["--format", "pstats", "--phase", "lod"], "this profile has the phases"),
        (["--format", "folded", "--metric", "device"], "no GPU"),
        (["--format", "pstats", "-o", "-"], "name a file"),
        (["--format", "json", "-o", "no/such/folder/x"], "no such folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    invoke: Invoke, profile_file: Path, arguments: list[str], words: str
) -> None:
    ended = invoke("export", profile_file, *arguments)
    assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1 and words in ended.err
    assert [path.name for path in profile_file.parent.iterdir()] == ["a.llmflame"]


def test_json_is_what_show_prints(invoke: Invoke, profile_file: Path) -> None:
    assert (
        invoke("export", profile_file, "--format", "json", "-o", "-").out
        == invoke("show", profile_file, "--json").out
    )


@pytest.mark.parametrize("form", [name for name, each in FORMATS.items() if each.is_text])
def test_texts_go_to_stdout(invoke: Invoke, profile_file: Path, form: str) -> None:
    ended = invoke("export", profile_file, "--format", form, "-o", "-")
    path = profile_file.with_name(NAMES[form])
    assert invoke("export", profile_file, "--format", form).code == 0
    assert ended.err == "" and ended.out == path.read_bytes().decode("utf-8")
    assert not profile_file.with_name("-").exists()


def test_options_reach_the_format(invoke: Invoke, tmp_path: Path) -> None:
    profile = handmade_gpu(tmp_path / "g.llmflame")
    assert invoke("export", profile, "--format", "folded", "--metric", "idle", "--phase", "decode").code == 0
    lines = (tmp_path / "g.idle.folded").read_text("utf-8").splitlines()
    assert lines and all(line.startswith("Tiny-3L;decode") for line in lines)
    assert invoke("export", profile, "--format", "csv", "--view", "kernels").code == 0
    with (tmp_path / "g.kernels.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file))[0] == "name"
    assert invoke("export", profile, "--format", "speedscope", "--all-frames").code == 0
    assert json.loads((tmp_path / "g.speedscope.json").read_text("ascii"))["profiles"]
    assert invoke("export", profile, "--format", "pstats", "--phase", "decode").code == 0
    assert pstats.Stats(str(tmp_path / "g.pstats")).total_tt > 0  # type: ignore[attr-defined]


def test_no_file_is_left_where_it_fails(
    invoke: Invoke, profile_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    ended = invoke("export", profile_file, "--format", "pprof")
    assert ended.code == 2 and "No space left on device" in ended.err
    assert [path.name for path in profile_file.parent.iterdir()] == ["a.llmflame"]
