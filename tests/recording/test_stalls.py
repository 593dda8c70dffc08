"""The stalls pass with a stand-in for the device's sampler: its ranges, its rows, and its refusals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

import llmflame
from llmflame.errors import StallsRefusedError
from llmflame.probes.sections import RequestProbe
from llmflame.probes.stalls.sampler import NoSampler, StallCounts
from llmflame.recording import stalls
from llmflame.recording.live_stalls import refuse_unseen
from llmflame.recording.session import Session
from llmflame.recording.stalls import (
    Range,
    after_mark,
    exact_step,
    measure_stalls,
    open_sampler,
    sampled_request,
)
from llmflame.store.profile import read_profile
from llmflame.store.rows import ProbeReportRow, Row, StallKernelRow, StallRow, WindowRow
from llmflame.store.writer import ProfileWriter

from .test_session import Kept

R = TypeVar("R", bound=Row)
BINARY = f"{7:016x}"


class Model(torch.nn.Module):
    """Takes tokens, gives them back."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return input_ids


class Sampler(NoSampler):
    """Counts calls; each range has one sample more than the one before."""

    def __init__(self, *, exact: bool = False) -> None:
        super().__init__()
        self.exact = exact
        self.log: list[str] = []
        self.description = {"period_cycles": "2048", "buffer_bytes": "1024"}
        self._ranges = 0

    def start(self) -> None:
        self.log.append("start")

    def drain(self) -> None:
        self.log.append("drain")

    def stop(self) -> StallCounts:
        self.log.append("stop")
        self._ranges += 1
        if self.exact:
            samples = Counter({("fill", BINARY, 70, 0, "drain"): 40, ("gemm", BINARY, 72, 0, "wait"): 3})
            return StallCounts(samples, total=43)
        samples = Counter({("gemm", BINARY, 0, 16, "long_scoreboard"): self._ranges})
        return StallCounts(samples, total=self._ranges)

    def close(self) -> None:
        self.log.append("close")


def session() -> Session:
    return Session("stalls", Kept(), 0)


def kept(one: Session, kind: type[R]) -> list[R]:
    assert isinstance(one.sink, Kept)
    return [row for batch in one.sink.batches for row in batch if isinstance(row, kind)]


def request(lengths: tuple[int, ...]) -> Any:
    """Runs a step for each length of input, with what a pipeline marks around them."""

    def run(probe: RequestProbe) -> None:
        probe.enter("prepare")
        for length in lengths:
            model(torch.ones(1, length, dtype=torch.long))
        probe.enter("detokenize")

    model = Model()
    run.model = model  # type: ignore[attr-defined]
    return run


def ranges_of(lengths: tuple[int, ...], step: int | None = None) -> tuple[Sampler, dict[str, int]]:
    run, sampler = request(lengths), Sampler()
    found = sampled_request(session(), run.model, run, sampler, step)
    return sampler, {name: one.counts.total for name, one in found.items()}


def test_prefill_and_decode_are_a_range_each() -> None:
    sampler, totals = ranges_of((5, 1, 1, 1))
    assert totals == {"prefill": 1, "decode": 2}
    assert sampler.log == ["start", "stop", "start", "stop"]


def test_each_chunk_of_a_prompt_is_prefill() -> None:
    _, totals = ranges_of((4, 4, 2, 1, 1))
    assert totals == {"prefill": 1 + 2 + 3, "decode": 4}


def test_a_prompt_alone_has_no_decode() -> None:
    assert ranges_of((5,))[1] == {"prefill": 1}


def test_one_step_alone_is_sampled_launch_by_launch() -> None:
    sampler, totals = ranges_of((5, 1, 1, 1, 1), step=2)
    assert totals == {"decode": 1}
    assert sampler.log == ["start", "stop"]


def test_samples_are_taken_over_while_a_range_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "DRAIN_INTERVAL_NS", -1)
    sampler, _ = ranges_of((5, 1, 1, 1))
    assert sampler.log == ["start", "stop", "start", "drain", "drain", "stop"]


def test_a_request_that_fails_leaves_no_hook() -> None:
    run = request((3, 1))

    def failing(probe: RequestProbe) -> None:
        run(probe)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        sampled_request(session(), run.model, failing, Sampler(), None)
    assert not run.model._forward_hooks and not run.model._forward_pre_hooks


def test_the_exact_step_is_one_that_the_anatomy_traces() -> None:
    assert exact_step(128) == 8
    assert exact_step(4) == 1
    with pytest.raises(StallsRefusedError, match="two new tokens"):
        exact_step(1)


