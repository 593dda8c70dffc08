"""What is said of a process that was killed."""

from __future__ import annotations

import faulthandler
import json
import signal
import tempfile
from pathlib import Path

import pytest
import torch

import llmflame
from llmflame.recording.killed import MemoryEvidence, innermost_frame, kill_reason, without_dumps

GIB = 1 << 30
TORCH = Path(torch.__file__).parent
OWN = Path(llmflame.__file__).parent
DUMP = f"""Loading weights: 100%
Stack (most recent call first):
  File "{TORCH}/nn/functional.py", line 2000 in linear
  File "{json.__file__}", line 3 in loads
  File "/home/me/model.py", line 57 in forward
  File "{OWN}/recording/requests.py", line 12 in call
  File "<frozen runpy>", line 88 in _run_code
"""
RAN_OUT = MemoryEvidence(2 * GIB, 3, 4)


def test_a_group_that_ran_out_of_memory() -> None:
    assert kill_reason(-signal.SIGKILL, "", RAN_OUT) == (
        "the process was killed by SIGKILL: the cgroup's memory limit of 2.0 GiB was hit (oom_kill)"
    )


def test_where_the_program_was() -> None:
    assert kill_reason(-signal.SIGKILL, DUMP, RAN_OUT).endswith(
        "limit of 2.0 GiB was hit (oom_kill), in /home/me/model.py:57 forward"
    )


def test_a_machine_that_ran_out_of_memory() -> None:
    evidence = MemoryEvidence(None, 0, 1)
    assert kill_reason(-signal.SIGKILL, "", evidence) == (
        "the process was killed by SIGKILL: the machine ran out of memory (oom_kill)"
    )


@pytest.mark.parametrize(
    "evidence", [MemoryEvidence(), MemoryEvidence(GIB, 3, 3), MemoryEvidence(GIB, None, 4)]
)
def test_without_evidence_it_is_a_question(evidence: MemoryEvidence) -> None:
    assert kill_reason(-signal.SIGKILL, "", evidence) == "the process was killed by SIGKILL (out of memory?)"


@pytest.mark.parametrize(("code", "name"), [(-11, "SIGSEGV"), (-15, "SIGTERM"), (-63, "signal 63")])
def test_other_signals_are_named(code: int, name: str) -> None:
    assert kill_reason(code, DUMP, RAN_OUT) == f"the process was killed by {name}"


def test_the_last_dump_speaks() -> None:
    later = 'Current thread 0x00007f12ab (most recent call first):\n  File "/b.py", line 1 in g\n'
    assert innermost_frame(DUMP + later) == "/b.py:1 g"


def test_frames_of_libraries_alone_are_better_than_none() -> None:
    text = f'Stack (most recent call first):\n  File "{json.__file__}", line 3 in loads\n'
    assert innermost_frame(text) == "json/__init__.py:3 loads"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RuntimeError: no",
        'Traceback:\n  File "a.py", line 3, in f\n',
        "Stack (most recent call first):\n",
    ],
)
def test_no_dump_no_frame(text: str) -> None:
    assert innermost_frame(text) is None


def test_a_dump_is_not_what_the_program_wrote() -> None:
    assert without_dumps(DUMP + "  ...\nfatal: no more\n").splitlines() == [
        "Loading weights: 100%",
        "fatal: no more",
    ]


def test_it_reads_what_faulthandler_writes() -> None:
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=False)
        file.seek(0)
        text = file.read()
    found = innermost_frame(text)
    assert found is not None and found.endswith(" test_it_reads_what_faulthandler_writes")
    assert without_dumps(text) == ""
