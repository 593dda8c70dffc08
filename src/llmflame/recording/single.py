"""A with-block that can't be repeated: recorded once, undisturbed, a request for each generation in it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from llmflame.probes.sections import STEP, RequestProbe, Section
from llmflame.recording.requests import marked_pipeline
from llmflame.recording.session import PhasePeaks, Session, log_request


class SingleRun:
    """Two hooks on the model from `begin` to `end`."""

    def __init__(self, session: Session, model: Any, pipeline: Any) -> None:
        self.session = session
        self._model = model
        self._peaks = PhasePeaks(session)
        self._probe = RequestProbe(session.counters, opening=self._peaks.opening, closing=self._peaks.closing)
        self._stack = contextlib.ExitStack()
        self._pipeline = pipeline
        self._ended = False

    def begin(self) -> None:
        """Attach the hooks."""
        self._probe.attach(self._model)
        self._stack.callback(self._probe.detach)
        if self._pipeline is not None:
            self._stack.enter_context(marked_pipeline(self._pipeline, self._probe))
        self._probe.enter("prepare")

    def end(self, *, keep: bool) -> None:
        """Detach them; write the requests' spans where they are wanted."""
        if self._ended:
            return
        self._ended = True
        sections = self._probe.finish()
        self._stack.close()
        if not keep:
            return
        peaks = self._peaks.take()
        for repetition, request in enumerate(split_requests(sections)):
            log_request(self.session, request, repetition=repetition, peaks=peaks, treatments={})
        self.session.flush()


def split_requests(sections: list[Section]) -> list[list[Section]]:
    """One list a generation: a new one begins where a pipeline prepares again after steps, or where the model
    is given several tokens after it was given one at a time.

    Without a pipeline nothing marks a generation's end: its last step ends with its forward call. With one,
    what happens until the next call counts as detokenize.
    """
    requests: list[list[Section]] = []
    decoding = False
    for section in sections:
        several = section.name == STEP and section.query_tokens > 1
        stepped = bool(requests) and any(member.name == STEP for member in requests[-1])
        again = stepped and section.name in ("tokenize", "prepare")
        if not requests or (several and decoding) or again:
            requests.append([])
            decoding = False
        requests[-1].append(section)
        decoding = decoding or (section.name == STEP and not several)
    return [_from_zero(request, last=request is requests[-1]) for request in requests]


def _from_zero(request: list[Section], *, last: bool) -> list[Section]:
    """Steps and cache length counted from the request's beginning; its last step without what came after."""
    steps = [section for section in request if section.name == STEP]
    if not steps:
        return request
    first_index, first_kv = steps[0].index or 0, steps[0].kv_tokens
    counted = [
        dataclasses.replace(
            section, index=(section.index or 0) - first_index, kv_tokens=section.kv_tokens - first_kv
        )
        if section.name == STEP
        else section
        for section in request
    ]
    final = counted[-1]
    if not last and final.name == STEP and final.forward_ns is not None:
        end = final.end._replace(time_ns=final.begin.time_ns + final.forward_ns)
        counted[-1] = dataclasses.replace(final, end=end)
    return counted