def test_requests_without_and_with_sampling_take_turns() -> None:
    one, run, opened = session(), request((5, 1, 1)), []

    def opening(serialized: bool) -> Sampler:
        opened.append((serialized, Sampler(exact=serialized)))
        return opened[-1][1]

    measure_stalls(one, run.model, run, binaries=None, exact=1, opened=opening, pairs=2)
    assert [serialized for serialized, _ in opened] == [False, False, True]
    assert all(sampler.log[-1] == "close" for _, sampler in opened)
    windows = kept(one, WindowRow)
    assert [(w.kind, w.label, w.samples) for w in windows] == [
        ("stalls", "prefill", 2),
        ("stalls", "decode", 4),
        ("stalls", "decode step 1", 3),
    ]
    launches = [(row.launch, row.samples) for row in kept(one, StallRow) if row.window == windows[2].id]
    assert launches == [(2, 3)]  # the second after the mark; the mark itself is not the model's
    reports = {r.name: r.value for r in kept(one, ProbeReportRow) if r.probe == "stalls"}
    assert reports["period cycles"] == 2048
    assert reports["decode: sampled over clean"] is not None
    assert {"decode: clean wall", "decode: sampled wall", "prefill: hidden", "decode step 1: hidden"} <= set(
        reports
    )


def test_launches_that_cannot_be_told_apart_are_refused() -> None:
    """A full buffer adds up what follows under one number."""
    merged = Counter({("fill", BINARY, 70, 0, "drain"): 4, ("gemm", BINARY, 70, 0, "wait"): 3})
    with pytest.raises(StallsRefusedError, match="several have one number"):
        after_mark(StallCounts(merged, total=7))


def test_kernels_that_nobody_names_are_a_refusal_and_no_empty_table() -> None:
    """A second recording in one process once stored samples of no kernel, and nobody was told."""
    unseen = Range(StallCounts(total=1000, hidden=990))
    with pytest.raises(StallsRefusedError, match=r"99% of the samples .* record stalls in a fresh process"):
        refuse_unseen([unseen])
    refuse_unseen([Range(StallCounts(total=1000, hidden=400)), Range()])


def rows_of(counts: StallCounts) -> tuple[list[StallKernelRow], list[StallRow]]:
    from llmflame.recording.stall_rows import StallRows

    one = session()
    rows = StallRows(one, None)
    rows.put("decode", None, counts, 10)
    rows.finish()
    return kept(one, StallKernelRow), kept(one, StallRow)


def test_samples_of_rare_instructions_are_put_together_and_none_is_lost() -> None:
    samples = Counter({("gemm", BINARY, 0, 16 * place, "wait"): 1 for place in range(400)})
    samples["gemm", BINARY, 0, 9999, "long_scoreboard"] = 600
    samples["gemm", BINARY, 0, 9999, "long_scoreboard_not_issued"] = 550
    kernels, found = rows_of(StallCounts(samples, total=1000))
    assert [(k.name, k.function, k.binary) for k in kernels] == [("gemm", "gemm", BINARY)]
    assert {(r.pc, r.reason, r.samples, r.not_issued) for r in found} == {
        (None, "wait", 400, 0),
        (9999, "long_scoreboard", 600, 550),
    }


def test_more_lost_samples_than_samples_are_not_stored() -> None:
    samples = Counter({("f", BINARY, 0, 0, "wait"): 3, ("f", BINARY, 0, 0, "wait_not_issued"): 5})
    _, (row,) = rows_of(StallCounts(samples, total=3))
    assert (row.samples, row.not_issued) == (3, 3)


def test_names_are_demangled_as_the_tracer_does() -> None:
    kernels, _ = rows_of(StallCounts(Counter({("_Z3addPfi", BINARY, 0, 0, "wait"): 1}), total=1))
    assert [k.name for k in kernels] == ["add(float*, int)"]


def test_rows_survive_the_file(tmp_path: Path) -> None:
    writer = ProfileWriter(tmp_path / "x.llmflame", version="0", mode="processes")
    one = Session("stalls", writer, 0)
    run = request((5, 1))
    measure_stalls(one, run.model, run, binaries=None, exact=None, opened=lambda _: Sampler(), pairs=1)
    writer.finish("complete")
    profile = read_profile(tmp_path / "x.llmflame")
    assert [w.samples for w in profile.windows] == [1, 2]
    assert [(k.id, k.name) for k in profile.stall_kernels] == [(1, "gemm")]
    assert sum(row.samples for row in profile.stalls) == 3


def test_a_cpu_is_refused_and_the_rest_is_recorded(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    with llmflame.Recorder(model, tmp_path / "run.llmflame", repetitions=1, stalls="continuous") as recorder:
        names = [model(torch.ones(1, 2)) is not None and name for name in recorder.passes()]
    assert "stalls" not in names
    profile = recorder.profile
    assert profile.run.status == "complete"
    passes = {row.name: (row.status, row.reason) for row in profile.passes}
    assert passes["anatomy"] == ("complete", None)
    status, reason = passes["stalls"]
    assert status == "failed" and reason is not None and "only NVIDIA GPUs" in reason
    with pytest.raises(StallsRefusedError):
        open_sampler(session(), serialized=False)
