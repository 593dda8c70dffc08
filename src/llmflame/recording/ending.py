"""How a recording ends: in words that stand in its file, and with the file where it was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from llmflame.errors import LlmflameError, ProgramFailedError, UsageError
from llmflame.recording.version import version
from llmflame.store.rows import Status
from llmflame.store.writer import ProfileWriter, move_profile, unfinished_beside


@contextlib.contextmanager
def recording_into(output: Path, *, mode: str) -> Iterator[ProfileWriter]:
    """A writer whose file is `output` and readable however the body ends; a UsageError leaves nothing behind.

    The old file stays until the new one is known to have something in it.
    """
    unfinished = unfinished_beside(output)
    writer = ProfileWriter(unfinished, version=version(), mode=mode)
    try:
        yield writer
    except UsageError:
        writer.abandon()
        raise
    except BaseException as error:
        with contextlib.suppress(LlmflameError):
            writer.finish(*ending(error))
        move_profile(unfinished, output)
        raise
    writer.finish("complete", None)
    move_profile(unfinished, output)


def ending(error: BaseException | None) -> tuple[Status, str | None]:
    """The status of what an exception ended (None: nothing did), and the reason."""
    if error is None:
        return "complete", None
    if isinstance(error, KeyboardInterrupt):
        return "partial", "interrupted"
    if isinstance(error, ProgramFailedError):
        return "failed", str(error)
    return "failed", f"{type(error).__name__}: {error}"
