"""The one sentence about a run that a person would tell a colleague."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflame.units import human_time_ns, percent

LEAST_SHARE = 0.05
"""Of the time: what is less than that is not what a colleague is told."""
IDLE_WORDS = {
    "launch-bound Python": "the GPU waits for Python {share} of the time",
    "synchronisation": "the GPU is idle while the host waits for it {share} of the time",
    "copy": "the GPU waits for copies {share} of the time",
    "allocation": "the GPU waits for allocations {share} of the time",
    "tokeniser": "the GPU waits for the tokeniser {share} of the time",
}
CPU_PARTS = {
    "launch gaps": "Python and dispatch take {share} of it",
    "synchronisation": "waits take {share} of it",
    "copies": "copies take {share} of it",
    "element-wise": "element-wise operators take {share} of it",
    "low occupancy": "work too small for the machine takes {share} of it",
    "other": "operators above their floor take {share} of it",
}


def sentence(document: Mapping[str, Any]) -> str | None:
    """`11.3 ms a token; the memory floor is 590 µs; the GPU waits for Python 82.0 % of the time.`

    From the other parts of the summary document; None where it knows no time at all.
    """
    decode = next((row for row in document["roofline"] if row["phase"] == "decode"), None)
    parts = [_time(document), _floor(decode), _idle(document["device"]) or _largest(decode, document)]
    said = [part for part in parts if part is not None]
    return "; ".join(said) + "." if said else None


def _time(document: Mapping[str, Any]) -> str | None:
    latency = document["latency"]
    median, first = latency["tpot_ms"]["median"], latency["ttft_ms"]
    if median is not None:
        return f"{human_time_ns(median * 1e6)} a token"
    if first is not None:
        return f"{human_time_ns(first * 1e6)} to the first token"
    longest = max(document["phases"], key=lambda phase: phase["wall_s"], default=None)
    if longest is None:
        return None
    return f"{longest['name']} takes {human_time_ns(longest['wall_s'] * 1e9)}, {percent(longest['share'])}"


def _floor(decode: Mapping[str, Any] | None) -> str | None:
    """Of one step. It is memory's or arithmetic's, whichever is nearer to its ceiling."""
    if decode is None or not decode["floor_s"] or not decode["steps"]:
        return None
    mbu, mfu = (
        decode[name] if decode[name] is not None else decode[f"{name}_published"] for name in ("mbu", "mfu")
    )
    kind = "" if mbu is None or mfu is None else "memory " if mbu >= mfu else "compute "
    return f"the {kind}floor is {human_time_ns(decode['floor_s'] / decode['steps'] * 1e9)}"


def _idle(device: Mapping[str, Any] | None) -> str | None:
    """The cause that keeps the device waiting most, as a share of prefill and decode."""
    if device is None or not device["idle_by_cause_s"]:
        return None
    whole = device["busy_s"] + device["idle_s"]
    cause, seconds = max(device["idle_by_cause_s"].items(), key=lambda item: item[1])
    if not whole:
        return None
    if seconds / whole < LEAST_SHARE:
        return f"the GPU is busy {percent(device['busy_s'] / whole)} of the time"
    return IDLE_WORDS[cause].format(share=percent(seconds / whole))


def _largest(decode: Mapping[str, Any] | None, document: Mapping[str, Any]) -> str | None:
    """Where no device worked: the largest part of a decode step beside its floor."""
    if decode is None or not decode["wall_s"] or document["device"] is not None:
        return None
    parts = [(name, own) for name, own in decode["parts_s"].items() if name in CPU_PARTS]
    if decode["floor_s"] is None or not parts:
        return None
    name, seconds = max(parts, key=lambda item: item[1])
    share = seconds / decode["wall_s"]
    return CPU_PARTS[name].format(share=percent(share)) if share >= LEAST_SHARE else None
