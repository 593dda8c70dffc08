"""Exit codes, one line for each way to fail, and how fast the command line starts."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmflame.cli import app as module
from llmflame.errors import ProgramFailedError, UsageError
from tests.cli.conftest import Invoke
from tests.handmade import handmade

WAIT_S = 120
"""A busy test machine takes its time to start a program."""


def one_line(text: str) -> str:
    """The only line of a text, without the program's name."""
    assert text.startswith("llmflame: ") and text.endswith("\n") and text.count("\n") == 1, text
    return text.removeprefix("llmflame: ").rstrip("\n")


def test_help_names_every_command(invoke: Invoke) -> None:
    ended = invoke("--help")
    assert ended.code == 0
    for command in ("profile", "show", "report", "machine"):
        assert f"  {command} " in ended.out
        help_text = invoke(command, "--help")
        assert help_text.code == 0 and help_text.out.startswith(f"Usage: llmflame {command}")
    assert "..." not in ended.out.partition("Commands:")[2], "a command's first line is too long for the list"


def test_no_command_shows_the_help_and_is_bad_usage(spawn: Invoke) -> None:
    ended = spawn()
    assert ended.code == 2 and "Commands:" in ended.out + ended.err


def test_version(spawn: Invoke) -> None:
    ended = spawn("--version")
    assert ended.code == 0 and ended.out.startswith("llmflame ") and ended.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nope"], "--nope"),
        (["show"], "FILE"),
        (["shwo"], "shwo"),
        (["show", "a", "--view", "bytes"], "bytes"),
        (["show", "a", "--limit", "0"], "--limit"),
        (["show", "a", "--limit", "many"], "--limit"),
        (["show", "missing.llmflame"], "missing.llmflame: no such file"),
        (["report", "missing.llmflame"], "missing.llmflame: no such file"),
        (["profile", "no/such/model/name"], "there is no model"),
        (["show", "a\x1b[31m\udc80"], "a\\x1b[31m\\udc80"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = invoke(*arguments)
    assert ended.code == 2 and ended.out == ""
    assert message in one_line(ended.err)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_profile(invoke: Invoke, tmp_path: Path) -> None:
    text, other, newer, cut = (tmp_path / name for name in ("text", "other", "newer", "cut"))
    text.write_text("no database\n" * 100)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    handmade(newer)
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    whole = handmade(tmp_path / "whole").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path, message in (
        (text, "not a profile"),
        (other, "not a llmflame profile"),
        (newer, "newer llmflame"),
        (cut, "damaged"),
        (tmp_path, "no such file"),
    ):
        for command in ("show", "report"):
            ended = invoke(command, path)
            assert ended.code == 2 and ended.out == "", path
            assert message in one_line(ended.err), path


def test_exit_codes_of_a_process(spawn: Invoke, profile_file: Path) -> None:
    assert spawn("show", profile_file).code == 0
    assert spawn("show", "missing").code == 2
    assert spawn("show", profile_file, "--view", "nope").code == 2
    assert spawn("show", profile_file, "--view", "ops", "--sort", "nope").code == 2


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no\x1b[2J"), 2, "no\\x1b[2J"),
        (ProgramFailedError("boom"), 1, "boom"),
        (KeyboardInterrupt(), 1, "interrupted"),
    ],
)
def test_every_way_to_end(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def fail(_arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr(module, "_invoke", fail)
    ended = invoke("show", "x")
    assert ended.code == code and one_line(ended.err) == line


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_arguments: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "_invoke", fail)
    with pytest.raises(ZeroDivisionError):
        module.run(["show", "x"])


def test_a_closed_pipe_is_silent(profile_file: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "llmflame", "show", str(profile_file), "--view", "tree", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def opened_by_a_reader(fifo: Path) -> int:
    """The end of a pipe that is written to: it can be had once somebody reads."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO and time.monotonic() < deadline
            time.sleep(0.02)


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    # Reading a pipe that somebody has open and nobody writes to waits until the interruption.
    fifo = tmp_path / "prompt"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "llmflame", "profile", "demo", "--prompt-file", str(fifo), "-o", "x.llmflame"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=tmp_path,
    )
    with process:
        try:
            writer = opened_by_a_reader(fifo)
            process.send_signal(signal.SIGINT)
            # A signal just before the reading begins doesn't interrupt it: the pipe's end does, later.
            os.close(writer)
            out, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert process.returncode == 1 and out == "" and one_line(err) == "interrupted"
    assert not (tmp_path / "x.llmflame").exists()


def test_a_terminal_without_utf8_gets_something(spawn: Invoke, profile_file: Path) -> None:
    ended = spawn("show", profile_file, PYTHONIOENCODING="ascii")
    assert ended.code == 0 and "TTFT" in ended.out and ended.out.isascii()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["show", "FILE"], ["show", "FILE", "--json"], ["report", "FILE", "--force"]]
)
def test_looking_needs_no_torch(tmp_path: Path, profile_file: Path, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'numpy', 'pandas', 'psutil'): sys.modules[name] = None\n"
        "from llmflame.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    command = [str(profile_file) if word == "FILE" else word for word in arguments]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_machine_is_a_command(invoke: Invoke) -> None:
    ended = invoke("machine", "--json")
    assert ended.code == 0 and json.loads(ended.out)["facts"]
