"""Remembers who gave a thread pool its work, so that a worker's frames hang below the code that asked.

`transformers` reads checkpoints in a pool: a profiler of the main thread sees nothing of it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import CodeType, FrameType
from typing import Any

Stack = tuple[CodeType, ...]
"""Code objects from the outermost call to the innermost."""


def stack_of(frame: FrameType | None) -> Stack:
    """The call stack that ends in `frame`."""
    codes = []
    while frame is not None:
        codes.append(frame.f_code)
        frame = frame.f_back
    codes.reverse()
    return tuple(codes)


class PoolLinks:
    """While active, `links[thread]` is the stack from which that worker's present job was submitted."""

    def __init__(self) -> None:
        self.links: dict[int, tuple[int, Stack]] = {}
        """Worker thread's ident to (its native id, the submitter's stack)."""
        self._submit: Any = None

    def __enter__(self) -> PoolLinks:
        original, links = ThreadPoolExecutor.submit, self.links
        self._submit = original

        def submit(
            pool: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any
        ) -> Future[Any]:
            submitter = stack_of(sys._getframe(1))

            def linked(*inner_args: Any, **inner_kwargs: Any) -> Any:
                ident = threading.get_ident()
                links[ident] = (threading.get_native_id(), submitter)
                try:
                    return function(*inner_args, **inner_kwargs)
                finally:
                    links.pop(ident, None)

            return original(pool, linked, *args, **kwargs)

        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        ThreadPoolExecutor.submit = self._submit  # type: ignore[method-assign]
        self.links.clear()
