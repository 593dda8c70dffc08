"""The workload of every measurement here: the demo model through `pipeline("text-generation")`, on the CPU.

The same loop runs bare, under `llmflame` and under its peers: 64 new tokens, greedy, exactly that many. The
clock stands around `pipeline(...)` itself in all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from llmflame.recording.loading import import_libraries, load_pipeline
from llmflame.recording.requests import generation_defaults, marked_pipeline, pipeline_call, prompt_of
from llmflame.recording.session import Phase, Session
from llmflame.recording.wire import PipeSink
from llmflame.recording.workload import Workload
from llmflame.store.rows import ProbeReportRow, Row, SpanRow
from llmflame.subjects.resolve import resolve

NEW_TOKENS = 64
WORKLOAD = Workload(new_tokens=NEW_TOKENS, dtype="float32", device="cpu")


@dataclass(slots=True)
class Loop:
    """A loaded pipeline and one request to repeat."""

    pipeline: Any
    workload: Workload
    call: Any
    walls_ns: list[int] = field(default_factory=list)
    """Around `pipeline(...)`, one a request."""
    texts: set[str] = field(default_factory=set)
    """What was generated: more than one text means that the requests were not the same."""

    @property
    def model(self) -> Any:
        """The root module."""
        return self.pipeline.model

    def bare(self, new_tokens: int | None = None) -> int:
        """One request with nothing of llmflame attached; its wall time."""
        _seed(self.workload.seed)
        with generation_defaults(self.model, self.workload):
            return self._timed(new_tokens or self.workload.new_tokens)

    def marked(self, probe: Any) -> int:
        """One request with its sections marked, as a recording runs it; its wall time."""
        _seed(self.workload.seed)
        with generation_defaults(self.model, self.workload), marked_pipeline(self.pipeline, probe):
            probe.enter("tokenize")
            return self._timed(self.workload.new_tokens)

    def warm_up(self) -> None:
        """What a recording does before its first request, and what no measurement counts."""
        self.bare()
        self.walls_ns.clear()
        self.texts.clear()

    def _timed(self, new_tokens: int) -> int:
        begin = time.perf_counter_ns()
        output = self.call(new_tokens)
        wall = time.perf_counter_ns() - begin
        self.walls_ns.append(wall)
        self.texts.add(str(output))
        return wall


def load(workload: Workload = WORKLOAD) -> Loop:
    """Import the libraries and load the demo model."""
    checkpoint = resolve("demo", progress=lambda _text: None)
    part = Phase(discarding_session("clean"), "load", 0).part
    import_libraries(part)
    pipeline = load_pipeline(checkpoint, workload.dtype, workload.device, part)
    prompt, _ = prompt_of(pipeline.tokenizer, workload)
    return Loop(pipeline, workload, pipeline_call(pipeline, [prompt], workload))


def short(new_tokens: int) -> Workload:
    """The same workload with another length."""
    return replace(WORKLOAD, new_tokens=new_tokens)


class KeepingSink(PipeSink):
    """Writes what a recording process writes, to nowhere, and keeps the spans and reports."""

    def __init__(self) -> None:
        super().__init__(open(os.devnull, "wb"))  # noqa: SIM115, PTH123  for the life of the process
        self.spans: list[SpanRow] = []
        self.reports: list[ProbeReportRow] = []

    def rows(self, rows: Iterable[Row]) -> None:
        """Write and keep."""
        rows = list(rows)
        self.spans += [row for row in rows if isinstance(row, SpanRow)]
        self.reports += [row for row in rows if isinstance(row, ProbeReportRow)]
        super().rows(rows)


def discarding_session(pass_name: str) -> Session:
    """A session whose rows are written to nowhere."""
    return Session(pass_name, KeepingSink(), time.perf_counter_ns())


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
