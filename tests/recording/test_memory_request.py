"""One counted request: censuses at the ends of its phases, readings at its steps, nothing left behind."""

from __future__ import annotations

import gc
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

import llmflame
from llmflame.analysis.memory.growth import growth
from llmflame.probes.device import Device
from llmflame.probes.sections import RequestProbe
from llmflame.recording import passes
from llmflame.recording.memory import FLOOR, memory_request, take_moment
from llmflame.recording.session import Session
from llmflame.store import categories as c
from llmflame.store.rows import GaugeRow, HoldingRow, MomentRow, ProbeReportRow, ReadingRow, Row, SpanRow

from .test_session import Kept

R = TypeVar("R", bound=Row)
PROMPT, NEW_TOKENS = 6, 5
LAST = NEW_TOKENS - 1
WIDTH = 16
TOKEN_BYTES = 2 * WIDTH * 4
WEIGHT_BYTES = (32 * WIDTH + WIDTH * WIDTH) * 4


class Cache:
    """Keys and values of one layer, grown by copying."""

    is_compileable = False

    def __init__(self) -> None:
        self.keys, self.values = torch.zeros(0, WIDTH), torch.zeros(0, WIDTH)

    def update(self, states: torch.Tensor) -> None:
        self.keys, self.values = torch.cat([self.keys, states]), torch.cat([self.values, states])


class Model(torch.nn.Module):
    """A model with a cache that fails, if told, at one step."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(32, WIDTH), torch.nn.Linear(WIDTH, WIDTH, bias=False)
        self.calls, self.fails_at = 0, fails_at

    def forward(self, input_ids: torch.Tensor, past_key_values: Cache) -> dict[str, Any]:
        if self.calls == self.fails_at:
            raise ArithmeticError
        self.calls += 1
        hidden = self.embed(input_ids)
        past_key_values.update(hidden[0])
        return {"logits": self.head(hidden), "past_key_values": past_key_values}


def generate(model: Model, probe: RequestProbe | None = None, steps: int = NEW_TOKENS) -> None:
    """Prefill and decode, as a program's own loop does it."""
    if probe is not None:
        probe.enter("prepare")
    cache = Cache()
    with torch.no_grad():
        model(input_ids=torch.ones(1, PROMPT, dtype=torch.long), past_key_values=cache)
        for _ in range(steps - 1):
            model(input_ids=torch.ones(1, 1, dtype=torch.long), past_key_values=cache)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def session(kept: Kept) -> Iterator[Session]:
    made = Session("memory", kept, time.perf_counter_ns())
    made.device, made.last_step = Device("cpu"), LAST
    yield made
    made.close()


def counted(session: Session, model: Model, steps: int = NEW_TOKENS) -> None:
    with memory_request(session, model) as probe:
        generate(model, probe, steps)


def rows_of(kept: Kept, kind: type[R]) -> list[R]:
    return [row for batch in kept.batches for row in batch if isinstance(row, kind)]


def cached(kept: Kept) -> dict[tuple[str, int | None, str], int]:
    """Bytes of the cache at each moment."""
    moments = {row.id: (row.phase, row.step, row.when) for row in rows_of(kept, MomentRow)}
    sizes: Counter[tuple[str, int | None, str]] = Counter(dict.fromkeys(moments.values(), 0))
    for row in rows_of(kept, HoldingRow):
        if row.category == c.KV_CACHE:
            sizes[moments[row.moment]] += row.bytes
    return dict(sizes)


