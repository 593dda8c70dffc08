"""Heavy preparation in a child process, so that the calling process never imports torch.

The child speaks JSON lines on stdout: {"progress": ...}, {"result": ...}, {"error": ...} or
{"fetch_error": ...}. Its stdin is a lifeline whose other end we hold: when the caller dies, however it dies,
the child reads the end of the file and ends itself together with what it started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

from llmflame.errors import UsageError
from llmflame.subjects.environment import own_import_path
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.progress import Progress

_MODULE = "llmflame.subjects.convert"
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


def run(arguments: Sequence[str], *, what: str, progress: Progress, offline: bool = True) -> str:
    """Run `convert` with `arguments` and return its result; `what` names the work in errors.

    Raises UsageError with one line if the child fails. On any exception here, Ctrl-C included, the child and
    its own children are gone before it is raised on.
    """
    command = [sys.executable, "-P", "-m", _MODULE, *arguments]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(offline),
            encoding="utf-8",
            start_new_session=True,
        ) as process,
    ):
        try:
            last = _follow(process, progress)
            code = process.wait()
        except BaseException:
            _kill(process)
            raise
        if code == 0 and "result" in last:
            return last["result"]
        if "fetch_error" in last:
            raise FetchError(last["fetch_error"])
        raise UsageError(last.get("error") or _condense(what, code, errors))


def _follow(process: subprocess.Popen[str], progress: Progress) -> dict[str, str]:
    """Read the child's lines until it closes stdout: the last value of each kind of message."""
    last: dict[str, str] = {}
    for line in process.stdout or ():
        if not line.endswith("\n"):
            # Killed while it wrote.
            break
        message: dict[str, str] = json.loads(line)
        last |= message
        if "progress" in message:
            progress(message["progress"])
    return last


def _environment(offline: bool) -> dict[str, str]:
    network = {"HF_HUB_OFFLINE": "1"} if offline else {"HF_HUB_ETAG_TIMEOUT": "5"}
    return {**network, **own_import_path(), **_QUIET, **(network if offline else {})}


def _kill(process: subprocess.Popen[str]) -> None:
    """End the child with its whole group; on systems without groups its lifeline ends its children."""
    if hasattr(os, "killpg") and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _condense(what: str, code: int, errors: IO[bytes]) -> str:
    """One line from an exit code and the last line that the child wrote to stderr."""
    if code < 0:
        hint = ", probably because memory ran out" if code == -signal.SIGKILL else ""
        return f"{what} was killed by signal {-code}{hint}"
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - 16_384))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return f"{what} failed: {lines[-1].strip()[:400] if lines else f'exit code {code}'}"
