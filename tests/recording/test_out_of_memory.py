"""Memory that runs out: told from other errors, with what was asked for, by whom, and what would fit."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import llmflame
from llmflame.probes.memory import failure
from llmflame.probes.memory.device_refusals import Refusal
from llmflame.probes.memory.failure import census_at_failure
from llmflame.probes.memory.heap import Heap
from llmflame.probes.memory.limit_hit import host_limit
from llmflame.probes.memory.scene import MOST_LINES, read_scene
from llmflame.recording import out_of_memory
from llmflame.recording.fits import Need, fits, fits_loading
from llmflame.recording.out_of_memory import note, requested_bytes
from llmflame.recording.session import Session
from llmflame.store import categories
from llmflame.store.profile import Profile

MIB, GIB = 1 << 20, 1 << 30
TOO_MUCH = 1 << 46
"""Bytes: more than a process' address space may be asked for at once."""
CUDA_TEXT = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB"


class OutOfMemoryError(RuntimeError):
    """As torch's, by its name."""


def raised(call: Any) -> BaseException:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def refusal(requested: int) -> Refusal:
    return Refusal(0, requested, 8 * GIB, GIB, 6 * GIB, 7 * GIB)


@pytest.fixture
def recognised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BaseException], bool]]:
    """Does a session take an exception for the end of memory? Nobody looks at who held what."""
    monkeypatch.setattr(out_of_memory, "_look", lambda *_: None)
    nowhere: Any = None
    session = Session("clean", nowhere, time.perf_counter_ns())

    def said(error: BaseException) -> bool:
        reason = note(session, error)
        assert reason is None or reason.startswith("out of memory: ")
        return reason is not None

    yield said
    session.counters.close()


