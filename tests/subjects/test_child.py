"""The child process reports in lines, fails in one line, and never outlives its caller."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from llmflame.errors import UsageError
from llmflame.subjects import child
from llmflame.subjects.progress import silent

from .tiny import TINY_LLAMA

ORPHAN = """
import subprocess, sys, time
from llmflame.subjects.channel import end_with_parent
end_with_parent()
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(grandchild.pid, flush=True)
time.sleep(600)
"""


def test_forwards_progress_and_result(tmp_path: Path) -> None:
    lines: list[str] = []
    child.run(["dummy", str(tmp_path), json.dumps(TINY_LLAMA)], what="writing", progress=lines.append)
    assert (tmp_path / "model.safetensors").is_file()
    assert lines[-1] == "writing the byte tokenizer"


def test_a_failure_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(UsageError, match=r"^converting bad.gguf failed: \w+") as caught:
        child.run(
            ["gguf", str(tmp_path), str(tmp_path / "bad.gguf")], what="converting bad.gguf", progress=silent
        )
    assert "\n" not in str(caught.value)


def test_an_expected_failure_is_the_childs_own_line(tmp_path: Path) -> None:
    missing = {**TINY_LLAMA, "hidden_size": 1 << 20, "intermediate_size": 1 << 24}
    with pytest.raises(UsageError, match="GB free: free some space"):
        child.run(["dummy", str(tmp_path), json.dumps(missing)], what="writing", progress=silent)


def test_an_interrupted_caller_ends_the_child(tmp_path: Path) -> None:
    children: list[psutil.Process] = []

    def interrupt(message: str, /) -> None:
        children.extend(psutil.Process().children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.run(["dummy", str(tmp_path), json.dumps(TINY_LLAMA)], what="writing", progress=interrupt)
    assert children
    assert not any(process.is_running() for process in children)


@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_a_child_ends_with_all_it_started_when_the_caller_is_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        grandchild = psutil.Process(int(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(timeout=30) != 0
        psutil.wait_procs([grandchild], timeout=30)
        assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE
