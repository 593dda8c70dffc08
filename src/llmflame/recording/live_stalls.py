"""Stalls of a live model: one request for its phases, and one more for a step launch by launch.

What the driver has loaded before is not seen: instructions have names where Triton keeps their binaries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from llmflame.probes.sections import RequestProbe
from llmflame.probes.stalls.binaries import Binaries
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.recording.session import Session
from llmflame.recording.stall_rows import StallRows
from llmflame.recording.stalls import after_mark, check_device, exact_step, open_sampler, sampling

Around = Callable[[Session, RequestProbe], contextlib.AbstractContextManager[str]]
"""What the recorder puts around a request; gives the name that it is asked for by."""


def live_stalls(session: Session, root: Any, exact: bool, around: Around) -> Iterator[str]:
    """Yield for each request that is to be run. Raises StallsRefusedError where sampling is not allowed."""
    check_device(session)
    rows = StallRows(session, Binaries(Cupti.loaded()))
    steps = [None, exact_step((session.last_step or 0) + 1)] if exact else [None]
    for step in steps:
        with (
            contextlib.closing(open_sampler(session, serialized=step is not None)) as sampler,
            sampling(session, root, sampler, step) as (probe, ranges),
            around(session, probe) as name,
        ):
            yield name
        if step is None:
            rows.describe(sampler.description, {})
        for phase, found in ranges.items():
            rows.put(phase, step, found.counts if step is None else after_mark(found.counts), found.wall_ns)
    rows.finish()
