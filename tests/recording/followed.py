"""A program that runs the pass that follows allocations in its own process, into a file."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from llmflame.recording.allocations import run_allocations
from llmflame.recording.session import Session
from llmflame.recording.workload import Workload
from llmflame.store.rows import PassRow
from llmflame.store.writer import ProfileWriter
from llmflame.subjects.folder import describe


def main(model: str, output: str, options: str) -> None:
    writer = ProfileWriter(Path(output), version="0.0.test", mode="processes")
    writer.rows([PassRow("allocations", "recording", None, os.getpid(), 0, None, None)])
    checkpoint = describe(Path(model), spec=model, name="tiny", source="test", trust_remote_code=True)
    session = Session("allocations", writer, time.perf_counter_ns())
    run_allocations(session, checkpoint, Workload(**json.loads(options)))
    session.close()
    writer.finish("complete")


if __name__ == "__main__":
    main(*sys.argv[1:])
