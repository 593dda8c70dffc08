"""Whatever ends a recording leaves a readable file that says so, and no process behind."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from llmflame.store.profile import read_profile
from tests.integration import checkpoints

COMMAND = [sys.executable, "-m", "llmflame", "profile"]
OPTIONS = ["--new-tokens", "6", "--repetitions", "2", "--device", "cpu"]
WAIT_S = 120


def run(
    model: Path, output: Path, *options: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, str(model), "-o", str(output), *OPTIONS, *options],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        preexec_fn=before,
    )


def test_an_exception_in_the_model_is_told_and_its_profile_kept(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", 'raise ValueError("boom")')
    output = tmp_path / "out.llmflame"
    result = run(model, output, "--trust-remote-code")
    assert result.returncode == 1, result.stderr
    assert "ValueError: boom" in result.stderr
    assert "Traceback" not in result.stderr
    profile = read_profile(output)
    assert profile.run.status == "failed"
    assert "ValueError: boom" in (profile.run.reason or "")
    assert {span.name for span in profile.spans} >= {"startup", "import", "load", "warmup"}


def test_remote_code_is_refused_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", "raise SystemExit(3)", at=1)
    output = tmp_path / "out.llmflame"
    result = run(model, output)
    assert result.returncode == 2
    assert "trust" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_killed_child_is_told_by_its_signal(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", "os.kill(os.getpid(), signal.SIGKILL)")
    output = tmp_path / "out.llmflame"
    result = run(model, output, "--trust-remote-code")
    assert result.returncode == 1
    assert "SIGKILL" in result.stderr
    profile = read_profile(output)
    assert profile.run.status == "failed"
    assert "SIGKILL" in (profile.run.reason or "")
    assert any(span.name == "load" for span in profile.spans)


def start(model: Path, output: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, str(model), "-o", str(output), *OPTIONS, "--trust-remote-code"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def loaded(output: Path) -> bool:
    """Has the load phase been committed?"""
    try:
        return any(span.name == "load" for span in read_profile(output).spans)
    except Exception:
        return False


def test_ctrl_c_ends_the_child_and_keeps_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", "time.sleep(600)", at=2)
    output = tmp_path / "out.llmflame"
    process = start(model, output)
    wait_for(lambda: loaded(output))
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    profile = read_profile(output)
    assert (profile.run.status, profile.run.reason) == ("partial", "interrupted")
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive


def test_a_killed_recorder_leaves_a_partial_file_and_no_child(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", "time.sleep(600)", at=2)
    output = tmp_path / "out.llmflame"
    process = start(model, output)
    wait_for(lambda: loaded(output))
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=WAIT_S)
    profile = read_profile(output)
    assert profile.run.status == "partial"
    assert "killed" in (profile.run.reason or "")
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive


def test_a_full_disk_is_told_and_what_fitted_is_readable(tmp_path: Path, tiny_folder: Path) -> None:
    output = tmp_path / "out.llmflame"
    limit = 330_000  # more than an empty profile and its reserve, less than a whole one

    def no_more_than() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = run(tiny_folder, output, before=no_more_than)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    profile = read_profile(output)
    assert profile.run.status in ("failed", "partial")
    assert profile.run.reason
    assert not [path for path in tmp_path.iterdir() if "reserve" in path.name]


def test_an_existing_output_survives_a_run_that_can_not_start(tmp_path: Path, tiny_folder: Path) -> None:
    output = tmp_path / "out.llmflame"
    output.write_text("precious")
    assert run(tiny_folder, output).returncode == 2
    assert run(tiny_folder, output, "--force", "--prompt-tokens", "5000").returncode == 2
    assert output.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.llmflame"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--new-tokens", "0"], "new-tokens"),
        (["--new-tokens", "-3"], "new-tokens"),
        (["--prompt-tokens", "0"], "prompt-tokens"),
        (["--new-tokens", "100000"], "context"),
        (["--device", "cuda:7"], "cuda"),
        (["--device", "toaster"], "toaster"),
        (["--dtype", "int4"], "int4"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, tiny_folder: Path, options: list[str], said: str
) -> None:
    result = run(tiny_folder, tmp_path / "out.llmflame", *options)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
