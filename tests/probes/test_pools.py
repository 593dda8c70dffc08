"""A pool's work knows who asked for it, and is otherwise what it was."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmflame.probes.pools import PoolLinks, stack_of

PLAIN = ThreadPoolExecutor.submit


def test_the_stack_of_a_frame_begins_at_the_outermost_call() -> None:
    def inner() -> tuple[str, ...]:
        return tuple(code.co_name for code in stack_of(sys._getframe()))

    names = inner()
    assert names[-2:] == ("test_the_stack_of_a_frame_begins_at_the_outermost_call", "inner")
    assert len(names) > 5
    assert stack_of(None) == ()


def test_a_worker_is_linked_to_its_submitter_while_it_works() -> None:
    links = PoolLinks()
    started, release = threading.Event(), threading.Event()

    def job() -> tuple[int, int]:
        started.set()
        release.wait(60)
        return threading.get_ident(), threading.get_native_id()

    def submitter(pool: ThreadPoolExecutor) -> Any:
        return pool.submit(job)

    with links, ThreadPoolExecutor(1) as pool:
        future = submitter(pool)
        assert started.wait(60)
        linked = dict(links.links)
        release.set()
        ident, native_id = future.result(60)
        pool.submit(int).result(60)
        assert links.links == {}, "nothing is linked when no job runs"
    assert list(linked) == [ident]
    assert linked[ident][0] == native_id
    assert [code.co_name for code in linked[ident][1]][-2:] == [
        "test_a_worker_is_linked_to_its_submitter_while_it_works",
        "submitter",
    ]


def test_it_is_undone_also_after_an_exception() -> None:
    links = PoolLinks()
    with pytest.raises(KeyError), links:
        assert ThreadPoolExecutor.submit is not PLAIN
        raise KeyError
    assert ThreadPoolExecutor.submit is PLAIN
    assert links.links == {}
    with links:
        pass
    assert ThreadPoolExecutor.submit is PLAIN


def test_results_arguments_and_exceptions_pass_unchanged() -> None:
    error = ArithmeticError("no")

    def echo(*args: object, **kwargs: object) -> object:
        return args, kwargs

    def fails() -> None:
        raise error

    with PoolLinks() as links, ThreadPoolExecutor(2) as pool:
        assert pool.submit(echo, 1, None, function=2, pool=3, key="x").result(60) == (
            (1, None),
            {"function": 2, "pool": 3, "key": "x"},
        )
        assert list(pool.map(divmod, range(20), [3] * 20)) == [divmod(n, 3) for n in range(20)]
        assert pool.submit(fails).exception(60) is error
        pool.submit(int).result(60)
    assert links.links == {}


def test_a_closed_pool_says_so_itself() -> None:
    with PoolLinks(), ThreadPoolExecutor(1) as pool:
        pool.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(int)


def test_a_job_may_give_work_to_another_pool() -> None:
    with PoolLinks() as links, ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as inner:
        assert outer.submit(lambda: inner.submit(threading.get_ident).result(60)).result(60) > 0
        outer.submit(int).result(60)
        inner.submit(int).result(60)
    assert links.links == {}
