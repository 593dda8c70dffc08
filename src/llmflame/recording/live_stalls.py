"""Stalls of a live model: one request for its phases, and one more for a step launch by launch.

What the driver has loaded before is not seen: instructions have names where Triton keeps their binaries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from llmflame.errors import StallsRefusedError
from llmflame.probes.sections import RequestProbe
from llmflame.probes.stalls.binaries import Binaries
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.recording.session import Session
from llmflame.recording.stall_rows import StallRows
from llmflame.recording.stalls import Range, after_mark, check_device, exact_step, open_sampler, sampling

Around = Callable[[Session, RequestProbe], contextlib.AbstractContextManager[str]]
"""What the recorder puts around a request; gives the name that it is asked for by."""


MOST_UNSEEN = 0.5
"""Of the samples: more of them in kernels without a name say nothing of the model."""


def refuse_unseen(ranges: Collection[Range]) -> None:
    """Raise StallsRefusedError where CUPTI tells nothing of most kernels that ran.

    Seen on an H200: what the driver loads between two recordings of stalls in a process stays unknown to the
    second; a process' first recording knows all that was loaded before it.
    """
    total, hidden = (sum(getattr(one.counts, name) for one in ranges) for name in ("total", "hidden"))
    if hidden > MOST_UNSEEN * total:
        raise StallsRefusedError(
            f"{hidden / total:.0%} of the samples are in kernels that were loaded after this process was "
            "sampled before, and CUPTI doesn't name those: record stalls in a fresh process"
        )


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
        refuse_unseen(ranges.values())
        for phase, found in ranges.items():
            rows.put(phase, step, found.counts if step is None else after_mark(found.counts), found.wall_ns)
    rows.finish()
