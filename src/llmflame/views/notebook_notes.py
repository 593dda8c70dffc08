"""Lines that a notebook prints beside a profile."""

from __future__ import annotations

from llmflame.analysis.phases import steps
from llmflame.store.profile import Profile


def note_runs(runs: int) -> None:
    """Say how often a cell is going to run: whoever reads `%%llmflame` may expect once."""
    print(f"llmflame runs this code {runs} times (--once: one time, without a call tree).", flush=True)  # noqa: T201


def note_generations(profile: Profile, *, repeated: bool) -> None:
    """Say where code generated more than once although a repeated one is recorded as one request."""
    count = generations(profile)
    if repeated and count > 1:
        print(  # noqa: T201
            f"llmflame: this code generates {count} times, and the profile shows that as one request: "
            "run one generation in the cell, or use --once, which tells them apart.",
            flush=True,
        )


def generations(profile: Profile) -> int:
    """How often the first timed request was given a prompt after it had been given single tokens, and one."""
    count, decoding = 1, False
    for step in steps(profile, repetition=0):
        single = (step.tokens or 0) <= (profile.subject.get("batch_size") or 1)
        count += decoding and not single
        decoding = single
    return count
