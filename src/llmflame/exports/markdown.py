"""A run as Markdown for a pull request: latency, phases, memory peaks, findings. Names in it are data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmflame.analysis.summary import summarise
from llmflame.exports.markdown_text import UNKNOWN, escaped, table
from llmflame.exports.request import Request
from llmflame.units import human_bytes, human_time_ns, percent, three_digits

Document = Mapping[str, Any]


def markdown(request: Request) -> str:
    """The summary, in tables that GitHub and GitLab draw."""
    document = summarise(request.profile, request.run)
    blocks = [
        f"# {escaped(request.title)}",
        _about(document),
        *_status(document),
        *_latency(document["latency"]),
        *_phases(document["phases"]),
        *_memory(document["memory"]),
        *_findings(document["findings"]),
        *_doubts(document["checks"]),
        f"Recorded by llmflame {escaped(request.profile.run.llmflame_version)}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _about(document: Document) -> str:
    subject, machine = document["subject"], document["machine"]
    dtype, device = subject["dtype"], subject["device"]
    tokens = (subject["prompt_tokens"], subject["new_tokens"])
    words = [
        subject["architecture"],
        f"{subject['parameters']:,} parameters" if isinstance(subject["parameters"], int) else None,
        f"{dtype} on {device}" if dtype and device else dtype or device,
        f"batch {subject['batch_size']}" if subject["batch_size"] else None,
        f"{tokens[0]} prompt + {tokens[1]} new tokens" if None not in tokens else None,
        machine.get("cpu"),
        None if machine.get("gpu") in (None, "none") else machine["gpu"],
        f"torch {machine['torch']}" if machine.get("torch") else None,
    ]
    return " · ".join(escaped(word) for word in words if word) or "Nothing is known of this run."


def _status(document: Document) -> Iterator[str]:
    if document["status"] != "complete":
        reason = f": {escaped(document['reason'])}" if document["reason"] else ""
        yield f"**This profile is {escaped(document['status'])}**{reason}"


def _latency(latency: Document) -> Iterator[str]:
    tpot, rate = latency["tpot_ms"], latency["tokens_per_s"]
    spread = f"p10 {_ms(tpot['p10'])}, p90 {_ms(tpot['p90'])}, n {tpot['n']:,}" if tpot["n"] else ""
    rows = [
        ("TTFT", _ms(latency["ttft_ms"]), ""),
        ("TPOT (median)", _ms(tpot["median"]), spread),
        ("E2E", _ms(latency["e2e_ms"]), ""),
        ("Throughput", UNKNOWN if rate is None else f"{three_digits(rate)} tokens/s", ""),
        ("Load", _seconds(latency["load_s"]), ""),
        ("Import", _seconds(latency["import_s"]), ""),
    ]
    yield table(("Latency", "", ""), rows)


def _phases(phases: Sequence[Document]) -> Iterator[str]:
    if not phases:
        return
    yield "## Phases"
    device = any(phase["device_peak_bytes"] for phase in phases)
    heads = ("Phase", "Time", "Share", "On CPU", "Peak RSS", *(("Device peak",) if device else ()))
    rows = []
    for phase in phases:
        row = (
            escaped(phase["name"]),
            _seconds(phase["wall_s"]),
            percent(phase["share"]),
            _seconds(phase["waiting"]["on_cpu_s"]),
            _bytes(phase["host_peak_bytes"]),
        )
        rows.append((*row, _bytes(phase["device_peak_bytes"])) if device else row)
    yield table(heads, rows)


def _memory(memory: Document | None) -> Iterator[str]:
    if memory is None or not memory["peaks"]:
        return
    yield "## Memory at the peaks"
    for peak in memory["peaks"]:
        whole = peak["peak_bytes"]
        yield f"{escaped(peak['space'])}, in {escaped(peak['phase'])}: **{human_bytes(whole)}**"
        rows = [
            (escaped(name), human_bytes(size), percent(size / whole))
            for name, size in peak["held_bytes"].items()
        ]
        yield table(("Held as", "Bytes", "Share"), rows)


def _findings(findings: Sequence[Document]) -> Iterator[str]:
    if not findings:
        return
    yield "## What to change"
    for number, one in enumerate(findings, start=1):
        memory = one["scope"] == "memory"
        gain = human_bytes(one["gain_bytes"]) if memory else human_time_ns(one["gain_s"] * 1e9)
        of = "the peak" if memory else f"the {one['scope']}"
        bound = f"at most {gain}, {percent(one['gain_share'])} of {of}"
        evidence = "".join(f"\n   - {escaped(sentence)}" for sentence in one["evidence"])
        yield f"{number}. **{escaped(one['title'])}** ({bound})\n   {escaped(one['change'])}{evidence}"


def _doubts(checks: Sequence[Document]) -> Iterator[str]:
    for check in checks:
        if check["passed"] is False:
            yield f"**Check failed**: {escaped(check['name'])}: {escaped(check['words'])}"


def _ms(value: float | None) -> str:
    return UNKNOWN if value is None else human_time_ns(value * 1e6)


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else human_time_ns(value * 1e9)


def _bytes(value: float | None) -> str:
    return UNKNOWN if value is None else human_bytes(value)
