"""What a load does beside reading."""

from __future__ import annotations

from collections.abc import Iterator

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.finding import LEAST_SHARE, Finding
from llmflame.analysis.findings.precision_rules import wide_weights
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.load_anatomy import Move, load_anatomy
from llmflame.units import human_bytes, human_time_ns, percent


def converted_weights(evidence: Evidence) -> Ruling | None:
    """The checkpoint is of another dtype than what is loaded from it."""
    load = load_anatomy(evidence.profile)
    if load is None or not load.conversions or not load.wall_ns:
        return None
    took = min(sum(one.time_ns for one in load.conversions), float(load.wall_ns))
    largest = max(load.conversions, key=lambda one: one.row.source_bytes)
    if took < LEAST_SHARE * evidence.cold_start_ns or _said_already(evidence, largest):
        return None
    (source, _), (target, _) = largest.source, largest.target
    finding = Finding(
        "converted-weights",
        f"Loading converts the checkpoint from {source} to {target}",
        "cold start",
        took,
        (
            f"{human_bytes(sum(one.row.source_bytes for one in load.conversions))} are read and "
            f"{human_bytes(sum(one.row.target_bytes for one in load.conversions))} written to convert them, "
            f"{human_time_ns(took)}, {percent(took / load.wall_ns)} of the load",
            *_besides(largest),
        ),
        f"Save the model once in {target} (save_pretrained) and load that; or load the checkpoint as it is "
        "(dtype='auto')",
        None,
        tuple(
            dict.fromkeys(f"load › {one.row.part}" if one.row.part else "load" for one in load.conversions)
        ),
    )
    return Ruling(finding)


def _besides(largest: Move) -> Iterator[str]:
    if largest.in_host_memory:
        yield "both lie in memory meanwhile"
    before, after = largest.row.source_bytes, largest.row.target_bytes
    if after > before:
        yield (
            f"saved in {largest.target[0]} {human_bytes(after)} would have to be read instead of "
            f"{human_bytes(before)}: where the file isn't cached, that takes back some of the gain"
        )


def _said_already(evidence: Evidence, largest: Move) -> bool:
    """Another finding has the same remedy, for every request: load the checkpoint's own, narrower dtype."""
    if evidence.profile.subject.get("checkpoint_dtype") != largest.source[0]:
        return False
    ruling = wide_weights(evidence)
    return ruling is not None and ruling.finding.gain_ns >= LEAST_SHARE * evidence.request_ns > 0
