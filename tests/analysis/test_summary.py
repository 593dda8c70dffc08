"""The summary document against numbers worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmflame.analysis.summary import summarise
from llmflame.store.model import Fact
from llmflame.store.profile import Profile
from llmflame.store.rows import ProbeReportRow, Row, WindowRow
from llmflame.store.writer import Scalar

from .small import observed, op, request, span, stored, window

MS = 1_000_000


def _profile() -> Profile:
    rows: list[Row] = [
        span(
            "load",
            100 * MS,
            1,
            thread_cpu_ns=60 * MS,
            run_queue_ns=10 * MS,
            disk_wait_ns=5 * MS,
            peak_rss_bytes=4096,
            read_bytes=77,
            minor_faults=3,
            major_faults=1,
        ),
        *request(
            {"tokenize": 10 * MS, "prefill": 40 * MS, "decode": 50 * MS},
            steps=[20 * MS, 30 * MS],
            gap_ns=0,
        ),
        ProbeReportRow("clean", "counters", "edge cost", 0.25 * MS, "ns"),
        ProbeReportRow("clean", "sampler", "cost", 3 * MS, "ns"),
        ProbeReportRow("anatomy", "tracer", "generation wall", 150 * MS, "ns"),
        ProbeReportRow("anatomy", "tracer", "windows lost", 2, "count"),
    ]
    sampled = WindowRow("clean", 1, "sampled", "load", None, 100 * MS, 10, None, 1)
    trees = [
        (sampled, observed({(op("read"),): {"wall_ns": 80 * MS}})),
        (
            window(1001, "decode", 75 * MS, 1, dropped=4),
            observed({(op("mm"),): {"wall_ns": 75 * MS, "calls": 3, "allocated_bytes": 100}}),
        ),
    ]
    subject: dict[str, Scalar] = {"model": "tiny", "new_tokens": 3, "batch_size": 2, "secret": "not shown"}
    return stored(rows, trees, subject=subject, facts=[Fact("cpu", "model", "A CPU", None, "here")])


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return summarise(_profile())


def test_it_is_json(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document) == [
        "schema",
        "status",
        "reason",
        "machine",
        "subject",
        "phases",
        "memory",
        "weights_cached",
        "latency",
        "coverage",
        "cost",
        "checks",
        "device",
        "roofline",
        "stalls",
        "findings",
        "top",
        "sentence",
    ]
    assert (document["schema"], document["status"], document["reason"]) == (1, "complete", None)


def test_subject_and_machine(document: dict[str, Any]) -> None:
    assert document["subject"]["model"] == "tiny" and document["subject"]["dtype"] is None
    assert "secret" not in document["subject"]
    assert document["machine"]["cpu"] == "A CPU" and document["machine"]["gpu"] is None


def test_phases(document: dict[str, Any]) -> None:
    phases = {phase["name"]: phase for phase in document["phases"]}
    assert list(phases) == ["load", "tokenize", "prefill", "decode"]
    assert {name: phase["wall_s"] for name, phase in phases.items()} == pytest.approx(
        {"load": 0.1, "tokenize": 0.01, "prefill": 0.04, "decode": 0.05}
    )
    assert sum(phase["share"] for phase in phases.values()) == pytest.approx(1, abs=1e-12)
    load = phases["load"]
    assert load["share"] == pytest.approx(0.5)
    assert load["waiting"] == pytest.approx(
        {"on_cpu_s": 0.06, "run_queue_s": 0.01, "disk_s": 0.005, "other_s": 0.025}
    )
    assert (load["host_peak_bytes"], load["device_peak_bytes"]) == (4096, None)
    assert (load["read_bytes"], load["minor_faults"], load["major_faults"]) == (77, 3, 1)
    assert load["coverage"] == pytest.approx(0.8)
    assert phases["tokenize"]["coverage"] == 0.0 and phases["decode"]["coverage"] == pytest.approx(1)
    assert phases["decode"]["waiting"] == dict.fromkeys(["on_cpu_s", "run_queue_s", "disk_s", "other_s"])


def test_latency(document: dict[str, Any]) -> None:
    latency = document["latency"]
    assert latency["ttft_ms"] == pytest.approx(50)
    assert latency["e2e_ms"] == pytest.approx(100)
    assert latency["tpot_ms"] == {"median": 25.0, "p10": 20.0, "p90": 30.0, "n": 2}
    assert latency["tokens_per_s"] == pytest.approx(60)
    assert latency["load_s"] == 0.1 and latency["import_s"] is None


def test_coverage(document: dict[str, Any]) -> None:
    assert document["coverage"]["wall"] == pytest.approx((80 + 50) / 200)
    assert document["coverage"]["bytes"] == 1.0


def test_cost(document: dict[str, Any]) -> None:
    assert document["cost"] == pytest.approx(
        {
            "clean": 0.25 / 25,
            "anatomy": 150 / 100 - 1,
            "sampler": 0.03,
            "scale_factor": 75 / 30,  # the median of steps 1 and 2, the upper one
            "slowdown_in_windows": 75 / 30,
            "dropped": 2 + 4 + 1,
        }
    )


def test_top(document: dict[str, Any]) -> None:
    assert [(entry["path"], entry["kind"], entry["calls"], entry["bytes"]) for entry in document["top"]] == [
        ("load › read", "op", 0, 0),
        ("decode › mm", "op", 6, 200),
        ("prefill › unattributed", "other", 0, 0),
        ("load › unattributed", "other", 0, 0),
        ("tokenize › unattributed", "other", 0, 0),
    ]
    assert [entry["self_ms"] for entry in document["top"]] == pytest.approx([80, 50, 40, 20, 10])
    assert sum(entry["share"] for entry in document["top"]) == pytest.approx(1)
    assert len(summarise(_profile(), top_limit=2)["top"]) == 2


def test_a_profile_of_nothing() -> None:
    document = summarise(stored())
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["phases"] == [] and document["top"] == []
    assert document["coverage"] == {"wall": None, "bytes": None}
    assert document["cost"] == {
        "clean": None,
        "anatomy": None,
        "sampler": None,
        "scale_factor": None,
        "slowdown_in_windows": None,
        "dropped": 0,
    }
    assert set(document["machine"].values()) == {None}
