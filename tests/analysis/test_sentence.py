"""The one sentence: what is known of time, floor and waiting, and nothing that is not."""

from __future__ import annotations

from typing import Any

from llmflame.analysis.sentence import sentence


def document(**changes: Any) -> dict[str, Any]:
    decode = {
        "phase": "decode",
        "steps": 10,
        "wall_s": 0.113,
        "floor_s": 0.0059,
        "mbu": None,
        "mbu_published": 0.05,
        "mfu": None,
        "mfu_published": 0.001,
        "parts_s": {"floor": 0.0059, "launch gaps": 0.06, "other": 0.02},
    }
    device = {
        "busy_s": 0.02,
        "idle_s": 0.08,
        "idle_by_cause_s": {"launch-bound Python": 0.07, "copy": 0.01},
    }
    known: dict[str, Any] = {
        "latency": {"tpot_ms": {"median": 11.3}, "ttft_ms": 20.0},
        "phases": [{"name": "load", "wall_s": 3.0, "share": 0.75}],
        "roofline": [decode],
        "device": device,
    }
    return known | changes


def test_a_gpu_that_waits() -> None:
    assert sentence(document()) == (
        "11.3 ms a token; the memory floor is 590 µs; the GPU waits for Python 70.0 % of the time."
    )


def test_a_gpu_that_works() -> None:
    busy = {"busy_s": 0.98, "idle_s": 0.02, "idle_by_cause_s": {"copy": 0.02}}
    assert "the GPU is busy 98.0 % of the time." in str(sentence(document(device=busy)))


def test_a_cpu_has_no_gpu_to_wait_for() -> None:
    told = sentence(document(device=None))
    assert told == "11.3 ms a token; the memory floor is 590 µs; Python and dispatch take 53.1 % of it."


def test_the_larger_use_names_the_floor() -> None:
    (row,) = document()["roofline"]
    arithmetic = sentence(document(roofline=[row | {"mfu": 0.3, "mbu": 0.1}]))
    unknown = sentence(document(roofline=[row | {"mfu_published": None}]))
    assert "the compute floor is" in str(arithmetic) and "; the floor is" in str(unknown)


def test_what_is_unknown_is_left_out() -> None:
    nothing = {"tpot_ms": {"median": None}, "ttft_ms": None}
    bare = document(roofline=[], device=None, latency=nothing)
    assert sentence(bare) == "load takes 3.00 s, 75.0 %."
    assert sentence(bare | {"phases": []}) is None
    first = sentence(document(roofline=[], device=None, latency=nothing | {"ttft_ms": 20.0}))
    assert first == "20.0 ms to the first token."
