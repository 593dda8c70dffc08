"""The child process of `resolve`: the work that needs torch, transformers or the network.

`python -m llmflame.subjects.convert WORK TARGET_FOLDER [ARGUMENT]`; see `child` for what it writes to stdout.
"""

from __future__ import annotations

import errno
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from llmflame.errors import LlmflameError, UsageError
from llmflame.subjects.channel import Channel, end_with_parent
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.progress import Progress

Work = Callable[[str, str, Progress], str]


def main(arguments: list[str]) -> int:
    """Do one piece of work; 0 if it was done, 2 with one clear line, 1 with a traceback on stderr."""
    channel = Channel()
    end_with_parent()
    work, target, argument = arguments
    try:
        channel.result(_WORKS[work](target, argument, channel.progress))
    except LlmflameError as error:
        channel.error(str(error), fetch=isinstance(error, FetchError))
        return 2
    except ModuleNotFoundError as error:
        channel.error(f"preparing a model needs the package `{error.name}`: pip install 'llmflame[run]'")
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _unexpected(error)
        channel.error("the disk of the cache folder is full: free some space or set LLMFLAME_CACHE")
        return 2
    except Exception as error:
        return _unexpected(error)
    return 0


def _unexpected(error: Exception) -> int:
    """Leave the traceback on stderr and, as its last line, what the caller makes one line of."""
    traceback.print_exception(error)
    first = (str(error).strip() or "no message").splitlines()[0]
    sys.stderr.write(f"{type(error).__name__}: {first}\n")
    return 1


def _demo(target: str, argument: str, progress: Progress) -> str:
    from llmflame.subjects import demo_fetch, gguf_convert

    gguf = demo_fetch.fetch(Path(target).parent / "download", progress)
    gguf_convert.convert(gguf, Path(target), progress)
    return target


def _gguf(target: str, argument: str, progress: Progress) -> str:
    from llmflame.subjects import gguf_convert

    gguf_convert.convert(Path(argument), Path(target), progress)
    return target


def _dummy(target: str, argument: str, progress: Progress) -> str:
    from llmflame.subjects import dummy_write

    dummy_write.write(json.loads(argument), Path(target), progress)
    return target


def _hub(target: str, argument: str, progress: Progress) -> str:
    from llmflame.subjects import hub_download

    return hub_download.download(target, json.loads(argument), progress)


_WORKS: dict[str, Work] = {"demo": _demo, "gguf": _gguf, "dummy": _dummy, "hub": _hub}


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in _WORKS:
        raise UsageError("llmflame.subjects.convert is started by llmflame itself")
    sys.exit(main(sys.argv[1:]))