@pytest.mark.parametrize(
    ("call", "requested"),
    [
        (lambda: torch.empty(TOO_MUCH, dtype=torch.uint8), TOO_MUCH),
        (lambda: np.empty((TOO_MUCH // 64, 16), dtype=np.float32), TOO_MUCH),
        (lambda: bytearray(1 << 62), None),
    ],
    ids=["torch", "numpy", "python"],
)
def test_the_libraries_own_errors_say_it_exactly(
    call: Any, requested: int | None, recognised: Callable[[BaseException], bool]
) -> None:
    error = raised(call)
    assert recognised(error)
    assert requested_bytes(error) == requested


def test_what_the_system_says(recognised: Callable[[BaseException], bool]) -> None:
    assert recognised(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert recognised(ImportError("libx.so: failed to map segment: Cannot allocate memory"))
    mapped = RuntimeError("unable to mmap 4096 bytes from file <a>: Cannot allocate memory (12)")
    assert recognised(mapped) and requested_bytes(mapped) == 4096
    assert recognised(RuntimeError("CUDA error: out of memory"))


def test_a_device_says_it_rounded_and_its_allocator_exactly(
    recognised: Callable[[BaseException], bool],
) -> None:
    error = OutOfMemoryError(CUDA_TEXT)
    assert recognised(error)
    assert requested_bytes(error) == 2 * GIB
    assert requested_bytes(error, refusal(2 * GIB + 2 * MIB)) == 2 * GIB + 2 * MIB
    assert requested_bytes(error, refusal(GIB)) == 2 * GIB, "that was an earlier one"
    assert requested_bytes(OutOfMemoryError("no number"), refusal(GIB)) == GIB


@pytest.mark.parametrize(
    "error",
    [
        ValueError("memory"),
        RuntimeError("shape mismatch"),
        OSError(errno.ENOENT, "none"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_none(error: BaseException, recognised: Callable[[BaseException], bool]) -> None:
    assert not recognised(error)
    assert requested_bytes(error) is None


def test_causes_are_looked_through_as_a_traceback_shows_them(
    recognised: Callable[[BaseException], bool],
) -> None:
    def wrapped(*, hidden: bool) -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            if hidden:
                raise ValueError("another matter") from None
            raise ValueError("can't load") from error

    def handled() -> None:
        try:
            raise MemoryError
        except MemoryError:
            raise KeyboardInterrupt from None

    assert recognised(raised(lambda: wrapped(hidden=False)))
    assert not recognised(raised(lambda: wrapped(hidden=True)))
    interrupted = KeyboardInterrupt()
    interrupted.__context__ = MemoryError()
    assert not recognised(interrupted)


class Greedy(nn.Module):
    """Asks for more than there is while it holds something."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = (x.repeat(1, 1, 100), [torch.ones(7)])
        return self.ask(kept[0])

    def ask(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.empty(TOO_MUCH, dtype=torch.uint8)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8), Greedy()])

    def forward(self, input_ids: torch.Tensor, past_key_values: Any = None) -> torch.Tensor:
        hidden = self.layers[0](torch.ones(input_ids.shape[0], input_ids.shape[1], 8))
        return self.layers[1](hidden)  # type: ignore[no-any-return]


@pytest.fixture
def failed() -> tuple[Model, BaseException]:
    model = Model()
    cache = [torch.ones(3, 5), torch.ones(3, 5)]
    ids = torch.ones((3, 11), dtype=torch.long)
    with torch.no_grad():
        error = raised(lambda: model(ids, past_key_values=cache))
    return model, error


def test_frames_say_which_module_asked(failed: tuple[Model, BaseException]) -> None:
    model, error = failed
    scene = read_scene([error], model)
    assert scene.module == "layers.1"
    last = scene.stack()[-1]
    assert last.startswith("layers.1  ask (") and "test_out_of_memory.py:" in last
    assert not [line for line in scene.stack() if "_call_impl" in line]
    assert (scene.batch_size, scene.tokens, scene.phase, scene.step) == (3, 11, "prefill", 0)
    assert read_scene([error]).root is model


def test_tensors_of_the_frames_are_activations_of_their_modules(failed: tuple[Model, BaseException]) -> None:
    model, error = failed
    census = census_at_failure(read_scene([error], model), "cpu", Heap(), None)
    activations = {
        owner: size for (_, category, owner), (size, _) in census.held.items() if category == "activations"
    }
    hidden = 3 * 11 * 8 * 4
    # What a frame was given belongs to the outermost that holds it.
    assert activations == {"Model": 3 * 11 * 8 + hidden, "layers.1": hidden * 100 + 7 * 4}
    assert census.total("host", categories.KV_CACHE) == 2 * 3 * 5 * 4
    held = {owner: size for (_, category, owner), (size, _) in census.held.items() if category == "weights"}
    assert held == {"layers.0": (64 + 8) * 4, "layers.1": 4000}


def test_looking_leaves_nothing_in_the_frames(failed: tuple[Model, BaseException]) -> None:
    """Until Python 3.12 a frame that is asked for its variables keeps them: they outlive their deletion."""
    model, error = failed
    assert error.__traceback__ is not None
    frame = error.__traceback__.tb_frame
    before = sys.getrefcount(model)
    read_scene([error], model)
    assert sys.getrefcount(model) == before
    assert frame.f_locals


def test_a_long_stack_is_cut_at_its_outer_end() -> None:
    def deep(number: int) -> None:
        if number:
            deep(number - 1)
        raise MemoryError

    stack = read_scene([raised(lambda: deep(100))]).stack()
    assert len(stack) == MOST_LINES
    assert stack[0] == "..." and stack[-1].startswith("deep (")


def test_a_census_that_fails_too_names_weights_at_least(
    failed: tuple[Model, BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    model, error = failed
    monkeypatch.setattr(failure, "take_census", fail)
    census = census_at_failure(read_scene([error], model), "cpu", Heap(), None)
    assert census.total("host", categories.WEIGHTS) == (64 + 8 + 1000) * 4
    assert census.readings["resident_bytes"] > 0


def test_a_live_exception_passes_through_unchanged(tmp_path: Path) -> None:
    model, mine = Model(), MemoryError("mine")
    with pytest.raises(MemoryError) as caught, llmflame.Recorder(model, tmp_path / "a.llmflame"):
        raise mine
    assert caught.value is mine
    assert mine.args == ("mine",) and mine.__cause__ is None and not hasattr(mine, "__notes__")


def live(tmp_path: Path, *, repeated: bool) -> Profile:
    model, recorder = Model(), None
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"), torch.no_grad():
        recorder = llmflame.Recorder(model, tmp_path / "a.llmflame", repetitions=1)
        with recorder:
            for _ in recorder.passes() if repeated else range(1):
                model(torch.ones((3, 11), dtype=torch.long))
    assert recorder is not None
    return recorder.profile


@pytest.mark.parametrize("repeated", [False, True])
def test_a_live_recording_says_who_held_what(tmp_path: Path, repeated: bool) -> None:
    profile = live(tmp_path, repeated=repeated)
    assert profile.run.status == "failed"
    assert (profile.run.reason or "").startswith(
        "out of memory: RuntimeError: tried to allocate 64.0 TiB in layers.1; "
    )
    (moment,) = [moment for moment in profile.moments if moment.when == "failure"]
    assert (moment.phase, moment.step) == ("prefill", 0)
    weights = {h.owner: h.bytes for h in profile.holdings if h.category == categories.WEIGHTS}
    assert weights == {"layers.0": (64 + 8) * 4, "layers.1": 4000}
    said = profile.subject
    assert said["out_of_memory_requested_bytes"] == TOO_MUCH
    assert said["out_of_memory_space"] == "host"
    assert "layers.1  ask (" in str(said["out_of_memory_stack"])
    assert said["out_of_memory_limit_bytes"] and said["out_of_memory_limit_name"]
    assert "llmflame plan" in str(said["out_of_memory_fits"])


def test_looking_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("looking failed")

    monkeypatch.setattr(out_of_memory, "_look", fail)
    profile = live(tmp_path, repeated=False)
    assert profile.run.status == "failed"
    assert profile.subject["out_of_memory_requested_bytes"] == TOO_MUCH


def test_the_limit_is_one_that_the_request_does_not_fit_in() -> None:
    limit = host_limit(TOO_MUCH)
    if limit.bytes is None:
        pytest.skip("no limit can be read here")
    assert limit.used_bytes is not None
    assert limit.used_bytes + TOO_MUCH > limit.bytes


def test_what_fits_grows_with_batch_and_tokens() -> None:
    # 4 GiB of 10 are fixed: of the 6 left, batch 8 would take 4 + 8.
    text = fits(Need(10 * GIB, 8 * GIB, 8 * GIB, 4 * GIB, batch_size=8, tokens=1000))
    assert "6.0 GiB more were needed than the 2.0 GiB that were free" in text
    assert "at most batch size 4, or 500 tokens at batch size 8" in text
    alone = fits(Need(10 * GIB, 8 * GIB, 8 * GIB, 4 * GIB, batch_size=1, tokens=1000))
    assert "at most 500 tokens." in alone
    nothing = fits(Need(10 * GIB, 10 * GIB, GIB, 0, batch_size=1, tokens=10))
    assert "not even one token" in nothing
    assert "free when the exception was handled" in fits(Need(10 * GIB, GIB, GIB, 0))
    for need in (Need(None, 0, GIB, 0), Need(10 * GIB, 9 * GIB, 2 * GIB, GIB), Need(GIB, 0, 0, 0)):
        assert fits(need).endswith("`llmflame plan` says what fits.")


def test_weights_that_would_fit_in_half() -> None:
    assert "would fit." in fits_loading(8 * GIB, "float32", 5 * GIB)
    assert "would not fit either" in fits_loading(8 * GIB, "float32", 3 * GIB)
    assert "bfloat16 they" not in fits_loading(8 * GIB, "bfloat16", 5 * GIB)
    assert "they fit, but" in fits_loading(GIB, "bfloat16", 5 * GIB)
    assert fits_loading(0, None, GIB) == "`llmflame plan` says what fits."