def hooks_of(model: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_who_holds_the_memory_at_the_ends_of_request_prefill_and_decode(session: Session, kept: Kept) -> None:
    counted(session, Model())
    assert cached(kept) == {
        (FLOOR, None, "begin"): 0,
        ("prefill", 0, "begin"): 0,
        ("decode", 1, "begin"): PROMPT * TOKEN_BYTES,
        ("decode", LAST, "begin"): (PROMPT + LAST - 1) * TOKEN_BYTES,
        ("decode", LAST, "end"): (PROMPT + LAST) * TOKEN_BYTES,
        (FLOOR, None, "end"): 0,
    }
    moments = rows_of(kept, MomentRow)
    assert [row.id for row in moments] == list(range(1, 7))
    assert [row.time_ns for row in moments] == sorted(row.time_ns for row in moments)
    assert {row.window for row in moments} == {None}


def test_weights_and_readings_are_told_at_every_moment(session: Session, kept: Kept) -> None:
    counted(session, Model())
    moments = {row.id for row in rows_of(kept, MomentRow)}
    weights = Counter[int]()
    for row in rows_of(kept, HoldingRow):
        assert row.bytes and row.pass_name == "memory"
        if row.category == c.WEIGHTS:
            weights[row.moment] += row.bytes
    assert weights == dict.fromkeys(moments, WEIGHT_BYTES)
    told = {row.moment: row.value for row in rows_of(kept, ReadingRow) if row.name == "weight_bytes"}
    assert told == dict.fromkeys(moments, WEIGHT_BYTES)


def test_each_steps_edges_are_read(session: Session, kept: Kept) -> None:
    """At every step's beginning, and once more when the last forward call has returned."""
    counted(session, Model())
    gauges = rows_of(kept, GaugeRow)
    sizes = [row.value for row in gauges if row.name == "kv_cache_bytes"]
    assert sizes == [0, *((PROMPT + step) * TOKEN_BYTES for step in range(NEW_TOKENS))]
    steps = [row for row in rows_of(kept, SpanRow) if row.name == "step"]
    assert [row.step for row in steps] == list(range(NEW_TOKENS))
    assert {row.treatment for row in steps} == {"counted"}
    assert all(row.peak_rss_bytes is None or row.peak_rss_bytes > 0 for row in steps)
    begins = [row.time_ns for row in gauges if row.name == "kv_cache_bytes"][:-1]
    assert all(read <= step.start_ns for read, step in zip(begins, steps, strict=True)), "off its clock"
    assert {row.name for row in gauges} <= {"kv_cache_bytes", "heap_bytes"}, "there is no device"


def test_without_a_known_last_step_its_moments_are_left_out(session: Session, kept: Kept) -> None:
    session.last_step = None
    counted(session, Model())
    assert list(cached(kept)) == [
        (FLOOR, None, "begin"),
        ("prefill", 0, "begin"),
        ("decode", 1, "begin"),
        (FLOOR, None, "end"),
    ]


def test_a_request_that_ends_before_the_step_that_was_expected(session: Session, kept: Kept) -> None:
    counted(session, Model(), steps=3)
    assert ("decode", LAST, "begin") not in cached(kept)
    assert session.seen_shape == {"prompt_tokens": PROMPT, "new_tokens": 3, "batch_size": 1}


@pytest.mark.parametrize("steps", [1, 2])
def test_the_first_steps_may_be_the_last(session: Session, kept: Kept, steps: int) -> None:
    session.last_step = steps - 1
    counted(session, Model(), steps)
    assert list(cached(kept))[:-1] == [
        (FLOOR, None, "begin"),
        ("prefill", 0, "begin"),
        *([("prefill", 0, "end")] if steps == 1 else [("decode", 1, "begin"), ("decode", 1, "end")]),
    ]


@pytest.mark.parametrize("at", [0, 1, LAST])
def test_a_request_that_fails_leaves_no_hook_and_the_programs_own_error(
    session: Session, kept: Kept, at: int
) -> None:
    model = Model(fails_at=at)
    with pytest.raises(ArithmeticError):
        counted(session, model)
    assert hooks_of(model) == 0
    assert not rows_of(kept, SpanRow), "half a request is none"
    model.fails_at, model.calls = None, 0
    counted(session, model)
    assert len([row for row in rows_of(kept, SpanRow) if row.name == "step"]) == NEW_TOKENS


def test_a_request_that_nobody_runs_to_its_end_leaves_no_hook(session: Session) -> None:
    """A loop over passes that is left early."""
    model = Model()

    def once() -> Iterator[None]:
        with memory_request(session, model):
            yield

    walk = once()
    next(walk)
    assert hooks_of(model) == 2
    walk.close()  # type: ignore[attr-defined]
    assert hooks_of(model) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_lives_no_longer_than_its_program_wants(session: Session, fails: bool) -> None:
    """The watcher held it until the collector came: gigabytes of a device, after the recording."""
    model = Model(fails_at=1 if fails else None)
    gone = weakref.ref(model)
    gc.collect()
    gc.disable()
    try:
        try:
            counted(session, model)
        except ArithmeticError:
            assert fails
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_a_cache_lives_no_longer_than_its_request(session: Session) -> None:
    caches: list[weakref.ref[Cache]] = []

    class Watched(Model):
        def forward(self, input_ids: torch.Tensor, past_key_values: Cache) -> dict[str, Any]:
            caches.append(weakref.ref(past_key_values))
            return super().forward(input_ids, past_key_values)

    with memory_request(session, model := Watched()) as probe:
        generate(model, probe)
        assert caches[-1]() is None
        assert probe.cache is None


def test_a_moment_between_phases_is_sent_at_once(session: Session, kept: Kept) -> None:
    take_moment(session, Model(), "load")
    (moment,) = rows_of(kept, MomentRow)
    assert (moment.phase, moment.step, moment.when) == ("load", None, "end")


def test_a_request_may_be_counted_as_one_of_the_passes(session: Session, kept: Kept) -> None:
    passes.counted_request(session, model := Model(), lambda probe: generate(model, probe))
    assert len(rows_of(kept, MomentRow)) == 6


def test_a_live_recording_counts_one_request_after_the_clean_ones(tmp_path: Path) -> None:
    model = Model()
    with llmflame.Recorder(model, tmp_path / "run.llmflame", repetitions=2) as recorder:
        names = []
        for name in recorder.passes():
            names.append(name)
            generate(model)
    assert names == ["warmup", "clean", "clean", "memory", "anatomy", "anatomy", "anatomy"]
    profile = recorder.profile
    assert [row.name for row in profile.passes] == ["clean", "memory", "anatomy"]
    assert hooks_of(model) == 0
    counted_moments = [(row.phase, row.when) for row in profile.moments if row.pass_name == "memory"]
    assert Counter(counted_moments) == {
        (FLOOR, "begin"): 1,
        (FLOOR, "end"): 1,
        ("prefill", "begin"): 1,
        ("decode", "begin"): 2,
        ("decode", "end"): 1,
    }
    (host,) = growth(profile)
    assert host.kv_cache.bytes_per_step == pytest.approx(TOKEN_BYTES)
    assert not [
        row for row in profile.probe_reports if isinstance(row, ProbeReportRow) and row.name == "lost"
    ]
